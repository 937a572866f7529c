"""What an array that is managed over SSH is configured with: addresses, login, and how its host keys are verified."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_log = logging.getLogger(__name__)

DEFAULT_PORT = 22
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")
_KEY_FIELDS = 2


class HostKeyOptions(BaseModel):
    """Host keys are verified unless ``verify: false`` is said in so many words.

    Any of the ways below accepts a key. Where nothing else is said, the files known_hosts of this account and of this machine are
    asked, as OpenSSH does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verify: bool = Field(True, description="Whether the array's host key is verified at all.")
    keys: tuple[str, ...] = Field((), description="Accepted host keys, such as: ssh-ed25519 AAAA..., one per controller.")
    fingerprints: tuple[str, ...] = Field((), description="Accepted host keys by fingerprint, as ssh-keygen -l shows: SHA256:...")
    known_hosts: Path | None = Field(None, description="File in OpenSSH's known_hosts format, asked instead of the usual ones.")

    @field_validator("keys")
    @classmethod
    def _readable(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for text in keys:
            key_blob(text)
        return keys

    @field_validator("fingerprints")
    @classmethod
    def _complete(cls, fingerprints: tuple[str, ...]) -> tuple[str, ...]:
        for text in fingerprints:
            if not _FINGERPRINT.fullmatch(text):
                raise ValueError(f"a fingerprint is SHA256: and 43 base64 characters, as ssh-keygen -l shows it; got {text!r}")
        return fingerprints

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.known_hosts is not None and not self.known_hosts.is_file():
            raise ValueError(f"known_hosts {self.known_hosts} is not a readable file")
        if not self.verify and (self.keys or self.fingerprints or self.known_hosts):
            raise ValueError("verify: false contradicts keys, fingerprints and known_hosts; leave one of them out")
        if not self.verify:
            _log.warning("SSH host keys are not verified: whoever is in between can read and change everything")
        return self


class SshOptions(BaseModel):
    """What every backend that is managed over SSH is configured with; a family's options add their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    addresses: list[str] = Field(
        min_length=1,
        description="Management address of each controller: 192.0.2.10, 192.0.2.10:2222 or [2001:db8::10]:22; port 22 by default.",
    )
    username: str = Field(min_length=1)
    password: SecretStr | None = Field(None, description="Of the user; or use private_key_file.")
    private_key_file: Path | None = Field(None, description="Private key of the user, in OpenSSH or PEM form.")
    passphrase: SecretStr | None = Field(None, description="Of the private key, if it has one.")
    host_keys: HostKeyOptions = Field(default_factory=HostKeyOptions)
    max_connections: int = Field(4, ge=1, le=16, description="Commands under way at once; each needs an SSH session of its own.")

    @field_validator("addresses")
    @classmethod
    def _addresses(cls, addresses: list[str]) -> list[str]:
        for text in addresses:
            split_address(text)
        return addresses

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.password is None and self.private_key_file is None:
            raise ValueError("password or private_key_file is needed to log in")
        if self.private_key_file is not None and not self.private_key_file.is_file():
            raise ValueError(f"private_key_file {self.private_key_file} is not a readable file")
        return self


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of a management address; raise `ValueError` where it is none."""
    parts = urlsplit(text if "://" in text else f"ssh://{text}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme != "ssh" or not parts.hostname or port == -1 or parts.path.strip("/") or parts.username:
        raise ValueError(f"an SSH address is a name or IP address, with a port or without; got {text!r}")
    return parts.hostname, port or DEFAULT_PORT


def key_blob(text: str) -> bytes:
    """Return the bytes of a public key that is written as type and base64; raise `ValueError` where it is none."""
    fields = text.split()
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (IndexError, binascii.Error):
        blob = b""
    length = int.from_bytes(blob[:4], "big")
    if len(fields) < _KEY_FIELDS or not blob or blob[4 : 4 + length] != fields[0].encode():
        raise ValueError(f"a host key is its type and its base64 text, such as: ssh-ed25519 AAAA...; got {text!r}")
    return blob
