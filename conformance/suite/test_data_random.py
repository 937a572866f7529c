"""Random sequences of writes, snapshots, clones, reverts, extends and deletes against a model of the bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from blockdrivers.model import GiB
from conformance.outcome import Level
from conformance.suite.declare import check
from conformance.suite.disks import BLOCK, NEEDS, attached
from conformance.suite.machines import run_machine
from conformance.suite.rig import Rig

_EXAMPLES = 5
_STEPS = 20
_NAMES = ("a", "b")
_SNAPSHOTS = ("s", "t")
_PICKS = st.integers(0, 3)
"""Which of what is there, counted round."""
_PLACES = (0, GiB // 2, GiB - BLOCK, GiB, 2 * GiB - BLOCK, 2 * GiB)
"""Where bytes are written and looked at: also on both sides of where a volume once ended."""

Contents = dict[int, int]
"""Place -> value of every byte of its block; what is not there is zero."""


@dataclass
class _Modelled:
    size: int
    contents: Contents = field(default_factory=dict)
    snapshots: dict[str, tuple[int, Contents]] = field(default_factory=dict)


@check(
    "data.sequences",
    Level.MANDATORY,
    "Random sequences leave the bytes of a model",
    title_zh="随机操作序列后数据与模型一致",
    requirement="Writes, snapshots, clones, reverts, extends and deletes in any order leave exactly the bytes that a model of them has.",
    needs=(*NEEDS, "revert"),
)
def test_sequences(rig: Rig) -> None:
    """Run the machine; every example works on volumes of its own and removes them."""
    run_machine(_Machine, rig, examples=_EXAMPLES, steps=_STEPS)


def _has_snapshots(machine: _Machine) -> bool:
    return any(there.snapshots for there in machine.volumes.values())


class _Machine(RuleBasedStateMachine):
    def __init__(self, rig: Rig, number: int) -> None:
        super().__init__()
        self.rig = rig
        self.number = number
        self.volumes: dict[str, _Modelled] = {}

    def tag(self, name: str, snapshot: str = "") -> str:
        return f"d{self.number}{name}{snapshot}"

    def id(self, name: str, snapshot: str = "") -> str:
        return self.rig.id(self.tag(name, snapshot))

    def picked(self, pick: int) -> tuple[str, _Modelled]:
        return sorted(self.volumes.items())[pick % len(self.volumes)]

    def picked_snapshot(self, pick: int) -> tuple[str, str]:
        taken = [(name, snapshot) for name, there in sorted(self.volumes.items()) for snapshot in sorted(there.snapshots)]
        return taken[pick % len(taken)]

    @property
    def snapshots_hold_size(self) -> bool:
        return not self.rig.capabilities.extend_with_snapshots

    def free_name(self) -> str:
        return next(name for name in _NAMES if name not in self.volumes)

    @precondition(lambda self: len(self.volumes) < len(_NAMES))
    @rule()
    def create(self) -> None:
        name = self.free_name()
        self.rig.volume(self.tag(name))
        self.volumes[name] = _Modelled(GiB)
        self.agrees(name)

    @precondition(lambda self: bool(self.volumes))
    @rule(pick=_PICKS, places=st.sets(st.sampled_from(_PLACES), max_size=2), value=st.integers(0, 255))
    def write(self, pick: int, places: set[int], value: int) -> None:
        name, there = self.picked(pick)
        with attached(self.rig, self.tag(name)) as disk:
            for place in sorted({place for place in places if place < there.size} | {there.size - BLOCK}):
                disk.write(place, bytes([value]) * BLOCK)
                there.contents[place] = value

    @precondition(lambda self: any(len(there.snapshots) < len(_SNAPSHOTS) for there in self.volumes.values()))
    @rule(pick=_PICKS)
    def take_snapshot(self, pick: int) -> None:
        name, there = self.picked(pick)
        snapshot = next((free for free in _SNAPSHOTS if free not in there.snapshots), None)
        if snapshot is not None:
            self.rig.backend.create_snapshot(self.id(name, snapshot), self.id(name))
            there.snapshots[snapshot] = there.size, dict(there.contents)

    @precondition(_has_snapshots)
    @rule(pick=_PICKS)
    def revert(self, pick: int) -> None:
        name, snapshot = self.picked_snapshot(pick)
        there = self.volumes[name]
        size, contents = there.snapshots[snapshot]
        newest = snapshot == list(there.snapshots)[-1]
        if size == there.size and (newest or self.rig.capabilities.revert_to_any):
            self.rig.backend.revert_volume(self.id(name), self.id(name, snapshot))
            there.contents = dict(contents)
            self.agrees(name)

    @precondition(lambda self: _has_snapshots(self) and len(self.volumes) < len(_NAMES))
    @rule(pick=_PICKS)
    def volume_from_snapshot(self, pick: int) -> None:
        (name, snapshot), other = self.picked_snapshot(pick), self.free_name()
        size, contents = self.volumes[name].snapshots[snapshot]
        self.rig.backend.create_volume_from_snapshot(
            self.id(other), self.id(name, snapshot), pool=self.rig.pool, of_volume=self.id(name)
        )
        self.volumes[other] = _Modelled(size, dict(contents))
        self.agrees(other)

    @precondition(lambda self: 0 < len(self.volumes) < len(_NAMES))
    @rule(pick=_PICKS, larger=st.booleans())
    def clone(self, pick: int, larger: bool) -> None:
        (name, there), other = self.picked(pick), self.free_name()
        size = there.size + GiB if larger else there.size
        self.rig.backend.clone_volume(self.id(other), self.id(name), size=size)
        self.volumes[other] = _Modelled(size, dict(there.contents))
        self.agrees(other)

    @precondition(lambda self: bool(self.volumes))
    @rule(pick=_PICKS)
    def extend(self, pick: int) -> None:
        name, there = self.picked(pick)
        if there.size < 3 * GiB and not (there.snapshots and self.snapshots_hold_size):
            there.size = self.rig.backend.extend_volume(self.id(name), there.size + GiB).size
            self.agrees(name)

    @precondition(lambda self: len(self.volumes) == len(_NAMES))
    @rule(pick=_PICKS)
    def delete(self, pick: int) -> None:
        name, there = self.picked(pick)
        for snapshot in sorted(there.snapshots):
            self.rig.backend.delete_snapshot(self.id(name, snapshot), of_volume=self.id(name))
        self.rig.backend.delete_volume(self.id(name))
        del self.volumes[name]

    def agrees(self, name: str) -> None:
        there = self.volumes[name]
        with attached(self.rig, self.tag(name)) as disk:
            assert disk.size == there.size, f"the host sees {disk.size} bytes of {name}, the model has {there.size}"
            for place in sorted({place for place in _PLACES if place < there.size} | {there.size - BLOCK}):
                value = there.contents.get(place, 0)
                found = disk.read(place, BLOCK)
                # No comparison within the assertion: pytest would draw the difference of two long texts, for minutes.
                agrees = found == bytes([value]) * BLOCK
                assert agrees, f"{name} at {place}: the model has {value:#04x}, the volume begins with {found[:4].hex()}"

    def teardown(self) -> None:
        for name, there in self.volumes.items():
            self.agrees(name)
            for snapshot in there.snapshots:
                self.rig.backend.delete_snapshot(self.id(name, snapshot), of_volume=self.id(name))
            self.rig.backend.delete_volume(self.id(name))
