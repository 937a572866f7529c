"""Files of mounted shares. Source: protocol sheet nfs-files, sections 3.5 to 3.9 and 7.

A file gets its name when it is whole: until then it has a draft's or a helper's, which is linked to its own name (and refused where that is taken)
and then removed. A volume that is to have its space reserved is marked by the sticky bit, which means nothing on a file: how many
blocks a file has says nothing, since a thin one may be written full.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256

from blockdrivers.errors import BlockDriversError, InUse, NotFound, OutOfSpace, StaleReference, VendorError
from blockdrivers.files.store import Entry, FileStore, hanging, is_draft, is_use
from blockdrivers.host import programs
from blockdrivers.naming import Kind, array_name, kind_of
from vendors.nfs import copying, qcow2
from vendors.nfs.mounts import Mounts
from vendors.nfs.options import NfsOptions

_RESERVED = stat.S_ISVTX
_QEMU_SECONDS = 300.0
_ABSENT = "No such file or directory"
_IN_USE = ('write" lock', "Is another process using")


@dataclass(frozen=True, slots=True)
class Space:
    """A share's room, in bytes."""

    total: int
    free: int


class SharedFiles(FileStore):
    """The files of the configured shares."""

    def __init__(self, options: NfsOptions, mounts: Mounts) -> None:
        self._options = options
        self._mounts = mounts
        self._mode = int(options.file_mode, 8)

    @property
    def format(self) -> str:
        """As configured; never guessed from the bytes."""
        return self._options.format

    def pools(self) -> Sequence[str]:
        """Return the configured shares."""
        return self._mounts.pools

    def known(self, pool: str) -> str:
        """Return the name of a configured share."""
        return self._mounts.share(pool).pool

    def location(self, pool: str, name: str) -> str:
        """Return the file as hosts mount it."""
        return f"{self._mounts.share(pool).export.rstrip('/')}/{name}"

    def space(self, pool: str) -> Space:
        """Return a share's room as the server tells it."""

        def look(folder: int) -> Space:
            facts = os.fstatvfs(folder)
            return Space(facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize)

        return self._mounts.at(pool, look)

    def entries(self, pool: str, patterns: Sequence[str]) -> Sequence[Entry]:
        """Read the folder."""

        def read(folder: int) -> list[Entry]:
            found: dict[str, Entry] = {}
            for pattern in patterns:
                # One after the other: what is renamed to what a later pattern means is found by that one.
                wild = any(mark in pattern for mark in "*?[")
                names = [name for name in os.listdir(folder) if fnmatchcase(name, pattern)] if wild else [pattern]
                for name in names:
                    entry = self._entry(pool, folder, name)
                    if entry is not None:
                        found[name] = entry
            return [found[name] for name in sorted(found)]

        return self._mounts.at(pool, read)

    def draft(self, pool: str, draft: str, size: int, *, thin: bool) -> None:
        """Make a whole file, sparse or filled."""
        self._mounts.slowly([pool], lambda folder: self._fresh(folder, draft, size, thin=thin))

    def publish(self, draft: Entry, name: str, size: int, *, thin: bool) -> Entry:
        """Grow and fill a draft, link its name, which is refused where it is taken, and remove the draft's."""
        if size > draft.size:
            self.resize(draft, size)
        if draft.thin and not thin:
            self._reserve(draft)

        def named(folder: int) -> Entry | None:
            self._named(folder, draft.name, name)
            return self._entry(draft.pool, folder, name)

        made = self._mounts.at(draft.pool, named, changes=True)
        if made is None:
            raise StaleReference(f"File {name!r} was there a moment ago and is not now.")
        return made

    def resize(self, entry: Entry, size: int) -> None:
        """Grow a disk; one that is reserved, with its space."""

        def grow(folder: int) -> Iterator[None]:
            if self.format == "qcow2":
                with _opened(folder, entry.name, os.O_RDONLY) as file:
                    yield from self._qemu_img(folder, entry.name, "resize", "-f", "qcow2", after=(str(size),))
                    _still(folder, entry.name, file)
                return
            with _opened(folder, entry.name, os.O_RDWR) as file:
                before = os.fstat(file)
                try:
                    if before.st_mode & _RESERVED:
                        yield from copying.fill(file, before.st_size, size)
                    os.ftruncate(file, max(size, before.st_size))
                    os.fsync(file)
                    _still(folder, entry.name, file)
                except OSError:
                    os.ftruncate(file, before.st_size)
                    raise

        self._mounts.slowly([entry.pool], grow)

    def provision(self, entry: Entry, *, thin: bool) -> None:
        """Take the mark away: what is not reserved any more is given back as it is discarded."""

        def unmark(folder: int) -> None:
            with _opened(folder, entry.name, os.O_RDONLY) as file:
                os.fchmod(file, self._mode)

        self._mounts.at(entry.pool, unmark, changes=True)

    def clone(self, pool: str, source: str, target: str, *, overwrite: bool = False) -> None:
        """Let the server clone a file, or copy it; a disk that a host uses is cloned only, since a copy would be of no one moment."""
        if overwrite and not is_draft(target):
            self._mounts.slowly(
                [pool], lambda folder: self._copied(folder, source, folder, target, used=(), copied=[], over=True)
            )
            return
        used = self._users(pool, source)
        helper = target if is_draft(target) else self._helper(pool, target)
        copied: list[str] = []
        with self._undone(pool, helper):
            self._mounts.slowly([pool], lambda folder: self._copied(folder, source, folder, helper, used=used, copied=copied))
            self._unused_since(pool, source, copied)
            if helper != target:
                self._mounts.at(pool, lambda folder: self._named(folder, helper, target), changes=True)

    def copy(self, pool: str, source: str, to: str, target: str) -> None:
        """Copy into another share."""
        used = self._users(pool, source)
        copied: list[str] = []
        with self._undone(to, target):
            self._mounts.slowly(
                [pool, to], lambda folder, other: self._copied(folder, source, other, target, used=used, copied=copied)
            )
            self._unused_since(pool, source, copied)

    def rename(self, pool: str, name: str, to: str) -> None:
        """Link the new name, which is refused where it is taken, and remove the old one; a call that was cut off in between is completed."""

        def renamed(folder: int) -> None:
            try:
                whole = self._named(folder, name, to)
            except FileExistsError:
                if not _is_one(folder, name, to):
                    raise
                os.unlink(name, dir_fd=folder)
                return
            if not whole:
                # Somebody has taken the old name away meanwhile: it is theirs, and one file has one name.
                os.unlink(to, dir_fd=folder)
                raise NotFound(f"The file {name!r} has gone.")

        self._mounts.at(pool, renamed, changes=True)

    def replace(self, pool: str, name: str, to: str) -> None:
        """Rename, which the server does in one step."""
        self._mounts.at(pool, lambda folder: os.rename(name, to, src_dir_fd=folder, dst_dir_fd=folder), changes=True)

    def keep_limits(self, pool: str, volume: str, taken: Entry) -> None:
        """There are none."""

    def delete(self, pool: str, name: str) -> None:
        """Remove a file or link."""
        self._mounts.at(pool, lambda folder: os.unlink(name, dir_fd=folder), changes=True)

    def link(self, pool: str, name: str, target: str) -> None:
        """Make a symbolic link."""
        self._mounts.at(pool, lambda folder: os.symlink(target, name, dir_fd=folder), changes=True)

    def admit(self, pool: str, addresses: Sequence[str]) -> None:
        """Access is the administrator's business."""

    def dismiss(self, pool: str, addresses: Sequence[str]) -> None:
        """Access is the administrator's business."""

    # Within one folder

    def _entry(self, pool: str, folder: int, name: str) -> Entry | None:
        """Return a file or link; None for what is neither, and for what is not of the configured format."""
        with suppress(FileNotFoundError):
            facts = os.lstat(name, dir_fd=folder)
            if stat.S_ISLNK(facts.st_mode):
                return Entry(name, pool, target=os.readlink(name, dir_fd=folder))
            if not stat.S_ISREG(facts.st_mode):
                return None
            size: int | None = facts.st_size
            if self.format == "qcow2":
                with _opened(folder, name, os.O_RDONLY) as file:
                    size = qcow2.virtual_size(file)
            if size is None and not (is_draft(name) or kind_of(name) is Kind.TEMPORARY):
                return None
            identifier = f"{sha256(pool.encode()).hexdigest()[:8]}.{facts.st_ino}"
            reserved = bool(facts.st_mode & _RESERVED)
            return Entry(name, pool, identifier, size or 0, not reserved, allocated_bytes=facts.st_blocks * 512)
        return None

    def _fresh(self, folder: int, name: str, size: int, *, thin: bool) -> Iterator[None]:
        with _made(folder, name) as file:
            if self.format == "raw":
                if not thin:
                    yield from copying.fill(file, 0, size)
                os.ftruncate(file, size)
            else:
                yield from self._qemu_img(folder, name, "create", "-f", "qcow2", after=(str(size),))
                # It makes a file where there is none, also where another call has taken this one away.
                _still(folder, name, file)
            self._own(file, thin=thin)
            os.fsync(file)

    def _reserve(self, draft: Entry) -> None:
        """Fill what is a hole, and mark the disk."""

        def fill(folder: int) -> Iterator[None]:
            with _opened(folder, draft.name, os.O_RDWR) as file:
                yield from copying.fill(file, 0, os.fstat(file).st_size)
                os.fchmod(file, self._mode | _RESERVED)

        self._mounts.slowly([draft.pool], fill)

    def _copied(
        self, folder: int, source: str, other: int, target: str, *, used: Sequence[str], copied: list[str], over: bool = False
    ) -> Iterator[None]:
        """Clone into a new file, or over the bytes of one that is there; what has to be copied is noted in `copied`."""
        with (
            _opened(folder, source, os.O_RDONLY) as origin,
            _opened(other, target, os.O_RDWR) if over else _made(other, target) as made,
        ):
            if not copying.clone(origin, made):
                copied.append(source)
                if used:
                    raise self._in_use(source, used)
                os.ftruncate(made, 0)
                yield from copying.copy(origin, made)
            if over:
                os.ftruncate(made, os.fstat(origin).st_size)
            else:
                # Its size is right: a source that a host writes may have grown since.
                self._own(made, thin=True)

    def _own(self, file: int, *, thin: bool) -> None:
        """Give a file to who is to have it, with the permissions that were asked for, whatever this process's mask is."""
        if self._options.owner is not None or self._options.group is not None:
            os.fchown(
                file,
                -1 if self._options.owner is None else self._options.owner,
                -1 if self._options.group is None else self._options.group,
            )
        os.fchmod(file, self._mode | (0 if thin else _RESERVED))

    @staticmethod
    def _named(folder: int, helper: str, name: str) -> bool:
        """Give a file another name; tell whether it had the old one to the end. A draft may lose it: it has been published then."""
        os.link(helper, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        with suppress(FileNotFoundError):
            os.unlink(helper, dir_fd=folder)
            return True
        return False

    def _users(self, pool: str, source: str) -> list[str]:
        """Return what the hosts are called that a volume is exported to; raise `InUse` where its copy would be of no one moment."""
        found = self.entries(pool, [hanging("*", source)]) if "{" not in source else ()
        users = [entry.name.partition("{")[0] for entry in found if is_use(entry)]
        if users and not self._options.server_clones:
            raise self._in_use(source, users)
        return users

    def _unused_since(self, pool: str, source: str, copied: Sequence[str]) -> None:
        """Refuse a copy of what was exported meanwhile: a host may have written it. A clone is of one moment."""
        if copied and (users := self._users(pool, source)):
            raise self._in_use(source, users)

    def _in_use(self, source: str, users: Sequence[str]) -> InUse:
        claimed = self._options.server_clones
        why = "the server does not clone it, though server_clones says so" if claimed else "the server is not said to clone files"
        return InUse(
            f"{source!r} is exported to {', '.join(users)}, {why}, and a copy would be of no one moment: unexport it first."
        )

    def _helper(self, pool: str, name: str) -> str:
        # Two calls for one file at once must not share a helper; what a killed one has left is swept.
        return array_name(Kind.TEMPORARY, f"{os.uname().nodename} {os.getpid()} {threading.get_ident()} {pool} {name}", 31)

    @contextmanager
    def _undone(self, pool: str, helper: str) -> Iterator[None]:
        """Where a file cannot be made, leave no helper."""
        try:
            yield
        except BlockDriversError:
            with suppress(BlockDriversError):
                self.delete(pool, helper)
            raise

    def _qemu_img(self, folder: int, name: str, *arguments: str, after: tuple[str, ...]) -> Iterator[None]:
        """Run qemu-img on a file of an open folder, which it is told by: the share may go meanwhile, and another be in its place."""
        programs.require("qemu-img")
        yield
        ended = programs.run(_QEMU_SECONDS, "qemu-img", *arguments, f"/proc/{os.getpid()}/fd/{folder}/{name}", *after)
        if ended.succeeded:
            return
        if _ABSENT in ended.said:
            raise NotFound(f"The file {name!r} has gone.")
        if any(words in ended.said for words in _IN_USE):
            raise InUse(f"The file {name!r} is in use by a virtual machine: {ended.said}")
        kind = OutOfSpace if "No space left" in ended.said or "quota" in ended.said.lower() else VendorError
        raise kind(f"qemu-img {arguments[0]} failed: {ended.said}")


@contextmanager
def _made(folder: int, name: str) -> Iterator[int]:
    """Make a file anew: what bears that name may be a published file's second one, of a call that was cut off, and stays as it is."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    with _opened(folder, name, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file:
        yield file


def _is_one(folder: int, name: str, other: str) -> bool:
    """Tell whether two names are of one file."""
    with suppress(FileNotFoundError):
        first, second = (os.stat(of, dir_fd=folder, follow_symlinks=False) for of in (name, other))
        return os.path.samestat(first, second)
    return False


def _still(folder: int, name: str, file: int) -> None:
    """Raise `NotFound` where an open file has that name no more."""
    with suppress(FileNotFoundError):
        if os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), os.fstat(file)):
            return
    raise NotFound(f"The file {name!r} has gone.")


@contextmanager
def _opened(folder: int, name: str, flags: int) -> Iterator[int]:
    file = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600, dir_fd=folder)
    try:
        yield file
    finally:
        os.close(file)
