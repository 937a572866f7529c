"""From the array's records to the library's nouns.

Source: protocol sheet, section 2 (objects and identifiers) and the examples of section 3.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from blockdrivers.errors import ProtocolError
from blockdrivers.model import Dependant, Health, Pool, Port, Protocol, Snapshot, SystemFacts, Volume, VolumeState
from blockdrivers.naming import KEPT, Label
from vendors.netapp import names
from vendors.netapp.client import Record

LUN_FIELDS: Final = ",".join(
    (
        "name",
        "uuid",
        "serial_number",
        "comment",
        "create_time",
        "location.logical_unit",
        "location.volume.name",
        "qos_policy.name",
        "space.size",
        "space.used",
        "space.guarantee.requested",
        "status.state",
        "status.mapped",
    )
)
FLEXVOL_FIELDS: Final = (
    "name,uuid,state,style,nas.path,aggregates.name,space.afs_total,space.available,error_state.is_inconsistent"
)
NODE_FIELDS: Final = "name,model,serial_number,version,state,is_all_flash_optimized"

COMMENT_LENGTH: Final = 254
_SOURCE = re.compile(r"of=(?P<uuid>[0-9a-f-]{36})(@(?P<moment>[0-9a-f-]{36}))?;(?P<rest>.*)", re.DOTALL)
_RELEASED: Final = ";released"
"""Ends the comment of a LUN that has been taken out of its own QoS policy in order to be deleted."""
DESCRIPTION_LENGTH: Final = COMMENT_LENGTH - len("of=") - 36 - len("@") - 36 - len(";") - len(KEPT)
"""What a comment has room for beside the source and the moment of a snapshot, and marks."""

ISCSI_PORT: Final = 3260
_NAA: Final = "600a0980"

_LUN_HEALTH: Final[Mapping[str, Health]] = {"online": Health.NORMAL, "space_error": Health.DEGRADED}
_NODE_HEALTH: Final[Mapping[str, Health]] = {
    "up": Health.NORMAL,
    "booting": Health.DEGRADED,
    "taken_over": Health.DEGRADED,
    "waiting_for_giveback": Health.DEGRADED,
    "degraded": Health.DEGRADED,
    "down": Health.FAULTY,
}
_WORST: Final = (Health.FAULTY, Health.DEGRADED, Health.UNKNOWN, Health.NORMAL)


def value(record: Record, path: str, default: Any = None) -> Any:
    """Return what stands at a dotted path of a record, or `default` where it is absent."""
    found: Any = record
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return default
        found = found[step]
    return default if found is None else found


def text(record: Record, path: str) -> str:
    """Return a text that must be there."""
    found = value(record, path)
    if found is None:
        raise ProtocolError(f"The array's record has no {path!r}.")
    return str(found)


def number(record: Record, path: str, default: int | None = None) -> int:
    """Return a whole number, or `default` where it is absent."""
    found = value(record, path, default)
    try:
        return int(found)
    except (TypeError, ValueError) as wrong:
        raise ProtocolError(f"The array's record has no number at {path!r}: {found!r}.") from wrong


def flag(record: Record, path: str) -> bool:
    """Return a truth value; absent is false."""
    return str(value(record, path, False)).lower() == "true"


# LUNs


def base(record: Record) -> names.Base:
    """Return a LUN's base name, taken apart."""
    unit = value(record, "location.logical_unit") or text(record, "name").rpartition("/")[2]
    return names.parse(str(unit))


def pool_of(record: Record) -> str:
    """Return the FlexVol that a LUN is in."""
    return str(value(record, "location.volume.name") or text(record, "name").split("/")[2])


def is_snapshot(record: Record) -> bool:
    """Tell whether a LUN is a snapshot that this library took: name and comment both say so."""
    return base(record).source is not None and _SOURCE.match(str(value(record, "comment", ""))) is not None


def is_kept(record: Record) -> bool:
    """Tell whether a LUN's maker may not take it back any more."""
    return str(value(record, "comment", "")).endswith(KEPT)


def moment(record: Record) -> str | None:
    """Return which moment of a group a LUN is of; None for what was not taken with a group."""
    match = _SOURCE.match(str(value(record, "comment", "")))
    return match["moment"] if match else None


def kept(comment: str) -> str:
    """Return the comment of a LUN that its maker may not take back any more."""
    return comment.removesuffix(KEPT) + KEPT


def is_described(record: Record) -> bool:
    """Tell whether a LUN is this library's, as its comment says."""
    comment = str(value(record, "comment", ""))
    match = _SOURCE.match(comment)
    return Label.parse((match["rest"] if match else comment).removesuffix(KEPT)) != Label()


def age(record: Record) -> tuple[bool, str, str]:
    """Return by what LUNs of one name are sorted: the first is the one that the name stands for."""
    return not is_kept(record), text(record, "create_time"), text(record, "uuid")


def wwn(serial: str) -> str:
    """Return a LUN's SCSI identity, as its serial number gives it (sheet, section 2)."""
    return _NAA + serial.encode("ascii").hex()


def volume(record: Record, *, has_snapshots: bool = False) -> Volume:
    """Translate a LUN."""
    comment = str(value(record, "comment", ""))
    description = comment.removesuffix(_RELEASED).removesuffix(KEPT)
    policy = str(value(record, "qos_policy.name") or "")
    if not policy and comment.endswith(_RELEASED):
        policy = str(base(record))
    dependants = {Dependant.SNAPSHOT} if has_snapshots else set()
    if flag(record, "status.mapped"):
        dependants.add(Dependant.EXPORT)
    health = _LUN_HEALTH.get(str(value(record, "status.state", "online")), Health.FAULTY)
    state = VolumeState.FAULTY if health is Health.FAULTY else VolumeState.READY
    return Volume(
        id=text(record, "uuid"),
        name=str(base(record)),
        size=number(record, "space.size"),
        pool=pool_of(record),
        wwn=wwn(text(record, "serial_number")),
        thin=not flag(record, "space.guarantee.requested"),
        state=VolumeState.COPYING if Label.parse(description).copying else state,
        health=health,
        description=description,
        dependants=frozenset(dependants),
        qos_id=policy or None,
        allocated_bytes=number(record, "space.used", 0),
    )


def released(description: str) -> str:
    """Return the comment of a LUN that is out of its own QoS policy, which may still be there."""
    return description + _RELEASED


def snapshot_comment(source_id: str, description: str, moment: str | None = None) -> str:
    """Return the comment of a snapshot: whose it is, of which moment of a group, and the library's own description."""
    return f"of={source_id};{description}" if moment is None else f"of={source_id}@{moment};{description}"


def snapshot(record: Record) -> Snapshot:
    """Translate a LUN that is a snapshot."""
    found = base(record)
    match = _SOURCE.match(str(value(record, "comment", "")))
    if found.source is None or match is None:
        raise ProtocolError(f"The LUN {text(record, 'name')!r} is no snapshot of this library.")
    return Snapshot(
        id=text(record, "uuid"),
        name=found.name,
        size=number(record, "space.size"),
        source_id=match["uuid"],
        source_name=found.source,
        wwn=wwn(text(record, "serial_number")),
        exported=flag(record, "status.mapped"),
        description=match["rest"].removesuffix(KEPT),
    )


# The array


def system_facts(nodes: Collection[Record]) -> SystemFacts:
    """Translate the cluster's nodes; those that are down may not tell their model (sheet, trap 8)."""
    told = {key: sorted({str(value(node, key)) for node in nodes if value(node, key)}) for key in ("model", "serial_number")}
    healths = {_NODE_HEALTH.get(str(value(node, "state", "")), Health.UNKNOWN) for node in nodes}
    node_names = sorted(text(node, "name") for node in nodes)
    return SystemFacts(
        vendor="NetApp",
        model=", ".join(told["model"]) or "unknown",
        serial=", ".join(told["serial_number"]),
        name=", ".join(node_names),
        firmware=", ".join(sorted({str(value(node, "version.full", "unknown")) for node in nodes})),
        health=next((health for health in _WORST if health in healths), Health.UNKNOWN),
        details={text(node, "name"): str(value(node, "state", "unknown")) for node in nodes},
    )


def pool(record: Record, provisioned: int | None, kinds: Mapping[str, str]) -> Pool:
    """Translate a FlexVol; `kinds` is what each aggregate is made of."""
    aggregates = [str(value(item, "name", "")) for item in value(record, "aggregates", [])]
    total = number(record, "space.afs_total", 0)
    return Pool(
        id=text(record, "uuid"),
        name=text(record, "name"),
        total_bytes=total,
        free_bytes=min(max(number(record, "space.available", 0), 0), total),
        provisioned_bytes=provisioned,
        health=Health.DEGRADED if flag(record, "error_state.is_inconsistent") else Health.NORMAL,
        disk_types=tuple(sorted({kinds[name] for name in aggregates if name in kinds})),
    )


def wwpn(colons: str) -> str:
    """Return a WWPN as 16 lower-case hex digits; the array writes it with colons."""
    return colons.replace(":", "").lower()


def with_colons(plain: str) -> str:
    """Return a WWPN as the array writes it."""
    return ":".join(plain[at : at + 2] for at in range(0, len(plain), 2))


def is_up(record: Record) -> bool:
    """Tell whether a LIF is enabled and up."""
    return flag(record, "enabled") and str(value(record, "state", "up")) == "up"


def iscsi_port(record: Record, iqn: str) -> Port:
    """Translate an IP LIF that serves iSCSI."""
    address = text(record, "ip.address")
    return Port(
        id=text(record, "uuid"),
        protocol=Protocol.ISCSI,
        address=f"[{address}]:{ISCSI_PORT}" if ":" in address else f"{address}:{ISCSI_PORT}",
        iqn=iqn,
        up=is_up(record),
        controller=str(value(record, "location.node.name", "")) or None,
    )


def fc_port(record: Record) -> Port:
    """Translate an FC LIF."""
    return Port(
        id=text(record, "uuid"),
        protocol=Protocol.FC,
        address=wwpn(text(record, "wwpn")),
        up=is_up(record),
        controller=str(value(record, "location.node.name", "")) or None,
    )
