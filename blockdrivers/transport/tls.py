"""How an array's TLS certificate is verified."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_log = logging.getLogger(__name__)
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class TlsOptions(BaseModel):
    """Verification is on unless ``verify: false`` is said in so many words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    verify: bool = Field(True, description="Whether the certificate is verified at all.")
    ca_file: Path | None = Field(None, description="PEM file of the CA that signed the array's certificate.")
    fingerprint: str | None = Field(None, description="SHA-256 of the certificate itself, 64 hex digits; replaces the CA.")
    check_hostname: bool = Field(True, description="Whether the certificate must name the address.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fingerprint is not None and not _FINGERPRINT.fullmatch(self.fingerprint.replace(":", "").lower()):
            raise ValueError("fingerprint must be 64 hexadecimal digits, with or without colons")
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ValueError(f"ca_file {self.ca_file} is not a readable file")
        if not self.verify and (self.ca_file or self.fingerprint):
            raise ValueError("verify: false contradicts ca_file and fingerprint; leave one of them out")
        if not self.verify:
            _log.warning("TLS certificates are not verified: whoever is in between can read and change everything")
        return self

    @property
    def verification(self) -> bool | str:
        """What `requests` takes as ``verify``; a pinned certificate needs no CA."""
        if self.fingerprint or not self.verify:
            return False
        return str(self.ca_file) if self.ca_file else True
