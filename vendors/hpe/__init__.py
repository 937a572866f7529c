"""HPE 3PAR StoreServ and what speaks its Web Services API, some of it under H3C's name."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

_CONFIG = "vendors.hpe.options:WsapiOptions"
_DRIVER = "vendors.hpe.driver:open_driver"
_SIMULATOR = "vendors.hpe.simulator:build"
_PROTOCOLS = frozenset({Protocol.FC, Protocol.ISCSI})

ADAPTERS = (
    Adapter(
        name="hpe-3par",
        vendor="HPE",
        title="HPE 3PAR StoreServ over WSAPI",
        models=(
            "3PAR StoreServ 7200",
            "3PAR StoreServ 8200",
            "3PAR StoreServ 8440",
            "3PAR StoreServ 8840",
            "3PAR StoreServ 20800",
        ),
        protocols=_PROTOCOLS,
        config=_CONFIG,
        driver=_DRIVER,
        simulator=_SIMULATOR,
    ),
    Adapter(
        name="h3c-cf-wsapi",
        vendor="H3C",
        title="H3C UniStor ConvergedFabric CF8000 and CF22000 over WSAPI",
        models=("ConvergedFabric 8820 Storage", "ConvergedFabric 8840 Storage", "ConvergedFabric 22035"),
        protocols=_PROTOCOLS,
        config=_CONFIG,
        driver=_DRIVER,
        simulator=_SIMULATOR,
    ),
)
