"""What a backend of this family is configured with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from blockdrivers.config import TlsOptions


class WsapiOptions(BaseModel):
    """Options of a 3PAR, Primera or ConvergedFabric backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    addresses: list[str] = Field(
        min_length=1,
        description="Base URL of the Web Services API, such as https://192.0.2.10:8080/api/v1; port 443 on Primera and CF22000.",
    )
    username: str = Field(min_length=1, description="An account with the role edit or super.")
    password: SecretStr
    tls: TlsOptions = Field(default_factory=TlsOptions)
    max_connections: int = Field(8, ge=1, le=32, description="Requests under way at once; they share one session key.")
    copy_priority: int = Field(2, ge=1, le=3, description="Priority of copies and reverts: 1 high to 3 low.")
    dedup: bool = Field(False, description="Make thin volumes deduplicated; on Primera and CF22000, reduced.")
    compression: bool = Field(
        False, description="Make thin volumes of 16 GiB or more compressed; on Primera and CF22000, reduced whatever their size."
    )
    persona: int = Field(2, ge=1, le=11, description="Persona of new hosts; 2 is Generic-ALUA.")
    iscsi_portals: list[str] | None = Field(
        None, description="Use only the iSCSI portals with these IP addresses; all of them where absent."
    )
