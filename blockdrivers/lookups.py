"""What operations read before they act: volumes and snapshots by the caller's ids, proven to be theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from blockdrivers import checks, naming
from blockdrivers.model import Snapshot, Volume
from blockdrivers.operations import Operations


class Lookups(Operations):
    """Finds the objects that callers' ids name."""

    def _read_volume(self, volume_id: str) -> Volume:
        return self._checked_volume(self._driver.get_volume, volume_id)

    def _look_up_volume(self, volume_id: str) -> Volume:
        return self._checked_volume(self._driver.look_up_volume, volume_id)

    def _checked_volume(self, read: Callable[[str], Volume], volume_id: str) -> Volume:
        return self._seen_volume(read(self._volume_name(volume_id)), volume_id)

    def _seen_volume(self, volume: Volume, volume_id: str) -> Volume:
        checks.names(volume.name, volume.description, volume_id)
        return self._known(volume, volume_id)

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

    def _known(self, volume: Volume, volume_id: str) -> Volume:
        self._references.remember(volume.ref)
        return replace(volume, volume_id=volume_id)
