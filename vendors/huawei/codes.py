"""The array's error codes and what each means to a caller.

Source: protocol sheet, section 4. A code that is not in the table is a `VendorError`: the array's refusals for "pool full",
"still mapped", "has snapshots" and a few more are not documented, so the driver explains those by reading the array's state.
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
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    LoginRefused,
    NotFound,
    NotSupported,
    VendorError,
)

SESSION_EXPIRED: Final = frozenset({-401, 1077949069})
DEVICE_UNREACHABLE: Final = 4294967297
"""The management service lost the array behind it, or a failed controller took the session along: the outcome is open."""
MESSAGE_TIMED_OUT: Final = 1077949001

OBJECT_EXISTS: Final = frozenset({1077948993, 1077948997})
SNAPSHOT_NOT_ACTIVE: Final = 1077937891
INITIATOR_NOT_BOUND: Final = 1077950342
COPY_ENDED: Final = frozenset({1077950178, 1077950180})
PAIR_SYNCHRONISED: Final = 1073798176
NO_MIGRATION_LICENCE: Final = 1073806606

_LICENCE_WORDS: Final = "license"

_CLASSES: Final[Mapping[type[BlockDriversError], frozenset[int]]] = {
    AuthExpired: SESSION_EXPIRED,
    LoginRefused: frozenset(
        {
            1077949061, 1077987870, 1077949081, 1077949070, 1077987871, 1073793581, 1077949071, 1073793593,
            1677929218, 1077951226, 1077949057, 1073793595, 1077949113,
        }
    ),
    LimitReached: frozenset({1077949067}),
    InvalidRequest: frozenset({1077949058, 50331651, 1077949103, 1077949106, 1077950863}),
    NotSupported: frozenset({1077949002}),
    LicenceMissing: frozenset({NO_MIGRATION_LICENCE, 1077950233}),
    Busy: frozenset(
        {1077949006, 1073793460, 1073793588, 16797698, 1077949004, 1077948995, 1077949021, 1077938040}
    ),
    AlreadyExists: OBJECT_EXISTS
    | {1077936862, 1077936864, 1077937501, 1073804556, 1073804558, 1073804560, 1073804588, 1073804590, 1077951833},
    NotFound: frozenset(
        {
            1077948996, 1077936859, 1077936861, 1077937498, 1077937500, 1073745412, 1077937880, 1077939726, 1073804552,
            1073804553, 1073804554, 1073804587, 1073804589, 1077951819, 1077951832, 1073807618, 50338560, 1077950183,
            1073798147, 1073798172, 1073806607,
        }
    ),
}  # fmt: skip

_CLASS_OF: Final = {code: kind for kind, known in _CLASSES.items() for code in known}

_SENTENCES: Final[Mapping[type[BlockDriversError], str]] = {
    AuthExpired: "The management session is over.",
    LoginRefused: "The array refused the login; check user name, password, scope and the account's state.",
    LimitReached: "The array has no management session left; close some, or lower max_connections.",
    InvalidRequest: "The array found an argument wrong.",
    NotSupported: "The array does not support this operation.",
    LicenceMissing: "The array has no licence for this operation.",
    Busy: "The array is busy.",
    AlreadyExists: "The object exists on the array.",
    NotFound: "The object does not exist on the array.",
    VendorError: "The array refused the request.",
}


def error(code: int, text: str, *, request: str, changes: bool) -> BlockDriversError:
    """Return the typed error for a non-zero code.

    Args:
        code: ``error.code`` of the answer.
        text: ``error.description`` of the answer.
        request: what was asked, for the message.
        changes: whether the request changes the array; then an open outcome is `Ambiguous`.
    """
    if code in {DEVICE_UNREACHABLE, MESSAGE_TIMED_OUT}:
        kind: type[BlockDriversError] = Ambiguous if changes else Busy
        return kind("The array lost the request half-way.", request=request, vendor_code=code, vendor_text=text)
    kind = _CLASS_OF.get(code, LicenceMissing if _LICENCE_WORDS in text.lower() else VendorError)
    return kind(_SENTENCES[kind], request=request, vendor_code=code, vendor_text=text)
