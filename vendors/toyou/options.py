"""What a backend of this family is configured with."""

from __future__ import annotations

from pydantic import Field

from blockdrivers.config import SshOptions


class Acs5000Options(SshOptions):
    """Options of a TOYOU NetStor ACS5000 backend."""

    pools: list[str] = Field(min_length=1, description="Names of the pools to use; no command of the array lists them.")
    iscsi_portals: list[str] | None = Field(
        None, description="Use only the iSCSI portals with these IP addresses; all of them where absent."
    )
