"""One family of commands under two vendors' names: IBM Spectrum Virtualize and Inspur InStorage MCS."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

_PROTOCOLS = frozenset({Protocol.FC, Protocol.ISCSI})

ADAPTERS = (
    Adapter(
        name="ibm-spectrum-virtualize",
        vendor="IBM",
        title="IBM FlashSystem and Storwize (Spectrum Virtualize) over SSH or REST",
        models=("FlashSystem 9100", "Storwize V3700"),
        protocols=_PROTOCOLS,
        config="vendors.svc.options:IbmOptions",
        driver="vendors.svc.driver:open_ibm",
        simulator="vendors.svc.simulator:build",
    ),
    Adapter(
        name="inspur-instorage",
        vendor="Inspur",
        title="Inspur InStorage MCS (AS2600, AS5300, AS5500, HF5000, HF5500) over SSH",
        models=("AS2600 G2", "AS5300 G2", "AS5500 G2", "HF5500", "AS5300 G5", "AS5500 G5", "HF5000 G5"),
        protocols=_PROTOCOLS,
        config="vendors.svc.options:InspurOptions",
        driver="vendors.svc.driver:open_inspur",
        simulator="vendors.svc.simulator:build",
    ),
)
