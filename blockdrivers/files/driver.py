"""The driver contract for volumes that are files; see `blockdrivers.files`."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from blockdrivers.driver import Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, NotFound, StaleReference
from blockdrivers.files.drafts import Drafts, caller, draft_of, not_taken_away
from blockdrivers.files.moves import Moves
from blockdrivers.files.places import Places, is_of, wherever
from blockdrivers.files.store import (
    AWAY,
    FROM,
    MOVE,
    Entry,
    FileStore,
    by_volume,
    hanging,
    is_draft,
    is_hung,
    is_note,
    is_snapshot,
    is_taken,
    is_use,
    parts,
    volume_of,
)
from blockdrivers.model import (
    Dependant,
    Export,
    Host,
    InitiatorFacts,
    Leftover,
    Protocol,
    Snapshot,
    SnapshotRef,
    Volume,
    VolumeRef,
    VolumeState,
)
from blockdrivers.naming import Kind, kind_of

_LEGAL = re.compile(r"[A-Za-z0-9_.-]+")
_REMEMBERED = 8192


class FilesDriver(Driver):
    """Volumes that are files; what is left to a family are capabilities, facts and pools."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._places = Places(store)
        self._drafts = Drafts(store, self._places)
        self._moves = Moves(store, self._places, self._drafts)
        self._guard = threading.Lock()
        self._admitted: set[tuple[str, str, tuple[str, ...]]] = set()
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    def initiators(self) -> Sequence[InitiatorFacts]:
        """There are none."""
        return ()

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """Make a draft, and publish it."""
        draft = draft_of(spec.name)
        with self._drafts.discarding(self._store.known(spec.pool), draft):
            with not_taken_away(spec.name):
                self._store.draft(spec.pool, draft, spec.size, thin=spec.thin)
            return self._published(spec, draft, None)

    def get_volume(self, name: str) -> Volume:
        """Return the file of that name with what hangs on it, from the share that it was last seen in or from any."""
        entry, others = self._places.find(_checked(name))
        return self._volume(entry, others)

    def list_volumes(self) -> Iterable[Volume]:
        """Yield every file that is no snapshot, of several with one name the first."""
        listed: set[str] = set()
        moving: set[str] = set()
        for pool in self._store.pools():
            entries = list(self._store.entries(pool, ["*"]))
            hung = by_volume(entries)
            moving |= {str(parts(entry)[1]) for entry in entries if is_note(entry, MOVE, FROM) or is_draft(entry.name)}
            for entry in entries:
                name = volume_of(entry)
                if name is not None and name not in listed:
                    listed.add(name)
                    yield self._volume(replace(entry, name=name), hung.get(name, ()))
        # One that has come to a share that was read before it was there.
        for name in sorted(moving - listed):
            if kind_of(name) is not Kind.SNAPSHOT:
                with suppress(NotFound):
                    yield self.get_volume(name)

    def extend_volume(self, volume: Volume, size: int) -> None:
        """Grow a file."""
        with self._places.there(volume):
            self._store.resize(Entry(volume.name, volume.pool, volume.id, volume.size, volume.thin), size)

    def delete_volume(self, volume: Volume) -> None:
        """Take the volume's name away, and remove its file where nothing hangs on it: `InUse`."""
        away = Entry(hanging(f"{AWAY}{caller()}", volume.name), volume.pool, qos_id=volume.qos_id)
        with self._places.there(volume):
            self._store.take_away(replace(away, name=volume.name), away.name)
        found = [
            entry for entry in self._store.entries(volume.pool, [hanging("*", volume.name)]) if parts(entry)[1] == volume.name
        ]
        users = [parts(entry)[0] for entry in found if is_hung(entry)]
        if users:
            self._places.put_back(away)
            raise InUse(f"Volume {volume.name!r} is used by {', '.join(users)} and was not deleted.")
        self._places.stop_moves(found)
        undo = self._before_removal(volume)
        try:
            self._store.delete(volume.pool, away.name)
        except NotFound as back:
            undo()
            raise StaleReference(
                f"Somebody has looked for {volume.name!r} while it was to be deleted, and has put it back."
            ) from back
        self._places.forget(volume.name)

    def _before_removal(self, volume: Volume) -> Callable[[], None]:
        """Remove what goes with a volume that nothing hangs on; return what makes it again, should somebody put the volume back even so."""
        return lambda: None

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Clone or copy into a draft, and publish it."""
        pool, name = self._places.of(source)
        draft = draft_of(spec.name)
        try:
            with self._drafts.discarding(self._store.known(spec.pool), draft):
                if pool != spec.pool:
                    self._store.copy(pool, name, spec.pool, draft)
                else:
                    self._store.clone(pool, name, draft, overwrite=True)
                return self._published(spec, draft, source)
        except NotFound as gone:
            if isinstance(source, VolumeRef):
                raise self._places.gone(source.name, gone) from gone
            self._forget_snapshot(source.name)
            raise

    def _published(self, spec: VolumeSpec, draft: str, source: Source | None) -> Volume:
        """Publish a draft once nothing in any share stands against it."""
        mine = self._drafts.alone(spec.pool, spec.name, draft)
        if isinstance(source, SnapshotRef) and mine.size != spec.source_size:
            raise NotFound(f"The snapshot {source.name!r} is another one than before.")
        if source is not None and mine.size > spec.size:
            raise InvalidRequest(f"{source.name!r} has grown to {mine.size} bytes meanwhile; the clone was to have {spec.size}.")
        with not_taken_away(spec.name):
            made = self._store.publish(mine, spec.name, spec.size, thin=spec.thin)
        self._places.remember(made)
        return self._volume(made, ())

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Nothing that is unfinished has a volume's name."""

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """Clone a file within its share."""
        pool = self._places.pool_of(spec.source)

        def clone(draft: str) -> None:
            self._store.clone(pool, spec.source.name, draft, overwrite=True)

        return self._snapshot(self._take_snapshot(pool, spec, clone))

    def _take_snapshot(self, pool: str, spec: SnapshotSpec, clone: Callable[[str], None]) -> Entry:
        """Publish a snapshot that is cloned into a draft, and make sure that its volume is there still, in that share."""
        name = hanging(spec.name, spec.source.name)
        try:
            made = self._drafts.publish_snapshot(pool, spec.name, spec.source.name, clone)
        except NotFound as gone:
            raise self._places.gone(spec.source.name, gone) from gone
        there = self._places.present(pool, spec.source.name, [name])
        if spec.source.name not in there:
            # It was deleted meanwhile, renamed or moved.
            self._places.remove(pool, name)
            self._places.forget(spec.source.name)
            raise StaleReference(f"File {spec.source.name!r} is not where it was seen last.")
        if name not in there:
            raise StaleReference(f"Snapshot {spec.name!r} was there a moment ago and is not now.")
        self._places.stop_moves(there.values())
        self._places.remember(made)
        return made

    def get_snapshot(self, name: str) -> Snapshot:
        """Return the file whose name begins so."""
        return self._snapshot(self._places.find_snapshot(_checked(name)))

    def look_up_revert(self, volume: str, snapshot: str) -> tuple[Volume, Snapshot]:
        """Return both from one look at the volume's share, where the snapshot hangs on it; else the snapshot from wherever it is."""
        entry, others = self._places.find(_checked(volume))
        mine = next((other for other in others if is_snapshot(other) and parts(other)[0] == snapshot), None)
        return self._volume(entry, others), self.get_snapshot(snapshot) if mine is None else self._snapshot(mine)

    def recall_snapshot(self, name: str) -> Snapshot:
        """Return the snapshot as it was last seen, or its file as it is now."""
        with self._guard:
            seen = self._snapshots.get(name)
        return seen or self.get_snapshot(name)

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """Yield the snapshots of a volume, or of all."""
        for entry in self._places.everywhere([hanging("*", "*" if source is None else source.name)]):
            if is_snapshot(entry) and (source is None or parts(entry)[1] == source.name):
                yield self._snapshot(entry)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Remove a snapshot's file, by its name where it was last seen, or wherever it is now."""
        name = hanging(snapshot.name, snapshot.source_name)
        pool = self._places.pool_where(name, snapshot.id)
        self._places.forget(name)
        self._forget_snapshot(snapshot.name)
        if pool is not None:
            with suppress(NotFound):
                self._store.delete(pool, name)
                return
        there = self._places.find_snapshot(snapshot.name)
        self._store.delete(there.pool, there.name)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """Clone the snapshot over its volume."""
        with self._places.there(volume):
            self._store.clone(volume.pool, hanging(snapshot.name, volume.name), volume.name, overwrite=True)
        found = [entry for entry in self._store.entries(volume.pool, wherever(volume.name)) if is_of(entry, volume.name)]
        taken = [entry.id for entry in found if is_taken(entry)]
        if taken:
            # Where the volume's name was away, a server may have made another file of that name.
            if any(entry.name == volume.name and entry.id not in taken for entry in found):
                self._places.remove(volume.pool, volume.name)
            raise self._places.gone(volume.name, NotFound(f"Volume {volume.name!r} has gone."))

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Note that the host uses the file, and let it in."""
        note = hanging(host_name, source.name)
        remembered = self._places.remembered(source.name)
        pool = remembered[0] if remembered is not None else self._places.find(source.name)[0].pool
        self._note(pool, note, "-")
        # Looked at only now: who deletes the file or removes the host looks at the note afterwards.
        there = self._places.present(pool, source.name, [host_name])
        entry = there.get(source.name)
        if entry is None or entry.target is not None:
            self._places.remove(pool, note)
            self._places.forget(source.name)
            raise StaleReference(f"File {source.name!r} is not where it was seen last.")
        self._places.stop_moves(there.values())
        key, addresses = (pool, host_name, host.addresses), _addresses(host.addresses)
        if key not in self._admitted or host_name not in there or there[host_name].target != addresses:
            # First what is to be let in, so that whoever removes the host knows.
            self._record(pool, host_name, addresses)
            self._store.admit(pool, host.addresses)
            self._admitted.add(key)
        return self._export(entry, host_name)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """Take the note away, where the file was last seen or where it is now."""
        note = hanging(host_name, source.name)
        remembered = self._places.remembered(source.name)
        if remembered is not None:
            with suppress(NotFound):
                self._store.delete(remembered[0], note)
                return
        entry, _ = self._places.find(source.name)
        if remembered is not None and remembered[0] == entry.pool:
            raise NotFound(f"{source.name!r} is not exported to {host_name!r}.")
        self._store.delete(entry.pool, note)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """Return one export for each note."""
        entry, others = self._places.find(source.name)
        return [self._export(entry, parts(other)[0]) for other in others if is_use(other)]

    def remove_host(self, host_name: str) -> None:
        """Let a host in no more; `InUse` while it uses a file."""
        records = []
        for entry in self._places.everywhere([host_name, hanging(host_name, "*")]):
            if entry.name == host_name and entry.target is not None:
                records.append(entry)
            elif is_use(entry) and parts(entry)[0] == host_name:
                raise InUse(f"Host {host_name!r} still has exports; take them away first.")
        if not records:
            raise NotFound(f"There is no host {host_name!r} on any share.")
        self._admitted = {key for key in self._admitted if key[1] != host_name}
        for record in records:
            addresses = [address for address in str(record.target).split(",") if address != "-"]
            self._store.dismiss(record.pool, addresses)
            self._places.remove(record.pool, host_name)
            # Who has exported to the host meanwhile, and saw it still let in, is to find it so.
            if any(entry.target is not None for entry in self._store.entries(record.pool, [hanging(host_name, "*")])):
                self._record(record.pool, host_name, str(record.target))
                self._store.admit(record.pool, addresses)
                raise InUse(f"Host {host_name!r} has been given an export meanwhile.")

    # Names

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """Rename a file, after what hangs on it, whose names hold the volume's."""
        for pool in self._store.pools():
            if pool != volume.pool and any(entry.name == name for entry in self._store.entries(pool, [name])):
                raise AlreadyExists(f"There is a file {name!r} in {pool!r}.")
        _, others = self._places.find(volume.name)
        if any(entry.name == name and entry.id != volume.id for entry in self._store.entries(volume.pool, [name])):
            raise AlreadyExists(f"There is a file {name!r} in {volume.pool!r}.")
        self._rename_hanging(others, name)
        with self._places.there(volume):
            self._store.rename(volume.pool, volume.name, name)
        self._places.forget(volume.name)
        # Who has hung something on it meanwhile, and saw it still there, is to find it so.
        self._rename_hanging(self._store.entries(volume.pool, [hanging("*", volume.name)]), name)
        return self.get_volume(name)

    def _rename_hanging(self, others: Sequence[Entry], volume: str) -> None:
        self._places.stop_moves(others)
        for entry in others:
            if is_hung(entry):
                self._forget_snapshot(parts(entry)[0])
                with suppress(NotFound):
                    self._store.rename(entry.pool, entry.name, hanging(parts(entry)[0], volume))

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """Rename a snapshot's file."""
        pool, old = self._places.of(snapshot.ref)
        self._store.rename(pool, old, hanging(name, snapshot.source_name))
        self._places.forget(old)
        self._forget_snapshot(snapshot.name)
        return self.get_snapshot(name)

    # Moves

    def migrate_volume(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """Reserve a file's space or no more, or copy an unused one, mostly to another share, where it is another file."""
        pool = self._store.known(spec.pool)
        if volume.state is VolumeState.COPYING:
            raise InUse(f"Volume {volume.name!r} is not complete; repeat the call that makes it first.")
        if (pool, spec.thin) == (volume.pool, volume.thin):
            return volume
        if pool == volume.pool and (spec.thin or self._store.reserves_in_use):
            with self._places.there(volume):
                self._store.provision(Entry(volume.name, pool, volume.id, volume.size, volume.thin), thin=spec.thin)
            return replace(volume, thin=spec.thin)
        self._moves.move(volume, pool, thin=spec.thin)
        return self.get_volume(volume.name)

    # What was left

    def leftovers(self) -> Iterable[Leftover]:
        """Yield helpers' files, second files of a volume's name, what hangs on no volume, and what cut-off moves have left."""
        seen: set[str] = set()
        for pool in self._store.pools():
            entries = list(self._store.entries(pool, ["*"]))
            there = {entry.name for entry in entries}
            volumes = {volume_of(entry) for entry in entries}
            for entry in entries:
                name, volume = parts(entry)
                if kind_of(name) is Kind.TEMPORARY or (entry.unfinished and kind_of(name) is Kind.VOLUME):
                    yield Leftover("file", pool, entry.name, "A file whose making was not completed.")
                elif is_taken(entry) and volume not in there:
                    what = "deletion" if is_taken(entry, AWAY) else "move"
                    yield Leftover("away", pool, entry.name, f"The volume {volume!r}, whose {what} was cut off.")
                elif is_taken(entry):
                    yield Leftover("double", pool, entry.name, f"A second file of the volume {volume!r}, from before its revert.")
                elif is_note(entry, MOVE, FROM):
                    yield Leftover("note", pool, entry.name, f"A note of a move of the volume {volume!r}.")
                elif kind_of(name) in {Kind.SNAPSHOT, Kind.HOST} and volume is not None and volume not in volumes:
                    yield Leftover("file", pool, entry.name, f"There is no volume {volume!r} that it is of.")
                elif volume is None and kind_of(name) is Kind.VOLUME and name in seen:
                    yield Leftover("double", pool, entry.name, f"A second file of that name, in {pool}; its making was cut off.")
            seen |= {entry.name for entry in entries if entry.target is None}

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them where it still is one; a volume whose name was taken away gets it back, and goes if it was to be deleted."""
        if all((found.kind, found.id, found.name) != (leftover.kind, leftover.id, leftover.name) for found in self.leftovers()):
            return
        if leftover.kind != "away":
            self._places.remove(leftover.id, leftover.name)
            return
        taken = Entry(leftover.name, leftover.id)
        entry, others = self._places.find(str(parts(taken)[1]))
        if is_taken(taken, AWAY):
            with suppress(InUse):
                self.delete_volume(self._volume(entry, others))

    # Names that hold things

    def _record(self, pool: str, host_name: str, addresses: str) -> None:
        """Note a host's addresses, in place of those that it had."""
        try:
            self._store.link(pool, host_name, addresses)
        except AlreadyExists:
            for entry in self._store.entries(pool, [host_name]):
                if entry.name == host_name and entry.target not in {None, addresses}:
                    before = [address for address in str(entry.target).split(",") if address not in {"-", *addresses.split(",")}]
                    self._store.dismiss(pool, before)
                    self._places.remove(pool, host_name)
                    self._note(pool, host_name, addresses)

    def _note(self, pool: str, name: str, target: str) -> None:
        with suppress(AlreadyExists):
            self._store.link(pool, name, target)

    def _forget_snapshot(self, name: str) -> None:
        self._places.forget(hanging(name, ""))
        with self._guard:
            self._snapshots.pop(name, None)

    # Nouns

    def _volume(self, entry: Entry, hung: Iterable[Entry]) -> Volume:
        kinds = {Dependant.SNAPSHOT if other.target is None else Dependant.EXPORT for other in hung}
        return Volume(
            id=entry.id,
            name=entry.name,
            size=0 if entry.unfinished else entry.size,
            pool=entry.pool,
            wwn=None,
            thin=entry.thin,
            state=VolumeState.COPYING if entry.unfinished else VolumeState.READY,
            dependants=frozenset(kinds),
            qos_id=entry.qos_id,
            allocated_bytes=entry.allocated_bytes,
        )

    def _snapshot(self, entry: Entry) -> Snapshot:
        name, source = parts(entry)
        remembered = self._places.remembered(str(source))
        try:
            source_id = remembered[1] if remembered else self._places.find(str(source))[0].id
        except NotFound:
            source_id = ""
        found = Snapshot(entry.id, name, entry.size, source_id, str(source))
        with self._guard:
            self._snapshots[name] = found
            self._snapshots.move_to_end(name)
            if len(self._snapshots) > _REMEMBERED:
                self._snapshots.popitem(last=False)
        return found

    def _export(self, entry: Entry, host_name: str) -> Export:
        location = self._store.location(entry.pool, entry.name)
        return Export(entry.name, host_name, Protocol.NFS, location=location, format=self._store.format)


def _addresses(addresses: Sequence[str]) -> str:
    return ",".join(addresses) or "-"


def _checked(name: str) -> str:
    if not _LEGAL.fullmatch(name) or set(name) == {"."}:
        raise NotFound(f"There is no file {name!r}: no volume's file can have that name.")
    return name
