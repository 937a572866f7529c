"""One moment of several FlexVols. Source: protocol sheet, sections 3.3 and 3.8.

The array takes one moment of whole FlexVols: a snapshot of one, or of several through a consistency group that is made for it and
dissolved at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from blockdrivers.errors import AlreadyExists, Busy, InUse
from blockdrivers.model import Leftover
from blockdrivers.naming import Kind, kind_of
from vendors.netapp import codes, objects
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.pools import Pools

_GROUPS: Final = "application/consistency-groups"


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
            self._begin(helper, pools)
        except AlreadyExists:
            if anew:
                self.discard(helper, pools)
                self._begin(helper, pools)
        else:
            if not anew:
                self.discard(helper, pools)
                raise AlreadyExists(
                    "Some snapshots of the group were taken at another moment; use other ids.",
                    differences={"moment": ("taken with the group", "taken before")},
                )

    def _begin(self, helper: str, pools: Sequence[str]) -> None:
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

    def discard(self, helper: str, pools: Sequence[str]) -> None:
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
            self.client.change("DELETE", f"storage/volumes/{self._uuid(leftover.id)}/snapshots", None, name=leftover.name)
            return
        for record in self.client.own(_GROUPS, name=leftover.name, fields="name,uuid"):
            self.client.change("DELETE", f"{_GROUPS}/{objects.text(record, 'uuid')}")

    def _uuid(self, pool: str) -> str:
        return self.pools.ids()[self.pools.known(pool)]
