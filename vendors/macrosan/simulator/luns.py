"""LUNs. Source: protocol sheet, sections 2 and 3.2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conformance.simulation.engine import Array, Volume
from vendors.macrosan.simulator import wire
from vendors.macrosan.simulator.pools import Pools
from vendors.macrosan.simulator.wire import GB, Arguments, Refusal, Routes

STRATEGIES = frozenset({"QoS-gold", "QoS-silver"})
"""What an administrator has made beforehand."""

RESOURCE = "resource"
"""Marks the engine's volumes that are snapshot resources: they take space, and are no LUNs."""


class Luns:
    """The LUNs of an array."""

    def __init__(self, array: Array, pools: Pools) -> None:
        self._array = array
        self._pools = pools
        self._held_by: list[Callable[[Volume], bool]] = []
        self._renamers: list[Callable[[str, str], bool]] = []

    def use(self, *held_by: Callable[[Volume], bool], renames: Callable[[str, str], bool]) -> None:
        """Learn what may hang on a LUN, and what else can be renamed like one."""
        self._held_by = list(held_by)
        self._renamers = [renames]

    def routes(self) -> Routes:
        """Return the handlers."""
        return {
            ("POST", "lun", ""): self._create,
            ("DELETE", "lun", ""): self._delete,
            ("GET", "lun", "existence"): lambda given: self.by_name(wire.text(given, "name")) is not None,
            ("GET", "lun", "lun_uuid"): lambda given: uuid(self.find(given, "lun_name")),
            ("GET", "lun", "lun_name"): self._name,
            ("GET", "lun", "lun_sp"): lambda given: self.find(given, "name").attributes["owner"],
            ("GET", "lun", "base_info"): self._base_info,
            ("PUT", "lun", "name"): self._rename,
            ("PUT", "lun", "capicity"): self._extend,
            ("PUT", "lun", "qos"): self._qos,
        }

    def all(self) -> list[Volume]:
        """Return every LUN."""
        return [volume for volume in self._array.volumes.values() if RESOURCE not in volume.attributes]

    def by_name(self, name: str) -> Volume | None:
        """Return the LUN of that name."""
        return next((volume for volume in self.all() if volume.name == name), None)

    def find(self, given: Arguments, key: str = "lun_name") -> Volume:
        """Return the LUN that an argument names, or refuse."""
        found = self.by_name(wire.text(given, key))
        if found is None:
            raise Refusal(wire.NOT_FOUND, "LUN does not exist")
        return found

    def state(self) -> list[Mapping[str, Any]]:
        """Return the LUNs."""
        return [
            {
                "id": volume.id,
                "name": volume.name,
                "size": volume.size,
                "pool": self._pools.name_of(volume),
                "thin": volume.thin,
                "wwn": volume.wwn,
                "qos": volume.attributes.get("qos", ""),
            }
            for volume in self.all()
        ]

    def _create(self, given: Arguments) -> bool:
        name, owner = wire.name(given, "name"), wire.text(given, "owner")
        if owner not in {"SP1", "SP2"} or not isinstance(given.get("lun_mode"), bool):
            raise Refusal(wire.BAD_REQUEST)
        if self.by_name(name) is not None:
            raise Refusal(wire.CONFLICT, "LUN exists")
        pool_id, size, thin = self._pools.id_of(given), wire.size(given), bool(given["lun_mode"])
        raids = wire.texts(given, "raids")
        shares = {} if thin else self._pools.room(pool_id, raids, size)
        made = self._array.create_volume(name, pool_id, size, thin=thin)
        self._pools.take(made, shares)
        made.attributes["owner"] = owner
        return True

    def _delete(self, given: Arguments) -> bool:
        volume = self.find(given, "name")
        if any(holds(volume) for holds in self._held_by):
            raise Refusal(wire.CONFLICT, "LUN is in use")
        self._pools.give_back(volume)
        self._array.delete_volume(volume)
        return True

    def _name(self, given: Arguments) -> str:
        wanted = wire.text(given, "lun_uuid")
        for volume in self.all():
            if uuid(volume) == wanted:
                return volume.name
        raise Refusal(wire.NOT_FOUND, "LUN does not exist")

    def _base_info(self, given: Arguments) -> Mapping[str, Any]:
        volume = self.find(given, "name")
        mode = "thin" if volume.thin else "thick"
        return {"pool": self._pools.name_of(volume), "size": wire.gigabytes(volume.size), "lun_mode": mode}

    def _rename(self, given: Arguments) -> bool:
        old, new = wire.text(given, "old_name"), wire.name(given, "new_name")
        if self.by_name(new) is not None:
            raise Refusal(wire.CONFLICT, "LUN exists")
        volume = self.by_name(old)
        if volume is not None:
            volume.name = new
        elif not any(rename(old, new) for rename in self._renamers):
            raise Refusal(wire.NOT_FOUND, "LUN does not exist")
        return True

    def _extend(self, given: Arguments) -> bool:
        volume, more = self.find(given, "name"), wire.number(given, "size") * GB
        raids = wire.texts(given, "raids")
        if more <= 0:
            raise Refusal(wire.BAD_REQUEST)
        shares = {} if volume.thin else self._pools.room(volume.pool_id, raids, more)
        self._array.extend_volume(volume, volume.size + more)
        self._pools.take(volume, shares)
        return True

    def _qos(self, given: Arguments) -> bool:
        volume, strategy = self.find(given, "name"), given.get("strategy")
        if strategy and strategy not in STRATEGIES:
            raise Refusal(wire.NOT_FOUND, "QoS strategy does not exist")
        volume.attributes["qos"] = str(strategy or "")
        return True


def uuid(volume: Volume) -> str:
    """Return a LUN's uuid; it is no part of the identity that hosts see."""
    return f"0x00b34204-02c10000-{volume.wwn[16:24]}-{volume.wwn[24:]}"
