"""What differs between the two vendors and between code levels, as data.

Source: IBM sheet, sections 0, 1 and 3.2; Inspur sheet, 0 and 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from blockdrivers.driver import QosSupport
from blockdrivers.errors import ProtocolError
from blockdrivers.model import MiB
from vendors.svc.grammar import Section

Level = tuple[int, ...]

_LEVEL = re.compile(r"\d+(\.\d+){1,3}")
_LIMITS: Final = frozenset({"total_iops", "total_bytes_sec"})
_IOPS: Final = frozenset({"total_iops"})
_BANDWIDTH: Final = frozenset({"total_bytes_sec"})


@dataclass(frozen=True, slots=True)
class Variant:
    """How a vendor spells what both have.

    Attributes:
        vendor: for facts.
        title: what the arrays are called where they do not tell themselves.
        inquiry, action: prefixes of commands that list and that change.
        stem: of the copy function's commands, as in ``mkfcmap``.
        tier: flag for tiering.
        deduplicated: flag for deduplication.
        reducing: field and value that mark a data-reduction pool.
        thick_in_reducing: whether such pools hold fully allocated volumes.
    """

    vendor: str
    title: str
    inquiry: str
    action: str
    stem: str
    tier: str
    deduplicated: str
    reducing: tuple[str, str]
    thick_in_reducing: bool


IBM: Final = Variant(
    "IBM",
    "Spectrum Virtualize",
    "svcinfo",
    "svctask",
    "fc",
    "easytier",
    "deduplicated",
    ("data_reduction", "yes"),
    thick_in_reducing=True,
)
INSPUR: Final = Variant(
    "Inspur",
    "InStorage MCS",
    "mcsinq",
    "mcsop",
    "lc",
    "intier",
    "deduped",
    ("category", "ssa"),
    thick_in_reducing=False,
)


@dataclass(frozen=True, slots=True)
class Features:
    """What one system can do at its code level.

    Attributes:
        grows_in_map: a volume with snapshots can be expanded.
        ip_table: which inquiry lists iSCSI addresses: ``lsip`` (with portsets) or ``lsportip``.
        target_ports: which one lists FC ports: ``lstargetportfc`` or ``lsportfc``.
        fc_portsets: whether FC ports belong to portsets.
        autodelete_copy: a volume copy can be told to go when its successor is in step.
        throttles: limits can be set together, by ``mkthrottle``.
        qos: what can be limited.
    """

    grows_in_map: bool
    ip_table: str
    target_ports: str
    fc_portsets: bool
    autodelete_copy: bool
    throttles: bool
    qos: QosSupport | None


_PORTSETS: Final[Level] = (8, 4, 2)
_FC_PORTSETS: Final[Level] = (8, 5, 0)
_VIRTUAL_PORTS: Final[Level] = (7, 7, 0)
_THROTTLES: Final[Level] = (7, 7, 1)
_AUTODELETE: Final[Level] = (7, 6, 0)
_LATE_MCS: Final[Level] = (6,)
"""Levels of the G5 generation, which limits bandwidth too; the G2 generation has 3.x to 5.x (assumed)."""
_COMPRESSING_SCHEMES: Final = frozenset({"9846", "flex"})
_EXTEND_IN_MAP: Final = 4
"""Bit of ``license_type_localcopy``: volumes in a copy mapping can be expanded."""


def level(system: Section) -> Level:
    """Return the dotted numbers of ``code_level``; their parts may have several digits."""
    match = _LEVEL.match(system.text("code_level"))
    if match is None:
        raise ProtocolError(f"The array's code level cannot be read: {system.get('code_level')!r}.")
    return tuple(int(part) for part in match[0].split("."))


def features(variant: Variant, system: Section, capabilities: Section | None) -> Features:
    """Return what a system can do.

    Args:
        variant: the vendor.
        system: ``lssystem``.
        capabilities: ``lsguicapabilities``, where it is asked for.
    """
    at = level(system)
    if variant is IBM:
        limits = QosSupport(keys=_LIMITS, combinations=(_LIMITS,), bytes_step=MiB)
        return Features(
            grows_in_map=at >= _PORTSETS,
            ip_table="lsip" if at >= _PORTSETS else "lsportip",
            target_ports="lstargetportfc" if at >= _VIRTUAL_PORTS else "lsportfc",
            fc_portsets=at >= _FC_PORTSETS,
            autodelete_copy=at >= _AUTODELETE,
            throttles=at >= _THROTTLES,
            qos=limits if at >= _THROTTLES else None,
        )
    licence = capabilities.number("license_type_localcopy", 0) if capabilities is not None else 0
    late = at >= _LATE_MCS
    qos = QosSupport(keys=_LIMITS if late else _IOPS, combinations=(_IOPS, _BANDWIDTH) if late else (_IOPS,), bytes_step=MiB)
    return Features(
        grows_in_map=bool(licence & _EXTEND_IN_MAP),
        ip_table="lsportip",
        target_ports="lsportfc",
        fc_portsets=False,
        autodelete_copy=False,
        throttles=False,
        qos=qos,
    )


def may_compress(variant: Variant, licence: Section, gui: Section) -> bool:
    """Tell whether compression is licensed, from ``lslicense`` and ``lsguicapabilities``."""
    if licence.number("license_compression_enclosures", 0) or licence.number("license_compression_capacity", 0):
        return True
    if variant is INSPUR:
        return gui.get("compression") == "yes"
    return gui.get("license_scheme") in _COMPRESSING_SCHEMES
