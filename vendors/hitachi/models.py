"""What the models differ in. Source: protocol sheet, sections 1.1, 3.12 and 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from blockdrivers.driver import QosSupport
from blockdrivers.errors import NotSupported

_KEYS: Final = frozenset({"total_iops", "total_bytes_sec", "min_iops", "min_bytes_sec"})
_QOS: Final = QosSupport(keys=_KEYS, combinations=(frozenset({"total_iops"}), _KEYS), min_iops=100)


@dataclass(frozen=True, slots=True)
class Model:
    """One generation and size.

    Attributes:
        ldevs: LDEV ids begin at 0 and end below this.
        qos: limits of a volume; None where there are only those of a volume and an initiator.
        port_ids: whether one request may make the LU paths on several ports.
    """

    ldevs: int
    qos: QosSupport | None
    port_ids: bool


_MODELS: Final[Mapping[str, Model]] = {
    "VSP G200": Model(2048, None, port_ids=False),
    "VSP G400": Model(4096, None, port_ids=False),
    "VSP G370": Model(32768, _QOS, port_ids=True),
    "VSP F370": Model(32768, _QOS, port_ids=True),
    "VSP G700": Model(49152, _QOS, port_ids=True),
    "VSP F700": Model(49152, _QOS, port_ids=True),
}


def find(name: str) -> Model:
    """Return what is known of a model, as the array spells it."""
    if name not in _MODELS:
        raise NotSupported(f"The array is a {name!r}; this adapter serves {', '.join(sorted(_MODELS))}.")
    return _MODELS[name]
