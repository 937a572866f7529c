"""Snapshots of several files at one moment; those of LUNs are `vendors.netapp.lungroups`. Source: protocol sheet, sections 3.3, 3.8 and 3.10.

The members' snapshots are cloned out of one moment of their FlexVols, which is deleted then. Its name comes of the members', so that a
repeat after a cut finds it and completes what it began, of the same moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    Busy,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    NotFound,
    OutOfSpace,
    VendorError,
)
from blockdrivers.model import Snapshot
from blockdrivers.naming import Kind, array_name
from vendors.netapp.moments import Moments

M = TypeVar("M")

_LONGEST: Final = 31
_DEFINITE: Final = (InvalidRequest, VendorError, LicenceMissing, LimitReached, OutOfSpace)


class Members(ABC, Generic[M]):
    """What volumes and their snapshots are: LUNs, or files."""

    @abstractmethod
    def look(self, specs: Sequence[SnapshotSpec]) -> tuple[Mapping[str, M], Mapping[str, M]]:
        """Return the volumes and their snapshots that are there, both by name."""

    @abstractmethod
    def pool(self, member: M) -> str:
        """Return the FlexVol that a member is in."""

    @abstractmethod
    def source(self, snapshot: M) -> str | None:
        """Return the name of the volume that a snapshot is of."""

    @abstractmethod
    def clone(self, moment: str, source: M, spec: SnapshotSpec) -> M:
        """Make a volume's snapshot of what a FlexVol snapshot holds of the volume."""

    @abstractmethod
    def remove(self, snapshot: M) -> None:
        """Remove a snapshot."""

    @abstractmethod
    def told(self, specs: Sequence[SnapshotSpec], made: Mapping[str, M]) -> Sequence[Snapshot]:
        """Return the snapshots that were made; where one of their names is another volume's, too, remove them: `AlreadyExists`."""


class GroupSnapshots(Generic[M]):
    """Takes snapshots of several volumes of one SVM."""

    def __init__(self, moments: Moments, members: Members[M]) -> None:
        self._moments = moments
        self._members = members

    def take(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """Take a snapshot of every member, of one moment, or of none."""
        try:
            return self._take_all(specs)
        except Ambiguous as lost:
            # The members may all be there while the helper is, too: only another call of this method sees to that.
            raise Busy(f"The group's snapshots may be half taken, which a repeat completes: {lost}") from lost

    def _take_all(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        helper = _helper(specs)
        sources, taken = self._found(specs)
        pools = sorted({self._members.pool(sources[spec.source.name]) for spec in specs})
        if len(taken) == len(specs):
            self._moments.discard(helper, pools)
            raise AlreadyExists("Every snapshot of the group exists.")
        self._moments.take(helper, pools, anew=not taken)
        made: dict[str, M] = dict(taken)
        with self._undoing(helper, pools, made):
            for spec in specs:
                if spec.name not in made:
                    made[spec.name] = self._members.clone(helper, sources[spec.source.name], spec)
        self._moments.discard(helper, pools)
        return self._members.told(specs, made)

    def _found(self, specs: Sequence[SnapshotSpec]) -> tuple[Mapping[str, M], Mapping[str, M]]:
        sources, found = self._members.look(specs)
        wanted = {spec.name for spec in specs}
        taken = {name: member for name, member in found.items() if name in wanted}
        for spec in specs:
            if spec.source.name not in sources:
                raise NotFound(f"The array has no volume {spec.source.name!r}.")
            there = taken.get(spec.name)
            # Where every one is there, the caller reads and compares them all.
            if there is not None and len(taken) < len(specs) and self._members.source(there) != spec.source.name:
                raise AlreadyExists(
                    f"Snapshot {spec.name} exists, of another volume.",
                    differences={f"{spec.name}.source": (spec.source.name, self._members.source(there))},
                )
        return sources, taken

    @contextmanager
    def _undoing(self, helper: str, pools: Sequence[str], made: Mapping[str, M]) -> Iterator[None]:
        """Where one member cannot have its snapshot, leave none."""
        try:
            yield
        except _DEFINITE:
            for member in made.values():
                self._members.remove(member)
            self._moments.discard(helper, pools)
            raise


def _helper(specs: Sequence[SnapshotSpec]) -> str:
    return array_name(Kind.TEMPORARY, "group " + " ".join(sorted(spec.name for spec in specs)), _LONGEST)
