"""What the simulated array refuses with. Source: protocol sheet, section 4.

The second part of the SSB pairs is invented: the sheet lists these refusals without a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BUSY: Final = "KART00003-E"
MISSING: Final = "KART20008-E"
NO_RESOURCE: Final = "KART20009-E"
ARRAY: Final = "KART30000-E"
NOT_THERE: Final = "KART30013-E"
WRONG_LOGIN: Final = "KART30085-E"
NOT_AUTHENTICATED: Final = "KART40047-E"
UNKNOWN_ATTRIBUTE: Final = "KART40038-E"
OUT_OF_RANGE: Final = "KART40044-E"
BAD_COMBINATION: Final = "KART40046-E"
LOCKED: Final = "KART40050-E"

LDEV_DEFINED: Final = "2E22-0001"
NO_FREE_LDEV: Final = "2E11-2209"
LDEV_LOCKED: Final = "2E11-2205"
NOT_LOCK_OWNER: Final = "2E11-2207"
POOL_WITHOUT_SNAPSHOTS: Final = "2E30-600E"
SVOL_PAIRED: Final = "2E30-0078"
GROUP_DEFINED: Final = "B956-3173"
PATH_DEFINED: Final = "B958-015A"
LUN_TAKEN: Final = "B958-0947"
NO_LICENCE: Final = "2E21-9010"

# Invented: the sheet names these cases and no codes.
POOL_FULL: Final = "2E20-FF01"
LDEV_IN_USE: Final = "2E20-FF02"
MU_TAKEN: Final = "2E30-FF03"
SIZES_DIFFER: Final = "2E30-FF04"
INITIATOR_REGISTERED: Final = "B957-FF05"
GROUP_IN_USE: Final = "B956-FF06"
WRONG_PAIR_STATE: Final = "2E30-FF07"
SAME_PVOL_TWICE: Final = "2E30-FF08"
TOO_SMALL: Final = "2E20-FF09"
CHAP_USER_DEFINED: Final = "B957-FF0A"
ALREADY_ASSIGNED: Final = "2E30-FF0B"
GROUP_FULL: Final = "B956-FF0C"
NO_LUN: Final = "B958-FF0D"
LIMIT_ORDER: Final = "2E20-FF0E"

TEXTS: Final[Mapping[str, str]] = {
    LDEV_DEFINED: "The LDEV is already defined.",
    NO_FREE_LDEV: "There is no free LDEV number in the range.",
    LDEV_LOCKED: "The resource is locked by another user.",
    NOT_LOCK_OWNER: "The session does not own the lock.",
    POOL_WITHOUT_SNAPSHOTS: "The pool cannot hold snapshot data.",
    SVOL_PAIRED: "The S-VOL is already used by a pair.",
    GROUP_DEFINED: "The host group is already defined.",
    PATH_DEFINED: "The LU path is already defined.",
    LUN_TAKEN: "The LUN is already used by another LDEV.",
    NO_LICENCE: "The program product is not installed.",
    POOL_FULL: "The pool does not have enough capacity.",
    LDEV_IN_USE: "The LDEV has LU paths or pairs.",
    MU_TAKEN: "The MU number is already used.",
    SIZES_DIFFER: "P-VOL and S-VOL differ in capacity.",
    INITIATOR_REGISTERED: "The initiator is already registered on the port.",
    GROUP_IN_USE: "The host group has LU paths.",
    WRONG_PAIR_STATE: "The pair status does not allow the operation.",
    SAME_PVOL_TWICE: "Two pairs of the consistency group share a P-VOL.",
    TOO_SMALL: "The capacity is below the minimum.",
    CHAP_USER_DEFINED: "The CHAP user is already defined.",
    ALREADY_ASSIGNED: "A secondary volume is already assigned.",
    GROUP_FULL: "could not find empty Host group ID for adding.",
    NO_LUN: "There is no free LUN in the host group.",
    LIMIT_ORDER: "The upper limit must be above the lower limit.",
    "EX_ENOOBJ": "The specified object does not exist.",
}

_MESSAGES: Final[Mapping[str, str]] = {
    BUSY: "The REST API server is busy.",
    MISSING: "A required parameter is missing.",
    NO_RESOURCE: "The resource that was specified for the URL does not exist.",
    ARRAY: "An error occurred in the storage system.",
    NOT_THERE: "The specified object does not exist.",
    WRONG_LOGIN: "The user ID or password is incorrect.",
    NOT_AUTHENTICATED: "The user is not authenticated.",
    UNKNOWN_ATTRIBUTE: "An unsupported attribute is specified.",
    OUT_OF_RANGE: "A value is out of range.",
    BAD_COMBINATION: "The combination of parameters is not valid.",
    LOCKED: "The resource group is locked by another session.",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes into an error object."""

    message_id: str
    ssb: str = ""
    detail: str = ""

    def rendered(self, source: str) -> dict[str, object]:
        """Return the error object."""
        text = TEXTS.get(self.ssb, self.detail)
        said = _MESSAGES.get(self.message_id, "An error occurred.")
        first, _, second = self.ssb.partition("-")
        number = self.message_id.removeprefix("KART")
        error: dict[str, object] = {
            "errorSource": source,
            "messageId": self.message_id,
            "message": f"{said} (message = {text})" if text else said,
            "cause": "-",
            "solution": "See the manual.",
            "solutionType": "RETRY" if self.message_id in {BUSY, LOCKED} else "SEE_ERROR_DETAIL",
            "detailCode": f"{number}-2-{self.ssb}" if second else f"{number}-0",
        }
        if second:
            error["errorCode"] = {"SSB1": first, "SSB2": second}
        elif self.ssb:
            error["errorCode"] = {"errorCode": self.ssb}
        return error


class Refusal(Exception):
    """The REST server refuses a request by itself."""

    def __init__(self, status: int, message_id: str, detail: str = "", ssb: str = "") -> None:
        super().__init__(message_id)
        self.status = status
        self.fault = Fault(message_id, ssb, detail)


class Failure(Exception):
    """The array refuses what a job asked of it."""

    def __init__(self, ssb: str, message_id: str = ARRAY) -> None:
        super().__init__(ssb or message_id)
        self.fault = Fault(message_id, ssb)


def not_there(ssb: str = "") -> Failure:
    """Return the failure of a job whose object is not there."""
    return Failure(ssb, NOT_THERE)
