"""Snapshots: made inactive, given their moment together, reverted to. Source: protocol sheet, section 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.simulation.engine import Array, OutOfSpace, Snapshot
from vendors.huawei.simulator import codes, wire
from vendors.huawei.simulator.profiles import Profile
from vendors.huawei.simulator.wire import SECTOR, Attributes, Refusal

if TYPE_CHECKING:
    from vendors.huawei.simulator.mapping import Mappings
    from vendors.huawei.simulator.storage import Storage
    from vendors.huawei.simulator.system import System

FEATURE = "HyperSnap"
_LUN = "11"
_ACTIVE, _REVERTING, _INACTIVE = "43", "44", "45"


class Snapshots:
    """The snapshots of an array."""

    def __init__(
        self, array: Array, profile: Profile, storage: Storage, system: System, mappings: Mappings, *, seconds: float
    ) -> None:
        self._array = array
        self._profile = profile
        self._storage = storage
        self._system = system
        self._mappings = mappings
        self._revert_seconds = seconds

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", "snapshot"): self._list,
            ("GET", "snapshot/count"): self._count,
            ("GET", "snapshot/{id}"): lambda _, snapshot_id: self.rendered(self.snapshot(snapshot_id)),
            ("POST", "snapshot"): self._create,
            ("POST", "snapshot/activate"): self._activate,
            ("PUT", "snapshot/stop"): self._stop,
            ("PUT", "snapshot/reactive"): self._reactivate,
            ("PUT", "snapshot/rollback"): self._rollback,
            ("PUT", "snapshot/cancelrollback"): self._cancel,
            ("POST", "snapshot/createcopy"): self._copy,
            ("PUT", "snapshot/expand"): self._expand,
            ("PUT", "snapshot/{id}"): self._change,
            ("DELETE", "snapshot/{id}"): self._delete,
        }

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """Return a snapshot, or refuse an unknown id."""
        try:
            return self._array.snapshots[snapshot_id]
        except KeyError:
            raise Refusal(codes.NO_SNAPSHOT) from None

    def rendered(self, snapshot: Snapshot) -> Attributes:
        """Render a snapshot."""
        source = self._array.volumes[snapshot.volume_id]
        reverting = self._array.is_reverting(snapshot)
        size = str(snapshot.size // SECTOR)
        return {
            "ID": snapshot.id,
            "NAME": snapshot.name,
            "TYPE": 27,
            "WWN": snapshot.wwn,
            "PARENTTYPE": 11,
            "PARENTID": source.id,
            "PARENTNAME": source.name,
            "SOURCELUNID": source.id,
            "SOURCELUNNAME": source.name,
            "SOURCELUNCAPACITY": str(source.size // SECTOR),
            "USERCAPACITY": size,
            "CONSUMEDCAPACITY": "0",
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": _REVERTING if reverting else _ACTIVE if snapshot.active else _INACTIVE,
            "EXPOSEDTOINITIATOR": wire.flag(bool(self._array.seen_by(snapshot.id))),
            "ISADD2LUNGROUP": wire.flag(self._mappings.in_a_group(snapshot.id)),
            "TIMESTAMP": str(int(snapshot.taken_at)) if snapshot.active else "0",
            "ROLLBACKRATE": "50" if reverting else "-1",
            "ROLLBACKSTARTTIME": "-1",
            "ROLLBACKENDTIME": "-1",
            "ROLLBACKSPEED": "-1",
            "ROLLBACKTARGETOBJID": source.id if reverting else "",
            "CASCADEDLEVEL": "0",
            "IOCLASSID": "",
            "DESCRIPTION": snapshot.description,
        }

    def state(self) -> list[Attributes]:
        """Return the snapshots for the state dump."""
        return [
            {
                "id": item.id,
                "name": item.name,
                "wwn": item.wwn,
                "size": item.size,
                "volume": self._array.volumes[item.volume_id].name,
                "active": item.active,
                "description": item.description,
            }
            for item in self._array.snapshots.values()
        ]

    def in_use(self, snapshot: Snapshot) -> bool:
        """Tell whether something reads from a snapshot: a copy, a linked clone, a host, a revert."""
        copied = any(job.source_id == snapshot.id for job in self._array.jobs.values())
        linked = any(lun.attributes.get("CLONESOURCEID") == snapshot.id for lun in self._array.volumes.values())
        shown = self._mappings.in_a_group(snapshot.id) or bool(self._array.seen_by(snapshot.id))
        return copied or linked or shown or self._array.is_reverting(snapshot)

    def _list(self, given: Attributes, _: str) -> list[Attributes]:
        items = [self.rendered(item) for item in self._array.snapshots.values()]
        return wire.select(items, given, capped=self._profile.v6)

    def _count(self, given: Attributes, _: str) -> Attributes:
        if "ASSOCIATEOBJTYPE" in given:
            return {"COUNT": str(len(self._mappings.associated("27", given)))}
        items = (self.rendered(item) for item in self._array.snapshots.values())
        return {"COUNT": str(len(wire.select(items, given, capped=False)))}

    def _new_name(self, given: Attributes, but: Snapshot | None = None) -> str:
        name = wire.checked_name(given, self._profile.name_length, cjk=self._profile.cjk)
        if any(item.name == name and item is not but for item in self._array.snapshots.values()):
            raise Refusal(codes.NAME_EXISTS)
        return name

    def _create(self, given: Attributes, _: str) -> Attributes:
        self._system.need(FEATURE, codes.NO_SNAPSHOT_LICENCE)
        name = self._new_name(given)
        if wire.text(given, "PARENTTYPE", _LUN) != _LUN:
            raise Refusal(codes.BAD_PARAMETER)
        volume = self._storage.usable(wire.text(given, "PARENTID"))
        return self.rendered(self._array.create_snapshot(name, volume, wire.description(given)))

    def _activate(self, given: Attributes, _: str) -> Attributes:
        self._system.need(FEATURE, codes.NO_SNAPSHOT_LICENCE)
        chosen = [self.snapshot(snapshot_id) for snapshot_id in wire.texts(given, "SNAPSHOTLIST")]
        if not chosen or len({item.volume_id for item in chosen}) != len(chosen) or any(item.active for item in chosen):
            raise Refusal(codes.BAD_PARAMETER)
        if any(self._storage.is_reverting(self._array.volumes[item.volume_id]) for item in chosen):
            raise Refusal(codes.REVERTING)
        if any(self._array.free(self._array.volumes[item.volume_id].pool_id) == 0 for item in chosen):
            raise OutOfSpace
        self._array.activate(chosen)
        return {}

    def _active(self, given: Attributes) -> Snapshot:
        snapshot = self.snapshot(wire.text(given, "ID"))
        if not snapshot.active:
            raise Refusal(codes.SNAPSHOT_NOT_ACTIVE)
        return snapshot

    def _stop(self, given: Attributes, _: str) -> Attributes:
        snapshot = self._active(given)
        if self.in_use(snapshot):
            raise Refusal(codes.SNAPSHOT_IN_USE)
        self._array.deactivate(snapshot)
        return {}

    def _reactivate(self, given: Attributes, _: str) -> Attributes:
        snapshot = self._active(given)
        self._system.need(FEATURE, codes.NO_SNAPSHOT_LICENCE)
        if self.in_use(snapshot):
            raise Refusal(codes.SNAPSHOT_IN_USE)
        if self._storage.is_reverting(self._array.volumes[snapshot.volume_id]):
            raise Refusal(codes.REVERTING)
        self._array.deactivate(snapshot)
        self._array.activate([snapshot])
        return {}

    def _rollback(self, given: Attributes, _: str) -> Attributes:
        snapshot = self._active(given)
        volume = self._array.volumes[snapshot.volume_id]
        wire.choice(given, "ROLLBACKSPEED", range(1, 5), 2)
        if volume.size != snapshot.size:
            raise Refusal(codes.SIZES_DIFFER)
        if self._storage.is_reverting(volume):
            raise Refusal(codes.REVERTING)
        if any(volume.id in {job.source_id, job.target_id} for job in self._array.jobs.values()):
            raise Refusal(codes.LUN_IN_USE)
        self._array.begin_revert(snapshot, self._revert_seconds)
        return {}

    def _cancel(self, given: Attributes, _: str) -> Attributes:
        snapshot = self._active(given)
        if not self._array.is_reverting(snapshot):
            raise Refusal(codes.BAD_PARAMETER)
        snapshot.reverting_until = None
        return {}

    def _copy(self, given: Attributes, _: str) -> Attributes:
        original = self._active(given)
        self._system.need(FEATURE, codes.NO_SNAPSHOT_LICENCE)
        return self.rendered(self._array.copy_snapshot(self._new_name(given), original, wire.description(given)))

    def _expand(self, given: Attributes, _: str) -> Attributes:
        snapshot = self._active(given)
        size = wire.number(given, "USERCAPACITY") * SECTOR
        if size <= snapshot.size:
            raise Refusal(codes.BAD_PARAMETER)
        snapshot.size = size
        self._array.data_plane.resize(snapshot.wwn, size)
        return self.rendered(snapshot)

    def _change(self, given: Attributes, snapshot_id: str) -> Attributes:
        snapshot = self.snapshot(snapshot_id)
        description = wire.description(given, snapshot.description)
        if "NAME" in given:
            # V6 counts the snapshot's own name as taken too (sheet, trap 15).
            snapshot.name = self._new_name(given, None if self._profile.v6 else snapshot)
        snapshot.description = description
        return self.rendered(snapshot)

    def _delete(self, _: Attributes, snapshot_id: str) -> None:
        snapshot = self.snapshot(snapshot_id)
        if self.in_use(snapshot):
            raise Refusal(codes.SNAPSHOT_IN_USE)
        if snapshot.active and not self._profile.v6:
            raise Refusal(codes.SNAPSHOT_ACTIVE)
        self._array.delete_snapshot(snapshot)
