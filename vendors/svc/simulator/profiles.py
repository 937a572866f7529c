"""What each simulated model says of itself, and which words and rules its code level has. Source: protocol sheets, sections 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

Level = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Words:
    """How a vendor spells what both have.

    Attributes:
        vendor: SCSI vendor identification.
        inquiry, action: prefixes of commands that list and that change.
        stem: of the copy function's commands, as in ``mkfcmap``.
        copy: the copy function in messages.
        tier: flag for tiering; its field has an underscore in it.
        tier_field: field of pools and copies.
        deduplicated: flag for deduplication.
        iqn: of a node, with ``{node}``.
        iqn_taken: refusal of an iSCSI name that a host has.
    """

    vendor: str
    inquiry: str
    action: str
    stem: str
    copy: str
    tier: str
    tier_field: str
    deduplicated: str
    iqn: str
    iqn_taken: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One model at one code level.

    Attributes:
        words: the vendor's.
        level: code level.
        title: ``product_name`` of the system, where it tells.
        product_key: machine type.
        grows_in_map: a volume in a running copy mapping can be expanded.
        reduces: whether pools that reduce data exist.
        rest: whether the commands are served over HTTPS, too.
        ip_table: which inquiry lists iSCSI addresses: ``lsip`` or ``lsportip``.
        port_host: whether ``lsportip`` tells which addresses serve hosts.
        npiv: whether FC targets are virtual ports (``lstargetportfc``).
        fc_portsets: whether FC ports belong to portsets.
        autodelete_copy: ``addvdiskcopy -autodelete``.
        removes_mappings: ``rmvdisk -removehostmappings``.
        throttles: ``mkthrottle`` and the fields of limits.
        bandwidth: whether volumes can be limited in MB/s.
        mkvolume: the newer verbs ``mkvolume`` and ``rmvolume``.
        fastest_copy: highest copy rate.
    """

    words: Words
    level: Level
    title: str
    product_key: str
    grows_in_map: bool = False
    reduces: bool = False
    rest: bool = False
    ip_table: str = "lsportip"
    port_host: bool = False
    npiv: bool = False
    fc_portsets: bool = False
    autodelete_copy: bool = False
    removes_mappings: bool = False
    throttles: bool = False
    bandwidth: bool = True
    mkvolume: bool = True
    fastest_copy: int = 150

    @property
    def code_level(self) -> str:
        """The level as ``lssystem`` shows it."""
        return f"{'.'.join(map(str, self.level))} (build 150.26.2101251311000)"


IBM: Final = Words(
    "IBM",
    "svcinfo",
    "svctask",
    "fc",
    "FlashCopy",
    "easytier",
    "easy_tier",
    "deduplicated",
    "iqn.1986-03.com.ibm:2145.{system}.node{node}",
    "CMMVC6578E",
)
INSPUR: Final = Words(
    "INSPUR",
    "mcsinq",
    "mcsop",
    "lc",
    "LocalCopy",
    "intier",
    "in_tier",
    "deduped",
    "iqn.2018-02.com.inspur:{system}.node{node}",
    "CMMVC6581E",
)

_FLASHSYSTEM_9100: Final = Profile(
    IBM,
    (8, 5, 1, 0),
    "IBM FlashSystem 9100",
    "9846",
    grows_in_map=True,
    reduces=True,
    rest=True,
    ip_table="lsip",
    npiv=True,
    fc_portsets=True,
    autodelete_copy=True,
    removes_mappings=True,
    throttles=True,
)
_V3700: Final = Profile(
    IBM,
    (7, 8, 1, 11),
    "IBM Storwize V3700",
    "2072",
    port_host=True,
    npiv=True,
    autodelete_copy=True,
    removes_mappings=True,
    throttles=True,
)
_MCS_3: Final = Profile(INSPUR, (3, 1, 1, 0), "", "1813", bandwidth=False, mkvolume=False, fastest_copy=100)
_MCS_LATE: Final = replace(_MCS_3, level=(6, 3, 0, 1), grows_in_map=True, reduces=True, bandwidth=True, fastest_copy=150)

PROFILES: Final[Mapping[str, Profile]] = {
    "FlashSystem 9100": _FLASHSYSTEM_9100,
    "Storwize V3700": _V3700,
    "AS2600 G2": _MCS_3,
    "AS5300 G2": _MCS_3,
    "AS5500 G2": _MCS_3,
    "HF5500": _MCS_3,
    "AS5300 G5": _MCS_LATE,
    "AS5500 G5": _MCS_LATE,
    "HF5000 G5": _MCS_LATE,
}
