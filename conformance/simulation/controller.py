"""One controller of a simulated array behind one of its doors: every request is counted, delayed, disturbed, done and logged."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from conformance.simulation.counters import Counters, Entry
from conformance.simulation.family import Handler
from conformance.simulation.faults import Fault, FaultPlan, Kind

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Cut(Exception):
    """The connection ends here, without an answer."""


class Controller(ABC, Generic[RequestT, ResponseT]):
    """One management address of an array; a front end serves it until it is stopped.

    Args:
        handler: what carries requests out.
        name: ``A`` or ``B``.
        faults, counters: of the array.
        latency: seconds that every request takes longer.
        on_failover: called when a fault has taken a controller; cuts its connections at whatever door.
        expire: ends every management session of the array.
    """

    def __init__(
        self,
        handler: Handler[RequestT, ResponseT],
        *,
        name: str,
        faults: FaultPlan,
        counters: Counters,
        latency: Callable[[], float],
        on_failover: Callable[[], None],
        expire: Callable[[], None],
    ) -> None:
        self.name = name
        self.handler = handler
        self.faults = faults
        self.counters = counters
        self.latency = latency
        self.expire = expire
        self._on_failover = on_failover

    @property
    @abstractmethod
    def port(self) -> int:
        """The TCP port that it listens at."""

    @abstractmethod
    def start(self) -> None:
        """Begin to serve."""

    @abstractmethod
    def stop(self) -> None:
        """Stop serving and close every connection."""

    @abstractmethod
    def cut_all(self) -> None:
        """Cut every open connection, as a controller that dies does."""

    def turns_away(self) -> bool:
        """Count a new connection and tell whether it is cut before anything is read."""
        return self.faults.is_down(self.name) or self.faults.refuses()

    def answer(self, request: RequestT) -> ResponseT:
        """Count a request, let it meet its fault, carry it out; raise `Cut` where the connection ends instead."""
        operation = self.handler.operation(request)
        self.counters.count(operation)
        if self.latency():
            time.sleep(self.latency())
        fault = self.faults.met_by(operation, self.name)
        started = time.monotonic()
        response: ResponseT | None = None
        try:
            response = self.handler.handle(request) if fault is None else self._faulty(fault, request)
            return response
        finally:
            path, status, code = self.logged(request, response)
            kind = fault.kind if fault else None
            self.counters.log(Entry(operation, path, self.name, status, code, kind, round(time.monotonic() - started, 6)))

    # What each front end says in its own way

    @abstractmethod
    def logged(self, request: RequestT, response: ResponseT | None) -> tuple[str, int | None, str | None]:
        """Return path, status and vendor's code for the log; never a secret. No response is None."""

    @abstractmethod
    def internal_error(self) -> ResponseT:
        """Answer as management whose inside has failed."""

    @abstractmethod
    def unavailable(self) -> ResponseT:
        """Answer as management that is not ready, or raise `Cut`."""

    @abstractmethod
    def garbage(self) -> ResponseT:
        """Answer a success that nobody can read."""

    @abstractmethod
    def expired(self, request: RequestT) -> ResponseT:
        """End every management session, and let the request meet that."""

    # Faults

    def _faulty(self, fault: Fault, request: RequestT) -> ResponseT:
        handlers: dict[Kind, Callable[[], ResponseT]] = {
            Kind.HTTP_500: self.internal_error,
            Kind.HTTP_503: self.unavailable,
            Kind.BUSY: lambda: self.handler.busy(request),
            Kind.ANSWER: lambda: self.handler.refusal(request, fault.code),
            Kind.SESSION_EXPIRED: lambda: self.expired(request),
            Kind.GARBAGE: lambda: self._garbage(fault, request),
            Kind.SLOW: lambda: self._slow(fault, request),
            Kind.FREEZE_AFTER: lambda: self._frozen(fault, request),
        }
        if fault.kind in handlers:
            return handlers[fault.kind]()
        if fault.kind in {Kind.DROP_AFTER, Kind.TIMEOUT_AFTER}:
            self.handler.handle(request)
        if fault.kind in {Kind.TIMEOUT_BEFORE, Kind.TIMEOUT_AFTER}:
            fault.released.wait(fault.duration)
        if fault.kind is Kind.FAILOVER:
            self._on_failover()
        raise Cut

    def _garbage(self, fault: Fault, request: RequestT) -> ResponseT:
        if fault.commit:
            self.handler.handle(request)
        return self.garbage()

    def _slow(self, fault: Fault, request: RequestT) -> ResponseT:
        fault.released.wait(fault.duration)
        return self.handler.handle(request)

    def _frozen(self, fault: Fault, request: RequestT) -> ResponseT:
        response = self.handler.handle(request)
        fault.released.wait()
        return response


def reset(connection: socket.socket) -> None:
    """End a connection with a reset, whoever waits at it."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
