"""What was asked of a simulated array: counters by operation, and a bounded log."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_LOGGED = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One management request; never its body, which may hold secrets."""

    operation: str
    path: str
    controller: str
    status: int | None
    """None where no answer was sent."""
    code: str | None
    fault: str | None
    seconds: float


class Counters:
    """Counts and logs requests."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._log: deque[Entry] = deque(maxlen=_LOGGED)

    def count(self, operation: str) -> None:
        """Count a request when it has been read."""
        with self._guard:
            self._counts[operation] += 1

    def log(self, entry: Entry) -> None:
        """Log a request when it has been answered, or not."""
        with self._guard:
            self._log.append(entry)

    def as_dict(self) -> Mapping[str, Any]:
        """Return ``{"requests": total, "by_operation": {...}}``."""
        with self._guard:
            return {"requests": self._counts.total(), "by_operation": dict(sorted(self._counts.items()))}

    def entries(self) -> Sequence[Mapping[str, Any]]:
        """Return the log, oldest first."""
        with self._guard:
            return [asdict(entry) for entry in self._log]

    def clear(self) -> None:
        """Begin to count and log anew."""
        with self._guard:
            self._counts.clear()
            self._log.clear()
