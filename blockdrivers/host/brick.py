"""os-brick's connectors, from processes of their own that can be ended when time is up."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blockdrivers import deadline
from blockdrivers.errors import AttachError, ConfigurationError
from blockdrivers.host import programs
from blockdrivers.host.brickserver import READY, REQUEST

_log = logging.getLogger(__name__)

LOCKS_VARIABLE = "BLOCKDRIVERS_BRICK_LOCKS"
"""Environment variable: the lock folder of other services on this machine that use os-brick, to take turns with them."""

_LOCKS = "/run/lock/blockdrivers"
_START_SECONDS = 120.0
_LONGEST = 600.0
_END_SECONDS = 2.0


class Refused(AttachError):
    """os-brick ended with an error."""


def call(do: str, *, secret: str | None = None, **request: Any) -> Any:
    """Have os-brick do something, within the current deadline.

    Args:
        do: ``facts``, ``connect`` or ``disconnect``.
        secret: is taken out of whatever os-brick says.
        request: what that takes, as plain data.

    Raises:
        Refused: with os-brick's own words.
        DeadlineExceeded: time was up; the process that was at it, and its children, have been ended.
        ConfigurationError: this is not root, or os-brick is missing.
    """
    require_root()
    with _Call() as connection:
        answer = connection.ask({"do": do, **request})
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


class _Call:
    """One request, and the process that carries it out; both have ended after the block."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._pid: int | None = None
        self._buffer = b""
        try:
            with theirs:
                _Server.hand_over(theirs)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and self._pid is not None:
            _end(self._pid)
        self._socket.close()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send the request and return the answer."""
        self._pid = int(self._line()["pid"])
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        return self._line()

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._socket.settimeout(deadline.remaining(_LONGEST))
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                deadline.remaining(_LONGEST)
                raise AttachError(f"os-brick did not answer within {_LONGEST:g} s.") from None
            if not received:
                raise AttachError("The process that runs os-brick ended before it answered.")
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


def _end(pid: int) -> None:
    """End a process and those that it has started, and wait for it; one that the kernel holds is left to end when it can."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            os.killpg(pid, signal.SIGKILL)
            select.select([descriptor], [], [], _END_SECONDS)
        finally:
            os.close(descriptor)


def start() -> None:
    """Start the process that imports os-brick, if it does not run: the first call then need not wait for it."""
    require_root()
    _Server.running()


class _Server:
    """The process that has os-brick imported; one for this process and those forked from it, started when it is needed."""

    _guard = threading.Lock()
    _current: _Server | None = None

    def __init__(self) -> None:
        folder = Path(os.environ.get(LOCKS_VARIABLE) or _LOCKS)
        folder.mkdir(parents=True, exist_ok=True)
        # Not a pipe: nobody reads it while the process works.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "blockdrivers.host.brickserver", str(theirs.fileno()), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._await_ready()

    @classmethod
    def running(cls) -> _Server:
        """Return the server of this process."""
        # Others wait for the first one's start: a second server would take no less time.
        with cls._guard:
            if cls._current is None:
                cls._current = cls()
            return cls._current

    @classmethod
    def hand_over(cls, connection: socket.socket) -> None:
        """Have the server serve one request on a connection; one that has ended is started again."""
        server = cls.running()
        try:
            socket.send_fds(server._socket, [REQUEST], [connection.fileno()])
        except OSError:
            with cls._guard:
                if cls._current is server:
                    cls._current = None
            socket.send_fds(cls.running()._socket, [REQUEST], [connection.fileno()])

    @classmethod
    def forked(cls) -> None:
        """Let a forked process use the server, too, whoever held the lock at that moment."""
        cls._guard = threading.Lock()

    def _await_ready(self) -> None:
        try:
            self._socket.settimeout(deadline.remaining(_START_SECONDS))
            is_ready = self._socket.recv(1) == READY
        except TimeoutError:
            self._process.kill()
            deadline.remaining(_START_SECONDS)
            raise AttachError(f"os-brick could not be imported within {_START_SECONDS:g} s.") from None
        if not is_ready:
            raise self._died()
        self._socket.settimeout(None)

    def _died(self) -> Exception:
        self._process.wait()
        self._said.seek(0)
        said = programs.last_words(self._said.read())
        if "No module named 'os_brick'" in said:
            return ConfigurationError("os-brick is missing; install blockdrivers[host].")
        return AttachError(f"The process that runs os-brick ended: {said}")


os.register_at_fork(after_in_child=_Server.forked)
