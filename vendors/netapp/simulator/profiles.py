"""What each simulated model says of itself. Source: protocol sheet, sections 1, 3.1 and 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """One model.

    Attributes:
        node_model: what its nodes call themselves; the exact spelling is assumed.
        release: generation, major, minor of ONTAP.
        all_flash: whether QoS has lower limits.
        storage: what its aggregates are made of.
        disk: effective type of its disks.
    """

    node_model: str
    release: tuple[int, int, int]
    all_flash: bool = False
    storage: str = "hdd"
    disk: str = "sas"

    @property
    def jobs_for_luns(self) -> bool:
        """Whether making a LUN may be a job."""
        return self.release >= (9, 16, 1)


PROFILES: Final[Mapping[str, Profile]] = {
    "FAS2750": Profile("FAS2750", (9, 13, 1)),
    "FAS8200": Profile("FAS8200", (9, 11, 1)),
    "AFF A300": Profile("AFF-A300", (9, 13, 1), all_flash=True, storage="ssd", disk="ssd"),
}
