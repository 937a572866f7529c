"""Pools and LUNs. Source: protocol sheet, sections 3.2 and 3.3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance.simulation.engine import EXTENT, Array, Job, Pool, Volume
from vendors.huawei.simulator import codes, wire
from vendors.huawei.simulator.profiles import Profile
from vendors.huawei.simulator.wire import SECTOR, Attributes, Refusal

if TYPE_CHECKING:
    from vendors.huawei.simulator.mapping import Mappings
    from vendors.huawei.simulator.policies import Policies

_DEFAULTS = {
    "OWNINGCONTROLLER": "0A",
    "WORKINGCONTROLLER": "0A",
    "IOPRIORITY": "1",
    "WRITEPOLICY": "1",
    "MIRRORPOLICY": "1",
    "PREFETCHPOLICY": "3",
    "PREFETCHVALUE": "0",
    "DATATRANSFERPOLICY": "0",
    "CACHEPARTITIONID": "",
    "SMARTCACHEPARTITIONID": "",
    "REMOTEREPLICATIONIDS": "[]",
    "ISCLONE": "false",
    "SUBTYPE": "0",
}
_CHANGEABLE = {
    "IOPRIORITY": range(1, 4),
    "DATATRANSFERPOLICY": range(4),
    "WRITEPOLICY": range(1, 4),
    "PREFETCHPOLICY": range(4),
    "PREFETCHVALUE": range(2**16),
    "READCACHEPOLICY": range(2**16),
    "WRITECACHEPOLICY": range(2**16),
}
"""Attributes that create and change take, and their values; the last three have no list in the sheet."""


class Storage:
    """Pools and LUNs of an array."""

    def __init__(
        self, array: Array, profile: Profile, policies: Policies, mappings: Mappings, initialising_seconds: float
    ) -> None:
        self._array = array
        self._profile = profile
        self._policies = policies
        self._mappings = mappings
        self._initialising = initialising_seconds

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", "storagepool"): lambda given, _: self._listed(
                [self.pool(pool) for pool in self._array.pools.values()], given
            ),
            ("GET", "storagepool/{id}"): self._one_pool,
            ("GET", "lun"): lambda given, _: self._listed([self.lun(lun) for lun in self._array.volumes.values()], given),
            ("GET", "lun/count"): self._count,
            ("GET", "lun/{id}"): lambda _, lun_id: self.lun(self.volume(lun_id)),
            ("POST", "lun"): self._create,
            ("PUT", "lun/{id}"): self._change,
            ("PUT", "lun/expand"): self._expand,
            ("DELETE", "lun/{id}"): self._delete,
        }

    def volume(self, lun_id: str) -> Volume:
        """Return a LUN, or refuse an unknown id."""
        try:
            return self._array.volumes[lun_id]
        except KeyError:
            raise Refusal(codes.NO_LUN) from None

    def usable(self, lun_id: str) -> Volume:
        """Return a LUN, or refuse one that is unknown or still being initialised."""
        volume = self.volume(lun_id)
        if self._array.clock() < volume.online_at:
            raise Refusal(codes.LUN_INITIALISING)
        return volume

    def is_reverting(self, volume: Volume) -> bool:
        """Tell whether a LUN is being put back to one of its snapshots."""
        return any(self._array.is_reverting(item) for item in self._array.snapshots.values() if item.volume_id == volume.id)

    def free_name(self, name: str, but: Volume | None = None) -> None:
        """Refuse a name that another LUN has."""
        if any(lun.name == name and lun is not but for lun in self._array.volumes.values()):
            raise Refusal(codes.NAME_EXISTS)

    def pool(self, pool: Pool) -> Attributes:
        """Render a pool."""
        free, total = self._array.free(pool.id) // SECTOR, pool.total // SECTOR
        rendered: Attributes = {
            "ID": pool.id,
            "NAME": pool.name,
            "TYPE": 216,
            "USAGETYPE": "0" if self._profile.v6 else "1",
            "PARENTID": "0",
            "PARENTNAME": "domain_0",
            "PARENTTYPE": 266,
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": "27",
            "USERTOTALCAPACITY": str(total),
            "USERFREECAPACITY": str(free),
            "USERCONSUMEDCAPACITY": str(total - free),
            "USERCONSUMEDCAPACITYPERCENTAGE": str((total - free) * 100 // total),
            "USERCONSUMEDCAPACITYTHRESHOLD": "80",
            "LUNCONFIGEDCAPACITY": str(self._array.provisioned(pool.id) // SECTOR),
            "REPLICATIONCAPACITY": "0",
            "TIER0CAPACITY": str(total),
            "TIER0DISKTYPE": "3",
            "TIER0RAIDLV": "5",
            "EXTENTSIZE": "8192",
            "DESCRIPTION": "",
        }
        if not self._profile.dorado:
            rendered |= {"DATASPACE": str(free), "TIER1CAPACITY": "0", "TIER2CAPACITY": "0"}
        if self._profile.v6:
            rendered |= {"NEWUSAGETYPE": "0", "totalSizeWithoutSnap": rendered["LUNCONFIGEDCAPACITY"]}
        return rendered

    def lun(self, volume: Volume) -> Attributes:
        """Render a LUN."""
        copies = [job for job in self._array.jobs.values() if volume.id in {job.source_id, job.target_id}]
        seen = bool(self._array.seen_by(volume.id))
        rendered: Attributes = {
            "ID": volume.id,
            "NAME": volume.name,
            "TYPE": 11,
            "WWN": volume.wwn,
            "CAPACITY": str(volume.size // SECTOR),
            "ALLOCTYPE": "1" if volume.thin else "0",
            "ALLOCCAPACITY": str((EXTENT if volume.thin else volume.size) // SECTOR),
            "PARENTID": volume.pool_id,
            "PARENTNAME": self._array.pools[volume.pool_id].name,
            "DESCRIPTION": volume.description,
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": "53" if self._array.clock() < volume.online_at else "27",
            "SECTORSIZE": str(SECTOR),
            "EXPOSEDTOINITIATOR": wire.flag(seen),
            "ISADD2LUNGROUP": wire.flag(self._mappings.in_a_group(volume.id)),
            "IOCLASSID": self._policies.of_lun(volume.id),
            "LUNCOPYIDS": json.dumps([job.id for job in copies if job.kind == "luncopy"]),
            "SNAPSHOTIDS": json.dumps([item.id for item in self._array.snapshots.values() if item.volume_id == volume.id]),
            **_DEFAULTS,
            **volume.attributes,
        }
        rendered["HASRSSOBJECT"] = json.dumps(self._relations(volume, {job.kind for job in copies}))
        if self._profile.v6:
            is_clone = rendered["ISCLONE"] == "true"
            rendered |= {
                "mapped": wire.flag(seen),
                "functionType": "3" if is_clone else "1",
                "remoteLunWwn": "--",
                "NGUID": volume.wwn,
            }
        return rendered

    def pool_state(self) -> list[Attributes]:
        """Return the pools for the state dump."""
        return [
            {"id": pool.id, "name": pool.name, "total": pool.total, "free": self._array.free(pool.id)}
            for pool in self._array.pools.values()
        ]

    def state(self) -> list[Attributes]:
        """Return the LUNs for the state dump."""
        return [
            {
                "id": lun.id,
                "name": lun.name,
                "wwn": lun.wwn,
                "size": lun.size,
                "pool": self._array.pools[lun.pool_id].name,
                "thin": lun.thin,
                "description": lun.description,
                "attributes": lun.attributes,
            }
            for lun in self._array.volumes.values()
        ]

    def refuse_if_used(self, volume: Volume, *, but: Job | None = None) -> None:
        """Refuse to delete a LUN that something hangs on, other than one copy."""
        if any(snapshot.volume_id == volume.id for snapshot in self._array.snapshots.values()):
            raise Refusal(codes.LUN_HAS_SNAPSHOTS)
        if self._policies.of_lun(volume.id):
            raise Refusal(codes.LUN_IN_POLICY)
        busy = any(volume.id in {job.source_id, job.target_id} and job is not but for job in self._array.jobs.values())
        linked = any(other.attributes.get("CLONESOURCEID") == volume.id for other in self._array.volumes.values())
        if busy or linked or self._mappings.in_a_group(volume.id) or self._array.seen_by(volume.id):
            raise Refusal(codes.LUN_IN_USE)

    def _relations(self, volume: Volume, kinds: set[str]) -> Attributes:
        has_snapshots = any(item.volume_id == volume.id for item in self._array.snapshots.values())
        marks = {
            "SnapShot": has_snapshots,
            "LunCopy": "luncopy" in kinds,
            "RemoteReplication": False,
            "SplitMirror": False,
            "LunMigration": "migration" in kinds,
            "LUNMirror": False,
            "HyperMetro": False,
            "LunClone": "clonepair" in kinds,
            "HyperCopy": False,
        }
        if self._profile.v6:
            marks |= {"HyperCDP": False, "drStar": False, "CloudBackup": False}
        return {name: "TRUE" if there else "FALSE" for name, there in marks.items()}

    def _listed(self, items: list[Attributes], given: Attributes) -> list[Attributes]:
        return wire.select(items, given, capped=self._profile.v6)

    def _one_pool(self, _: Attributes, pool_id: str) -> Attributes:
        if pool_id not in self._array.pools:
            raise Refusal(codes.NO_OBJECT)
        return self.pool(self._array.pools[pool_id])

    def _count(self, given: Attributes, _: str) -> Attributes:
        if "ASSOCIATEOBJTYPE" in given:
            return {"COUNT": str(len(self._mappings.associated("11", given)))}
        luns = (self.lun(lun) for lun in self._array.volumes.values())
        return {"COUNT": str(len(wire.select(luns, given, capped=False)))}

    def _create(self, given: Attributes, _: str) -> Attributes:
        name = wire.checked_name(given, self._profile.name_length, cjk=self._profile.cjk)
        self.free_name(name)
        if "CLONESOURCEID" in given:
            return self._fast_clone(name, given)
        pool_id = wire.text(given, "PARENTID")
        if pool_id not in self._array.pools:
            raise Refusal(codes.NO_OBJECT)
        size = wire.number(given, "CAPACITY") * SECTOR
        allocation = wire.text(given, "ALLOCTYPE", "0" if self._profile.thick else "1")
        if size <= 0 or allocation not in {"0", "1"} or (allocation == "0" and not self._profile.thick):
            raise Refusal(codes.BAD_PARAMETER)
        attributes = _attributes(given)
        volume = self._array.create_volume(
            name,
            pool_id,
            size,
            thin=allocation == "1",
            description=wire.description(given),
            online_in=self._initialising,
        )
        volume.attributes |= attributes
        return self.lun(volume)

    def _fast_clone(self, name: str, given: Attributes) -> Attributes:
        """Make a linked clone: whole at once in this simulation, linked in what it refuses until it is split."""
        if not self._profile.dorado:
            raise Refusal(codes.NOT_SUPPORTED)
        source_id = wire.text(given, "CLONESOURCEID")
        snapshot = self._array.snapshots.get(source_id)
        source = self.usable(snapshot.volume_id if snapshot else source_id)
        if snapshot is not None and not snapshot.active:
            raise Refusal(codes.SNAPSHOT_NOT_ACTIVE)
        size = snapshot.size if snapshot else source.size
        clone = self._array.create_volume(name, source.pool_id, size, thin=True, description=wire.description(given))
        clone.attributes |= {"ISCLONE": "true", "CLONESOURCEID": source_id}
        self._array.data_plane.copy(self._array.wwn_of(source_id), clone.wwn)
        return self.lun(clone)

    def _change(self, given: Attributes, lun_id: str) -> Attributes:
        volume = self.volume(lun_id)
        attributes, description = _attributes(given), wire.description(given, volume.description)
        if "NAME" in given:
            name = wire.checked_name(given, self._profile.name_length, cjk=self._profile.cjk)
            # V6 counts the LUN's own name as taken too (sheet, trap 15).
            self.free_name(name, None if self._profile.v6 else volume)
            volume.name = name
        volume.description = description
        volume.attributes |= attributes
        return self.lun(volume)

    def _expand(self, given: Attributes, _: str) -> Attributes:
        volume = self.usable(wire.text(given, "ID"))
        size = wire.number(given, "CAPACITY") * SECTOR
        if size <= volume.size:
            raise Refusal(codes.BAD_PARAMETER)
        jobs = [job for job in self._array.jobs.values() if volume.id in {job.source_id, job.target_id}]
        if any(job.kind != "luncopy" for job in jobs) or self.is_reverting(volume):
            raise Refusal(codes.LUN_IN_USE)
        self._array.extend_volume(volume, size)
        return self.lun(volume)

    def _delete(self, _: Attributes, lun_id: str) -> None:
        volume = self.volume(lun_id)
        self.refuse_if_used(volume)
        self._array.delete_volume(volume)


def _attributes(given: Attributes) -> dict[str, str]:
    return {key: str(wire.choice(given, key, allowed)) for key, allowed in _CHANGEABLE.items() if key in given}
