"""From the array's objects to the library's nouns. Source: protocol sheet, section 2 and the examples of section 3."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from blockdrivers.errors import ProtocolError
from blockdrivers.model import Dependant, Health, MiB, Pool, Port, Protocol, Qos, SystemFacts, Volume, VolumeState
from blockdrivers.naming import kind_of
from vendors.hitachi.client import Object

BLOCK: Final = 512
"""Bytes in the unit of an LDEV's capacity."""

UNFINISHED: Final = "~"
"""Behind a name, in the 32nd character of a label: a clone whose bytes are not all there."""

QOS: Final[Mapping[str, tuple[str, int]]] = {
    "total_iops": ("upperIops", 1),
    "total_bytes_sec": ("upperTransferRate", MiB),
    "min_iops": ("lowerIops", 1),
    "min_bytes_sec": ("lowerTransferRate", MiB),
}
"""Limit -> the array's attribute and the size of its unit."""

_DEPENDANTS: Final[Mapping[str, Dependant]] = {
    "MRCF": Dependant.COPY,
    "HORC": Dependant.REPLICATION,
    "GAD": Dependant.REPLICATION,
    "JNL": Dependant.REPLICATION,
}
_POOL_HEALTH: Final = {"POLN": Health.NORMAL, "POLF": Health.DEGRADED, "POLS": Health.FAULTY, "POLE": Health.FAULTY}
_SPLIT: Final = frozenset({"PSUS", "PFUS", "SSUS", "RCPY"})


def field(item: Object, name: str) -> Any:
    """Return an attribute that must be there."""
    try:
        return item[name]
    except KeyError as missing:
        raise ProtocolError(f"The array's object has no attribute {missing}.") from missing


def number(item: Object, name: str) -> int:
    """Return a whole number that must be there."""
    value = field(item, name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProtocolError(f"The array's attribute {name!r} is no number: {value!r}.")
    return value


def is_defined(ldev: Object) -> bool:
    """Tell whether an LDEV id is in use."""
    return str(ldev.get("emulationType", "")) not in {"NOT DEFINED", "REMOVING", ""}


def is_usable(ldev: Object) -> bool:
    """Tell whether an LDEV has been defined completely."""
    return str(ldev.get("emulationType", "")).startswith("OPEN")


def label(ldev: Object) -> str:
    """Return an LDEV's label; empty where it has none."""
    return str(ldev.get("label") or "")


def attributes(ldev: Object) -> frozenset[str]:
    """Return the words that say what an LDEV is used for."""
    return frozenset(map(str, ldev.get("attributes") or ()))


def is_paired(ldev: Object) -> bool:
    """Tell whether an LDEV is in a Thin Image pair."""
    return "HTI" in attributes(ldev)


def paths(ldev: Object) -> list[Object]:
    """Return an LDEV's LU paths."""
    return list(ldev.get("ports") or ())


def port_id(item: Object) -> str:
    """Return a port id without the suffix that some models append (sheet, section 3.4)."""
    return str(field(item, "portId"))[:5]


def address(ldev_id: int) -> str:
    """Return an LDEV id as operators read it: ``00:04:12``."""
    return f"00:{ldev_id >> 8:02X}:{ldev_id & 0xFF:02X}"


def size(ldev: Object) -> int:
    """Return an LDEV's bytes."""
    return number(ldev, "blockCapacity") * BLOCK


def name(ldev: Object) -> str:
    """Return an LDEV's name: its label without the mark of an unfinished clone, or its address where it has none."""
    found = label(ldev)
    if found.endswith(UNFINISHED) and kind_of(found[:-1]) is not None:
        return found[:-1]
    return found or address(number(ldev, "ldevId"))


def bears(ldev: Object, wanted: str) -> bool:
    """Tell whether an LDEV has that name, be it complete or not."""
    return is_defined(ldev) and label(ldev) in {wanted, f"{wanted}{UNFINISHED}"}


def is_unfinished(ldev: Object) -> bool:
    """Tell whether an LDEV is a clone whose bytes are not all there."""
    return label(ldev) != "" and name(ldev) != label(ldev)


def volume(ldev: Object, pools: Mapping[int, str], wwn: str | None) -> Volume:
    """Translate an LDEV."""
    return Volume(
        id=str(number(ldev, "ldevId")),
        name=name(ldev),
        size=size(ldev),
        pool=pools.get(int(ldev.get("poolId", -1)), ""),
        wwn=wwn,
        thin=not ldev.get("isFullAllocationEnabled", False),
        state=_state(ldev),
        health=Health.FAULTY if ldev.get("status") == "BLK" else Health.NORMAL,
        dependants=_dependants(ldev),
        qos_id=str(ldev["ldevId"]) if ldev.get("qos") else None,
        allocated_bytes=int(ldev.get("numOfUsedBlock", 0)) * BLOCK,
    )


def _state(ldev: Object) -> VolumeState:
    if is_unfinished(ldev):
        return VolumeState.COPYING
    if ldev.get("status") == "BLK":
        return VolumeState.FAULTY
    return VolumeState.READY if is_usable(ldev) else VolumeState.BUSY


def _dependants(ldev: Object) -> frozenset[Dependant]:
    marks = attributes(ldev)
    found = {kind for mark, kind in _DEPENDANTS.items() if mark in marks}
    if "HTI" in marks:
        found.add(Dependant.SNAPSHOT if ldev.get("snapshotPoolId") is None else Dependant.COPY)
    if paths(ldev):
        found.add(Dependant.EXPORT)
    return frozenset(found)


def qos(ldev: Object) -> Qos:
    """Return the limits of an LDEV that was listed with them."""
    limits = ldev.get("qos") or {}
    return Qos(**{key: int(limits[name]) * unit for key, (name, unit) in QOS.items() if limits.get(name)})


def is_taken(pair: Object) -> bool:
    """Tell whether a Thin Image pair holds a point in time."""
    return str(pair.get("status")) in _SPLIT


def is_going(pair: Object) -> bool:
    """Tell whether a Thin Image pair is being deleted."""
    return str(pair.get("status")) in {"SMPP", "SMPL"}


def pair_id(pair: Object) -> str:
    """Return a Thin Image pair's id."""
    return f"{number(pair, 'pvolLdevId')},{number(pair, 'muNumber')}"


def secondary(pair: Object) -> int | None:
    """Return the LDEV id of a pair's S-VOL, where one is assigned."""
    found = pair.get("svolLdevId")
    return None if found is None else int(found)


def system_facts(item: Object) -> SystemFacts:
    """Translate the storage system; it does not tell its health here."""
    details = {key: str(item[key]) for key in ("storageDeviceId", "targetCtl") if item.get(key) is not None}
    return SystemFacts(
        vendor="Hitachi",
        model=str(field(item, "model")),
        serial=str(field(item, "serialNumber")),
        name=str(field(item, "storageDeviceId")),
        firmware=str(item.get("dkcMicroVersion") or "unknown"),
        details=details,
    )


def pool(item: Object) -> Pool:
    """Translate a pool; capacities are in MiB."""
    return Pool(
        id=str(number(item, "poolId")),
        name=str(field(item, "poolName")),
        total_bytes=number(item, "totalPoolCapacity") * MiB,
        free_bytes=number(item, "availableVolumeCapacity") * MiB,
        provisioned_bytes=int(item["totalLocatedCapacity"]) * MiB if "totalLocatedCapacity" in item else None,
        health=_POOL_HEALTH.get(str(item.get("poolStatus")), Health.UNKNOWN),
    )


def is_target(item: Object, wanted: Collection[str] | None) -> bool:
    """Tell whether a port serves hosts under LUN security, and is one of those wanted."""
    serves = item.get("portType") in {"FIBRE", "ISCSI"} and "TAR" in (item.get("portAttributes") or ())
    return serves and item.get("lunSecuritySetting") is not False and (wanted is None or port_id(item) in wanted)


def port(item: Object, iqn: str | None = None) -> Port:
    """Translate a target port; an iSCSI port's address is only in the answer about it alone."""
    if item.get("portType") == "ISCSI":
        portal = f"{field(item, 'ipv4Address')}:{field(item, 'tcpPort')}"
        return Port(port_id(item), Protocol.ISCSI, portal, iqn=iqn, controller=port_id(item)[2])
    return Port(port_id(item), Protocol.FC, str(field(item, "wwn")).lower(), controller=port_id(item)[2])
