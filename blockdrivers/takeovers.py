"""What changes hands between this library and whoever else uses an array: the part of `Backend` that takes over and gives up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from blockdrivers import checks, naming, reconcile
from blockdrivers.errors import NotFound
from blockdrivers.lookups import Lookups
from blockdrivers.model import Snapshot, SnapshotRef, Volume
from blockdrivers.naming import Label

T = TypeVar("T")


class Takeovers(Lookups):
    """Takes over what exists under other names, and gives up what it has."""

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
            found = capabilities.find_snapshots or capabilities.find_in_volume
            checks.supported(capabilities.manage and found, "take over an existing snapshot")
            if not capabilities.find_snapshots:
                checks.foreign_snapshot(array_name)
                taken = self._persist(lambda: self._renamed_unseen(volume_id, array_name, spec.name))
                return replace(taken, snapshot_id=snapshot_id, volume_id=volume_id)

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
        """Give a volume up under another array-side name; its bytes and exports stay as they are.

        Raises `InUse` for a clone that is not complete, `AlreadyExists` where the name is taken.
        """
        with self._operation("unmanage_volume", volume_id, timeout):
            capabilities = self._driver_capabilities()
            checks.supported(capabilities.manage, "give up a volume")
            checks.foreign_name(array_name, capabilities.names.volume)

            def give_up() -> Volume:
                try:
                    volume = self._look_up_volume(volume_id)
                except NotFound:
                    return self._adopted(lambda: self._driver.look_up_volume(array_name), volume_id)
                # The mark of a clone whose bytes are not all there would be lost with its name.
                checks.complete(volume)
                return self._driver.rename_volume(volume, array_name, "")

            given = self._persist(give_up)
            self._references.forget(self._volume_name(volume_id))
            return given

    def unmanage_snapshot(
        self, snapshot_id: str, array_name: str, *, of_volume: str | None = None, timeout: float | None = None
    ) -> Snapshot:
        """Give a snapshot up under another array-side name; its volume and its bytes stay as they are.

        `of_volume` is the id of its volume: needed where the array cannot look snapshots up (capability ``find_snapshots``).
        """
        with self._operation("unmanage_snapshot", snapshot_id, timeout):
            capabilities = self._driver_capabilities()
            found = capabilities.find_snapshots or capabilities.find_in_volume
            checks.supported(capabilities.manage and found, "give up a snapshot")
            checks.foreign_name(array_name, capabilities.names.snapshot)
            if not capabilities.find_snapshots:
                name = self._snapshot_name(snapshot_id, of_volume)
                return self._persist(lambda: self._renamed_unseen(str(of_volume), name, array_name))

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

    def _renamed_unseen(self, volume_id: str, name: str, new: str) -> Snapshot:
        """Rename a snapshot of a volume; one that an earlier call has renamed is as good."""
        volume = self._volume_name(volume_id)
        try:
            self._driver.rename_snapshot(Snapshot(name, name, None, volume, volume), new, "")
        except NotFound:
            if not self._driver.has_snapshot(SnapshotRef(new, volume=volume)):
                raise
        return Snapshot(new, new, None, volume, volume)

    def _adopted(self, find: Callable[[], T], wanted: str) -> T:
        """Return what an earlier call has renamed already, or say that the object asked for is absent."""
        found = reconcile.or_none(find)
        if found is None:
            raise NotFound(f"There is no {wanted!r} on the array.")
        return found
