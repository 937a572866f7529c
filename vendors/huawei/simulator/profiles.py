"""What each simulated model says of itself, and which generation it behaves as. Source: protocol sheet, sections 1 and 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """One model.

    Attributes:
        version: PRODUCTVERSION.
        mode: PRODUCTMODE; the full table is unknown, these are made up but for the rule that Dorado V3 has 8 and two digits.
        title: productModeString, where the generation has one.
        thick: whether fully allocated LUNs exist.
        dorado: all-flash: fast clones, pools without tiers, QoS on reads and writes together only.
        v6: clone pairs, direct mapping, long LUN names, pages of at most 100.
        cjk: whether names may hold Chinese characters.
    """

    version: str
    mode: str
    title: str = ""
    thick: bool = True
    dorado: bool = False
    v6: bool = False
    cjk: bool = False

    @property
    def name_length(self) -> int:
        """Longest name of a LUN or snapshot."""
        return 255 if self.v6 else 31


_V3: Final = Profile("V300R006C50", "68")
_V5: Final = Profile("V500R007C60", "112", cjk=True)
_DORADO_V3: Final = Profile("V300R002C10", "811", thick=False, dorado=True)
_V6: Final = Profile("V600R005C03", "816", "OceanStor Dorado 18500 V6", thick=False, dorado=True, v6=True, cjk=True)

PROFILES: Final[Mapping[str, Profile]] = {
    "OceanStor Dorado 5000 V3": _DORADO_V3,
    "Dorado 5000 V3": _DORADO_V3,
    "OceanStor 2600 V3": _V3,
    "OceanStor 5500 V3": _V3,
    "OceanStor 18500 V3": _V3,
    "OceanStor 5210 V5": _V5,
    "OceanStor 5300 V5": _V5,
    "OceanStor 5310 V5": _V5,
    "OceanStor 5500 V5": _V5,
    "OceanStor 5510 V5": _V5,
    "OceanStor 18510 V5": _V5,
    "18500F V5": _V5,
    "Dorado 18500 V6": _V6,
}
