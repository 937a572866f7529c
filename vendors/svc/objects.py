"""From the array's sections to the library's nouns. Source: IBM sheet, sections 2 and 3; Inspur sheet, 3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from blockdrivers.model import Dependant, Health, MiB, Pool, Qos, Snapshot, SystemFacts, Volume, VolumeState
from blockdrivers.naming import Kind, kind_of
from vendors.svc.grammar import Section
from vendors.svc.variants import Variant

COMPLETE: Final = 100
"""Progress of a background copy that is done, in percent."""

_HEALTH: Final[Mapping[str, Health]] = {"online": Health.NORMAL, "degraded": Health.DEGRADED, "offline": Health.FAULTY}
_MANY: Final = "many"


@dataclass(frozen=True, slots=True)
class CopyMap:
    """A point-in-time mapping.

    Attributes:
        id: may come to be another mapping's once this one has gone.
        name: how commands refer to it. Those that this library makes bear a name that no other will ever have.
    """

    id: str
    name: str
    source: str
    source_id: str
    target: str
    target_id: str
    status: str
    progress: int
    rate: int
    group: str

    @property
    def is_complete(self) -> bool:
        """Whether every byte has been copied."""
        return self.progress >= COMPLETE

    @property
    def holds_moment(self) -> bool:
        """Whether its target holds a point in time of its source."""
        return self.status in {"copying", "suspended"} or (self.status == "idle_or_copied" and self.is_complete)

    @property
    def waits(self) -> bool:
        """Whether it was made, and perhaps prepared, and never started."""
        return self.status in {"idle_or_copied", "prepared"} and not self.is_complete

    @property
    def is_snapshot(self) -> bool:
        """Whether its target is a snapshot: of this library's naming, or without a background copy."""
        kind = kind_of(self.target)
        return kind is Kind.SNAPSHOT or (kind is None and self.rate == 0)


def copy_map(row: Section) -> CopyMap:
    """Translate a row of ``lsfcmap``."""
    return CopyMap(
        row.text("id"),
        row.text("name"),
        row.text("source_vdisk_name"),
        row.text("source_vdisk_id"),
        row.text("target_vdisk_name"),
        row.text("target_vdisk_id"),
        row.text("status"),
        row.number("progress", 0),
        row.number("copy_rate", 0),
        row.get("group_name"),
    )


def copy_maps(rows: Iterable[Section] | None) -> list[CopyMap]:
    """Translate rows of ``lsfcmap``."""
    return [copy_map(row) for row in rows or ()]


def map_count(volume: Section) -> int:
    """Return how many mappings a volume is part of; the field is named after the vendor's copy function."""
    return volume.number("fc_map_count", volume.number("lc_map_count", 0))


def system_facts(variant: Variant, system: Section, nodes: Sequence[Section]) -> SystemFacts:
    """Translate ``lssystem`` and ``lsnode``; the serial number is the enclosure's, or the system's id where none is told."""
    serial = next((node.get("enclosure_serial_number") for node in nodes if node.get("enclosure_serial_number")), "")
    states = {node.get("status") for node in nodes}
    health = Health.UNKNOWN if not states else Health.NORMAL if states == {"online"} else Health.DEGRADED
    details = {name: system.get(name) for name in ("id", "location", "topology") if system.get(name)}
    return SystemFacts(
        vendor=variant.vendor,
        model=system.get("product_name").removeprefix(f"{variant.vendor} ") or variant.title,
        serial=serial or system.text("id"),
        name=system.get("name"),
        firmware=system.text("code_level"),
        health=health,
        details=details,
    )


def pool(row: Section) -> Pool:
    """Translate a row of ``lsmdiskgrp -bytes``."""
    return Pool(
        id=row.text("id"),
        name=row.text("name"),
        total_bytes=row.number("capacity"),
        free_bytes=row.number("free_capacity"),
        provisioned_bytes=row.number("virtual_capacity") if row.get("virtual_capacity") else None,
        health=_HEALTH.get(row.get("status"), Health.UNKNOWN),
    )


def volume(
    item: Section,
    copies: Sequence[Section],
    maps: Sequence[CopyMap],
    *,
    mapped: bool,
    name: str | None = None,
    limited: str | None = None,
) -> Volume:
    """Translate a volume.

    Args:
        item: its section of the detailed view, or its row.
        copies: the sections of its copies; without them the row must tell pool and kind.
        maps: those that it is part of.
        mapped: whether a host sees it.
        name: instead of the array's, for a clone that has its name only when it is whole.
        limited: id of its throttle, where the section does not tell its limits.
    """
    own = item.text("name")
    primary = next((copy for copy in copies if copy.get("primary") != "no"), None)
    return Volume(
        id=item.text("id"),
        name=name or own,
        size=item.number("capacity"),
        pool=primary.text("mdisk_grp_name") if primary else item.text("mdisk_grp_name"),
        wwn=item.get("vdisk_UID").lower() or None,
        thin=primary.get("se_copy") == "yes" if primary else item.number("se_copy_count", 0) > 0,
        state=VolumeState.COPYING if name is not None else _state(item, own, maps),
        health=_HEALTH.get(item.get("status"), Health.UNKNOWN),
        dependants=_dependants(item, own, maps, mapped=mapped),
        qos_id=(limited or _qos_id(item)) or None,
    )


def lies_in_two_pools(row: Section) -> bool:
    """Tell whether a row hides where the volume's copies are."""
    return row.get("mdisk_grp_name") == _MANY


def snapshot(item: Section, taken: CopyMap | None, *, mapped: bool) -> Snapshot:
    """Translate a snapshot's volume and the mapping that it is the target of; without one it holds no point in time."""
    return Snapshot(
        id=item.text("id"),
        name=item.text("name"),
        size=item.number("capacity"),
        source_id=taken.source_id if taken else "",
        source_name=taken.source if taken else "",
        wwn=item.get("vdisk_UID").lower() or None,
        ready=taken is not None and taken.holds_moment,
        exported=mapped,
    )


def limits(item: Section) -> Qos:
    """Return the limits that a volume's detailed view shows; older levels show one number of operations."""
    if "IOPs_limit" not in item:
        return Qos(total_iops=item.number("throttling", 0) or None)
    megabytes = item.number("bandwidth_limit_MB", 0)
    return Qos(total_iops=item.number("IOPs_limit", 0) or None, total_bytes_sec=megabytes * MiB or None)


def _qos_id(item: Section) -> str:
    if "IOPs_limit" not in item and "throttling" not in item:
        return ""
    return (item.get("throttle_id") or item.text("id")) if limits(item) != Qos() else ""


def _state(item: Section, own: str, maps: Sequence[CopyMap]) -> VolumeState:
    if item.get("status") == "offline":
        return VolumeState.FAULTY
    written = any(found.target == own and not found.is_complete and found.status != "idle_or_copied" for found in maps)
    return VolumeState.BUSY if written else VolumeState.READY


def _dependants(item: Section, own: str, maps: Sequence[CopyMap], *, mapped: bool) -> frozenset[Dependant]:
    """Return what hangs on a volume. A copy that is complete and was not tidied up does not: deleting the volume does that."""
    kinds = {each.id: Dependant.SNAPSHOT if each.source == own and each.is_snapshot else Dependant.COPY for each in maps}
    over = {each.id for each in maps if each.is_complete}
    found = {kind for identifier, kind in kinds.items() if kind is Dependant.SNAPSHOT or identifier not in over}
    if mapped:
        found.add(Dependant.EXPORT)
    if item.get("RC_id"):
        found.add(Dependant.REPLICATION)
    return frozenset(found)
