"""A way to a TCP service that comes in there from an address of choice, for clients that cannot choose one."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

_CONNECT_SECONDS = 10.0
_END_SECONDS = 10.0
_CHUNK = 256 * 1024


def source(addresses: Iterable[str], server: tuple[str, int]) -> str | None:
    """Return which of a host's addresses has to be chosen on the way to a server.

    None where this machine has none of them, or comes from one of them anyhow.
    """
    own = [address for address in addresses if address and _is_own(address)]
    return None if not own or _usual(server) in own else own[0]


class Relay:
    """Passes one connection at a time on to a server, from an address of this machine; close it after use."""

    def __init__(self, server: tuple[str, int], address: str) -> None:
        self._server, self._address = server, address
        self._guard = threading.Lock()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._client: socket.socket | None = None
        self.address: tuple[str, int] = self._listener.getsockname()
        """Where it listens."""
        self._thread = threading.Thread(target=self._serve, name=f"relay-{address}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut the connection and listen no more."""
        with self._guard:
            self._closed = True
            for end in (self._listener, self._client):
                if end is not None:
                    # Closing alone would not wake the thread that waits there.
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
        self._thread.join(_END_SECONDS)

    def _serve(self) -> None:
        with self._listener:
            while True:
                try:
                    client, _ = self._listener.accept()
                except OSError:
                    return
                with client:
                    with self._guard:
                        if self._closed:
                            return
                        self._client = client
                    with suppress(OSError):
                        self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        with (
            socket.create_connection(self._server, _CONNECT_SECONDS, (self._address, 0)) as server,
            selectors.DefaultSelector() as ready,
        ):
            server.settimeout(None)
            for end, other in ((client, server), (server, client)):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.register(end, selectors.EVENT_READ, (end, other))
            while True:
                for key, _ in ready.select():
                    end, other = key.data
                    data = end.recv(_CHUNK)
                    if not data:
                        return
                    other.sendall(data)


def _is_own(address: str) -> bool:
    """Tell whether this machine has an IPv4 address."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


def _usual(server: tuple[str, int]) -> str:
    """Return the address that this machine comes from when nothing is chosen; nothing is sent."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(server)
        except OSError:
            return ""
        return str(probe.getsockname()[0])
