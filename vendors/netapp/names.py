"""What LUNs are called on the array, and queries for them by name.

A LUN's name is a path, ``/vol/FLEXVOL/BASE``. A volume's LUN has the volume's name as its base name. ONTAP has no snapshots of
LUNs: a snapshot is a LUN of its own, a clone in the same FlexVol, here with the base name ``SNAPSHOT{VOLUME}``. So one query finds
a volume with all its snapshots, and another a snapshot with its volume's name. Source: protocol sheet, sections 2 and 3.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from blockdrivers.errors import NotFound

_LEGAL = re.compile(r"[A-Za-z0-9._-]+")
_SNAPSHOT = re.compile(r"(?P<name>[^{}]+)\{(?P<source>[^{}]+)\}")
_RANGE = ".."
"""Would make a range of a query's value; names may hold it, so it is widened and the answer sifted."""


@dataclass(frozen=True, slots=True)
class Base:
    """A LUN's base name, taken apart."""

    name: str
    source: str | None = None
    """Name of the volume, where the LUN is a snapshot."""

    def __str__(self) -> str:
        return self.name if self.source is None else f"{self.name}{{{self.source}}}"


def parse(base: str) -> Base:
    """Take a base name apart."""
    match = _SNAPSHOT.fullmatch(base)
    return Base(match["name"], match["source"]) if match else Base(base)


def path(pool: str, base: Base) -> str:
    """Return a LUN's name on the array."""
    return f"/vol/{pool}/{base}"


def checked(name: str) -> str:
    """Return a name that a LUN can have; no LUN has another, so that is `NotFound`."""
    if not _LEGAL.fullmatch(name):
        raise NotFound(f"The array has no LUN {name!r}: no LUN's name can hold these characters.")
    return name


def volume_pattern(name: str) -> str:
    """Return the query value that matches a volume's LUN, in whatever FlexVol."""
    return f"*/{widened(checked(name))}"


def snapshots_pattern(volume: str) -> str:
    """Return the query value that matches the snapshots of a volume."""
    return f"*{{{widened(checked(volume))}}}"


def snapshot_pattern(name: str) -> str:
    """Return the query value that matches a snapshot, of whatever volume."""
    return f"*/{widened(checked(name))}{{*"


def holds_range(name: str) -> bool:
    """Tell whether a name cannot stand in a query as it is: then the query matches others, too."""
    return _RANGE in name


def widened(name: str) -> str:
    """Return the query value that matches a text without a query's marks, and perhaps others where it holds what makes a range."""
    return name.replace(_RANGE, "*")
