"""What every kind of management session is made of.

A bounded number of connections, failover between controllers, and a memory for refused logins.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Generic, Protocol, TypeVar

from blockdrivers.deadline import remaining
from blockdrivers.errors import Ambiguous, Busy, LoginRefused, TransportError, Unreachable

REFUSAL_REMEMBERED = 30.0
"""Seconds for which a refused login is not sent again, so that a busy service does not lock its account."""


class NotSent(Exception):
    """The request surely did not reach the array."""


class Lost(Exception):
    """The request was sent, or may have been; there is no answer."""


class Addressed(Protocol):
    """A controller with a management address."""

    @property
    def address(self) -> str:
        """What errors call it."""
        ...


class Closable(Protocol):
    """A connection."""

    def close(self) -> None:
        """End it."""
        ...


ControllerT = TypeVar("ControllerT", bound=Addressed)
ConnectionT = TypeVar("ConnectionT", bound=Closable)
T = TypeVar("T")


class Failover(Generic[ControllerT]):
    """The controllers of one array, the one that is asked at present first; shared by threads."""

    def __init__(self, controllers: Sequence[ControllerT]) -> None:
        self.controllers = tuple(controllers)
        self._guard = threading.Lock()
        self._current = 0

    def anywhere(self, send: Callable[[ControllerT], T], *, changes: bool) -> T:
        """Send to the present controller, and on to the next ones while that surely does no harm.

        Args:
            send: one attempt; raises `NotSent` and `Lost`, and whatever else ends the request.
            changes: whether the request changes the array.

        Raises:
            Ambiguous: a changing request was lost.
            Busy: a read was lost at every controller that could be reached.
            Unreachable: nothing was sent to any.
        """
        problems: list[str] = []
        lost = False
        untried = list(self.controllers)
        while untried:
            # Other threads may turn away meanwhile, and back: each controller gets its one attempt all the same.
            current = self.controllers[self._current]
            controller = next((each for each in untried if each is current), untried[0])
            untried = [each for each in untried if each is not controller]
            try:
                return send(controller)
            except NotSent as error:
                problems.append(f"{controller.address}: {error}")
            except Lost as error:
                problems.append(f"{controller.address}: {error}")
                lost = True
            self._turn_away_from(controller)
            if lost and changes:
                raise Ambiguous(f"The connection died after the request was sent ({problems[-1]}); its outcome is open.")
        if lost:
            raise Busy(f"No controller answered the request ({'; '.join(problems)}).")
        raise Unreachable(f"No management address can be reached ({'; '.join(problems)}); check addresses, network and array.")

    def _turn_away_from(self, controller: ControllerT) -> None:
        with self._guard:
            if self.controllers[self._current] is controller:
                self._current = (self._current + 1) % len(self.controllers)


class Pool(Generic[ConnectionT]):
    """A bounded number of connections, made when they are first needed; who finds none waits until the current deadline."""

    def __init__(self, size: int, new: Callable[[], ConnectionT], name: str) -> None:
        self._new = new
        self._name = name
        self._guard = threading.Lock()
        self._closed = False
        self._idle: queue.LifoQueue[ConnectionT | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    @contextmanager
    def lent(self) -> Iterator[ConnectionT]:
        """Have one connection for oneself for the length of a block; raise `Busy` when none becomes free in time."""
        self.refuse_when_closed()
        try:
            connection = self._idle.get(timeout=remaining(threading.TIMEOUT_MAX))
        except queue.Empty:
            raise Busy("Every connection to the array is in use.", array=self._name) from None
        try:
            self.refuse_when_closed()
            connection = connection or self._new()
            yield connection
        finally:
            self._idle.put(connection)
            if self._closed:
                self.drain()
                # Whoever waits for one is told.
                self._idle.put(None)

    def refuse_when_closed(self) -> None:
        """Raise `TransportError` once the pool is closed."""
        if self._closed:
            raise TransportError("The backend is closed.", array=self._name)

    def shut(self) -> bool:
        """Lend nothing any more; tell whether this call was the first to say so."""
        with self._guard:
            first, self._closed = not self._closed, True
        return first

    def drain(self) -> None:
        """Close what is not lent; the rest closes when it comes back."""
        with suppress(queue.Empty):
            while True:
                idle = self._idle.get_nowait()
                if idle is not None:
                    idle.close()


class Refusals:
    """Remembers that an array refused a login, so that it is not sent again at once by whoever asks next."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._refusal: tuple[float, LoginRefused] | None = None

    def remember(self, refused: LoginRefused) -> None:
        """Keep a refusal for a while."""
        self._refusal = (time.monotonic(), refused)

    def raise_remembered(self) -> None:
        """Raise the refusal that is remembered, if there is one."""
        if self._refusal is None:
            return
        since, refused = self._refusal
        if time.monotonic() - since < REFUSAL_REMEMBERED:
            raise LoginRefused(
                refused.message,
                array=self._name,
                request=refused.request,
                vendor_code=refused.vendor_code,
                vendor_text=refused.vendor_text,
            )
        self._refusal = None


@contextmanager
def alone(guard: threading.Lock, address: str, name: str) -> Iterator[None]:
    """Hold a controller's login; another thread may be logging in just now, and its patience is not ours."""
    if not guard.acquire(timeout=remaining(threading.TIMEOUT_MAX)):
        raise Busy(f"Another thread's login to {address} has not ended.", array=name)
    try:
        yield
    finally:
        guard.release()
