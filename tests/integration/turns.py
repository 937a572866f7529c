"""Calls that take turns at their steps, in the order that a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import pytest

from blockdrivers import deadline

MOST_STEPS = 1000


class Turns:
    """Lets callers take one step each, in the order that a test wants."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: set[str] = set()
        self._ended: set[str] = set()
        self._may: dict[str, int] = {}

    def step(self, caller: str) -> None:
        """Wait for the next turn; callers that do not take turns are let through."""
        with self._changed:
            if caller not in self._may:
                return
            self._waiting.add(caller)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._may.get(caller, 1) > 0, 60)
            self._waiting.discard(caller)
            self._may[caller] = self._may.get(caller, 1) - 1

    def begin(self, caller: str, call: Callable[[], None]) -> threading.Thread:
        self._may[caller] = 0

        def run() -> None:
            try:
                call()
            finally:
                with self._changed:
                    self._ended.add(caller)
                    self._changed.notify_all()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def let(self, caller: str, steps: int) -> bool:
        """Let a caller take so many steps; return whether it has ended."""
        for _ in range(steps):
            with self._changed:
                assert self._changed.wait_for(lambda: caller in self._waiting | self._ended, 60)
                if caller in self._ended:
                    return True
                self._waiting.discard(caller)
                self._may[caller] += 1
                self._changed.notify_all()
        with self._changed:
            assert self._changed.wait_for(lambda: caller in self._waiting | self._ended, 60)
            return caller in self._ended

    def take(self, calls: Mapping[str, Callable[[], None]], choose: Callable[[int, Sequence[int]], int]) -> None:
        """Let the calls of these callers come to their ends; `choose` says whose step of those that have not ended the next one is."""
        callers = list(calls)
        threads = [self.begin(caller, call) for caller, call in calls.items()]
        waiting = [number for number, caller in enumerate(callers) if not self.let(caller, 0)]
        for step in count():
            if not waiting:
                break
            assert step < MOST_STEPS, "the calls do not end"
            number = choose(step, waiting)
            if self.let(callers[number], 1):
                waiting.remove(number)
        for thread in threads:
            thread.join(60)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses between attempts be short."""
    real = deadline.time.sleep
    monkeypatch.setattr(deadline.time, "sleep", lambda seconds: real(min(seconds, 0.001)))
