"""Any Cinder volume driver as a backend; see docs/cinder.md. Nothing of cinder is imported here: the driver runs in a process of its own.

`worker` is that process' program: it runs in the environment that has the cinder package and imports nothing of blockdrivers.
"""

from __future__ import annotations

from collections.abc import Iterable

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter, hookimpl

ADAPTER = "cinder-driver"
"""How configurations call it."""


@hookimpl
def blockdrivers_adapters() -> Iterable[Adapter]:
    """Return the one adapter; it serves no model of its own: its configuration says which driver."""
    package = "blockdrivers.integrations.cinderbridge"
    return (
        Adapter(
            name=ADAPTER,
            vendor="",
            title="A volume driver of OpenStack Cinder",
            models=(),
            protocols=frozenset({Protocol.ISCSI, Protocol.FC}),
            config=f"{package}.options:CinderDriverOptions",
            driver=f"{package}.driver:open_driver",
        ),
    )
