"""Pools and volumes. Source: protocol sheet, sections 3.3 and 3.4.

Where the sheet is silent: a volume that is mapped, has snapshots, or takes part in a clone refuses its deletion with key 1; so
does a clone's target, which is "not usable as a volume", refuse maps and snapshots.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from conformance.simulation.engine import Array, Volume
from vendors.toyou.simulator import keys
from vendors.toyou.simulator.keys import Refusal
from vendors.toyou.simulator.wire import Call

MiB: Final = 1024**2
_PER_GIB: Final = 1024
_SIZE: Final = re.compile(r"\d{1,7}(\.\d{1,3})?")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,63}")
_VOLUMES_OF_POOL: Final = 96
_VOLUMES_OF_SYSTEM: Final = 4096

RAID: Final = "RAID Volume"
BACKUP: Final = "BACKUP"
_TYPES_AT_CREATION: Final = {"0": RAID, "10": BACKUP}
_TYPES_LATER: Final = {"2": RAID, RAID: RAID}
"""What ``set_volume --type`` takes: 2 adopts a volume, the name makes an ordinary one of a clone's target."""

Blocks = Callable[[Volume], bool]


class Storage:
    """Pools and volumes; volumes are addressed by name."""

    def __init__(
        self, array: Array, thick_pools: frozenset[str], initialising_seconds: float, *, targets_are_volumes: bool
    ) -> None:
        self._array = array
        self._thick_pools = thick_pools
        self._initialising_seconds = initialising_seconds
        self._targets_are_volumes = targets_are_volumes
        self._blocks: tuple[Blocks, ...] = ()

    def guard(self, *blocks: Blocks) -> None:
        """Say what stands in the way of a volume's deletion."""
        self._blocks = blocks

    def describe(
        self, clone: Callable[[Volume], dict[str, Any]], is_reverting: Blocks, forget_target: Callable[[Volume], None]
    ) -> None:
        """Say what a volume shows beside its own attributes, and what ends with its being a target."""
        self._clone_of, self._is_reverting, self._forget_target = clone, is_reverting, forget_target

    def verbs(self) -> dict[str, Any]:
        """Return the handlers."""
        return {
            "get_pool": self._get_pool,
            "create_volume": self._create,
            "get_volume": self._get,
            "set_volume": self._set,
            "extend_volume": self._extend,
            "delete_volume": self._delete,
        }

    def find(self, name: str) -> Volume | None:
        """Return the volume of that name."""
        return next((volume for volume in self._array.volumes.values() if volume.name == name), None)

    def named(self, name: str) -> Volume:
        """Return the volume of that name, or refuse."""
        found = self.find(name)
        if found is None:
            raise Refusal(keys.NO_VOLUME)
        return found

    def usable(self, name: str) -> Volume:
        """Return the volume of that name, or refuse one that is none yet: a clone's target before ``delete_clone``."""
        found = self.named(name)
        if found.attributes["type"] == BACKUP and not self._targets_are_volumes:
            raise Refusal(keys.UNKNOWN, "the volume is a clone's target")
        return found

    def pool_state(self) -> list[dict[str, Any]]:
        """Return the pools."""
        return [{"name": pool.name, "total": pool.total} for pool in self._array.pools.values()]

    def state(self) -> list[dict[str, Any]]:
        """Return the volumes."""
        return [
            {
                "id": volume.id,
                "name": volume.name,
                "pool": self._array.pools[volume.pool_id].name,
                "size": volume.size,
                "thin": volume.thin,
                "type": volume.attributes["type"],
                "wwn": volume.wwn,
            }
            for volume in self._array.volumes.values()
        ]

    def _get_pool(self, call: Call) -> dict[str, str]:
        name = call.one("--pool")
        pool = next((pool for pool in self._array.pools.values() if pool.name == name), None)
        if pool is None:
            return {}
        free = self._array.free(pool.id)
        volumes = [volume for volume in self._array.volumes.values() if volume.pool_id == pool.id]
        thin = {} if name in self._thick_pools else {"thin": "Enabled"}
        return {
            "name": name,
            "capacity": str(pool.total),
            "free_capacity": str(free),
            "used_capacity": str(pool.total - free),
            "total_volumes": str(len(volumes)),
            **thin,
        }

    def _create(self, call: Call) -> None:
        size, name, pool_name, kind = (call.one(option) for option in ("--size", "--volume", "--pool", "--type"))
        if kind not in _TYPES_AT_CREATION or not _NAME.fullmatch(name):
            raise Refusal(keys.UNKNOWN)
        pool = next((pool for pool in self._array.pools.values() if pool.name == pool_name), None)
        if pool is None:
            raise Refusal(keys.NO_POOL)
        if self.find(name) is not None:
            raise Refusal(keys.VOLUME_EXISTS)
        if len(self._array.volumes) >= _VOLUMES_OF_SYSTEM:
            raise Refusal(keys.SYSTEM_LIMIT)
        if sum(volume.pool_id == pool.id for volume in self._array.volumes.values()) >= _VOLUMES_OF_POOL:
            raise Refusal(keys.POOL_LIMIT)
        made = self._array.create_volume(
            name, pool.id, _bytes(size), thin=pool_name not in self._thick_pools, online_in=self._initialising_seconds
        )
        made.attributes["type"] = _TYPES_AT_CREATION[kind]

    def _get(self, call: Call) -> list[dict[str, Any]]:
        # In any order, and without those that are not there.
        found = [self.find(name) for name in dict.fromkeys(call.several("--volume"))]
        return [self._shown(volume) for volume in reversed(found) if volume is not None]

    def _shown(self, volume: Volume) -> dict[str, Any]:
        clone = self._clone_of(volume)
        progress = clone.pop("r")
        status = clone.pop("status")
        if self._array.clock() < volume.online_at:
            status = "Initiating"
        elif self._is_reverting(volume):
            status = "Rolling back"
        megabytes = volume.size // MiB
        whole = megabytes % _PER_GIB == 0
        return {
            "id": f"{int(volume.id) + 1:010d}",
            "name": volume.name,
            "size_gb": str(megabytes // _PER_GIB) if whole else f"{megabytes / _PER_GIB:.1f}",
            "size_mb": str(megabytes),
            "status": status,
            "health": "Optimal",
            "r": progress,
            "poolname": self._array.pools[volume.pool_id].name,
            **clone,
            "type": volume.attributes["type"],
        }

    def _set(self, call: Call) -> None:
        volume = self.named(call.one("--volume"))
        new_name, kind = call.given("--new_name"), call.given("--type")
        if new_name and not _NAME.fullmatch(new_name):
            raise Refusal(keys.UNKNOWN, f"bad name {new_name}")
        if new_name and self.find(new_name) not in (None, volume):
            raise Refusal(keys.VOLUME_EXISTS)
        if kind:
            if kind not in _TYPES_LATER:
                raise Refusal(keys.UNKNOWN)
            self._forget_target(volume)
            volume.attributes["type"] = _TYPES_LATER[kind]
        if new_name:
            volume.name = new_name

    def _extend(self, call: Call) -> None:
        volume, size = self.named(call.one("--volume")), _bytes(call.one("--size"))
        if size < volume.size:
            raise Refusal(keys.SIZE_SMALLER)
        if size == volume.size:
            raise Refusal(keys.SIZE_EQUAL)
        self._array.extend_volume(volume, size)

    def _delete(self, call: Call) -> None:
        volume = self.find(call.one("--volume"))
        if volume is None:
            return
        if any(blocks(volume) for blocks in self._blocks):
            raise Refusal(keys.UNKNOWN, "the volume is in use")
        self._array.delete_volume(volume)


def _bytes(gib: str) -> int:
    """Return a size in GiB, decimals allowed, in whole MiB."""
    if not _SIZE.fullmatch(gib) or float(gib) <= 0:
        raise Refusal(keys.UNKNOWN, f"bad size {gib}")
    return int(float(gib) * _PER_GIB) * MiB
