"""Waiting in tests: for a state instead of for a while, on machines that may be slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from blockdrivers.errors import DeadlineExceeded

T = TypeVar("T")


class Clock:
    """The time of a simulated array: it goes on by itself, and at once by as much as a test says."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


def until(probe: Callable[[], T], seconds: float = 60.0) -> T:
    """Call what is asked until it answers something true, and return that."""
    ending = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < ending, f"waited {seconds:g} s in vain"
        time.sleep(0.01)
    return found


def out_of_time(
    call: Callable[[float], object],
    reached: Callable[[str], object],
    errors: type[Exception] | tuple[type[Exception], ...] = DeadlineExceeded,
) -> None:
    """Let a call run out of time when it has come far enough.

    On a busy machine the time may be up before anything has begun: the call is repeated then, with more.

    Args:
        call: is given the seconds that it has.
        reached: is given what the call was told, and says whether that was far enough.
        errors: what a call that runs out of time may raise.
    """
    for seconds in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0):
        with pytest.raises(errors) as cut:
            call(seconds)
        if reached(str(cut.value)):
            return
    pytest.fail(f"has not come far enough: {cut.value}")
