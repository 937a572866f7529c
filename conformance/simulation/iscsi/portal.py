"""One iSCSI portal of an array: passes each connection on to the target of the host that logs in, or refuses it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence

from conformance.simulation.iscsi import pdu

_LOGIN_SECONDS = 30.0
_ACCEPT_SECONDS = 0.1
_CONNECT_SECONDS = 5.0
_BACKLOG = 128
_CHUNK = 256 * 1024
_RESET = struct.pack("ii", 1, 0)

Route = Callable[[str], int | None]
"""Initiator name -> TCP port of its host's target on loopback; None where it is to see nothing."""


class Portal:
    """Listens at one address until it is closed; may be cut and healed.

    Args:
        address: IP address and TCP port; it must be free.
        route: see `Route`.
        targets: what a discovery by an initiator shows: (IQN, portal) of every portal of the array.
    """

    def __init__(self, address: tuple[str, int], route: Route, targets: Callable[[str], Sequence[tuple[str, str]]]) -> None:
        self.address = address
        self._route = route
        self._targets = targets
        self._guard = threading.Lock()
        self._connections: dict[socket.socket, str] = {}
        self._closed = threading.Event()
        self._listening = threading.Event()
        self._listening.set()
        self._listener = self._bound()
        self._listener.listen(_BACKLOG)
        self._thread = threading.Thread(target=self._accept, name=f"portal-{address[0]}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The address as ``IP:port``."""
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def is_up(self) -> bool:
        """Whether it is not cut."""
        return self._listening.is_set()

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._listening.clear()
        # What is bound and does not listen keeps the address and refuses. One that accepted and reset would leave an
        # initiator of Linux 6.1 unable to come back; and one that listens again passes its shutdown on to whom it accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = self._bound()
        self.break_connections()

    def heal(self) -> None:
        """Serve again."""
        if not self._listening.is_set():
            self._listener.listen(_BACKLOG)
            self._listening.set()

    def close(self) -> None:
        """Cut, for good, and give the address up."""
        self._closed.set()
        self.cut()
        self._thread.join(_LOGIN_SECONDS)
        self._listener.close()

    def _bound(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.settimeout(_ACCEPT_SECONDS)
            made.bind(self.address)
        except BaseException:
            made.close()
            raise
        return made

    def break_connections(self, initiators: Sequence[str] | None = None) -> None:
        """Reset the connections of these initiators, or all."""
        with self._guard:
            chosen = [end for end, name in self._connections.items() if initiators is None or name in initiators]
        for end in chosen:
            _reset(end)

    def serves(self, initiator: str) -> bool:
        """Tell whether an initiator is connected."""
        with self._guard:
            return initiator in self._connections.values()

    def _accept(self) -> None:
        while not self._closed.is_set():
            if not self._listening.wait(_ACCEPT_SECONDS):
                continue
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # Nobody came for a while, or it was cut meanwhile.
                continue
            threading.Thread(target=self._serve, args=(connection,), name=f"session-{self.address[0]}", daemon=True).start()

    def _serve(self, initiator: socket.socket) -> None:
        with initiator, contextlib.suppress(OSError, pdu.NotIscsi):
            initiator.settimeout(_LOGIN_SECONDS)
            login = pdu.read(lambda count: _receive(initiator, count))
            if not login.is_login:
                return
            name = login.texts.get("InitiatorName", "")
            port = self._route(name)
            if port is None:
                initiator.sendall(pdu.target_not_found(login))
                return
            with socket.create_connection(("127.0.0.1", port), _CONNECT_SECONDS) as target:
                self._pass_on(initiator, target, name, login)

    def _pass_on(self, initiator: socket.socket, target: socket.socket, name: str, login: pdu.Pdu) -> None:
        ends = (initiator, target)
        with self._guard:
            self._connections.update(dict.fromkeys(ends, name))
        try:
            if not self.is_up:
                return
            for end in ends:
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            target.sendall(login.encoded())
            discovers = login.texts.get("SessionType") == "Discovery"
            back = threading.Thread(target=self._answer, args=(target, initiator, name if discovers else None), daemon=True)
            back.start()
            _pump(initiator, target)
            back.join()
        finally:
            with self._guard:
                for end in ends:
                    del self._connections[end]

    def _answer(self, target: socket.socket, initiator: socket.socket, discoverer: str | None) -> None:
        if discoverer is None:
            _pump(target, initiator)
            return
        # tgt would name its own address, which is not the array's.
        with _both_end(target, initiator), contextlib.suppress(OSError, pdu.NotIscsi):
            while True:
                answer = pdu.read(lambda count: _receive(target, count))
                shown = pdu.discovery_answer(answer, self._targets(discoverer)) if answer.is_text_response else answer.encoded()
                initiator.sendall(shown)


@contextlib.contextmanager
def _both_end(first: socket.socket, second: socket.socket) -> Iterator[None]:
    try:
        yield
    finally:
        for end in (first, second):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until either end closes; then both are closed."""
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with _both_end(source, sink), contextlib.suppress(OSError):
        while count := source.recv_into(buffer):
            sink.sendall(view[:count])


def _receive(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise ConnectionError("the connection ended in the middle of a PDU")
        received += piece
    return bytes(received)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)
