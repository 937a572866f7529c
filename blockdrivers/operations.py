"""How every operation of `Backend` runs: recorded, bounded in time, asked again where that is safe, under array-side names."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from blockdrivers import checks, deadline, naming, reconcile
from blockdrivers.deadline import Deadline
from blockdrivers.driver import Capabilities, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import BlockDriversError, InvalidRequest, NotFound
from blockdrivers.locks import InProcessLocks, LockProvider
from blockdrivers.model import Snapshot, SnapshotRef, Volume, VolumeRef
from blockdrivers.naming import Kind, Label
from blockdrivers.references import References

T = TypeVar("T")

# By this name operations are known to whoever filters logs: they are the backend's, wherever they are written.
_log = logging.getLogger("blockdrivers.backend")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an operation may take, in seconds, where the call does not say otherwise."""

    default: float = 120.0
    copy: float = 86_400.0
    """Clones, reverts and migrations: as long as the array copies."""
    unreachable: float = 10.0
    """How long an array that cannot be reached is asked again before anything has been sent."""


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One operation that ended, for whoever observes a backend."""

    backend: str
    operation: str
    subject: str
    seconds: float
    error: BaseException | None = None


class Operations:
    """What `Backend` builds its operations from; see there for the arguments."""

    def __init__(
        self,
        driver: Driver,
        name: str = "array",
        *,
        timeouts: Timeouts | None = None,
        locks: LockProvider | None = None,
        observer: Callable[[OperationRecord], None] | None = None,
    ) -> None:
        self.name = name
        self._driver = driver
        self._timeouts = timeouts or Timeouts()
        self._locks = locks or InProcessLocks()
        self._observer = observer
        self._references = References()
        self._patience = reconcile.Patience(self._references.clear, self._timeouts.unreachable)

    # How every operation runs

    @contextmanager
    def _operation(self, operation: str, subject: str, timeout: float | None, *, copying: bool = False) -> Iterator[Deadline]:
        default = self._timeouts.copy if copying else self._timeouts.default
        started = time.monotonic()
        error: BaseException | None = None
        try:
            with deadline.deadline(default if timeout is None else timeout, f"{operation} {subject}") as current:
                yield current
        except BlockDriversError as raised:
            raised.array = raised.array or self.name
            error = raised
            raise
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._record(OperationRecord(self.name, operation, subject, time.monotonic() - started, error))

    def _record(self, record: OperationRecord) -> None:
        outcome = "ok" if record.error is None else type(record.error).__name__
        _log.info(
            "%s %s: %s in %.3f s",
            record.operation,
            record.subject,
            outcome,
            record.seconds,
            extra={
                "backend": record.backend,
                "operation": record.operation,
                "subject": record.subject,
                "outcome": outcome,
                "seconds": round(record.seconds, 6),
            },
        )
        if self._observer is not None:
            self._observer(record)

    def _persist(self, step: Callable[[], T]) -> T:
        return reconcile.persist(step, self._patience)

    # Names and specifications

    def _driver_capabilities(self) -> Capabilities:
        return self._persist(lambda: self._driver.capabilities)

    def _volume_spec(self, volume_id: str, size: int, pool: str, thin: bool) -> VolumeSpec:
        name = self._volume_name(volume_id)
        description = Label(id=volume_id).encode(self._driver_capabilities().description_bytes)
        return VolumeSpec(name, size, pool, thin, description)

    def _clone_spec(
        self, volume_id: str, source: Volume | Snapshot, size: int | None, pool: str, thin: bool | None
    ) -> VolumeSpec:
        name, capabilities = self._volume_name(volume_id), self._driver_capabilities()
        wanted = source.size if size is None else size
        if wanted is None:
            raise InvalidRequest(f"This array does not tell how large {source.name!r} is; say the size of the new volume.")
        checks.size(wanted, capabilities)
        checks.holds(wanted, source)
        label = Label(id=volume_id, source=source.name)
        return VolumeSpec(
            name,
            wanted,
            pool,
            checks.provisioning(thin, capabilities, pool),
            label.encode(capabilities.description_bytes),
            replace(label, copying=True).encode(capabilities.description_bytes),
            source.size,
        )

    def _snapshot_spec(self, snapshot_id: str, volume_id: str) -> SnapshotSpec:
        name, source = self._snapshot_name(snapshot_id, volume_id), VolumeRef(self._volume_name(volume_id))
        description = Label(id=snapshot_id).encode(self._driver_capabilities().description_bytes)
        return SnapshotSpec(source, name, description)

    def _source(self, identifier: str, *, snapshot: bool) -> Source:
        if snapshot:
            return SnapshotRef(self._snapshot_name(identifier))
        return self._references.of(self._volume_name(identifier))

    def _volume_name(self, volume_id: str) -> str:
        naming.check_id(volume_id, "volume")
        return naming.array_name(Kind.VOLUME, volume_id, self._driver_capabilities().names.volume)

    def _snapshot_name(self, snapshot_id: str, of_volume: str | None = None) -> str:
        naming.check_id(snapshot_id, "snapshot")
        capabilities = self._driver_capabilities()
        if capabilities.find_snapshots:
            return naming.array_name(Kind.SNAPSHOT, snapshot_id, capabilities.names.snapshot)
        if of_volume is None:
            raise InvalidRequest(f"This array cannot look up snapshot {snapshot_id!r}; say of which volume it is (of_volume).")
        naming.check_id(of_volume, "volume")
        # No id holds a NUL, so no two pairs are spelled alike.
        return naming.array_name(Kind.SNAPSHOT, f"{of_volume}\0{snapshot_id}", capabilities.names.snapshot)

    def _host_name(self, name: str) -> str:
        naming.check_id(name, "host")
        return naming.array_name(Kind.HOST, name, self._driver_capabilities().names.host)

    def _temporary_name(self, volume_id: str) -> str:
        names = self._driver_capabilities().names
        return naming.array_name(Kind.TEMPORARY, volume_id, min(names.volume, names.snapshot))

    def _lock_name(self, name: str) -> str:
        return f"blockdrivers/{self.name}/{name}"


@contextmanager
def absent_is_done() -> Iterator[None]:
    """Take what is absent for what has been removed."""
    try:
        yield
    except NotFound as gone:
        _log.debug("nothing to remove: %s", gone)
