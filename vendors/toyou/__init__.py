"""TOYOU NetStor ACS5000 over its command line."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

ADAPTERS = (
    Adapter(
        name="toyou-acs5000",
        vendor="TOYOU",
        title="TOYOU NetStor ACS5000 over SSH",
        models=("ACS5000",),
        protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
        config="vendors.toyou.options:Acs5000Options",
        driver="vendors.toyou.driver:open_driver",
        simulator="vendors.toyou.simulator:build",
    ),
)
