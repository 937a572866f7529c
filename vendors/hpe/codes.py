"""The array's error codes and what each means to a caller. Source: protocol sheet, section 4.

Several refusals are known by name and HTTP status only, not by number. Such a code is a `VendorError`, unless its status or words
say what it is; the driver then explains it by reading the array's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    AuthExpired,
    BlockDriversError,
    Busy,
    InUse,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    LoginRefused,
    NotFound,
    OutOfSpace,
    VendorError,
)

SESSION_INVALID: Final = 6
NO_CPG: Final = 15
NO_HOST: Final = 17
EXPORTED: Final = 26
BUSY_VOLUME: Final = 29
"""Said with status 400 of a volume that is being copied; its number is given to nothing else that is known."""
IN_USE: Final = 34
LUN_OF_PERSONA: Final = 99
"""The LUN id that the array chose is not for hosts of this persona."""
TOO_BUSY: Final = 270
NEEDS_KEEP_VV: Final = "keepVV"
_NOT_FOUND: Final = 404
_UNAVAILABLE: Final = 503
_BAD_REQUEST: Final = 400

_CLASSES: Final[Mapping[type[BlockDriversError], frozenset[int]]] = {
    AuthExpired: frozenset({SESSION_INVALID}),
    LoginRefused: frozenset({5, 13}),
    InvalidRequest: frozenset({2, 3, 4, 8, 9, 12, 21, 39, 40, 43, 44, 45, 46, 55, 57, 60, 69, 78, 91, 92, 93, 94, 98, 99}
                              | {115, 117, 150, 152, 185}),
    LimitReached: frozenset({28}),
    OutOfSpace: frozenset({24, 153}),
    Busy: frozenset({90, 97, 151, 216, TOO_BUSY}),
    InUse: frozenset({25, EXPORTED, 32, IN_USE, 77, 96, 120}),
    AlreadyExists: frozenset({14, 16, 18, 22, 59, 73, 101, 114, 181, 237}),
    NotFound: frozenset({11, 15, 17, 19, 20, 23, 38, 80, 100, 102, 145, 180, 187}),
}  # fmt: skip

_CLASS_OF: Final = {code: kind for kind, known in _CLASSES.items() for code in known}

_UNKNOWN_OUTCOME: Final = frozenset({1, 7})
"""An internal error, and a request that took the array too long."""
_LICENCE_WORDS: Final = ("licens", "licenc")
_LIMIT_WORDS: Final = ("limit", "maximum", "too many")

_SENTENCES: Final[Mapping[type[BlockDriversError], str]] = {
    AuthExpired: "The management session is over.",
    LoginRefused: "The array refused the login or the account's role; check user name and password, and that it may edit.",
    InvalidRequest: "The array found an argument wrong.",
    LimitReached: "A limit of the array was reached.",
    OutOfSpace: "The array has not enough space for this.",
    Busy: "The array is busy.",
    InUse: "The object is in use.",
    AlreadyExists: "The object exists on the array.",
    NotFound: "The object does not exist on the array.",
    LicenceMissing: "The array has no licence for this operation.",
    VendorError: "The array refused the request.",
}


def error(code: int, text: str, *, status: int, request: str, changes: bool) -> BlockDriversError:
    """Return the typed error for a refusal.

    Args:
        code: ``code`` of the answer.
        text: ``desc`` of the answer.
        status: HTTP status; what is answered with 404 is absent, whatever its code.
        request: what was asked, for the message.
        changes: whether the request changes the array; then an internal error or a time-out of the array leaves its outcome open.
    """
    kind = _kind(code, text, status)
    if code in _UNKNOWN_OUTCOME:
        kind = Ambiguous if changes else Busy
    sentence = _SENTENCES.get(kind, "The array met an internal error.")
    return kind(sentence, request=request, vendor_code=code, vendor_text=text)


def _kind(code: int, text: str, status: int) -> type[BlockDriversError]:
    if any(words in text.lower() for words in _LICENCE_WORDS):
        return LicenceMissing
    if status == _NOT_FOUND:
        return NotFound
    if (code, status) == (BUSY_VOLUME, _BAD_REQUEST):
        return Busy
    if status == _UNAVAILABLE and code != TOO_BUSY:
        # Limits of the whole array are told with this status; their numbers are unknown.
        return LimitReached if any(words in text.lower() for words in _LIMIT_WORDS) else Busy
    return _CLASS_OF.get(code, VendorError)
