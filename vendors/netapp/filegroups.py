"""Snapshots of several files at one moment; those of LUNs are `vendors.netapp.lungroups`. Source: protocol sheet, sections 3.8 and 3.10.

The members' snapshots are cloned out of one moment of their FlexVols, which is deleted then. Its name comes of the members', so that a
repeat after a cut finds it and completes what it began, of the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

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
    StaleReference,
    VendorError,
)
from blockdrivers.files.store import Entry, hanging, is_snapshot, parts
from blockdrivers.naming import Kind, array_name
from vendors.netapp.moments import Moments
from vendors.netapp.shares import OntapShares

_LONGEST: Final = 31
_DEFINITE: Final = (InvalidRequest, VendorError, LicenceMissing, LimitReached, OutOfSpace)

Publish = Callable[[str, SnapshotSpec, Callable[[str], None]], Entry]
"""Makes a snapshot's file in a FlexVol, by a function that clones it into a draft, and settles that its id is no other's."""


class FileGroups:
    """Takes snapshots of several files of one SVM."""

    def __init__(self, moments: Moments, shares: OntapShares, publish: Publish) -> None:
        self._moments = moments
        self._shares = shares
        self._publish = publish

    def take(self, specs: Sequence[SnapshotSpec]) -> Sequence[Entry]:
        """Take a snapshot of every member, of one moment, or of none."""
        try:
            return self._take_all(specs)
        except Ambiguous as lost:
            # The members may all be there while the helper is, too: only another call of this method sees to that.
            raise Busy(f"The group's snapshots may be half taken, which a repeat completes: {lost}") from lost

    def _take_all(self, specs: Sequence[SnapshotSpec]) -> Sequence[Entry]:
        helper = _helper(specs)
        sources, taken = self._found(specs)
        pools = sorted({sources[spec.source.name].pool for spec in specs})
        if len(taken) == len(specs):
            self._moments.discard(helper, pools)
            raise AlreadyExists("Every snapshot of the group exists.")
        self._moments.take(helper, pools, anew=not taken)
        made = dict(taken)
        with self._undoing(helper, pools, taken, made):
            for spec in specs:
                if spec.name not in made:
                    made[spec.name] = self._clone(helper, sources[spec.source.name], spec)
        self._moments.discard(helper, pools)
        return [made[spec.name] for spec in specs]

    def _found(self, specs: Sequence[SnapshotSpec]) -> tuple[Mapping[str, Entry], Mapping[str, Entry]]:
        wanted, volumes = {spec.name for spec in specs}, {spec.source.name for spec in specs}
        patterns = [*volumes, *(hanging(name, "*") for name in wanted)]
        found = [entry for pool in self._shares.pools() for entry in self._shares.entries(pool, patterns)]
        sources = {entry.name: entry for entry in found if entry.target is None and entry.name in volumes}
        taken = {parts(entry)[0]: entry for entry in found if is_snapshot(entry) and parts(entry)[0] in wanted}
        for spec in specs:
            if spec.source.name not in sources:
                raise NotFound(f"The array has no volume {spec.source.name!r}.")
            there = taken.get(spec.name)
            # Where every one is there, the caller reads and compares them all.
            if there is not None and len(taken) < len(specs) and parts(there)[1] != spec.source.name:
                raise AlreadyExists(
                    f"Snapshot {spec.name} exists, of another volume.",
                    differences={f"{spec.name}.source": (spec.source.name, parts(there)[1])},
                )
        return sources, taken

    def _clone(self, moment: str, source: Entry, spec: SnapshotSpec) -> Entry:
        """POST storage/file/clone out of ``.snapshot``."""

        def clone(draft: str) -> None:
            self._shares.clone(source.pool, f"./.snapshot/{moment}/{source.name}", draft, overwrite=True)

        return self._publish(source.pool, spec, clone)

    @contextmanager
    def _undoing(
        self, helper: str, pools: Sequence[str], taken: Mapping[str, Entry], made: Mapping[str, Entry]
    ) -> Iterator[None]:
        """Where one member cannot have its snapshot, leave none; where its volume has gone or moved, none of this call's."""
        try:
            yield
        except _DEFINITE:
            self._remove(made.values())
            self._moments.discard(helper, pools)
            raise
        except (NotFound, StaleReference):
            # What was there may be another call's for the same group, who has been told of it.
            self._remove(member for name, member in made.items() if name not in taken)
            if not taken:
                self._moments.discard(helper, pools)
            raise

    def _remove(self, members: Iterable[Entry]) -> None:
        for member in members:
            with suppress(NotFound):
                self._shares.delete(member.pool, member.name)


def _helper(specs: Sequence[SnapshotSpec]) -> str:
    return array_name(Kind.TEMPORARY, "group " + " ".join(sorted(spec.name for spec in specs)), _LONGEST)
