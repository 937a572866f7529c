"""Child processes that come cheap: one server process imports everything once and forks itself for each call.

A crash is tested by killing a process in the middle of an operation, and a race by letting two of them run; starting an
interpreter for each would take longer than everything else together.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blockdrivers.host import brick
from conformance.suite.settings import Settings, from_json

_PATIENCE = 60.0
_LENGTH = struct.Struct("!Q")
_GO = b"g"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of `Backend`, to be made by whoever receives it."""

    operation: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def on(self, backend: Any) -> Any:
        """Make the call."""
        return getattr(backend, self.operation)(*self.arguments, **self.keywords)

    def __str__(self) -> str:
        return f"{self.operation}({', '.join(map(repr, self.arguments))})"


class Child:
    """A process with a backend of its own that makes one call when it is told to."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self.pid = pid

    def go(self) -> None:
        """Let it make its call."""
        self._connection.sendall(_GO)

    def result(self, *, seconds: float = _PATIENCE) -> Any:
        """Return what the call returned, or raise what it raised."""
        self._connection.settimeout(seconds)
        try:
            raised, value = _receive(self._connection)
        except EOFError:
            raise AssertionError("The child process ended before it answered.") from None
        except TimeoutError:
            self.kill()
            raise AssertionError(f"The child process did not answer within {seconds:g} s.") from None
        finally:
            self._connection.close()
        if raised:
            raise value
        return value

    def ended(self) -> bool:
        """Tell whether the call has ended, one way or the other."""
        return bool(select.select([self._connection], [], [], 0)[0])

    def kill(self) -> None:
        """End it the hard way, as a power cut would."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            self._connection.close()


class Nursery:
    """Starts children for one target."""

    def __init__(self, settings: Settings) -> None:
        ours, theirs = socket.socketpair()
        self._connection = ours
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and this module
            [sys.executable, "-m", "conformance.suite.nursery", str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        theirs.close()
        _send(ours, settings.to_json())
        ours.settimeout(_PATIENCE)

    def child(self, call: Call, *, warm: bool = False) -> Child:
        """Start a process for a call; with `warm` it logs in first, so that its call starts at once when it may."""
        mine, its = socket.socketpair()
        try:
            socket.send_fds(self._connection, [b"c"], [its.fileno()])
            pid = int(_receive(self._connection))
        finally:
            its.close()
        _send(mine, (call, warm))
        child = Child(mine, pid)
        if warm:
            mine.settimeout(_PATIENCE)
            if mine.recv(1) != _GO:
                child.kill()
                raise AssertionError("The child process could not log in.")
        return child

    def run(self, call: Call) -> Any:
        """Make a call in a new process and return its result."""
        child = self.child(call)
        child.go()
        return child.result()

    def close(self) -> None:
        """End the server; children that are still there see to themselves."""
        self._connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _serve(connection: socket.socket) -> None:
    settings = from_json(_receive(connection))
    _import_everything(settings)
    # Nobody waits for the children: what they have to say comes through their own sockets.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            _live(settings, socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])
        _send(connection, pid)


def _live(settings: Settings, connection: socket.socket) -> None:
    status = 1
    try:
        call, warm = _receive(connection)
        with settings.open() as backend:
            if warm:
                backend.system()
                connection.sendall(_GO)
            if connection.recv(1) == _GO:
                _send(connection, _outcome(call, backend))
                status = 0
    finally:
        os._exit(status)


def _outcome(call: Call, backend: Any) -> tuple[bool, Any]:
    try:
        return False, call.on(backend)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent is to see it
        return True, error


def _import_everything(settings: Settings) -> None:
    """Open a backend and close it again unused: then everything that a child needs has been imported."""
    try:
        settings.open().close()
        if settings.target.attach:
            brick.start()
    except Exception as error:  # noqa: BLE001 - each child will meet it, too, and can tell its parent
        print(f"nursery: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - a server's log


def _send(connection: socket.socket, value: Any) -> None:
    data = pickle.dumps(value)
    connection.sendall(_LENGTH.pack(len(data)) + data)


def _receive(connection: socket.socket) -> Any:
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return pickle.loads(_exactly(connection, length))  # noqa: S301 - both ends are this module


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    # Pickles name classes by their module: this one must not be called __main__ in them.
    from conformance.suite import nursery

    nursery._serve(socket.socket(fileno=int(sys.argv[1])))
