"""os-brick's connectors, from a process of its own that can be ended when time is up."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO, Any

from blockdrivers import deadline
from blockdrivers.errors import AttachError, ConfigurationError
from blockdrivers.host import programs

_log = logging.getLogger(__name__)

LOCKS_VARIABLE = "BLOCKDRIVERS_BRICK_LOCKS"
"""Environment variable: the lock folder of other services on this machine that use os-brick, to take turns with them."""

_LOCKS = "/run/lock/blockdrivers"
_START_SECONDS = 120.0
_LONGEST = 600.0


class Refused(AttachError):
    """os-brick ended with an error."""


def call(do: str, *, secret: str | None = None, **request: Any) -> Any:
    """Have os-brick do something, within the current deadline.

    Args:
        do: ``facts``, ``connect``, ``disconnect`` or ``extend``.
        secret: is taken out of whatever os-brick says.
        request: what that takes, as plain data.

    Raises:
        Refused: with os-brick's own words.
        DeadlineExceeded: time was up; the process that was at it, and its children, have been ended.
        ConfigurationError: this is not root, or os-brick is missing.
    """
    worker = _take()
    try:
        answer = worker.ask({"do": do, **request})
    except BaseException:
        worker.end()
        raise
    _give_back(worker)
    for line in answer["said"]:
        _log.debug("os-brick: %s", _redacted(line, secret))
    if "error" in answer:
        said = _redacted(" ".join(str(answer["message"]).split()), secret)
        raise Refused(f"os-brick could not {do}: {answer['error']}: {said[:600]}")
    return answer["result"]


def require_root() -> None:
    """Raise `ConfigurationError` where this process is not root's."""
    if os.geteuid():
        raise ConfigurationError(
            "Attaching and detaching change this machine's devices, and that takes root: run this with sudo, or run the service "
            "that calls it as root. Image copies (copy_image_to_volume, copy_volume_to_image) work without."
        )


def _redacted(text: str, secret: str | None) -> str:
    return text.replace(secret, "***") if secret else text


_idle: list[_Worker] = []
_guard = threading.Lock()


def _take() -> _Worker:
    require_root()
    with _guard:
        while _idle:
            worker = _idle.pop()
            if worker.is_usable:
                return worker
            worker.end()
    return _Worker()


def _give_back(worker: _Worker) -> None:
    with _guard:
        _idle.append(worker)


class _Worker:
    """One process; used by one thread at a time."""

    def __init__(self) -> None:
        folder = Path(os.environ.get(LOCKS_VARIABLE) or _LOCKS)
        folder.mkdir(parents=True, exist_ok=True)
        self._owner = os.getpid()
        # Not a pipe: nobody reads it while the process works.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "blockdrivers.host.brickworker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,
        )
        try:
            self._read(deadline.remaining(_START_SECONDS))
        except BaseException:
            self.end()
            raise

    @property
    def is_usable(self) -> bool:
        """Whether it still runs, and was started by this process and not by one that this was forked from."""
        return self._owner == os.getpid() and self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer."""
        seconds = deadline.remaining(_LONGEST)
        self._pipe(self._process.stdin).write(json.dumps(request).encode() + b"\n")
        self._pipe(self._process.stdin).flush()
        answer: dict[str, Any] = json.loads(self._read(seconds))
        return answer

    def end(self) -> None:
        """End the process and its children; one that the kernel holds is left to end when it can."""
        if self._owner != os.getpid():
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                self._pipe(stream).close()
        self._said.close()

    def _read(self, seconds: float) -> bytes:
        stream = self._pipe(self._process.stdout)
        with DefaultSelector() as selector:
            selector.register(stream, EVENT_READ)
            if not selector.select(seconds):
                deadline.remaining(0)
                raise AttachError(f"os-brick did not answer within {seconds:g} s.")
        line = stream.readline()
        if not line:
            raise self._died()
        return line

    def _died(self) -> Exception:
        self._said.seek(0)
        said = programs.last_words(self._said.read())
        if "No module named 'os_brick'" in said:
            return ConfigurationError("os-brick is missing; install blockdrivers[host].")
        return AttachError(f"The process that runs os-brick ended: {said}")

    @staticmethod
    def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None  # noqa: S101 - Popen was told to make it
        return stream
