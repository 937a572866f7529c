"""The in-tree array families: every subpackage with `ADAPTERS` is one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from blockdrivers.plugins import Adapter, hookimpl


@hookimpl
def blockdrivers_adapters() -> list[Adapter]:
    """Return the adapters of every family, in the order of the folders' names."""
    return list(_collect())


def _collect() -> Iterator[Adapter]:
    for family in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        yield from getattr(importlib.import_module(f"{__name__}.{family.name}"), "ADAPTERS", ())
