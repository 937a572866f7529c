"""The refusals of the simulated array: number, HTTP status and words. Source: protocol sheet, section 4.

The second part has stand-in numbers: the sheet lists these refusals by name and status only. Clients may read their status and words.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Code(NamedTuple):
    """One refusal."""

    number: int
    status: int
    text: str


WRONG_PASSWORD: Final = Code(5, 403, "invalid username or password")
NO_SESSION: Final = Code(6, 403, "invalid session key")
UNSUPPORTED: Final = Code(9, 501, "unsupported operation")
NO_RESOURCE: Final = Code(11, 404, "URI resource not found")
BAD_INPUT: Final = Code(12, 400, "invalid input")
CPG_EXISTS: Final = Code(14, 409, "CPG already exists")
NO_CPG: Final = Code(15, 404, "CPG does not exist")
HOST_EXISTS: Final = Code(16, 409, "host already exists")
NO_HOST: Final = Code(17, 404, "host does not exist")
VLUN_EXISTS: Final = Code(18, 409, "VLUN already exists")
NO_VLUN: Final = Code(19, 404, "VLUN does not exist")
NO_PORT: Final = Code(20, 404, "port does not exist")
VOLUME_EXISTS: Final = Code(22, 409, "volume already exists")
NO_VOLUME: Final = Code(23, 404, "volume does not exist")
NO_SPACE: Final = Code(24, 400, "insufficient space")
EXPORTED: Final = Code(26, 409, "exported VLUN exists")
TOO_LARGE: Final = Code(28, 400, "invalid input: value too large")
HAS_CHILD: Final = Code(32, 409, "volume has a child")
IN_USE: Final = Code(34, 409, "resource in use")
NO_DOMAIN: Final = Code(38, 404, "domain does not exist")
WRONG_TYPE: Final = Code(39, 400, "invalid input: wrong type")
MISSING: Final = Code(40, 400, "invalid input: missing required")
OUT_OF_RANGE: Final = Code(43, 400, "invalid input: exceeds range")
CONFLICT: Final = Code(44, 400, "invalid input: parameters cannot be present at the same time")
EMPTY: Final = Code(45, 400, "invalid input: empty string")
BAD_ENUM: Final = Code(46, 400, "invalid input: bad enum value")
BAD_PORT: Final = Code(55, 400, "invalid input: port specification")
TOO_LONG: Final = Code(57, 400, "invalid input: exceeds length")
BAD_JSON: Final = Code(60, 400, "invalid input: bad JSON")
BAD_CHARACTER: Final = Code(69, 400, "invalid input: illegal character")
PATH_EXISTS: Final = Code(73, 409, "host path already used by another host")
HOST_IN_SET: Final = Code(77, 409, "host is a member of a set")
ONE_REQUIRED: Final = Code(78, 400, "invalid input: one of the parameters is required")
NO_PATH: Final = Code(80, 404, "host path does not exist")
LUN_OF_PERSONA: Final = Code(99, 409, "LUN conflicts with the host persona")
NO_QOS: Final = Code(100, 404, "QoS rule does not exist")
SET_EXISTS: Final = Code(101, 409, "set already exists")
NO_SET: Final = Code(102, 404, "set does not exist")
QOS_EXISTS: Final = Code(114, 400, "QoS rule already exists")
BELOW_RANGE: Final = Code(115, 400, "invalid input: below range")
IN_REMOTE_COPY: Final = Code(120, 403, "volume is in a remote copy group")
NO_TASK: Final = Code(145, 404, "task does not exist")
CANNOT_GROW: Final = Code(150, 403, "unsupported volume type")
BUSY_VOLUME: Final = Code(151, 409, "volume is busy")
GROW_SIZE: Final = Code(152, 400, "invalid volume grow size")
OVER_CPG_LIMIT: Final = Code(153, 403, "new size exceeds the CPG limit")
NO_KEY: Final = Code(180, 404, "object key does not exist")
KEY_EXISTS: Final = Code(181, 409, "object key already exists")
NO_PROMOTE: Final = Code(185, 409, "promote is not in progress")
NO_GROUP: Final = Code(187, 404, "remote copy group does not exist")
GROUP_EXISTS: Final = Code(237, 409, "remote copy group already exists")
BUSY: Final = Code(270, 503, "system is too busy, try later")

# Stand-in numbers.
BAD_QUERY: Final = Code(12, 400, "invalid query string")
NO_EXPORT_INFO: Final = Code(12, 400, "missing VLUN export information")
MATCHED_HOSTSET: Final = Code(12, 400, "a host set cannot be exported to with a port")
NOT_ACTIVE: Final = Code(12, 400, "task is not active")
CHAP_LENGTH: Final = Code(12, 400, "CHAP secret has a bad length")
UNLICENSED: Final = Code(12, 400, "system is not licensed for this feature")
READONLY_OF_READONLY: Final = Code(29, 403, "a read-only copy of a read-only volume is not allowed")
PARENT_EXPORTED: Final = Code(29, 403, "parent volume is exported")
EXPORTED_TARGET: Final = Code(29, 403, "volume is exported")
TUNING: Final = Code(29, 409, "a tune of the volume is in progress")
RETAINED: Final = Code(29, 409, "volume is retained")
IN_SET: Final = Code(29, 409, "object is already a member of the set")
NOT_IN_SET: Final = Code(29, 404, "object is not a member of the set")
NO_LUN_LEFT: Final = Code(29, 409, "no LUN id is available")
SET_HAS_RULE: Final = Code(29, 409, "volume set is the target of a QoS rule")
CANNOT_CANCEL: Final = Code(29, 409, "task cannot be cancelled")
NO_SNAP_CPG: Final = Code(29, 409, "volume has no snapshot CPG")
TOO_MANY_VOLUMES: Final = Code(29, 503, "volume limit reached")

BY_NUMBER: Final = {code.number: code for code in reversed([item for item in list(globals().values()) if isinstance(item, Code)])}
"""Number -> the first refusal that has it."""
