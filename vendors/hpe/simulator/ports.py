"""Target ports. Source: protocol sheet, section 3.10 and traps 12 and 23."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.simulation.dataplane import Identity
from conformance.simulation.engine import Array
from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.wire import Attributes, Call, Handler, Refusal

_ISCSI_PORT = 3260
_FC_PORTS = 4
_FC_SLOT, _ISCSI_SLOT, _DISK_SLOT = 1, 2, 0
_TARGET, _INITIATOR = 2, 3
_READY, _OFFLINE = 4, 10
_FC, _ISCSI, _SAS = 1, 2, 5
_HOST_TYPE, _DISK_TYPE, _ISCSI_TYPE = 1, 2, 8
_TAG = 108


@dataclass(frozen=True, slots=True)
class Position:
    """Where a port is: ``node:slot:port``."""

    node: int
    slot: int
    port: int

    def __str__(self) -> str:
        return f"{self.node}:{self.slot}:{self.port}"

    def rendered(self) -> Attributes:
        """Render it."""
        return {"node": self.node, "slot": self.slot, "cardPort": self.port}


class Ports:
    """The ports of an array.

    Args:
        array: for its serial number and its data plane.
        portals: IP addresses of the iSCSI ports, on the two nodes in turn.
        fc_ports: WWPNs of the FC ports; four of its own where None.
        tagged: whether the iSCSI portals are VLANs of their ports, which then have no address themselves.
    """

    def __init__(self, array: Array, portals: Sequence[str], fc_ports: Sequence[str] | None, *, tagged: bool) -> None:
        self._serial = array.next_wwn()[-16:-4]
        self._tagged = tagged
        self._down: set[str] = set()
        own = [f"2{number % 2}1{1 + number // 2}{self._serial}" for number in range(_FC_PORTS)]
        self.fc = {Position(number % 2, _FC_SLOT, 1 + number // 2): wwpn.lower() for number, wwpn in enumerate(fc_ports or own)}
        self.iscsi = {Position(number % 2, _ISCSI_SLOT, 1 + number // 2): ip for number, ip in enumerate(portals)}
        targets = {ip: self.iqn(position) for position, ip in self.iscsi.items()}
        array.data_plane.identify(Identity("3PARdata", "VV", targets))

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {
            ("GET", "ports"): lambda call: wire.listed(wire.select(self._all(), call.query)),
            ("GET", "ports/{}"): self._one,
            ("GET", "ports/{}/iSCSIVlans"): self._vlans,
        }

    def iqn(self, position: Position) -> str:
        """Return the iSCSI name of a port."""
        return f"iqn.2000-05.com.3pardata:2{position.node}{position.slot}{position.port}{self._serial}"

    def portals(self) -> list[Attributes]:
        """Return portal addresses and IQNs."""
        return [{"portal": f"{ip}:{_ISCSI_PORT}", "iqn": self.iqn(position)} for position, ip in self.iscsi.items()]

    def set_link(self, portal: str, *, up: bool) -> None:
        """Say whether the iSCSI port with that IP address has a link; its LUNs are served all the same."""
        self._down = self._down - {portal} if up else self._down | {portal}

    def find(self, given: Attributes) -> Position:
        """Return the host port that a position names, or refuse."""
        position = Position(*(wire.number(given, key) for key in ("node", "slot", "cardPort")))
        if position not in self.fc and position not in self.iscsi:
            raise Refusal(codes.NO_PORT)
        return position

    def _all(self) -> list[Attributes]:
        ready = [*map(self._fc_port, self.fc), *map(self._iscsi_port, self.iscsi)]
        return [*ready, self._offline_port(), self._disk_port()]

    def _fc_port(self, position: Position) -> Attributes:
        return {
            "portPos": position.rendered(),
            "mode": _TARGET,
            "linkState": _READY,
            "nodeWWN": f"2FF7{self._serial}".upper(),
            "portWWN": self.fc[position].upper(),
            "type": _HOST_TYPE,
            "protocol": _FC,
            "label": "",
            "device": [],
            "partnerPos": Position(1 - position.node, position.slot, position.port).rendered(),
            "failoverState": 1,
        }

    def _iscsi_port(self, position: Position) -> Attributes:
        address = "0.0.0.0" if self._tagged else self.iscsi[position]  # noqa: S104 - what the array shows for no address
        name = self.iqn(position)
        return {
            "portPos": position.rendered(),
            "mode": _TARGET,
            "linkState": _OFFLINE if self.iscsi[position] in self._down else _READY,
            "HWAddr": f"02000000{position.node:02X}{position.port:02X}",
            "type": _ISCSI_TYPE,
            "protocol": _ISCSI,
            "label": "",
            "IPAddr": address,
            "iSCSIName": name,
            "iSCSIPortInfo": {
                "IPAddr": address,
                "iSCSIName": name,
                "netmask": "255.0.0.0",
                "gateway": "0.0.0.0",  # noqa: S104
                "mtu": 9000,
                "rate": "10Gbps",
                "vlan": int(self._tagged),
                "tpgt": 21,
                "stgt": 21,
                "iSNSAddr": "0.0.0.0",  # noqa: S104
                "iSNSPort": 3205,
            },
        }

    def _offline_port(self) -> Attributes:
        position = Position(0, _FC_SLOT, 9)
        return {
            "portPos": position.rendered(),
            "mode": _TARGET,
            "linkState": _OFFLINE,
            "nodeWWN": f"2FF7{self._serial}".upper(),
            "portWWN": f"2019{self._serial}".upper(),
            "type": _HOST_TYPE,
            "protocol": _FC,
        }

    def _disk_port(self) -> Attributes:
        position = Position(0, _DISK_SLOT, 1)
        return {
            "portPos": position.rendered(),
            "mode": _INITIATOR,
            "linkState": _READY,
            "nodeWWN": f"50002ACF{self._serial[:8]}".upper(),
            "portWWN": f"50002ACE{self._serial[:8]}".upper(),
            "type": _DISK_TYPE,
            "protocol": _SAS,
        }

    def _named(self, text: str) -> Position:
        parts = text.split(":")
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):  # noqa: PLR2004 - node, slot and port
            raise Refusal(codes.BAD_PORT)
        return self.find(dict(zip(("node", "slot", "cardPort"), map(int, parts), strict=True)))

    def _one(self, call: Call) -> Attributes:
        position = self._named(call.names[0])
        return self._fc_port(position) if position in self.fc else self._iscsi_port(position)

    def _vlans(self, call: Call) -> Attributes:
        position = self._named(call.names[0])
        if position not in self.iscsi:
            raise Refusal(codes.BAD_PORT)
        vlan = {"netmask": "255.0.0.0", "gateway": "0.0.0.0", "mtu": 9000, "vlanTag": _TAG, "tpgt": 1024, "stgt": 1024}  # noqa: S104
        return {"iSCSIVlans": [{"IPAddr": self.iscsi[position], **vlan}] if self._tagged else []}
