"""Snapshots. Source: protocol sheet, section 3.5.

Where the sheet is silent: a snapshot that is being copied from, and a volume that is reverting or being copied, refuse with key 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from conformance.simulation.engine import Array, Snapshot, Volume
from vendors.toyou.simulator import keys
from vendors.toyou.simulator.keys import Refusal
from vendors.toyou.simulator.storage import Storage
from vendors.toyou.simulator.wire import Call

_OF_VOLUME: Final = 64
_OF_SYSTEM: Final = 4096


class Snapshots:
    """Snapshots, whose names are unique in the system."""

    def __init__(self, array: Array, storage: Storage, *, seconds: float) -> None:
        self._array = array
        self._storage = storage
        self._seconds = seconds
        self._tags: dict[str, int] = {}
        self._is_copied: Callable[[str], bool] = lambda _: False

    def guard(self, is_copied: Callable[[str], bool]) -> None:
        """Say which volumes and snapshots, by id, are being copied from."""
        self._is_copied = is_copied

    def verbs(self) -> dict[str, Any]:
        """Return the handlers."""
        return {"create_snapshot": self._create, "delete_snapshot": self._delete, "rollback_snapshot": self._rollback}

    def of(self, volume: Volume) -> list[Snapshot]:
        """Return a volume's snapshots, oldest first."""
        mine = [snapshot for snapshot in self._array.snapshots.values() if snapshot.volume_id == volume.id]
        return sorted(mine, key=lambda snapshot: self._tags[snapshot.id])

    def named(self, volume: Volume, name: str) -> Snapshot:
        """Return a volume's snapshot of that name, or refuse."""
        found = next((snapshot for snapshot in self.of(volume) if snapshot.name == name), None)
        if found is None:
            raise Refusal(keys.NO_SNAPSHOT)
        return found

    def blocks(self, volume: Volume) -> bool:
        """Tell whether a volume has snapshots."""
        return bool(self.of(volume))

    def is_reverting(self, volume: Volume) -> bool:
        """Tell whether a volume is being put back."""
        return any(self._array.is_reverting(snapshot) for snapshot in self.of(volume))

    def state(self) -> list[dict[str, Any]]:
        """Return the snapshots."""
        return [
            {
                "id": snapshot.id,
                "name": snapshot.name,
                "volume": self._array.volumes[snapshot.volume_id].name,
                "size": snapshot.size,
                "reverting": self._array.is_reverting(snapshot),
            }
            for snapshot in self._array.snapshots.values()
        ]

    def _create(self, call: Call) -> None:
        volume, name = self._storage.usable(call.one("--volume")), call.one("--snapshot")
        if not name:
            raise Refusal(keys.UNKNOWN)
        if any(snapshot.name == name for snapshot in self._array.snapshots.values()):
            raise Refusal(keys.SNAPSHOT_EXISTS)
        if len(self._array.snapshots) >= _OF_SYSTEM:
            raise Refusal(keys.SNAPSHOTS_OF_SYSTEM)
        mine = self.of(volume)
        if len(mine) >= _OF_VOLUME:
            raise Refusal(keys.SNAPSHOTS_OF_VOLUME)
        made = self._array.create_snapshot(name, volume)
        self._tags[made.id] = self._tags[mine[-1].id] + 1 if mine else 1
        self._array.activate([made])

    def _delete(self, call: Call) -> None:
        snapshot = self.named(self._storage.named(call.one("--volume")), call.one("--snapshot"))
        if self._is_copied(snapshot.id) or self._array.is_reverting(snapshot):
            raise Refusal(keys.UNKNOWN, "the snapshot is in use")
        self._array.delete_snapshot(snapshot)
        del self._tags[snapshot.id]

    def _rollback(self, call: Call) -> None:
        name, volume_name = call.one("--snapshot"), call.given("--volume")
        snapshot = next((snapshot for snapshot in self._array.snapshots.values() if snapshot.name == name), None)
        volume = self._storage.named(volume_name) if volume_name else None
        if snapshot is None:
            raise Refusal(keys.NO_SNAPSHOT)
        if volume is not None and snapshot.volume_id != volume.id:
            raise Refusal(keys.OTHER_VOLUMES)
        volume = self._array.volumes[snapshot.volume_id]
        if self.of(volume)[-1] is not snapshot:
            raise Refusal(keys.NOT_NEWEST)
        if self.is_reverting(volume) or self._is_copied(volume.id):
            raise Refusal(keys.UNKNOWN, "the volume is busy")
        self._array.begin_revert(snapshot, self._seconds)
