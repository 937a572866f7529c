"""From the array's attribute dictionaries to the library's nouns.

Source: protocol sheet, section 2 (types, states, sizes) and the examples of section 3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from blockdrivers.errors import ProtocolError
from blockdrivers.model import (
    Dependant,
    Health,
    InitiatorFacts,
    Pool,
    Port,
    Protocol,
    Snapshot,
    SystemFacts,
    Volume,
    VolumeState,
)
from blockdrivers.naming import Label
from vendors.huawei.client import Object

SECTOR: Final = 512
"""Bytes in the unit of every capacity on this wire."""

DESCRIPTION_LENGTH: Final = 255
"""Bytes that a description holds."""

ISCSI_PORT: Final = 3260

_INVALID_CAPACITY: Final = 2**64 - 1


class Type(IntEnum):
    """The array's object types."""

    LUN = 11
    HOST_GROUP = 14
    HOST = 21
    SNAPSHOT = 27
    POOL = 216
    LUN_COPY = 219
    ISCSI_INITIATOR = 222
    FC_INITIATOR = 223
    QOS_POLICY = 230
    MAPPING_VIEW = 245
    MIGRATION = 253
    LUN_GROUP = 256


class Running(IntEnum):
    """RUNNINGSTATUS values that decide something."""

    QOS_RUNNING = 2
    LINK_UP = 10
    ONLINE = 27
    COPY_COMPLETE = 40
    SNAPSHOT_ACTIVE = 43
    SNAPSHOT_REVERTING = 44
    INACTIVE = 45
    QOS_IDLE = 46
    INITIALISING = 53
    MIGRATION_FAULT = 74
    MIGRATED = 76


_HEALTH: Final[Mapping[str, Health]] = {
    "1": Health.NORMAL,
    "2": Health.FAULTY,
    "5": Health.DEGRADED,
    "15": Health.FAULTY,
    "17": Health.DEGRADED,
    "18": Health.FAULTY,
}

_DEPENDANTS: Final[Mapping[str, Dependant]] = {
    "SnapShot": Dependant.SNAPSHOT,
    "LunCopy": Dependant.COPY,
    "LunClone": Dependant.COPY,
    "HyperCopy": Dependant.COPY,
    "LunMigration": Dependant.MIGRATION,
    "RemoteReplication": Dependant.REPLICATION,
    "HyperMetro": Dependant.REPLICATION,
    "LUNMirror": Dependant.MIRROR,
    "SplitMirror": Dependant.MIRROR,
}

_DISK_TYPES: Final[Mapping[str, str]] = {"3": "SSD", "10": "SSD (self-encrypting)", "14": "NVMe SSD"}
_TIERS: Final = (("TIER0CAPACITY", "SSD"), ("TIER1CAPACITY", "SAS"), ("TIER2CAPACITY", "NL-SAS"))


def text(item: Object, attribute: str) -> str:
    """Return an attribute that must be there."""
    try:
        return str(item[attribute])
    except KeyError as missing:
        raise ProtocolError(f"The array's object has no attribute {missing}.") from missing


def number(item: Object, attribute: str, default: int | None = None) -> int:
    """Return a whole number, or `default` where the attribute is absent or does not apply."""
    value = str(item.get(attribute, "")).strip()
    if value in {"", "--"}:
        if default is None:
            raise ProtocolError(f"The array's object has no number in {attribute!r}.")
        return default
    try:
        return int(value)
    except ValueError as wrong:
        raise ProtocolError(f"The array's attribute {attribute!r} is no number: {value!r}.") from wrong


def running(item: Object) -> int:
    """Return RUNNINGSTATUS."""
    return number(item, "RUNNINGSTATUS", 0)


def flag(item: Object, attribute: str) -> bool:
    """Return a truth value; absent is false."""
    return str(item.get(attribute, "false")).lower() == "true"


def health(item: Object) -> Health:
    """Return HEALTHSTATUS."""
    return _HEALTH.get(str(item.get("HEALTHSTATUS", "")), Health.UNKNOWN)


def identifiers(item: Object, attribute: str) -> list[str]:
    """Return a list of ids that the array packs as JSON into text; empty entries left out."""
    return [str(entry) for entry in _packed(item, attribute, []) if str(entry)]


def system_facts(item: Object) -> SystemFacts:
    """Translate the system object."""
    details = {key: str(item[key]) for key in ("PRODUCTMODE", "patchVersion", "LOCATION") if item.get(key)}
    return SystemFacts(
        vendor="Huawei",
        model=str(item.get("productModeString") or f"OceanStor (product mode {item.get('PRODUCTMODE', 'unknown')})"),
        serial=text(item, "ID"),
        name=str(item.get("NAME", "")),
        firmware=" ".join(str(item[key]) for key in ("PRODUCTVERSION", "pointRelease") if item.get(key)),
        wwn=str(item.get("wwn") or "") or None,
        health=health(item),
        details=details,
    )


def holds_luns(item: Object) -> bool:
    """Tell whether a pool is for LUNs; pools of files are not."""
    return str(item.get("USAGETYPE", "1")) != "2"


def pool(item: Object) -> Pool:
    """Translate a storage pool."""
    free = number(item, "DATASPACE", number(item, "USERFREECAPACITY", 0))
    provisioned = number(item, "totalSizeWithoutSnap", number(item, "LUNCONFIGEDCAPACITY", -1))
    return Pool(
        id=text(item, "ID"),
        name=text(item, "NAME"),
        total_bytes=number(item, "USERTOTALCAPACITY") * SECTOR,
        free_bytes=free * SECTOR,
        provisioned_bytes=None if provisioned < 0 else provisioned * SECTOR,
        health=health(item),
        disk_types=tuple(kind for attribute, kind in _tiers(item) if 0 < number(item, attribute, 0) < _INVALID_CAPACITY),
    )


def volume(item: Object) -> Volume:
    """Translate a LUN."""
    description = str(item.get("DESCRIPTION", ""))
    return Volume(
        id=text(item, "ID"),
        name=text(item, "NAME"),
        size=number(item, "CAPACITY") * SECTOR,
        pool=text(item, "PARENTNAME"),
        wwn=str(item.get("WWN", "")).lower() or None,
        thin=str(item.get("ALLOCTYPE", "1")) == "1",
        state=_volume_state(item, description),
        health=health(item),
        description=description,
        dependants=_dependants(item),
        qos_id=str(item.get("IOCLASSID") or "") or None,
        allocated_bytes=number(item, "ALLOCCAPACITY", 0) * SECTOR,
    )


def snapshot(item: Object) -> Snapshot:
    """Translate a snapshot."""
    return Snapshot(
        id=text(item, "ID"),
        name=text(item, "NAME"),
        size=number(item, "USERCAPACITY", number(item, "SOURCELUNCAPACITY", 0)) * SECTOR,
        source_id=text(item, "PARENTID"),
        source_name=text(item, "PARENTNAME"),
        wwn=str(item.get("WWN", "")).lower() or None,
        ready=running(item) in {Running.SNAPSHOT_ACTIVE, Running.SNAPSHOT_REVERTING},
        exported=flag(item, "EXPOSEDTOINITIATOR") or flag(item, "ISADD2LUNGROUP"),
        description=str(item.get("DESCRIPTION", "")),
    )


def iscsi_port(item: Object) -> Port:
    """Translate an iSCSI target port; its id is ``0+IQN,t,0xTPGT`` and the IQN ends in the portal's address."""
    iqn = text(item, "ID").partition("+")[2].partition(",")[0]
    address = iqn.rpartition(":")[2]
    return Port(text(item, "ID"), Protocol.ISCSI, f"{address}:{ISCSI_PORT}", iqn=iqn)


def fc_port(item: Object) -> Port:
    """Translate a Fibre Channel port; the speed is reported in Mbit/s."""
    speed = number(item, "RUNSPEED", 0)
    return Port(
        id=text(item, "ID"),
        protocol=Protocol.FC,
        address=text(item, "WWN").lower(),
        up=running(item) == Running.LINK_UP,
        speed_bits=speed * 1_000_000 if speed > 0 else None,
        controller=str(item.get("PARENTID") or "").partition(".")[0] or None,
    )


def initiator(item: Object, protocol: Protocol) -> InitiatorFacts:
    """Translate an initiator of either kind."""
    return InitiatorFacts(
        address=text(item, "ID"),
        protocol=protocol,
        online=running(item) == Running.ONLINE,
        host=str(item.get("PARENTNAME") or "") or None,
    )


def host_lun_id(item: Object) -> int | None:
    """Return the LUN id under which a host sees this LUN; None while the array has not allotted one."""
    value = _packed(item, "ASSOCIATEMETADATA", {}).get("HostLUNID")
    return None if value is None else int(value)


def _volume_state(item: Object, description: str) -> VolumeState:
    if Label.parse(description).copying:
        return VolumeState.COPYING
    if health(item) is Health.FAULTY:
        return VolumeState.FAULTY
    return VolumeState.READY if running(item) == Running.ONLINE else VolumeState.BUSY


def _dependants(item: Object) -> frozenset[Dependant]:
    marks = _packed(item, "HASRSSOBJECT", {})
    found = {kind for mark, kind in _DEPENDANTS.items() if str(marks.get(mark, "")).upper() == "TRUE"}
    if identifiers(item, "LUNCOPYIDS"):
        found.add(Dependant.COPY)
    if any(flag(item, attribute) for attribute in ("EXPOSEDTOINITIATOR", "ISADD2LUNGROUP", "mapped")):
        found.add(Dependant.EXPORT)
    return frozenset(found)


def _tiers(item: Object) -> list[tuple[str, str]]:
    kind = _DISK_TYPES.get(str(item.get("TIER0DISKTYPE", "")), "SSD")
    return [(attribute, kind if attribute == "TIER0CAPACITY" else tier) for attribute, tier in _TIERS]


def _packed(item: Object, attribute: str, default: Any) -> Any:
    packed = item.get(attribute)
    if packed in {None, "", "--"}:
        return default
    try:
        value = json.loads(str(packed))
    except ValueError as wrong:
        raise ProtocolError(f"The array's attribute {attribute!r} holds no JSON: {packed!r}.") from wrong
    if type(value) is not type(default):
        raise ProtocolError(f"The array's attribute {attribute!r} holds {type(value).__name__}.")
    return value
