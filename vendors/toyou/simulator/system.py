"""The system, its controllers and ports. Source: protocol sheet, section 3.2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from conformance.simulation.dataplane import Identity
from vendors.toyou.simulator.wire import Call

_PORT: Final = 3260
_CONTROLLERS: Final = 2


class System:
    """The array as a whole."""

    def __init__(self, serial: int, portals: Sequence[str], fc_ports: Sequence[str] | None) -> None:
        self._serial = f"{serial % 16**12:012X}"
        self._addresses = tuple(portals)
        self._wwpns = tuple(fc_ports or (f"21{number:02x}{self._serial.lower()}" for number in range(4)))
        names = {address: self._iqn(number % _CONTROLLERS) for number, address in enumerate(self._addresses)}
        self.identity = Identity("TOYOU", "ACS5000", names)

    def verbs(self) -> dict[str, Any]:
        """Return the handlers."""
        return {
            "get_system": self._system,
            "ls_controller": lambda _: [self._controller(number) for number in range(_CONTROLLERS)],
            "ls_iscsi": lambda _: [self._iscsi_port(number) for number in range(len(self._addresses))],
            "ls_fc": lambda _: [self._fc_port(number) for number in range(len(self._wwpns))],
        }

    def portals(self) -> list[dict[str, str]]:
        """Return address and IQN of each iSCSI port."""
        return [
            {"portal": f"{address}:{_PORT}", "iqn": self._iqn(number % _CONTROLLERS)}
            for number, address in enumerate(self._addresses)
        ]

    def wwpns(self) -> list[str]:
        """Return the WWPN of each FC port."""
        return list(self._wwpns)

    def _system(self, _: Call) -> dict[str, str]:
        return {
            "version": "3.1.2.400123",
            "vendor": "TOYOU",
            "system_name": f"Array-{self._serial[-4:]}",
            "system_id": f"TY{self._serial}",
            "code_level": "1",
            "ip": "192.0.2.5",
        }

    def _iqn(self, controller: int) -> str:
        return f"iqn.2020-12.cn.com.toyou:disk-array-{self._serial.lower()}:dev0.ctr{controller + 1}"

    def _controller(self, number: int) -> dict[str, str]:
        return {
            "id": str(number),
            "name": f"node{number + 1}",
            "iscsi_name": self._iqn(number),
            "WWNN": f"2000{self._serial}",
            "status": "online",
        }

    def _iscsi_port(self, number: int) -> dict[str, object]:
        return {
            "ctrl_idx": number % _CONTROLLERS,
            "id": number,
            "name": f"lan{number + 1}",
            "ip": self._addresses[number],
            "mask": "255.255.255.0",
            "gw": "",
            "link": "10 Gb/s",
        }

    def _fc_port(self, number: int) -> dict[str, object]:
        # Both spellings are seen on the wire, and so are capital digits.
        wwpn = self._wwpns[number]
        name = {"WWPN": wwpn.upper()} if number % 2 else {"wwpn": wwpn}
        return {"ctrl_idx": number % _CONTROLLERS, **name, "link": "Up"}
