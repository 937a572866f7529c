"""Drive commercial storage arrays from a volume service. Names are imported when they are first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blockdrivers.backend import Backend
    from blockdrivers.config import Configuration, load, open_backend
    from blockdrivers.driver import Capabilities, Driver
    from blockdrivers.errors import BlockDriversError
    from blockdrivers.model import (
        Attachment,
        Chap,
        Export,
        GiB,
        Host,
        IscsiTarget,
        MiB,
        Pool,
        Protocol,
        Qos,
        Snapshot,
        SystemFacts,
        TiB,
        Volume,
    )
    from blockdrivers.operations import OperationRecord, Timeouts

__all__ = [
    "Attachment",
    "Backend",
    "BlockDriversError",
    "Capabilities",
    "Chap",
    "Configuration",
    "Driver",
    "Export",
    "GiB",
    "Host",
    "IscsiTarget",
    "MiB",
    "OperationRecord",
    "Pool",
    "Protocol",
    "Qos",
    "Snapshot",
    "SystemFacts",
    "TiB",
    "Timeouts",
    "Volume",
    "load",
    "open_backend",
]

_HOME = {
    "backend": ("Backend",),
    "config": ("Configuration", "load", "open_backend"),
    "driver": ("Capabilities", "Driver"),
    "errors": ("BlockDriversError",),
    "operations": ("OperationRecord", "Timeouts"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - costs more than everything else here together

        return version("blockdrivers")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF.get(name, 'model')}"), name)


def __dir__() -> list[str]:
    return __all__
