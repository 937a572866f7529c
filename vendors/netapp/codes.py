"""The array's error codes and what each means to a caller.

Source: protocol sheet, section 4. Codes are digits in text. No code is known for a full FlexVol or a missing licence: the array's
words tell, and for space the FlexVol is read afterwards.
"""

from __future__ import annotations

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
    LoginRefused,
    NotFound,
    NotSupported,
    OutOfSpace,
    VendorError,
)

NOT_PERMITTED: Final = "6"
NO_ENDPOINT: Final = "3"
SAME_SIZE: Final = "1254226"
MAPPED_ALREADY: Final = "1254207"
NOT_MAPPED: Final = "5374922"
NO_IGROUP: Final = frozenset({"5374878", "5374852"})
NO_FLEXVOL: Final = frozenset({"917927", "918235", "917525", "917698"})
OTHER_FLEXVOL: Final = "1260121"
LUN_SEEN_TWICE: Final = frozenset({"1254193", "1254324"})
IN_OTHER_GROUP: Final = frozenset({"53411860", "53411865"})
RENAME_FAILED: Final = "6488082"
SNAPSHOT_HELD: Final = frozenset({"1638543", "1638555"})

_BUSY_WORDS: Final = "device busy"

_CLASSES: Final[Mapping[type[BlockDriversError], frozenset[str]]] = {
    LoginRefused: frozenset({"6691623"}),
    NotSupported: frozenset({NO_ENDPOINT}),
    NotFound: frozenset(
        {
            "4", "2621462", *NO_FLEXVOL, "5374875", "5374876", "1254201", NOT_MAPPED,
            "5374034", "5374041", "5374895", "8454243", "1638600", "6684674", "917806", "917864", "1703954",
            "53411842", "53411843", "53411844", *NO_IGROUP,
        }
    ),
    AlreadyExists: frozenset(
        {
            "1", "5374242", "5440688", "1254196", "1260136", MAPPED_ALREADY, "5374023", "5374035", "5374142", "525059",
            "8454154", "8454277", "8454278", "8454379", "8454380", "6488118", "917526", "1704070", *IN_OTHER_GROUP,
        }
    ),
    InvalidRequest: frozenset(
        {
            "2", "262179", "262197", "262245", "2621706", "2621707", "918236", OTHER_FLEXVOL, "5374121", "5374127",
            "5374352", "5376461", "5376462", "5376463", "5374123", "5374124", "5374125", "5374130", "5374241", "5374129",
            "5374237", "5374238", "5374883", "5374884", "5374892", "5375059", "5373958", "5374038", "5374039", "5373966",
            "5374145", "5374147", "5374149", "5374150", "8454194", "8454260", "8454273", "8454274", "8454389", "8454286",
            "8454327", "8454328", "5374573", "5374574", "5374581", "5374582", "5374583", "5374584", "5374078", RENAME_FAILED,
            "6488083", "131138", "131102", "917812", "917898", "13565988", "13565998",
        }
    ),
    InUse: frozenset({"8", "1254197", "1254213", "5374705", "5374707", "5374732", "5374734", "7018919", "524615", *LUN_SEEN_TWICE}),
    Busy: frozenset(
        {
            "5702832", "13565952", "7018877", "5374316", "5374053", "8454210", "524486", "524481", "6621658", "13107405",
            "5374865", "5374866", "5374904", "5374863", "5374864", "5374885", "5374886", *SNAPSHOT_HELD,
        }
    ),
    LimitReached: frozenset({"525062", "8454147"}),
    OutOfSpace: frozenset({"524479"}),
}  # fmt: skip

_CLASS_OF: Final = {code: kind for kind, known in _CLASSES.items() for code in known}

_SENTENCES: Final[Mapping[type[BlockDriversError], str]] = {
    LoginRefused: "The array refused the login; check user name, password and the account's state.",
    NotSupported: "The array does not offer this operation; its ONTAP release or the account's role may be the reason.",
    NotFound: "The object does not exist on the array.",
    AlreadyExists: "The object exists on the array.",
    InvalidRequest: "The array found an argument wrong.",
    InUse: "The object is in use on the array.",
    Busy: "The array is busy with the object, or it is off line for the moment.",
    LimitReached: "A limit of the array was reached.",
    OutOfSpace: "The array has no space left for this.",
    LicenceMissing: "The array has no licence for this operation.",
    VendorError: "The array refused the request.",
}


def error(code: str, text: str, *, request: str) -> BlockDriversError:
    """Return the typed error for an error object of the array.

    Args:
        code: ``error.code``, digits in text.
        text: ``error.message``.
        request: what was asked, for the message.
    """
    kind = _CLASS_OF.get(code) or _told(text.lower())
    return kind(_SENTENCES[kind], request=request, vendor_code=code, vendor_text=text)


def permission(code: str, text: str, *, request: str) -> BlockDriversError:
    """Return the error for what the account's role does not allow."""
    said = "The account's role does not allow this; give it a role that does, or use one of the cluster."
    return NotSupported(said, request=request, vendor_code=code, vendor_text=text)


def _told(words: str) -> type[BlockDriversError]:
    if _BUSY_WORDS in words:
        return Busy
    if "licens" in words:
        return LicenceMissing
    return OutOfSpace if "space" in words else VendorError
