"""Snapshots of several volumes at one moment: a Thin Image consistency group. Source: protocol sheet, section 3.14.

Each member's pair has an S-VOL that bears its snapshot's name; see `snapshots`. Every step that stands already is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence

from blockdrivers import naming
from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import (
    AlreadyExists,
    InvalidRequest,
    LicenceMissing,
    NotFound,
    NotSupported,
    OutOfSpace,
    VendorError,
)
from blockdrivers.model import Snapshot
from blockdrivers.naming import Kind
from vendors.hitachi import objects
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.facts import Facts
from vendors.hitachi.ldevs import Ldevs
from vendors.hitachi.snapshots import Found, Snapshots
from vendors.hitachi.space import explaining_space

_NAME_LENGTH = 31


class SnapshotGroups:
    """The group snapshots of an array."""

    def __init__(self, client: VspClient, ldevs: Ldevs, facts: Facts, snapshots: Snapshots) -> None:
        self._client = client
        self._ldevs = ldevs
        self._facts = facts
        self._snapshots = snapshots

    def create(self, specs: Sequence[SnapshotSpec]) -> list[Snapshot]:
        """Take snapshots of several volumes: pairs in one consistency group, and one split of it."""
        group = naming.array_name(Kind.GROUP, ",".join(sorted(spec.name for spec in specs)), _NAME_LENGTH)
        sources = [self._snapshots.usable(spec.source) for spec in specs]
        self._refuse_single(specs)
        made: list[tuple[str, int, bool]] = []
        try:
            for spec, source in zip(specs, sources, strict=True):
                made.append(self._join(group, spec, source))
        except (NotFound, InvalidRequest, NotSupported, AlreadyExists, OutOfSpace, VendorError):
            self._undo(group, made)
            raise
        if not any(mine for _, _, mine in made) and all(map(objects.is_taken, self._snapshots.in_group(group))):
            raise AlreadyExists("Every snapshot of the group exists.")
        self._split(group)
        taken = {objects.number(pair, "pvolLdevId"): self._snapshots.taken(pair) for pair in self._snapshots.in_group(group)}
        return [
            self._snapshots.snapshot(
                Found(spec.name, taken[objects.number(source, "ldevId")], source, {**source, "ports": [], **_own(svol_id)})
            )
            for spec, source, (_, svol_id, _) in zip(specs, sources, made, strict=True)
        ]

    def _refuse_single(self, specs: Sequence[SnapshotSpec]) -> None:
        """Refuse names that snapshots outside the group have."""
        taken = [spec.name for spec in specs if self._snapshots.in_group(spec.name)]
        if len(taken) == len(specs):
            raise AlreadyExists("Every snapshot of the group exists.")
        if taken:
            raise AlreadyExists(
                f"Snapshots {', '.join(taken)} were taken at another moment; use other ids.",
                differences=dict.fromkeys(taken, ("taken with the group", "taken before")),
            )

    def _join(self, group: str, spec: SnapshotSpec, source: Object) -> tuple[str, int, bool]:
        """Return name and S-VOL of a member, and whether it was made here; what a cut-off call has made is passed over."""
        pvol, pool, size = objects.number(source, "ldevId"), objects.number(source, "poolId"), objects.size(source)
        try:
            with explaining_space(self._facts, pool, size):
                claim = self._ldevs.claim(spec.name, pool, size)
            self._ldevs.label(claim, spec.name)
            svol_id, fresh = claim.ldev_id, True
        except AlreadyExists:
            svol_id, fresh = objects.number(self._ldevs.named(spec.name), "ldevId"), False
        for pair in () if fresh else self._snapshots.pairs(svolLdevId=svol_id):
            if (pair.get("snapshotGroupName"), pair.get("pvolLdevId")) == (group, pvol):
                return spec.name, svol_id, False
            raise AlreadyExists(f"Snapshot {spec.name!r} exists.")
        body = {"svolLdevId": svol_id, "isConsistencyGroup": True, "canCascade": True}
        try:
            self._client.create("snapshots", self._snapshots.pair_of(group, source) | body)
        except (VendorError, LicenceMissing, InvalidRequest):
            if fresh:
                self._ldevs.delete(svol_id)
                self._ldevs.forget(spec.name)
            raise
        return spec.name, svol_id, True

    def _undo(self, group: str, made: Sequence[tuple[str, int, bool]]) -> None:
        own = {svol_id: name for name, svol_id, mine in made if mine}
        for pair in self._snapshots.in_group(group):
            svol_id = objects.secondary(pair)
            if svol_id in own and not objects.is_taken(pair):
                self._snapshots.delete_pair(objects.pair_id(pair))
                self._ldevs.delete(svol_id)
                self._ldevs.forget(own[svol_id])

    def _split(self, group: str) -> None:
        try:
            self._client.act(f"snapshot-groups/{group}", "split", {})
        except VendorError:
            # Another call for the same group may have been quicker.
            if not all(map(objects.is_taken, self._snapshots.in_group(group))):
                raise


def _own(ldev_id: int) -> dict[str, object]:
    """Return what tells a new S-VOL from its volume, which it is like otherwise."""
    return {"ldevId": ldev_id, "naaId": None}
