"""Random sequences of operations against a model: whatever the order, the array and the model agree."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, NotFound
from blockdrivers.model import GiB
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.machines import run_machine
from conformance.suite.rig import Rig

_EXAMPLES = 12
_STEPS = 25
_NAMES = st.sampled_from(["a", "b", "c"])
_SNAPSHOTS = st.sampled_from(["s", "t"])
_SIZES = st.integers(1, 4).map(lambda size: size * GiB)


@dataclass
class _Modelled:
    """What the model knows of a volume."""

    size: int
    snapshots: dict[str, int] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    source: str | None = None


@check(
    "random.sequences",
    Level.MANDATORY,
    "Random sequences agree with a model",
    title_zh="随机操作序列与模型一致",
    requirement="Create, extend, delete, snapshot, clone, export and unexport in any order do exactly what a model of them says.",
    needs=("list_objects", "two_hosts"),
)
def test_sequences(rig: Rig) -> None:
    """Run the machine; every example works on volumes of its own and removes them."""
    run_machine(_Machine, rig, examples=_EXAMPLES, steps=_STEPS)


class _Machine(RuleBasedStateMachine):
    def __init__(self, rig: Rig, number: int) -> None:
        super().__init__()
        self.rig = rig
        self.number = number
        self.volumes: dict[str, _Modelled] = {}

    def id(self, name: str) -> str:
        return self.rig.id(f"r{self.number}{name}")

    def snapshot_id(self, name: str, snapshot: str) -> str:
        return self.rig.id(f"r{self.number}{name}{snapshot}")

    @rule(name=_NAMES, size=_SIZES)
    def create(self, name: str, size: int) -> None:
        there = self.volumes.get(name)
        if there is None or (there.size, there.source) == (size, None):
            made = self.rig.backend.create_volume(self.id(name), size, self.rig.pool)
            assert made.size == size, f"asked for {size} bytes, got {made.size}"
            self.volumes.setdefault(name, _Modelled(size))
        else:
            with expect.refused(AlreadyExists, what=f"create of {name} that is there with other arguments"):
                self.rig.backend.create_volume(self.id(name), size, self.rig.pool)

    @rule(name=_NAMES, size=_SIZES)
    def extend(self, name: str, size: int) -> None:
        there = self.volumes.get(name)
        if there is None:
            with expect.refused(NotFound, what=f"extend of absent {name}"):
                self.rig.backend.extend_volume(self.id(name), size)
        elif size < there.size:
            with expect.refused(InvalidRequest, what=f"shrinking of {name}"):
                self.rig.backend.extend_volume(self.id(name), size)
        elif size > there.size and there.snapshots and not self.rig.capabilities.extend_with_snapshots:
            with expect.refused(InUse, what=f"extend of {name} with snapshots"):
                self.rig.backend.extend_volume(self.id(name), size)
        else:
            there.size = self.rig.backend.extend_volume(self.id(name), size).size
            assert there.size == size, f"extended {name} to {size} bytes, got {there.size}"

    @rule(name=_NAMES)
    def delete(self, name: str) -> None:
        there = self.volumes.get(name)
        if there is not None and (there.snapshots or there.exported):
            with expect.refused(InUse, what=f"delete of {name} with dependants"):
                self.rig.backend.delete_volume(self.id(name))
        else:
            self.rig.backend.delete_volume(self.id(name))
            self.volumes.pop(name, None)

    def is_held(self, there: _Modelled) -> bool:
        """Tell whether a volume gets no copies, since a host uses it."""
        return bool(there.exported) and not self.rig.capabilities.copies_in_use

    @rule(name=_NAMES, snapshot=_SNAPSHOTS)
    def take_snapshot(self, name: str, snapshot: str) -> None:
        there = self.volumes.get(name)
        if there is None:
            with expect.refused(NotFound, what=f"snapshot of absent {name}"):
                self.rig.backend.create_snapshot(self.snapshot_id(name, snapshot), self.id(name))
        elif self.is_held(there) and snapshot not in there.snapshots:
            with expect.refused(InUse, what=f"snapshot of exported {name}"):
                self.rig.backend.create_snapshot(self.snapshot_id(name, snapshot), self.id(name))
        else:
            taken = self.rig.backend.create_snapshot(self.snapshot_id(name, snapshot), self.id(name))
            size = there.snapshots.setdefault(snapshot, there.size)
            assert taken.size == size, f"snapshot {snapshot} of {name} has {taken.size} bytes, not {size}"

    @rule(name=_NAMES, snapshot=_SNAPSHOTS)
    def delete_snapshot(self, name: str, snapshot: str) -> None:
        self.rig.backend.delete_snapshot(self.snapshot_id(name, snapshot), of_volume=self.id(name))
        if name in self.volumes:
            self.volumes[name].snapshots.pop(snapshot, None)

    @precondition(lambda self: len(self.volumes) == 1)
    @rule(name=_NAMES)
    def clone(self, name: str) -> None:
        (source, there), *_ = self.volumes.items()
        if name in self.volumes:
            return
        if self.is_held(there):
            with expect.refused(InUse, what=f"clone of exported {source}"):
                self.rig.backend.clone_volume(self.id(name), self.id(source))
            return
        made = self.rig.backend.clone_volume(self.id(name), self.id(source))
        assert made.size == there.size, f"the clone of {source} has {made.size} bytes, not {there.size}"
        # An array without descriptions keeps no trace of a clone's source.
        self.volumes[name] = _Modelled(made.size, source=source if self.rig.capabilities.description_bytes else None)

    @rule(name=_NAMES, second=st.booleans())
    def export(self, name: str, second: bool) -> None:
        host = self.rig.track_host(self.rig.other_host if second else self.rig.host)
        there = self.volumes.get(name)
        if there is None:
            with expect.refused(NotFound, what=f"export of absent {name}"):
                self.rig.backend.export(self.id(name), host, self.rig.protocol)
        else:
            self.rig.backend.export(self.id(name), host, self.rig.protocol)
            there.exported.add(host.name)

    @rule(name=_NAMES, second=st.booleans())
    def unexport(self, name: str, second: bool) -> None:
        host = self.rig.other_host if second else self.rig.host
        self.rig.backend.unexport(self.id(name), host, self.rig.protocol)
        if name in self.volumes:
            self.volumes[name].exported.discard(host.name)

    @invariant()
    def the_array_agrees(self) -> None:
        mine = self.id("")
        listed = {identifier: volume for identifier, volume in self.rig.volumes().items() if identifier.startswith(mine)}
        expected = {self.id(name): modelled.size for name, modelled in self.volumes.items()}
        found = {identifier: volume.size for identifier, volume in listed.items()}
        assert found == expected, f"the model has {expected}, the array {found}"

    def teardown(self) -> None:
        self.the_array_agrees()
        for name, modelled in self.volumes.items():
            hosts = {export.host for export in self.rig.backend.list_exports(self.id(name))}
            assert hosts == modelled.exported, f"{name} is exported to {hosts}, the model says {modelled.exported}"
            for snapshot in modelled.snapshots:
                self.rig.backend.delete_snapshot(self.snapshot_id(name, snapshot), of_volume=self.id(name))
            self.rig.backend.delete_volume(self.id(name), force=True)
