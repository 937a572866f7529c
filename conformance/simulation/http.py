"""The HTTPS front end of a simulated array: real sockets, keep-alive, faults, counters; one per controller."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from conformance.simulation.controller import Controller, Cut, reset
from conformance.simulation.counters import Counters
from conformance.simulation.family import HttpDoor, Request, Response
from conformance.simulation.faults import FaultPlan

MAX_BODY = 16 * 1024 * 1024
_IDLE_SECONDS = 120.0


class HttpController(Controller[Request, Response]):
    """One management address of an array over HTTP(S); see `Controller`."""

    def __init__(
        self,
        door: HttpDoor,
        *,
        name: str,
        host: str,
        port: int,
        faults: FaultPlan,
        counters: Counters,
        latency: Callable[[], float],
        on_failover: Callable[[], None],
        expire: Callable[[], None],
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(
            door.handler,
            name=name,
            faults=faults,
            counters=counters,
            latency=latency,
            on_failover=on_failover,
            expire=expire,
        )
        self.path = door.path
        self._server = _Server((host, port), self, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name=f"controller-{name}", daemon=True)

    @property
    def port(self) -> int:
        """The TCP port that it listens at."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close every connection."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_all()
        self._thread.join(5)

    def cut_all(self) -> None:
        """Cut every open connection, as a controller that dies does."""
        self._server.cut_all()

    def logged(self, request: Request, response: Response | None) -> tuple[str, int | None, str | None]:
        """Return path, HTTP status and vendor's code."""
        return request.path, response.status if response else None, response.code if response else None

    def internal_error(self) -> Response:
        """Answer with status 500."""
        return Response(b"<html>internal error</html>", 500)

    def unavailable(self) -> Response:
        """Answer with status 503."""
        return Response(b"<html>service unavailable</html>", 503)

    def garbage(self) -> Response:
        """Answer with half a JSON document."""
        return Response(b'{"data": {"ID": "1", "NA\x00\xff<html>')

    def expired(self, request: Request) -> Response:
        """End every session; the request meets the family's own answer to that."""
        self.expire()
        return self.handler.handle(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], controller: HttpController, tls: ssl.SSLContext | None) -> None:
        self.controller = controller
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, TLS handshake included, in its own thread."""
        with self._guard:
            self._open.add(request)
        try:
            if self.controller.turns_away():
                raise Cut
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request.settimeout(_IDLE_SECONDS)
            served = request if self._tls is None else self._tls.wrap_socket(request, server_side=True)
            with self._guard:
                self._open.discard(request)
                self._open.add(served)
            request = served
            self.finish_request(request, client_address)
        except (Cut, OSError):
            reset(request)
        finally:
            with self._guard:
                self._open.discard(request)
            self.shutdown_request(request)

    def cut_all(self) -> None:
        """Reset every open connection."""
        with self._guard:
            for connection in tuple(self._open):
                reset(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nobody reads a simulator's standard error; the request log tells what was cut."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server
    methods: ClassVar[tuple[str, ...]] = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_") and name[3:] in self.methods:
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the counters log requests."""

    def version_string(self) -> str:
        """Say nothing of what serves here."""
        return "array"

    def _serve(self) -> None:
        request = self._request()
        if self.server.controller.faults.is_down(self.server.controller.name):
            raise Cut
        response = self.server.controller.answer(request)
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()

    def _request(self) -> Request:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            raise Cut
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        parameters = tuple(parse_qsl(parts.query, keep_blank_values=True))
        return Request(
            method=self.command,
            path=unquote(parts.path),
            query=dict(parameters),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            controller=self.server.controller.name,
            parameters=parameters,
        )
