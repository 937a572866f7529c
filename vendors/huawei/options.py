"""What a backend of this family is configured with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from blockdrivers.config import TlsOptions


class OceanStorOptions(BaseModel):
    """Options of a Huawei OceanStor backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    addresses: list[str] = Field(
        min_length=1,
        description="Base URL of each controller's DeviceManager, such as https://192.0.2.10:8088/deviceManager/rest/",
    )
    username: str = Field(min_length=1)
    password: SecretStr
    scope: Literal["local", "ldap"] = Field("local", description="Where the account is defined.")
    vstore: str | None = Field(None, description="Name of the vStore, for a vStore's own account.")
    tls: TlsOptions = Field(default_factory=TlsOptions)
    max_connections: int = Field(8, ge=1, le=20, description="Requests under way at once; the array serves about 20 a user.")
    copy_speed: int = Field(2, ge=1, le=4, description="Speed of copies, reverts and migrations: 1 low to 4 highest.")
    iscsi_portals: list[str] | None = Field(
        None, description="Use only the iSCSI portals with these IP addresses; all of them where absent."
    )
