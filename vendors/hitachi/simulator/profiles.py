"""What tells the models apart at the wire. Source: protocol sheet, sections 1.1 and 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """One model.

    Attributes:
        prefix: first half of the storage device id.
        firmware: what it reports.
        embedded: whether the REST server runs in the array, which then also takes the short form of URLs.
        ldevs: LDEV ids begin at 0 and end below this.
        qos: whether it has ``set-qos``; else only the Server Priority Manager.
        port_ids: whether one LU path request may name several ports.
    """

    prefix: str
    firmware: str
    embedded: bool
    ldevs: int
    qos: bool
    port_ids: bool


def _external(prefix: str, ldevs: int) -> Profile:
    return Profile(prefix, "83-05-44/00", embedded=False, ldevs=ldevs, qos=False, port_ids=False)


def _embedded(ldevs: int) -> Profile:
    return Profile("886000", "88-08-04/00", embedded=True, ldevs=ldevs, qos=True, port_ids=True)


PROFILES: Final[Mapping[str, Profile]] = {
    "VSP G200": _external("832000", 2048),
    "VSP G400": _external("834000", 4096),
    "VSP G370": _embedded(32768),
    "VSP F370": _embedded(32768),
    "VSP G700": _embedded(49152),
    "VSP F700": _embedded(49152),
}
