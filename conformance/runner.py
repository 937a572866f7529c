"""Runs the suite on a target in a process of its own and returns one outcome per check, whatever becomes of that process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from conformance.outcome import Check, Outcome, Result
from conformance.suite.declare import declared_checks, selected
from conformance.suite.settings import DEFAULT_OPENER, Settings
from conformance.target import Target

_LAST_WORDS = 1500


def all_checks() -> tuple[Check, ...]:
    """Return every check of the suite, in the order in which a run meets them; nothing is run."""
    return tuple(declared.check for declared in declared_checks())


def run(
    target: Target,
    *,
    select: str | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    opener: str = DEFAULT_OPENER,
    lifeline: Lifeline | None = None,
) -> tuple[Outcome, ...]:
    """Run the checks and return an outcome for each, in the suite's order.

    Args:
        target: what is tested.
        select: comma-separated check ids, leading parts of ids, or levels; all where None.
        on_outcome: called with each outcome as it comes.
        opener: how the backend is opened; the suite's own tests put a sabotaged one here.
        lifeline: of several runs at once, each called from a thread of its own; a run alone has its own.

    A check that the process did not live to judge is `NOT_RUN`, with the reason. The process and its children end with this one,
    however this one ends. Raises `RunCut` when the lifeline was cut meanwhile.
    """
    wanted = {check.id: check for check in all_checks() if selected(check, select)}
    found: dict[str, Outcome] = {}
    with (
        tempfile.TemporaryDirectory(prefix="conformance-run-") as folder,
        nullcontext(lifeline) if lifeline else Lifeline() as held,
        _child(Path(folder), target, select, opener, held.far_end) as child,
    ):
        for line in child.lines():
            outcome = _outcome(line, wanted)
            if outcome is not None:
                found[outcome.check.id] = outcome
                _tell(outcome, on_outcome)
        reason = child.last_words()
        if held.is_cut:
            raise RunCut
    for check in wanted.values():
        if check.id not in found:
            found[check.id] = Outcome(check, Result.NOT_RUN, 0.0, reason)
            _tell(found[check.id], on_outcome)
    return tuple(found[check_id] for check_id in wanted)


class RunCut(Exception):
    """The lifeline of a run was cut before its end; what it found by then is no result."""


class Lifeline:
    """Ties runs to whoever started them: when it is cut, or the process that holds it ends, the processes of the runs end."""

    def __init__(self) -> None:
        self.far_end, self._held = os.pipe()
        self.is_cut = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cut()
        os.close(self.far_end)

    def cut(self) -> None:
        """End every run that holds on to it; `run` then raises `RunCut`."""
        if not self.is_cut:
            self.is_cut = True
            os.close(self._held)


class _Child:
    """The pytest process, its stream of results and what it said last."""

    def __init__(self, process: subprocess.Popen[bytes], results: IO[str], said: Path) -> None:
        self._process = process
        self._results = results
        self._said = said
        self._running = ""

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """Yield results until the process ends."""
        for text in self._results:
            line: Mapping[str, Any] = json.loads(text)
            self._running = str(line.get("started", self._running))
            yield line

    def last_words(self) -> str:
        """Return why a check may not have been judged."""
        status = self._process.wait()
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        words = self._said.read_text(errors="replace").strip()[-_LAST_WORDS:]
        return f"The run {how} at {self._running or 'its beginning'}. It said last: {words}"


@contextmanager
def _child(folder: Path, target: Target, select: str | None, opener: str, lifeline: int) -> Iterator[_Child]:
    settings, said, config = folder / "target.json", folder / "said", folder / "pytest.ini"
    settings.touch(mode=0o600)
    settings.write_text(Settings(target, opener).to_json(), encoding="utf-8")
    config.write_text("[pytest]\n")
    results, written = os.pipe()
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=short", "-c", str(config), "--rootdir", str(folder)),
        *("-p", "no:cacheprovider", "-p", "conformance.suite.plugin", "--pyargs", "conformance.suite"),
        *("--conformance-target", str(settings), "--conformance-json", f"/dev/fd/{written}"),
        *("--conformance-lifeline", str(lifeline)),
        *(("--conformance-select", select) if select else ()),
    ]
    environment = os.environ | {"HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis")}
    with said.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(written, lifeline),
            start_new_session=True,
            env=environment,
        )
    os.close(written)
    try:
        with open(results, encoding="utf-8") as stream:  # noqa: PTH123 - a file descriptor has no path
            yield _Child(process, stream, said)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process group; most often it has ended by itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _outcome(line: Mapping[str, Any], wanted: Mapping[str, Check]) -> Outcome | None:
    check = wanted.get(str(line.get("check")))
    if check is None:
        return None
    return Outcome(check, Result(line["result"]), float(line["seconds"]), str(line["detail"]))


def _tell(outcome: Outcome, on_outcome: Callable[[Outcome], None] | None) -> None:
    if on_outcome is not None:
        on_outcome(outcome)
