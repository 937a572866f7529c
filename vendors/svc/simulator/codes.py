"""The error numbers that the simulated array answers with. Source: protocol sheets, section 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GONE: Final = "CMMVC5753E"
NO_OBJECT: Final = "CMMVC5754E"
EXISTS: Final = "CMMVC6035E"
IQN_TAKEN: Final = "CMMVC6578E"
IQN_TAKEN_OLD: Final = "CMMVC6581E"
WWPN_INVALID: Final = "CMMVC5867E"
TARGET_TAKEN: Final = "CMMVC6466E"
MAPPED_ALREADY: Final = "CMMVC5878E"
LUN_TAKEN: Final = "CMMVC5879E"
MAPPED_ELSEWHERE: Final = "CMMVC6071E"
VOLUME_IN_USE: Final = "CMMVC5840E"
HOST_IN_USE: Final = "CMMVC5871E"
NOT_MAPPED: Final = "CMMVC5842E"
WRONG_STATE: Final = "CMMVC5903E"
FORMATTING: Final = "CMMVC8587E"
NOT_READY: Final = "CMMVC9083E"
OUT_OF_SPACE: Final = "CMMVC5860E"
LIMIT: Final = "CMMVC5786E"
NO_ID: Final = "CMMVC5701E"
PARAMETER_MISSING: Final = "CMMVC5707E"
PARAMETER_UNKNOWN: Final = "CMMVC5709E"
EXCLUSIVE: Final = "CMMVC5713E"
TOO_LONG: Final = "CMMVC5738E"
BAD_FILTER: Final = "CMMVC5741E"
BAD_VALUE: Final = "CMMVC5767E"
BAD_IO_GROUP: Final = "CMMVC5729E"
NON_ASCII: Final = "CMMVC6017E"
BAD_NAME: Final = "CMMVC6527E"
SIZES_DIFFER: Final = "CMMVC5924E"
SAME_VOLUME: Final = "CMMVC6303E"
NO_COPY: Final = "CMMVC6353E"
SAME_POOL: Final = "CMMVC6430E"
NOT_IN_THIS_POOL: Final = "CMMVC9236E"
NOT_REDUCING: Final = "CMMVC9301E"
NO_COMPRESSION: Final = "CMMVC7050E"
NO_COMMAND: Final = "CMMVC7205E"

TEXTS: Final[Mapping[str, str]] = {
    GONE: "The object is not there or is no suitable candidate.",
    NO_OBJECT: "No object has that name or id.",
    EXISTS: "Something with these properties is there already.",
    IQN_TAKEN: "The iSCSI name belongs to a host already.",
    IQN_TAKEN_OLD: "The iSCSI name belongs to a host already or is wrong.",
    WWPN_INVALID: "The WWPN is wrong or in use.",
    TARGET_TAKEN: "Another mapping has that target.",
    MAPPED_ALREADY: "The volume is mapped to that host already.",
    LUN_TAKEN: "The host sees another volume under that LUN.",
    MAPPED_ELSEWHERE: "The volume is mapped to another host; force is needed.",
    VOLUME_IN_USE: "The volume is mapped, in a copy mapping or being moved.",
    HOST_IN_USE: "The host still has mappings.",
    NOT_MAPPED: "The volume is not mapped to that host.",
    WRONG_STATE: "The mapping is in a state that does not allow this.",
    FORMATTING: "The volume is being formatted.",
    NOT_READY: "The volume is not ready.",
    OUT_OF_SPACE: "The pool has too few free extents.",
    LIMIT: "The maximum number of these objects has been reached.",
    NO_ID: "No object was named.",
    PARAMETER_MISSING: "A parameter is missing.",
    PARAMETER_UNKNOWN: "A parameter is not known here.",
    EXCLUSIVE: "These parameters exclude each other.",
    TOO_LONG: "A value has too many characters.",
    BAD_FILTER: "The filter is wrong.",
    BAD_VALUE: "A value is wrong.",
    BAD_IO_GROUP: "There is no such I/O group.",
    NON_ASCII: "A value holds characters that are not ASCII.",
    BAD_NAME: "The name breaks the rules for names.",
    SIZES_DIFFER: "Source and target differ in size.",
    SAME_VOLUME: "Source and target are one volume.",
    NO_COPY: "The volume has no such copy.",
    SAME_POOL: "The copy is in that pool already.",
    NOT_IN_THIS_POOL: "This kind of pool does not take that parameter.",
    NOT_REDUCING: "The pool does not reduce data.",
    NO_COMPRESSION: "Compression is not licensed.",
    NO_COMMAND: "The command is not supported on this system.",
}


class Refusal(Exception):
    """The array refuses a command with one of its numbers."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
