"""Ports and the targets on them. Source: protocol sheet, sections 2 and 3.4."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vendors.macrosan.simulator import wire
from vendors.macrosan.simulator.wire import Arguments, Refusal, Routes

_FC_PORTS = 4
_PORTAL = 3260


@dataclass(slots=True)
class Port:
    """A port of a service processor."""

    kind: str
    """``iscsi`` or ``fc``."""
    port: str
    """``eth-1:0:0``: SP, slot, port."""
    address: str
    """IP address, or WWPN without colons."""
    target: str = ""
    """Name of the target on it; empty where none was made."""
    iqn: str = ""

    @property
    def sp(self) -> int:
        """Which service processor it is of."""
        return int(self.port.partition("-")[2].partition(":")[0])


class Ports:
    """The ports of an array."""

    def __init__(
        self, serial: int, portals: Sequence[str], fc_ports: Sequence[str] | None, *, targets_made: bool, switched: bool
    ) -> None:
        wwpns = fc_ports or [f"500b3420{serial % 16**7:07x}{number}" for number in range(_FC_PORTS)]
        iqn = f"iqn.2010-05.com.macrosan.target:ms{serial % 16**9:09x}"
        self._ports = [
            Port("iscsi", f"eth-{number % 2 + 1}:0:{number // 2}", ip, iqn=f"{iqn}.{number % 2 + 1}.{number // 2}")
            for number, ip in enumerate(portals)
        ]
        self._ports += [Port("fc", f"FC-{number % 2 + 1}:1:{number // 2}", wwpn) for number, wwpn in enumerate(wwpns)]
        self._switched = switched
        self._fabric: list[str] = []
        self._removed: Callable[[str], None] = lambda _: None
        if targets_made:
            for port in self._ports:
                port.target = _target_name(port)

    def use(self, removed: Callable[[str], None]) -> None:
        """Learn whom to tell that a target is gone."""
        self._removed = removed

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Plug these initiators into the ports, one each."""
        self._fabric = list(wwpns)

    def routes(self) -> Routes:
        """Return the handlers."""
        return {
            ("GET", "initiator", "iscsi_ports"): lambda _: [_iscsi(port) for port in self._of("iscsi")],
            ("GET", "initiator", "fc_ports"): self._fc_ports,
            ("POST", "target", ""): self._make,
            ("DELETE", "target", ""): self._delete,
            ("GET", "itl", "port_ipaddr"): self._address,
        }

    def with_target(self, name: str) -> Port:
        """Return the port that has the target of that name, or refuse."""
        for port in self._ports:
            if name and port.target == name:
                return port
        raise Refusal(wire.NOT_FOUND, "target does not exist")

    def portals(self) -> list[dict[str, str]]:
        """Return portals and the IQNs behind them."""
        return [{"portal": f"{port.address}:{_PORTAL}", "iqn": port.iqn} for port in self._of("iscsi")]

    def wwpns(self) -> list[str]:
        """Return the WWPNs of the FC ports."""
        return [port.address for port in self._of("fc")]

    def names(self, kind: str) -> list[str]:
        """Return what the ports of a kind are called."""
        return [port.port for port in self._of(kind)]

    def _of(self, kind: str) -> list[Port]:
        return [port for port in self._ports if port.kind == kind]

    def _fc_ports(self, _: Arguments) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for number, port in enumerate(self._of("fc")):
            plugged = "" if self._switched or number >= len(self._fabric) else colons(self._fabric[number])
            online = bool(plugged) or (self._switched and bool(self._fabric))
            found.append(
                {
                    "sp": port.sp,
                    "port": port.port,
                    "port_name": port.target,
                    "wwn": colons(port.address),
                    "online": int(online),
                    "refcnt": 0,
                    "initr": plugged,
                }
            )
        return found

    def _make(self, given: Arguments) -> bool:
        wanted, kind = wire.text(given, "port_name"), wire.text(given, "type")
        port = next((port for port in self._of(kind) if port.port == wanted), None)
        if port is None:
            raise Refusal(wire.NOT_FOUND, "port does not exist")
        if port.target:
            raise Refusal(wire.CONFLICT, "target exists")
        port.target = _target_name(port)
        return True

    def _delete(self, given: Arguments) -> bool:
        port = self.with_target(wire.text(given, "tgt_name"))
        self._removed(port.target)
        port.target = ""
        return True

    def _address(self, given: Arguments) -> str:
        wanted = wire.text(given, "port").split("/")
        found = [port.address for port in self._of("iscsi") if port.port in wanted]
        if not found:
            raise Refusal(wire.NOT_FOUND, "port does not exist")
        return "/".join(found)


def colons(wwpn: str) -> str:
    """Return a WWPN as the array spells it."""
    return ":".join(re.findall("..", wwpn))


def _target_name(port: Port) -> str:
    kind, _, place = port.port.partition("-")
    return f"{'iSCSI' if kind == 'eth' else kind}-Target-{place}"


def _iscsi(port: Port) -> Mapping[str, Any]:
    return {"port": port.port, "port_name": port.target, "ip": port.address, "target": port.iqn}
