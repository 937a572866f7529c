"""The keys of the array's answers and what each means to a caller. Source: protocol sheet, section 4.

Not documented: keys for what is busy, mapped, copied or has snapshots. A key that is not in the table is a `VendorError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    InUse,
    InvalidRequest,
    LimitReached,
    NotFound,
    OutOfSpace,
    VendorError,
)

NO_POOL: Final = 101
NO_CLONE_TARGET: Final = 305
SAME_SIZE: Final = 322
NO_MAP: Final = 401
NO_SNAPSHOT: Final = 505

_CLASSES: Final[Mapping[int, tuple[type[BlockDriversError], str]]] = {
    NO_POOL: (InvalidRequest, "The array has no such pool."),
    102: (OutOfSpace, "The pool cannot hold that; free some space or use another pool."),
    303: (NotFound, "The array has no such volume."),
    304: (NotFound, "The array has no such volume to clone."),
    NO_CLONE_TARGET: (NotFound, "The array has no such volume to clone onto."),
    306: (InvalidRequest, "The volume to clone is larger than its clone would be."),
    307: (LimitReached, "The pool holds no more volumes; delete some or use another pool."),
    308: (LimitReached, "The array holds no more volumes; delete some."),
    310: (AlreadyExists, "The name of the volume is taken."),
    321: (InvalidRequest, "A volume never shrinks."),
    SAME_SIZE: (InvalidRequest, "The volume has that size already."),
    NO_MAP: (NotFound, "The volume is not mapped like that."),
    402: (LimitReached, "The array has no LUN left; take volumes away from hosts."),
    403: (InvalidRequest, "A host without initiators sees nothing."),
    503: (LimitReached, "The array holds no more snapshots; delete some."),
    504: (LimitReached, "The volume holds no more snapshots; delete some."),
    NO_SNAPSHOT: (NotFound, "The array has no such snapshot."),
    506: (InUse, "Only the newest snapshot of a volume can be reverted to; delete the newer ones first."),
    507: (InvalidRequest, "The snapshot is another volume's."),
    508: (AlreadyExists, "The name of the snapshot is taken."),
}


def error(key: int, text: str, request: str) -> BlockDriversError:
    """Return the error that an answer's key stands for."""
    kind, message = _CLASSES.get(key, (VendorError, "The array refused with a key that is not documented."))
    return kind(message, request=request, vendor_code=key, vendor_text=text)
