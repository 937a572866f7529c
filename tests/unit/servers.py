"""A small HTTPS server whose every answer, pause and cut a test decides."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass


class Cut(Exception):
    """Ends the connection with a reset, in the middle of whatever it is."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def answer(body: object = None, status: int = 200, **headers: str) -> bytes:
    data = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


class Server:
    """Answers each request with what `handle` returns: bytes, or parts of them; None closes the connection tidily."""

    def __init__(self, handle: Callable[[Request], bytes | Iterable[bytes] | None], certificates=None, host="127.0.0.1"):
        self.handle = handle
        self.requests: list[Request] = []
        self.connections = 0
        self.released = threading.Event()
        """What handlers wait for; set at the end, so that nobody waits for ever."""
        self._context = None
        if certificates:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificates.certificate, certificates.key)
        self._listener = socket.create_server((host, 0))
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.address = f"{'https' if certificates else 'http'}://{host}:{self._listener.getsockname()[1]}/api"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.released.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def hang_up(self) -> None:
        """Close every connection that is open now."""
        with self._guard:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                self.connections += 1
                self._open.add(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection):
        wire = connection
        try:
            if self._context:
                wire = self._context.wrap_socket(connection, server_side=True)
                with self._guard:
                    self._open.discard(connection)
                    self._open.add(wire)
            self._talk(wire)
        except Cut:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        finally:
            with self._guard:
                self._open.discard(wire)
                self._open.discard(connection)
            wire.close()

    def _talk(self, wire):
        with wire.makefile("rb") as stream:
            while (request := _read(stream)) is not None:
                with self._guard:
                    self.requests.append(request)
                answered = self.handle(request)
                if answered is None:
                    return
                for part in [answered] if isinstance(answered, bytes) else answered:
                    wire.sendall(part)


def _read(stream) -> Request | None:
    if stream.peek(1)[:1] == b"\x16":
        return None  # the beginning of TLS, where this server speaks none
    line = stream.readline().split()
    if len(line) != 3:
        return None
    headers = {}
    while text := stream.readline().strip():
        name, _, value = text.decode().partition(":")
        headers[name.lower()] = value.strip()
    return Request(line[0].decode(), line[1].decode(), headers, stream.read(int(headers.get("content-length", 0))))
