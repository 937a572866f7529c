"""How an intention becomes a fact on the array, whatever happens on the way: ask, read back, adopt, ask again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from blockdrivers import deadline
from blockdrivers.compare import Differences
from blockdrivers.errors import AlreadyExists, Ambiguous, Busy, NotFound, StaleReference, Unreachable

T = TypeVar("T")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


def persist(step: Callable[[], T], *, on_stale: Callable[[], None]) -> T:
    """Run an idempotent step until it succeeds, fails for good, or the current deadline passes.

    An array out of reach is reported at once, since nothing was sent; but once an outcome is open, only an answer will do.

    Args:
        step: reads before it destroys, so that it may be run again after any failure.
        on_stale: drops what was remembered of the array; called when an answer contradicted it.
    """
    interval = _FIRST_PAUSE
    open_outcome = False
    while True:
        try:
            return step()
        except StaleReference as error:
            on_stale()
            cause = str(error)
        except (Ambiguous, Busy) as error:
            open_outcome |= isinstance(error, Ambiguous)
            cause = str(error)
        except Unreachable as error:
            if not open_outcome:
                raise
            cause = str(error)
        deadline.note(f"the last attempt ended with: {cause}")
        deadline.pause(interval, "")
        interval = min(interval * 2, _LONGEST_PAUSE)


def make(
    *,
    make: Callable[[], T],
    find: Callable[[], T],
    differences: Callable[[T], Differences],
    complete: Callable[[T], bool],
    what: str,
    on_stale: Callable[[], None],
) -> T:
    """Make something optimistically; when its name is taken, or nobody knows, read back and adopt it or make it again.

    Args:
        make: one attempt; re-entrant, as the driver contract demands.
        find: reads what bears the name; raises `NotFound`.
        differences: what is there beside what was asked for; anything unequal ends in `AlreadyExists`.
        complete: whether what is there may be handed out.
        what: for messages, such as "Volume 'a'".
        on_stale: see `persist`.
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

    return persist(attempt, on_stale=on_stale)


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
