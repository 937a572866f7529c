"""From the array's JSON to the library's nouns. Source: protocol sheet, section 2 and the examples of section 3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final

from blockdrivers.errors import ProtocolError
from blockdrivers.model import (
    Dependant,
    Health,
    InitiatorFacts,
    MiB,
    Pool,
    Port,
    Protocol,
    Snapshot,
    SystemFacts,
    Volume,
    VolumeState,
)
from blockdrivers.naming import Label
from vendors.hpe.client import Object

ISCSI_PORT: Final = 3260
NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - what a port shows whose addresses are its VLANs'


class CopyType(IntEnum):
    """What a volume is."""

    BASE = 1
    COPYING = 2
    SNAPSHOT = 3


class TaskStatus(IntEnum):
    """How a task stands."""

    DONE = 1
    ACTIVE = 2
    CANCELLED = 3
    FAILED = 4


class TaskType(IntEnum):
    """What a task does."""

    COPY = 1
    MOVE = 3
    ONLINE_COPY = 18
    CONVERSION = 19


class VlunType(IntEnum):
    """What a VLUN template names."""

    PORT = 2
    HOST = 3
    MATCHED = 4
    HOST_SET = 5


_HEALTH: Final[Mapping[int, Health]] = {1: Health.NORMAL, 2: Health.DEGRADED, 3: Health.FAULTY}
_THIN: Final = frozenset({2, 6, 7})
_TARGET, _READY = 2, 4
_FC, _ISCSI = 1, 2
_DISK_TYPES: Final[Mapping[int, str]] = {1: "FC", 2: "NL", 3: "SSD"}


def text(item: Object, member: str) -> str:
    """Return a text that must be there."""
    value = item.get(member)
    if not isinstance(value, str):
        raise ProtocolError(f"The array's object has no text in {member!r}: {value!r}.")
    return value


def number(item: Object, member: str, default: int | None = None) -> int:
    """Return a whole number, or `default` where the member is absent."""
    value = item.get(member, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProtocolError(f"The array's object has no number in {member!r}: {value!r}.")
    return value


def inner(item: Object, member: str) -> Object:
    """Return an inner object, empty where it is absent."""
    value = item.get(member, {})
    if not isinstance(value, dict):
        raise ProtocolError(f"The array's object has no object in {member!r}: {value!r}.")
    return value


def entries(item: Object, member: str) -> list[Object]:
    """Return a list of inner objects, empty where it is absent."""
    value = item.get(member) or []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ProtocolError(f"The array's object has no list in {member!r}: {value!r}.")
    return value


def health(item: Object) -> Health:
    """Return what an object's ``state`` says."""
    return _HEALTH.get(number(item, "state", 0), Health.UNKNOWN)


def system_facts(item: Object) -> SystemFacts:
    """Translate the system object; it has no state of its own, its nodes and failed capacity tell."""
    model = str(item.get("model", ""))
    lost = set(item.get("clusterNodes", ())) - set(item.get("onlineNodes", ()))
    well = not lost and not number(item, "failedCapacityMiB", 0)
    details = {key: str(item[key]) for key in ("id", "totalNodes", "location", "failedCapacityMiB") if item.get(key)}
    return SystemFacts(
        vendor="H3C" if model.upper().startswith("H3C") else "HPE",
        model=model,
        serial=text(item, "serialNumber"),
        name=str(item.get("name", "")),
        firmware=text(item, "systemVersion"),
        health=Health.NORMAL if well else Health.DEGRADED,
        details=details,
    )


def licences(item: Object) -> dict[str, bool]:
    """Return the licences that the system object lists; the array leaves out what it has not."""
    return {text(entry, "name"): True for entry in entries(inner(item, "licenseInfo"), "licenses")}


def limit(item: Object) -> int | None:
    """Return a CPG's growth limit in bytes, or None where it takes what the disks give."""
    found = inner(item, "SDGrowth").get("limitMiB")
    return number(inner(item, "SDGrowth"), "limitMiB") * MiB if found else None


def allocated(item: Object) -> int:
    """Return the bytes that a CPG has taken: user data, snapshot data and their administration."""
    return sum(number(inner(item, part), "totalMiB", 0) for part in ("UsrUsage", "SDUsage", "SAUsage")) * MiB


def pool(item: Object, *, total: int, free: int, provisioned: int) -> Pool:
    """Translate a CPG."""
    layout = inner(inner(item, "SDGrowth"), "LDLayout")
    kinds = {number(pattern, "diskType", 0) for pattern in entries(layout, "diskPatterns")}
    return Pool(
        id=str(number(item, "id")),
        name=text(item, "name"),
        total_bytes=total,
        free_bytes=free,
        provisioned_bytes=provisioned,
        health=health(item),
        disk_types=tuple(_DISK_TYPES[kind] for kind in sorted(kinds) if kind in _DISK_TYPES),
    )


def is_snapshot(item: Object) -> bool:
    """Tell whether a volume of the wire is a snapshot."""
    return number(item, "copyType") == CopyType.SNAPSHOT


def wwn(item: Object, member: str = "wwn") -> str | None:
    """Return a WWN as the library writes it."""
    return str(item.get(member) or "").lower() or None


def volume(item: Object, *, exported: bool = False) -> Volume:
    """Translate a base volume; whether it is exported is not said by itself."""
    description = str(item.get("comment", ""))
    return Volume(
        id=str(number(item, "id")),
        name=text(item, "name"),
        size=number(item, "sizeMiB") * MiB,
        pool=str(item.get("userCPG", "")),
        wwn=wwn(item),
        thin=number(item, "provisioningType", 0) in _THIN,
        state=_state(item, description),
        health=health(item),
        description=description,
        dependants=_dependants(item, exported=exported),
        allocated_bytes=number(inner(item, "userSpace"), "reservedMiB", 0) * MiB,
    )


def _state(item: Object, description: str) -> VolumeState:
    if Label.parse(description).copying:
        return VolumeState.COPYING
    if health(item) is Health.FAULTY:
        return VolumeState.FAULTY
    return VolumeState.BUSY if number(item, "copyType") == CopyType.COPYING else VolumeState.READY


def _dependants(item: Object, *, exported: bool) -> frozenset[Dependant]:
    marks = {
        Dependant.SNAPSHOT: "roChildId" in item or "rwChildId" in item,
        Dependant.REPLICATION: bool(item.get("rcopyGroup")),
        Dependant.EXPORT: exported,
    }
    return frozenset(kind for kind, there in marks.items() if there)


def snapshot(item: Object, *, exported: bool = False) -> Snapshot:
    """Translate a snapshot."""
    return Snapshot(
        id=str(number(item, "id")),
        name=text(item, "name"),
        size=number(item, "sizeMiB") * MiB,
        source_id=str(number(item, "parentId", number(item, "baseId"))),
        source_name=text(item, "copyOf"),
        wwn=wwn(item),
        exported=exported,
        description=str(item.get("comment", "")),
    )


def position(item: Object) -> str | None:
    """Return ``node:slot:port`` of what is at a port; None where it is at none."""
    found = inner(item, "portPos")
    return ":".join(str(number(found, member)) for member in ("node", "slot", "cardPort")) if found else None


def progress(task: Object) -> str:
    """Return how far a task has come, in words."""
    phases = f"phase {task.get('completedPhases', '?')} of {task.get('totalPhases', '?')}"
    done, steps = task.get("completedSteps"), task.get("totalSteps")
    return f"{phases}, step {done} of {steps}" if done is not None and steps else phases


def host_ports(items: Iterable[Object]) -> Iterator[tuple[str, Object, Protocol]]:
    """Yield position, object and protocol of the ports that serve hosts over FC or iSCSI."""
    for item in items:
        protocol = {_FC: Protocol.FC, _ISCSI: Protocol.ISCSI}.get(number(item, "protocol", 0))
        where = position(item)
        if number(item, "mode", 0) == _TARGET and protocol is not None and where is not None:
            yield where, item, protocol


def fc_port(where: str, item: Object) -> Port:
    """Translate an FC port."""
    return Port(where, Protocol.FC, text(item, "portWWN").lower(), up=is_up(item), controller=where.partition(":")[0])


def iscsi_port(where: str, item: Object, address: str) -> Port:
    """Translate an iSCSI port under one of its addresses."""
    portal = f"{address}:{ISCSI_PORT}"
    return Port(where, Protocol.ISCSI, portal, iqn=text(item, "iSCSIName"), up=is_up(item), controller=where.partition(":")[0])


def is_up(item: Object) -> bool:
    """Tell whether a port is ready."""
    return number(item, "linkState", 0) == _READY


def initiators(host: Object) -> Iterator[InitiatorFacts]:
    """Yield a host's initiators, each once; one is on line where it is logged in at some port."""
    name = str(host.get("name", "")) or None
    for protocol, member, key in ((Protocol.FC, "FCPaths", "wwn"), (Protocol.ISCSI, "iSCSIPaths", "name")):
        online: dict[str, bool] = {}
        for path in entries(host, member):
            address = text(path, key)
            address = address.replace(":", "").lower() if protocol is Protocol.FC else address
            online[address] = online.get(address, False) or position(path) is not None
        for address, up in online.items():
            yield InitiatorFacts(address, protocol, up, name)
