"""Volumes and snapshots that change hands between Cinder and whoever else uses the array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cinder import exception
from cinder.volume import volume_utils

from blockdrivers.errors import NotFound
from blockdrivers.integrations.cinder import manageable
from blockdrivers.integrations.cinder.failures import as_cinder, bad_reference
from blockdrivers.integrations.cinder.groups import Groups
from blockdrivers.integrations.cinder.volumes import pool_of, thin_of
from blockdrivers.model import GiB, Snapshot, Volume
from blockdrivers.naming import Kind, array_name


class Managing(Groups):
    """The part that takes over what is on the array, and gives it up."""

    @as_cinder()
    def manage_existing(self, volume: Any, existing_ref: Mapping[str, str]) -> None:
        """Take over a volume of the array: it gets the name that it would have had from Cinder, and its type's limits."""
        found = self._referred_volume(existing_ref)
        wanted, thin = pool_of(volume.host), thin_of(volume)
        if found.pool != wanted:
            reason = f"{found.name!r} is in pool {found.pool!r}, not in {wanted!r}"
            raise exception.ManageExistingInvalidReference(existing_ref=existing_ref, reason=reason)
        if thin is not None and thin != found.thin:
            reason = f"{found.name!r} is {'thin' if found.thin else 'thick'}"
            raise exception.ManageExistingVolumeTypeMismatch(reason=reason)
        self._backend.manage_volume(volume.name_id, found.name)
        self.limit_new(volume)

    @as_cinder()
    def manage_existing_get_size(self, volume: Any, existing_ref: Mapping[str, str]) -> int:
        """Return the size in GiB, rounded up, of a volume that is to be taken over."""
        return manageable.gigabytes(self._referred_volume(existing_ref).size)

    @as_cinder()
    def unmanage(self, volume: Any) -> None:
        """Give a volume up: it stays on the array, under a name that can be taken over again."""
        names = self._backend.capabilities.names
        self._backend.unmanage_volume(volume.name_id, _given_up(array_name(Kind.VOLUME, volume.name_id, names.volume)))

    @as_cinder()
    def get_manageable_volumes(
        self,
        cinder_volumes: Sequence[Any],
        marker: Any,
        limit: int,
        offset: int,
        sort_keys: list[str],
        sort_dirs: list[str],
    ) -> list[dict[str, Any]]:
        """Return what volumes of this backend's pools could be taken over."""
        found = [volume for volume in self._backend.list_volumes(foreign=True) if self.uses(volume.pool)]
        known = {volume.name_id for volume in cinder_volumes}
        entries = manageable.volumes(found, known, self._backend.capabilities)
        return list(volume_utils.paginate_entries_list(entries, marker, limit, offset, sort_keys, sort_dirs))

    @as_cinder()
    def manage_existing_snapshot(self, snapshot: Any, existing_ref: Mapping[str, str]) -> None:
        """Take over a snapshot of a volume that Cinder has."""
        if self._backend.capabilities.find_snapshots:
            found = self._referred_snapshot(existing_ref)
            self._backend.manage_snapshot(snapshot.id, snapshot.volume.name_id, found.name)
            return
        with bad_reference(existing_ref):
            self._backend.manage_snapshot(snapshot.id, snapshot.volume.name_id, _source_name(existing_ref))

    @as_cinder()
    def manage_existing_snapshot_get_size(self, snapshot: Any, existing_ref: Mapping[str, str]) -> int:
        """Return the size in GiB, rounded up, of a snapshot that is to be taken over; its volume's where the array does not tell."""
        if not self._backend.capabilities.find_snapshots:
            return int(snapshot.volume.size)
        size = self._referred_snapshot(existing_ref).size if self._backend.capabilities.find_snapshots else None
        return manageable.gigabytes(size or snapshot.volume.size * GiB)

    @as_cinder()
    def unmanage_snapshot(self, snapshot: Any) -> None:
        """Give a snapshot up: it stays on the array, under a name that can be taken over again."""
        capabilities = self._backend.capabilities
        name = _given_up(array_name(Kind.SNAPSHOT, snapshot.id, capabilities.names.snapshot))
        of_volume = None if capabilities.find_snapshots else snapshot.volume.name_id
        self._backend.unmanage_snapshot(snapshot.id, name, of_volume=of_volume)

    @as_cinder()
    def get_manageable_snapshots(
        self,
        cinder_snapshots: Sequence[Any],
        marker: Any,
        limit: int,
        offset: int,
        sort_keys: list[str],
        sort_dirs: list[str],
    ) -> list[dict[str, Any]]:
        """Return what snapshots of the array could be taken over."""
        known = {snapshot.id for snapshot in cinder_snapshots}
        entries = manageable.snapshots(self._backend.list_snapshots(foreign=True), known)
        return list(volume_utils.paginate_entries_list(entries, marker, limit, offset, sort_keys, sort_dirs))

    def _referred_volume(self, reference: Mapping[str, str]) -> Volume:
        with bad_reference(reference):
            if name := reference.get("source-name"):
                return self._backend.find_volume(name)
            wanted = _source_id(reference)
            found = next((volume for volume in self._backend.list_volumes(foreign=True) if volume.id == wanted), None)
            if found is None:
                raise NotFound(f"The array has no volume of the id {wanted!r}.")
            return found

    def _referred_snapshot(self, reference: Mapping[str, str]) -> Snapshot:
        with bad_reference(reference):
            if name := reference.get("source-name"):
                return self._backend.find_snapshot(name)
            wanted = _source_id(reference)
            found = next((snapshot for snapshot in self._backend.list_snapshots(foreign=True) if snapshot.id == wanted), None)
            if found is None:
                raise NotFound(f"The array has no snapshot of the id {wanted!r}.")
            return found


def _given_up(name: str) -> str:
    """Return a name that is not this library's any more, as long and as unique as the one that was."""
    return f"free-{name.partition('-')[2]}"


def _source_name(reference: Mapping[str, str]) -> str:
    wanted = reference.get("source-name")
    if not wanted:
        raise exception.ManageExistingInvalidReference(existing_ref=reference, reason="it needs source-name")
    return wanted


def _source_id(reference: Mapping[str, str]) -> str:
    wanted = reference.get("source-id")
    if not wanted:
        raise exception.ManageExistingInvalidReference(existing_ref=reference, reason="it needs source-name or source-id")
    return wanted
