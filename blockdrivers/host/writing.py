"""Bringing what this machine still holds in memory to where it belongs, before a device or file is taken away."""

from __future__ import annotations

from blockdrivers import deadline
from blockdrivers.errors import AttachError
from blockdrivers.host import programs

_SECONDS = 600.0
_FORCED_SECONDS = 10.0


def write_out(path: str, *, force: bool, via: tuple[str, ...] = ("sync",)) -> None:
    """Write out a block device or file, within the current deadline.

    Args:
        path: of the device or file.
        force: try for a few seconds only; what cannot be written is lost.
        via: the program that does it; ``sync`` tells of writes that failed (fsync).

    Raises `AttachError` where it fails (without `force`).
    """
    ended = programs.run(_FORCED_SECONDS if force else deadline.remaining(_SECONDS), *via, path)
    if not ended.succeeded and not force:
        raise AttachError(
            f"{path} cannot be written out ({ended.said or ended.status}): what is in memory is not on the array. "
            "Nothing was removed; mend the way there, or detach with force and lose it."
        )
