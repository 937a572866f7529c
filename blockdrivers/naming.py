"""From a caller's id to an array-side name and back.

Names look like ``bdvu-mfrggzdfmztwq2lknnwg23tpoa``: ``bd`` marks what this library named, then the kind of object, the form, a
dash and the payload. The form says how to read the payload:

* ``u``: the id is a canonical UUID; the payload is its 16 bytes in base32 (26 characters). Reversible.
* ``l``: the id stands there as it is (lower-case letters, digits, ``_``, ``.``, ``-``). Reversible.
* ``h``: the payload is a base32 SHA-256 digest, cut to what fits (at most 130 bits). The id itself stands in the description.

Forms never meet, so two ids never share a name (but for a collision of the digest). All of it is lower-case ASCII that starts
with a letter, the least common denominator of the arrays' rules.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
import uuid
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote

from blockdrivers.errors import InvalidRequest

MAX_ID_LENGTH = 128
"""Characters in a caller's id: the volume service's own limit for names."""

KEPT = ";kept"
"""Ends the description of an object that a call was told of which had not made it: its maker may not take it back any more."""

_MARK = "bd"
_PREFIX_LENGTH = 5
_BASE32_UUID = 26
_LITERAL = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_NAME = re.compile(r"bd(?P<kind>[vsthg])(?P<form>[ulh])-(?P<payload>[a-z0-9][a-z0-9_.-]*)")


class Kind(StrEnum):
    """What a name is for; one letter of it."""

    VOLUME = "v"
    SNAPSHOT = "s"
    TEMPORARY = "t"
    """A helper object of an operation that is under way, named after the operation's target."""
    HOST = "h"
    GROUP = "g"


def check_id(value: str, what: str) -> str:
    """Return a caller's id unchanged, or raise `InvalidRequest` that says what is wrong with it."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_LENGTH:
        raise InvalidRequest(f"The {what} id must be a text of 1 to {MAX_ID_LENGTH} characters; got {value!r}.")
    bad = next((char for char in value if unicodedata.category(char) in {"Cc", "Cs"}), None)
    if bad is not None:
        raise InvalidRequest(f"The {what} id {value!r} holds the control character {bad!r}; use printable text.")
    return value


def array_name(kind: Kind, identifier: str, max_length: int) -> str:
    """Return the array-side name of `identifier`, at most `max_length` characters long."""
    room = max_length - _PREFIX_LENGTH
    if _is_canonical_uuid(identifier) and room >= _BASE32_UUID:
        return f"{_MARK}{kind}u-{_base32(uuid.UUID(identifier).bytes)}"
    if len(identifier) <= room and _LITERAL.fullmatch(identifier):
        return f"{_MARK}{kind}l-{identifier}"
    digest = _base32(hashlib.sha256(identifier.encode()).digest())
    return f"{_MARK}{kind}h-{digest[: min(room, _BASE32_UUID)]}"


def kind_of(name: str) -> Kind | None:
    """Return what a name is for, or None where this library did not make it."""
    match = _NAME.fullmatch(name)
    return Kind(match["kind"]) if match else None


def identifier_of(name: str, description: str = "") -> str | None:
    """Return the caller's id behind an array-side name; None for foreign names and for digests without description."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    if match["form"] == "l":
        return match["payload"]
    if match["form"] == "u":
        return _uuid_from_base32(match["payload"])
    return Label.parse(description).id


@dataclass(frozen=True, slots=True)
class Label:
    """What this library writes into an array's description field; a driver may end it with `KEPT`.

    Written as ``blockdrivers;from=NAME;copying;id=ID``, ASCII only: the id is percent-encoded, and replaced by ``sha256=`` and
    40 hex digits where the field is too short for it.
    """

    id: str | None = None
    digest: str | None = None
    source: str | None = None
    """Array-side name of what a clone was made from."""
    copying: bool = False
    """The object is not complete yet: its bytes are still being copied."""

    def encode(self, max_bytes: int) -> str:
        """Return the text for a description field of `max_bytes`; empty where the array has none."""
        parts = ["blockdrivers"]
        if self.source:
            parts.append(f"from={self.source}")
        if self.copying:
            parts.append("copying")
        if self.id is not None:
            full = ";".join([*parts, f"id={quote(self.id, safe=' @:+/')}"])
            if len(full) <= max_bytes:
                return full
            parts.append(f"sha256={_digest(self.id)}")
        text = ";".join(parts)
        return text if len(text) <= max_bytes else ""

    @classmethod
    def parse(cls, description: str) -> Label:
        """Read a description; one that this library did not write gives an empty label."""
        mark, *parts = description.split(";")
        if mark != "blockdrivers":
            return cls()
        fields = dict(part.partition("=")[::2] for part in parts)
        return cls(
            id=unquote(fields["id"]) if "id" in fields else None,
            digest=fields.get("sha256"),
            source=fields.get("from"),
            copying="copying" in fields,
        )

    def names_other_than(self, identifier: str) -> bool:
        """Tell whether the label speaks of another id; one that speaks of none contradicts nothing."""
        if self.id is not None:
            return self.id != identifier
        return self.digest is not None and self.digest != _digest(identifier)


def _digest(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()[:40]


def _is_canonical_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _uuid_from_base32(payload: str) -> str | None:
    try:
        data = base64.b32decode(payload.upper() + "=" * (-len(payload) % 8))
        return str(uuid.UUID(bytes=data))
    except ValueError:
        return None
