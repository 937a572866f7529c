"""Pools and LDEVs. Source: protocol sheet, sections 3.2 to 3.5."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from conformance.simulation.engine import EXTENT, Array, OutOfSpace, Volume
from vendors.hitachi.simulator import codes, wire
from vendors.hitachi.simulator.codes import Failure, Refusal, not_there
from vendors.hitachi.simulator.jobs import Outcome
from vendors.hitachi.simulator.profiles import Profile
from vendors.hitachi.simulator.wire import BLOCK, MiB, Object

V_VOL_POOL = -1
_MIN_BLOCKS = 47 * MiB // BLOCK
_MAX_BLOCKS = 256 * 1024**4 // BLOCK
_LABEL = re.compile(r"[A-Za-z0-9!#$%&'()+,\-.:=@\[\]^_`{}~/\\ ]{0,32}")
_REDUCTION = ("disabled", "compression", "compression_deduplication")
_PAGE = 100
_MOST = 16384
_CREATE = (
    "poolId",
    "byteFormatCapacity",
    "blockCapacity",
    "ldevId",
    "isParallelExecutionEnabled",
    "startLdevId",
    "endLdevId",
    "dataReductionMode",
)


class Links(Protocol):
    """What an LDEV may hang on."""

    def paths_of(self, ldev_id: int) -> list[Object]:
        """Return its LU paths, as the LDEV shows them."""
        ...

    def marks_of(self, ldev_id: int) -> set[str]:
        """Return the attributes that its pairs give it."""
        ...

    def snapshot_pool_of(self, ldev_id: int) -> int | None:
        """Return the pool of the snapshot pair whose S-VOL it is."""
        ...

    def may_grow(self, ldev_id: int) -> bool:
        """Tell whether all its pairs are split."""
        ...


class Storage:
    """Pools and LDEVs of an array.

    Args:
        array: the state.
        profile: the model's.
        serial: 12 hexadecimal digits that tell this array's LDEVs from every other's.
        seconds: how long a new LDEV is being defined.
    """

    def __init__(self, array: Array, profile: Profile, serial: str, seconds: float) -> None:
        self._array = array
        self._profile = profile
        self._serial = serial
        self._seconds = seconds
        self._links: Links
        self.qos: dict[int, dict[str, int]] = {}
        """LDEV id -> limits that are not off."""
        self._had_path: set[int] = set()

    def use(self, links: Links) -> None:
        """Say where LU paths and pairs are."""
        self._links = links

    def reads(self) -> Mapping[str, Callable[..., Any]]:
        """Return the handlers of GET."""
        return {
            "pools": self._pools,
            "pools/{id}": lambda pool_id, _: self._pool(self._pool_id(pool_id)),
            "ldevs": self._list,
            "ldevs/{id}": lambda ldev_id, _: self.rendered(self._in_range(ldev_id)),
            "total-capacities/instance": lambda _: self._totals(),
        }

    def changes(self) -> Mapping[tuple[str, str], Callable[..., Outcome]]:
        """Return the handlers of jobs."""
        return {
            ("POST", "ldevs"): self._create,
            ("PATCH", "ldevs/{id}"): self._change,
            ("DELETE", "ldevs/{id}"): self._delete,
            ("POST", "ldevs/{id}/actions/expand/invoke"): self._expand,
            ("POST", "ldevs/{id}/actions/discard-zero-page/invoke"): self._reclaim,
            ("POST", "ldevs/{id}/actions/change-status/invoke"): self._change_status,
        }

    # LDEVs for the other parts

    def find(self, ldev_id: int) -> Volume:
        """Return an LDEV, or fail for an id that is free."""
        volume = self._array.volumes.get(str(ldev_id))
        if volume is None:
            raise not_there("EX_ENLDEV" if ldev_id >= self._profile.ldevs else "EX_ENOOBJ")
        return volume

    def wwn(self, ldev_id: int) -> str:
        """Return the NAA identifier of an LDEV; the same one whenever that id is used."""
        return f"6{0:015x}{self._serial}{ldev_id:04x}"

    def add(self, ldev_id: int, pool_id: int, count: int, label: str = "") -> Volume:
        """Define an LDEV of so many blocks."""
        identity = (str(ldev_id), self.wwn(ldev_id))
        if pool_id == V_VOL_POOL:
            volume = Volume(identity[0], label, str(V_VOL_POOL), count * BLOCK, thin=True, wwn=identity[1])
            self._array.volumes[volume.id] = volume
            self._array.data_plane.create(volume.wwn, volume.size)
            return volume
        try:
            return self._array.create_volume(
                label, str(pool_id), count * BLOCK, thin=True, online_in=self._seconds, identity=identity
            )
        except OutOfSpace:
            raise Failure(codes.POOL_FULL) from None

    def show_identity(self, ldev_id: int) -> None:
        """Let an LDEV tell its NAA identifier from now on: it has got an LU path, and a host may write to it."""
        self._had_path.add(ldev_id)
        self.touch(ldev_id)

    def touch(self, ldev_id: int) -> None:
        """Let an LDEV have pages from now on."""
        self.find(ldev_id).attributes["used"] = "86016"

    def rendered(self, ldev_id: int, *, qos: bool = False) -> Object:
        """Render an LDEV, or a free id."""
        volume = self._array.volumes.get(str(ldev_id))
        head: Object = {"ldevId": ldev_id, "clprId": 0, "ssid": "0008", "resourceGroupId": 0}
        if volume is None:
            return head | {"virtualLdevId": 65534, "emulationType": "NOT DEFINED"}
        if volume.online_at > self._array.clock():
            return head | {"emulationType": "DEFINING", "status": "BSY"}
        count = volume.size // BLOCK
        found = head | {
            "emulationType": "OPEN-V-CVS",
            "byteFormatCapacity": wire.formatted(count),
            "blockCapacity": count,
            "attributes": self._attributes(volume),
            "status": "NML",
            "mpBladeId": ldev_id % 4,
            "poolId": int(volume.pool_id),
            "numOfUsedBlock": self._used(volume),
            "isFullAllocationEnabled": not volume.thin,
            "isAluaEnabled": False,
        }
        if self._profile.embedded:
            mode = volume.attributes.get("reduction", "disabled")
            found |= {"dataReductionStatus": "DISABLED" if mode == "disabled" else "ENABLED", "dataReductionMode": mode}
        if volume.name:
            found["label"] = volume.name
        if paths := self._links.paths_of(ldev_id):
            found |= {"numOfPorts": len(paths), "ports": paths}
        if ldev_id in self._had_path:
            found["naaId"] = volume.wwn
        if (pool := self._links.snapshot_pool_of(ldev_id)) is not None:
            found["snapshotPoolId"] = pool
        if qos and ldev_id in self.qos:
            found["qos"] = dict(self.qos[ldev_id])
        return found

    def state(self) -> list[Object]:
        """Return the LDEVs for the state dump."""
        return [
            {
                "id": int(volume.id),
                "name": volume.name,
                "wwn": volume.wwn,
                "size": volume.size,
                "pool": self._pool_name(volume.pool_id),
                "thin": volume.thin,
                "qos": self.qos.get(int(volume.id), {}),
            }
            for volume in self._array.volumes.values()
        ]

    def pool_state(self) -> list[Object]:
        """Return the pools for the state dump."""
        return [{"id": pool.id, "name": pool.name} for pool in self._array.pools.values()]

    def pool_number(self, given: Mapping[str, Any], key: str) -> int:
        """Return the id of a pool that is there."""
        pool_id = wire.number(given, key)
        if str(pool_id) not in self._array.pools:
            raise not_there()
        return pool_id

    def _pool_name(self, pool_id: str) -> str:
        pool = self._array.pools.get(pool_id)
        return pool.name if pool else ""

    def _used(self, volume: Volume) -> int:
        """Return the blocks that have pages; a page is taken for one where a host or a copy could write."""
        return int(volume.attributes.get("used", "0"))

    def _attributes(self, volume: Volume) -> list[str]:
        base = ["CVS", "VVOL" if volume.pool_id == str(V_VOL_POOL) else "HDP"]
        marks = self._links.marks_of(int(volume.id))
        return base + sorted(marks) + (["CMD"] if "command" in volume.attributes else [])

    def _in_range(self, text: str) -> int:
        if not (text.isascii() and text.isdecimal()):
            raise Refusal(400, codes.BAD_COMBINATION, "ldevId")
        if int(text) >= self._profile.ldevs:
            raise Refusal(400, codes.OUT_OF_RANGE, "ldevId")
        return int(text)

    def _list(self, query: Mapping[str, str]) -> list[Object]:
        head = wire.number(query, "headLdevId", 0)
        count = wire.number(query, "count", _PAGE)
        if head < 0 or not 1 <= count <= _MOST:
            raise Refusal(400, codes.OUT_OF_RANGE, "headLdevId or count")
        option = query.get("ldevOption")
        pool = wire.optional_number(query, "poolId")
        qos = self._profile.qos and query.get("detailInfoType") == "qos"
        if option is None and pool is None:
            return [self.rendered(ldev_id, qos=qos) for ldev_id in range(head, min(head + count, self._profile.ldevs))]
        found: list[Object] = []
        for ldev_id in self._ids(head, free=option == "undefined"):
            if self._matches(ldev_id, option, pool):
                found.append(self.rendered(ldev_id, qos=qos))
                if len(found) == count:
                    break
        return found

    def _ids(self, head: int, *, free: bool) -> Iterator[int]:
        if free:
            return (number for number in range(head, self._profile.ldevs) if str(number) not in self._array.volumes)
        return iter(sorted(number for key in self._array.volumes if (number := int(key)) >= head))

    def _matches(self, ldev_id: int, option: str | None, pool: int | None) -> bool:
        volume = self._array.volumes.get(str(ldev_id))
        if volume is None:
            return option == "undefined"
        if pool is not None and volume.pool_id != str(pool):
            return False
        tests: dict[str | None, Callable[[], bool]] = {
            None: lambda: True,
            "defined": lambda: True,
            "dpVolume": lambda: volume.pool_id != str(V_VOL_POOL),
            "luMapped": lambda: bool(self._links.paths_of(ldev_id)),
            "luUnmapped": lambda: not self._links.paths_of(ldev_id),
            "externalVolume": lambda: False,
            "undefined": lambda: False,
        }
        if option not in tests:
            raise Refusal(400, codes.BAD_COMBINATION, "ldevOption")
        return tests[option]()

    def _create(self, given: Object) -> Outcome:
        wire.only(given, *_CREATE)
        parallel = wire.flag(given, "isParallelExecutionEnabled")
        if parallel and "ldevId" in given:
            raise Refusal(400, codes.BAD_COMBINATION, "ldevId")
        pool_id = wire.number(given, "poolId")
        if pool_id != V_VOL_POOL:
            pool_id = self.pool_number(given, "poolId")
        count = wire.blocks(given, "byteFormatCapacity", "blockCapacity")
        mode = wire.choice(given, "dataReductionMode", _REDUCTION, "disabled")
        if mode != "disabled" and not self._profile.embedded:
            raise Refusal(400, codes.UNKNOWN_ATTRIBUTE, "dataReductionMode")
        if not _MIN_BLOCKS <= count <= _MAX_BLOCKS:
            raise Failure(codes.TOO_SMALL)
        volume = self.add(self._free_id(given), pool_id, count)
        volume.attributes["reduction"] = mode
        return Outcome([f"ldevs/{volume.id}"], volume.online_at)

    def _free_id(self, given: Object) -> int:
        if "ldevId" in given:
            wanted = wire.number(given, "ldevId")
            if not 0 <= wanted < self._profile.ldevs:
                raise Refusal(400, codes.OUT_OF_RANGE, "ldevId")
            if str(wanted) in self._array.volumes:
                raise Failure(codes.LDEV_DEFINED)
            return wanted
        first = wire.number(given, "startLdevId", 0)
        last = min(wire.number(given, "endLdevId", self._profile.ldevs - 1), self._profile.ldevs - 1)
        for candidate in range(first, last + 1):
            if str(candidate) not in self._array.volumes:
                return candidate
        raise Failure(codes.NO_FREE_LDEV)

    def _change(self, ldev_id: str, given: Object) -> Outcome:
        wire.only(given, "label", "dataReductionMode", "isFullAllocationEnabled", "isAluaEnabled")
        label = wire.text(given, "label", "")
        if _LABEL.fullmatch(label) is None or label != label.strip():
            raise Refusal(400, codes.BAD_COMBINATION, "label")
        mode = wire.choice(given, "dataReductionMode", _REDUCTION, "disabled")
        full = wire.flag(given, "isFullAllocationEnabled")
        volume = self.find(self._in_range(ldev_id))
        if "isFullAllocationEnabled" in given:
            self._allocate(volume, full=full)
        if "label" in given:
            volume.name = label
        if "dataReductionMode" in given:
            volume.attributes["reduction"] = mode
        return Outcome([f"ldevs/{ldev_id}"])

    def _allocate(self, volume: Volume, *, full: bool) -> None:
        if full and volume.thin and volume.size - EXTENT > self._array.free(volume.pool_id):
            raise Failure(codes.POOL_FULL)
        volume.thin = not full

    def _expand(self, ldev_id: str, given: Object) -> Outcome:
        found = wire.parameters(given, "additionalByteFormatCapacity", "additionalBlockCapacity", "enhancedExpansion")
        more = wire.blocks(found, "additionalByteFormatCapacity", "additionalBlockCapacity")
        enhanced = wire.flag(found, "enhancedExpansion")
        number = self._in_range(ldev_id)
        volume = self.find(number)
        if volume.pool_id == str(V_VOL_POOL):
            raise Refusal(412, codes.BAD_COMBINATION, "not a DP volume")
        if self._links.marks_of(number) and not (enhanced and self._links.may_grow(number)):
            raise Failure(codes.LDEV_IN_USE)
        if volume.size // BLOCK + more > _MAX_BLOCKS:
            raise Failure(codes.TOO_SMALL)
        try:
            self._array.extend_volume(volume, volume.size + more * BLOCK)
        except OutOfSpace:
            raise Failure(codes.POOL_FULL) from None
        return Outcome([f"ldevs/{ldev_id}"])

    def _delete(self, ldev_id: str, given: Object) -> Outcome:
        wire.only(given, "isDataReductionDeleteForceExecute")
        forced = wire.flag(given, "isDataReductionDeleteForceExecute")
        number = self._in_range(ldev_id)
        volume = self.find(number)
        if self._links.paths_of(number) or self._links.marks_of(number):
            raise Failure(codes.LDEV_IN_USE)
        if volume.attributes.get("reduction", "disabled") != "disabled" and not forced:
            raise Failure(codes.LDEV_IN_USE)
        self.qos.pop(number, None)
        self._had_path.discard(number)
        self._array.delete_volume(volume)
        return Outcome([f"ldevs/{ldev_id}"])

    def _reclaim(self, ldev_id: str, given: Object) -> Outcome:
        wire.parameters(given)
        self.find(self._in_range(ldev_id))
        return Outcome([f"ldevs/{ldev_id}"])

    def _change_status(self, ldev_id: str, given: Object) -> Outcome:
        wire.choice(wire.parameters(given, "status"), "status", ("blk", "nml"))
        self.find(self._in_range(ldev_id))
        return Outcome([f"ldevs/{ldev_id}"])

    # Pools

    def _pool_id(self, text: str) -> str:
        if text not in self._array.pools:
            raise Refusal(404, codes.NOT_THERE, "poolId")
        return text

    def _pools(self, query: Mapping[str, str]) -> list[Object]:
        kind = query.get("poolType", "DP")
        if kind not in {"DP", "HTI"}:
            raise Refusal(400, codes.BAD_COMBINATION, "poolType")
        return [self._pool(pool_id) for pool_id in self._array.pools] if kind == "DP" else []

    def _pool(self, pool_id: str) -> Object:
        pool = self._array.pools[pool_id]
        free = self._array.free(pool_id) // MiB
        total = pool.total // MiB
        rate = 100 - free * 100 // total if total else 0
        return {
            "poolId": int(pool_id),
            "poolName": pool.name,
            "poolType": "HDP",
            "poolStatus": "POLF" if self._array.full else "POLN",
            "usedCapacityRate": rate,
            "usedPhysicalCapacityRate": rate,
            "availableVolumeCapacity": free,
            "totalPoolCapacity": total,
            "availablePhysicalVolumeCapacity": free,
            "totalPhysicalCapacity": total,
            "totalLocatedCapacity": self._array.provisioned(pool_id) // MiB,
            "numOfLdevs": 4,
            "firstLdevId": self._profile.ldevs - 1,
            "warningThreshold": 70,
            "depletionThreshold": 80,
            "virtualVolumeCapacityRate": -1,
            "locatedVolumeCount": sum(volume.pool_id == pool_id for volume in self._array.volumes.values()),
            "snapshotCount": 0,
            "snapshotUsedCapacity": 0,
            "suspendSnapshot": True,
            "isMainframe": False,
            "isShrinking": False,
            "blockingMode": "NB",
        }

    def _totals(self) -> Object:
        total = sum(pool.total for pool in self._array.pools.values()) // 1024
        free = sum(self._array.free(pool_id) for pool_id in self._array.pools) // 1024
        whole = {"freeSpace": free, "totalCapacity": total}
        return {"internal": whole, "external": {"freeSpace": 0, "totalCapacity": 0}, "total": whole}
