"""One moment of several FlexVols. Source: protocol sheet, sections 3.3 and 3.8.

The array takes one moment of whole FlexVols: a snapshot of one, or of several through a consistency group that is made for it and
dissolved at once.

A moment has the name of its helper, or, with a mark of its own (`begin`, `marks`, `end`, `give_up`), one that is never given again. Such
a one is ended, or given up, by one call only: by the one whose request finds it in the first of its FlexVols.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from blockdrivers.errors import AlreadyExists, Busy, InUse, NotFound
from blockdrivers.model import Leftover
from blockdrivers.naming import Kind, kind_of
from vendors.netapp import codes, objects
from vendors.netapp.client import OntapClient, Record, records
from vendors.netapp.pools import Pools

_GROUPS: Final = "application/consistency-groups"
_GIVEN_UP: Final = "off"
_HELD: Final = "held"


@dataclass(frozen=True, slots=True)
class Moments:
    """Takes FlexVol snapshots under a helper's name, and removes them."""

    client: OntapClient
    pools: Pools

    def take(self, helper: str, pools: Sequence[str], *, anew: bool) -> None:
        """Take the FlexVols' snapshots, or find those of the call that this one completes.

        Where no member has its snapshot yet, a helper that is there may be of any earlier moment, and is taken anew.
        """
        try:
            self._begin(helper, helper, pools)
        except AlreadyExists:
            if anew:
                self.discard(helper, pools)
                self._begin(helper, helper, pools)
        else:
            if not anew:
                self.discard(helper, pools)
                raise AlreadyExists(
                    "Some snapshots of the group were taken at another moment; use other ids.",
                    differences={"moment": ("taken with the group", "taken before")},
                )

    def begin(self, helper: str, mark: str, pools: Sequence[str]) -> None:
        """Take the FlexVols' snapshots under a mark that no other call has."""
        self._begin(helper, moment(helper, mark), pools)

    def marks(self, helper: str, pool: str) -> Mapping[str, bool]:
        """Return the marks of the helper's moments that have not been ended, and whether each is given up."""
        query = f"{moment(helper, '*')}|{_aside(moment(helper, '*'), _GIVEN_UP)}"
        found = [objects.text(record, "name") for record in self.client.listing(self._path(pool), name=query, fields="name")]
        return {name.partition(".")[2]: name.startswith(f"{helper}-") for name in found}

    def end(self, helper: str, mark: str, pools: Sequence[str]) -> bool:
        """Delete a moment, with what cut-off calls have left under the helper's name; return whether it was this call that ended it."""
        first, *others = pools
        if moment(helper, mark) not in self._delete(first, moment(helper, "*")):
            return False
        self.clear(helper, others)
        return True

    def clear(self, helper: str, pools: Sequence[str]) -> None:
        """Delete whatever moments of the helper there are."""
        for pool in pools:
            self._delete(pool, moment(helper, "*"))

    def give_up(self, helper: str, mark: str, pools: Sequence[str]) -> None:
        """See to it that nothing is cloned out of a moment any more, nor the moment ended; `Busy` where another call has ended it."""
        first, *others = pools
        name = moment(helper, mark)
        if not self._put_aside(self._path(first), name, _GIVEN_UP) and not self.marks(helper, first).get(mark):
            raise Busy("Another call has ended the moment of the group.")
        for pool in others:
            self._delete(pool, name)

    def forget(self, helper: str, mark: str, pool: str) -> None:
        """Delete what is left of a moment that was given up."""
        self._delete(pool, _aside(moment(helper, mark), _GIVEN_UP))

    def _delete(self, pool: str, pattern: str) -> Collection[str]:
        """Delete FlexVol snapshots by name; return the names of those that this call has deleted, or put aside where the array holds them."""
        path = self._path(pool)
        try:
            return _names(self.client.change("DELETE", path, None, name=pattern, return_records="true"))
        except NotFound as gone:
            if gone.vendor_code in codes.NO_FLEXVOL:
                raise
            return ()
        except Busy as held:
            if held.vendor_code not in codes.SNAPSHOT_HELD:
                raise
        found = [objects.text(record, "name") for record in self.client.listing(path, name=pattern, fields="name")]
        return [name for name in found if self._put_aside(path, name, _HELD)]

    def _put_aside(self, path: str, name: str, why: str) -> bool:
        """Give a FlexVol snapshot another name; return whether it was there, and this call did."""
        return bool(self.client.change("PATCH", path, {"name": _aside(name, why)}, name=name).get("num_records"))

    def _begin(self, helper: str, name: str, pools: Sequence[str]) -> None:
        if len(pools) == 1:
            self.client.change("POST", self._path(pools[0]), {"name": name})
            return
        members = [{"name": pool, "provisioning_options": {"action": "add"}} for pool in pools]
        try:
            made = self.client.make(_GROUPS, {"name": helper, "volumes": members})
        except AlreadyExists as taken:
            made = self._standing_group(helper, pools, taken)
        uuid = objects.value(made, "uuid") or objects.text(self._standing_group(helper, pools, None), "uuid")
        try:
            self.client.change("POST", f"{_GROUPS}/{uuid}/snapshots", {"name": name, "consistency_type": "crash"})
        except NotFound as gone:
            raise Busy("Another call for the same group has dissolved the consistency group.") from gone
        finally:
            self._dissolve(str(uuid))

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

    def discard(self, helper: str, pools: Sequence[str]) -> None:
        """Delete the FlexVols' snapshots; one that the array still holds gets another name, and is a leftover."""
        for pool in pools:
            path = self._path(pool)
            try:
                self.client.change("DELETE", path, None, name=helper)
            except Busy as held:
                if held.vendor_code not in codes.SNAPSHOT_HELD:
                    raise
                for record in self.client.listing(path, name=helper, fields="name,uuid"):
                    uuid = objects.text(record, "uuid")
                    self.client.change("PATCH", f"{path}/{uuid}", {"name": f"{helper}.{uuid[:8]}"})

    def leftovers(self) -> Iterator[Leftover]:
        """Yield the consistency groups and FlexVol snapshots that calls which were cut off have left."""
        for record in self.client.own(_GROUPS, name="bdt*", fields="name"):
            name = objects.text(record, "name")
            if kind_of(name) is Kind.TEMPORARY:
                yield Leftover("group", name, name, "A consistency group of a group snapshot that was not completed.")
        for pool, uuid in self.pools.ids().items():
            for record in self.client.listing(f"storage/volumes/{uuid}/snapshots", name="bdt*", fields="name"):
                name = objects.text(record, "name")
                if kind_of(name) is Kind.TEMPORARY:
                    yield Leftover(
                        "snapshot", pool, name, f"A snapshot of FlexVol {pool} for a group snapshot, not needed any more."
                    )

    def remove(self, leftover: Leftover) -> None:
        """Remove one of them; of a consistency group, the FlexVols and their snapshots stay."""
        if leftover.kind == "snapshot":
            self.client.change("DELETE", self._path(leftover.id), None, name=leftover.name)
            return
        self.dissolve(leftover.name)

    def dissolve(self, helper: str) -> None:
        """Dissolve the consistency group that a cut-off call has left; the FlexVols and their snapshots stay."""
        for record in self.client.own(_GROUPS, name=helper, fields="name,uuid"):
            self._dissolve(objects.text(record, "uuid"))

    def _dissolve(self, uuid: str) -> None:
        with suppress(NotFound):
            self.client.change("DELETE", f"{_GROUPS}/{uuid}")

    def _path(self, pool: str) -> str:
        return f"storage/volumes/{self.pools.ids()[self.pools.known(pool)]}/snapshots"


def moment(helper: str, mark: str) -> str:
    """Return the name of a moment with a mark of its own."""
    return f"{helper}.{mark}"


def _aside(name: str, why: str) -> str:
    """Return a name for what is no moment any more: one that a query for the helper's moments does not match."""
    helper, _, mark = name.partition(".")
    return f"{helper}-{why}.{mark}"


def _names(answer: Record) -> Collection[str]:
    return [objects.text(record, "name") for record in records(answer)]
