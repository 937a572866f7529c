"""Where the files of volumes and snapshots are, and how a volume gets its name back that somebody has taken away."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from blockdrivers.driver import Source
from blockdrivers.errors import AlreadyExists, Busy, NotFound, StaleReference
from blockdrivers.files.store import (
    AWAY,
    FROM,
    GONE,
    LEAVING,
    MOVE,
    Entry,
    FileStore,
    hanging,
    is_hung,
    is_note,
    is_snapshot,
    is_taken,
    parts,
    volume_of,
)
from blockdrivers.model import SnapshotRef, Volume, VolumeRef

_REMEMBERED = 8192


class Places:
    """The files of one server, asked first where they were last seen."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._guard = threading.Lock()
        self._seen: OrderedDict[str, tuple[str, str]] = OrderedDict()

    # Looking

    def find(self, name: str) -> tuple[Entry, Sequence[Entry]]:
        """Return a volume's file with its snapshots and uses; `NotFound`.

        Every share is looked at twice before a volume is said not to be there: one look could miss what is moved from a share that comes
        later into one that came before.
        """
        nearest = self.nearest(name)
        for pool in nearest if len(nearest) == 1 else [*nearest, *nearest]:
            found = self.present(pool, name, [hanging("*", name)])
            mine = found.get(name)
            if mine is not None and mine.target is None:
                self._wind_up(found.values(), name)
                self.remember(mine)
                return mine, [entry for entry in found.values() if is_hung(entry) and parts(entry)[1] == name]
        self.forget(name)
        raise NotFound(f"There is no file {name!r} on any share.")

    def present(self, pool: str, name: str, more: Sequence[str]) -> dict[str, Entry]:
        """Return a volume's file in a share, the notes of its moves, and what matches further patterns.

        A volume that was taken away is put back first, or brought to where it moves to.
        """
        while True:
            found = {
                entry.name: entry for entry in self._store.entries(pool, [*wherever(name), hanging(f"{MOVE}*", name), *more])
            }
            taken = [entry for entry in found.values() if is_taken(entry) and parts(entry)[1] == name]
            if name in found or not taken:
                return found
            if is_taken(taken[0], GONE):
                self.settle(taken[0])
            else:
                self.put_back(taken[0])

    def find_snapshot(self, name: str) -> Entry:
        """Return a snapshot's file; `NotFound`."""
        for pool in self.nearest(hanging(name, "")):
            for entry in self._store.entries(pool, [hanging(name, "*")]):
                if is_snapshot(entry) and parts(entry)[0] == name:
                    self.remember(entry)
                    return entry
        raise NotFound(f"There is no snapshot {name!r} on any share.")

    def everywhere(self, patterns: Sequence[str]) -> Iterator[Entry]:
        """Yield what matches in any share."""
        for pool in self._store.pools():
            for entry in self._store.entries(pool, patterns):
                self.remember(entry)
                yield entry

    def pool_of(self, source: VolumeRef) -> str:
        """Return the share of a volume, as it was last seen or as it is."""
        return self.pool_where(source.name, source.id) or self.find(source.name)[0].pool

    def of(self, source: Source) -> tuple[str, str]:
        """Return share and file name of a volume or snapshot."""
        if isinstance(source, SnapshotRef):
            remembered = self.remembered(hanging(source.name, ""))
            if source.id is not None and remembered is not None and remembered[1].endswith(f" {source.id}"):
                return remembered[0], remembered[1].partition(" ")[0]
            entry = self.find_snapshot(source.name)
            if source.id not in {None, entry.id}:
                raise NotFound(f"The snapshot {source.name!r} is another one than before.")
            return entry.pool, entry.name
        return self.pool_of(source), source.name

    # Names that were taken away

    def put_back(self, taken: Entry) -> None:
        """Give a volume its name again, unless it has gone; `Busy` where something has that name."""
        volume = str(parts(taken)[1])
        try:
            self._store.replace(taken.pool, taken.name, volume)
            self._store.keep_limits(taken.pool, volume, taken)
        except NotFound:
            return
        except AlreadyExists as reverted:
            raise Busy(f"Volume {volume!r} is being reverted.") from reverted

    def settle(self, gone: Entry, target: str | None = None) -> bool:
        """End a move that has come so far that the copy is the volume; put the volume back where there is no copy. Return whether it has moved.

        `target` is the share that it moves to, where that is known. Whoever meets such a file does this, any number at once: the copy gets its name by a rename, which happens once, and the file
        that it is a copy of goes only when that has been seen.
        """
        label, volume = parts(gone)
        tag = label.removeprefix(GONE)
        note = hanging(MOVE + tag, str(volume))
        for pool in [target] if target else self._targets(gone, note):
            if self._arrived(pool, hanging(tag, str(volume)), gone):
                self.remove(gone.pool, gone.name)
                self.remove(gone.pool, note)
                self.remove(pool, hanging(FROM + tag, str(volume)))
                self.forget(str(volume))
                return True
        self.put_back(gone)
        return False

    def _targets(self, gone: Entry, note: str) -> Sequence[str]:
        """Return the share that a volume moves to, or all where nothing says which."""
        for entry in self._store.entries(gone.pool, [note]):
            if entry.name == note and entry.target is not None:
                return [self._store.known(entry.target)]
        return self._store.pools()

    def _arrived(self, pool: str, copy: str, gone: Entry) -> bool:
        """Tell whether a share has a moved volume; its copy is given the volume's name first."""
        volume = str(parts(gone)[1])
        while True:
            found = self._store.entries(pool, [copy, *wherever(volume)])
            if any(entry.name == copy for entry in found):
                try:
                    self._store.replace(pool, copy, volume)
                except NotFound:
                    # Somebody else has done that, or has taken the copy away.
                    continue
            elif not any(is_of(entry, volume) and (pool, entry.name) != (gone.pool, gone.name) for entry in found):
                return False
            with suppress(NotFound):
                self._store.keep_limits(pool, volume, gone)
            return True

    def _wind_up(self, found: Iterable[Entry], name: str) -> None:
        """Remove what is left of a move, by which a volume has come to where it is."""
        for entry in found:
            label, volume = parts(entry)
            origin = entry.target
            if volume != name or not is_note(entry, FROM) or origin is None or origin not in self._store.pools():
                continue
            tag = label.removeprefix(FROM)
            left = hanging(GONE + tag, name)
            for gone in self._store.entries(origin, [left]):
                if gone.name == left and gone.target is None:
                    self.settle(gone)
            self.remove(origin, hanging(MOVE + tag, name))
            self.remove(entry.pool, entry.name)

    def stop_moves(self, there: Iterable[Entry]) -> None:
        """Remove the notes of moves: what was copied until now is not as good as the volume any more."""
        for entry in there:
            if is_note(entry, MOVE):
                self.remove(entry.pool, entry.name)

    def gone(self, name: str, error: NotFound) -> Exception:
        """Return that error where a volume has gone; it may be back, or have been away for a moment only."""
        self.forget(name)
        try:
            self.find(name)
        except NotFound:
            return error
        return StaleReference(f"File {name!r} is not where it was seen last.")

    @contextmanager
    def there(self, volume: Volume) -> Iterator[None]:
        """Have a step made again that did not find a volume's file while that was away."""
        try:
            yield
        except NotFound as gone:
            raise self.gone(volume.name, gone) from gone

    def remove(self, pool: str, name: str) -> None:
        """Remove an entry that may have gone."""
        with suppress(NotFound):
            self._store.delete(pool, name)

    # What is remembered

    def nearest(self, name: str) -> list[str]:
        """Return the shares, first the one where that was last seen."""
        remembered = self.remembered(name)
        pools = list(self._store.pools())
        if remembered is not None and remembered[0] in pools:
            pools.remove(remembered[0])
            pools.insert(0, remembered[0])
        return pools

    def pool_where(self, name: str, identifier: str | None) -> str | None:
        """Return the share in which a file of that name and id was last seen."""
        remembered = self.remembered(name)
        return remembered[0] if remembered is not None and remembered[1] == identifier else None

    def remembered(self, name: str) -> tuple[str, str] | None:
        """Return the share and the id of what had that name."""
        with self._guard:
            return self._seen.get(name)

    def remember(self, entry: Entry) -> None:
        """Keep where a file was seen just now."""
        if entry.target is not None:
            return
        seen = {entry.name: (entry.pool, entry.id)}
        if is_snapshot(entry):
            # By its own name as well: whose it is has to be found out then.
            seen[hanging(parts(entry)[0], "")] = (entry.pool, f"{entry.name} {entry.id}")
        with self._guard:
            for name, place in seen.items():
                self._seen[name] = place
                self._seen.move_to_end(name)
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)

    def forget(self, name: str) -> None:
        """Drop what had that name."""
        with self._guard:
            self._seen.pop(name, None)


def wherever(name: str) -> list[str]:
    """Return patterns of a volume's file, also while its name is being taken away or given back."""
    return [name, *(hanging(f"{mark}*", name) for mark in (AWAY, LEAVING, GONE)), name]


def is_of(entry: Entry, volume: str) -> bool:
    """Tell whether a file is that volume's, by its name or while that is taken away."""
    return volume_of(entry) == volume
