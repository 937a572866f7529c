"""One run of the suite: the backend under test and what all its checks share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from blockdrivers.backend import Backend
from blockdrivers.driver import Capabilities
from blockdrivers.model import Pool
from conformance.suite import cleaning, ids, state
from conformance.suite.control import Control
from conformance.suite.nursery import Nursery
from conformance.suite.settings import Settings
from conformance.target import Target

T = TypeVar("T")


class Run:
    """What one run is about; opened lazily, so that a broken target fails checks and not the collection."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.prefix = ids.run_prefix()
        self._nursery: Nursery | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._baseline: state.State | None = None
        self._first: dict[str, int] = {}
        self._made: dict[str, object] = {}
        self.uncleaned: set[str] = set()
        """Ids that a check could not clean up after, for the next one to try: an array that lists nothing does not show them."""

    @property
    def target(self) -> Target:
        """What is tested."""
        return self.settings.target

    @cached_property
    def backend(self) -> Backend:
        """The backend that most checks use, on an array from which an earlier run's remains have been removed."""
        backend = self.settings.open()
        cleaning.Cleaner(backend, self.settings, ids.is_suites_own).clean(thorough=self.control is not None)
        return backend

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the array declares."""
        return self.backend.capabilities

    @cached_property
    def control(self) -> Control | None:
        """The simulator's control API, or None for a real array."""
        return Control(self.target.control) if self.target.control else None

    @property
    def nursery(self) -> Nursery:
        """Where child processes come from."""
        if self._nursery is None:
            self._nursery = Nursery(self.settings)
        return self._nursery

    @property
    def folder(self) -> Path:
        """A private folder for configuration files that checks write."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="conformance-")
        return Path(self._folder.name)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returned the first time in this run that something of that name was asked for."""
        if name not in self._made:
            self._made[name] = make()
        return cast("T", self._made[name])

    def pool(self, name: str) -> Pool:
        """Return a pool as it is now."""
        return next(pool for pool in self.backend.pools() if pool.name == name)

    def tells_provisioned(self) -> bool:
        """Tell whether the tested pool reports what it has promised."""
        return self.pool(self.target.pool).provisioned_bytes is not None

    def new_leftovers(self) -> list[str]:
        """Return what the array's inside holds more or less than when the run began; a difference is told only once."""
        if self.control is None:
            return []
        found = state.normalised(self.control.state())
        before, self._baseline = self._baseline, found
        return [] if before is None else state.differences(before, found)

    def grown(self) -> dict[str, int]:
        """Return how many volumes and snapshots more there are inside a simulated array than when the run began."""
        now = self._counts()
        return {kind: number - self._first.get(kind, 0) for kind, number in now.items()}

    def _counts(self) -> dict[str, int]:
        if self.control is None:
            return {}
        state = self.control.state()
        return {kind: len(state.get(kind, ())) for kind in ("volumes", "snapshots")}

    def begin(self) -> None:
        """Open the array and remember what it holds, if that has not been done."""
        if "backend" not in self.__dict__:
            _ = self.backend
            self.new_leftovers()
            self._first = self._counts()

    def close(self) -> None:
        """End child processes and sessions."""
        if self._nursery is not None:
            self._nursery.close()
        if "backend" in self.__dict__:
            self.backend.close()
        if self._folder is not None:
            self._folder.cleanup()
