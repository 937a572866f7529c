"""Shares and the folders at which this machine has them: nothing is ever done to a folder that is not that share.

Source: protocol sheet nfs-files, sections 3.2, 4 and 7. A share that is not mounted leaves an empty folder, and what is written there
fills this machine's own disk; a server that is away holds whoever asks for ever. So each step asks the mount table first, works relative to an
open folder of that very mount, and runs in a thread that is waited for a while only.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from blockdrivers.deadline import remaining
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    BlockDriversError,
    Busy,
    InvalidRequest,
    NotFound,
    OutOfSpace,
    Unreachable,
    VendorError,
)
from blockdrivers.host import programs
from blockdrivers.host.bounded import bounded
from vendors.nfs.options import NfsOptions, ShareOptions

T = TypeVar("T")

_MOUNT_SECONDS = 60.0
_ENDED = object()
_GONE = frozenset({errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH})
_KINDS: dict[int, type[BlockDriversError]] = {
    errno.ENOENT: NotFound,
    errno.EEXIST: AlreadyExists,
    errno.ENOSPC: OutOfSpace,
    errno.EDQUOT: OutOfSpace,
    errno.EFBIG: InvalidRequest,
    errno.ENAMETOOLONG: InvalidRequest,
    errno.EACCES: InvalidRequest,
    errno.EPERM: InvalidRequest,
    errno.EROFS: InvalidRequest,
    errno.EBUSY: Busy,
    errno.EAGAIN: Busy,
}
_ADVICE: dict[int, str] = {
    errno.ENOSPC: "free some, or use another share",
    errno.EDQUOT: "free some, or have the quota raised",
    errno.EFBIG: "the server takes no file of that size",
    errno.EACCES: "check the export's rules, its squashing of users, and the owner of the share's folder",
    errno.EPERM: "check the export's rules, its squashing of users, and the owner of the share's folder",
    errno.EROFS: "the export is read-only: have it exported for writing",
}


class Mounts:
    """The configured shares on this machine."""

    def __init__(self, options: NfsOptions) -> None:
        self._options = options
        self._shares = {share.pool: share for share in options.shares}
        if len(self._shares) != len(options.shares):
            raise InvalidRequest("Two shares of the backend have one name; give each a name of its own.")

    @property
    def pools(self) -> list[str]:
        """Names of the shares, in the order of the configuration."""
        return list(self._shares)

    def share(self, pool: str) -> ShareOptions:
        """Return a share; `InvalidRequest` for a name that is none."""
        if pool not in self._shares:
            raise InvalidRequest(f"There is no share {pool!r}; there is {', '.join(self._shares)}.")
        return self._shares[pool]

    def folder(self, pool: str) -> Path:
        """Return where a share is, or is to be, mounted."""
        share = self.share(pool)
        if share.folder is not None:
            return share.folder
        return self._options.mount_base / hashlib.sha256(share.export.encode()).hexdigest()[:32]

    def at(self, pool: str, step: Callable[[int], T], *, changes: bool = False) -> T:
        """Run a step with an open folder of the share, for as long as a server may take at most.

        Args:
            pool: the share.
            step: gets the folder's descriptor; raises `OSError`, or an error of this library.
            changes: whether it changes the share: then a server that does not answer leaves the outcome open.
        """

        def run() -> T:
            with self._opened(pool) as folder:
                return step(folder)

        self._mount(pool)
        with _translated(self.share(pool).export, changes=changes):
            return bounded(run, remaining(self._options.answer_seconds))

    def slowly(self, pools: Sequence[str], work: Callable[..., Iterator[None]]) -> None:
        """Run what changes a share for long, piece by piece: each may take as long as a server may.

        Args:
            pools: the shares; `work` gets a folder's descriptor for each.
            work: yields after each piece.
        """
        for pool in pools:
            self._mount(pool)

        def pieces() -> Iterator[None]:
            with ExitStack() as opened:
                yield from work(*(opened.enter_context(self._opened(pool)) for pool in pools))

        exports = " and ".join(self.share(pool).export for pool in pools)
        pending = pieces()
        with _translated(exports, changes=True):
            while bounded(lambda: next(pending, _ENDED), remaining(self._options.answer_seconds)) is not _ENDED:
                continue

    @contextmanager
    def _opened(self, pool: str) -> Iterator[int]:
        folder, export = self.folder(pool), self.share(pool).export
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _device_of(os.fstat(descriptor)) not in _mounted(folder, export):
                raise Unreachable(f"{folder} is not the share {export}: it is not mounted there. Mount it; nothing was done.")
            yield descriptor
        finally:
            os.close(descriptor)

    def _mount(self, pool: str) -> None:
        """Mount a share that is this backend's to mount; mounted already is fine."""
        share, folder = self.share(pool), self.folder(pool)
        if share.folder is not None or _mounted(folder, share.export):
            return
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        options = ("-o", share.mount_options) if share.mount_options else ()
        ended = programs.run(remaining(_MOUNT_SECONDS), "mount", "-t", "nfs", *options, share.export, str(folder))
        if not ended.succeeded and not _mounted(folder, share.export):
            raise Unreachable(f"{share.export} cannot be mounted: {ended.said or ended.status}.")


@contextmanager
def _translated(export: str, *, changes: bool) -> Iterator[None]:
    """Turn the kernel's refusals into this library's."""
    try:
        yield
    except TimeoutError as silent:
        kind: type[BlockDriversError] = Ambiguous if changes else Busy
        raise kind(f"The server of {export} does not answer: {silent}.") from None
    except OSError as trouble:
        number = trouble.errno or 0
        said = os.strerror(number) if number else str(trouble)
        if number in _GONE:
            raise Busy(f"The share {export} is away: {said}.", vendor_code=number) from trouble
        kind = _KINDS.get(number, VendorError)
        advice = f"; {_ADVICE[number]}" if number in _ADVICE else ""
        raise kind(f"The share {export} says: {said}{advice}.", vendor_code=number, vendor_text=said) from trouble


def _mounted(folder: Path, export: str) -> set[str]:
    """Return the devices, as ``major:minor``, of that export mounted at that folder."""
    found = set()
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        source = _plain(after.split(" ")[1])
        if Path(_plain(fields[4])) == folder and source.rstrip("/") == export.rstrip("/"):
            found.add(fields[2])
    return found


def _device_of(facts: os.stat_result) -> str:
    return f"{os.major(facts.st_dev)}:{os.minor(facts.st_dev)}"


def _plain(text: str) -> str:
    r"""Undo the escapes of the mount table: ``\040`` is a space."""
    for code in ("\\040", "\\011", "\\012"):
        text = text.replace(code, chr(int(code[1:], 8)))
    return text.replace("\\134", "\\")
