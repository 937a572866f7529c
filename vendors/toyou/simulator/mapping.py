"""LUN maps: a volume, a protocol, an initiator. Source: protocol sheet, section 3.7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from conformance.simulation.engine import Array, Initiator, Volume
from vendors.toyou.simulator import keys
from vendors.toyou.simulator.keys import Refusal
from vendors.toyou.simulator.storage import Storage
from vendors.toyou.simulator.system import System
from vendors.toyou.simulator.wire import Call

_ISCSI: Final = "iSCSI"
_KINDS: Final = {"FC": "fc", _ISCSI: "iscsi"}
_LUNS: Final = range(1, 1024)
_EVERY: Final = "-1"


class Mappings:
    """Who sees what; a volume has one LUN for all its initiators."""

    def __init__(self, array: Array, storage: Storage, system: System) -> None:
        self._array = array
        self._storage = storage
        self._system = system
        self._luns: dict[str, int] = {}
        self._maps: set[tuple[str, str, str]] = set()
        """(volume id, kind, initiator)"""

    def verbs(self) -> dict[str, Any]:
        """Return the handlers."""
        return {"create_lun_map": self._create, "delete_lun_map": self._delete}

    def blocks(self, volume: Volume) -> bool:
        """Tell whether a volume is mapped."""
        return volume.id in self._luns

    def state(self) -> list[dict[str, Any]]:
        """Return the maps."""
        return [
            {
                "volume": self._array.volumes[volume].name,
                "protocol": kind,
                "initiator": initiator,
                "lun": self._luns[volume],
            }
            for volume, kind, initiator in sorted(self._maps)
        ]

    def _create(self, call: Call) -> dict[str, Any]:
        volume, kind, initiators = self._asked(call)
        if not initiators:
            raise Refusal(keys.NO_HOST)
        self._storage.usable(volume.name)
        if volume.id not in self._luns:
            self._luns[volume.id] = self._free_lun()
        self._maps |= {(volume.id, kind, initiator) for initiator in initiators}
        self._serve()
        lun = self._luns[volume.id]
        if kind == "fc":
            return {"lun": lun}
        portals = self._system.portals()
        return {
            "lun": [lun for _ in portals],
            "iscsi_name": [portal["iqn"] for portal in portals],
            "portal": [portal["portal"] for portal in portals],
        }

    def _delete(self, call: Call) -> None:
        volume, kind, initiators = self._asked(call)
        there = {item for item in self._maps if item[:2] == (volume.id, kind)}
        gone = there if initiators == [_EVERY] else {item for item in there if item[2] in initiators}
        if not gone or (initiators != [_EVERY] and len(gone) < len(set(initiators))):
            raise Refusal(keys.NO_MAP)
        self._maps -= gone
        if not any(item[0] == volume.id for item in self._maps):
            del self._luns[volume.id]
        self._serve()

    def _asked(self, call: Call) -> tuple[Volume, str, list[str]]:
        name, protocol = call.one("--volume"), call.one("--protocol")
        call.one("--host")
        if protocol not in _KINDS:
            raise Refusal(keys.UNKNOWN, f"bad protocol {protocol}")
        hosts = call.several("--host")
        return self._storage.named(name), _KINDS[protocol], _canonical(hosts, protocol)

    def _free_lun(self) -> int:
        taken = set(self._luns.values())
        for lun in _LUNS:
            if lun not in taken:
                return lun
        raise Refusal(keys.NO_LUN)

    def _serve(self) -> None:
        array = self._array
        array.initiators = {address: Initiator(address, kind, host_id=address) for _, kind, address in self._maps}
        array.visible = {}
        for volume, _, address in sorted(self._maps):
            array.visible.setdefault(address, {})[volume] = self._luns[volume]
        array.serve()


def _canonical(hosts: Sequence[str], protocol: str) -> list[str]:
    return list(hosts) if protocol == _ISCSI else [host.lower() for host in hosts]
