"""The bytes behind volumes, as a host reads and writes them over iSCSI or NFS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Protocol

from blockdrivers import model
from blockdrivers.host import userspace
from blockdrivers.model import Export, Host
from conformance.suite import nfsfile
from conformance.suite.rig import Rig

NEEDS = ("bytes", "readable_files", "data_plane", "initiator")
"""What every check of bytes needs."""
BLOCK = 64 * 1024
"""Bytes in each stamp."""


class Disk(Protocol):
    """A volume's bytes, however they are reached."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes as the array has them."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes."""
        ...


class OpenDisk(Disk, Protocol):
    """A volume that was opened as a host does."""

    def flush(self) -> None:
        """Return when what was written is with the array."""
        ...


@contextmanager
def attached(rig: Rig, tag: str = "v", host: Host | None = None) -> Iterator[OpenDisk]:
    """Export a volume of this check, open it, and take it away again at the end."""
    used = rig.track_host(host or rig.host)
    export = rig.export(tag, used)
    with opened(export, used) as disk:
        yield disk
    rig.backend.unexport(rig.id(tag), used, rig.protocol)


@contextmanager
def opened(export: Export, host: Host, *, portal: int = 0) -> Iterator[OpenDisk]:
    """Open what is exported, as that host, with its credentials or else those that the export names."""
    if export.protocol is model.Protocol.NFS:
        with nfsfile.opened(export, host) as file:
            yield file
        return
    assert host.iqn is not None, "A check of bytes needs hosts with an IQN."
    assert export.lun is not None, f"the export names no LUN: {export}"
    assert len(export.targets) > portal, f"the export names no portal number {portal}: {export}"
    with userspace.open_lun(export.targets[portal], export.lun, host.iqn, host.chap or export.chap) as disk:
        yield disk


def places(size: int) -> tuple[int, ...]:
    """Return where a disk is stamped: at its beginning, in the middle and at the very end."""
    return (0, size // 2, size - BLOCK)


def stamp(disk: Disk, word: str) -> None:
    """Write bytes that no other word gives."""
    for place in places(disk.size):
        disk.write(place, _bytes(word, place))


def expect_stamp(disk: Disk, word: str, *, what: str, size: int | None = None) -> None:
    """Insist on the bytes of that stamp, put on when the disk had `size` bytes."""
    for place in places(size or disk.size):
        found = disk.read(place, BLOCK)
        # No comparison within the assertion: pytest would draw the difference of two long texts, for minutes.
        same = found == _bytes(word, place)
        assert same, f"{what}: the bytes at {place} are not those written as {word!r} ({_told(found)})"


def expect_zeros(disk: Disk, offset: int, length: int, *, what: str) -> None:
    """Insist on zeros."""
    found = disk.read(offset, length)
    assert not any(found), f"{what}: the bytes at {offset} are not zero ({_told(found)})"


def _bytes(word: str, place: int) -> bytes:
    return Random(f"{word}@{place}").randbytes(BLOCK)


def _told(found: bytes) -> str:
    return "all zero" if not any(found) else f"they begin with {found[:8].hex()}"
