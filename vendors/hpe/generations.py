"""What differs between the builds of the interface, as data. Source: protocol sheet, sections 1, 3.4, 3.13 and 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from blockdrivers.driver import QosSupport
from blockdrivers.errors import ProtocolError
from blockdrivers.model import MAX_VOLUME_SIZE, TiB
from vendors.hpe.client import Object

_DEDUP: Final = 30201120
_COMPRESSION: Final = 30301215
_PRIMERA: Final = 40000128
_WITHOUT_SNAP_CPG: Final = 100000000
_LIMITS_ONLY: Final = 100500000

KB: Final = 1000
"""Bytes in the unit of bandwidths: the sheet writes kB."""

_LIMITS: Final = frozenset({"total_iops", "total_bytes_sec"})
_GOALS: Final = _LIMITS | {"min_iops", "min_bytes_sec", "max_latency_us"}
_FULL_QOS: Final = QosSupport(keys=_GOALS, combinations=(_GOALS, _LIMITS), bytes_step=KB, latency_step_us=1000, told=False)
_LIMITS_QOS: Final = QosSupport(keys=_LIMITS, combinations=(_LIMITS,), bytes_step=KB, told=False)


@dataclass(frozen=True, slots=True)
class Generation:
    """One range of builds.

    Attributes:
        thick: whether volumes can be fully provisioned.
        dedup: whether thin volumes can be deduplicated.
        compression: whether they can be compressed.
        reduce: whether there is data reduction in place of both.
        snap_cpg: whether a volume names a CPG for its snapshots.
        max_size: bytes of the largest volume.
        qos: what a rule can limit.
    """

    thick: bool
    dedup: bool
    compression: bool
    reduce: bool
    snap_cpg: bool
    max_size: int
    qos: QosSupport


def detect(version: Object) -> Generation:
    """Return the generation of an array from what its interface says of itself."""
    build = version.get("build")
    if not isinstance(build, int):
        raise ProtocolError(f"The interface tells no build: {version!r}; is this the address of a Web Services API?")
    primera = build >= _PRIMERA
    return Generation(
        thick=not primera,
        dedup=_DEDUP <= build < _PRIMERA,
        compression=_COMPRESSION <= build < _PRIMERA,
        reduce=primera,
        snap_cpg=build < _WITHOUT_SNAP_CPG,
        max_size=MAX_VOLUME_SIZE if build >= _COMPRESSION else 16 * TiB,
        qos=_LIMITS_QOS if build >= _LIMITS_ONLY else _FULL_QOS,
    )
