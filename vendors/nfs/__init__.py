"""NFS shares of any server, as far as NFS itself goes: nothing is asked of the server's management."""

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter

ADAPTERS = (
    Adapter(
        name="nfs-shares",
        vendor="TOYOU",
        title="NFS shares of any server, mounted where this runs: TOYOU NCS10000 and others",
        models=("NCS10000",),
        protocols=frozenset({Protocol.NFS}),
        config="vendors.nfs.options:NfsOptions",
        driver="vendors.nfs.driver:open_driver",
    ),
)
