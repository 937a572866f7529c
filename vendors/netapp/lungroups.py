"""Snapshots of several LUNs of one moment, whoever else works with their ids. Source: protocol sheet, sections 3.3 and 3.8.

The members are cloned out of one moment of their FlexVols, whose name only the call that takes it gives, and each says in its comment
of which moment it is. So members of two moments are never taken for one group, and a repeat completes what a cut-off call began.

Nobody is told of a group while its moment is there, and what becomes of the group is settled by who removes it, which one call only can:

* Who finds every member there, each alone with its name or kept (`vendors.netapp.claims`), deletes the moment, and is told.
* Who cannot go on gives the moment up, under another name, and then removes those of its members that nobody keeps. The next call
  completes a taking back that was cut off.
* Who finds every member and no moment keeps the members, and is told.

So what anybody was told of is never removed: a member that a single call was told of is kept, and a group that was told of has no moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    BlockDriversError,
    Busy,
    InUse,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    NotFound,
    OutOfSpace,
    VendorError,
)
from blockdrivers.model import Snapshot
from blockdrivers.naming import Kind, array_name, identifier_of
from vendors.netapp import names, objects
from vendors.netapp.claims import LUNS, Claims
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.luns import Luns
from vendors.netapp.moments import Moments, moment
from vendors.netapp.names import Base

_LONGEST: Final = 31
_DEFINITE: Final = (InvalidRequest, VendorError, LicenceMissing, LimitReached, OutOfSpace)


@dataclass(frozen=True, slots=True)
class Found:
    """What is there of a group.

    Attributes:
        specs: what was asked for, in the order in which members are made: who makes the first one goes on.
        sources: the volumes' LUNs, by name.
        standing: the LUNs of each snapshot's name; the first is the one that the name stands for.
    """

    specs: Sequence[SnapshotSpec]
    sources: Mapping[str, Record]
    standing: Mapping[str, Sequence[Record]]

    def first(self, spec: SnapshotSpec) -> Record | None:
        """Return the LUN that a snapshot's name stands for."""
        return next(iter(self.standing[spec.name]), None)

    def firsts(self) -> list[Record]:
        """Return those of every snapshot that is there."""
        return [record for record in map(self.first, self.specs) if record is not None]

    def missing(self) -> str | None:
        """Return the name of a volume that is not there."""
        return next((spec.source.name for spec in self.specs if spec.source.name not in self.sources), None)

    def pools(self) -> Sequence[str]:
        """Return the FlexVols of the volumes; that of the first member, which is there as long as any is, first."""
        there = [self.sources[spec.source.name] for spec in self.specs if spec.source.name in self.sources]
        first, *others = dict.fromkeys(map(objects.pool_of, there))
        return [first, *sorted(others)]

    def foreign(self) -> Iterator[tuple[SnapshotSpec, str | None]]:
        """Yield each snapshot that is there of another volume, and of which."""
        for spec in self.specs:
            there = self.first(spec)
            if there is not None and objects.base(there).source != spec.source.name:
                yield spec, objects.base(there).source

    def moments(self) -> set[str]:
        """Return the marks of whatever members are there."""
        return {mark for records in self.standing.values() for mark in map(objects.moment, records) if mark is not None}

    def of(self, mark: str) -> Iterator[Record]:
        """Yield the members of one moment."""
        return (record for records in self.standing.values() for record in records if objects.moment(record) == mark)

    def is_of(self, mark: str) -> bool:
        """Tell whether some snapshots are there, and all of them of their volumes and of that moment."""
        return {objects.moment(record) for record in self.firsts()} == {mark} and not any(self.foreign())

    def is_whole(self) -> bool:
        """Tell whether every snapshot is there, of its volume, and all are of one moment: a single one always is."""
        marks = {objects.moment(record) for record in self.firsts()}
        one_moment = len(self.specs) == 1 or (len(marks) == 1 and None not in marks)
        return one_moment and len(self.firsts()) == len(self.specs) and not any(self.foreign())

    def is_contested(self) -> bool:
        """Tell whether one of the names is another LUN's, too, and neither is kept."""
        return any(len(records) > 1 and not objects.is_kept(records[0]) for records in self.standing.values())


class LunGroups:
    """Takes snapshots of several LUNs of one SVM."""

    def __init__(self, client: OntapClient, luns: Luns, moments: Moments) -> None:
        self._client = client
        self._luns = luns
        self._claims = Claims(client)
        self._moments = moments

    def take(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """Take a snapshot of every member, of one moment, or of none; `Busy` where only a repeat tells."""
        ordered = sorted(specs, key=lambda spec: spec.name)
        try:
            taken = self._take(_helper(ordered), ordered)
        except Ambiguous as lost:
            # The members may all be there while the moment is, too: only another call of this method sees to that.
            raise Busy(f"The group's snapshots may be half taken, which a repeat completes: {lost}") from lost
        return [taken[spec.name] for spec in specs]

    def _take(self, helper: str, specs: Sequence[SnapshotSpec]) -> Mapping[str, Snapshot]:
        found = self._look(specs)
        missing = found.missing()
        if missing is not None and not (found.sources and found.moments()):
            raise NotFound(f"The array has no volume {missing!r}.")
        mark = self._begun(helper, found) if found.firsts() else str(uuid4())
        with self._undoing_refused(helper, found):
            if not found.firsts():
                self._moments.begin(helper, mark, found.pools())
            lost = self._clone_others(helper, mark, found)
        now = self._look(specs)
        if now.is_whole() and now.is_of(mark) and not now.is_contested():
            if not self._moments.end(helper, mark, found.pools()):
                raise Busy("Another call has ended the group's moment just now.")
            return {spec.name: objects.snapshot(now.standing[spec.name][0]) for spec in specs}
        if now.is_of(mark) and isinstance(lost, AlreadyExists):
            raise Busy("Another call completes the group.") from lost
        self._take_back(helper, mark, found)
        raise Busy("Another call has taken one of the group's snapshots.") from lost

    def _begun(self, helper: str, found: Found) -> str:
        """Return the mark of the moment to go on with, where members are there; otherwise say what is in the way, with nothing left."""
        pools = found.pools()
        standing = self._moments.marks(helper, pools[0])
        missing = found.missing()
        for mark, given_up in standing.items():
            if missing is None and not given_up and found.is_of(mark) and not found.is_contested():
                return mark
        self._take_back_all(helper, standing, found)
        if missing is not None:
            raise NotFound(f"The array has no volume {missing!r}.")
        if found.moments() & standing.keys():
            raise Busy("What a call for the group had begun was taken back.")
        if found.is_whole():
            self._moments.clear(helper, pools)
            for spec in found.specs:
                self._claims.keep_first(found.standing[spec.name], Base(spec.name, spec.source.name))
            raise AlreadyExists("Every snapshot of the group exists.")
        now = self._look(found.specs)
        if not now.firsts() or now.is_whole() or now.moments() != found.moments():
            raise Busy("Another call works on the group's snapshots.")
        raise self._refusal(now)

    def _refusal(self, found: Found) -> AlreadyExists:
        """Return which snapshots are in the way, once it is certain that they stay, or, of another group, for as long as that has them."""
        for spec in found.specs:
            if found.standing[spec.name]:
                self._claims.keep_first(found.standing[spec.name], None)
        differences = {f"{_id(spec)}.source": (spec.source.name, source) for spec, source in found.foreign()}
        if differences:
            said = "; ".join(f"{name}: asked for {wanted!r}, found {there!r}" for name, (wanted, there) in differences.items())
            return AlreadyExists(
                f"Snapshots of the group exist, of other volumes ({said}); use other ids.", differences=differences
            )
        return AlreadyExists(
            "Some snapshots of the group were taken at another moment; use other ids.",
            differences={"moment": ("taken with the group", "taken before")},
        )

    def _clone_others(self, helper: str, mark: str, found: Found) -> BlockDriversError | None:
        """Make the members that are not there; return why one could not be made where others work on them."""
        try:
            for spec in found.specs:
                if not found.standing[spec.name]:
                    self._clone(moment(helper, mark), mark, found.sources[spec.source.name], spec)
        except (AlreadyExists, NotFound) as lost:
            return lost
        return None

    def _clone(self, taken: str, mark: str, source: Record, spec: SnapshotSpec) -> None:
        """POST storage/luns with ``clone`` out of ``.snapshot``."""
        pool = objects.pool_of(source)
        body = {
            "name": names.path(pool, Base(spec.name, spec.source.name)),
            "comment": objects.snapshot_comment(objects.text(source, "uuid"), spec.description, mark),
            "clone": {"source": {"name": f"/vol/{pool}/.snapshot/{taken}/{objects.base(source)}"}},
            "space": {"guarantee": {"requested": False}},
        }
        self._luns.made(body, pool, 0)

    @contextmanager
    def _undoing_refused(self, helper: str, found: Found) -> Iterator[None]:
        """Where one member cannot have its snapshot, leave none, of no call for the group."""
        try:
            yield
        except _DEFINITE:
            self._take_back_all(helper, self._moments.marks(helper, found.pools()[0]), found)
            raise

    def _take_back_all(self, helper: str, marks: Iterable[str], found: Found) -> None:
        for mark in marks:
            self._take_back(helper, mark, found)
        if len(found.pools()) > 1:
            self._moments.dissolve(helper)

    def _take_back(self, helper: str, mark: str, found: Found) -> None:
        """Remove the members of a moment that nobody keeps, and the moment; `Busy` where another call has ended it."""
        pools = found.pools()
        self._moments.give_up(helper, mark, pools)
        for member in self._look(found.specs).of(mark):
            self._luns.places.forget(objects.text(member, "uuid"))
            # Who uses it has been told of it.
            with suppress(InUse):
                self._claims.take_back(member)
        self._moments.forget(helper, mark, pools[0])

    def _look(self, specs: Sequence[SnapshotSpec]) -> Found:
        """GET storage/luns, one query for all."""
        patterns = [names.volume_pattern(spec.source.name) for spec in specs]
        patterns += [names.snapshot_pattern(spec.name) for spec in specs]
        sources: dict[str, Record] = {}
        standing: dict[str, list[Record]] = {spec.name: [] for spec in specs}
        found = self._client.own(LUNS, name="|".join(patterns), fields=objects.LUN_FIELDS)
        for record in sorted(map(self._luns.places.remember, found), key=objects.age):
            base = objects.base(record)
            if base.source is None:
                sources.setdefault(base.name, record)
            elif base.name in standing:
                standing[base.name].append(record)
        return Found(specs, sources, standing)


def _helper(specs: Sequence[SnapshotSpec]) -> str:
    members = " ".join(str(Base(spec.name, spec.source.name)) for spec in specs)
    return array_name(Kind.TEMPORARY, f"group {members}", _LONGEST)


def _id(spec: SnapshotSpec) -> str:
    return identifier_of(spec.name, spec.description) or spec.name
