"""Copies of files: by the server where it can, holes left out."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator

_FICLONE = 0x40049409
CANNOT = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS})
"""What a kernel or server answers that does not know an operation."""
_PIECE = 64 * 1024 * 1024
_BUFFER = 1024 * 1024
_FILLED = 1024**3
_ZEROS = bytes(8 * 1024 * 1024)


def clone(source: int, target: int) -> bool:
    """Let the target share the source's blocks, at one moment and at once (NFSv4.2 CLONE); tell whether the server can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as trouble:
        if trouble.errno not in CANNOT:
            raise
        return False
    return True


def copy(source: int, target: int) -> Iterator[None]:
    """Copy a file's bytes into an empty one (NFSv4.2 COPY where the server can), holes left out; its size becomes the source's.

    Yields after each piece.
    """
    end, at = os.fstat(source).st_size, 0
    while at < end:
        at = _next(source, at, end, os.SEEK_DATA)
        hole = _next(source, at, end, os.SEEK_HOLE) if at < end else end
        while at < hole:
            at += _some(source, target, at, min(_PIECE, hole - at))
            yield
    os.ftruncate(target, end)
    os.fsync(target)


def holes(file: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where each hole of a part of a file begins and ends, the part beyond its end included."""
    size, at = os.fstat(file).st_size, start
    while at < min(size, end):
        begin = _next(file, at, size, os.SEEK_HOLE)
        stop = _next(file, begin, size, os.SEEK_DATA) if begin < size else size
        if begin < min(stop, end):
            yield begin, min(stop, end)
        at = stop
    if size < end:
        yield max(size, start), end


def fill(file: int, start: int, end: int) -> Iterator[None]:
    """Give a part of a file its space: by the server where it can (NFSv4.2 ALLOCATE), else by writing zeros into its holes.

    Yields after each piece.
    """
    at = start
    while at < end:
        piece = min(end - at, _FILLED)
        try:
            os.posix_fallocate(file, at, piece)
        except OSError as trouble:
            if trouble.errno not in CANNOT:
                raise
            yield from _write_zeros(file, at, end)
            return
        at += piece
        yield


def _write_zeros(file: int, start: int, end: int) -> Iterator[None]:
    for begin, stop in list(holes(file, start, end)):
        at = begin
        while at < stop:
            at += os.pwrite(file, _ZEROS[: min(len(_ZEROS), stop - at)], at)
            yield


def _next(source: int, at: int, end: int, what: int) -> int:
    """Return where data or a hole begins; a server that knows of none has data everywhere."""
    try:
        return os.lseek(source, at, what)
    except OSError as trouble:
        if trouble.errno == errno.ENXIO:
            return end
        if trouble.errno not in CANNOT:
            raise
        return at if what == os.SEEK_DATA else end


def _some(source: int, target: int, at: int, length: int) -> int:
    try:
        copied = os.copy_file_range(source, target, length, at, at)
    except OSError as trouble:
        if trouble.errno not in CANNOT:
            raise
        data = os.pread(source, min(length, _BUFFER), at)
        # A server that tells of no holes has zeros for them; in an empty file they need no writing.
        copied = len(data) if data == _ZEROS[: len(data)] else os.pwrite(target, data, at)
    if copied == 0:
        raise OSError(errno.EIO, "the file ended before its size")
    return copied
