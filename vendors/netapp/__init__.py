"""NetApp FAS and AFF over the ONTAP REST API: LUNs over iSCSI and FC, files over NFS."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

ADAPTERS = (
    Adapter(
        name="netapp-ontap",
        vendor="NetApp",
        title="NetApp FAS and AFF with ONTAP 9.11.1 and newer over REST",
        models=("FAS2750", "FAS8200", "AFF A300"),
        protocols=frozenset({Protocol.FC, Protocol.ISCSI, Protocol.NFS}),
        config="vendors.netapp.options:OntapOptions",
        driver="vendors.netapp.driver:open_driver",
        simulator="vendors.netapp.simulator:build",
    ),
)
