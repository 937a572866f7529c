"""How long the parts of an attachment took."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


class Parts:
    """Adds up the seconds of named parts."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)

    @property
    def host(self) -> AbstractContextManager[None]:
        """Time a block of connecting."""
        return self.of("host")

    @property
    def identity(self) -> AbstractContextManager[None]:
        """Time a block of finding and proving devices."""
        return self.of("identity")

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent on each part so far."""
        return dict(self._spent)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Time a block as that part."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._spent[name] += time.monotonic() - started
