"""Calls for one file of a share at the same time, in every order of their steps: a step is a look at the share, or a change of it.

Of the orders of three calls some are tried, by chance: ``ONE_ID_RACES`` in the environment says how many. Of two calls eight times as many are tried, which are all
that there are of an export and a deletion; where it is 0, all of any two.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from blockdrivers import deadline
from blockdrivers.backend import Backend
from blockdrivers.errors import AlreadyExists, BlockDriversError, InUse, NotFound
from blockdrivers.model import Dependant, GiB, Host, Protocol
from tests.integration.test_nfs_shares import Shares
from tests.integration.test_one_id import Turns, named

HOST = Host("cmp01", addresses=("192.0.2.1",))
RACES = int(os.environ.get("ONE_ID_RACES", "40"))
CALLERS = ("first", "second", "third")
DEPTH = 14
"""So many steps are tried in every order; what is left then of calls that are in each other's way takes turns."""

Call = Callable[[Backend], object]
Choose = Callable[[int, Sequence[int]], int]
"""Says who of those that have not ended takes the step of that number."""


def export(array):
    return array.export("v", HOST, Protocol.NFS)


def delete(array):
    return array.delete_volume("v")


def snapshot(array):
    return array.create_snapshot("s", "v")


def give_up(array):
    return array.unmanage_volume("v", "old.img")


class Lab:
    """Three backends on two shares, whose steps can be timed."""

    def __init__(self, shares: Shares, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shares, self.turns = shares, Turns()
        self.any = shares.open()
        self.backends = {caller: shares.open() for caller in CALLERS}
        for caller, backend in self.backends.items():
            for step in ("at", "slowly"):
                monkeypatch.setattr(backend.driver._mounts, step, self._gated(caller, getattr(backend.driver._mounts, step)))
            monkeypatch.setattr(backend.driver._files, "_named", partial(named, self, caller))

    def _gated(self, caller: str, real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments, **more):
            self.turns.step(caller)
            return real(*arguments, **more)

        return step

    def run(self, calls: Sequence[Call], choose: Choose) -> list[object]:
        """Let calls take turns; return what each was told or refused with."""
        self.turns = Turns()
        outcomes: list[object] = [None] * len(calls)

        def run(number: int) -> None:
            try:
                outcomes[number] = calls[number](self.backends[CALLERS[number]])
            except BlockDriversError as refused:
                outcomes[number] = refused

        threads = [self.turns.begin(CALLERS[number], partial(run, number)) for number in range(len(calls))]
        waiting = [number for number in range(len(calls)) if not self.turns.let(CALLERS[number], 0)]
        for step in count():
            if not waiting:
                break
            assert step < 1000, "the calls do not end"
            number = choose(step, waiting)
            if self.turns.let(CALLERS[number], 1):
                waiting.remove(number)
        for thread in threads:
            thread.join(60)
        self.turns = Turns()
        return outcomes

    def race(self, *calls: Call, before: Callable[[], object] | None = None) -> Iterator[tuple[list[object], str]]:
        """Yield what the calls were told, for each order of their steps, and the order."""
        pending: list[list[int]] = [[]]
        chance = random.Random(len(calls))
        most = (8 * RACES or sys.maxsize) if len(calls) == 2 else (RACES or 1000)
        for number in count(1):
            if not pending or number > most:
                return
            prefix, taken = pending.pop(chance.randrange(len(pending))), []

            def choose(step: int, waiting: Sequence[int], prefix: list[int] = prefix, taken: list[int] = taken) -> int:
                if step < len(prefix):
                    chosen = prefix[step]
                elif len(calls) > 2:
                    chosen = chance.choice(waiting)
                else:
                    chosen = waiting[0] if step < DEPTH else waiting[step % len(waiting)]
                    pending.extend([*taken, other] for other in waiting if other != chosen and step < DEPTH)
                taken.append(chosen)
                return chosen

            self.begin()
            if before is not None:
                before()
            yield self.run(calls, choose), "".join(map(str, taken))
            self.end()
            if len(calls) > 2:
                pending.append([])

    def begin(self) -> None:
        self.any.create_volume("v", GiB, "a")
        for backend in self.backends.values():
            backend.get_volume("v")

    def end(self) -> None:
        for share in "ab":
            for name in self.shares.names(share):
                (self.shares.folder / share / name).unlink()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    real = deadline.time.sleep
    monkeypatch.setattr(deadline.time, "sleep", lambda seconds: real(min(seconds, 0.001)))
    with ExitStack() as stack:
        yield Lab(Shares(stack, tmp_path, "64m"), monkeypatch)


def told(outcome: object) -> bool:
    return not isinstance(outcome, BlockDriversError)


def notes(lab: Lab) -> list[str]:
    """Return what hangs on volumes."""
    return [name for name in lab.shares.names() if "{" in name]


@pytest.mark.parametrize("deletions", [1, 2])
@pytest.mark.parametrize("hang", [export, snapshot])
def test_what_is_used_is_not_deleted_and_what_is_deleted_is_not_used(lab, hang, deletions):
    orders = 0
    for (used, *deleted), order in lab.race(hang, *[delete] * deletions):
        orders += 1
        if told(used):
            assert all(isinstance(outcome, InUse) for outcome in deleted), f"{order}: used, and deleted: {deleted}"
            kind = Dependant.EXPORT if hang is export else Dependant.SNAPSHOT
            assert lab.any.get_volume("v").dependants == {kind}, order
            assert len(lab.shares.names()) == (3 if hang is export else 2), f"{order}: {lab.shares.names()}"
        else:
            assert isinstance(used, NotFound), f"{order}: {used!r}"
            assert any(told(outcome) for outcome in deleted), f"{order}: {deleted}"
            assert (notes(lab), lab.any.list_volumes()) == ([], []), order
        assert list(lab.any.sweep()) == [], order
    assert orders >= min(RACES, 30)


def test_two_exports_and_a_deletion(lab):
    for (one, other, deleted), order in lab.race(export, export, delete):
        if told(deleted):
            assert (type(one), type(other), notes(lab)) == (NotFound, NotFound, []), order
        else:
            assert isinstance(deleted, InUse), f"{order}: {deleted!r}"
            assert (told(one), told(other), len(lab.any.list_exports("v"))) == (True, True, 1), f"{order}: {one!r} {other!r}"


@pytest.mark.parametrize("hang", [export, snapshot])
def test_what_hangs_on_a_volume_that_is_given_up_goes_with_it(lab, hang):
    for (used, given), order in lab.race(hang, give_up):
        assert told(given), f"{order}: {given!r}"
        there = lab.any.find_volume("old.img")
        if told(used):
            assert there.dependants == {Dependant.EXPORT if hang is export else Dependant.SNAPSHOT}, f"{order}: {notes(lab)}"
        else:
            assert isinstance(used, NotFound), f"{order}: {used!r}"
        assert [name for name in notes(lab) if not name.endswith("{old.img}")] == [], order


def test_a_volume_is_deleted_while_others_look_for_it(lab):
    for (seen, deleted), order in lab.race(lambda array: array.get_volume("v"), delete):
        assert told(deleted), f"{order}: {deleted!r}"
        assert told(seen) or isinstance(seen, NotFound), f"{order}: {seen!r}"
        assert lab.shares.names() == [], order


def test_a_volume_that_is_made_while_it_is_deleted_is_one_volume(lab):
    for (made, deleted), order in lab.race(lambda array: array.create_volume("v", GiB, "b"), delete):
        assert told(deleted), f"{order}: {deleted!r}"
        assert told(made) or made.differences == {"pool": ("b", "a")}, f"{order}: {made!r}"
        assert [lab.shares.names("a"), lab.shares.names("b")] == [[], ["bdvl-v"] if told(made) else []], order
        assert list(lab.any.sweep()) == [], order


@pytest.mark.parametrize("pool", ["a", "b"])
def test_one_snapshot_id_of_two_volumes_is_one_snapshot(lab, pool):
    def other(array):
        return array.create_snapshot("s", "w")

    for outcomes, order in lab.race(snapshot, other, snapshot, before=lambda: lab.any.create_volume("w", GiB, pool)):
        there = lab.any.get_snapshot("s")
        stays = {outcome.id for outcome in outcomes if told(outcome)}
        assert stays == {there.id}, f"{order}: told {outcomes}, and there is {there}"
        refused = [outcome for outcome in outcomes if not told(outcome)]
        assert all(isinstance(outcome, AlreadyExists) and "source" in outcome.differences for outcome in refused), (
            f"{order}: {refused}"
        )
        assert list(lab.any.sweep()) == [], order
        assert len(list(lab.any.list_snapshots())) == 1, order


def test_a_volume_that_is_put_back_meets_no_second_one(lab):
    def make(array):
        return array.create_volume("v", GiB, "b")

    for outcomes, order in lab.race(export, delete, make):
        there = [share for share in "ab" if "bdvl-v" in lab.shares.names(share)]
        assert len(there) < 2, f"{order}: a file in each share, after {outcomes}"
        if told(outcomes[0]):
            assert len(there) == len(lab.any.list_exports("v")) == 1, f"{order}: {outcomes}"
        if told(outcomes[2]):
            assert there == ["b"], f"{order}: {outcomes}"
