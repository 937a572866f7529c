"""What a backend of NFS shares is configured with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ShareOptions(BaseModel):
    """One share; a pool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    export: str = Field(
        pattern=r"^([^\s:/]+|\[[0-9a-fA-F:]+\]):/\S*$",
        description="What is mounted, server:/path; hosts are told the same text.",
    )
    name: str | None = Field(None, min_length=1, description="Name of the pool; the export where absent.")
    folder: Path | None = Field(
        None, description="Where somebody else mounts the share; where absent it is mounted below mount_base, as root."
    )
    mount_options: str | None = Field(None, pattern=r"^[A-Za-z0-9_=,.:/-]+$", description="For mount -o, such as vers=4.2.")

    @property
    def pool(self) -> str:
        """Name of the pool."""
        return self.name or self.export


class NfsOptions(BaseModel):
    """Options of a backend of NFS shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shares: list[ShareOptions] = Field(min_length=1)
    format: Literal["raw", "qcow2"] = Field("raw", description="How disks' bytes are in their files; the same for all of them.")
    server_clones: bool = Field(
        False,
        description="The servers clone files at one moment (NFSv4.2 CLONE); only then does an exported volume get snapshots and clones.",
    )
    mount_base: Path = Field(Path("/run/blockdrivers/nfs"), description="Where shares without a folder are mounted.")
    file_mode: str = Field("660", pattern="^[0-7]{3}$", description="Permissions of new files, in octal.")
    owner: int | None = Field(
        None, ge=0, description="User id of new files; of whoever this runs as, or the server's choice, where absent."
    )
    group: int | None = Field(None, ge=0, description="Group id of new files.")
    answer_seconds: float = Field(30.0, gt=0, description="How long a server may take to answer before it counts as gone.")
