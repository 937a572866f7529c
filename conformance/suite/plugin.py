"""The pytest side of the suite: options, fixtures, needs, and one outcome per check.

A third party runs the suite on an array or plugin of its own with::

    pytest -p conformance.suite.plugin --pyargs conformance.suite --conformance-target target.json
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from conformance.outcome import Outcome
from conformance.suite import configuration, declare, needs
from conformance.suite.rig import Rig
from conformance.suite.run import Run
from conformance.suite.settings import from_json
from conformance.suite.tally import Tally

_RUN = pytest.StashKey[Run]()
_UNMET = pytest.StashKey[needs.Unmet]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of a run."""
    group = parser.getgroup("conformance", "conformance of a storage array")
    group.addoption("--conformance-target", metavar="FILE", help="JSON file that describes the target (or BLOCKDRIVERS_TARGET)")
    group.addoption("--conformance-select", metavar="CHECKS", help="comma-separated ids, leading parts of ids, or levels")
    group.addoption("--conformance-json", metavar="FILE", help="write one JSON line for each check")
    group.addoption("--conformance-lifeline", metavar="FD", type=int, help="end this process group when this pipe closes")


def pytest_configure(config: pytest.Config) -> None:
    """Set up the run, where a target is given."""
    lifeline = config.getoption("--conformance-lifeline")
    if lifeline is not None:
        threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    target = config.getoption("--conformance-target") or os.environ.get("BLOCKDRIVERS_TARGET")
    if target is None:
        return
    config.stash[_RUN] = run = Run(from_json(Path(target).read_text(encoding="utf-8")))
    config.pluginmanager.register(Reporter(config, run), "conformance-reporter")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the run has started."""
    run = config.stash.get(_RUN, None)
    if run is not None:
        run.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not selected, and put the checks that judge the whole run last."""
    selection = config.getoption("--conformance-select")
    chosen: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        declared = declare.declaration_of(getattr(item, "function", None))
        wanted = declared is None or declare.selected(declared.check, selection)
        (chosen if wanted else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = sorted(chosen, key=_is_last)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Decide by its declared needs, and by nothing else, whether a check runs."""
    declared = declare.declaration_of(getattr(item, "function", None))
    run = item.config.stash.get(_RUN, None)
    if declared is None:
        return
    if run is None:
        pytest.exit("Give --conformance-target FILE: the suite needs an array to run on.", returncode=4)
    run.begin()
    unmet = needs.unmet(declared.needs, run)
    if unmet is not None:
        item.stash[_UNMET] = unmet
        pytest.skip(unmet.reason)


@pytest.fixture
def run(pytestconfig: pytest.Config) -> Run:
    """Return what the whole run shares."""
    return pytestconfig.stash[_RUN]


@pytest.fixture
def rig(run: Run) -> Iterator[Rig]:
    """Give a check its room on the array; afterwards, prove that nothing of it is left."""
    room = Rig(run)
    if run.uncleaned:
        with suppress(AssertionError):
            room.clean()
    yield room
    room.close()
    left = run.new_leftovers()
    assert not left, "After this check and its clean-up the array holds: " + "; ".join(left)


class Reporter:
    """Turns pytest's reports into outcomes and writes them down as they come."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._run = run
        self._tally = Tally()
        path = config.getoption("--conformance-json")
        # The lines are for a reader at the other end of a pipe: each one is written at once.
        self._file: TextIO | None = None if path is None else Path(path).open("w", encoding="utf-8", buffering=1)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the cases of each check."""
        for item in session.items:
            declared = declare.declaration_of(getattr(item, "function", None))
            if declared is not None:
                self._tally.expect(declared.check)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which case runs, so that a death is put down to the right check."""
        self._write({"started": nodeid})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take in one phase of one case."""
        report = yield
        declared = declare.declaration_of(getattr(item, "function", None))
        if declared is not None:
            self._tally.phase(declared.check, _case(item), report, item.stash.get(_UNMET, None))
            if call.when == "teardown" and (outcome := self._tally.ended(declared.check)):
                self._write(_plain(self._clean(outcome)))
        return report

    def pytest_sessionfinish(self) -> None:
        """Tell of checks that have failed and were not gone on with: who asks for the first failure only needs no more cases."""
        for outcome in self._tally.cut_short():
            self._write(_plain(self._clean(outcome)))

    def pytest_unconfigure(self) -> None:
        """Close the results."""
        if self._file is not None:
            self._file.close()

    def _clean(self, outcome: Outcome) -> Outcome:
        hidden = configuration.secrets(self._run.settings)
        detail = configuration.redacted(outcome.detail, hidden)
        return Outcome(outcome.check, outcome.result, outcome.seconds, detail)

    def _write(self, line: dict[str, object]) -> None:
        if self._file is not None:
            print(json.dumps(line, ensure_ascii=False), file=self._file, flush=True)


def _is_last(item: pytest.Item) -> bool:
    declared = declare.declaration_of(getattr(item, "function", None))
    return declared is not None and declared.last


def _case(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return "" if callspec is None else str(callspec.id)


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "check": outcome.check.id,
        "result": outcome.result.value,
        "seconds": round(outcome.seconds, 4),
        "detail": outcome.detail,
    }


def _die_with_parent(descriptor: int) -> None:
    """End the whole process group once nobody holds the other end of the pipe: the parent has ended, however it did."""
    while os.read(descriptor, 1):
        continue
    os.killpg(os.getpgid(0), signal.SIGKILL)
