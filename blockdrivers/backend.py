"""What callers use: a driver made safe.

Every operation of `Backend` is idempotent by the caller's id, bounded in time, and safe to repeat after any failure, crash or
kill, from any process. Nothing is kept but on the array.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from blockdrivers import checks, compare, deadline, naming, reconcile
from blockdrivers.attachments import Attachments
from blockdrivers.driver import Capabilities, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import AlreadyExists, BlockDriversError, InUse, NotFound
from blockdrivers.model import (
    Dependant,
    Export,
    GiB,
    Host,
    InitiatorFacts,
    Leftover,
    Pool,
    Port,
    Protocol,
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

if TYPE_CHECKING:
    from pathlib import Path

    from blockdrivers.host.images import WrittenImage

T = TypeVar("T")

_log = logging.getLogger(__name__)

_TIDY_SECONDS = 10.0
"""How long a copy that failed may still take to leave nothing behind on the array."""


class Backend(Attachments):
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

            def make(read: Callable[[str], Snapshot]) -> Volume:
                snapshot = self._persist(lambda: self._checked_snapshot(read, snapshot_id, of_volume, exact=True))
                checks.taken(snapshot)
                if snapshot.size is None and of_volume is not None:
                    source = self._persist(lambda: self._look_up_volume(of_volume))
                    checks.complete(source)
                    snapshot = replace(snapshot, size=source.size)
                spec = self._clone_spec(volume_id, snapshot, size, pool, thin)
                return self._clone(volume_id, snapshot.ref, spec)

            if of_volume is None:
                # What was only recalled may have gone, or be another one by now.
                with suppress(NotFound):
                    return make(self._driver.recall_snapshot)
            return make(self._driver.look_up_snapshot)

    # Snapshots

    def create_snapshot(self, snapshot_id: str, volume_id: str, *, timeout: float | None = None) -> Snapshot:
        """Take a snapshot of a volume, or return the one that an earlier call took."""
        with self._operation("create_snapshot", snapshot_id, timeout):
            spec = self._snapshot_spec(snapshot_id, volume_id)
            if not self._driver_capabilities().find_snapshots:
                return self._persist(lambda: self._take_unseen(spec, snapshot_id, volume_id))
            snapshot = reconcile.make(
                patience=self._patience,
                make=lambda: self._driver.create_snapshot(replace(spec, source=self._references.of(spec.source.name))),
                find=lambda: self._driver.get_snapshot(spec.name),
                differences=lambda found: compare.snapshot(spec, snapshot_id, found),
                complete=lambda found: found.ready,
                what=f"Snapshot {snapshot_id!r}",
            )
            return replace(snapshot, snapshot_id=snapshot_id, volume_id=volume_id)

    def create_group_snapshot(self, members: Mapping[str, str], *, timeout: float | None = None) -> Sequence[Snapshot]:
        """Take snapshots of several volumes at one point in time.

        Args:
            members: volume id -> id of its snapshot.
            timeout: seconds.

        Returns:
            The snapshots, in the order of `members`. Asked again, the same ones.
        """
        with self._operation("create_group_snapshot", ", ".join(members.values()), timeout):
            checks.supported(self._driver_capabilities().group_snapshots, "take snapshots of a group at one moment")
            checks.distinct(members)
            specs = [self._snapshot_spec(snapshot_id, volume_id) for volume_id, snapshot_id in members.items()]
            taken = reconcile.make(
                patience=self._patience,
                make=lambda: self._driver.create_group_snapshot(
                    [replace(spec, source=self._references.of(spec.source.name)) for spec in specs]
                ),
                find=lambda: [self._driver.get_snapshot(spec.name) for spec in specs],
                differences=lambda found: compare.snapshots(specs, list(members.values()), found),
                complete=lambda found: all(snapshot.ready for snapshot in found),
                what="Group snapshot",
            )
            pairs = zip(taken, members.items(), strict=True)
            return [replace(snap, snapshot_id=snapshot_id, volume_id=volume_id) for snap, (volume_id, snapshot_id) in pairs]

    def get_snapshot(self, snapshot_id: str, *, timeout: float | None = None) -> Snapshot:
        """Return a snapshot as it is now, or raise `NotFound`."""
        with self._operation("get_snapshot", snapshot_id, timeout):
            naming.check_id(snapshot_id, "snapshot")
            checks.supported(self._driver_capabilities().find_snapshots, "look up a snapshot")
            return self._persist(lambda: self._read_snapshot(snapshot_id))

    def list_snapshots(
        self, volume_id: str | None = None, *, foreign: bool = False, timeout: float | None = None
    ) -> Sequence[Snapshot]:
        """Return this library's snapshots, of one volume or of all; with `foreign`, everybody's."""
        with self._operation("list_snapshots", volume_id or self.name, timeout):
            checks.supported(self._driver_capabilities().list_objects, "list snapshots")

            def read() -> list[Snapshot]:
                source = None if volume_id is None else self._look_up_volume(volume_id).ref
                return list(self._driver.list_snapshots(source))

            return [
                replace(
                    snapshot,
                    snapshot_id=naming.identifier_of(snapshot.name, snapshot.description),
                    volume_id=volume_id or naming.identifier_of(snapshot.source_name),
                )
                for snapshot in self._persist(read)
                if foreign or naming.kind_of(snapshot.name) is Kind.SNAPSHOT
            ]

    def delete_snapshot(self, snapshot_id: str, *, of_volume: str | None = None, timeout: float | None = None) -> None:
        """Delete a snapshot; one that is absent counts as deleted. Raises `InUse` while it is exported or copied from.

        `of_volume` is the id of its volume: needed where the array cannot look snapshots up (capability ``find_snapshots``), and
        compared with what is there where it can.
        """
        with self._operation("delete_snapshot", snapshot_id, timeout):
            self._persist(lambda: self._delete_snapshot(snapshot_id, of_volume))

    def revert_volume(self, volume_id: str, snapshot_id: str, *, force: bool = False, timeout: float | None = None) -> Volume:
        """Put a volume back to one of its snapshots; return when all bytes are back.

        Args:
            volume_id: the volume, not exported unless `force` says that its hosts have let go of it.
            snapshot_id: a snapshot of that volume, of its present size.
            force: revert although it is exported; an array that does not tell (capability ``list_exports``) never refuses for that.
            timeout: seconds.
        """
        with self._operation("revert_volume", volume_id, timeout, copying=True):
            checks.supported(self._driver_capabilities().revert, "revert a volume")

            def revert() -> Volume:
                volume, snapshot = self._look_up_revert(volume_id, snapshot_id, force=force)
                checks.revertible(volume, snapshot, force=force)
                try:
                    self._driver.revert_volume(volume, snapshot)
                except InUse:
                    checks.revertible(self._read_volume(volume_id), snapshot, force=force)
                    raise
                # One that was busy was so with what an earlier call began.
                return self._read_volume(volume_id) if volume.state is VolumeState.BUSY else volume

            with self._locks.lock(self._lock_name(self._volume_name(volume_id))):
                return self._persist(revert)

    # Images

    def copy_image_to_volume(
        self,
        volume_id: str,
        image: Path,
        host: Host,
        *,
        format: str,
        sha256: str | None = None,
        progress: Callable[[float], None] | None = None,
        timeout: float | None = None,
    ) -> Volume:
        """Write an image file over a volume from its first byte on; a repeat writes all of it again.

        Args:
            volume_id: the volume, as large as the image's disk at least, and exported to nobody.
            image: a self-contained file; its content is not trusted.
            host: a name and IQN that are used for nothing but such copies; the volume is exported to it meanwhile.
            format: ``raw``, ``qcow2``, ``vmdk`` or ``vhd``: what the image is said to be; another one is refused.
            sha256: of the image file, in hexadecimal; checked before anything is written.
            progress: called with the part that is done, 0.0 to 1.0.
            timeout: seconds.

        Raises:
            InvalidRequest: the image is not what was said, refers to other files, or is larger than the volume.
            InUse: the volume is exported to another host.
            AttachError: the copy broke off; the volume's bytes cannot be relied on before a repeat.
        """
        from blockdrivers.host import imagefile, images  # noqa: PLC0415 - only who copies images pays for it

        with self._operation("copy_image_to_volume", volume_id, timeout, copying=True):
            found = imagefile.inspect(image, format)
            if sha256 is not None:
                images.check_sha256(image, sha256)
            volume = self._persist(lambda: self._read_volume(volume_id))
            checks.complete(volume)
            checks.image_fits(found.virtual_size, volume)
            with self._lent(volume, host) as export:
                images.write_image(found, export, host, progress)
            return volume

    def copy_volume_to_image(
        self,
        volume_id: str,
        image: Path,
        host: Host,
        *,
        format: str = "qcow2",
        max_size: int = 300 * GiB,
        digest: bool = False,
        progress: Callable[[float], None] | None = None,
        timeout: float | None = None,
    ) -> WrittenImage:
        """Make an image file of a volume; it is there whole or not at all, and replaces what is there.

        Args:
            volume_id: the volume, exported to nobody: else its bytes would change meanwhile.
            image: the file to make.
            host: a name and IQN that are used for nothing but such copies.
            format: ``raw``, ``qcow2``, ``vmdk`` or ``vhd``.
            max_size: bytes; a larger volume is refused, as the platform's rule has it.
            digest: also compute the file's SHA-256, which reads it once more.
            progress: called with the part that is done, 0.0 to 1.0.
            timeout: seconds.

        Returns:
            The file's sizes in bytes and, with `digest`, its SHA-256.
        """
        from blockdrivers.host import imagefile, images  # noqa: PLC0415

        with self._operation("copy_volume_to_image", volume_id, timeout, copying=True):
            wanted = imagefile.image_format(format)
            volume = self._persist(lambda: self._read_volume(volume_id))
            checks.complete(volume)
            checks.imageable(volume, max_size)
            with self._lent(volume, host) as export:
                return images.read_image(export, host, image, wanted, volume.size, digest=digest, progress=progress)

    @contextmanager
    def _lent(self, volume: Volume, host: Host) -> Iterator[Export]:
        """Export a volume to a host that copies it, and to nobody else, for the length of a block."""
        volume_id = str(volume.volume_id)
        if Dependant.EXPORT in volume.dependants:
            # Its own is left of a copy that was killed; the export below absorbs it.
            own = {host.name, self._host_name(host.name)}
            checks.lendable(volume, {export.host for export in self.list_exports(volume_id)} - own)
        try:
            yield self.export(volume_id, host, Protocol.ISCSI)
        except BaseException:
            # The copy has failed, perhaps because its time is up: what goes wrong from here on must not hide that.
            with deadline.apart(_TIDY_SECONDS, f"take {volume_id} away from {host.name}"), suppress(BlockDriversError):
                self.unexport(volume_id, host, Protocol.ISCSI)
            raise
        self.unexport(volume_id, host, Protocol.ISCSI)

    # QoS, retype, manage

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
        """Move a volume to another pool or provisioning, on line; its WWN and exports stay. Return when it has moved."""
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
                moved = self._driver.migrate_volume(volume, spec, self._temporary_name(volume_id))
                return replace(moved, volume_id=volume_id)

            name = self._volume_name(volume_id)
            with self._locks.lock(self._lock_name(name)), self._alone_as_source(name):
                return self._persist(move)

    def manage_volume(self, volume_id: str, array_name: str, *, timeout: float | None = None) -> Volume:
        """Take over a volume that exists on the array under another name; from then on it is `volume_id`.

        Raises `NotFound`, `InUse` (exported, copied, migrating or replicated), `AlreadyExists` (another volume has the id),
        `InvalidRequest` (its size is not one this array could have been asked for).
        """
        with self._operation("manage_volume", volume_id, timeout):
            capabilities = self._driver_capabilities()
            checks.supported(capabilities.manage, "take over an existing volume")
            name = self._volume_name(volume_id)
            description = Label(id=volume_id).encode(capabilities.description_bytes)

            def take_over() -> Volume:
                try:
                    volume = self._driver.get_volume(array_name)
                except NotFound:
                    return self._adopted(lambda: self._look_up_volume(volume_id), array_name)
                checks.manageable(volume, capabilities)
                return self._driver.rename_volume(volume, name, description)

            return self._known(self._persist(take_over), volume_id)

    def manage_snapshot(self, snapshot_id: str, volume_id: str, array_name: str, *, timeout: float | None = None) -> Snapshot:
        """Take over a snapshot of `volume_id` that exists on the array under another name."""
        with self._operation("manage_snapshot", snapshot_id, timeout):
            spec = self._snapshot_spec(snapshot_id, volume_id)
            capabilities = self._driver_capabilities()
            checks.supported(capabilities.manage and capabilities.find_snapshots, "take over an existing snapshot")

            def take_over() -> Snapshot:
                volume = self._read_volume(volume_id)
                try:
                    snapshot = self._driver.get_snapshot(array_name)
                except NotFound:
                    return self._adopted(lambda: self._read_snapshot(snapshot_id), array_name)
                checks.manageable_snapshot(snapshot, volume)
                return self._driver.rename_snapshot(snapshot, spec.name, spec.description)

            return replace(self._persist(take_over), snapshot_id=snapshot_id, volume_id=volume_id)

    def unmanage_volume(self, volume_id: str, array_name: str, *, timeout: float | None = None) -> Volume:
        """Give a volume up under another array-side name; its bytes and exports stay as they are."""
        with self._operation("unmanage_volume", volume_id, timeout):
            capabilities = self._driver_capabilities()
            checks.supported(capabilities.manage, "give up a volume")
            checks.foreign_name(array_name, capabilities.names.volume)

            def give_up() -> Volume:
                try:
                    volume = self._look_up_volume(volume_id)
                except NotFound:
                    return self._adopted(lambda: self._driver.look_up_volume(array_name), volume_id)
                return self._driver.rename_volume(volume, array_name, "")

            given = self._persist(give_up)
            self._references.forget(self._volume_name(volume_id))
            return given

    def unmanage_snapshot(self, snapshot_id: str, array_name: str, *, timeout: float | None = None) -> Snapshot:
        """Give a snapshot up under another array-side name; its volume and its bytes stay as they are."""
        with self._operation("unmanage_snapshot", snapshot_id, timeout):
            capabilities = self._driver_capabilities()
            checks.supported(capabilities.manage, "give up a snapshot")
            checks.foreign_name(array_name, capabilities.names.snapshot)

            def give_up() -> Snapshot:
                try:
                    snapshot = self._read_snapshot(snapshot_id)
                except NotFound:
                    return self._adopted(lambda: self._driver.get_snapshot(array_name), snapshot_id)
                return self._driver.rename_snapshot(snapshot, array_name, "")

            return replace(self._persist(give_up), snapshot_id=None)

    def find_volume(self, array_name: str, *, timeout: float | None = None) -> Volume:
        """Return the volume of that array-side name, whoever named it, or raise `NotFound`."""
        with self._operation("find_volume", array_name, timeout):
            volume = self._persist(lambda: self._driver.get_volume(array_name))
            return replace(volume, volume_id=naming.identifier_of(volume.name, volume.description))

    def find_snapshot(self, array_name: str, *, timeout: float | None = None) -> Snapshot:
        """Return the snapshot of that array-side name, whoever named it, or raise `NotFound`."""
        with self._operation("find_snapshot", array_name, timeout):
            snapshot = self._persist(lambda: self._driver.get_snapshot(array_name))
            return replace(
                snapshot,
                snapshot_id=naming.identifier_of(snapshot.name, snapshot.description),
                volume_id=naming.identifier_of(snapshot.source_name),
            )

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

    def _delete_snapshot(self, snapshot_id: str, of_volume: str | None) -> None:
        with absent_is_done():
            read = self._driver.recall_snapshot if of_volume is None else self._driver.look_up_snapshot
            snapshot = self._checked_snapshot(read, snapshot_id, of_volume, exact=True)
            checks.deletable_snapshot(snapshot)
            try:
                self._driver.delete_snapshot(snapshot)
            except InUse:
                checks.deletable_snapshot(self._read_snapshot(snapshot_id, of_volume))
                raise

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

    def _read_volume(self, volume_id: str) -> Volume:
        return self._checked_volume(self._driver.get_volume, volume_id)

    def _look_up_volume(self, volume_id: str) -> Volume:
        return self._checked_volume(self._driver.look_up_volume, volume_id)

    def _checked_volume(self, read: Callable[[str], Volume], volume_id: str) -> Volume:
        return self._seen_volume(read(self._volume_name(volume_id)), volume_id)

    def _seen_volume(self, volume: Volume, volume_id: str) -> Volume:
        checks.names(volume.name, volume.description, volume_id)
        return self._known(volume, volume_id)

    def _look_up_revert(self, volume_id: str, snapshot_id: str, *, force: bool) -> tuple[Volume, Snapshot]:
        if force or not self._driver_capabilities().find_snapshots:
            # Only who may revert an exported volume has to know that it is; else the array refuses.
            volume = self._read_volume(volume_id) if force else self._look_up_volume(volume_id)
            return volume, self._look_up_snapshot(snapshot_id, volume_id, exact=False)
        found = self._driver.look_up_revert(self._volume_name(volume_id), self._snapshot_name(snapshot_id))
        return self._seen_volume(found[0], volume_id), self._seen_snapshot(found[1], snapshot_id)

    def _read_snapshot(self, snapshot_id: str, of_volume: str | None = None) -> Snapshot:
        return self._checked_snapshot(self._driver.get_snapshot, snapshot_id, of_volume, exact=True)

    def _look_up_snapshot(self, snapshot_id: str, of_volume: str | None = None, *, exact: bool = True) -> Snapshot:
        return self._checked_snapshot(self._driver.look_up_snapshot, snapshot_id, of_volume, exact=exact)

    def _checked_snapshot(
        self, read: Callable[[str], Snapshot], snapshot_id: str, of_volume: str | None, *, exact: bool
    ) -> Snapshot:
        """Return a snapshot, of that volume where one is named and `exact` says so; where nothing can be read, as it is named."""
        name = self._snapshot_name(snapshot_id, of_volume)
        if of_volume is not None and not self._driver_capabilities().find_snapshots:
            return self._as_named(name, snapshot_id, of_volume)
        snapshot = self._seen_snapshot(read(name), snapshot_id)
        if of_volume is not None and exact:
            checks.of_volume(snapshot, self._volume_name(of_volume), of_volume)
        return snapshot

    def _seen_snapshot(self, snapshot: Snapshot, snapshot_id: str) -> Snapshot:
        checks.names(snapshot.name, snapshot.description, snapshot_id)
        return replace(snapshot, snapshot_id=snapshot_id, volume_id=naming.identifier_of(snapshot.source_name))

    def _as_named(self, name: str, snapshot_id: str, volume_id: str) -> Snapshot:
        volume = self._volume_name(volume_id)
        return Snapshot(name, name, None, volume, volume, snapshot_id=snapshot_id, volume_id=volume_id)

    def _take_unseen(self, spec: SnapshotSpec, snapshot_id: str, volume_id: str) -> Snapshot:
        try:
            self._driver.create_snapshot(spec)
        except AlreadyExists:
            # The name says of which volume it is.
            _log.debug("snapshot %s is there already", spec.name)
        return self._as_named(spec.name, snapshot_id, volume_id)

    def _adopted(self, find: Callable[[], T], wanted: str) -> T:
        """Return what an earlier call has renamed already, or say that the object asked for is absent."""
        found = reconcile.or_none(find)
        if found is None:
            raise NotFound(f"There is no {wanted!r} on the array.")
        return found

    def _known(self, volume: Volume, volume_id: str) -> Volume:
        self._references.remember(volume.ref)
        return replace(volume, volume_id=volume_id)
