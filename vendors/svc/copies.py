"""Full copies: clones, reverts and moves. Source: IBM sheet, sections 3.5 and 3.10; Inspur sheet, 3.3 and 3.4.

This family has no field for a note on a volume, so a clone bears a helper's name until it is whole; its renaming is the last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import Source, VolumeSpec
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    BlockDriversError,
    Busy,
    InUse,
    InvalidRequest,
    LimitReached,
    NotFound,
    NotSupported,
    OutOfSpace,
    ProtocolError,
    StaleReference,
    VendorError,
)
from blockdrivers.model import Snapshot, Volume
from vendors.svc import codes, objects
from vendors.svc.client import Refused, SvcClient, present
from vendors.svc.grammar import Ask, Call, Section
from vendors.svc.mappings import Begun, Mappings
from vendors.svc.objects import CopyMap
from vendors.svc.variants import Features
from vendors.svc.volumes import Provisioning, Volumes

_FIRST_LOOK = 0.05
"""Seconds after which a move is looked at that had not ended when it was begun."""


class Clones:
    """Independent volumes with the bytes of others."""

    def __init__(self, client: SvcClient, volumes: Volumes, mappings: Mappings, kinds: Provisioning) -> None:
        self._client = client
        self._volumes = volumes
        self._mappings = mappings
        self._kinds = kinds

    def make(self, source: Source, spec: VolumeSpec, helper: str) -> Volume:
        """Copy a volume or snapshot and return the clone when every byte is there.

        A helper without a mapping holds nothing that could be told apart, so an earlier call's is made anew.
        """
        size = spec.source_size or spec.size
        making = Call("mkvdisk", flags=self._kinds.new(helper, spec.pool, size, thin=spec.thin), changes=True)
        whole = self._volumes.detail(spec.name)
        begun = self._mappings.begin(source.name, helper, copies=True, before=[making], also=[whole])
        earlier: CopyMap | None = None
        if begun.refused is not None and begun.refused.position == 0:
            earlier = self._earlier(begun.refused, source, spec, helper, size)
        try:
            if earlier is None:
                self._confirm(begun, spec, helper)
            elif earlier.waits:
                self._mappings.start(earlier)
            done: CopyMap | None = self._mappings.complete(earlier or _made(begun))
            if done is not None and (spec.size > size or done.status == "copying"):
                # It cannot go along with the renaming: what grows is in no mapping, and what others hold is stopped first.
                self._mappings.take_down(done)
                done = None
        except BlockDriversError as error:
            raise self._undone(error, source, helper) from error
        if spec.size > size:
            self._volumes.extend(helper, size, spec.size)
        return self._named(spec, helper, done)

    def _confirm(self, begun: Begun, spec: VolumeSpec, helper: str) -> None:
        """Raise why the copy did not begin, or that there is such a volume already."""
        if begun.refused is not None:
            raise begun.refused.error
        if begun.answers[0]:
            self.abandon(helper)
            raise AlreadyExists(f"Volume {spec.name!r} exists.")

    def _named(self, spec: VolumeSpec, helper: str, done: CopyMap | None) -> Volume:
        """Give a clone that is whole its name, and remove its mapping where it still has one.

        In this order: while the name is not given, the mapping tells that the bytes are there. One that stays behind a clone that
        has its name hinders nothing. Where the answer is lost, look before all is copied again.
        """
        calls = [Call("chvdisk", helper, {"name": spec.name}, changes=True)]
        if done is not None:
            calls.append(self._mappings.removing(done))
        whole = self._volumes.detail(spec.name)
        refused, found = self._carried_out(calls, whole)
        if refused is not None and refused.position == 0:
            raise self._unnamed(refused.error, spec, helper) from refused.error
        if found is None:
            # It has its name; what became of the mapping is open.
            if done is not None:
                self._mappings.take_down(done)
            found = self._client.read(whole)[0]
        item, *copies = present(found, f"volume {spec.name!r}")
        return objects.volume(item, copies, [], mapped=False)

    def _carried_out(self, calls: Sequence[Call], whole: Ask) -> tuple[Refused | None, Sequence[Section] | None]:
        """Send the last changes of a clone; return the first refusal, or else the clone where nothing is open."""
        try:
            refused, answers = self._client.carry_out(calls, whole)
        except Ambiguous:
            if self._client.read(whole)[0]:
                return None, None
            refused, answers = self._client.carry_out(calls, whole)
        return refused, None if refused else answers[0]

    def _unnamed(self, error: BlockDriversError, spec: VolumeSpec, helper: str) -> BlockDriversError:
        """Return what to raise where a clone could not be given its name."""
        if isinstance(error, NotFound):
            return Busy(f"The copy for {spec.name!r} was removed, or named, by somebody else.")
        if isinstance(error, AlreadyExists):
            self.abandon(helper)
        return error

    def abandon(self, helper: str) -> None:
        """Remove a clone that is not whole, its mapping included; an absent one counts as removed."""
        with suppress(NotFound):
            self._client.change("rmvdisk", helper, force=True)

    def _earlier(self, refused: Refused, source: Source, spec: VolumeSpec, helper: str, size: int) -> CopyMap:
        """Return the mapping that an earlier call for the same clone has made, or raise why there can be no helper."""
        if isinstance(refused.error, NotFound):
            raise StaleReference(f"The array's pool {spec.pool!r} has gone or has another name now.") from refused.error
        if not isinstance(refused.error, AlreadyExists):
            if self._client.read(self._volumes.detail(spec.name))[0]:
                # Nothing was needed: not the space that there may be too little of, either.
                raise AlreadyExists(f"Volume {spec.name!r} exists.") from refused.error
            raise refused.error
        asks = (self._volumes.detail(spec.name), self._volumes.detail(helper), self._volumes.maps(target_vdisk_name=helper))
        whole, found, rows = self._client.read(*asks)
        copying = next(iter(objects.copy_maps(rows)), None)
        if whole:
            self.abandon(helper)
            raise AlreadyExists(f"Volume {spec.name!r} exists.")
        usable = copying is not None and copying.source == source.name and copying.status not in {"stopping", "stopped"}
        if copying is None or not usable or not found or not _fits(found, spec, size):
            self.abandon(helper)
            raise Busy(f"An unfinished copy for {spec.name!r} was in the way and has been removed.")
        return copying

    def _undone(self, error: BlockDriversError, source: Source, helper: str) -> BlockDriversError:
        """Where the array will not copy at all, remove the helper; return what to raise."""
        if isinstance(error, InvalidRequest) and error.vendor_code == codes.SIZES_DIFFER:
            self.abandon(helper)
            return InvalidRequest(f"{source.name!r} grew while it was to be copied; ask again.")
        if isinstance(error, NotFound | VendorError | InvalidRequest | OutOfSpace | LimitReached | NotSupported):
            self.abandon(helper)
        if isinstance(error, NotFound) and self._client.read(self._volumes.detail(source.name))[0]:
            return Busy(f"The copy onto {helper!r} was removed while it was made.")
        return error


class Reverts:
    """Volumes put back to one of their snapshots."""

    def __init__(self, volumes: Volumes, mappings: Mappings) -> None:
        self._volumes = volumes
        self._mappings = mappings

    def run(self, volume: Volume, snapshot: Snapshot) -> None:
        """Copy a snapshot's bytes back and return when all are there."""
        begun = self._mappings.begin(snapshot.name, volume.name, copies=True, restore=True)
        made = _made(begun) if begun.refused is None else self._after(begun.refused, volume, snapshot)
        note(f"volume {volume.name} is being reverted to {snapshot.name}")
        self._mappings.take_down(self._mappings.complete(made))

    def _after(self, refused: Refused, volume: Volume, snapshot: Snapshot) -> CopyMap:
        """Go on with the mapping that an earlier call has made; where the array will not start one, leave none."""
        if isinstance(refused.error, AlreadyExists):
            found = self._earlier(volume, snapshot)
            if found.waits:
                self._mappings.start(found, restore=True)
            return found
        if isinstance(refused.error, InvalidRequest | NotSupported | VendorError):
            for left in self._volumes.maps_of_target(volume.name):
                if left.waits and left.source == snapshot.name:
                    self._mappings.discard(left.name)
        raise refused.error

    def _earlier(self, volume: Volume, snapshot: Snapshot) -> CopyMap:
        """Return the mapping onto the volume that an earlier call has made."""
        found = next(iter(self._volumes.maps_of_target(volume.name)), None)
        if found is None:
            raise Busy(f"A revert of {volume.name!r} ended while this one began.")
        if found.source == snapshot.name and found.status != "stopped":
            return found
        if found.is_complete:
            # Of a cut-off revert to another snapshot, all bytes are back and only its mapping is left.
            self._mappings.take_down(found)
        elif found.waits or found.status == "stopped":
            self._mappings.discard(found.name)
        else:
            raise InUse(f"Volume {volume.name!r} is being copied to from {found.source!r}; wait until that has ended.")
        raise Busy(f"What was left of a revert of {volume.name!r} to {found.source!r} has been removed.")


class Moves:
    """Volumes moved to another pool or kind under their hosts' feet, through a second copy."""

    def __init__(self, client: SvcClient, volumes: Volumes, kinds: Provisioning, features: Features) -> None:
        self._client = client
        self._volumes = volumes
        self._kinds = kinds
        self._marks_old_copy = features.autodelete_copy

    def run(self, volume: Volume, spec: VolumeSpec) -> Volume:
        """Return the volume once it is where and what was asked for."""
        note(f"the move of volume {volume.name} is under way")
        is_there = (volume.pool, volume.thin) == (spec.pool, spec.thin)
        copies = self._copies(spec) if is_there else self._begun(spec)
        if not self._ended(copies, spec):
            what = f"the move of volume {volume.name}"
            wait_until(lambda: self._ended(self._copies(spec), spec), what=what, delay=_FIRST_LOOK)
        return replace(volume, pool=spec.pool, thin=spec.thin)

    def _begun(self, spec: VolumeSpec) -> Sequence[Section]:
        """Add the copy that the volume is to become; return the copies.

        Where the array refuses, another call's copy may be in the way, or have been: what is shown then is gone by, and a volume
        that has one copy gets its second again.
        """
        try:
            return self._added(spec)
        except (InUse, InvalidRequest, LimitReached, OutOfSpace, VendorError):
            return self._copies(spec)

    def _ended(self, copies: Sequence[Section], spec: VolumeSpec) -> bool | None:
        """Tell whether the move has ended; None where it has not. What it takes meanwhile is done.

        A mirrored volume is left alone where the array marks a copy that is to go; where it does not, the second copy of a volume
        cannot be told from that of a cut-off move.
        """
        primary = next((copy for copy in copies if copy.get("primary") != "no"), copies[0])
        others = [copy for copy in copies if copy is not primary]
        if any(copy.get("auto_delete") == "yes" for copy in copies):
            return None
        if _is_wanted(primary, spec):
            return True
        if not others:
            return self._ended(self._added(spec), spec)
        if self._marks_old_copy or not _is_wanted(others[0], spec):
            raise InUse(f"Volume {spec.name!r} is mirrored; remove its second copy first.")
        if others[0].get("sync") == "no":
            return None
        old = {"copy": primary.text("copy_id")}
        return self._ended(self._changed(Call("rmvdiskcopy", spec.name, old, changes=True), spec), spec)

    def _added(self, spec: VolumeSpec) -> Sequence[Section]:
        flags = {"mdiskgrp": spec.pool, "autodelete": self._marks_old_copy, **self._kinds.flags(spec.pool, thin=spec.thin)}
        try:
            return self._changed(Call("addvdiskcopy", spec.name, flags, changes=True), spec)
        except NotFound as gone:
            self._volumes.section(spec.name)
            raise StaleReference(f"The array's pool {spec.pool!r} has gone or has another name now.") from gone

    def _changed(self, call: Call, spec: VolumeSpec) -> Sequence[Section]:
        """Change a volume's copies and return them as they are then."""
        _, (found,) = self._client.change_and_read(call, self._volumes.detail(spec.name))
        return _copies_of(found, spec)

    def _copies(self, spec: VolumeSpec) -> Sequence[Section]:
        return _copies_of(self._client.read(self._volumes.detail(spec.name))[0], spec)


def _copies_of(found: Sequence[Section] | None, spec: VolumeSpec) -> Sequence[Section]:
    _, *copies = present(found, f"volume {spec.name!r}")
    if not copies:
        raise ProtocolError(f"The array shows no copy of volume {spec.name!r}.")
    return copies


def _made(begun: Begun) -> CopyMap:
    """Return the mapping of a copy that was not refused."""
    if begun.made is None:
        raise ProtocolError("The array neither made a copy mapping nor refused it.")
    return begun.made


def _is_wanted(copy: Section, spec: VolumeSpec) -> bool:
    return copy.text("mdisk_grp_name") == spec.pool and (copy.get("se_copy") == "yes") is spec.thin


def _fits(found: Sequence[Section], spec: VolumeSpec, size: int) -> bool:
    item, *copies = found
    return item.number("capacity") == size and len(copies) == 1 and _is_wanted(copies[0], spec)
