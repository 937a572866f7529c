"""MacroSAN MS series over the "devop" REST interface."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

ADAPTERS = (
    Adapter(
        name="macrosan-devop",
        vendor="MacroSAN",
        title="MacroSAN MS series over the devop REST interface",
        models=("MS5580G2", "MS7020G2", "MS3000G2"),
        protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
        config="vendors.macrosan.options:MacroSanOptions",
        driver="vendors.macrosan.driver:open_driver",
        simulator="vendors.macrosan.simulator:build",
    ),
)
