"""Whatever is asked of the MacroSAN driver, in any order: the array holds what was told, and refuses what it should."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.macrosan import MODEL, POOL
from blockdrivers.backend import Backend
from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, NotFound
from blockdrivers.model import GiB, Host, Protocol
from conformance.simulation.server import SimulatedArray
from tests.integration.macrosan.lab import Lab
from vendors.macrosan.simulator import build

NAMES = st.sampled_from("abc")


@dataclass
class Known:
    """What a volume has to be."""

    size: int
    snapshots: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)


class Model:
    """A backend, and what there has to be on its array."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.known: dict[str, Known] = {}

    def run(self, verb: str, name: str, other: str, number: int) -> None:
        getattr(self, verb)(name, other, number)

    def create(self, name: str, _: str, number: int) -> None:
        if name in self.known and self.known[name].size != number * GiB:
            with pytest.raises(AlreadyExists):
                self.backend.create_volume(name, number * GiB, POOL)
            return
        self.backend.create_volume(name, number * GiB, POOL)
        self.known.setdefault(name, Known(number * GiB))

    def extend(self, name: str, _: str, number: int) -> None:
        if name not in self.known or number * GiB < self.known[name].size:
            with pytest.raises((NotFound, InvalidRequest)):
                self.backend.extend_volume(name, number * GiB)
            return
        self.backend.extend_volume(name, number * GiB)
        self.known[name].size = number * GiB

    def snapshot(self, name: str, other: str, _: int) -> None:
        if name not in self.known:
            with pytest.raises(NotFound):
                self.backend.create_snapshot(other, name)
            return
        self.backend.create_snapshot(other, name)
        self.known[name].snapshots.add(other)

    def drop_snapshot(self, name: str, other: str, _: int) -> None:
        self.backend.delete_snapshot(other, of_volume=name)
        if name in self.known:
            self.known[name].snapshots.discard(other)

    def clone(self, name: str, other: str, _: int) -> None:
        if name not in self.known:
            with pytest.raises(NotFound):
                self.backend.clone_volume("d", name)
        elif other not in self.known:
            self.backend.clone_volume(other, name)
            self.known[other] = Known(self.known[name].size)

    def copy(self, name: str, other: str, _: int) -> None:
        snapshots = self.known[name].snapshots if name in self.known else ()
        if not snapshots:
            with pytest.raises(NotFound):
                self.backend.create_volume_from_snapshot("d", other, pool=POOL, of_volume=name)
        elif other not in self.known:
            self.backend.create_volume_from_snapshot(other, min(snapshots), pool=POOL, of_volume=name)
            self.known[other] = Known(self.known[name].size)

    def export(self, name: str, other: str, _: int) -> None:
        if name not in self.known:
            with pytest.raises(NotFound):
                self.backend.export(name, _host(other), Protocol.ISCSI)
            return
        self.backend.export(name, _host(other), Protocol.ISCSI)
        self.known[name].hosts.add(other)

    def unexport(self, name: str, other: str, _: int) -> None:
        self.backend.unexport(name, _host(other), Protocol.ISCSI)
        if name in self.known:
            self.known[name].hosts.discard(other)

    def delete(self, name: str, _: str, number: int) -> None:
        volume, force = self.known.get(name), number > 2
        if volume and (volume.snapshots or (volume.hosts and not force)):
            with pytest.raises(InUse):
                self.backend.delete_volume(name, force=force)
            return
        self.backend.delete_volume(name, force=force)
        self.known.pop(name, None)

    def rename(self, name: str, other: str, _: int) -> None:
        if name not in self.known:
            return
        self.backend.unmanage_volume(name, "away")
        with pytest.raises(NotFound):
            self.backend.get_volume(name)
        volume = self.known[name]
        if volume.hosts or volume.snapshots or other in self.known:
            self.backend._driver.rename_volume(self.backend._driver.look_up_volume("away"), f"bdvl-{name}", "")
            return
        self.backend.manage_volume(other, "away")
        self.known[other] = self.known.pop(name)


VERBS = sorted(name for name in vars(Model) if not name.startswith("_") and name != "run")


def _host(name: str) -> Host:
    return Host(name, iqn=f"iqn.1994-05.org.example:{name}")


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(VERBS), NAMES, NAMES, st.integers(1, 4)), max_size=16))
def test_the_array_holds_what_was_told(steps):
    with ExitStack() as stack:
        started = Lab(stack.enter_context(SimulatedArray(build(MODEL, copy_seconds=0.0), tls=False)), stack)
        model = Model(started.open(tls={}))
        for step in steps:
            model.run(*step)
        known = {f"bdvl-{name}": volume for name, volume in model.known.items()}
        assert {item["name"]: item["size"] for item in started.state("volumes")} == {
            name: volume.size for name, volume in known.items()
        }
        kept = [item["lun"] for item in started.state("snapshots")]
        assert {name: kept.count(name) for name in known} == {name: len(volume.snapshots) for name, volume in known.items()}
        assert {(item["object"], item["initiator"].rpartition(":")[2]) for item in started.state("mappings")} == {
            (name, host) for name, volume in known.items() for host in volume.hosts
        }
        assert (started.state("views"), started.state("copies")) == ([], [])
        assert {item["lun"] for item in started.state("resources")} <= set(known)
