"""What a backend of this family is configured with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from blockdrivers.config import TlsOptions


class MacroSanOptions(BaseModel):
    """Options of a MacroSAN backend."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    addresses: list[str] = Field(
        min_length=1,
        max_length=2,
        description="Base URL of SP1's and then SP2's devop service, such as http://192.0.2.10:12138/api/v1/",
    )
    username: str = Field(min_length=1)
    password: SecretStr
    pools: list[str] = Field(min_length=1, description="Names of the pools to report: the interface lists none.")
    tls: TlsOptions = Field(default_factory=TlsOptions, description="For https addresses; the service itself speaks plain HTTP.")
    max_connections: int = Field(8, ge=1, le=32, description="Requests under way at once.")
    iscsi_ports: list[str] | None = Field(
        None, description="Use only these iSCSI ports, such as eth-1:0:0; every one with an IP address where absent."
    )
    fc_ports: list[str] | None = Field(None, description="Use only these FC ports, such as FC-1:1:1; all of them where absent.")
    snapshot_reserve: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Size of a volume's snapshot resource, as a part of the volume's; it is made with the first snapshot, and grows.",
    )

    @field_validator("username", "password")
    @classmethod
    def _fits_a_header(cls, given: str | SecretStr) -> str | SecretStr:
        """Refuse what cannot be sent: name and password are part of a header of every request."""
        plain = given.get_secret_value() if isinstance(given, SecretStr) else given
        if not plain.isprintable():
            raise ValueError("holds a control character, which no request can carry")
        return given
