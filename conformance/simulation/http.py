"""The HTTPS front end of a simulated array: real sockets, keep-alive, faults, counters; one per controller."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from conformance.simulation.counters import Counters, Entry
from conformance.simulation.family import Family, Request, Response
from conformance.simulation.faults import Fault, FaultPlan, Kind

MAX_BODY = 16 * 1024 * 1024
_IDLE_SECONDS = 120.0
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""


class _Cut(Exception):
    """The connection ends here, without an answer."""


class Controller:
    """One management address of an array, served by threads until it is stopped."""

    def __init__(
        self,
        family: Family,
        *,
        name: str,
        host: str,
        port: int,
        faults: FaultPlan,
        counters: Counters,
        latency: Callable[[], float],
        tls: ssl.SSLContext | None,
        on_failover: Callable[[], None],
    ) -> None:
        self.name = name
        self._on_failover = on_failover
        self.family = family
        self.faults = faults
        self.counters = counters
        self.latency = latency
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

    def answer(self, request: Request) -> Response:
        """Count a request, let it meet its fault, carry it out; raise `_Cut` where the connection ends instead."""
        operation = self.family.operation(request)
        self.counters.count(operation)
        if self.latency():
            time.sleep(self.latency())
        fault = self.faults.met_by(operation, self.name)
        started = time.monotonic()
        response: Response | None = None
        try:
            response = self.family.handle(request) if fault is None else self._faulty(fault, request)
            return response
        finally:
            self.counters.log(
                Entry(
                    operation,
                    request.path,
                    self.name,
                    response.status if response else None,
                    response.code if response else None,
                    fault.kind if fault else None,
                    round(time.monotonic() - started, 6),
                )
            )

    def _faulty(self, fault: Fault, request: Request) -> Response:
        handlers: dict[Kind, Callable[[], Response]] = {
            Kind.HTTP_500: lambda: Response(b"<html>internal error</html>", 500),
            Kind.HTTP_503: lambda: Response(b"<html>service unavailable</html>", 503),
            Kind.BUSY: lambda: self.family.busy(request),
            Kind.ANSWER: lambda: self.family.refusal(request, fault.code),
            Kind.SESSION_EXPIRED: lambda: self._expired(request),
            Kind.GARBAGE: lambda: self._garbage(fault, request),
            Kind.SLOW: lambda: self._slow(fault, request),
            Kind.FREEZE_AFTER: lambda: self._frozen(fault, request),
        }
        if fault.kind in handlers:
            return handlers[fault.kind]()
        if fault.kind in {Kind.DROP_AFTER, Kind.TIMEOUT_AFTER}:
            self.family.handle(request)
        if fault.kind in {Kind.TIMEOUT_BEFORE, Kind.TIMEOUT_AFTER}:
            fault.released.wait(fault.duration)
        if fault.kind is Kind.FAILOVER:
            self._on_failover()
            self.cut_all()
        raise _Cut

    def _expired(self, request: Request) -> Response:
        self.family.expire_sessions()
        return self.family.handle(request)

    def _garbage(self, fault: Fault, request: Request) -> Response:
        if fault.commit:
            self.family.handle(request)
        return Response(b'{"data": {"ID": "1", "NA\x00\xff<html>')

    def _slow(self, fault: Fault, request: Request) -> Response:
        fault.released.wait(fault.duration)
        return self.family.handle(request)

    def _frozen(self, fault: Fault, request: Request) -> Response:
        response = self.family.handle(request)
        fault.released.wait()
        return response


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], controller: Controller, tls: ssl.SSLContext | None) -> None:
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
            if self.controller.faults.is_down(self.controller.name) or self.controller.faults.refuses():
                raise _Cut
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request.settimeout(_IDLE_SECONDS)
            served = request if self._tls is None else self._tls.wrap_socket(request, server_side=True)
            with self._guard:
                self._open.discard(request)
                self._open.add(served)
            request = served
            self.finish_request(request, client_address)
        except (_Cut, OSError):
            _reset(request)
        finally:
            with self._guard:
                self._open.discard(request)
            self.shutdown_request(request)

    def cut_all(self) -> None:
        """Reset every open connection."""
        with self._guard:
            for connection in tuple(self._open):
                _reset(connection)

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
            raise _Cut
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
            raise _Cut
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        return Request(
            method=self.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            controller=self.server.controller.name,
        )


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
