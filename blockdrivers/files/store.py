"""Files of shares, what they are called, and how a server is asked for them; see `blockdrivers.files`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from blockdrivers.naming import Kind, kind_of

AWAY = "bdaway-"
"""Begins the name of a volume's file that is deleted next, if nothing hangs on it."""
LEAVING = "bdleaving-"
"""Begins the name of a volume's file that is given up next for its copy in another share, if nothing hangs on it."""
GONE = "bdgone-"
"""Begins the name of a volume's file whose copy in another share has taken its place, or is about to."""
MOVE = "bdmove-"
"""Begins the name of a link that says for how long a copy of the volume is as good as the volume; its target is the share of the copy."""
FROM = "bdfrom-"
"""Begins the name of a link, beside a volume's copy, that says from which share the volume comes."""

_OF = re.compile(r"(?P<name>[^{}]+)\{(?P<volume>[^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or link at the root of a share."""

    name: str
    pool: str
    id: str = ""
    """Stays with the file when it is renamed, and is never a later file's."""
    size: int = 0
    """Bytes of the disk that it is."""
    thin: bool = True
    target: str | None = None
    """Of a symbolic link; None for a file."""
    qos_id: str | None = None
    allocated_bytes: int | None = None
    unfinished: bool = False
    """Whether its making was cut off before it had its size."""


class FileStore(ABC):
    """The shares of one server. Every method raises the driver contract's errors; names are at the root of a share."""

    reserves_in_use = False
    """Whether a file that hosts write can be given its space; else it is copied, while no host uses it."""

    @abstractmethod
    def pools(self) -> Sequence[str]:
        """Return the names of the shares, as they were last seen."""

    @abstractmethod
    def known(self, pool: str) -> str:
        """Return the name of a share that is there; `InvalidRequest` for any other."""

    @abstractmethod
    def entries(self, pool: str, patterns: Sequence[str]) -> Sequence[Entry]:
        """Return what matches any shell-style pattern, each once, in one request where the server has one for that; more may be returned.

        What is renamed meanwhile from what matches one pattern to what matches a later one is in the answer.
        """

    @abstractmethod
    def draft(self, pool: str, draft: str, size: int, *, thin: bool) -> None:
        """Make a file that reads as zeros once it is published, over what is there."""

    @abstractmethod
    def publish(self, draft: Entry, name: str, size: int, *, thin: bool) -> Entry:
        """Give a draft its size, provisioning and name, the name last, and return the file.

        `AlreadyExists` where the name is taken in that share, `NotFound` where the draft has gone: then there is no file of that name.
        """

    @abstractmethod
    def resize(self, entry: Entry, size: int) -> None:
        """Grow a file."""

    @abstractmethod
    def provision(self, entry: Entry, *, thin: bool) -> None:
        """Reserve the space of a file that hosts write (``reserves_in_use``), or of any file no more."""

    @abstractmethod
    def clone(self, pool: str, source: str, target: str, *, overwrite: bool = False) -> None:
        """Let the target hold what the source holds now, and return when it does; `AlreadyExists` unless it is overwritten."""

    @abstractmethod
    def copy(self, pool: str, source: str, to: str, target: str) -> None:
        """Copy a file into another share, over what is there, and return when it is whole."""

    @abstractmethod
    def rename(self, pool: str, name: str, to: str) -> None:
        """Give an entry another name; `AlreadyExists`."""

    @abstractmethod
    def replace(self, pool: str, name: str, to: str) -> None:
        """Give an entry a name that nothing has, in one step that either happens or is `NotFound`."""

    def take_away(self, entry: Entry, to: str) -> None:
        """Give a volume's file another name in order to delete or move it, in one step; note what limits on it `keep_limits` is to renew."""
        self.replace(entry.pool, entry.name, to)

    @abstractmethod
    def keep_limits(self, pool: str, volume: str, taken: Entry) -> None:
        """Put those limits on a volume's file again that it lost by being `taken`; again is fine. Nothing is done where a file has none."""

    @abstractmethod
    def delete(self, pool: str, name: str) -> None:
        """Remove an entry; `NotFound`."""

    @abstractmethod
    def link(self, pool: str, name: str, target: str) -> None:
        """Make a symbolic link; `AlreadyExists`."""

    @abstractmethod
    def location(self, pool: str, name: str) -> str:
        """Return what a host mounts and opens: ``server:/path/file``."""

    @property
    def format(self) -> str:
        """How a disk's bytes are in its file: ``raw`` or ``qcow2``."""
        return "raw"

    @abstractmethod
    def admit(self, pool: str, addresses: Sequence[str]) -> None:
        """Let these addresses use the share; again is fine. Nothing is done where that is the administrator's."""

    @abstractmethod
    def dismiss(self, pool: str, addresses: Sequence[str]) -> None:
        """Do so no more."""


def is_draft(name: str) -> bool:
    """Tell whether a file is being made: nobody but who makes it writes it, and it is no volume yet."""
    match = _OF.fullmatch(name)
    return match is not None and kind_of(match["name"]) is Kind.TEMPORARY


def hanging(name: str, volume: str) -> str:
    """Return what is called that hangs on a volume: its snapshot of that name, or a host's use of it."""
    return f"{name}{{{volume}}}"


def parts(entry: Entry) -> tuple[str, str | None]:
    """Return an entry's own name, and that of the volume that it hangs on."""
    match = _OF.fullmatch(entry.name)
    return (match["name"], match["volume"]) if match else (entry.name, None)


def is_snapshot(entry: Entry) -> bool:
    """Tell whether an entry is a volume's snapshot."""
    return entry.target is None and _OF.fullmatch(entry.name) is not None and not is_draft(entry.name) and not is_taken(entry)


def is_use(entry: Entry) -> bool:
    """Tell whether an entry says that a host uses a volume."""
    return entry.target is not None and _OF.fullmatch(entry.name) is not None and not is_note(entry, MOVE, FROM)


def is_hung(entry: Entry) -> bool:
    """Tell whether an entry hangs on a volume, which is not deleted or moved then: its snapshot, or a host's use of it."""
    return is_use(entry) or is_snapshot(entry)


def is_taken(entry: Entry, *marks: str) -> bool:
    """Tell whether a file is a volume whose name somebody has taken away, to delete or to move it; `marks` say how."""
    return (
        entry.target is None and entry.name.startswith(marks or (AWAY, LEAVING, GONE)) and _OF.fullmatch(entry.name) is not None
    )


def is_note(entry: Entry, *marks: str) -> bool:
    """Tell whether a link says something of a volume that is being moved."""
    return entry.target is not None and entry.name.startswith(marks) and _OF.fullmatch(entry.name) is not None


def volume_of(entry: Entry) -> str | None:
    """Return the name of the volume whose file that is, by that name or while it is taken away; None for what is no volume."""
    name, volume = parts(entry)
    if entry.target is not None:
        return None
    return volume if is_taken(entry) else name if volume is None else None


def by_volume(entries: Iterable[Entry]) -> Mapping[str, Sequence[Entry]]:
    """Return volume -> its snapshots and its uses, whether it is there or not."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        volume = parts(entry)[1]
        if volume is not None and is_hung(entry):
            found.setdefault(volume, []).append(entry)
    return found
