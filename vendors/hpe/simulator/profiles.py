"""What each simulated model says of itself. Source: protocol sheet hpe-3par-wsapi, section 1, and h3c-convergedfabric, section 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

TiB: Final = 1024**4

COMPRESSION: Final = 30301215
PRIMERA: Final = 40000128
WITHOUT_SNAP_CPG: Final = 100000000


@dataclass(frozen=True, slots=True)
class Profile:
    """One model.

    Attributes:
        title: ``model`` of the system object; its spelling is assumed.
        interface: major and minor version of the interface.
        build: decides what the interface takes.
        version: ``systemVersion``.
        nodes: controllers.
        sessions: keys at the same time.
        max_volume: bytes.
    """

    title: str
    interface: tuple[int, int]
    build: int
    version: str
    nodes: int
    sessions: int
    max_volume: int

    @property
    def primera(self) -> bool:
        """Whether volumes are thin or reduced only."""
        return self.build >= PRIMERA

    @property
    def compression(self) -> bool:
        """Whether the interface knows compression."""
        return self.build >= COMPRESSION

    @property
    def snap_cpg(self) -> bool:
        """Whether a volume has a CPG for its snapshots."""
        return self.build < WITHOUT_SNAP_CPG


def _seven(title: str) -> Profile:
    return Profile(title, (1, 5), 30202290, "3.2.2.612", 2, 36, 16 * TiB)


def _eight(title: str, nodes: int) -> Profile:
    return Profile(title, (1, 6), 30301215, "3.3.1.410", nodes, 72, 64 * TiB)


PROFILES: Final[Mapping[str, Profile]] = {
    "3PAR StoreServ 7200": _seven("HP_3PAR 7200"),
    "3PAR StoreServ 8200": _eight("HP_3PAR 8200", 2),
    "3PAR StoreServ 8440": _eight("HP_3PAR 8440", 4),
    "3PAR StoreServ 8840": _eight("HP_3PAR 8840", 4),
    "3PAR StoreServ 20800": Profile("HP_3PAR 20800", (1, 6), 30301215, "3.3.1.410", 8, 288, 64 * TiB),
    "ConvergedFabric 8820 Storage": _eight("H3C CF8820", 2),
    "ConvergedFabric 8840 Storage": _eight("H3C CF8840", 4),
    "ConvergedFabric 22035": Profile("H3C CF22035", (1, 10), 40600052, "4.6.0.0", 4, 288, 64 * TiB),
}
