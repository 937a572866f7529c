"""What a backend of this family is configured with."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from blockdrivers.config import TlsOptions


class VspOptions(BaseModel):
    """Options of a Hitachi VSP backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    addresses: list[str] = Field(
        min_length=1,
        description="Base URL of each REST server, such as https://192.0.2.10/ConfigurationManager: those of both controllers "
        "where it is embedded, that of Ops Center API Configuration Manager (port 23451) otherwise.",
    )
    storage_id: str = Field(
        pattern=r"^\d{12}$", description="The array's storageDeviceId: 12 digits, a prefix of the model and the serial number."
    )
    username: str = Field(min_length=1)
    password: SecretStr
    tls: TlsOptions = Field(default_factory=TlsOptions)
    max_connections: int = Field(8, ge=1, le=32, description="Requests under way at once.")
    session_seconds: int = Field(
        20,
        ge=1,
        le=300,
        description="How long the array keeps an idle session: one that a killed process has left takes one of its 64 that long.",
    )
    ldev_range: tuple[int, int] | None = Field(
        None,
        description="First and last LDEV id (decimal) for new volumes; every id of the model where absent. Choose it once: a name's "
        "place in it is computed from it. It should be this library's own: other tools' unlabelled, never used LDEVs in it may be adopted.",
    )
    ports: list[str] | None = Field(None, description="Use only these target ports, such as CL1-A; all of them where absent.")
    host_mode: str = Field("LINUX/IRIX", description="Host mode of the host groups that are made.")
    host_mode_options: list[int] = Field(
        default_factory=lambda: [91], description="Their host mode options; 91 lets a path go without a check for host I/O."
    )
    snapshot_pool: str | None = Field(None, description="Pool for snapshot data; that of the volume itself where absent.")
    clone_with: Literal["thin-image", "shadow-image"] = Field(
        "thin-image",
        description="Program product that copies a volume for a clone of it; snapshots and clones of them need Thin Image either way.",
    )
    copy_speed: Literal["slower", "medium", "faster"] = Field("medium", description="Speed of clones by Thin Image.")
    copy_pace: int = Field(
        3, ge=1, le=15, description="Pace of moves between pools and of clones by ShadowImage: 1 slowest to 15."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ldev_range is not None and not 0 <= self.ldev_range[0] <= self.ldev_range[1] <= 65279:  # noqa: PLR2004
            raise ValueError("ldev_range must be two LDEV ids, 0 to 65279, the lower one first")
        return self
