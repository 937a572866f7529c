"""Volumes that are files of an NFS share: the share is mounted with the first and unmounted with the last of them.

os-brick mounts, and never unmounts. Which volumes of a share are attached stands in `/run`, which goes when the mounts go.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockdrivers import deadline
from blockdrivers.errors import AttachError, InUse
from blockdrivers.host import brick, programs, users
from blockdrivers.host.bounded import bounded
from blockdrivers.host.parts import Parts
from blockdrivers.host.turns import RUN, digest, turn
from blockdrivers.host.writing import write_out
from blockdrivers.model import Attachment, Export

_log = logging.getLogger(__name__)

MOUNTS = RUN / "mnt"
_MARKS = RUN / "shares"
_ANSWER_SECONDS = 10.0
_FLUSH_SECONDS = 600.0
_FORCED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted share."""

    share: str
    folder: Path


class ShareFile:
    """One exported file, as this machine's business."""

    def __init__(self, export: Export) -> None:
        share, _, name = (export.location or "").rpartition("/")
        if not name or ":" not in share:
            raise AttachError(f"{export.location!r} is no file of an NFS share; server:/path/file is expected.")
        self._export, self._share, self._name = export, share, name
        self._marks = _MARKS / digest(share)

    def attach(self, volume_id: str) -> Attachment:
        """Mount the share where it is not, and return the file once it is proven to be one of that very share."""
        parts = Parts()
        with turn(self._share):
            self._mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The mark first: a mount without one would be taken for nobody's.
            self._mark.write_text(f"{self._share}\n{self._name}\n", encoding="utf-8")
            with parts.host:
                MOUNTS.mkdir(mode=0o755, parents=True, exist_ok=True)
                brick.call("connect", **self.request())
            with parts.identity:
                mount = self._mounted()
                if mount is None:
                    raise AttachError(f"{self._share} is not mounted below {MOUNTS}, though os-brick reported no error.")
                size = self._size(mount.folder / self._name)
        return Attachment(volume_id, self._export.protocol, str(mount.folder / self._name), size, seconds=parts.seconds)

    def refresh(self, volume_id: str) -> Attachment:
        """Return the file with its present size."""
        mount = self._mounted()
        if mount is None:
            raise AttachError(f"{self._share} is not mounted; attach the volume first.")
        file = mount.folder / self._name
        return Attachment(volume_id, self._export.protocol, str(file), self._size(file))

    def detach(self, *, force: bool) -> None:
        """Write the file out, and unmount the share when no other volume of it is attached; prove that it is unmounted.

        Raises `InUse` where the file is open, `AttachError` where it cannot be written out (without `force`) or unmounted.
        """
        with turn(self._share):
            mount = self._mounted()
            if mount is not None:
                file = mount.folder / self._name
                if used := users.of_file(file):
                    raise InUse(f"{file} is in use: {'; '.join(used)}. End that first; nothing was changed.")
                write_out(str(file), force=force)
            self._mark.unlink(missing_ok=True)
            if mount is not None and not self._others():
                self._unmount(mount, force=force)

    def undo(self) -> bool:
        """Take away what a failed `attach` has left, unless somebody uses it; tell whether nothing is left."""
        try:
            self.detach(force=True)
        except (AttachError, InUse) as trouble:
            _log.warning("%s", trouble)
            return False
        return True

    @property
    def _mark(self) -> Path:
        return self._marks / digest(self._name)

    def _others(self) -> bool:
        return self._marks.is_dir() and any(self._marks.iterdir())

    def _mounted(self) -> Mount | None:
        return next((mount for mount in mounts() if mount.share == self._share), None)

    def _size(self, file: Path) -> int:
        try:
            size = bounded(lambda: _regular_size(file), deadline.remaining(_ANSWER_SECONDS))
        except OSError as trouble:
            raise AttachError(f"{self._export.location} cannot be reached: {trouble.strerror or trouble}.") from None
        if size is None:
            raise AttachError(f"{self._export.location} is no regular file, and is not handed out.")
        return size

    def _unmount(self, mount: Mount, *, force: bool) -> None:
        options = ("--force", "--lazy") if force else ()
        ended = programs.run(
            _FORCED_SECONDS if force else deadline.remaining(_FLUSH_SECONDS), "umount", *options, str(mount.folder)
        )
        if self._mounted() is not None:
            used = users.below(mount.folder)
            # Somebody uses the share for something else: then it is theirs.
            if used:
                _log.warning("%s stays mounted: %s", self._share, "; ".join(used))
                return
            raise AttachError(f"{self._share} cannot be unmounted from {mount.folder}: {ended.said or ended.status}")
        mount.folder.rmdir()

    def request(self) -> dict[str, Any]:
        """Return what os-brick is asked with."""
        return {
            "protocol": "NFS",
            "multipath": False,
            "options": {"nfs_mount_point_base": str(MOUNTS)},
            "properties": {"export": self._share, "name": self._name, "volume_id": self._export.volume},
        }


def mounts() -> list[Mount]:
    """Return the shares that are mounted below `MOUNTS`; a hidden one once only."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        before, after = line.split(" - ", 1)
        folder, source = Path(_plain(before.split(" ")[4])), _plain(after.split(" ")[1])
        if folder.parent == MOUNTS:
            found[folder] = Mount(source, folder)
    return list(found.values())


def marked() -> dict[str, list[str]]:
    """Return share -> names of the files of it that are attached to this machine."""
    found: dict[str, list[str]] = {}
    for mark in sorted(_MARKS.glob("*/*")):
        share, _, name = mark.read_text(encoding="utf-8").strip().partition("\n")
        found.setdefault(share, []).append(name)
    return found


def _regular_size(file: Path) -> int | None:
    """Return a file's size as the server has it now; None for what is no regular file."""
    if not stat.S_ISREG(os.lstat(file).st_mode):
        return None
    # Only opening a file makes the client ask the server again.
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as refusal:
        if refusal.errno == errno.ELOOP:
            return None
        raise
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _plain(text: str) -> str:
    r"""Undo the escapes of the mount table: ``\040`` is a space."""
    for code in ("\\040", "\\011", "\\012"):
        text = text.replace(code, chr(int(code[1:], 8)))
    return text.replace("\\134", "\\")
