"""One sparse file per volume or snapshot, named by its WWN."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

_FICLONE = 0x40049409
"""ioctl that lets two files share their blocks until one is written to, where the file system can."""
_WWN = re.compile(r"[0-9a-f]{32}\Z")


class Files:
    """The files of one array, below one folder; those longer than its file system can hold are in `spare`."""

    def __init__(self, folder: Path, spare: Path) -> None:
        self._folders = (folder, spare)

    def path(self, wwn: str) -> Path:
        """Return where the bytes of that WWN are, or would be."""
        if not _WWN.match(wwn):
            raise ValueError(f"{wwn!r} is no WWN of 32 hexadecimal digits")
        candidates = [folder / wwn for folder in self._folders]
        return next((path for path in candidates if path.exists()), candidates[0])

    def holds(self, wwn: str) -> bool:
        """Tell whether there are bytes for that WWN."""
        return self.path(wwn).exists()

    def size(self, wwn: str) -> int:
        """Return how many bytes a file holds."""
        return self.path(wwn).stat().st_size

    def create(self, wwn: str, size: int) -> None:
        """Make a file of so many zeros; raise `FileExistsError` where there is one."""
        if self.holds(wwn):
            raise FileExistsError(errno.EEXIST, "there are bytes for that WWN", wwn)
        self._replace(wwn, size, lambda _: None)

    def delete(self, wwn: str) -> None:
        """Remove a file; its space is free once no target has it open."""
        self.path(wwn).unlink()

    def resize(self, wwn: str, size: int) -> None:
        """Grow or shrink a file; what is new reads as zeros. It may be another file afterwards."""
        try:
            os.truncate(self.path(wwn), size)
        except OSError as trouble:
            if trouble.errno != errno.EFBIG:
                raise
            self.copy(wwn, wwn, size)

    def copy(self, source: str, target: str, size: int | None = None) -> None:
        """Replace the target's file by the source's bytes and zeros up to `size`; where None, up to the target's present size."""
        with self.path(source).open("rb") as origin:
            self._replace(target, self.size(target) if size is None else size, lambda copy: _copy(origin, copy))

    def exchange(self, first: str, second: str) -> None:
        """Let two files exchange their names."""
        one, other = self.path(first), self.path(second)
        aside = one.with_suffix(".aside")
        one.rename(aside)
        other.rename(other.with_name(first))
        aside.rename(aside.with_name(second))

    def _replace(self, wwn: str, size: int, fill: Callable[[IO[bytes]], None]) -> None:
        """Put a new file in the place of what is there, in the first folder that can hold so long a one."""
        present = self.path(wwn)
        for folder in self._folders:
            folder.mkdir(mode=0o700, exist_ok=True)
            unfinished = folder / f"{wwn}.unfinished"
            try:
                with unfinished.open("wb") as made:
                    made.truncate(size)
                    fill(made)
                    made.truncate(size)
            except OSError as trouble:
                unfinished.unlink()
                if trouble.errno != errno.EFBIG or folder == self._folders[-1]:
                    raise
            else:
                unfinished.replace(folder / wwn)
                if present.parent != folder:
                    present.unlink(missing_ok=True)
                return


def _copy(origin: IO[bytes], copy: IO[bytes]) -> None:
    """Copy a whole file, holes left out."""
    try:
        fcntl.ioctl(copy.fileno(), _FICLONE, origin.fileno())
    except OSError as trouble:
        if trouble.errno not in {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS}:
            raise
        _copy_data(origin.fileno(), copy.fileno())


def _copy_data(origin: int, copy: int) -> None:
    end = os.fstat(origin).st_size
    at = _next_data(origin, 0, end)
    while at < end:
        hole = os.lseek(origin, at, os.SEEK_HOLE)
        while at < hole:
            copied = os.copy_file_range(origin, copy, hole - at, at, at)
            if copied == 0:
                raise OSError(errno.EIO, "the file ended before its size")
            at += copied
        at = _next_data(origin, hole, end)
    os.ftruncate(copy, end)


def _next_data(origin: int, at: int, end: int) -> int:
    try:
        return os.lseek(origin, at, os.SEEK_DATA)
    except OSError as trouble:
        if trouble.errno != errno.ENXIO:
            raise
        return end
