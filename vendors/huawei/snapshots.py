"""Snapshots, alone and of one moment. Source: protocol sheet huawei-oceanstor, section 3.4.

A snapshot is made without a point in time and holds one once it is activated; any number of them are activated at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    Busy,
    InUse,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    NotFound,
    NotSupported,
    StaleReference,
    VendorError,
)
from blockdrivers.model import GiB, Snapshot, SnapshotRef, Volume, VolumeRef
from vendors.huawei import codes, objects
from vendors.huawei.client import OceanStorClient
from vendors.huawei.facts import Facts
from vendors.huawei.luns import Luns
from vendors.huawei.objects import Running, Type
from vendors.huawei.options import OceanStorOptions
from vendors.huawei.refusals import SNAPSHOTS, without_licence, without_space


class Snapshots:
    """The snapshots of one array."""

    def __init__(self, client: OceanStorClient, facts: Facts, luns: Luns, options: OceanStorOptions) -> None:
        self._client = client
        self._facts = facts
        self._luns = luns
        self._options = options

    def create(self, spec: SnapshotSpec) -> Snapshot:
        """POST snapshot, POST snapshot/activate; `AlreadyExists` where one of that name holds a point in time."""
        made = self._inactive(spec)
        if made.ready:
            raise AlreadyExists(f"Snapshot {spec.name!r} exists.")
        return self._activate([made])[0]

    def create_group(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """One POST snapshot each and one activation of them all: one point in time."""
        made = self._every_inactive(specs)
        taken = [snapshot.name for snapshot in made if snapshot.ready]
        if len(taken) == len(made):
            raise AlreadyExists("Every snapshot of the group exists.")
        if taken:
            self._undo(made)
            raise AlreadyExists(
                f"Snapshots {', '.join(taken)} were taken at another moment; use other ids.",
                differences=dict.fromkeys(taken, ("taken with the group", "taken before")),
            )
        return self._activate(made)

    def get(self, name: str) -> Snapshot:
        """GET snapshot by name; `NotFound`."""
        found = self._client.find("snapshot", "NAME", name)
        if found is None:
            raise NotFound(f"The array has no snapshot {name!r}.")
        return objects.snapshot(found)

    def every(self, source: VolumeRef | None) -> Iterator[Snapshot]:
        """GET snapshot, page by page: those of a LUN, or all."""
        params = {} if source is None else {"filter": f"PARENTID::{source.id or self._luns.get(source.name).id}"}
        return map(objects.snapshot, self._client.listing("snapshot", **params))

    def delete(self, snapshot: Snapshot) -> None:
        """PUT snapshot/stop, DELETE snapshot; stopped already is fine."""
        try:
            if snapshot.ready:
                self._stop(snapshot)
            self._client.delete(f"snapshot/{snapshot.id}", {"TYPE": str(int(Type.SNAPSHOT)), "ID": snapshot.id})
        except VendorError as refused:
            raise refused.explained_as(
                InUse, f"The array keeps snapshot {snapshot.name!r}: it is reverted to, copied from or mapped."
            ) from refused

    def rename(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """PUT snapshot, and activate one that holds no point in time yet."""
        self._client.put(f"snapshot/{snapshot.id}", {"ID": snapshot.id, "NAME": name, "DESCRIPTION": description})
        renamed = replace(snapshot, name=name, description=description)
        return renamed if renamed.ready else self._activate([renamed])[0]

    def revert(self, volume: Volume, snapshot: Snapshot) -> None:
        """PUT snapshot/rollback and wait until the snapshot is active again."""
        try:
            self._client.put("snapshot/rollback", {"ID": snapshot.id, "ROLLBACKSPEED": str(self._options.copy_speed)})
        except VendorError:
            # A cut-off call may have begun it; then there is only the wait left.
            if not self._reverting(snapshot):
                raise
        note(f"LUN {volume.name} is being reverted to {snapshot.name}")
        wait_until(lambda: not self._reverting(snapshot) or None, what=f"LUN {volume.name} to be reverted to {snapshot.name}")

    # Helpers of a clone

    def take_helper(self, source: VolumeRef, name: str, *, reuse: bool) -> SnapshotRef:
        """Take a snapshot to copy a LUN from; one of that name is used again where a call for the same clone has made it, or replaced."""
        spec = SnapshotSpec(source, name)
        try:
            return self.create(spec).ref
        except AlreadyExists:
            found = self.get(name)
        if reuse and found.source_name == source.name:
            return found.ref
        self.delete(found)
        return self.create(spec).ref

    def drop_helper(self, name: str) -> None:
        """Remove it, if it is there."""
        with suppress(NotFound):
            self.delete(self.get(name))

    # Making

    def _inactive(self, spec: SnapshotSpec) -> Snapshot:
        """Make a snapshot that holds no point in time yet, or return the one of that name, ready or not."""
        source_id = spec.source.id or self._luns.get(spec.source.name).id
        body = {
            "TYPE": str(int(Type.SNAPSHOT)),
            "NAME": spec.name,
            "PARENTTYPE": str(int(Type.LUN)),
            "PARENTID": source_id,
            "DESCRIPTION": spec.description,
        }
        try:
            made = objects.snapshot(self._client.post("snapshot", body))
        except AlreadyExists:
            return self._usable(self.get(spec.name), spec)
        except NotFound as gone:
            if spec.source.id is None:
                raise
            raise StaleReference(f"LUN {spec.source.name!r} has another id now.") from gone
        except VendorError as refused:
            raise without_licence(self._facts, refused, SNAPSHOTS) from refused
        if made.source_name != spec.source.name:
            self.delete(made)
            raise StaleReference(f"The remembered id of LUN {spec.source.name!r} names {made.source_name!r} now.")
        return made

    def _every_inactive(self, specs: Sequence[SnapshotSpec]) -> list[Snapshot]:
        """Make, or find, a snapshot for each member; where one cannot be, none of them is left."""
        made: list[Snapshot] = []
        try:
            for spec in specs:
                made.append(self._inactive(spec))  # noqa: PERF401 - what was made before a failure is undone
        except (NotFound, InvalidRequest, NotSupported, LimitReached, VendorError):
            self._undo(made)
            raise
        return made

    def _undo(self, made: Sequence[Snapshot]) -> None:
        for snapshot in made:
            if not snapshot.ready:
                self.delete(snapshot)

    def _usable(self, found: Snapshot, spec: SnapshotSpec) -> Snapshot:
        if not found.ready and found.source_name != spec.source.name:
            # A call that met a reused LUN id was cut off before it could undo this; it holds no point in time.
            self.delete(found)
            raise Busy(f"An unfinished snapshot {spec.name!r} of another LUN was in the way and has been removed.")
        return found

    def _activate(self, made: Sequence[Snapshot]) -> list[Snapshot]:
        try:
            self._client.post("snapshot/activate", {"SNAPSHOTLIST": [snapshot.id for snapshot in made]})
        except (VendorError, InvalidRequest, LicenceMissing) as refused:
            # Another call for the same snapshots may have been quicker.
            if all(self.get(snapshot.name).ready for snapshot in made):
                return [replace(snapshot, ready=True) for snapshot in made]
            for snapshot in made:
                self._client.delete(f"snapshot/{snapshot.id}")
            raise self._activation_refused(refused, made[0]) from refused
        return [replace(snapshot, ready=True) for snapshot in made]

    def _activation_refused(self, refused: BlockDriversError, snapshot: Snapshot) -> BlockDriversError:
        if not isinstance(refused, VendorError):
            return refused
        explained = without_licence(self._facts, refused, SNAPSHOTS)
        if explained is refused:
            return without_space(self._facts, refused, self._luns.get(snapshot.source_name).pool, GiB)
        return explained

    def _stop(self, snapshot: Snapshot) -> None:
        try:
            self._client.put("snapshot/stop", {"ID": snapshot.id})
        except VendorError as refused:
            if refused.vendor_code != str(codes.SNAPSHOT_NOT_ACTIVE):
                raise

    def _reverting(self, snapshot: Snapshot) -> bool:
        return objects.running(self._client.read(f"snapshot/{snapshot.id}")) == Running.SNAPSHOT_REVERTING
