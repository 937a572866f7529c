"""What a qcow2 file says of itself in its header. Source: protocol sheet nfs-files, sections 3.6 and 7."""

from __future__ import annotations

import os
import struct

_HEADER = struct.Struct(">4sIQIIQ")
_MAGIC = b"QFI\xfb"
_INCOMPATIBLE = struct.Struct(">Q")
_AT_INCOMPATIBLE = 72
_DATA_FILE = 1 << 2
_VERSIONS = (2, 3)


def virtual_size(descriptor: int) -> int | None:
    """Return the size in bytes of the disk in a qcow2 file; None for a file that is none, or that refers to other files.

    A guest can write what it likes into a raw disk, so this is asked only of files that are qcow2 by configuration; one that names a
    backing or data file was not made here, and following it could reach any file of the host.
    """
    head = os.pread(descriptor, _AT_INCOMPATIBLE + _INCOMPATIBLE.size, 0)
    if len(head) < _HEADER.size:
        return None
    magic, version, backing, _, _, size = _HEADER.unpack_from(head)
    if magic != _MAGIC or version not in _VERSIONS or backing:
        return None
    if version > 2 and len(head) >= _AT_INCOMPATIBLE + _INCOMPATIBLE.size:  # noqa: PLR2004 - version 2 has no such field
        (flags,) = _INCOMPATIBLE.unpack_from(head, _AT_INCOMPATIBLE)
        if flags & _DATA_FILE:
            return None
    return int(size)
