"""Clients, initiators, and the LUNs that initiators see. Source: protocol sheet, section 3.4.

LUNs are mapped in the pair of an initiator and a target (IT). The data plane shows an initiator the LUNs of all its pairs at every
portal, under the LUN id of the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from conformance.simulation.engine import Array, Initiator, Volume
from vendors.macrosan.simulator import wire
from vendors.macrosan.simulator.luns import Luns
from vendors.macrosan.simulator.ports import Ports, colons
from vendors.macrosan.simulator.snapshots import Snapshots, View
from vendors.macrosan.simulator.wire import Arguments, Refusal, Routes

_LONGEST_CLIENT = 31
_LUN_IDS = 511
_ANY_LUN = -1
_WWPN = re.compile(r"([0-9a-f]{2}:){7}[0-9a-f]{2}")

Pair = tuple[str, str]
"""Address of an initiator, name of a target."""


class Hosts:
    """Who may see what."""

    def __init__(self, array: Array, ports: Ports, luns: Luns, snapshots: Snapshots, first_lun: int) -> None:
        self._array = array
        self._ports = ports
        self._luns = luns
        self._snapshots = snapshots
        self._first_lun = first_lun
        self._clients: dict[str, None] = {}
        self._client_of: dict[str, str] = {}
        self._maps: dict[Pair, dict[str, int]] = {}

    def routes(self) -> Routes:
        """Return the handlers."""
        return {
            ("GET", "client", ""): lambda given: {"name": given["name"]} if given.get("name") in self._clients else None,
            ("POST", "client", ""): self._make_client,
            ("GET", "initiator", "existence"): lambda given: _address(given) in self._array.initiators,
            ("POST", "initiator", ""): self._make_initiator,
            ("DELETE", "initiator", ""): self._delete_initiator,
            ("GET", "initiator", "list"): self._in_client,
            ("PUT", "client", "mapinitiator"): self._join,
            ("PUT", "client", "unmapinitiator"): self._leave,
            ("GET", "itl", "it"): lambda given: self._pair(given) in self._maps,
            ("POST", "itl", "maptarget"): self._make_pair,
            ("DELETE", "itl", "unmaptarget"): self._delete_pair,
            ("GET", "initiator", "it_unused_id_list"): lambda given: self._unused(self._known_pair(given)),
            ("POST", "itl", "maplun"): self._map,
            ("DELETE", "itl", "unmaplun"): self._unmap,
            ("GET", "lun", "lun_id"): self._lun_id,
            ("GET", "itl", "getitl"): self._maps_of,
            ("GET", "initiator", "fc_initr_mapped_ports"): self._mapped_ports,
            ("GET", "itl", "itl"): self._any_lun,
        }

    def shows(self, volume: Volume) -> bool:
        """Tell whether anybody sees a LUN."""
        return self._is_mapped(volume.id)

    def shows_view(self, view: View) -> bool:
        """Tell whether anybody sees a view."""
        return self._is_mapped(view.snapshot.id)

    def drop_target(self, target: str) -> None:
        """Forget the pairs of a target that is gone."""
        for pair in [pair for pair in self._maps if pair[1] == target]:
            del self._maps[pair]
        self._serve()

    @property
    def clients(self) -> int:
        """How many clients there are; nothing on this interface takes one away."""
        return len(self._clients)

    def state(self) -> list[Mapping[str, Any]]:
        """Return the initiators; one that sees no LUN is nobody's."""
        return [
            {
                "address": address,
                "kind": initiator.kind,
                "online": initiator.online,
                "host": self._client_of.get(address) if self._sees(address) else None,
                "targets": sorted(target for other, target in self._maps if other == address),
            }
            for address, initiator in self._array.initiators.items()
        ]

    def map_state(self) -> list[Mapping[str, Any]]:
        """Return what is mapped."""
        return [
            {"initiator": address, "target": target, "lun": lun, "object": self._name(object_id)}
            for (address, target), objects in self._maps.items()
            for object_id, lun in objects.items()
        ]

    # Clients and initiators

    def _make_client(self, given: Arguments) -> bool:
        name = wire.name(given, "name", _LONGEST_CLIENT)
        if name in self._clients:
            raise Refusal(wire.CONFLICT, "client exists")
        self._clients[name] = None
        return True

    def _make_initiator(self, given: Arguments) -> bool:
        address, kind = _address(given), wire.text(given, "type")
        wire.text(given, "alias")
        if kind not in {"iscsi", "fc"} or (kind == "fc") != bool(_WWPN.fullmatch(str(given["initr_wwn"]))):
            raise Refusal(wire.BAD_REQUEST)
        if address in self._array.initiators:
            raise Refusal(wire.CONFLICT, "initiator exists")
        self._array.initiators[address] = Initiator(address, kind, host_id=address)
        return True

    def _initiator(self, given: Arguments) -> str:
        address = _address(given)
        if address not in self._array.initiators:
            raise Refusal(wire.NOT_FOUND, "initiator does not exist")
        return address

    def _delete_initiator(self, given: Arguments) -> bool:
        address = self._initiator(given)
        if any(other == address for other, _ in self._maps) or address in self._client_of:
            raise Refusal(wire.CONFLICT, "initiator is in use")
        del self._array.initiators[address]
        return True

    def _in_client(self, given: Arguments) -> bool:
        return self._client_of.get(_address(given)) == wire.text(given, "client_name")

    def _join(self, given: Arguments) -> bool:
        address, client = self._initiator(given), wire.text(given, "client_name")
        if client not in self._clients:
            raise Refusal(wire.NOT_FOUND, "client does not exist")
        if self._client_of.get(address, client) != client:
            raise Refusal(wire.CONFLICT, "initiator belongs to another client")
        self._client_of[address] = client
        return True

    def _leave(self, given: Arguments) -> bool:
        address = self._initiator(given)
        if self._client_of.get(address) != wire.text(given, "client_name"):
            raise Refusal(wire.NOT_FOUND, "initiator is not in the client")
        del self._client_of[address]
        return True

    # Pairs of initiator and target

    def _pair(self, given: Arguments) -> Pair:
        return _address(given), wire.text(given, "tgt_port_name")

    def _known_pair(self, given: Arguments) -> Pair:
        pair = self._pair(given)
        if pair not in self._maps:
            raise Refusal(wire.NOT_FOUND, "IT does not exist")
        return pair

    def _make_pair(self, given: Arguments) -> bool:
        port = self._ports.with_target(wire.text(given, "tgt_port_name"))
        address = self._initiator(given)
        if self._array.initiators[address].kind != port.kind:
            raise Refusal(wire.BAD_REQUEST)
        self._maps.setdefault((address, port.target), {})
        return True

    def _delete_pair(self, given: Arguments) -> bool:
        pair = self._known_pair(given)
        if self._maps[pair]:
            raise Refusal(wire.CONFLICT, "IT has LUNs")
        del self._maps[pair]
        return True

    # LUNs in pairs

    def _object(self, given: Arguments, key: str) -> str:
        """Return the id of the LUN or view that is named."""
        name = wire.text(given, key)
        view = self._snapshots.view_by_name(name)
        return view.snapshot.id if view else self._luns.find(given, key).id

    def _unused(self, pair: Pair) -> list[int]:
        used = set(self._maps[pair].values())
        return [lun for lun in range(self._first_lun, _LUN_IDS) if lun not in used]

    def _map(self, given: Arguments) -> bool:
        """Map a LUN; True where it was mapped already (sheet, trap 3)."""
        object_id, pair, wanted = self._object(given, "lun_name"), self._known_pair(given), wire.number(given, "lun_id")
        if object_id in self._maps[pair]:
            return True
        unused = self._unused(pair)
        if not unused:
            raise Refusal(wire.CONFLICT, "no LUN id is left")
        lun = unused[0] if wanted == _ANY_LUN else wanted
        if lun not in unused:
            raise Refusal(wire.CONFLICT, "LUN id is in use")
        self._maps[pair][object_id] = lun
        self._serve()
        return False

    def _unmap(self, given: Arguments) -> bool:
        object_id, pair = self._object(given, "lun_name"), self._known_pair(given)
        if self._maps[pair].pop(object_id, None) is None:
            raise Refusal(wire.NOT_FOUND, "LUN is not mapped")
        self._serve()
        return True

    def _lun_id(self, given: Arguments) -> int:
        object_id, pair = self._object(given, "lun_name"), self._known_pair(given)
        if object_id not in self._maps[pair]:
            raise Refusal(wire.NOT_FOUND, "LUN is not mapped")
        return self._maps[pair][object_id]

    def _maps_of(self, given: Arguments) -> list[Mapping[str, Any]]:
        object_id = self._object(given, "name")
        return [
            {"initiator": _spelled(address), "port": target, "connected": False}
            for (address, target), objects in self._maps.items()
            if object_id in objects
        ]

    def _mapped_ports(self, given: Arguments) -> Mapping[str, Any]:
        found: dict[str, list[Mapping[str, str]]] = {}
        for wanted in given.get("initr_wwns[]", ()):
            address = wanted.replace(":", "").lower()
            for other, target in self._maps:
                if other == address:
                    wwn = colons(self._ports.with_target(target).address)
                    found.setdefault(wanted, []).append({"port_name": target, "wwn": wwn})
        return found

    def _any_lun(self, given: Arguments) -> bool:
        return any(self._sees(_plain(wanted)) for wanted in given.get("initr_wwns[]", ()))

    def _sees(self, address: str) -> bool:
        return any(objects for (other, _), objects in self._maps.items() if other == address)

    def _is_mapped(self, object_id: str) -> bool:
        return any(object_id in objects for objects in self._maps.values())

    def _name(self, object_id: str) -> str:
        return (self._array.volumes.get(object_id) or self._array.snapshots[object_id]).name

    def _serve(self) -> None:
        seen: dict[str, dict[str, int]] = {}
        for (address, _), objects in self._maps.items():
            for object_id, lun in objects.items():
                seen.setdefault(address, {}).setdefault(object_id, lun)
        self._array.visible = seen
        self._array.serve()


def _address(given: Arguments) -> str:
    return _plain(wire.text(given, "initr_wwn"))


def _plain(address: str) -> str:
    """Return an initiator's address without the colons of a WWPN, as hosts of the data plane are called."""
    return address.replace(":", "") if _WWPN.fullmatch(address) else address


def _spelled(address: str) -> str:
    """Return an initiator's address as the array spells it."""
    return address if address.startswith(("iqn.", "eui.", "naa.")) else colons(address)
