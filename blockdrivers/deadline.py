"""One deadline per operation, known to everything that the operation calls.

`Backend` opens a deadline around each operation; transports take their time-outs from it and drivers wait through
`wait_until`, the only place in the library that sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from blockdrivers.errors import DeadlineExceeded

T = TypeVar("T")

_current: ContextVar[Deadline | None] = ContextVar("blockdrivers_deadline", default=None)


class Deadline:
    """A point in time by which an operation has to end, and what is known of it so far."""

    def __init__(self, seconds: float, operation: str) -> None:
        self.seconds = seconds
        self.operation = operation
        self.known = "nothing was confirmed by the array yet"
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left; negative once it has passed."""
        return self._end - time.monotonic()

    def exceeded(self, cause: str = "") -> DeadlineExceeded:
        """Return the error that says so, with what is known of the state."""
        reason = f" {cause}" if cause else ""
        return DeadlineExceeded(
            f"{self.operation} did not end within {self.seconds:g} s: {self.known.rstrip('.')}.{reason} Ask again to continue."
        )


@contextmanager
def deadline(seconds: float, operation: str) -> Iterator[Deadline]:
    """Open a deadline for the enclosed block; an enclosing, earlier one still holds."""
    outer = _current.get()
    inner = Deadline(seconds if outer is None else min(seconds, outer.remaining), operation)
    token = _current.set(inner)
    try:
        yield inner
    finally:
        _current.reset(token)


@contextmanager
def apart(seconds: float, operation: str) -> Iterator[Deadline]:
    """Open a deadline that no enclosing one shortens: for tidying up after one that has passed."""
    token = _current.set(None)
    try:
        with deadline(seconds, operation) as own:
            yield own
    finally:
        _current.reset(token)


def remaining(default: float) -> float:
    """Return the seconds left for the current operation, at most `default`; raise `DeadlineExceeded` when none are."""
    current = _current.get()
    if current is None:
        return default
    left = current.remaining
    if left <= 0:
        raise current.exceeded()
    return min(default, left)


def note(known: str) -> None:
    """Record what is known of the state now, for the error of a deadline that passes."""
    current = _current.get()
    if current is not None:
        current.known = known


def pause(seconds: float, cause: str) -> None:
    """Sleep, or raise `DeadlineExceeded` at once where the deadline would pass meanwhile."""
    current = _current.get()
    if current is not None and current.remaining <= seconds:
        raise current.exceeded(cause)
    time.sleep(seconds)


def wait_until(
    probe: Callable[[], T | None],
    *,
    what: str,
    first: float = 0.05,
    longest: float = 5.0,
    delay: float = 0.0,
    expected: Callable[[], float | None] = lambda: None,
) -> T:
    """Call `probe` until it returns something, with growing pauses, within the current deadline.

    Args:
        probe: returns None while the array is still at it; raises when the wait is hopeless.
        what: what is waited for, as in "LUN copy 7 to complete".
        first: seconds before the second call; each later pause is 1.6 times as long.
        longest: the longest pause in seconds.
        delay: seconds before the first call, for what surely takes that long.
        expected: returns how many seconds it will still take, as far as what was probed tells: the next pause is that long then,
            within the other two.

    Raises:
        DeadlineExceeded: the current deadline passed; it says what was waited for.
    """
    interval = first
    if delay:
        pause(delay, f"Waiting for {what}.")
    while (found := probe()) is None:
        left = expected()
        pause(interval if left is None else min(max(left, first), longest), f"Waiting for {what}.")
        interval = min(interval * 1.6, longest)
    return found
