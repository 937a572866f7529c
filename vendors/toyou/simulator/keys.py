"""The array's answers by key. Source: protocol sheet, section 4; what it does not document is answered with `UNKNOWN`."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0
UNKNOWN: Final = 1
"""Also: an option is missing or bad. And what the sheet has no key for: a volume or snapshot that is in use."""
NO_POOL: Final = 101
POOL_FULL: Final = 102
NO_VOLUME: Final = 303
NO_CLONE_SOURCE: Final = 304
NO_CLONE_TARGET: Final = 305
SOURCE_LARGER: Final = 306
POOL_LIMIT: Final = 307
SYSTEM_LIMIT: Final = 308
VOLUME_EXISTS: Final = 310
SIZE_SMALLER: Final = 321
SIZE_EQUAL: Final = 322
NO_MAP: Final = 401
NO_LUN: Final = 402
NO_HOST: Final = 403
SNAPSHOTS_OF_SYSTEM: Final = 503
SNAPSHOTS_OF_VOLUME: Final = 504
NO_SNAPSHOT: Final = 505
NOT_NEWEST: Final = 506
OTHER_VOLUMES: Final = 507
SNAPSHOT_EXISTS: Final = 508

TEXTS: Final = {
    UNKNOWN: "unknown error",
    NO_POOL: "the pool does not exist",
    POOL_FULL: "the pool has no space",
    NO_VOLUME: "the volume does not exist",
    NO_CLONE_SOURCE: "no such source volume",
    NO_CLONE_TARGET: "no such target volume",
    SOURCE_LARGER: "the source is larger than the target",
    POOL_LIMIT: "the pool holds no more volumes",
    SYSTEM_LIMIT: "the system holds no more volumes",
    VOLUME_EXISTS: "the volume name exists",
    SIZE_SMALLER: "the new size is smaller",
    SIZE_EQUAL: "the new size is the present one",
    NO_MAP: "no such lun map",
    NO_LUN: "no lun is free",
    NO_HOST: "the host is empty",
    SNAPSHOTS_OF_SYSTEM: "the system holds no more snapshots",
    SNAPSHOTS_OF_VOLUME: "the volume holds no more snapshots",
    NO_SNAPSHOT: "the snapshot does not exist",
    NOT_NEWEST: "the snapshot is not the newest",
    OTHER_VOLUMES: "the snapshot belongs to another volume",
    SNAPSHOT_EXISTS: "the snapshot name exists",
}


class Refusal(Exception):
    """The array refuses a command with one of its keys."""

    def __init__(self, key: int, text: str = "") -> None:
        super().__init__(text or TEXTS.get(key, str(key)))
        self.key = key
