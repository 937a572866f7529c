"""QoS: attributes of the LDEV itself, one per request. Source: protocol sheet, section 3.12."""

from __future__ import annotations

from collections.abc import Iterator

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import Qos
from vendors.hitachi import objects
from vendors.hitachi.client import VspClient

_PAIRS = (("total_iops", "min_iops"), ("total_bytes_sec", "min_bytes_sec"))


def check(qos: Qos) -> None:
    """Refuse a lower limit that does not stay below the upper one: the array demands that."""
    limits = qos.as_dict()
    for upper, lower in _PAIRS:
        if upper in limits and lower in limits and limits[upper] <= limits[lower]:
            raise InvalidRequest(f"{upper} must be above {lower}; got {limits[upper]} and {limits[lower]}.")


def apply(client: VspClient, ldev_id: str, present: Qos, wanted: Qos) -> None:
    """Go from one set of limits to another; what is the same is not sent."""
    for key, value in _steps(present.as_dict(), wanted.as_dict()):
        name, unit = objects.QOS[key]
        client.act(f"ldevs/{ldev_id}", "set-qos", {name: value // unit})


def _steps(present: dict[str, int], wanted: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Yield limits in an order in which the upper one is above the lower one all the time; 0 takes one away."""
    for upper, lower in _PAIRS:
        now, then = present.get(lower), wanted.get(lower)
        in_the_way = now is not None and upper in wanted and wanted[upper] <= now
        if now is not None and (then is None or in_the_way):
            yield lower, 0
            now = None
        if present.get(upper) != wanted.get(upper):
            yield upper, wanted.get(upper, 0)
        if then is not None and then != now:
            yield lower, then
