"""Volumes that are files of a share: the part of the driver contract that is the same for every file server.

A share has no descriptions and no hosts, so names hold everything: a volume is a file of its name, its snapshot a file
``SNAPSHOT{VOLUME}``, an export to a host a symbolic link ``HOST{VOLUME}``, and a host that was let in a link ``HOST`` whose target is
its addresses. One look at a share's names tells all of a volume. What is being made is a draft, ``HELPER{VOLUME}``, and gets its own name
last: so what has a volume's name is whole.

**One id, one file.** A server keeps names apart within one share only. So a draft is also the claim to its volume's name: who has one looks at
every share, at the drafts of that volume first and at its name then, and publishes only once nothing else is there. Of two that meet,
one is taken away; a server publishes no draft that has gone, so what was published stays, and nobody is told of anything else.
The draft of the lesser share goes first, the other one gives way, unless nobody works on the first any more.

**What is used is not deleted.** A server deletes a file whatever hangs on it. So where renames are free, who deletes a volume first takes its
name away, and then looks at what hangs on it; who hangs an export or a snapshot on one looks for the volume afterwards. One of the two sees the
other. A volume that was taken away is put back by whoever looks for it, also after a deletion that was cut off: a deletion has happened when the file has gone.

How a server is asked is a `FileStore`'s.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from blockdrivers.driver import Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    BlockDriversError,
    Busy,
    DeadlineExceeded,
    InUse,
    InvalidRequest,
    NotFound,
    StaleReference,
    Unreachable,
)
from blockdrivers.filestore import (
    AWAY,
    Entry,
    FileStore,
    by_volume,
    hanging,
    is_away,
    is_draft,
    is_snapshot,
    parts,
)
from blockdrivers.model import (
    Dependant,
    Export,
    Host,
    InitiatorFacts,
    Leftover,
    Protocol,
    Qos,
    Snapshot,
    SnapshotRef,
    Volume,
    VolumeRef,
    VolumeState,
)
from blockdrivers.naming import Kind, array_name, kind_of

_LEGAL = re.compile(r"[A-Za-z0-9_.-]+")
_REMEMBERED = 8192
_HELPER = 31
_DRAFTS = "bdt*"
_OPEN = (Ambiguous, Busy, Unreachable, DeadlineExceeded)
"""What leaves a draft as it is: the same call goes on with it."""


class FilesDriver(Driver):
    """Volumes that are files; what is left to a family are capabilities, facts and pools."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._places: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._admitted: set[tuple[str, str, tuple[str, ...]]] = set()
        self._sighted: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    def initiators(self) -> Sequence[InitiatorFacts]:
        """There are none."""
        return ()

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """Make a draft, and publish it."""
        draft = _draft(spec.name)
        with self._discarding(self._store.known(spec.pool), draft):
            with _not_taken_away(spec.name):
                self._store.draft(spec.pool, draft, spec.size, thin=spec.thin)
            return self._published(spec, draft, None)

    def get_volume(self, name: str) -> Volume:
        """Return the file of that name with what hangs on it, from the share that it was last seen in or from any."""
        entry, others = self._find(_checked(name))
        return self._volume(entry, others)

    def list_volumes(self) -> Iterable[Volume]:
        """Yield every file that is no snapshot."""
        for pool in self._store.pools():
            entries = list(self._store.entries(pool, ["*"]))
            hanging = by_volume(entries)
            for entry in entries:
                if entry.target is None and parts(entry)[1] is None:
                    yield self._volume(entry, hanging.get(entry.name, ()))

    def extend_volume(self, volume: Volume, size: int) -> None:
        """Grow a file."""
        with self._there(volume):
            self._store.resize(Entry(volume.name, volume.pool, volume.id, volume.size, volume.thin), size)

    def delete_volume(self, volume: Volume) -> None:
        """Remove a file, and the limits on it."""
        if volume.qos_id is not None:
            self.set_qos(volume, Qos(), volume.name)
        if self._store.renames_are_free:
            self._delete_unused(volume)
        else:
            self._store.delete(volume.pool, volume.name)
        self._forget(volume.name)

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Clone or copy into a draft, and publish it."""
        pool, name = self._place_of(source)
        draft = _draft(spec.name)
        try:
            with self._discarding(self._store.known(spec.pool), draft):
                if pool != spec.pool:
                    self._store.copy(pool, name, spec.pool, draft)
                else:
                    self._store.clone(pool, name, draft, overwrite=True)
                return self._published(spec, draft, source)
        except NotFound as gone:
            if isinstance(source, VolumeRef):
                raise self._moved(source, gone) from gone
            self._forget_snapshot(source.name)
            raise

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Nothing that is unfinished has a volume's name."""

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """Clone a file within its share."""
        pool = self._pool_of(spec.source)
        name = hanging(spec.name, spec.source.name)
        try:
            if self._store.renames_are_free:
                self._publish_snapshot(pool, spec, name)
            else:
                self._store.clone(pool, spec.source.name, name)
        except NotFound as gone:
            raise self._moved(spec.source, gone) from gone
        if self._store.renames_are_free and spec.source.name not in self._present(pool, spec.source.name, ()):
            # It was deleted meanwhile, or renamed.
            self._remove(pool, name)
            self._forget(spec.source.name)
            raise StaleReference(f"File {spec.source.name!r} is not where it was seen last.")
        found = [entry for entry in self._everywhere([hanging(spec.name, "*")]) if parts(entry)[0] == spec.name]
        if any(parts(entry)[1] != spec.source.name or entry.pool != pool for entry in found):
            self._store.delete(pool, name)
            raise AlreadyExists(f"There is a snapshot {spec.name!r} of another volume.")
        mine = next((entry for entry in found if entry.name == name), None)
        if mine is None:
            raise StaleReference(f"Snapshot {spec.name!r} was there a moment ago and is not now.")
        return self._snapshot(mine)

    def get_snapshot(self, name: str) -> Snapshot:
        """Return the file whose name begins so."""
        return self._snapshot(self._find_snapshot(_checked(name)))

    def look_up_revert(self, volume: str, snapshot: str) -> tuple[Volume, Snapshot]:
        """Return both from one look at the volume's share, where the snapshot hangs on it; else the snapshot from wherever it is."""
        entry, others = self._find(_checked(volume))
        mine = next((other for other in others if is_snapshot(other) and parts(other)[0] == snapshot), None)
        return self._volume(entry, others), self.get_snapshot(snapshot) if mine is None else self._snapshot(mine)

    def recall_snapshot(self, name: str) -> Snapshot:
        """Return the snapshot as it was last seen, or its file as it is now."""
        with self._guard:
            seen = self._snapshots.get(name)
        return seen or self.get_snapshot(name)

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """Yield the snapshots of a volume, or of all."""
        for entry in self._everywhere([hanging("*", "*" if source is None else source.name)]):
            if is_snapshot(entry) and (source is None or parts(entry)[1] == source.name):
                yield self._snapshot(entry)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Remove a snapshot's file, by its name where it was last seen, or wherever it is now."""
        name = hanging(snapshot.name, snapshot.source_name)
        pool = self._pool_where(name, snapshot.id)
        self._forget(name)
        self._forget_snapshot(snapshot.name)
        if pool is not None:
            with suppress(NotFound):
                self._store.delete(pool, name)
                return
        there = self._find_snapshot(snapshot.name)
        self._store.delete(there.pool, there.name)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """Clone the snapshot over its volume."""
        with self._there(volume):
            self._store.clone(volume.pool, hanging(snapshot.name, volume.name), volume.name, overwrite=True)

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Note that the host uses the file, and let it in."""
        note = hanging(host_name, source.name)
        remembered = self._remembered(source.name)
        pool = remembered[0] if remembered is not None else self._find(source.name)[0].pool
        self._note(pool, note, "-")
        # Looked at only now: who deletes the file or removes the host looks at the note afterwards.
        there = self._present(pool, source.name, [host_name])
        entry = there.get(source.name)
        if entry is None or entry.target is not None:
            self._remove(pool, note)
            self._forget(source.name)
            raise StaleReference(f"File {source.name!r} is not where it was seen last.")
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
        remembered = self._remembered(source.name)
        if remembered is not None:
            with suppress(NotFound):
                self._store.delete(remembered[0], note)
                return
        entry, _ = self._find(source.name)
        if remembered is not None and remembered[0] == entry.pool:
            raise NotFound(f"{source.name!r} is not exported to {host_name!r}.")
        self._store.delete(entry.pool, note)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """Return one export for each note."""
        entry, others = self._find(source.name)
        return [self._export(entry, parts(other)[0]) for other in others if other.target is not None]

    def remove_host(self, host_name: str) -> None:
        """Let a host in no more; `InUse` while it uses a file."""
        records = []
        for entry in self._everywhere([host_name, hanging(host_name, "*")]):
            if entry.name == host_name and entry.target is not None:
                records.append(entry)
            elif entry.target is not None and parts(entry)[0] == host_name:
                raise InUse(f"Host {host_name!r} still has exports; take them away first.")
        if not records:
            raise NotFound(f"There is no host {host_name!r} on any share.")
        self._admitted = {key for key in self._admitted if key[1] != host_name}
        for record in records:
            addresses = [address for address in str(record.target).split(",") if address != "-"]
            self._store.dismiss(record.pool, addresses)
            self._remove(record.pool, host_name)
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
        _, others = self._find(volume.name)
        if any(entry.name == name for entry in self._store.entries(volume.pool, [name])):
            raise AlreadyExists(f"There is a file {name!r} in {volume.pool!r}.")
        self._rename_hanging(others, name)
        with self._there(volume):
            self._store.rename(volume.pool, volume.name, name)
        self._forget(volume.name)
        # Who has hung something on it meanwhile, and saw it still there, is to find it so.
        self._rename_hanging(self._store.entries(volume.pool, [hanging("*", volume.name)]), name)
        return self.get_volume(name)

    def _rename_hanging(self, others: Iterable[Entry], volume: str) -> None:
        for entry in others:
            if not is_draft(entry.name) and not is_away(entry):
                self._forget_snapshot(parts(entry)[0])
                with suppress(NotFound):
                    self._store.rename(entry.pool, entry.name, hanging(parts(entry)[0], volume))

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """Rename a snapshot's file."""
        pool, old = self._place_of(snapshot.ref)
        self._store.rename(pool, old, hanging(name, snapshot.source_name))
        self._forget(old)
        self._forget_snapshot(snapshot.name)
        return self.get_snapshot(name)

    def leftovers(self) -> Iterable[Leftover]:
        """Yield helpers' files, second files of a volume's name, and what hangs on no volume."""
        seen: set[str] = set()
        for pool in self._store.pools():
            entries = list(self._store.entries(pool, ["*"]))
            there = {entry.name for entry in entries}
            volumes = there | {parts(entry)[1] for entry in entries if is_away(entry)}
            for entry in entries:
                name, volume = parts(entry)
                if kind_of(name) is Kind.TEMPORARY or (entry.unfinished and kind_of(name) is Kind.VOLUME):
                    yield Leftover("file", pool, entry.name, "A file whose making was not completed.")
                elif is_away(entry) and volume not in there:
                    yield Leftover("away", pool, entry.name, f"The volume {volume!r}, whose deletion was cut off.")
                elif kind_of(name) in {Kind.SNAPSHOT, Kind.HOST} and volume is not None and volume not in volumes:
                    yield Leftover("file", pool, entry.name, f"There is no volume {volume!r} that it is of.")
                elif volume is None and kind_of(name) is Kind.VOLUME and name in seen:
                    yield Leftover("double", pool, entry.name, f"A second file of that name, in {pool}; its making was cut off.")
            seen |= {entry.name for entry in entries if entry.target is None}

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them where it still is one."""
        if any((found.kind, found.id, found.name) == (leftover.kind, leftover.id, leftover.name) for found in self.leftovers()):
            if leftover.kind != "away":
                self._remove(leftover.id, leftover.name)
                return
            self._put_back(away := Entry(leftover.name, leftover.id))
            entry, others = self._find(str(parts(away)[1]))
            with suppress(InUse):
                self._delete_unused(self._volume(entry, others))

    # Places

    def _find(self, name: str) -> tuple[Entry, Sequence[Entry]]:
        """Return a volume's file and what hangs on it; asked first where it was last seen."""
        for pool in self._nearest(name):
            found = self._present(pool, name, [hanging("*", name)])
            mine = found.get(name)
            if mine is not None and mine.target is None:
                self._remember(mine)
                return mine, [entry for entry in found.values() if parts(entry)[1] == name]
        self._forget(name)
        raise NotFound(f"There is no file {name!r} on any share.")

    def _present(self, pool: str, name: str, more: Sequence[str]) -> dict[str, Entry]:
        """Return a volume's file and what matches further patterns; a volume that was taken away is put back first."""
        while True:
            found = {entry.name: entry for entry in self._store.entries(pool, [*self._wherever(name), *more])}
            away = [entry for entry in found.values() if is_away(entry) and parts(entry)[1] == name]
            if name in found or not away:
                return found
            self._put_back(away[0])

    def _wherever(self, name: str) -> list[str]:
        """Return patterns of a volume's file, also while its name is being taken away or given back."""
        return [name, hanging(f"{AWAY}*", name), name] if self._store.renames_are_free else [name]

    def _put_back(self, away: Entry) -> None:
        """Give a volume its name again, unless it has gone."""
        with suppress(NotFound):
            self._store.replace(away.pool, away.name, str(parts(away)[1]))

    def _gone(self, name: str, error: NotFound) -> Exception:
        """Return that error where a volume has gone; it may be back, or have been away for a moment only."""
        self._forget(name)
        try:
            self._find(name)
        except NotFound:
            return error
        return StaleReference(f"File {name!r} is not where it was seen last.")

    @contextmanager
    def _there(self, volume: Volume) -> Iterator[None]:
        """Have a step made again that did not find a volume's file while that was away."""
        try:
            yield
        except NotFound as gone:
            if not self._store.renames_are_free:
                raise
            raise self._gone(volume.name, gone) from gone

    def _delete_unused(self, volume: Volume) -> None:
        """Delete a file that nothing hangs on: `InUse`."""
        away = Entry(hanging(f"{AWAY}{_caller()}", volume.name), volume.pool)
        with self._there(volume):
            self._store.replace(volume.pool, volume.name, away.name)
        found = self._store.entries(volume.pool, [hanging("*", volume.name)])
        users = [parts(entry)[0] for entry in found if entry.target is not None or is_snapshot(entry)]
        if users:
            self._put_back(away)
            raise InUse(f"Volume {volume.name!r} is used by {', '.join(users)} and was not deleted.")
        try:
            self._store.delete(volume.pool, away.name)
        except NotFound as back:
            raise StaleReference(
                f"Somebody has looked for {volume.name!r} while it was to be deleted, and has put it back."
            ) from back

    def _find_snapshot(self, name: str) -> Entry:
        """Return a snapshot's file; asked first where it was last seen."""
        for pool in self._nearest(hanging(name, "")):
            for entry in self._store.entries(pool, [hanging(name, "*")]):
                if entry.target is None and parts(entry)[0] == name:
                    self._remember(entry)
                    return entry
        raise NotFound(f"There is no snapshot {name!r} on any share.")

    def _nearest(self, name: str) -> list[str]:
        """Return the shares, first the one where that was last seen."""
        remembered = self._remembered(name)
        pools = list(self._store.pools())
        if remembered is not None and remembered[0] in pools:
            pools.remove(remembered[0])
            pools.insert(0, remembered[0])
        return pools

    def _pool_where(self, name: str, identifier: str | None) -> str | None:
        """Return the share in which a file of that name and id was last seen."""
        remembered = self._remembered(name)
        return remembered[0] if remembered is not None and remembered[1] == identifier else None

    def _everywhere(self, patterns: Sequence[str]) -> Iterator[Entry]:
        for pool in self._store.pools():
            for entry in self._store.entries(pool, patterns):
                self._remember(entry)
                yield entry

    def _pool_of(self, source: VolumeRef) -> str:
        return self._pool_where(source.name, source.id) or self._find(source.name)[0].pool

    def _place_of(self, source: Source) -> tuple[str, str]:
        """Return share and file name of a volume or snapshot."""
        if isinstance(source, SnapshotRef):
            remembered = self._remembered(hanging(source.name, ""))
            if source.id is not None and remembered is not None and remembered[1].endswith(f" {source.id}"):
                return remembered[0], remembered[1].partition(" ")[0]
            entry = self._find_snapshot(source.name)
            if source.id not in {None, entry.id}:
                raise NotFound(f"The snapshot {source.name!r} is another one than before.")
            return entry.pool, entry.name
        return self._pool_of(source), source.name

    def _moved(self, source: VolumeRef, gone: NotFound) -> Exception:
        if self._store.renames_are_free:
            return self._gone(source.name, gone)
        if source.id is None or self._remembered(source.name) is None:
            return gone
        self._forget(source.name)
        return StaleReference(f"File {source.name!r} is not where it was seen last.")

    # Drafts

    def _published(self, spec: VolumeSpec, draft: str, source: Source | None) -> Volume:
        """Publish a draft once nothing in any share stands against it."""
        mine = self._unopposed(spec.pool, spec.name, draft)
        if isinstance(source, SnapshotRef) and mine.size != spec.source_size:
            raise NotFound(f"The snapshot {source.name!r} is another one than before.")
        if source is not None and mine.size > spec.size:
            raise InvalidRequest(f"{source.name!r} has grown to {mine.size} bytes meanwhile; the clone was to have {spec.size}.")
        for pool in self._store.pools():
            if pool != spec.pool:
                self._unopposed(pool, spec.name, draft, by=spec.pool)
        with _not_taken_away(spec.name):
            made = self._store.publish(mine, spec.name, spec.size, thin=spec.thin)
        self._remember(made)
        return self._volume(made, ())

    def _publish_snapshot(self, pool: str, spec: SnapshotSpec, name: str) -> None:
        """Make a draft of a snapshot, which claims its id as a volume's does, and publish it."""
        draft = _draft(spec.name)
        with self._discarding(pool, draft):
            self._store.clone(pool, spec.source.name, draft, overwrite=True)
            mine = self._unopposed(pool, spec.name, draft)
            for other in self._store.pools():
                if other != pool:
                    self._unopposed(other, spec.name, draft, by=pool)
            with _not_taken_away(spec.name):
                self._store.publish(mine, name, mine.size, thin=True)

    def _unopposed(self, pool: str, name: str, draft: str, by: str | None = None) -> Entry:
        """Look at a share until nothing in it stands against a draft, there or in the share `by`; return the draft where it is there.

        The name is a volume's or a snapshot's.

        Raises:
            AlreadyExists: the name is taken.
            Busy: another call has a draft, too, and this one gives way.
        """
        mine = Entry(draft, by or pool)
        while True:
            patterns = [hanging(name, "*")] if kind_of(name) is Kind.SNAPSHOT else self._wherever(name)
            entries = self._store.entries(pool, [hanging(_DRAFTS, name), *patterns])
            for entry in entries:
                if _is_of(entry, name) or (is_snapshot(entry) and parts(entry)[0] == name):
                    if not entry.unfinished:
                        raise AlreadyExists(f"There is a file {entry.name!r} in {pool!r}.")
                    self._remove(pool, entry.name)
            found = [entry for entry in entries if is_draft(entry.name) and parts(entry)[1] == name]
            others = [entry for entry in found if (entry.pool, entry.name) != (mine.pool, mine.name)]
            for other in others:
                if (other.pool, other.name) < (mine.pool, mine.name) and not self._seen_before(other):
                    self._remove(mine.pool, draft)
                    raise Busy(f"Another call is making {name!r} in {pool!r}.")
                self._remove(pool, other.name)
            if others or any(entry.name == name for entry in entries):
                continue
            if by is not None:
                return mine
            if not found:
                raise Busy(f"Another call for {name!r} has taken this one's draft away.")
            return found[0]

    def _seen_before(self, other: Entry) -> bool:
        """Tell whether that draft has been given way to already: then nobody may be at work on it any more."""
        key = (other.pool, other.name, other.id)
        with self._guard:
            if key in self._sighted:
                return True
            self._sighted[key] = None
            if len(self._sighted) > _REMEMBERED:
                self._sighted.popitem(last=False)
            return False

    @contextmanager
    def _discarding(self, pool: str, draft: str) -> Iterator[None]:
        """Where a draft will not be published, leave none."""
        try:
            yield
        except _OPEN:
            raise
        except BlockDriversError:
            with suppress(BlockDriversError):
                self._store.delete(pool, draft)
            raise

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
                    self._remove(pool, host_name)
                    self._note(pool, host_name, addresses)

    def _note(self, pool: str, name: str, target: str) -> None:
        try:
            self._store.link(pool, name, target)
        except AlreadyExists:
            return

    def _remove(self, pool: str, name: str) -> None:
        try:
            self._store.delete(pool, name)
        except NotFound:
            return

    def _remembered(self, name: str) -> tuple[str, str] | None:
        with self._guard:
            return self._places.get(name)

    def _remember(self, entry: Entry) -> None:
        if entry.target is not None:
            return
        seen = {entry.name: (entry.pool, entry.id)}
        if is_snapshot(entry):
            # By its own name as well: whose it is has to be found out then.
            seen[hanging(parts(entry)[0], "")] = (entry.pool, f"{entry.name} {entry.id}")
        with self._guard:
            for name, place in seen.items():
                self._places[name] = place
                self._places.move_to_end(name)
            while len(self._places) > _REMEMBERED:
                self._places.popitem(last=False)

    def _forget_snapshot(self, name: str) -> None:
        self._forget(hanging(name, ""))
        with self._guard:
            self._snapshots.pop(name, None)

    def _forget(self, name: str) -> None:
        with self._guard:
            self._places.pop(name, None)

    # Nouns

    def _volume(self, entry: Entry, hanging: Iterable[Entry]) -> Volume:
        kinds = {
            Dependant.SNAPSHOT if other.target is None else Dependant.EXPORT
            for other in hanging
            if other.target is not None or is_snapshot(other)
        }
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
        remembered = self._remembered(str(source))
        try:
            source_id = remembered[1] if remembered else self._find(str(source))[0].id
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


def _draft(name: str) -> str:
    """Return the name of this call's draft: no other call that is under way has one of that name."""
    return hanging(_caller(), name)


def _caller() -> str:
    return array_name(Kind.TEMPORARY, f"{os.uname().nodename} {os.getpid()} {threading.get_ident()}", _HELPER)


def _is_of(entry: Entry, volume: str) -> bool:
    return entry.target is None and (entry.name == volume or (is_away(entry) and parts(entry)[1] == volume))


@contextmanager
def _not_taken_away(name: str) -> Iterator[None]:
    """Have a call made again whose draft is not there any more."""
    try:
        yield
    except NotFound as gone:
        raise Busy(f"Another call for {name!r} has taken this one's draft away.") from gone


def _addresses(addresses: Sequence[str]) -> str:
    return ",".join(addresses) or "-"


def _checked(name: str) -> str:
    if not _LEGAL.fullmatch(name) or set(name) == {"."}:
        raise NotFound(f"There is no file {name!r}: no volume's file can have that name.")
    return name
