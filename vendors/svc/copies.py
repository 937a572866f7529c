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
    StaleReference,
    VendorError,
)
from blockdrivers.model import Snapshot, Volume
from vendors.svc import codes, objects
from vendors.svc.client import Refused, SvcClient, present
from vendors.svc.grammar import Call, Section
from vendors.svc.mappings import Begun, Mappings
from vendors.svc.objects import CopyMap
from vendors.svc.variants import Features
from vendors.svc.volumes import Provisioning, Volumes


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
            self._mappings.follow(earlier.id if earlier else begun.map_id, helper)
        except BlockDriversError as error:
            raise self._undone(error, source, helper) from error
        if spec.size > size:
            self._volumes.extend(helper, size, spec.size)
        return self._named(spec, helper)

    def _confirm(self, begun: Begun, spec: VolumeSpec, helper: str) -> None:
        """Raise why the copy did not begin, or that there is such a volume already."""
        if begun.refused is not None:
            raise begun.refused.error
        if begun.answers[0]:
            self.abandon(helper)
            raise AlreadyExists(f"Volume {spec.name!r} exists.")

    def _named(self, spec: VolumeSpec, helper: str) -> Volume:
        """Give a clone that is whole its name. Where the answer is lost, look before all is copied again."""
        rename, whole = Call("chvdisk", helper, {"name": spec.name}, changes=True), self._volumes.detail(spec.name)
        try:
            _, (found,) = self._client.change_and_read(rename, whole)
        except Ambiguous:
            found = self._client.read(whole)[0]
            if not found:
                _, (found,) = self._client.change_and_read(rename, whole)
        except NotFound as gone:
            raise Busy(f"The copy for {spec.name!r} was removed, or named, by somebody else.") from gone
        item, *copies = present(found, f"volume {spec.name!r}")
        return objects.volume(item, copies, [], mapped=False)

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
        map_id = begun.map_id
        if begun.refused is not None:
            map_id = self._after(begun.refused, volume, snapshot)
        note(f"volume {volume.name} is being reverted to {snapshot.name}")
        self._mappings.follow(map_id, volume.name)

    def _after(self, refused: Refused, volume: Volume, snapshot: Snapshot) -> str:
        """Go on with the mapping that an earlier call has made; where the array will not start one, leave none."""
        if isinstance(refused.error, AlreadyExists):
            found = self._earlier(volume, snapshot)
            if found.waits:
                self._mappings.start(found, restore=True)
            return found.id
        if isinstance(refused.error, InvalidRequest | NotSupported | VendorError):
            for left in self._volumes.maps_of_target(volume.name):
                if left.waits and left.source == snapshot.name:
                    self._mappings.discard(left.id)
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
            self._mappings.discard(found.id)
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
        wait_until(lambda: self._step(spec), what=f"the move of volume {volume.name}")
        return replace(volume, pool=spec.pool, thin=spec.thin)

    def _step(self, spec: VolumeSpec) -> bool | None:
        """Do what is next; tell whether the move has ended.

        A mirrored volume is left alone where the array marks a copy that is to go; where it does not, the second copy of a volume
        cannot be told from that of a cut-off move.
        """
        copies = present(self._client.read(self._volumes.detail(spec.name))[0], f"volume {spec.name!r}")[1:]
        primary = next((copy for copy in copies if copy.get("primary") != "no"), copies[0])
        others = [copy for copy in copies if copy is not primary]
        if any(copy.get("auto_delete") == "yes" for copy in copies):
            return None
        if _is_wanted(primary, spec):
            return True
        if not others:
            self._add(spec)
        elif self._marks_old_copy or not _is_wanted(others[0], spec):
            raise InUse(f"Volume {spec.name!r} is mirrored; remove its second copy first.")
        elif others[0].get("sync") != "no":
            self._client.change("rmvdiskcopy", spec.name, copy=primary.text("copy_id"))
        return None

    def _add(self, spec: VolumeSpec) -> None:
        flags = self._kinds.flags(spec.pool, thin=spec.thin)
        try:
            self._client.change("addvdiskcopy", spec.name, mdiskgrp=spec.pool, autodelete=self._marks_old_copy, **flags)
        except NotFound as gone:
            self._volumes.section(spec.name)
            raise StaleReference(f"The array's pool {spec.pool!r} has gone or has another name now.") from gone


def _is_wanted(copy: Section, spec: VolumeSpec) -> bool:
    return copy.text("mdisk_grp_name") == spec.pool and (copy.get("se_copy") == "yes") is spec.thin


def _fits(found: Sequence[Section], spec: VolumeSpec, size: int) -> bool:
    item, *copies = found
    return item.number("capacity") == size and len(copies) == 1 and _is_wanted(copies[0], spec)
