"""Points in time: the part of `Backend` that takes snapshots and puts volumes back to them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from blockdrivers import checks, compare, naming, reconcile
from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import AlreadyExists, InUse
from blockdrivers.lookups import Lookups
from blockdrivers.model import Snapshot, Volume, VolumeState
from blockdrivers.naming import Kind
from blockdrivers.operations import absent_is_done

_log = logging.getLogger("blockdrivers.backend")


class Snapshots(Lookups):
    """Takes, tells, deletes and reverts to snapshots."""

    def create_snapshot(self, snapshot_id: str, volume_id: str, *, timeout: float | None = None) -> Snapshot:
        """Take a snapshot of a volume, or return the one that an earlier call took."""
        with self._operation("create_snapshot", snapshot_id, timeout):
            spec = self._snapshot_spec(snapshot_id, volume_id)
            if not self._driver_capabilities().find_snapshots:
                return self._persist(lambda: self._take_unseen(spec, snapshot_id, volume_id))
            with self._alone_with([spec.name]):
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
            with self._alone_with(spec.name for spec in specs):
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

    @contextmanager
    def _alone_with(self, names: Iterable[str]) -> Iterator[None]:
        """Hold the locks of these snapshots where calls for them could mix; everybody takes them in one order, so that nobody waits for ever."""
        with ExitStack() as held:
            if self._driver_capabilities().serial_snapshots:
                for name in sorted(names):
                    held.enter_context(self._locks.lock(self._lock_name(name)))
            yield

    def _look_up_revert(self, volume_id: str, snapshot_id: str, *, force: bool) -> tuple[Volume, Snapshot]:
        if force or not self._driver_capabilities().find_snapshots:
            # Only who may revert an exported volume has to know that it is; else the array refuses.
            volume = self._read_volume(volume_id) if force else self._look_up_volume(volume_id)
            return volume, self._look_up_snapshot(snapshot_id, volume_id, exact=False)
        found = self._driver.look_up_revert(self._volume_name(volume_id), self._snapshot_name(snapshot_id))
        return self._seen_volume(found[0], volume_id), self._seen_snapshot(found[1], snapshot_id)

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

    def _take_unseen(self, spec: SnapshotSpec, snapshot_id: str, volume_id: str) -> Snapshot:
        try:
            self._driver.create_snapshot(spec)
        except AlreadyExists:
            # The name says of which volume it is.
            _log.debug("snapshot %s is there already", spec.name)
        return self._as_named(spec.name, snapshot_id, volume_id)
