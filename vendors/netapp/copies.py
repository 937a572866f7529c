"""Clones within a FlexVol, copies between FlexVols, moves and reverts. Source: protocol sheet, sections 3.2, 3.3 and 3.9.

A clone shares blocks and is whole at once, of its source's size; one that is to be larger grows afterwards. A copy takes its time.
Until either is what was asked for, its comment says that it is unfinished; the comment's last change is the commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import Source, VolumeSpec
from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    Busy,
    InUse,
    InvalidRequest,
    LicenceMissing,
    NotFound,
    OutOfSpace,
    VendorError,
)
from blockdrivers.model import Dependant, Snapshot, Volume, VolumeRef, VolumeState
from vendors.netapp import objects
from vendors.netapp.claims import LUNS
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.luns import Luns, provisioned
from vendors.netapp.names import Base
from vendors.netapp.pools import Pools

_ENDED_BADLY = frozenset({"failed", "paused_error", "reverting"})


@dataclass(frozen=True, slots=True)
class Copies:
    """Makes volumes out of LUNs, and changes where their bytes are."""

    client: OntapClient
    luns: Luns
    pools: Pools

    def make(self, source: Source, spec: VolumeSpec) -> Volume:
        """Return a complete, independent volume with the source's bytes; see the driver contract."""
        # What was read just now is not refused for being elsewhere.
        recalled = self.luns.places.of(source.id) is not None
        record = self._source(source)
        self.pools.known(spec.pool)
        if objects.pool_of(record) == spec.pool:
            return self._clone(source, record, spec, recalled=recalled)
        return self._copy(record, spec)

    def revert(self, volume: Volume, snapshot: Snapshot) -> None:
        """Overwrite a LUN with the blocks of its snapshot; uuid, serial number and maps stay.

        What the array does not keep of the LUN by itself is said again.
        """
        body: dict[str, object] = {
            "clone": {"source": {"uuid": snapshot.id}},
            "comment": objects.kept(volume.description),
            "space": provisioned(thin=volume.thin),
        }
        if volume.qos_id is not None:
            body["qos_policy"] = {"name": volume.qos_id}
        self.luns.change(volume.id, body)

    def move(self, volume: Volume, spec: VolumeSpec) -> Volume:
        """Move a LUN to another FlexVol and provisioning; uuid, serial number and maps stay."""
        if volume.pool != self.pools.known(spec.pool):
            if Dependant.SNAPSHOT in volume.dependants:
                raise InUse(
                    f"LUN {volume.name!r} has snapshots, which stay in FlexVol {volume.pool!r} and could not be reverted to "
                    "afterwards; remove them before it is moved."
                )
            with self.pools.explaining(spec.pool, volume.size):
                self.luns.rename(volume.id, spec.pool, Base(volume.name))
        self._await_move(volume, spec.pool)
        if volume.thin != spec.thin:
            with self.pools.explaining(spec.pool, volume.size):
                self.luns.change(volume.id, {"space": {"guarantee": {"requested": not spec.thin}}})
        return self.luns.volume(volume.name)

    def _source(self, source: Source) -> Record:
        if isinstance(source, VolumeRef):
            return self.luns.located(source)
        place = self.luns.places.of(source.id)
        if source.id is None or place is None:
            snapshot = self.luns.snapshot(source.name)
            if source.id not in {None, snapshot.id}:
                raise NotFound(f"The snapshot {source.name!r} is another one than before.")
            return {"uuid": snapshot.id, "name": self.luns.places.of(snapshot.id)}
        return {"uuid": source.id, "name": place}

    def _clone(self, source: Source, record: Record, spec: VolumeSpec, *, recalled: bool) -> Volume:
        grows = spec.source_size is not None and spec.size > spec.source_size
        try:
            target = self.luns.clone(record, spec, spec.unfinished_description if grows else spec.description)
        except AlreadyExists:
            target = self._unfinished(spec)
        except (NotFound, InvalidRequest) as gone:
            if isinstance(source, VolumeRef) and recalled:
                raise self.luns.moved(source, gone) from gone
            self.luns.places.forget(source.id)
            raise
        if not grows:
            return target
        with self._undoing_refused(target):
            if target.size < spec.size:
                self.luns.grow(target, spec.size, spec.description)
            else:
                self.luns.change(target.id, {"comment": objects.kept(spec.description)})
        return replace(target, size=spec.size, state=VolumeState.READY, description=spec.description)

    def _copy(self, record: Record, spec: VolumeSpec) -> Volume:
        try:
            target = self.luns.begin_copy(record, spec)
        except AlreadyExists:
            target = self._unfinished(spec)
        with self._undoing_refused(target):
            self._await_copy(target)
            target = self.luns.volume(spec.name)
            body: dict[str, Any] = {"comment": objects.kept(spec.description), "space": provisioned(thin=spec.thin)}
            if target.size < spec.size:
                body["space"] |= {"size": spec.size}
            with self.pools.explaining(spec.pool, spec.size):
                self.luns.change(target.id, body)
        return self.luns.volume(spec.name)

    def _unfinished(self, spec: VolumeSpec) -> Volume:
        """Return what an earlier, cut-off call for the same clone has made; `AlreadyExists` for anything else."""
        found = self.luns.volume(spec.name)
        if (found.description, found.pool) != (spec.unfinished_description, spec.pool):
            raise AlreadyExists(f"The array has a LUN {spec.name!r}.")
        if found.size not in {spec.source_size, spec.size}:
            raise AlreadyExists(f"The array has an unfinished LUN {spec.name!r} of another size.")
        return found

    def _await_copy(self, target: Volume) -> None:
        """Wait for a copy to end; one that the array says nothing of any more may have failed, and is begun anew."""
        note(f"LUN {target.name} is being copied")

        def ended() -> bool | None:
            found = self.client.get(f"{LUNS}/{target.id}", fields="copy.source.progress")
            state = objects.value(found, "copy.source.progress.state")
            if state is None:
                self.luns.remove(target.id)
                raise Busy(f"How the copy onto LUN {target.name!r} ended is not known; it is made again.")
            if state in _ENDED_BADLY:
                raise _failed(f"The copy onto LUN {target.name!r}", objects.value(found, "copy.source.progress", {}))
            return True if state == "complete" else None

        wait_until(ended, what=f"the copy onto LUN {target.name}")

    def _await_move(self, volume: Volume, pool: str) -> None:
        def ended() -> bool | None:
            found = self.client.get(f"{LUNS}/{volume.id}", fields="movement.progress")
            state = objects.value(found, "movement.progress.state")
            if state in _ENDED_BADLY:
                raise _failed(f"The move of LUN {volume.name!r} to {pool!r}", objects.value(found, "movement.progress", {}))
            return True if state in {None, "complete"} else None

        note(f"LUN {volume.name} is being moved to {pool}")
        wait_until(ended, what=f"LUN {volume.name} to be in {pool}")

    @contextmanager
    def _undoing_refused(self, target: Volume) -> Iterator[None]:
        """Where the array will not complete a clone at all, leave none."""
        try:
            yield
        except (VendorError, LicenceMissing, OutOfSpace, InvalidRequest):
            self.luns.remove(target.id)
            raise


def _failed(what: str, progress: Record) -> BlockDriversError:
    said = str(objects.value(progress, "failure.message", "no reason is told"))
    kind = OutOfSpace if "space" in said.lower() else VendorError
    return kind(f"{what} failed.", vendor_code=str(objects.value(progress, "failure.code", "")), vendor_text=said)
