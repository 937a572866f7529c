"""The error numbers of both vendors and what each means to a caller. Source: IBM sheet, section 4; Inspur sheet, 4.

Texts may be localised; the number alone is relied on. One that is not in the table is a `VendorError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    Busy,
    InUse,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    NotFound,
    NotSupported,
    OutOfSpace,
    VendorError,
)

PATTERN: Final = re.compile(r"CMMVC(\d{4,5})([EWI])")

MAPPED_ALREADY: Final = "CMMVC5878E"
TARGET_TAKEN: Final = "CMMVC6466E"
SIZES_DIFFER: Final = "CMMVC5924E"
WRONG_STATE: Final = frozenset({"CMMVC5903E", "CMMVC5907E", "CMMVC5912E"})
VOLUME_IN_USE: Final = "CMMVC5840E"
NO_CAPACITY_LEFT: Final = frozenset({"CMMVC5860E", "CMMVC6973E", "CMMVC8710E"})
UNKNOWN_COMMAND: Final = "CMMVC7205E"

_CLASSES: Final[Mapping[type[BlockDriversError], str]] = {
    NotFound: "5753 5754 5804 8957 9755 5842 6353",
    AlreadyExists: "6035 6578 6581 5867 6466 5959 5878",
    InUse: "6071 5840 5871 8749 8783",
    Busy: "5879 8478 5903 5907 5912 5982 8587 9083 9103 9104 6318",
    OutOfSpace: "5860 6973 8710",
    LimitReached: "5786",
    LicenceMissing: "7050",
    NotSupported: "7205",
    InvalidRequest: (
        "5701 5703 5707 5709 5713 5738 5741 5767 6017 6527 5729 5924 6303 6430 6446 9201 9236 9292 9301 5963 5951 6065 9012"
    ),
}

_CLASS_OF: Final = {number: kind for kind, numbers in _CLASSES.items() for number in numbers.split()}

_SENTENCES: Final[Mapping[type[BlockDriversError], str]] = {
    NotFound: "The object does not exist on the array.",
    AlreadyExists: "The object exists on the array, or belongs to another one.",
    InUse: "Something on the array still uses the object.",
    Busy: "The array cannot do this at present.",
    OutOfSpace: "The pool has too little space left.",
    LimitReached: "A limit of the array has been reached.",
    LicenceMissing: "The array has no licence for compression; install one, or leave compression out.",
    NotSupported: "The array's code level does not have this command.",
    InvalidRequest: "The array found an argument wrong.",
    VendorError: "The array refused the command.",
}


def error(code: str, text: str, *, request: str) -> BlockDriversError:
    """Return the typed error for a number such as ``CMMVC5754E``.

    Args:
        code: the number with its letters.
        text: what the array said.
        request: the verb.
    """
    match = PATTERN.fullmatch(code)
    kind = _CLASS_OF.get(match[1], VendorError) if match else VendorError
    return kind(_SENTENCES[kind], request=request, vendor_code=code, vendor_text=text)
