"""What callers use: a driver made safe.

Every operation of `Backend` is idempotent by the caller's id, bounded in time, and safe to repeat after any failure, crash or
kill, from any process. Nothing is kept but on the array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

from blockdrivers import checks, compare, naming, reconcile
from blockdrivers.attachments import Attachments
from blockdrivers.driver import Capabilities, Driver, Source, VolumeSpec
from blockdrivers.errors import InUse, NotFound
from blockdrivers.imagecopies import ImageCopies
from blockdrivers.model import (
    Dependant,
    InitiatorFacts,
    Leftover,
    Pool,
    Port,
    Qos,
    Replication,
    Snapshot,
    SystemFacts,
    Volume,
    VolumeRef,
    VolumeState,
)
from blockdrivers.naming import Kind, Label
from blockdrivers.operations import absent_is_done
from blockdrivers.snapshots import Snapshots
from blockdrivers.takeovers import Takeovers


class Backend(Attachments, Snapshots, Takeovers, ImageCopies):
    """One array, driven through one driver; instances are shared by threads and closed after use.

    Args:
        driver: the adapter's driver; the backend owns and closes it.
        name: what logs, errors and records call this array.
        timeouts: default deadlines.
        locks: where many-step operations on one object are serialised; in-process by default.
        observer: called with an `OperationRecord` after each operation; must not raise.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every management session of this backend."""
        self._driver.close()

    # The array

    @property
    def driver(self) -> Driver:
        """The driver underneath, for tools that report on it."""
        return self._driver

    @property
    def capabilities(self) -> Capabilities:
        """What the array can do."""
        with self._operation("capabilities", self.name, None):
            return self._persist(lambda: self._driver.capabilities)

    def system(self, *, timeout: float | None = None) -> SystemFacts:
        """Return the array's facts and health, as they are now."""
        with self._operation("system", self.name, timeout):
            return self._persist(self._driver.system)

    def licences(self, *, timeout: float | None = None) -> Mapping[str, bool]:
        """Return feature name -> usable; empty where the array does not tell."""
        with self._operation("licences", self.name, timeout):
            return self._persist(self._driver.licences)

    def pools(self, *, timeout: float | None = None) -> Sequence[Pool]:
        """Return every pool that can hold volumes, with its capacity in bytes, as it is now."""
        with self._operation("pools", self.name, timeout):
            return self._persist(self._driver.pools)

    def ports(self, *, timeout: float | None = None) -> Sequence[Port]:
        """Return the target ports of the array."""
        with self._operation("ports", self.name, timeout):
            return self._persist(self._driver.ports)

    def initiators(self, *, timeout: float | None = None) -> Sequence[InitiatorFacts]:
        """Return the initiators that the array knows or sees."""
        with self._operation("initiators", self.name, timeout):
            return self._persist(self._driver.initiators)

    # Volumes

    def create_volume(
        self,
        volume_id: str,
        size: int,
        pool: str,
        *,
        thin: bool | None = None,
        qos: Qos | None = None,
        timeout: float | None = None,
    ) -> Volume:
        """Make an empty volume of `size` bytes, or return the one that an earlier call made.

        Args:
            volume_id: the caller's id, 1 to 128 printable characters of any script.
            size: bytes; 1 GiB to 64 TiB, a multiple of the array's step.
            pool: name of the pool.
            thin: None takes thin where the array has it.
            qos: limits to put on it; a volume found without any gets them too.
            timeout: seconds; the backend's default where None.

        Raises:
            AlreadyExists: that id names a volume with another size, pool, provisioning, source or QoS; the error says which.
            InvalidRequest, OutOfSpace, LimitReached, DeadlineExceeded, ...: see `blockdrivers.errors`.
        """
        with self._operation("create_volume", volume_id, timeout):
            capabilities = self._driver_capabilities()
            checks.size(size, capabilities)
            if qos:
                checks.qos(qos, capabilities)
            spec = self._volume_spec(volume_id, size, pool, checks.provisioning(thin, capabilities, pool))
            made: list[Volume] = []

            def make() -> Volume:
                made.append(self._driver.create_volume(spec))
                return made[-1]

            volume = self._make_volume(make, spec, Label(id=volume_id), volume_id)
            if qos:
                self._apply_qos(volume_id, volume, qos, told=bool(made) or checks.tells_qos(capabilities))
            return self._known(volume, volume_id)

    def get_volume(self, volume_id: str, *, timeout: float | None = None) -> Volume:
        """Return a volume as it is now, or raise `NotFound`."""
        with self._operation("get_volume", volume_id, timeout):
            return self._persist(lambda: self._read_volume(volume_id))

    def list_volumes(self, *, foreign: bool = False, timeout: float | None = None) -> Sequence[Volume]:
        """Return this library's volumes, read page by page; with `foreign`, everybody's.

        `Volume.volume_id` is None for a foreign volume, and for one whose id is too long for both name and description.
        """
        with self._operation("list_volumes", self.name, timeout):
            checks.supported(self._driver_capabilities().list_objects, "list volumes")
            return [
                replace(volume, volume_id=naming.identifier_of(volume.name, volume.description))
                for volume in self._persist(lambda: list(self._driver.list_volumes()))
                if foreign or naming.kind_of(volume.name) is Kind.VOLUME
            ]

    def extend_volume(self, volume_id: str, size: int, *, timeout: float | None = None) -> Volume:
        """Grow a volume to `size` bytes in all, on line; a volume of that size already is returned as it is.

        Raises `InvalidRequest` for a smaller size, `NotFound` for an absent volume.
        """
        with self._operation("extend_volume", volume_id, timeout):
            capabilities = self._driver_capabilities()
            checks.size(size, capabilities)

            def grow() -> Volume:
                volume = self._look_up_volume(volume_id)
                checks.growth(volume, size, capabilities)
                if volume.size < size:
                    self._driver.extend_volume(volume, size)
                return replace(volume, size=size)

            if not capabilities.relative_extend:
                return self._persist(grow)
            with self._locks.lock(self._lock_name(self._volume_name(volume_id))):
                return self._persist(grow)

    def delete_volume(self, volume_id: str, *, force: bool = False, timeout: float | None = None) -> None:
        """Delete a volume; one that is absent counts as deleted.

        Args:
            volume_id: the caller's id.
            force: take it away from every host first. Snapshots are never deleted with it.
            timeout: seconds.

        Raises:
            InUse: it has snapshots, copies or replication, or is exported (without `force`). Nothing was changed; an array that does
                not tell its exports (capability ``list_exports``) is asked to delete it, and refuses, or not.
        """
        with self._operation("delete_volume", volume_id, timeout):
            blind = not self._driver_capabilities().list_exports
            self._persist(lambda: (self._delete_unseen if blind else self._delete_volume)(volume_id, force=force))
            self._references.forget(self._volume_name(volume_id))

    def clone_volume(
        self,
        volume_id: str,
        source_id: str,
        *,
        size: int | None = None,
        pool: str | None = None,
        thin: bool | None = None,
        timeout: float | None = None,
    ) -> Volume:
        """Make an independent volume with the bytes that another has now; return it when all are there.

        Size, pool and provisioning are the source's where None; a larger size leaves the rest empty. A repeat after a cut-off
        call completes it: then the bytes are of the first or of the second call's moment.

        Raises `NotFound` (the source), `AlreadyExists`, `InvalidRequest` (smaller than the source), ...
        """
        with self._operation("clone_volume", volume_id, timeout, copying=True):
            source = self._persist(lambda: self._look_up_volume(source_id))
            checks.complete(source)
            by_pool = self._driver_capabilities().thin_pools is not None
            wanted = source.thin if thin is None and not by_pool else thin
            spec = self._clone_spec(volume_id, source, size, pool or source.pool, wanted)
            return self._clone(volume_id, source.ref, spec)

    def create_volume_from_snapshot(
        self,
        volume_id: str,
        snapshot_id: str,
        *,
        size: int | None = None,
        pool: str,
        thin: bool | None = None,
        of_volume: str | None = None,
        timeout: float | None = None,
    ) -> Volume:
        """Make an independent volume with the bytes of a snapshot; return it when all are there. See `clone_volume`.

        `of_volume` is the id of the snapshot's volume, needed where the array cannot look snapshots up (capability
        ``find_snapshots``); size and least size are the volume's there.
        """
        with self._operation("create_volume_from_snapshot", volume_id, timeout, copying=True):

            def look(read: Callable[[str], Snapshot]) -> Snapshot:
                snapshot = self._persist(lambda: self._checked_snapshot(read, snapshot_id, of_volume, exact=True))
                checks.taken(snapshot)
                if snapshot.size is None and of_volume is not None:
                    source = self._persist(lambda: self._look_up_volume(of_volume))
                    checks.complete(source)
                    snapshot = replace(snapshot, size=source.size)
                return snapshot

            def make(snapshot: Snapshot) -> Volume:
                return self._clone(volume_id, snapshot.ref, self._clone_spec(volume_id, snapshot, size, pool, thin))

            if of_volume is None:
                recalled = look(self._driver.recall_snapshot)
                # It may have gone, or be another one by now.
                with suppress(NotFound):
                    return make(recalled)
            return make(look(self._driver.look_up_snapshot))

    # QoS, replication, moves

    def set_qos(self, volume_id: str, qos: Qos | None, *, timeout: float | None = None) -> None:
        """Put exactly these limits on a volume; None or an empty `Qos` takes them away."""
        with self._operation("set_qos", volume_id, timeout):
            wanted = qos or Qos()
            checks.qos(wanted, self._driver_capabilities())

            def apply() -> None:
                volume = self._look_up_volume(volume_id)
                self._driver.set_qos(volume, wanted, volume.name)

            self._persist(apply)

    def get_qos(self, volume_id: str, *, timeout: float | None = None) -> Qos:
        """Return the limits on a volume; an empty `Qos` where there are none."""
        with self._operation("get_qos", volume_id, timeout):
            checks.supported(self._driver_capabilities().qos is not None, "limit a volume's throughput")
            return self._persist(lambda: self._driver.get_qos(self._look_up_volume(volume_id)))

    def replications(self, volume_id: str, *, timeout: float | None = None) -> Sequence[Replication]:
        """Return a volume's copies on other arrays and how they stand; none where it is not replicated."""
        with self._operation("replications", volume_id, timeout):
            checks.supported(self._driver_capabilities().replication, "tell a volume's copies on other arrays")
            return self._persist(lambda: self._driver.replications(self._look_up_volume(volume_id)))

    def retype_volume(
        self, volume_id: str, *, pool: str | None = None, thin: bool | None = None, timeout: float | None = None
    ) -> Volume:
        """Move a volume to another pool or provisioning, on line; its WWN and exports stay. Return when it has moved.

        Raises `InUse` where its snapshots would stay behind, or a host uses it that the array cannot move it under (without the
        capability ``migrate_in_use``), `InvalidRequest` for a pool that is not there.
        """
        with self._operation("retype_volume", volume_id, timeout, copying=True):
            capabilities = self._driver_capabilities()
            checks.supported(capabilities.migrate, "move a volume")
            if thin is not None and capabilities.thin_pools is None:
                checks.provisioning(thin, capabilities, "")

            def move() -> Volume:
                volume = self._look_up_volume(volume_id)
                target, wanted = pool or volume.pool, volume.thin if thin is None else thin
                if capabilities.thin_pools is not None:
                    wanted = checks.provisioning(thin, capabilities, target)
                spec = self._volume_spec(volume_id, volume.size, target, wanted)
                checks.movable(volume, target, capabilities)
                return self._driver.migrate_volume(volume, spec, self._temporary_name(volume_id))

            name = self._volume_name(volume_id)
            with self._locks.lock(self._lock_name(name)), self._alone_as_source(name):
                return self._known(self._persist(move), volume_id)

    # Leftovers

    def sweep(self, *, remove: bool = False, timeout: float | None = None) -> Sequence[Leftover]:
        """List what abandoned operations left on the array, and with `remove` remove it.

        An array cannot tell an abandoned operation from one that another process is in the middle of: remove only while no
        other process works on this array. Only objects that this library named are ever touched.
        """
        with self._operation("sweep", self.name, timeout):
            checks.supported(self._driver_capabilities().list_objects, "list what was left on it")
            found = self._persist(lambda: list(self._driver.leftovers()))
            for leftover in found if remove else ():
                self._persist(partial(self._remove_leftover, leftover))
            return found

    # What operations are made of

    def _make_volume(self, make: Callable[[], Volume], spec: VolumeSpec, wanted: Label, volume_id: str) -> Volume:
        return reconcile.make(
            patience=self._patience,
            make=make,
            find=lambda: self._driver.get_volume(spec.name),
            differences=lambda found: compare.volume(spec, wanted, volume_id, found),
            complete=lambda found: found.state is VolumeState.READY,
            what=f"Volume {volume_id!r}",
        )

    def _clone(self, volume_id: str, source: Source, spec: VolumeSpec) -> Volume:
        temporary = self._temporary_name(volume_id)
        copied = source.name if isinstance(source, VolumeRef) else source.volume
        with self._locks.lock(self._lock_name(spec.name)), self._alone_as_source(copied):
            volume = self._make_volume(
                lambda: self._driver.clone_volume(source, spec, temporary),
                spec,
                Label(id=volume_id, source=source.name),
                volume_id,
            )
        return self._known(volume, volume_id)

    @contextmanager
    def _alone_as_source(self, name: str | None) -> Iterator[None]:
        """Hold a volume as the source of the only clone that is made of it, where it can be that of one only."""
        if name is None or not self._driver_capabilities().serial_clones:
            yield
            return
        with self._locks.lock(f"{self._lock_name(name)}/source"):
            yield

    def _delete_unseen(self, volume_id: str, *, force: bool) -> None:
        with absent_is_done():
            try:
                self._driver.delete_named(self._volume_name(volume_id), self._temporary_name(volume_id), force=force)
            except InUse as refused:
                refused.message = f"Volume {volume_id!r} was not deleted. {refused.message}"
                raise

    def _delete_volume(self, volume_id: str, *, force: bool) -> None:
        with absent_is_done():
            volume = self._read_volume(volume_id) if force else self._look_up_volume(volume_id)
            checks.deletable(volume, force=force)
            if Dependant.EXPORT in volume.dependants:
                self._unexport_everywhere(volume)
                volume = self._read_volume(volume_id)
            if volume.state is VolumeState.COPYING:
                self._driver.abandon_clone(volume, self._temporary_name(volume_id))
            try:
                self._driver.delete_volume(volume)
            except InUse:
                checks.deletable(self._read_volume(volume_id), force=force)
                raise

    def _unexport_everywhere(self, volume: Volume) -> None:
        for export in self._driver.list_exports(volume.ref):
            # Somebody else may take it away first; that is no sign of the volume itself being gone.
            with absent_is_done():
                self._driver.unexport(volume.ref, export.host, export.protocol)

    def _remove_leftover(self, leftover: Leftover) -> None:
        with absent_is_done():
            self._driver.remove_leftover(leftover)

    def _apply_qos(self, volume_id: str, volume: Volume, qos: Qos, *, told: bool) -> None:
        fresh: Volume | None = volume

        def apply() -> None:
            nonlocal fresh, told
            # An attempt that failed may have given the volume a policy: only the first one may trust what was read before.
            known, fresh = fresh or self._driver.look_up_volume(volume.name), None
            current = self._driver.get_qos(known) if known.qos_id or not told else Qos()
            told = checks.tells_qos(self._driver_capabilities())
            # A call that was cut off may have left some of the limits, where the array takes them one by one.
            if not current.as_dict().items() <= qos.as_dict().items():
                raise reconcile.taken(f"Volume {volume_id!r}", {"qos": (qos.as_dict(), current.as_dict())})
            if current != qos:
                self._driver.set_qos(known, qos, known.name)

        self._persist(apply)
