"""Group snapshots of LUNs among other calls for their ids at the same time, in many orders of their requests.

Whoever is told of a snapshot is told of one that stays; a group is told of members of one moment; what nobody was told of has gone. One of
the callers may be cut off, and asks again. Which orders are tried is left to chance, but for those that are written down here:
of each set of calls a fourth of what ``ONE_ID_RACES`` in the environment says, and 500 where it is 0.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import MappingProxyType

import pytest

from blockdrivers.backend import Backend
from blockdrivers.errors import AlreadyExists, BlockDriversError, NotFound, OutOfSpace
from blockdrivers.model import GiB, Snapshot
from tests.integration.test_netapp import Lab as Ontap
from tests.integration.turns import Turns, hurry
from vendors.netapp.simulator import luns
from vendors.netapp.simulator.luns import no_space

CALLERS = ("first", "second", "third")
RACES = int(os.environ.get("ONE_ID_RACES", "40")) or 2000
VOLUMES = {"a": "pool_a", "b": "pool_b", "c": "pool_a", "d": "pool_b"}


class CutOff(Exception):
    """A caller's process has died."""


@dataclass(frozen=True)
class Group:
    members: Mapping[str, str]

    def on(self, array: Backend) -> list[Snapshot]:
        return list(array.create_group_snapshot(self.members))


@dataclass(frozen=True)
class Single:
    snapshot: str
    volume: str

    def on(self, array: Backend) -> list[Snapshot]:
        return [array.create_snapshot(self.snapshot, self.volume)]


Call = Group | Single
PAIR = Group({"a": "s1", "b": "s2"})
"""In two FlexVols."""
NEAR = Group({"a": "s1", "c": "s2"})
"""In one FlexVol."""
RACES_OF: Mapping[str, Sequence[Call]] = {
    "the same group thrice": (PAIR, PAIR, PAIR),
    "the same group in one FlexVol": (NEAR, NEAR, NEAR),
    "singles of the members": (PAIR, Single("s1", "a"), Single("s2", "b")),
    "singles of other volumes": (PAIR, Single("s2", "c"), Single("s1", "d")),
    "one other volume in the same FlexVol": (PAIR, PAIR, Single("s2", "d")),
    "a member and another volume": (NEAR, Single("s1", "a"), Single("s2", "d")),
    "other volumes' group": (PAIR, Group({"c": "s1", "d": "s2"}), PAIR),
    "volumes exchanged": (PAIR, Group({"b": "s1", "a": "s2"}), Single("s1", "a")),
    "the same group in another order": (PAIR, Group({"b": "s2", "a": "s1"})),
    "two other volumes": (PAIR, Single("s2", "c"), Single("s2", "d")),
    "groups that share a member": (PAIR, Group({"a": "s1", "d": "s3"}), Single("s3", "c")),
}

KNOWN: Mapping[str, tuple[Sequence[Call], str, Mapping[str, int], set[int]]] = {
    # The second caller gives the moment up for the third's snapshot, after the first has seen every member alone.
    "given up before it is ended": ((PAIR, PAIR, Single("s2", "c")), "00000110021111100111111", {}, set()),
    # The second one has been told when the first gives the moment up, for the third's snapshot.
    "ended before it is given up": ((PAIR, PAIR, Single("s2", "c")), "0000011112000011000000", {}, {0, 1}),
    # As the former, and the one that takes back is cut off: everything is there, and given up.
    "cut off while it takes back": ((PAIR, Single("s2", "c")), "0000001001", {"first": 8}, set()),
    # The first is refused for the second's snapshot, which the second is about to take back for the third's.
    "refused for what goes": ((PAIR, Single("s2", "c"), Single("s2", "d")), "12100000122", {}, {1}),
    # A member that the second one was told of is the third's, too, who has to give way.
    "kept by a single call": ((PAIR, Single("s2", "b"), Single("s2", "d")), "000000211110", {}, {0, 1}),
}
"""Calls, how the order of their requests begins, who is cut off after how many, and who at least is told of what was asked for."""


@dataclass
class Array:
    """The simulated array's side: which moment each LUN is of, and what it refuses."""

    moments: dict[str, int] = field(default_factory=dict)
    frozen: dict[str, int] = field(default_factory=dict)
    full: str | None = None

    def watch(self, family) -> None:
        numbers = count()
        take, clone = family._state.take_snapshots, family._luns._clone

        def taking(name, flexvols):
            made, number = take(name, flexvols), next(numbers)
            self.frozen |= {lun.id: number for snapshot in made for lun in snapshot.luns.values()}
            return made

        def cloning(name, body):
            if self.full is not None and self.full in name[0]:
                raise no_space("pool")
            source = family._luns._source(body, "clone")
            made = clone(name, body)
            self.moments[made.id] = self.frozen.get(source.id, -1)
            return made

        family._state.take_snapshots, family._luns._clone = taking, cloning


class Lab:
    """Three backends on one array of two FlexVols, whose requests can be timed."""

    def __init__(self, stack: ExitStack) -> None:
        started = Ontap(stack, "AFF A300", pools=2)
        self.family = started.array.family
        self.array = Array()
        self.array.watch(self.family)
        self.any = started.open()
        for volume, pool in VOLUMES.items():
            self.any.create_volume(volume, GiB, pool)
        self.backends = {caller: started.open() for caller in CALLERS}
        self.turns = Turns()
        self.lives: dict[str, int] = {}
        for caller, backend in self.backends.items():
            for volume in VOLUMES:
                backend.get_volume(volume)
            backend.pools()
            client = backend.driver._client
            client._call = partial(self._step, caller, client._call)

    def _step(self, caller: str, real: Callable[..., object], *arguments, **more):
        """Send a request when it is its caller's turn; after the last one of its life, a caller sends none and hears nothing."""
        self.turns.step(caller)
        left = self.lives.get(caller)
        if left is None:
            return real(*arguments, **more)
        self.lives[caller] = left - 1
        if left > 0:
            answer = real(*arguments, **more)
            if left > 1:
                return answer
        raise CutOff

    def run(self, calls: Sequence[Call], choose: Callable[[list[int]], int]) -> list[object]:
        """Let calls take turns, and repeat those that are cut off; return what each was told or refused with."""
        self.turns = Turns()
        outcomes: list[object] = [None] * len(calls)

        def run(number: int) -> None:
            try:
                outcomes[number] = calls[number].on(self.backends[CALLERS[number]])
            except BlockDriversError as refused:
                outcomes[number] = refused
            except CutOff:
                del self.lives[CALLERS[number]]
                run(number)

        self.turns.take(
            {CALLERS[number]: partial(run, number) for number in range(len(calls))}, lambda _, waiting: choose(waiting)
        )
        self.turns = Turns()
        return outcomes

    def race(
        self, calls: Sequence[Call], chance: random.Random, lives: Mapping[str, int] = MappingProxyType({}), begins: str = ""
    ) -> list[object]:
        """Run calls in an order that begins so and is left to chance then, and judge what is there."""
        self.lives = dict(lives)
        order: list[int] = []

        def choose(waiting: list[int]) -> int:
            given = int(begins[len(order)]) if len(order) < len(begins) else -1
            # Now and then another one: most of what goes wrong needs several requests of one caller in a row.
            stays = order and order[-1] in waiting and chance.random() < 0.75
            order.append(given if given in waiting else order[-1] if stays else chance.choice(waiting))
            return order[-1]

        outcomes = self.run(calls, choose)
        what = f"{''.join(map(str, order))}, {dict(lives)}"
        self.judge(calls, outcomes, what)
        for snapshot in self.any.list_snapshots():
            self.any.delete_snapshot(snapshot.snapshot_id)
        return outcomes

    def judge(self, calls: Sequence[Call], outcomes: Sequence[object], what: str) -> None:
        there = {snapshot.snapshot_id: snapshot for snapshot in self.any.list_snapshots()}
        assert len(there) == len(self.any.list_snapshots()), f"{what}: one id twice: {list(self.any.list_snapshots())}"
        told = {}
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, list):
                for snapshot in outcome:
                    found = there.get(snapshot.snapshot_id)
                    assert found is not None, f"{what}: {call} was told of {snapshot.name}, which is gone; {outcomes}"
                    assert found.id == snapshot.id, f"{what}: {call} was told of {snapshot.name}, which is another one"
                    told[snapshot.snapshot_id] = call
                moments = {self.array.moments[snapshot.id] for snapshot in outcome}
                assert len(outcome) == 1 or (len(moments) == 1 and -1 not in moments), f"{what}: {call} is of {moments}"
            elif self.array.full is None:
                assert isinstance(outcome, AlreadyExists), f"{what}: {call} ended with {outcome!r}"
                assert outcome.differences, f"{what}: {call} ended with {outcome!r}"
                assert any(other != call for other in calls), f"{what}: {call} was refused for what it asked for: {outcome!r}"
                self.judge_refusal(call, calls, outcome, there, what)
            else:
                assert isinstance(outcome, OutOfSpace | AlreadyExists), f"{what}: {call} ended with {outcome!r}"
        assert told or self.array.full, f"{what}: nobody was told of anything: {outcomes}"
        assert there.keys() == told.keys(), f"{what}: nobody was told of {there.keys() - told.keys()}: {outcomes}"
        left = self.family.state()
        assert (left["snapshots"], left["groups"]) == ([], []), f"{what}: {left['snapshots']}, {left['groups']} left"
        assert list(self.any.sweep()) == [], what

    def judge_refusal(
        self, call: Call, calls: Sequence[Call], refused: AlreadyExists, there: Mapping[str, Snapshot], what: str
    ) -> None:
        """Prove that a group was refused for what stays, where single calls alone are in its way."""
        if isinstance(call, Single) or any(isinstance(other, Group) for other in calls if other is not call):
            return
        for key, (_, source) in refused.differences.items():
            if key != "moment":
                stays = there[key.removesuffix(".source")]
                assert stays.source_name == source, f"{what}: {call} was refused for {source}, and there is {stays}"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    hurry(monkeypatch)
    with ExitStack() as stack:
        yield Lab(stack)


@pytest.mark.parametrize("calls", RACES_OF.values(), ids=RACES_OF)
def test_whoever_is_told_of_a_group_is_told_of_one_moment_that_stays(lab, calls, monkeypatch):
    chance = random.Random(str(calls))
    told_apart = luns.now_text
    for number in range(-(-RACES // 4)):
        monkeypatch.setattr(luns, "now_text", told_apart if number & 2 else lambda: "2026-11-28T12:00:00+00:00")
        lab.race(calls, chance, {"first": chance.randrange(2, 16)} if number & 1 else {})


@pytest.mark.parametrize(("calls", "order", "lives", "told"), KNOWN.values(), ids=KNOWN)
def test_orders_that_nearly_went_wrong(lab, calls, order, lives, told):
    for seed in range(3):
        outcomes = lab.race(calls, random.Random(seed), lives, order)
        assert told <= {number for number, outcome in enumerate(outcomes) if isinstance(outcome, list)}, outcomes


def test_what_is_refused_for_good_leaves_what_others_were_told_of(lab):
    lab.array.full = "bdsl-s2"
    chance = random.Random(1)
    for life in range(2, 14):
        lab.race((PAIR,), chance, {"first": life})
    for number in range(-(-RACES // 4)):
        other = (PAIR, Group({"a": "s1"}))[number & 1]
        lab.race((PAIR, other, Single("s1", "a")), chance, {"first": chance.randrange(2, 16)} if number & 2 else {})
    # A group of one is told of the other one's member while that is taken back.
    lab.race((PAIR, Group({"a": "s1"})), chance, begins="0" * 10 + "1" * 5)


def test_what_another_call_has_begun_is_not_taken_back_for_other_volumes(lab):
    mine, other, *_ = lab.race((PAIR, Group({"c": "s1", "d": "s2"})), random.Random(0), {"first": 5}, "00000" + "1" * 40)
    assert isinstance(mine, list), mine
    assert isinstance(other, AlreadyExists), other
    assert set(other.differences) == {"s1.source"}, other


def test_a_volume_that_goes_meanwhile_leaves_nothing_of_the_group(lab):
    sent = count()

    def choose(waiting: list[int]) -> int:
        if next(sent) == 1:
            lab.any.delete_volume("a")
        return waiting[0]

    (outcome,) = lab.run((PAIR,), choose)
    assert isinstance(outcome, NotFound), outcome
    left = lab.family.state()
    assert (left["snapshots"], left["groups"], list(lab.any.list_snapshots())) == ([], [], [])
