"""LUNs: found by name, made, grown, renamed and removed. Source: protocol sheet, sections 3.2 and 3.3.

The array keeps names apart within one FlexVol only; that an id names one LUN of the whole SVM is seen to by `vendors.netapp.claims`.
Where a cut-off call has left a second LUN, the one that is kept, or the older one, is the volume, and `strays` are leftovers.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from blockdrivers.driver import SnapshotSpec, VolumeSpec
from blockdrivers.errors import AlreadyExists, BlockDriversError, Busy, InvalidRequest, NotFound, StaleReference
from blockdrivers.model import Dependant, Snapshot, Volume, VolumeRef
from vendors.netapp import codes, names, objects
from vendors.netapp.claims import LUNS, Claims
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.names import Base
from vendors.netapp.pools import Pools

_REMEMBERED: Final = 8192


class Places:
    """Where LUNs were last seen: uuid -> name on the array; only where the answer proves both. Snapshots by their names, too."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: OrderedDict[str, str] = OrderedDict()
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    def remember(self, record: Record) -> Record:
        """Keep where a LUN was seen just now; return its record."""
        with self._guard:
            uuid = objects.text(record, "uuid")
            self._seen[uuid] = objects.text(record, "name")
            self._seen.move_to_end(uuid)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return record

    def of(self, uuid: str | None) -> str | None:
        """Return a LUN's name as it was last seen."""
        with self._guard:
            return None if uuid is None else self._seen.get(uuid)

    def forget(self, uuid: str | None) -> None:
        """Drop one LUN."""
        with self._guard:
            self._seen.pop(uuid or "", None)

    def keep(self, snapshot: Snapshot) -> Snapshot:
        """Keep a snapshot as it was seen just now, but for its exports; return it."""
        with self._guard:
            self._snapshots[snapshot.name] = replace(snapshot, exported=False)
            self._snapshots.move_to_end(snapshot.name)
            if len(self._snapshots) > _REMEMBERED:
                self._snapshots.popitem(last=False)
        return snapshot

    def snapshot(self, name: str) -> Snapshot | None:
        """Return a snapshot as it was last seen, where its LUN's place is known."""
        with self._guard:
            found = self._snapshots.get(name)
            return found if found is not None and found.id in self._seen else None


class Luns:
    """The LUNs of one SVM."""

    def __init__(self, client: OntapClient, pools: Pools) -> None:
        self._client = client
        self._pools = pools
        self._claims = Claims(client)
        self.places = Places()

    # Looking

    def volume(self, name: str) -> Volume:
        """Return a volume as it is now, in one query with its snapshots; `NotFound`."""
        return _volume_in(list(self._query(f"{names.volume_pattern(name)}|{names.snapshots_pattern(name)}")), name)

    def snapshot(self, name: str) -> Snapshot:
        """Return a snapshot as it is now; `NotFound`."""
        return self.places.keep(_snapshot_in(list(self._query(names.snapshot_pattern(name))), name))

    def both(self, volume: str, snapshot: str) -> tuple[Volume, Snapshot]:
        """Return a volume and a snapshot as they are now, in one query; `NotFound`."""
        patterns = names.volume_pattern(volume), names.snapshots_pattern(volume), names.snapshot_pattern(snapshot)
        found = list(self._query("|".join(patterns)))
        return _volume_in(found, volume), self.places.keep(_snapshot_in(found, snapshot))

    def recalled(self, name: str) -> Snapshot:
        """Return a snapshot as it was last seen, or as it is now; `NotFound`."""
        return self.places.snapshot(name) or self.snapshot(name)

    def every(self) -> Sequence[Record]:
        """Return every LUN of the SVM."""
        return [self.places.remember(record) for record in self._client.own(LUNS, fields=objects.LUN_FIELDS)]

    def volumes(self) -> Iterator[Volume]:
        """Yield every LUN that is no snapshot; of several with one name the oldest."""
        found = self.every()
        with_snapshots = {objects.base(record).source for record in found if objects.is_snapshot(record)}
        by_name: dict[str, list[Record]] = {}
        for record in found:
            if not objects.is_snapshot(record):
                by_name.setdefault(str(objects.base(record)), []).append(record)
        for name, records in by_name.items():
            # What has two owners is told by whoever asks for it; a listing is not to fail for it.
            yield objects.volume(min(records, key=objects.age), has_snapshots=name in with_snapshots)

    def snapshots(self, volume: str | None = None) -> Iterator[Snapshot]:
        """Yield every snapshot, or those of one volume."""
        found = self.every() if volume is None else self._query(names.snapshots_pattern(volume))
        for record in found:
            if objects.is_snapshot(record) and volume in {None, objects.base(record).source}:
                yield objects.snapshot(record)

    def strays(self) -> Iterator[Volume]:
        """Yield the LUNs that have the name of an older one, in another FlexVol or, snapshots, of another volume."""
        seen: set[tuple[bool, str]] = set()
        for record in sorted(self.every(), key=objects.age):
            key = (objects.is_snapshot(record), objects.base(record).name)
            if key in seen:
                yield objects.volume(record)
            seen.add(key)

    # Making

    def create(self, spec: VolumeSpec) -> Volume:
        """Make an empty LUN."""
        body = {
            "name": names.path(self._pools.known(spec.pool), Base(spec.name)),
            "os_type": "linux",
            "comment": spec.description,
            "space": {"size": spec.size, **provisioned(thin=spec.thin)},
        }
        return objects.volume(self._only(body, spec.pool, spec.size, names.volume_pattern(spec.name), self._pools.several))

    def take(self, spec: SnapshotSpec) -> Snapshot:
        """Take a snapshot: clone a LUN within its FlexVol, which is done at once."""
        source = self.located(spec.source)
        pool = objects.pool_of(source)
        body = {
            "name": names.path(pool, Base(spec.name, spec.source.name)),
            "comment": objects.snapshot_comment(objects.text(source, "uuid"), spec.description),
            "clone": {"source": {key: source[key] for key in ("name", "uuid")}},
            "space": {"guarantee": {"requested": False}},
        }
        try:
            made = self._only(body, pool, 0, names.snapshot_pattern(spec.name), several=True)
        except (NotFound, InvalidRequest) as gone:
            raise self.moved(spec.source, gone) from gone
        return self.places.keep(objects.snapshot(made))

    def clone(self, source: Record, spec: VolumeSpec, comment: str) -> Volume:
        """Make a volume with the blocks of a LUN or snapshot of the same FlexVol; done at once, of the source's size."""
        body = {
            "name": names.path(spec.pool, Base(spec.name)),
            "comment": comment,
            "clone": {"source": {key: source[key] for key in ("name", "uuid")}},
            "space": provisioned(thin=spec.thin),
        }
        return objects.volume(self._only(body, spec.pool, 0, names.volume_pattern(spec.name), self._pools.several))

    def begin_copy(self, source: Record, spec: VolumeSpec) -> Volume:
        """Begin to copy a LUN or snapshot into another FlexVol."""
        body = {
            "name": names.path(self._pools.known(spec.pool), Base(spec.name)),
            "comment": spec.unfinished_description,
            "copy": {"source": {key: source[key] for key in ("name", "uuid")}},
        }
        return objects.volume(self._only(body, spec.pool, spec.size, names.volume_pattern(spec.name), self._pools.several))

    # Changing

    def change(self, uuid: str, body: Record) -> None:
        """Change a LUN's properties."""
        self._client.change("PATCH", f"{LUNS}/{uuid}", body)

    def grow(self, volume: Volume, size: int, comment: str | None = None) -> None:
        """Grow a LUN, and change its comment along with it; one that has the size already is fine."""
        body: dict[str, object] = {"space": {"size": size}} | ({} if comment is None else {"comment": objects.kept(comment)})
        try:
            with self._pools.explaining(volume.pool, size - volume.size):
                self.change(volume.id, body)
        except BlockDriversError as refused:
            if refused.vendor_code != codes.SAME_SIZE:
                raise
            if comment is not None:
                self.change(volume.id, {"comment": objects.kept(comment)})

    def rename(self, uuid: str, pool: str, name: Base, comment: str | None = None) -> None:
        """Give a LUN another name within its FlexVol."""
        described = {} if comment is None else {"comment": objects.kept(comment) if comment else ""}
        self.change(uuid, {"name": names.path(pool, name)} | described)
        self.places.forget(uuid)

    def rename_volume(self, volume: Volume, name: str, comment: str) -> Volume:
        """Rename a volume's LUN, after its snapshots, whose names hold the volume's."""
        if self._pools.several and list(self._query(names.volume_pattern(name))):
            raise AlreadyExists(f"The array has a LUN {name!r}.")
        if Dependant.SNAPSHOT in volume.dependants:
            for record in list(self._query(names.snapshots_pattern(volume.name))):
                if _is_of(record, volume.name):
                    base = Base(objects.base(record).name, name)
                    self.rename(objects.text(record, "uuid"), objects.pool_of(record), base)
        self.rename(volume.id, volume.pool, Base(name), comment)
        return replace(volume, name=name, description=comment, volume_id=None)

    def remove(self, uuid: str) -> None:
        """Delete a LUN; the array refuses one that is mapped."""
        self.places.forget(uuid)
        self._client.change("DELETE", f"{LUNS}/{uuid}")

    def remove_snapshot(self, snapshot: Snapshot) -> None:
        """Delete a snapshot where it was last seen, by uuid and name together, or wherever it is now; the array refuses one that is mapped."""
        place = self.places.of(snapshot.id)
        self.places.forget(snapshot.id)
        if (
            place is not None
            and not names.holds_range(place)
            and names.parse(place.rpartition("/")[2]).name == snapshot.name
            and self._client.change_own("DELETE", LUNS, None, uuid=snapshot.id, name=place)
        ):
            return
        self.remove(self.snapshot(snapshot.name).id)

    # What others build on

    def pool_of(self, snapshot: Snapshot) -> str:
        """Return the FlexVol that a snapshot, read a moment before, is in."""
        place = self.places.of(snapshot.id)
        return place.split("/")[2] if place else self.pool_of(self.snapshot(snapshot.name))

    def located(self, source: VolumeRef) -> Record:
        """Return name and uuid of a volume's LUN: from memory, which the request that uses them proves, or as it is now."""
        remembered = self.places.of(source.id)
        if source.id is not None and remembered is not None and names.parse(remembered.rpartition("/")[2]) == Base(source.name):
            return {"uuid": source.id, "name": remembered}
        volume = self.volume(source.name)
        return {"uuid": volume.id, "name": names.path(volume.pool, Base(volume.name))}

    def moved(self, source: VolumeRef, refused: BlockDriversError) -> BlockDriversError:
        """Return `StaleReference` where a refusal may come of a place that was only remembered, and the refusal itself otherwise."""
        if source.id is None or self.places.of(source.id) is None:
            return refused
        self.places.forget(source.id)
        return StaleReference(f"LUN {source.name!r} is not where it was seen last.")

    def made(self, body: Record, pool: str, needed: int) -> Record:
        """Send a creation and return the LUN as it stands; a creation that was a job is read back."""
        with self._pools.explaining(pool, needed):
            made = self._client.make(LUNS, body)
        if objects.value(made, "serial_number") is None:
            there = list(self._client.own(LUNS, name=str(body["name"]), fields=objects.LUN_FIELDS))
            if not there:
                raise Busy(f"The LUN {body['name']!r} was made and is not there any more.")
            (made,) = there
        return self.places.remember(made)

    def _only(self, body: Record, pool: str, needed: int, pattern: str, several: bool) -> Record:
        """Make a LUN that is the only one of its name where others may be `several`."""
        try:
            made = self.made(body, pool, needed)
        except AlreadyExists:
            if several:
                self._claims.keep(pattern, names.parse(str(body["name"]).rpartition("/")[2]))
            raise
        if several:
            try:
                self._claims.alone(made, pattern)
            except AlreadyExists:
                self.places.forget(objects.text(made, "uuid"))
                raise
        return made

    def _query(self, pattern: str) -> Iterable[Record]:
        return map(self.places.remember, self._client.own(LUNS, name=pattern, fields=objects.LUN_FIELDS))


def provisioned(*, thin: bool) -> Record:
    """Return what is said of a LUN's space: reserved or not, and that hosts may give it back."""
    return {"guarantee": {"requested": not thin}, "scsi_thin_provisioning_support_enabled": True}


def _volume_in(found: Sequence[Record], name: str) -> Volume:
    there = _eldest([record for record in found if objects.base(record) == Base(name)])
    if there is None:
        raise NotFound(f"The array has no LUN {name!r}.")
    return objects.volume(there, has_snapshots=any(_is_of(record, name) for record in found))


def _snapshot_in(found: Sequence[Record], name: str) -> Snapshot:
    there = _eldest([record for record in found if objects.is_snapshot(record) and objects.base(record).name == name])
    if there is None:
        raise NotFound(f"The array has no LUN that is a snapshot {name!r}.")
    return objects.snapshot(there)


def _is_of(record: Record, volume: str) -> bool:
    return objects.is_snapshot(record) and objects.base(record).source == volume


def _eldest(found: Sequence[Record]) -> Record | None:
    """Return the LUN that a name stands for, where a cut-off call may have left another one."""
    if len(found) < 2:  # noqa: PLR2004
        return found[0] if found else None
    first, second, *_ = sorted(found, key=objects.age)
    if objects.age(first)[:2] == objects.age(second)[:2]:
        paths = " and ".join(objects.text(record, "name") for record in (first, second))
        raise Busy(f"{paths} have one name and are of one moment; if that stays so, remove the one that is not used.")
    return first
