"""Hitachi VSP, mid-range models of two generations, over the Configuration Manager REST API."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

_MODELS = ("VSP G200", "VSP G370", "VSP G400", "VSP G700", "VSP F370", "VSP F700")
"""As the array spells itself; the compatibility list has the maker's former name before them."""

ADAPTERS = (
    Adapter(
        name="hitachi-vsp",
        vendor="Hitachi",
        title="Hitachi VSP G200, G370, G400, G700, F370 and F700 over the Configuration Manager REST API",
        models=(*(f"HDS {model}" for model in _MODELS), *_MODELS),
        protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
        config="vendors.hitachi.options:VspOptions",
        driver="vendors.hitachi.driver:open_driver",
        simulator="vendors.hitachi.simulator:build",
    ),
)
