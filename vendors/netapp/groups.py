"""Snapshots of several LUNs at one moment. Source: protocol sheet, sections 3.3 and 3.8.

The array takes one moment of whole FlexVols: a snapshot of one, or of several through a consistency group that is made for it and
dissolved at once. The members' snapshots are then cloned out of it, and it is deleted. Its name comes of the members', so that a
repeat after a cut finds it and completes what it began, of the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
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
from blockdrivers.naming import Kind, array_name, kind_of
from vendors.netapp import codes, names, objects
from vendors.netapp.claims import LUNS
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.luns import Luns
from vendors.netapp.names import Base
from vendors.netapp.pools import Pools

_GROUPS: Final = "application/consistency-groups"
_LONGEST: Final = 31
_DEFINITE: Final = (InvalidRequest, VendorError, LicenceMissing, LimitReached, OutOfSpace)


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands of a group: the members' LUNs, and their snapshots that are there."""

    sources: Mapping[str, Record]
    taken: Mapping[str, Record]


@dataclass(frozen=True, slots=True)
class GroupSnapshots:
    """Takes snapshots of several LUNs of one SVM."""

    client: OntapClient
    luns: Luns
    pools: Pools

    def take(self, specs: Sequence[SnapshotSpec]) -> list[Snapshot]:
        """Take a snapshot of every member, of one moment, or of none."""
        try:
            return self._take_all(specs)
        except Ambiguous as lost:
            # The members may all be there while the helper is, too: only another call of this method sees to that.
            raise Busy(f"The group's snapshots may be half taken, which a repeat completes: {lost}") from lost

    def _take_all(self, specs: Sequence[SnapshotSpec]) -> list[Snapshot]:
        helper = _helper(specs)
        found = self._found(specs)
        pools = sorted({objects.pool_of(record) for record in found.sources.values()})
        if len(found.taken) == len(specs):
            self._discard(helper, pools)
            raise AlreadyExists("Every snapshot of the group exists.")
        self._moment(helper, pools, anew=not found.taken)
        made: dict[str, Record] = dict(found.taken)
        with self._undoing(helper, pools, made):
            for spec in specs:
                if spec.name not in made:
                    made[spec.name] = self._clone(helper, found.sources[spec.source.name], spec)
        self._discard(helper, pools)
        self._refuse_doubles(specs, made)
        return [objects.snapshot(made[spec.name]) for spec in specs]

    def helpers(self) -> Iterator[tuple[str, str]]:
        """Yield FlexVol and name of every helper snapshot that is left."""
        for pool, uuid in self.pools.ids().items():
            for record in self.client.listing(f"storage/volumes/{uuid}/snapshots", name="bdt*", fields="name"):
                yield pool, objects.text(record, "name")

    def groups(self) -> list[str]:
        """Return the names of consistency groups that are left of a cut-off call."""
        return [objects.text(record, "name") for record in self.client.own(_GROUPS, name="bdt*", fields="name")]

    def dissolve(self, name: str) -> None:
        """Dissolve a consistency group that is left; its FlexVols and their snapshots stay."""
        for record in self.client.own(_GROUPS, name=name, fields="name,uuid"):
            self.client.change("DELETE", f"{_GROUPS}/{objects.text(record, 'uuid')}")

    def delete_helper(self, pool: str, name: str) -> None:
        """Delete a helper snapshot; one that has gone is fine."""
        self.client.change("DELETE", f"storage/volumes/{self._uuid(pool)}/snapshots", None, name=name)

    def _found(self, specs: Sequence[SnapshotSpec]) -> _Found:
        """Look every member and its snapshot up in one query."""
        patterns = [names.volume_pattern(spec.source.name) for spec in specs]
        patterns += [names.snapshot_pattern(spec.name) for spec in specs]
        found = [
            self.luns.places.remember(record)
            for record in self.client.own(LUNS, name="|".join(patterns), fields=objects.LUN_FIELDS)
        ]
        sources = {str(objects.base(record)): record for record in found if objects.base(record).source is None}
        taken = {objects.base(record).name: record for record in found if objects.is_snapshot(record)}
        wanted = {spec.name for spec in specs}
        taken = {name: record for name, record in taken.items() if name in wanted}
        for spec in specs:
            if spec.source.name not in sources:
                raise NotFound(f"The array has no LUN {spec.source.name!r}.")
            there = taken.get(spec.name)
            # Where every one is there, the caller reads and compares them all.
            if there is not None and objects.base(there).source != spec.source.name and len(taken) < len(specs):
                raise AlreadyExists(
                    f"Snapshot {spec.name} exists, of another volume.",
                    differences={f"{spec.name}.source": (spec.source.name, objects.base(there).source)},
                )
        return _Found(sources, taken)

    def _moment(self, helper: str, pools: Sequence[str], *, anew: bool) -> None:
        """Take the FlexVols' snapshots, or find those of the call that this one completes.

        Where no member has its snapshot yet, a helper that is there may be of any earlier moment, and is taken anew.
        """
        try:
            self._take(helper, pools)
        except AlreadyExists:
            if anew:
                self._discard(helper, pools)
                self._take(helper, pools)
        else:
            if not anew:
                self._discard(helper, pools)
                raise AlreadyExists(
                    "Some snapshots of the group were taken at another moment; use other ids.",
                    differences={"moment": ("taken with the group", "taken before")},
                )

    def _take(self, helper: str, pools: Sequence[str]) -> None:
        if len(pools) == 1:
            self.client.change("POST", f"storage/volumes/{self._uuid(pools[0])}/snapshots", {"name": helper})
            return
        members = [{"name": pool, "provisioning_options": {"action": "add"}} for pool in pools]
        try:
            made = self.client.make(_GROUPS, {"name": helper, "volumes": members})
        except AlreadyExists as taken:
            made = self._standing_group(helper, pools, taken)
        uuid = objects.value(made, "uuid") or objects.text(self._standing_group(helper, pools, None), "uuid")
        try:
            self.client.change("POST", f"{_GROUPS}/{uuid}/snapshots", {"name": helper, "consistency_type": "crash"})
        finally:
            self.client.change("DELETE", f"{_GROUPS}/{uuid}")

    def _standing_group(self, helper: str, pools: Sequence[str], taken: AlreadyExists | None) -> Record:
        """Return the consistency group of that name; where there is none, tell whose the FlexVols are."""
        for record in self.client.own(_GROUPS, **{"name": helper, "fields": "name,uuid"}):
            return record
        holders = {
            objects.text(record, "name")
            for record in self.client.own(_GROUPS, **{"volumes.name": "|".join(pools), "fields": "name"})
        }
        foreign = sorted(name for name in holders if kind_of(name) is not Kind.TEMPORARY)
        if taken is not None and foreign:
            raise InUse(
                f"The consistency group {', '.join(foreign)} holds one of the FlexVols {', '.join(pools)}; take it out first.",
                vendor_code=taken.vendor_code,
                vendor_text=taken.vendor_text,
            ) from taken
        raise Busy(f"The FlexVols {', '.join(pools)} are in another call's consistency group just now.")

    def _clone(self, helper: str, source: Record, spec: SnapshotSpec) -> Record:
        pool, uuid = objects.pool_of(source), objects.text(source, "uuid")
        body = {
            "name": names.path(pool, Base(spec.name, spec.source.name)),
            "comment": objects.snapshot_comment(uuid, spec.description),
            "clone": {"source": {"name": f"/vol/{pool}/.snapshot/{helper}/{objects.base(source)}"}},
            "space": {"guarantee": {"requested": False}},
        }
        return self.luns.made(body, pool, 0)

    def _discard(self, helper: str, pools: Sequence[str]) -> None:
        """Delete the FlexVols' snapshots; one that the array still holds gets another name, and is a leftover."""
        for pool in pools:
            path = f"storage/volumes/{self._uuid(pool)}/snapshots"
            try:
                self.client.change("DELETE", path, None, name=helper)
            except Busy as held:
                if held.vendor_code not in codes.SNAPSHOT_HELD:
                    raise
                for record in self.client.listing(path, name=helper, fields="name,uuid"):
                    uuid = objects.text(record, "uuid")
                    self.client.change("PATCH", f"{path}/{uuid}", {"name": f"{helper}.{uuid[:8]}"})

    @contextmanager
    def _undoing(self, helper: str, pools: Sequence[str], made: Mapping[str, Record]) -> Iterator[None]:
        """Where one member cannot have its snapshot, leave none."""
        try:
            yield
        except _DEFINITE:
            for record in made.values():
                self.luns.remove(objects.text(record, "uuid"))
            self._discard(helper, pools)
            raise

    def _refuse_doubles(self, specs: Sequence[SnapshotSpec], made: Mapping[str, Record]) -> None:
        """Take the group back where one of its ids has become another volume's snapshot meanwhile."""
        mine = {objects.text(record, "uuid") for record in made.values()}
        pattern = "|".join(names.snapshot_pattern(spec.name) for spec in specs)
        wanted = {spec.name for spec in specs}
        for record in self.client.own(LUNS, name=pattern, fields="name,uuid,location.logical_unit"):
            if objects.base(record).name in wanted and objects.text(record, "uuid") not in mine:
                for own in made.values():
                    self.luns.remove(objects.text(own, "uuid"))
                raise AlreadyExists(f"The array has a LUN {objects.text(record, 'name')!r}.")

    def _uuid(self, pool: str) -> str:
        return self.pools.ids()[self.pools.known(pool)]


def _helper(specs: Sequence[SnapshotSpec]) -> str:
    return array_name(Kind.TEMPORARY, "group " + " ".join(sorted(spec.name for spec in specs)), _LONGEST)
