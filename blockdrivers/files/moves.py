"""A volume's file moves to another share, while no host uses it.

1. A note ``bdmove-TAG{VOLUME}`` beside the volume: from here on its copy is as good as the volume. Whoever lets a host use the volume, or takes a
   snapshot (that it may be reverted to), removes the note.
2. A draft in the other share, copied from the volume, and then named ``TAG{VOLUME}``, which is a draft's name still; a note ``bdfrom-TAG{VOLUME}`` beside it.
   Other drafts of the volume go: whoever makes a volume of that id looks for it after this.
3. ``bdleaving-TAG{VOLUME}``: the volume's name is taken away, as for a deletion, and whoever looks for the volume puts it back. What hangs on it is looked at then.
4. ``bdgone-TAG{VOLUME}``: whoever looks for the volume now brings the move to its end. The copy gets the volume's name; then the file goes, then the notes.
   Where there is no copy, since somebody has removed it, the volume gets its name back.

Cut off before 4, the volume is where it was, and a repeat removes what is left when it has its own copy. Cut off later, it has moved.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from blockdrivers.errors import Ambiguous, BlockDriversError, Busy, DeadlineExceeded, InUse, NotFound, Unreachable
from blockdrivers.files.drafts import Drafts, caller, draft_of, not_taken_away
from blockdrivers.files.places import Places
from blockdrivers.files.store import FROM, GONE, LEAVING, MOVE, Entry, FileStore, hanging, is_hung, is_note, parts
from blockdrivers.model import Volume

_OPEN = (Ambiguous, Unreachable, DeadlineExceeded)


@dataclass(frozen=True, slots=True)
class _Names:
    """What bears which name during one move."""

    volume: str
    draft: str
    copy: str
    note: str
    origin: str
    leaving: str
    gone: str


class Moves:
    """Moves the files of one server."""

    def __init__(self, store: FileStore, places: Places, drafts: Drafts) -> None:
        self._store = store
        self._places = places
        self._drafts = drafts

    def move(self, volume: Volume, pool: str, *, thin: bool) -> None:
        """Move a volume to another share and give it that provisioning.

        Raises:
            InUse: a host uses it, or it has snapshots, which would stay behind.
            Busy: it was looked for or changed meanwhile.
        """
        names = _names(volume.name)
        source = Entry(volume.name, volume.pool, volume.id, volume.size, volume.thin, qos_id=volume.qos_id)
        with self._discarding(source, pool, names):
            self._store.link(source.pool, names.note, pool)
            found = self._store.entries(source.pool, [hanging("*", volume.name)])
            self._unused(source, found)
            self._first(found, names)
            with self._places.there(volume):
                self._store.copy(source.pool, volume.name, pool, names.draft)
            draft = self._drafts.only(pool, volume.name, names.draft)
            with not_taken_away(volume.name):
                copy = self._store.publish(draft, names.copy, draft.size, thin=thin)
            self._store.link(pool, names.origin, source.pool)
            # A host that uses the volume by now is not to miss its file even for a moment.
            self._as_it_was(source, names, self._store.entries(source.pool, [hanging("*", volume.name)]))
            found = self._commit(volume, source, copy, names)
        if not self._places.settle(Entry(names.gone, source.pool, qos_id=source.qos_id), pool):
            raise Busy(f"Somebody has taken the copy of {volume.name!r} away before it had moved.")
        # Others, which were cut off, or have come to nothing by this one.
        self._places.stop_moves(found)

    def _commit(self, volume: Volume, source: Entry, copy: Entry, names: _Names) -> Sequence[Entry]:
        """Take the volume's name away, look whether the copy is as good as it still, and say that the volume has moved; return what hung on it."""
        with self._places.there(volume):
            self._store.take_away(source, names.leaving)
        leaving = Entry(names.leaving, source.pool, qos_id=source.qos_id)
        found = self._store.entries(source.pool, [hanging("*", volume.name)])
        try:
            self._as_it_was(source, names, found)
            if not any((entry.name, entry.size) == (names.leaving, copy.size) for entry in found):
                raise Busy(f"Volume {volume.name!r} was looked for, or has grown, while it was copied to {copy.pool!r}.")
        except (InUse, Busy):
            self._places.put_back(leaving)
            raise
        try:
            self._store.replace(source.pool, names.leaving, names.gone)
        except NotFound as back:
            raise Busy(f"Somebody has looked for {volume.name!r} while it was to be moved, and has put it back.") from back
        return [entry for entry in found if entry.name != names.note and parts(entry)[1] == volume.name]

    def _unused(self, source: Entry, found: Iterable[Entry]) -> None:
        """Refuse what is used, or has snapshots."""
        hung = [entry for entry in found if parts(entry)[1] == source.name and is_hung(entry)]
        if hung:
            users = ", ".join(parts(entry)[0] for entry in hung)
            raise InUse(f"Volume {source.name!r} is used by {users}, and files move only while nothing hangs on them.")

    def _as_it_was(self, source: Entry, names: _Names, found: Iterable[Entry]) -> None:
        """Refuse what is used, or has been since the copy was begun."""
        self._unused(source, found)
        if all(entry.name != names.note for entry in found):
            raise Busy(f"Volume {source.name!r} was used while it was copied.")

    def _first(self, found: Iterable[Entry], names: _Names) -> None:
        """Let another call go first that moves the volume, if somebody is at work on it still."""
        others = [entry for entry in found if is_note(entry, MOVE) and parts(entry)[1] == names.volume]
        if any(other.name < names.note and not self._drafts.seen_before(other) for other in others):
            raise Busy(f"Another call is moving {names.volume!r}.")

    @contextmanager
    def _discarding(self, source: Entry, pool: str, names: _Names) -> Iterator[None]:
        """Where a volume stays where it is, leave nothing of its move; where that is not known, a repeat sees to it."""
        try:
            yield
        except _OPEN:
            raise
        except BlockDriversError:
            for share, name in (
                (source.pool, names.note),
                (pool, names.draft),
                (pool, names.copy),
                (pool, names.origin),
            ):
                with suppress(BlockDriversError):
                    self._store.delete(share, name)
            raise


def _names(volume: str) -> _Names:
    # Another one for each attempt: what is said of an earlier copy is never said of a later one.
    tag = caller(f" moves {secrets.token_hex(8)}")
    return _Names(
        volume,
        draft_of(volume),
        hanging(tag, volume),
        hanging(MOVE + tag, volume),
        hanging(FROM + tag, volume),
        hanging(LEAVING + tag, volume),
        hanging(GONE + tag, volume),
    )
