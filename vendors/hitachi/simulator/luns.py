"""LU paths, and what the data plane is told of them. Source: protocol sheet, section 3.11."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conformance.simulation.dataplane import Access, DataPlane
from vendors.hitachi.simulator import codes, wire
from vendors.hitachi.simulator.codes import Failure, Refusal, not_there
from vendors.hitachi.simulator.hosts import Group, Hosts
from vendors.hitachi.simulator.jobs import Outcome
from vendors.hitachi.simulator.storage import Storage
from vendors.hitachi.simulator.wire import Object

_LUNS = range(2048)
_MOST_PORTS = 6


class Luns:
    """The LU paths of an array.

    Args:
        hosts: the groups that they lead from.
        storage: the LDEVs that they lead to.
        data_plane: serves them.
        several: whether one request may name several ports.
    """

    def __init__(self, hosts: Hosts, storage: Storage, data_plane: DataPlane, *, several: bool) -> None:
        self._hosts = hosts
        self._storage = storage
        self._data_plane = data_plane
        self._several = several

    def reads(self) -> Mapping[str, Callable[..., Any]]:
        """Return the handlers of GET."""
        return {"luns": self._list}

    def changes(self) -> Mapping[tuple[str, str], Callable[..., Outcome]]:
        """Return the handlers of jobs."""
        return {
            ("POST", "luns"): self._create,
            ("DELETE", "luns/{id}"): self._delete,
            ("POST", "luns/{id}/actions/release-lu-host-reserve/invoke"): self._release,
        }

    def add(self, group: Group, ldev_id: int, lun: int) -> None:
        """Define a path, whether or not it can be."""
        group.luns[lun] = ldev_id
        self._storage.show_identity(ldev_id)

    def paths_of(self, ldev_id: int) -> list[Object]:
        """Return the paths of an LDEV, as the LDEV shows them."""
        return [
            {"portId": group.port.id, "hostGroupNumber": group.number, "hostGroupName": group.name, "lun": lun}
            for group in self._hosts.every()
            for lun, of in group.luns.items()
            if of == ldev_id
        ]

    def state(self) -> list[Object]:
        """Return the paths for the state dump."""
        return [
            {"port": group.port.id, "group": group.name, "volume": self._storage.find(ldev_id).name, "lun": lun}
            for group in self._hosts.every()
            for lun, ldev_id in group.luns.items()
        ]

    def serve(self) -> None:
        """Tell the data plane who may reach what, each group through its own port only."""
        self._data_plane.serve(
            [
                Access(
                    group.id,
                    self._storage.wwn(ldev_id),
                    lun,
                    tuple(group.initiators),
                    _chap(group),
                    portal=group.port.address if group.port.iscsi else None,
                    target=group.iqn or None,
                )
                for group in self._hosts.every()
                for lun, ldev_id in group.luns.items()
                if _usable(group)
            ]
        )

    def _list(self, query: Mapping[str, str]) -> list[Object]:
        group = self._hosts.asked_group(query)
        basic = query.get("isBasicLunInformation", "false").lower() == "true"
        return [self._rendered(group, lun, basic=basic) for lun in sorted(group.luns)]

    def _rendered(self, group: Group, lun: int, *, basic: bool) -> Object:
        found: Object = {
            "lunId": f"{group.id},{lun}",
            "portId": group.port.id,
            "hostGroupNumber": group.number,
            "hostMode": group.mode,
            "lun": lun,
            "ldevId": group.luns[lun],
            "isCommandDevice": False,
        }
        if not basic:
            names = ("openSystem", "persistent", "pgrKey", "mainframe", "acaReserve")
            found |= {"luHostReserve": dict.fromkeys(names, False), "hostModeOptions": group.options}
        return found

    def _create(self, given: Object) -> Outcome:
        wire.only(given, "portId", "hostGroupNumber", "ldevId", "lun", *(("portIds",) if self._several else ()))
        groups = self._groups(given)
        ldev_id = wire.number(given, "ldevId")
        self._storage.find(ldev_id)
        if any(ldev_id in group.luns.values() for group in groups):
            raise Failure(codes.PATH_DEFINED)
        lun = wire.optional_number(given, "lun")
        if lun is not None and lun not in _LUNS:
            raise Refusal(400, codes.OUT_OF_RANGE, "lun")
        if any(lun in group.luns for group in groups):
            raise Failure(codes.LUN_TAKEN)
        affected = []
        for group in groups:
            chosen = lun if lun is not None else _free(group)
            self.add(group, ldev_id, chosen)
            affected.append(f"luns/{group.id},{chosen}")
        self.serve()
        return Outcome(affected)

    def _groups(self, given: Object) -> list[Group]:
        number = wire.number(given, "hostGroupNumber")
        if "portIds" not in given:
            return [self._hosts.group(wire.text(given, "portId"), number)]
        ports = given["portIds"]
        if "portId" in given or not isinstance(ports, list) or not 1 <= len(ports) <= _MOST_PORTS:
            raise Refusal(400, codes.BAD_COMBINATION, "portIds")
        return [self._hosts.group(wire.text({"portId": port}, "portId"), number) for port in dict.fromkeys(ports)]

    def _found(self, lun_id: str) -> tuple[Group, int]:
        port_id, number, lun = (*lun_id.split(",", 2), "", "")[:3]
        group = self._hosts.group(port_id, wire.number({"number": number}, "number"))
        found = wire.number({"lun": lun}, "lun")
        if found not in group.luns:
            raise not_there("EX_ENOOBJ")
        return group, found

    def _delete(self, lun_id: str, given: Object) -> Outcome:
        wire.only(given)
        group, lun = self._found(lun_id)
        del group.luns[lun]
        self.serve()
        return Outcome([f"luns/{lun_id}"])

    def _release(self, lun_id: str, given: Object) -> Outcome:
        wire.parameters(given)
        self._found(lun_id)
        return Outcome([f"luns/{lun_id}"])


def _free(group: Group) -> int:
    """Return the lowest free LUN above 0, which the data plane cannot show."""
    for lun in _LUNS[1:]:
        if lun not in group.luns:
            return lun
    raise Failure(codes.NO_LUN)


def _chap(group: Group) -> tuple[str, str] | None:
    if group.authentication != "CHAP":
        return None
    return next(((name, secret) for (way, name), secret in group.chap.items() if way == "INI" and secret), None)


def _usable(group: Group) -> bool:
    """Tell whether an initiator can log in at all: with CHAP demanded and no credentials set, none can."""
    return group.authentication != "CHAP" or _chap(group) is not None
