"""Snapshots: thin volumes that a copy mapping without background copy joins to their source. Source: sheets, as in `mappings`.

A snapshot is made in three steps (target, mapping, start). Each finds what an earlier, cut-off call left, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    BlockDriversError,
    Busy,
    DeadlineExceeded,
    InUse,
    NotFound,
    StaleReference,
    TransportError,
)
from blockdrivers.model import Snapshot, Volume, VolumeRef
from blockdrivers.naming import Kind, kind_of
from vendors.svc import codes, objects
from vendors.svc.client import BYTES, Refused, SvcClient, present
from vendors.svc.grammar import Ask, Call, Section
from vendors.svc.mappings import Begun, Mappings
from vendors.svc.objects import CopyMap
from vendors.svc.variants import Variant
from vendors.svc.volumes import Provisioning, Volumes


@dataclass(frozen=True, slots=True)
class _Target:
    """A snapshot's volume, made or found, and its mapping where it has one."""

    spec: SnapshotSpec
    source: Section
    taken: CopyMap | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it holds a point in time."""
        return self.taken is not None and self.taken.holds_moment


class Snapshots:
    """The snapshots of an array."""

    def __init__(
        self, client: SvcClient, variant: Variant, volumes: Volumes, mappings: Mappings, provisioning: Provisioning
    ) -> None:
        self._client = client
        self._stem = variant.stem
        self._volumes = volumes
        self._mappings = mappings
        self._provisioning = provisioning

    # Reading

    def get(self, name: str) -> Snapshot:
        """Return a snapshot, or raise `NotFound`."""
        found, rows, mappings = self._client.read(*self._asks(name), Ask("lsvdiskhostmap", name))
        return self._read(name, found, rows, mapped=bool(mappings))

    def look_up(self, name: str) -> Snapshot:
        """Return the same without a look at who sees it."""
        found, rows = self._client.read(*self._asks(name))
        return self._read(name, found, rows, mapped=False)

    def look_up_with(self, name: str, volume: str) -> tuple[Snapshot, Volume]:
        """Return a snapshot and a volume with the hosts that see that, in one round trip over SSH."""
        mapped = Ask("lsvdiskhostmap", volume)
        found, rows, item, mappings = self._client.read(*self._asks(name), self._volumes.detail(volume), mapped)
        shown = self._volumes.shown(volume, item, mappings)
        return self._read(name, found, rows, mapped=False), shown

    def _asks(self, name: str) -> tuple[Ask, Ask]:
        return self._volumes.detail(name), self._volumes.maps(target_vdisk_name=name)

    @staticmethod
    def _read(name: str, found: Sequence[Section] | None, rows: Sequence[Section] | None, *, mapped: bool) -> Snapshot:
        item = present(found, f"snapshot {name!r}")[0]
        taken = next(iter(objects.copy_maps(rows)), None)
        if taken is None and kind_of(name) is not Kind.SNAPSHOT:
            raise NotFound(f"The array's volume {name!r} is no snapshot.")
        return objects.snapshot(item, taken, mapped=mapped)

    def every(self, source: VolumeRef | None) -> Iterator[Snapshot]:
        """Yield the snapshots of one volume, or all."""
        of_source = {} if source is None else {"source_vdisk_name": source.name}
        asks = (Ask("lsvdisk", flags=BYTES), self._volumes.maps(**of_source), Ask("lshostvdiskmap"))
        rows, mapped_rows, mappings = self._client.read(*asks)
        taken = {found.target_id: found for found in objects.copy_maps(mapped_rows) if found.is_snapshot}
        seen = {row.text("vdisk_id") for row in mappings or ()}
        for row in rows or ():
            identifier = row.text("id")
            unfinished = source is None and kind_of(row.text("name")) is Kind.SNAPSHOT
            if identifier in taken or unfinished:
                yield objects.snapshot(row, taken.get(identifier), mapped=identifier in seen)

    # One snapshot

    def create(self, spec: SnapshotSpec) -> Snapshot:
        """Take a snapshot and return it once it holds its moment."""
        target = _Target(spec, self._volumes.section(spec.source.name))
        try:
            begun = self._begin(target, self._making(target))
            return self._taken(begun, target) or self._continued(self._after(begun.refused, target))
        except BlockDriversError as error:
            self._undo_refused(error, [target])
            raise

    def _continued(self, target: _Target) -> Snapshot:
        """Complete what an earlier, cut-off call for the same snapshot has begun."""
        if target.is_complete:
            raise AlreadyExists(f"Snapshot {target.spec.name!r} exists.")
        if target.taken is not None:
            return _snapshot(self._mappings.start(target.taken), target)
        begun = self._begin(target)
        return self._taken(begun, target) or self._explain(begun.refused, target, joining=0)

    def _begin(self, target: _Target, *before: Call) -> Begun:
        """Give a snapshot's volume its mapping and moment, and read it."""
        source, name = target.spec.source.name, target.spec.name
        return self._mappings.begin(source, name, copies=False, before=before, also=[self._volumes.detail(name)])

    def _taken(self, begun: Begun, target: _Target) -> Snapshot | None:
        """Return a snapshot that holds its moment; None where its mapping was refused."""
        if begun.refused is not None:
            return None
        if not begun.answers[0]:
            raise Busy(f"Snapshot {target.spec.name!r} was removed while it was made.")
        return _snapshot(begun.answers[0][0], target)

    def delete_unused(self, name: str) -> None:
        """Delete a snapshot; `InUse` while a host sees it or bytes are copied from it.

        A copy that begins in between is not taken for complete: its mapping goes with the snapshot, and it says so.
        """
        mappings, rows = self._client.read(Ask("lsvdiskhostmap", name), self._volumes.maps(source_vdisk_name=name))
        if mappings:
            raise InUse(f"Snapshot {name!r} is exported.")
        if any(not found.is_complete for found in objects.copy_maps(rows)):
            raise InUse(f"Snapshot {name!r} is being copied from; wait until that has ended.")
        self.delete(name)

    def delete(self, name: str) -> None:
        """Delete a snapshot's volume with its mappings (``rmvdisk -force``); `NotFound` when it has gone."""
        self._client.change("rmvdisk", name, force=True)

    # Several at one moment

    def create_group(self, specs: Sequence[SnapshotSpec]) -> list[Snapshot]:
        """Take snapshots of several volumes at one moment, through a consistency group that is gone afterwards."""
        items = self._sources(specs)
        group = group_of(specs)
        made: list[_Target] = []
        try:
            made.append(self._first_member(specs[0], items[0], group))
            for spec, item in zip(specs[1:], items[1:], strict=True):
                made.append(self._member(spec, item, group))
            found = self._mappings.start_group(group, *(self._volumes.detail(spec.name) for spec in specs))
        except BlockDriversError as error:
            if self._undo_refused(error, made):
                self.remove_group(group)
            raise
        self.remove_group(group)
        snapshots = [present(each, "snapshot")[0] for each in found]
        return [_snapshot(item, target) for item, target in zip(snapshots, made, strict=True)]

    def _sources(self, specs: Sequence[SnapshotSpec]) -> list[Section]:
        """Return the volumes that are to be taken, once none of them has its snapshot yet; nothing is made before."""
        asks = [self._volumes.detail(spec.source.name) for spec in specs]
        asks += [self._volumes.maps(target_vdisk_name=spec.name) for spec in specs]
        answers = self._client.read(*asks)
        maps = [found for rows in answers[len(specs) :] for found in objects.copy_maps(rows)]
        taken = [found.target for found in maps if found.holds_moment]
        if len(taken) == len(specs):
            self.remove_group(group_of(specs))
            raise AlreadyExists("Every snapshot of the group exists.")
        if taken:
            for unfinished in (found.target for found in maps if not found.holds_moment):
                self._gone(unfinished)
            self.remove_group(group_of(specs))
            differences: Mapping[str, tuple[object, object]] = dict.fromkeys(taken, ("taken with the group", "taken before"))
            raise AlreadyExists(
                f"Snapshots {', '.join(taken)} were taken at another moment; use other ids.", differences=differences
            )
        named = zip(answers, specs, strict=False)
        return [present(found, f"volume {spec.source.name!r}")[0] for found, spec in named]

    def remove_group(self, name: str) -> None:
        """Remove a consistency group; its mappings go on without it. An absent one counts as removed.

        Where the answer is lost it is removed again: whoever looks for the snapshots finds them whole, and asks no more.
        """
        try:
            self._ungroup(name)
        except Ambiguous:
            if not any(group.text("name") == name for group in self._client.rows(f"ls{self._stem}consistgrp")):
                return
            self._ungroup(name)

    def _ungroup(self, name: str) -> None:
        with suppress(NotFound):
            self._client.change(f"rm{self._stem}consistgrp", name, force=True)

    def _first_member(self, spec: SnapshotSpec, source: Section, group: str) -> _Target:
        """Make the group, and the first snapshot's volume and mapping in it, in one round trip over SSH."""
        target = _Target(spec, source)
        joining = self._mappings.joining(spec.source.name, spec.name, copies=False, group=group)
        forming = Call(f"mk{self._stem}consistgrp", flags={"name": group}, changes=True)
        refused, _ = self._client.carry_out([self._making(target), forming, joining])
        if refused is None:
            return target
        if refused.position > 1:
            self._explain(refused, target, joining=2)
        made = [target] if refused.position == 1 else []
        if not made:
            # The group may have been made all the same.
            refused, _ = self._client.carry_out([forming])
        if refused is not None and not isinstance(refused.error, AlreadyExists):
            self._undo_refused(refused.error, made)
            raise refused.error
        # A group that is there is an earlier call's, cut off.
        return self._member(spec, source, group)

    def _member(self, spec: SnapshotSpec, source: Section, group: str) -> _Target:
        """Make a snapshot's volume and its mapping in the group, or find them."""
        target = _Target(spec, source)
        joining = self._mappings.joining(spec.source.name, spec.name, copies=False, group=group)
        refused, _ = self._client.carry_out([self._making(target), joining])
        if refused is None:
            return target
        target = self._after(refused, target)
        if target.is_complete:
            raise Busy(f"Snapshot {spec.name!r} was taken while its group was prepared.")
        if target.taken is None:
            refused, _ = self._client.carry_out([joining])
            if refused is not None:
                self._explain(refused, target, joining=0)
        elif target.taken.group != group:
            self._gone(spec.name)
            raise Busy(f"An unfinished snapshot {spec.name!r} of another call was in the way and has been removed.")
        return target

    # Steps

    def _making(self, target: _Target) -> Call:
        """Return the call that makes a snapshot's volume."""
        pool, size = self._pool(target.source), target.source.number("capacity")
        flags = self._provisioning.new(target.spec.name, pool, size, thin=True, plain=True)
        return Call("mkvdisk", flags=flags, changes=True)

    def _after(self, refused: Refused | None, target: _Target) -> _Target:
        """Return what an earlier call has left of a snapshot whose volume is there already, or raise what else was refused."""
        if refused is None or refused.position > 0:
            self._explain(refused, target, joining=1)
        elif isinstance(refused.error, NotFound):
            raise StaleReference("The array's pool has gone or has another name now.") from refused.error
        elif not isinstance(refused.error, AlreadyExists):
            raise refused.error
        return self._found(target.spec, target.source)

    def _explain(self, refused: Refused | None, target: _Target, *, joining: int) -> NoReturn:
        """Raise why a mapping was refused; it was the change at position `joining`, and its start the next."""
        source, name = target.spec.source.name, target.spec.name
        if refused is None:
            raise Busy(f"Snapshot {name!r} was removed while it was made.")
        if refused.position == joining and isinstance(refused.error, NotFound):
            # Source or target went meanwhile; which one, decides what a repeat meets.
            self._gone(name)
            self._volumes.section(source)
            raise Busy(f"Snapshot {name!r} was removed while it was made.") from refused.error
        if refused.error.vendor_code == codes.SIZES_DIFFER:
            self._gone(name)
            raise Busy(f"Volume {source!r} grew while its snapshot was made.") from refused.error
        raise refused.error

    def _pool(self, source: Section) -> str:
        """Return the pool of a volume; one whose copies are in two pools tells it in their sections only."""
        if not objects.lies_in_two_pools(source):
            return source.text("mdisk_grp_name")
        _, *copies = present(self._client.read(self._volumes.detail(source.text("name")))[0], "volume")
        return next(copy.text("mdisk_grp_name") for copy in copies if copy.get("primary") != "no")

    def _found(self, spec: SnapshotSpec, source: Section) -> _Target:
        found, rows = self._client.read(self._volumes.detail(spec.name), self._volumes.maps(target_vdisk_name=spec.name))
        if not found:
            raise Busy(f"Snapshot {spec.name!r} was there a moment ago and is not now.")
        taken = next(iter(objects.copy_maps(rows)), None)
        target = _Target(spec, source, taken)
        if taken is None and found[0].number("capacity") == source.number("capacity"):
            return target
        if taken is not None and taken.source == spec.source.name and taken.status != "stopped":
            return target
        if target.is_complete:
            # It is another volume's; whoever asks compares and says so.
            raise AlreadyExists(f"Snapshot {spec.name!r} exists, of volume {taken.source if taken else ''!r}.")
        self._gone(target.spec.name)
        raise Busy(f"An unfinished snapshot {spec.name!r} was in the way and has been removed.")

    def _undo_refused(self, error: BlockDriversError, made: Sequence[_Target]) -> bool:
        """Where the array has refused for good, remove what holds no moment; tell whether it has."""
        if isinstance(error, Busy | Ambiguous | TransportError | StaleReference | DeadlineExceeded):
            return False
        if isinstance(error, AlreadyExists) and not error.differences:
            return False
        for target in made:
            if not target.is_complete:
                self._gone(target.spec.name)
        return True

    def _gone(self, name: str) -> None:
        with suppress(NotFound):
            self.delete(name)


def group_of(specs: Sequence[SnapshotSpec]) -> str:
    """Return the name of the consistency group for these snapshots: the same for a repeat."""
    first = specs[0].name
    return f"bd{Kind.GROUP}{first[3:]}" if kind_of(first) is not None else f"bd{Kind.GROUP}l-{first}"[:31]


def _snapshot(item: Section, target: _Target) -> Snapshot:
    """Return a snapshot that was made just now."""
    return Snapshot(
        id=item.text("id"),
        name=target.spec.name,
        size=item.number("capacity"),
        source_id=target.source.text("id"),
        source_name=target.spec.source.name,
        wwn=item.get("vdisk_UID").lower() or None,
    )
