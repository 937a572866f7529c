"""The array's JSON as the library's nouns. Source: protocol sheet, section 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from blockdrivers.errors import ProtocolError
from blockdrivers.model import Dependant, GiB, Health, InitiatorFacts, Pool, Port, Protocol, SystemFacts, Volume
from vendors.macrosan.client import Object

VENDOR: Final = "MacroSAN"
UNKNOWN: Final = "unknown"
"""What this interface does not tell."""

_PORTAL_PORT: Final = 3260
_NO_IP: Final = frozenset({"", "0"})
_CAPACITIES: Final = 3
_STATES: Final = {"single": Health.DEGRADED, "double": Health.NORMAL, "idle": Health.DEGRADED}


@dataclass(frozen=True, slots=True)
class TargetPort:
    """A port of a service processor.

    Attributes:
        protocol: what it serves.
        port: ``eth-1:0:0``: SP, slot, port.
        target: name of the target on it; empty where none was made.
        address: IP address, or WWPN as 16 hexadecimal digits; empty where it has none.
        iqn: of its target, iSCSI only.
        online: whether its link is up; an iSCSI port does not tell, and counts as up with an address.
        peer: WWPN of the FC initiator that is plugged straight into it; empty through a switch.
    """

    protocol: Protocol
    port: str
    target: str
    address: str
    iqn: str = ""
    online: bool = True
    peer: str = ""

    @property
    def portal(self) -> str:
        """Its portal."""
        return f"{self.address}:{_PORTAL_PORT}"

    def as_port(self) -> Port:
        """Return it as the library shows it; one without a target serves nobody."""
        address = self.portal if self.protocol is Protocol.ISCSI else self.address
        controller = f"SP{self.port.partition('-')[2].partition(':')[0]}"
        return Port(self.port, self.protocol, address, self.iqn or None, self.online and bool(self.target), controller=controller)


def iscsi_port(item: Object) -> TargetPort:
    """Return an iSCSI port."""
    ip = text(item, "ip")
    address = "" if ip in _NO_IP else ip
    return TargetPort(
        Protocol.ISCSI, text(item, "port"), text(item, "port_name"), address, text(item, "target"), online=bool(address)
    )


def fc_port(item: Object) -> TargetPort:
    """Return an FC port."""
    return TargetPort(
        Protocol.FC,
        text(item, "port"),
        text(item, "port_name"),
        wwpn(text(item, "wwn")),
        online=str(item.get("online")) == "1",
        peer=wwpn(text(item, "initr")),
    )


def plugged(port: TargetPort) -> InitiatorFacts:
    """Return the initiator that is plugged into a port."""
    return InitiatorFacts(port.peer, Protocol.FC, online=port.online)


def pool(name: str, capacity: Any) -> Pool:
    """Return a pool; what thin LUNs have taken and not used counts as free (sheet, 3.1)."""
    if not isinstance(capacity, list) or len(capacity) != _CAPACITIES:
        raise ProtocolError(f"The capacity of pool {name!r} is {capacity!r}, not three numbers.", request="GET pool")
    total, free, unallocated = (_bytes(number) for number in capacity)
    return Pool(name, name, total, min(total, free + unallocated), None)


def volume(name: str, info: Object, dependants: Sequence[Dependant] = ()) -> Volume:
    """Return a LUN; its name is all the identity that the interface needs, and no other is told."""
    return Volume(
        id=name,
        name=name,
        size=_bytes(info.get("size")),
        pool=text(info, "pool"),
        wwn=None,
        thin=text(info, "lun_mode") == "thin",
        health=Health.NORMAL,
        dependants=frozenset(dependants),
    )


def system_facts(uuid: str, states: Object) -> SystemFacts:
    """Return what is told of the array; its health is that of its service processors."""
    found = [_STATES.get(str(state), Health.FAULTY) for state in states.values()]
    health = Health.NORMAL if set(found) == {Health.NORMAL} else Health.DEGRADED
    if Health.NORMAL not in found and Health.DEGRADED not in found:
        health = Health.FAULTY
    details = {sp.upper(): str(state) for sp, state in states.items()}
    return SystemFacts(VENDOR, UNKNOWN, uuid, uuid, UNKNOWN, health=health, details=details)


def text(item: Object, key: str) -> str:
    """Return a field as text; an absent one is empty."""
    found = item.get(key)
    return "" if found is None else str(found)


def wwpn(spelled: str) -> str:
    """Return a WWPN as 16 lower-case digits."""
    return spelled.replace(":", "").lower()


def colons(plain: str) -> str:
    """Return a WWPN as the array spells it."""
    return ":".join(plain[place : place + 2] for place in range(0, len(plain), 2))


def gigabytes(size: int) -> int:
    """Return a size, a whole number of GiB, as the array counts it."""
    return size // GiB


def _bytes(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ProtocolError(f"A size is {number!r}, no number.")
    return round(number * GiB)
