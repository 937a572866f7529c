"""The array's objects as the library sees them. Source: protocol sheet, sections 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from blockdrivers.errors import ProtocolError
from blockdrivers.model import Dependant, Health, IscsiTarget, MiB, Pool, Port, Protocol, SystemFacts, Volume, VolumeState
from vendors.toyou.client import Object

RAID: Final = "RAID Volume"
BACKUP: Final = "BACKUP"
"""A clone's target until the clone is complete."""

ISCSI_PORT: Final = 3260
_NONE: Final = "N/A"
_MODEL: Final = "ACS5000"
"""The array does not say its model: whatever answers these commands is one."""

_COPYING: Final = frozenset({"Queued", "Cloning"})
_REVERTING: Final = "Rolling back"
_PASSING: Final = frozenset({"Initiating", "Rebuilding", "Delayed rebuilding", "Erasing", _REVERTING})
_BROKEN: Final = frozenset({"Offline", _NONE})
_HEALTH: Final[Mapping[str, Health]] = {
    "Optimal": Health.NORMAL,
    "Degraded": Health.DEGRADED,
    "Partially optimal": Health.DEGRADED,
    "Deleted": Health.FAULTY,
    "Missing": Health.FAULTY,
    "Failed": Health.FAULTY,
}


def text(item: Object, field: str) -> str:
    """Return a field as text, or raise `ProtocolError` where it is missing."""
    value = item.get(field)
    if value is None:
        raise ProtocolError(f"The array's answer has no field {field!r}.")
    return str(value)


def number(item: Object, field: str) -> int:
    """Return a field as a whole number; the array writes numbers as text."""
    try:
        return int(text(item, field))
    except ValueError as wrong:
        raise ProtocolError(f"The array's {field!r} is {item.get(field)!r}, and no number.") from wrong


def pool(item: Object) -> Pool:
    """Return a pool. What it has promised to thin volumes is not told."""
    name = text(item, "name")
    return Pool(name, name, number(item, "capacity"), number(item, "free_capacity"), None)


def is_thin(item: Object) -> bool:
    """Tell whether a pool's volumes are thin."""
    return item.get("thin") == "Enabled"


def volume(item: Object, *, thin: bool) -> Volume:
    """Return a volume; its name is its identity, since every command addresses it by that."""
    name, status = text(item, "name"), text(item, "status")
    return Volume(
        id=name,
        name=name,
        size=number(item, "size_mb") * MiB,
        pool=text(item, "poolname"),
        wwn=None,
        thin=thin,
        state=_state(status, text(item, "type")),
        health=_HEALTH.get(text(item, "health"), Health.UNKNOWN),
        dependants=frozenset({Dependant.COPY}) if clone_of(item) else frozenset(),
    )


def clone_of(item: Object) -> str | None:
    """Return the name of the volume that a clone is made onto, if one is made of this volume."""
    target = str(item.get("clone") or "")
    return target if number(item, "has_clone") and target != _NONE else None


def clone_snapshot(item: Object) -> str | None:
    """Return the name of the snapshot that is copied, once the copying has begun."""
    found = str(item.get("clone_snap") or "")
    return None if found in {"", _NONE} else found


def is_copied(item: Object) -> bool:
    """Tell whether a volume's bytes are being copied now."""
    return text(item, "status") in _COPYING


def is_reverting(item: Object) -> bool:
    """Tell whether a volume is being put back to a snapshot."""
    return text(item, "status") == _REVERTING


def progress(item: Object) -> float | None:
    """Return how much of what is under way is done, 0.0 to 1.0; None where the array does not tell."""
    try:
        return min(1.0, max(0.0, float(item.get("r") or "") / 100))
    except (TypeError, ValueError):
        return None


def system_facts(item: Object, controllers: Sequence[Object]) -> SystemFacts:
    """Return the array's facts; its health is that of its controllers."""
    online = [text(controller, "status") == "online" for controller in controllers]
    health = Health.UNKNOWN if not online else Health.NORMAL if all(online) else Health.DEGRADED
    return SystemFacts(
        vendor=text(item, "vendor"),
        model=_MODEL,
        serial=text(item, "system_id"),
        name=text(item, "system_name"),
        firmware=text(item, "version"),
        health=health,
        details={field: str(item[field]) for field in ("code_level", "ip") if item.get(field)},
    )


def iscsi_ports(items: Sequence[Object], controllers: Sequence[Object]) -> list[Port]:
    """Return the iSCSI ports; the IQN is their controller's."""
    iqns = {text(controller, "id"): text(controller, "iscsi_name") for controller in controllers}
    return [
        Port(
            id=text(item, "id"),
            protocol=Protocol.ISCSI,
            address=f"{text(item, 'ip')}:{ISCSI_PORT}",
            iqn=iqns.get(text(item, "ctrl_idx")),
            up=text(item, "link") != "Down",
            controller=text(item, "ctrl_idx"),
        )
        for item in items
        if item.get("ip")
    ]


def fc_ports(items: Sequence[Object]) -> list[Port]:
    """Return the FC ports; some firmware writes the name in capitals, and a port may have none."""
    found = []
    for item in items:
        wwpn = str(item.get("wwpn") or item.get("WWPN") or "").replace(":", "").lower()
        if wwpn:
            up, controller = text(item, "link") == "Up", text(item, "ctrl_idx")
            found.append(Port(wwpn, Protocol.FC, wwpn, up=up, controller=controller))
    return found


def lun(answer: Object) -> int:
    """Return the LUN of a map: one number, or one per port and all alike."""
    value: Any = answer.get("lun")
    values = value if isinstance(value, list) else [value]
    try:
        found = {int(each) for each in values}
    except (TypeError, ValueError):
        found = set()
    if len(found) != 1:
        raise ProtocolError(f"The array maps the volume at the LUNs {value!r}; one was expected.")
    return found.pop()


def targets(answer: Object) -> tuple[IscsiTarget, ...]:
    """Return the iSCSI ports that a map names; some firmware names none where the volume is mapped already."""
    names, portals = answer.get("iscsi_name") or [], answer.get("portal") or []
    if not isinstance(names, list) or not isinstance(portals, list) or len(names) != len(portals):
        raise ProtocolError(f"The map has {names!r} for IQNs and {portals!r} for portals.")
    return tuple(IscsiTarget(str(portal), str(iqn)) for portal, iqn in zip(portals, names, strict=True))


def _state(status: str, kind: str) -> VolumeState:
    if kind == BACKUP:
        return VolumeState.COPYING
    if status in _BROKEN:
        return VolumeState.FAULTY
    return VolumeState.BUSY if status in _PASSING else VolumeState.READY
