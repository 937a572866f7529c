"""Named locks for the few operations that an array cannot be raced through safely.

One lock guards one object's many-step operation (a clone's target, a migrating volume), never a whole array. In-process locks
are the default; where several machines drive one array, give `Backend` locks of a `tooz` coordinator (etcd, Redis, files).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from blockdrivers.deadline import remaining
from blockdrivers.errors import Busy


class LockProvider(Protocol):
    """Gives out named locks."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold the lock of that name for a block; wait for it no longer than the current deadline, then raise `Busy`."""
        ...


class InProcessLocks:
    """Locks shared by the threads of this process; a name that nobody holds costs nothing."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of that name; raise `Busy` when the deadline passes first."""
        lock = self._enter(name)
        try:
            if not lock.acquire(timeout=remaining(threading.TIMEOUT_MAX)):
                raise Busy(f"Another thread is still working on {name}.")
            try:
                yield
            finally:
                lock.release()
        finally:
            self._leave(name)

    def _enter(self, name: str) -> threading.Lock:
        with self._guard:
            lock, users = self._held.get(name, (threading.Lock(), 0))
            self._held[name] = (lock, users + 1)
            return lock

    def _leave(self, name: str) -> None:
        with self._guard:
            lock, users = self._held[name]
            if users == 1:
                del self._held[name]
            else:
                self._held[name] = (lock, users - 1)


class ToozLocks:
    """Locks of a started `tooz` coordinator, shared by every process that joins it."""

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of that name; raise `Busy` when the deadline passes first."""
        lock = self._coordinator.get_lock(name.encode())
        if not lock.acquire(blocking=remaining(threading.TIMEOUT_MAX)):
            raise Busy(f"Another process is still working on {name}.")
        try:
            yield
        finally:
            lock.release()
