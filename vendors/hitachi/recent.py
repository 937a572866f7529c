"""What `Backend` has read for the operation under way: it reads, and calls the driver with what it has read at once."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")

_SECONDS = 1.0
_KEPT = 256


class Recent(Generic[T]):
    """Answers that are used once, within a moment; shared by threads. No more than `kept` of them are held."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._guard = threading.Lock()
        self._read: dict[str, tuple[float, T]] = {}

    def keep(self, name: str, found: T) -> None:
        """Keep what was read just now."""
        with self._guard:
            self._read.pop(name, None)
            self._read[name] = (time.monotonic(), found)
            if len(self._read) > self._kept:
                del self._read[next(iter(self._read))]

    def drop(self, name: str) -> None:
        """Drop what was read: it is changed."""
        with self._guard:
            self._read.pop(name, None)

    def take(self, name: str) -> T | None:
        """Return, once, what was read a moment before; None where it was not, or longer ago."""
        with self._guard:
            read_at, found = self._read.pop(name, (0.0, None))
        return found if time.monotonic() - read_at < _SECONDS else None
