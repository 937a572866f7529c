"""Drafts: what is being made, and the claim to its name on every share; see `blockdrivers.files`."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from blockdrivers.errors import AlreadyExists, Ambiguous, BlockDriversError, Busy, DeadlineExceeded, NotFound, Unreachable
from blockdrivers.files.places import Places, is_of, wherever
from blockdrivers.files.store import FROM, Entry, FileStore, hanging, is_draft, is_note, is_snapshot, parts
from blockdrivers.naming import Kind, array_name, kind_of

_REMEMBERED = 8192
_HELPER = 31
_DRAFTS = "bdt*"
_OPEN = (Ambiguous, Busy, Unreachable, DeadlineExceeded)
"""What leaves a draft as it is: the same call goes on with it."""


class Drafts:
    """The drafts of one server's files."""

    def __init__(self, store: FileStore, places: Places) -> None:
        self._store = store
        self._places = places
        self._guard = threading.Lock()
        self._sighted: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def publish_snapshot(self, pool: str, name: str, volume: str, clone: Callable[[str], None]) -> Entry:
        """Have a draft of a snapshot cloned, which claims its id as a volume's does, and publish it; `AlreadyExists`, `Busy`."""
        draft = draft_of(name)
        with self.discarding(pool, draft):
            clone(draft)
            mine = self.alone(pool, name, draft)
            with not_taken_away(name):
                return self._store.publish(mine, hanging(name, volume), mine.size, thin=True)

    def alone(self, pool: str, name: str, draft: str) -> Entry:
        """Return a draft once nothing in any share stands against it.

        The name is a volume's or a snapshot's.

        Raises:
            AlreadyExists: the name is taken.
            Busy: another call has a draft, too, and this one gives way.
        """
        mine = self._unopposed(pool, name, draft, pool)
        for other in self._store.pools():
            if other != pool:
                self._unopposed(other, name, draft, pool)
        return mine

    def only(self, pool: str, volume: str, draft: str) -> Entry:
        """Return a draft of a volume that is there already, once there is no other; `Busy` where somebody has taken it away."""
        mine: Entry | None = None
        for share in self._store.pools():
            for entry in self._store.entries(share, [hanging(_DRAFTS, volume), hanging(f"{FROM}*", volume)]):
                if parts(entry)[1] != volume or not (is_draft(entry.name) or is_note(entry, FROM)):
                    continue
                if (share, entry.name) == (pool, draft):
                    mine = entry
                else:
                    self._places.remove(share, entry.name)
        if mine is None:
            raise Busy(f"Another call for {volume!r} has taken this one's draft away.")
        return mine

    def _unopposed(self, pool: str, name: str, draft: str, home: str) -> Entry:
        """Look at a share until nothing in it stands against a draft in the share `home`; return the draft where that is this one."""
        mine = Entry(draft, home)
        while True:
            of_name = [hanging(name, "*")] if kind_of(name) is Kind.SNAPSHOT else wherever(name)
            # Twice: what is a move's copy is renamed from one such name to another.
            entries = self._store.entries(pool, [hanging(_DRAFTS, name), hanging(_DRAFTS, name), *of_name])
            for entry in entries:
                if is_of(entry, name) or (is_snapshot(entry) and parts(entry)[0] == name):
                    if not entry.unfinished:
                        raise AlreadyExists(f"There is a file {entry.name!r} in {pool!r}.")
                    self._places.remove(pool, entry.name)
            found = [entry for entry in entries if is_draft(entry.name) and parts(entry)[1] == name]
            others = [entry for entry in found if (entry.pool, entry.name) != (mine.pool, mine.name)]
            for other in others:
                if (other.pool, other.name) < (mine.pool, mine.name) and not self.seen_before(other):
                    self._places.remove(mine.pool, draft)
                    raise Busy(f"Another call is making {name!r} in {pool!r}.")
                self._places.remove(pool, other.name)
            if others or any(entry.name == name for entry in entries):
                continue
            if pool != home:
                return mine
            if not found:
                raise Busy(f"Another call for {name!r} has taken this one's draft away.")
            return found[0]

    def seen_before(self, other: Entry) -> bool:
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
    def discarding(self, pool: str, draft: str) -> Iterator[None]:
        """Where a draft will not be published, leave none."""
        try:
            yield
        except _OPEN:
            raise
        except BlockDriversError:
            with suppress(BlockDriversError):
                self._store.delete(pool, draft)
            raise


def draft_of(name: str) -> str:
    """Return the name of this call's draft: no other call that is under way has one of that name."""
    return hanging(caller(), name)


def caller(of: str = "") -> str:
    """Return the name of a helper that no other call has which is under way."""
    return array_name(Kind.TEMPORARY, f"{os.uname().nodename} {os.getpid()} {threading.get_ident()}{of}", _HELPER)


@contextmanager
def not_taken_away(name: str) -> Iterator[None]:
    """Have a call made again whose draft is not there any more."""
    try:
        yield
    except NotFound as gone:
        raise Busy(f"Another call for {name!r} has taken this one's draft away.") from gone
