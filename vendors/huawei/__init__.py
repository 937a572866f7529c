"""Huawei OceanStor V3, V5, Dorado V3 and Dorado V6 over the DeviceManager REST interface."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

ADAPTERS = (
    Adapter(
        name="huawei-oceanstor",
        vendor="Huawei",
        title="Huawei OceanStor V3, V5, Dorado V3 and Dorado V6 over DeviceManager REST",
        models=(
            "OceanStor Dorado 5000 V3",
            "OceanStor 2600 V3",
            "OceanStor 5210 V5",
            "OceanStor 5300 V5",
            "OceanStor 5310 V5",
            "OceanStor 5500 V3",
            "OceanStor 5500 V5",
            "OceanStor 18500 V3",
            "OceanStor 5510 V5",
            "OceanStor 18510 V5",
            "Dorado 18500 V6",
            "Dorado 5000 V3",
            "18500F V5",
        ),
        protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
        config="vendors.huawei.options:OceanStorOptions",
        driver="vendors.huawei.driver:open_driver",
        simulator="vendors.huawei.simulator:build",
    ),
)
