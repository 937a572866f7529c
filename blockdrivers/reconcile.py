"""How an intention becomes a fact on the array, whatever happens on the way: ask, read back, adopt, ask again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from blockdrivers import deadline
from blockdrivers.compare import Differences
from blockdrivers.errors import AlreadyExists, Ambiguous, Busy, NotFound, StaleReference, Unreachable

T = TypeVar("T")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """What may happen between two attempts.

    Attributes:
        on_stale: drops what was remembered of the array; called when an answer contradicted it.
        unreachable: seconds for which an array out of reach is asked again, where nothing was sent yet.
    """

    on_stale: Callable[[], None]
    unreachable: float


def persist(step: Callable[[], T], patience: Patience) -> T:
    """Run an idempotent step until it succeeds, fails for good, or the current deadline passes.

    An array out of reach is reported soon, since nothing was sent; but once an outcome is open, only an answer will do.

    Args:
        step: reads before it destroys, so that it may be run again after any failure.
        patience: how long, and what to do on the way.
    """
    interval = _FIRST_PAUSE
    open_outcome = False
    out_of_reach_since: float | None = None
    while True:
        try:
            return step()
        except StaleReference as error:
            patience.on_stale()
            cause = str(error)
        except (Ambiguous, Busy) as error:
            open_outcome |= isinstance(error, Ambiguous)
            cause = str(error)
        except Unreachable as error:
            now = time.monotonic()
            out_of_reach_since = out_of_reach_since or now
            if not open_outcome and now - out_of_reach_since >= patience.unreachable:
                raise
            cause = str(error)
        known = "its outcome is open" if open_outcome else "nothing was changed by it"
        deadline.note(f"{known}; the last attempt ended with: {cause}")
        deadline.pause(interval, "")
        interval = min(interval * 2, _LONGEST_PAUSE)


def make(
    *,
    make: Callable[[], T],
    find: Callable[[], T],
    differences: Callable[[T], Differences],
    complete: Callable[[T], bool],
    what: str,
    patience: Patience,
) -> T:
    """Make something optimistically; when its name is taken, or nobody knows, read back and adopt it or make it again.

    Args:
        make: one attempt; re-entrant, as the driver contract demands.
        find: reads what bears the name; raises `NotFound`.
        differences: what is there beside what was asked for; anything unequal ends in `AlreadyExists`.
        complete: whether what is there may be handed out.
        what: for messages, such as "Volume 'a'".
        patience: see `persist`.
    """
    unsure = False

    def attempt() -> T:
        nonlocal unsure
        found = or_none(find) if unsure else None
        unsure = False
        if found is not None and complete(found):
            return _adopt(found, differences, what)
        try:
            return make()
        except AlreadyExists as taken_already:
            if taken_already.differences:
                raise
            found = or_none(find)
        except Ambiguous:
            # Some arrays take two objects of one name: nothing is sent again before the name has been looked up.
            unsure = True
            raise
        if found is None:
            raise Busy(f"{what} was there a moment ago and is not now.")
        _adopt(found, differences, what)
        if not complete(found):
            raise Busy(f"{what} is there but not ready yet.")
        return found

    return persist(attempt, patience)


def or_none(find: Callable[[], T]) -> T | None:
    """Return what `find` finds, or None where it raises `NotFound`."""
    try:
        return find()
    except NotFound:
        return None


def taken(what: str, differences: Differences) -> AlreadyExists:
    """Return the error that names every difference between what was asked for and what is there."""
    said = "; ".join(f"{name}: asked for {wanted!r}, found {found!r}" for name, (wanted, found) in differences.items())
    return AlreadyExists(f"{what} exists and differs ({said}); use another id or ask for what is there.", differences=differences)


def _adopt(found: T, differences: Callable[[T], Differences], what: str) -> T:
    if different := differences(found):
        raise taken(what, different)
    return found
