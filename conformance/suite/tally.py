"""From pytest's reports on phases and cases to one outcome per check."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from conformance.outcome import Check, Outcome, Result
from conformance.suite.needs import Unmet

_LONGEST_DETAIL = 1200


@dataclass
class _Count:
    check: Check
    expected: int = 0
    ended: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    unmet: Unmet | None = None


class Tally:
    """Adds up the cases of every check; a check fails when one of its cases does."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def expect(self, check: Check) -> None:
        """Count one more case."""
        self._counts.setdefault(check.id, _Count(check)).expected += 1

    def phase(self, check: Check, case: str, report: pytest.TestReport, unmet: Unmet | None) -> None:
        """Take in the set-up, the call or the teardown of one case."""
        count = self._counts.setdefault(check.id, _Count(check, expected=1))
        count.seconds += report.duration
        if report.failed:
            count.failures.append(_told(case, report))
        elif report.skipped and unmet is None:
            count.failures.append(_labelled(case, f"the check left itself out: {report.longrepr}"))
        count.unmet = count.unmet or unmet
        if report.when == "teardown":
            count.ended += 1

    def ended(self, check: Check) -> Outcome | None:
        """Return the check's outcome once all its cases have ended."""
        count = self._counts[check.id]
        return _outcome(count) if count.ended >= count.expected else None

    def cut_short(self) -> list[Outcome]:
        """Return the outcomes of checks that have failed although not all of their cases were begun."""
        return [_outcome(count) for count in self._counts.values() if count.failures and count.ended < count.expected]


def _outcome(count: _Count) -> Outcome:
    if count.failures:
        return Outcome(count.check, Result.FAILED, count.seconds, " | ".join(count.failures)[:_LONGEST_DETAIL])
    if count.unmet is not None:
        return Outcome(count.check, count.unmet.result, count.seconds, count.unmet.reason)
    return Outcome(count.check, Result.PASSED, count.seconds)


def _told(case: str, report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(crash.message if crash is not None else report.longrepr)
    message = message.removeprefix("AssertionError: ").split("\nassert ")[0].strip()
    where = {"setup": "while it was set up: ", "teardown": "afterwards: "}.get(report.when or "", "")
    return _labelled(case, where + message)


def _labelled(case: str, text: str) -> str:
    return f"[{case}] {text}" if case else text
