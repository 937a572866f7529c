"""Snapshots of one id, alone and in groups, at the same time, where the array cannot keep their moments apart."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from blockdrivers.backend import Backend
from blockdrivers.driver import Capabilities
from blockdrivers.locks import InProcessLocks
from blockdrivers.model import GiB, Protocol, Snapshot
from blockdrivers.operations import Timeouts

PATIENCE = 10


class Array:
    """Takes a group when it is told to go on, and writes down what was taken."""

    def __init__(self, *, serial: bool):
        self.capabilities = Capabilities(protocols=frozenset({Protocol.NFS}), group_snapshots=True, serial_snapshots=serial)
        self.taken: list[list[str]] = []
        self.grouping = threading.Event()
        self.go_on = threading.Event()

    def create_snapshot(self, spec):
        self.taken.append([spec.name])
        return self._made(spec)

    def create_group_snapshot(self, specs):
        self.grouping.set()
        assert self.go_on.wait(PATIENCE)
        self.taken.append([spec.name for spec in specs])
        return [self._made(spec) for spec in specs]

    def _made(self, spec):
        return Snapshot(spec.name, spec.name, GiB, spec.source.name, spec.source.name)

    def close(self): ...


class Watched(InProcessLocks):
    """Tells when somebody asks for a lock that was asked for before."""

    def __init__(self):
        super().__init__()
        self.asked: list[str] = []
        self.twice = threading.Event()

    @contextmanager
    def lock(self, name):
        if name in self.asked:
            self.twice.set()
        self.asked.append(name)
        with super().lock(name):
            yield


@pytest.fixture
def locks():
    return Watched()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as started:
        yield started


def begin_group(array, locks, pool, members):
    backend = Backend(array, "toy", timeouts=Timeouts(PATIENCE, PATIENCE), locks=locks)
    group = pool.submit(backend.create_group_snapshot, members)
    assert array.grouping.wait(PATIENCE)
    return backend, group


@pytest.mark.parametrize(
    "other",
    [
        lambda backend: backend.create_snapshot("s2", "b"),
        lambda backend: backend.create_group_snapshot({"b": "s2", "a": "s1"}),
        lambda backend: backend.create_group_snapshot({"c": "s3", "b": "s2"}),
    ],
    ids=["single", "the same group", "a group that shares a member"],
)
def test_a_call_for_a_member_waits_for_the_group(locks, pool, other):
    array = Array(serial=True)
    backend, group = begin_group(array, locks, pool, {"a": "s1", "b": "s2"})
    second = pool.submit(other, backend)
    assert locks.twice.wait(PATIENCE)
    backend.create_snapshot("s4", "b")
    assert len(array.taken) == 1, "Only the one that no group is about."
    array.go_on.set()
    group.result(PATIENCE)
    second.result(PATIENCE)
    assert [len(names) for names in array.taken][:2] == [1, 2]
    assert len(array.taken) == 3


def test_groups_that_name_their_members_in_other_orders_end_both(locks, pool):
    array = Array(serial=True)
    array.go_on.set()
    backend = Backend(array, "toy", timeouts=Timeouts(PATIENCE, PATIENCE), locks=locks)
    orders = [{"a": "s1", "b": "s2"}, {"b": "s2", "a": "s1"}]
    calls = [pool.submit(backend.create_group_snapshot, orders[number & 1]) for number in range(40)]
    assert all(len(call.result(PATIENCE)) == 2 for call in calls)


def test_nobody_waits_where_the_array_keeps_moments_apart(locks, pool):
    array = Array(serial=False)
    backend, group = begin_group(array, locks, pool, {"a": "s1", "b": "s2"})
    backend.create_snapshot("s2", "b")
    assert (len(array.taken), locks.asked) == (1, [])
    array.go_on.set()
    group.result(PATIENCE)
