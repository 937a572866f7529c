"""Snapshots: Thin Image pairs, found by the name of their snapshot group. Source: protocol sheet, sections 3.6 and 3.14.

A snapshot is a pair without a secondary volume, alone in a group of its name; so it costs no LDEV, and its name is findable in one
request. It gets a secondary volume (S-VOL) when a host or a clone is to read it, and keeps it. A group's members share the group,
whose one split is their moment; each has an S-VOL that bears its snapshot's name as a label. That label, where there is one, is
what a snapshot is called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import (
    AlreadyExists,
    Busy,
    InUse,
    NotFound,
    VendorError,
)
from blockdrivers.model import Snapshot, VolumeRef
from blockdrivers.naming import Kind, kind_of
from vendors.hitachi import objects
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.facts import Facts
from vendors.hitachi.ldevs import Ldevs
from vendors.hitachi.options import VspOptions
from vendors.hitachi.recent import Recent
from vendors.hitachi.space import explaining_space

_FIRST_MU, _MUS = 3, 1021
"""The lower three are ShadowImage's."""
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A snapshot on the array."""

    name: str
    pair: Object | None
    """None for the S-VOL of a snapshot whose deletion, or whose making with a group, was cut off."""
    source: Object | None
    svol: Object | None

    @property
    def id(self) -> str:
        """The pair's id, or what stands for it."""
        return objects.pair_id(self.pair) if self.pair is not None else ""


class Snapshots:
    """The snapshots of an array."""

    def __init__(self, client: VspClient, ldevs: Ldevs, facts: Facts, options: VspOptions) -> None:
        self._client = client
        self._ldevs = ldevs
        self._facts = facts
        self._options = options
        self._recent: Recent[Found] = Recent()

    # Reading

    def get(self, name: str) -> Snapshot:
        """Return the snapshot of that name, or raise `NotFound`."""
        found = self.find(name)
        self._recent.keep(name, found)
        return self.snapshot(found)

    def _just_read(self, name: str) -> Found:
        """Return what was read a moment before, or is read now."""
        return self._recent.take(name) or self.find(name)

    def find(self, name: str) -> Found:
        """Find the snapshot of that name, or raise `NotFound`."""
        for pair in self.in_group(name):
            found = self._found(pair)
            if found.name == name:
                return found
        svol = self._ldevs.find(name)
        if svol is None or objects.name(svol) != name:
            raise NotFound(f"The array has no snapshot {name!r}.")
        for pair in self.pairs(svolLdevId=objects.number(svol, "ldevId")):
            return Found(name, pair, self._ldevs.get(objects.number(pair, "pvolLdevId")), svol)
        if kind_of(name) is not Kind.SNAPSHOT:
            raise NotFound(f"The array's {name!r} is no snapshot.")
        return Found(name, None, None, svol)

    def of(self, source: VolumeRef) -> Iterator[Snapshot]:
        """Yield the snapshots of one volume."""
        ldev = self._ldevs.proven(source)
        for pair in self.pairs(pvolLdevId=objects.number(ldev, "ldevId")):
            if not pair.get("isClone"):
                yield self.snapshot(self._found(pair, ldev))

    def all(self) -> Iterator[Snapshot]:
        """Yield every snapshot of the array."""
        pairs = [pair for pair in self._client.items("snapshot-replications") if not objects.is_going(pair)]
        pairs = [pair for pair in pairs if not pair.get("isClone") and pair.get("pvolLdevId") is not None]
        if not pairs:
            return
        ldevs = {objects.number(ldev, "ldevId"): ldev for ldev in self._ldevs.all()}
        for pair in pairs:
            source = ldevs.get(objects.number(pair, "pvolLdevId"))
            svol_id = objects.secondary(pair)
            if source is not None:
                yield self.snapshot(_named(pair, source, None if svol_id is None else ldevs.get(svol_id)))

    def snapshot(self, found: Found) -> Snapshot:
        """Translate a snapshot; without an S-VOL it has its volume's size, since such a volume is never extended."""
        holder = found.svol or found.source
        if holder is None:
            raise NotFound(f"The array has no snapshot {found.name!r}.")
        exported = found.svol is not None and bool(objects.paths(found.svol))
        return Snapshot(
            id=found.id,
            name=found.name,
            size=objects.size(holder),
            source_id=str(objects.number(found.source, "ldevId")) if found.source is not None else "",
            source_name=objects.name(found.source) if found.source is not None else "",
            wwn=self._facts.wwn(found.svol) if found.svol is not None and exported else None,
            ready=found.pair is not None and objects.is_taken(found.pair),
            exported=exported,
        )

    def in_group(self, name: str) -> list[Object]:
        """Return the pairs of a snapshot group."""
        return self.pairs(snapshotGroupName=name)

    def pairs(self, **query: object) -> list[Object]:
        """Return the pairs that a query finds, but for those that are being deleted."""
        listed = self._client.items("snapshots", **query)
        live = [pair for pair in listed if not objects.is_going(pair)]
        return sorted(live, key=lambda pair: (objects.number(pair, "pvolLdevId"), objects.number(pair, "muNumber")))

    def _found(self, pair: Object, source: Object | None = None) -> Found:
        svol_id = objects.secondary(pair)
        svol = None if svol_id is None else self._ldevs.get(svol_id)
        return _named(pair, source or self._ldevs.just_read(objects.number(pair, "pvolLdevId")), svol)

    # One snapshot

    def create(self, spec: SnapshotSpec) -> Snapshot:
        """Take a snapshot. The group is read back: another call may have taken one of that name at the same time."""
        source = self.usable(spec.source)
        pair_id = self._take(spec.name, source)
        others = []
        mine: Object | None = None
        for pair in self.in_group(spec.name):
            if objects.pair_id(pair) == pair_id:
                mine = pair
            else:
                others.append(pair)
        if any(self._found(pair).name == spec.name for pair in others):
            self.delete_pair(pair_id)
            raise AlreadyExists(f"Snapshot {spec.name!r} exists.")
        if mine is None:
            raise Busy(f"Snapshot {spec.name!r} was taken and has gone again.")
        return self.snapshot(Found(spec.name, self.taken(mine), source, None))

    def usable(self, reference: VolumeRef) -> Object:
        """Return the volume that a snapshot is to be taken of."""
        source = self._ldevs.proven(reference)
        if objects.is_unfinished(source):
            raise InUse(f"Volume {reference.name!r} is a clone that is not complete.")
        return source

    def _take(self, name: str, source: Object) -> str:
        pvol = objects.number(source, "ldevId")
        body = self.pair_of(name, source) | {"autoSplit": True, "canCascade": True}
        mus = _mus(name)
        for _ in range(_TRIES):
            try:
                with explaining_space(self._facts, int(source.get("poolId", -1)), 0):
                    return self._client.create("snapshots", body | {"muNumber": next(mus)})
            except (VendorError, AlreadyExists) as refused:
                # The id within the volume is the name's own: it may be taken by this snapshot, or by another one.
                present = self.pairs(pvolLdevId=pvol)
                if any(pair.get("snapshotGroupName") == name and self._found(pair, source).name == name for pair in present):
                    raise AlreadyExists(f"Snapshot {name!r} exists.") from refused
                taken = {objects.number(pair, "muNumber") for pair in self._client.items("snapshots", pvolLdevId=pvol)}
                if body.get("muNumber", next(_mus(name))) not in taken:
                    raise
                mus = (mu for mu in _mus(name) if mu not in taken)
        raise Busy(f"Other snapshots of LDEV {pvol} are being taken at the same time.")

    def pair_of(self, group: str, source: Object) -> dict[str, object]:
        """Return what every new pair of a volume is made with."""
        pool = self._options.snapshot_pool
        return {
            "snapshotGroupName": group,
            "snapshotPoolId": self._facts.pool_id(pool) if pool else objects.number(source, "poolId"),
            "pvolLdevId": objects.number(source, "ldevId"),
            "isDataReductionForceCopy": True,
        }

    def taken(self, pair: Object) -> Object:
        """Wait until a pair holds its point in time; mostly the array's job has waited for that."""
        if objects.is_taken(pair):
            return pair
        path = f"snapshots/{objects.pair_id(pair)}"

        def done() -> Object | None:
            seen = self._client.read(path)
            return seen if objects.is_taken(seen) else None

        return wait_until(done, what=f"pair {objects.pair_id(pair)} to hold its point in time")

    # Deleting, reverting

    def delete(self, snapshot: Snapshot) -> None:
        """Delete a snapshot and its S-VOL; the S-VOL bears the snapshot's name before the pair goes, so that a repeat finds it."""
        found = self._just_read(snapshot.name)
        if found.id != snapshot.id:
            raise NotFound(f"Snapshot {snapshot.name!r} is another one now.")
        svol_id = None if found.svol is None else objects.number(found.svol, "ldevId")
        if found.svol is not None and svol_id is not None and objects.label(found.svol) != snapshot.name:
            self._ldevs.set_label(svol_id, snapshot.name)
            self._ldevs.remember(snapshot.name, svol_id)
        if found.pair is not None:
            self.delete_pair(found.id, snapshot.name)
        if svol_id is not None:
            self._ldevs.delete(svol_id)
            self._ldevs.forget(snapshot.name)

    def delete_pair(self, pair_id: str, name: str = "") -> None:
        """Delete a pair and return when it is gone; `InUse` where the array keeps it."""
        try:
            self._client.delete(f"snapshots/{pair_id}")
        except VendorError as refused:
            # Another call may be deleting it; then there is only the wait left.
            if not self._is_going(pair_id):
                raise refused.explained_as(
                    InUse,
                    f"The array keeps snapshot {name or pair_id!r}: it is copied from or reverted to.",
                ) from refused
        wait_until(lambda: self._is_gone(pair_id, name), what=f"pair {pair_id} to be gone")

    def _is_going(self, pair_id: str) -> bool:
        try:
            return objects.is_going(self._client.read(f"snapshots/{pair_id}"))
        except NotFound:
            return True

    def _is_gone(self, pair_id: str, name: str) -> bool | None:
        try:
            pair = self._client.read(f"snapshots/{pair_id}")
        except NotFound:
            return True
        return True if name and pair.get("snapshotGroupName") != name and not objects.is_going(pair) else None

    def revert(self, snapshot: Snapshot) -> None:
        """Restore the volume from a snapshot that was read a moment before; return when that is done."""
        try:
            self._client.act(f"snapshots/{snapshot.id}", "restore", {"autoSplit": True})
        except VendorError:
            # A cut-off call may have begun it; then there is only the wait left.
            if not self._is_reverting(snapshot.id):
                raise
        note(f"LDEV {snapshot.source_id} is being restored from {snapshot.name}")
        wait_until(lambda: not self._is_reverting(snapshot.id) or None, what=f"{snapshot.source_name} to be restored")

    def _is_reverting(self, pair_id: str) -> bool:
        return str(self._client.read(f"snapshots/{pair_id}").get("status")) in {"RCPY", "PAIR", "COPY"}

    # Secondary volumes

    def readable(self, name: str) -> tuple[Object, int]:
        """Return a snapshot's volume and the LDEV id of its S-VOL, made where there is none."""
        found = self._just_read(name)
        if found.pair is None or not objects.is_taken(found.pair):
            raise Busy(f"Snapshot {name!r} holds no point in time yet.")
        source = found.source
        if source is None:
            raise NotFound(f"Snapshot {name!r} has lost its volume.")
        if found.svol is not None:
            return source, objects.number(found.svol, "ldevId")
        svol_id = self._spare(name, source)
        try:
            self._client.act(f"snapshots/{found.id}", "assign-volume", {"svolLdevId": svol_id})
        except VendorError:
            again = self.find(name)
            assigned = None if again.svol is None else objects.number(again.svol, "ldevId")
            if assigned is None:
                raise
            if assigned != svol_id:
                self._ldevs.delete(svol_id)
            return source, assigned
        return source, svol_id

    def _spare(self, name: str, source: Object) -> int:
        """Return an LDEV that can become a snapshot's S-VOL: a new one, or what a cut-off call has left."""
        pool, size = objects.number(source, "poolId"), objects.size(source)
        try:
            with explaining_space(self._facts, pool, size):
                return self._ldevs.claim(name, pool, size).ldev_id
        except AlreadyExists:
            left = self._ldevs.named(name)
        ldev_id = objects.number(left, "ldevId")
        if objects.is_paired(left) or objects.size(left) != size:
            raise Busy(f"LDEV {ldev_id} of another snapshot {name!r} is in the way.")
        return ldev_id

    def rename(self, snapshot: Snapshot, name: str) -> Snapshot:
        """Give a snapshot another name: the label of its S-VOL, since a group cannot be renamed."""
        try:
            self.find(name)
        except NotFound:
            pass
        else:
            raise AlreadyExists(f"Snapshot {name!r} exists.")
        _, svol_id = self.readable(snapshot.name)
        self._ldevs.set_label(svol_id, name)
        self._ldevs.forget(snapshot.name)
        self._ldevs.remember(name, svol_id)
        return replace(snapshot, name=name)


def _named(pair: Object, source: Object, svol: Object | None) -> Found:
    """Return what a pair is called: by its S-VOL's label where it has one, by its group otherwise."""
    called = objects.label(svol) if svol is not None else ""
    return Found(called or str(objects.field(pair, "snapshotGroupName")), pair, source, svol)


def _mus(name: str) -> Iterator[int]:
    """Yield the numbers of a pair within its volume in the order in which a name tries them."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return (_FIRST_MU + (start + turn) % _MUS for turn in range(_MUS))
