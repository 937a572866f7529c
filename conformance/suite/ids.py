"""Ids that the suite gives its objects, so that it can tell them from everybody else's, also after it was killed."""

from __future__ import annotations

import secrets
import uuid

SUITE = "ctest-"
"""Every id starts with this, but for those that cannot (UUIDs, single characters)."""

FOREIGN = "ct_foreign_"
"""Array-side names of volumes that a check has given up and will take over again."""

_UUID_HEAD = "c7e57c7e-57c7-4"
_SINGLE = "\u03de\u03e0\u2135\u2136\u2137\u2138"


def run_prefix() -> str:
    """Return a prefix for the ids of one run; short, so that most ids stand on the array as they are."""
    return f"{SUITE}{secrets.token_hex(2)}-"


def uuid_id(number: int) -> str:
    """Return a canonical UUID that is the suite's own."""
    return _UUID_HEAD + str(uuid.uuid5(uuid.NAMESPACE_OID, f"blockdrivers conformance {number}"))[len(_UUID_HEAD) :]


def single_character_ids() -> tuple[str, ...]:
    """Return ids of one character that nobody else is likely to use."""
    return tuple(_SINGLE)


def is_suites_own(identifier: str) -> bool:
    """Tell whether this or an earlier run of the suite gave an object that id."""
    return identifier.startswith((SUITE, _UUID_HEAD)) or (len(identifier) == 1 and identifier in _SINGLE)
