"""What a backend of this family is configured with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from blockdrivers.config import TlsOptions


class OntapOptions(BaseModel):
    """Options of an ONTAP backend: one SVM and the FlexVols of it that are pools."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    addresses: list[str] = Field(
        min_length=1,
        description="Base URL of each management LIF of the cluster, or of the SVM, such as https://192.0.2.10/",
    )
    username: str = Field(min_length=1)
    password: SecretStr
    svm: str = Field(min_length=1, description="Name of the SVM that holds the volumes.")
    pools: list[str] | None = Field(
        None, min_length=1, description="FlexVols that are pools; every one of the SVM that is on line where absent."
    )
    volumes: Literal["luns", "files"] = Field(
        "luns", description="What volumes are: LUNs, over iSCSI and FC, or files of the FlexVols with a junction path, over NFS."
    )
    tls: TlsOptions = Field(default_factory=TlsOptions)
    max_connections: int = Field(8, ge=1, le=64, description="Requests under way at once.")
    portset: str | None = Field(None, description="Portset that new igroups are bound to; their hosts get its LIFs only.")
    iscsi_portals: list[str] | None = Field(
        None, description="Use only the iSCSI LIFs with these IP addresses; all of them where absent."
    )
    nfs_lif: str | None = Field(
        None, description="Address that hosts mount files from; a LIF of each FlexVol's own node where absent."
    )
    export_rules: bool = Field(
        False,
        description="Add a rule for each host's address to the FlexVol's export policy, and take it away with the host; "
        "else access is the administrator's business. The policy should be of FlexVols that are pools only.",
    )
    file_mode: str = Field("660", pattern="^[0246]?[0-7]{3}$", description="Permissions of new files, in octal.")
