"""What differs between the generations of the family, as data.

Source: protocol sheet, sections 1 (lines and their detection), 3.5 (copies), 3.8 (direct mapping), 3.9 (QoS) and 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from blockdrivers.driver import QosSupport
from blockdrivers.model import MiB

_TOTAL = frozenset({"total_iops", "total_bytes_sec"})
_READ = frozenset({"read_iops", "read_bytes_sec"})
_WRITE = frozenset({"write_iops", "write_bytes_sec"})
_LOWER = frozenset({"min_iops", "min_bytes_sec"})
_LATENCY = frozenset({"max_latency_us"})


@dataclass(frozen=True, slots=True)
class Generation:
    """One line of the family.

    Attributes:
        title: for messages and reports.
        thick: whether LUNs can be fully allocated; the others are thin whatever is asked.
        clone_pairs: full copies are made by clone pairs; by LUN copies where False.
        direct_mapping: a LUN is mapped to a host as it is; through groups and a mapping view where False.
        delays_delete: a deleted LUN lingers in a recycle bin unless told otherwise.
        qos: what SmartQoS can limit.
    """

    title: str
    thick: bool
    clone_pairs: bool
    direct_mapping: bool
    delays_delete: bool
    qos: QosSupport


_CLASSIC_QOS: Final = QosSupport(
    keys=_TOTAL | _READ | _WRITE | _LOWER | _LATENCY,
    combinations=(_TOTAL, _READ, _WRITE, _LOWER | _LATENCY),
    bytes_step=MiB,
    latency_step_us=1000,
)
_DORADO_V3_QOS: Final = QosSupport(
    keys=_TOTAL | _LOWER | _LATENCY, combinations=(_TOTAL, _LOWER | _LATENCY), bytes_step=MiB, latency_step_us=1000
)
_V6_QOS: Final = QosSupport(keys=_TOTAL, combinations=(_TOTAL,), bytes_step=MiB, min_iops=100)

V3: Final = Generation("OceanStor V3", True, False, False, False, _CLASSIC_QOS)
V5: Final = Generation("OceanStor V5", True, False, False, False, _CLASSIC_QOS)
DORADO_V3: Final = Generation("OceanStor Dorado V3", False, False, False, False, _DORADO_V3_QOS)
V6: Final = Generation("OceanStor Dorado V6", False, True, True, True, _V6_QOS)

_BY_VERSION: Final[Mapping[str, Generation]] = {"V700": V6, "V600": V6, "V500": V5}
_DORADO_V3_MODE: Final = re.compile(r"8\d\d")


def detect(system: Mapping[str, Any]) -> Generation:
    """Return the generation of an array from the attributes of its system object.

    The version alone cannot tell a Dorado V3 from a V3 hybrid; its product mode does.
    """
    version = str(system.get("PRODUCTVERSION", ""))[:4]
    if version in _BY_VERSION:
        return _BY_VERSION[version]
    return DORADO_V3 if _DORADO_V3_MODE.fullmatch(str(system.get("PRODUCTMODE", ""))) else V3
