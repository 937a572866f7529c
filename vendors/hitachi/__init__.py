"""Hitachi VSP, mid-range models of two generations, over the Configuration Manager REST API."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

ADAPTERS = (
    Adapter(
        name="hitachi-vsp",
        vendor="Hitachi",
        title="Hitachi VSP G200, G370, G400, G700, F370 and F700 over the Configuration Manager REST API",
        models=("VSP G200", "VSP G370", "VSP G400", "VSP G700", "VSP F370", "VSP F700"),
        protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
        config="vendors.hitachi.options:VspOptions",
        driver="vendors.hitachi.driver:open_driver",
        simulator="vendors.hitachi.simulator:build",
    ),
)
