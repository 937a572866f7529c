"""Multipath maps: which there are, what they hold, and how they go.

Sources: multipath(8), multipathd(8), dmsetup(8) and the kernel's dm-multipath documentation.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from blockdrivers.host import programs
from blockdrivers.host.scsi import SYS, read

_log = logging.getLogger(__name__)

_PREFIX = "mpath-"
_SECONDS = 10.0
_TRIES = "5"
"""A second apart: udev's programs look at a map, too."""


@dataclass(frozen=True, slots=True)
class Map:
    """A multipath map as sysfs shows it."""

    kernel_name: str
    """``dm-0``."""
    name: str
    """What multipath and dmsetup call it."""
    wwid: str
    """With the type in front that multipath puts there: ``3`` for NAA."""
    paths: tuple[str, ...]
    """Names of its SCSI disks."""

    @property
    def device(self) -> str:
        """Return ``/dev/dm-0``."""
        return f"/dev/{self.kernel_name}"

    @property
    def wwn(self) -> str:
        """Return the identity without the type in front."""
        return self.wwid[1:]


def maps() -> list[Map]:
    """Return every multipath map that the kernel has."""
    return list(_maps())


def _maps() -> Iterator[Map]:
    for folder in sorted((SYS / "block").glob("dm-*")):
        uuid = read(folder / "dm/uuid") or ""
        if uuid.startswith(_PREFIX):
            name = read(folder / "dm/name") or folder.name
            paths = tuple(sorted(item.name for item in (folder / "slaves").glob("*")))
            yield Map(folder.name, name, uuid.removeprefix(_PREFIX), paths)


def holding(disks: Collection[str]) -> list[Map]:
    """Return the maps that hold any of these SCSI disks."""
    return [found for found in maps() if not set(found.paths).isdisjoint(disks)]


def is_running() -> bool:
    """Tell whether multipathd answers."""
    return programs.lacking("multipathd") is None and programs.run(_SECONDS, "multipathd", "show", "status").succeeded


def stop_queueing(found: Iterable[Map]) -> None:
    """Let requests fail where a map has no path, instead of waiting for one for ever.

    Said to multipathd as well, which else turns it on again as soon as it sees one of several paths fail.
    """
    for item in found:
        _tell(programs.run(_SECONDS, "multipathd", "disablequeueing", "map", item.name), item)
        _tell(programs.run(_SECONDS, "dmsetup", "message", item.name, "0", "fail_if_no_path"), item)


def queue_again(found: Iterable[Map]) -> None:
    """Let multipathd's configuration decide again what a map without a path does."""
    for item in found:
        _tell(programs.run(_SECONDS, "multipathd", "restorequeueing", "map", item.name), item)


def forget_path(disk: str) -> None:
    """Have multipathd take a path out of its map and leave it alone."""
    ended = programs.run(_SECONDS, "multipathd", "del", "path", disk)
    _log.debug("multipathd del path %s: %s", disk, ended.said)


def take_path(disk: str) -> None:
    """Have multipathd put a path that it has let go, such as one of a removed map, into a map again."""
    ended = programs.run(_SECONDS, "multipathd", "add", "path", disk)
    _log.debug("multipathd add path %s: %s", disk, ended.said)


def remove(item: Map) -> None:
    """Remove a map; one in use stays, as sysfs will show."""
    ended = programs.run(_SECONDS, "multipath", "-R", _TRIES, "-f", item.name)
    if any(found.wwid == item.wwid for found in maps()):
        _tell(ended, item)
        _tell(programs.run(_SECONDS, "dmsetup", "remove", "--retry", item.name), item)


def resize(item: Map) -> None:
    """Have multipathd take over the size of the paths."""
    _tell(programs.run(_SECONDS, "multipathd", "resize", "map", item.name), item)


def _tell(ended: programs.Ended, item: Map) -> None:
    if not ended.succeeded:
        _log.debug("map %s: %s", item.name, ended.said)
