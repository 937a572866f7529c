"""What a backend of this family is configured with."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from blockdrivers.config import TlsOptions
from blockdrivers.transport.sshoptions import SshOptions, split_address


class SvcOptions(SshOptions):
    """Options of a backend that speaks this family's commands."""

    addresses: list[str] = Field(
        min_length=1,
        description=(
            "Management address of the system, and of its second one if it has one: 192.0.2.10 or 192.0.2.10:22 over SSH, "
            "https://192.0.2.10:7443/rest/v1/ over REST."
        ),
    )
    io_group: str = Field("0", pattern=r"[A-Za-z0-9_.-]{1,63}", description="I/O group that new volumes belong to.")
    compression: bool = Field(False, description="Compress thin volumes; takes a licence, or a data-reduction pool.")
    deduplication: bool = Field(False, description="Deduplicate thin volumes; only data-reduction pools can.")
    tiering: bool = Field(True, description="Let the array place hot extents on faster disks.")
    copy_rate: int = Field(
        80, ge=1, le=100, description="Speed of clones, reverts and moves: 50 is 2 MiB/s, 80 is 16, 100 is 64."
    )
    portals: list[str] | None = Field(
        None, description="Use only the iSCSI portals with these IP addresses; all of them where absent."
    )

    @property
    def over_rest(self) -> bool:
        """Whether commands go over REST."""
        return False

    @property
    def verification(self) -> TlsOptions:
        """How certificates are verified, over REST."""
        return TlsOptions()

    @property
    def portsets(self) -> tuple[str, str]:
        """The portsets of hosts and of FC ports, where the array has such."""
        return "", ""


class IbmOptions(SvcOptions):
    """Options of an IBM FlashSystem or Storwize backend."""

    interface: Literal["ssh", "rest"] = Field(
        "ssh", description="How commands are sent; rest needs level 8.1.3 and password login, and no Storwize V3700 has it."
    )
    tls: TlsOptions = Field(default_factory=TlsOptions, description="For interface: rest.")
    portset: str = Field("portset0", min_length=1, description="Portset of hosts and of the iSCSI portals, from level 8.4.2 on.")
    fc_portset: str = Field("portset64", min_length=1, description="Portset of the FC ports, from level 8.5.0 on.")

    @property
    def over_rest(self) -> bool:
        """Whether commands go over REST."""
        return self.interface == "rest"

    @property
    def verification(self) -> TlsOptions:
        """How certificates are verified, over REST."""
        return self.tls

    @property
    def portsets(self) -> tuple[str, str]:
        """The portsets of hosts and of FC ports."""
        return self.portset, self.fc_portset

    @field_validator("addresses")
    @classmethod
    def _addresses(cls, addresses: list[str]) -> list[str]:
        return addresses

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        for address in self.addresses:
            if not self.over_rest:
                split_address(address)
            elif urlsplit(address).scheme not in {"https", "http"} or not urlsplit(address).hostname:
                raise ValueError(f"over REST an address is a URL such as https://192.0.2.10:7443/rest/v1/; got {address!r}")
        if self.over_rest and self.password is None:
            raise ValueError("interface: rest needs a password; keys are for SSH")
        return self


class InspurOptions(SvcOptions):
    """Options of an Inspur InStorage backend."""
