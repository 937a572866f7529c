"""From the array's message ids and SSB pairs to typed errors. Source: protocol sheet, section 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    Busy,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    NotFound,
    VendorError,
)

LDEV_DEFINED: Final = "2E22-0001"
LUN_TAKEN: Final = "B958-0947"
PATH_DEFINED: Final = "B958-015A"
UNKNOWN_ATTRIBUTE: Final = "KART40038-E"

_SSB: Final[Mapping[str, tuple[type[BlockDriversError], str]]] = {
    "2E11-2205": (Busy, "The resource is locked by another session"),
    "2E11-2206": (Busy, "The resource is locked by another session"),
    "2E11-2207": (Busy, "The resource is locked by another session"),
    "EX_EACCES": (Busy, "The resource is locked by another session"),
    LDEV_DEFINED: (AlreadyExists, "The LDEV id is taken"),
    "2E11-2209": (LimitReached, "No LDEV id is free"),
    "2E30-600E": (InvalidRequest, "The pool cannot hold snapshots; name another one in the option snapshot_pool"),
    "2E10-2302": (LimitReached, "The array has no consistency group left"),
    "2E13-9900": (LimitReached, "The consistency group holds as many pairs as it can"),
    "2E21-9010": (LicenceMissing, "The program product is not installed"),
    "2E20-0000": (NotFound, "The LDEV or LUN is not there"),
    "B956-3173": (AlreadyExists, "The host group's name or number is taken"),
    "B957-4184": (LimitReached, "The port or host group holds as many initiators as it can"),
    PATH_DEFINED: (AlreadyExists, "The LDEV has an LU path in this host group"),
    LUN_TAKEN: (AlreadyExists, "The LUN is taken by another LDEV"),
    "B958-0233": (Busy, "A host is using the LU path; let go of the device there"),
    "B958-020A": (Busy, "It is the last LU path of a volume with snapshots"),
    "B96B-AF2E": (Busy, "The volume is being formatted or used by another product"),
    "EX_ENOOBJ": (NotFound, "The object is not there"),
    "EX_ENLDEV": (InvalidRequest, "The array has no such LDEV id"),
    "EX_INVARG": (InvalidRequest, "A value is out of the array's range"),
}

_MESSAGES: Final[Mapping[str, tuple[type[BlockDriversError], str]]] = {
    **dict.fromkeys(
        (
            "KART00003-E",
            "KART00006-E",
            "KART30003-E",
            "KART30008-E",
            "KART30072-E",
            "KART30074-E",
            "KART30085-E",
            "KART30090-E",
            "KART30095-E",
            "KART30096-E",
            "KART30097-E",
            "KART40042-E",
            "KART40049-E",
        ),
        (Busy, "The array's REST server asks to come back later"),
    ),
    **dict.fromkeys(("KART40050-E", "KART40051-E", "KART40052-E"), (Busy, "The resource group is locked by another session")),
    "KART20008-E": (InvalidRequest, "A parameter is missing"),
    "KART20009-E": (NotFound, "The REST server has no such resource"),
    "KART30013-E": (NotFound, "The object is not there"),
    UNKNOWN_ATTRIBUTE: (InvalidRequest, "The REST server does not know an attribute"),
    "KART40044-E": (InvalidRequest, "A value is out of range"),
    "KART40046-E": (InvalidRequest, "The parameters do not go together"),
}

_STATUS: Final[Mapping[int, tuple[type[BlockDriversError], str]]] = {
    404: (NotFound, "The object is not there"),
    409: (AlreadyExists, "The object is there already"),
}

_NO_GROUP_LEFT: Final = "could not find empty Host group ID for adding."


def is_error(content: object) -> bool:
    """Tell whether an answer's body is an error object."""
    return isinstance(content, dict) and ("messageId" in content or "messageID" in content)


def is_refusal(content: object) -> bool:
    """Tell whether a server error's body says that nothing was done: the server was too busy to begin."""
    return isinstance(content, dict) and _message_id(content) in _MESSAGES


def error(content: Mapping[str, Any], *, request: str, status: int | None = None) -> BlockDriversError:
    """Return the typed error for an error object, of an answer or of a failed job."""
    ssb, message_id, text = _ssb(content), _message_id(content), str(content.get("message", ""))
    kind, said = _SSB.get(ssb.upper()) or _MESSAGES.get(message_id) or _STATUS.get(status or 0) or (VendorError, "")
    if _NO_GROUP_LEFT in text:
        kind, said = LimitReached, "The port has no host group left"
    message = f"{said}." if said else "The array refuses the request with a code that is not known."
    return kind(message, request=request, vendor_code=ssb or message_id or status, vendor_text=text or None)


def _message_id(content: Mapping[str, Any]) -> str:
    return str(content.get("messageId") or content.get("messageID") or "")


def _ssb(content: Mapping[str, Any]) -> str:
    found = content.get("errorCode")
    if not isinstance(found, dict):
        return ""
    if "SSB1" in found:
        return f"{found['SSB1']}-{found.get('SSB2', '')}".upper()
    return str(found.get("errorCode", "")).upper()
