"""Snapshots and the resource that each LUN needs for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.macrosan import POOL
from blockdrivers.errors import InUse, OutOfSpace
from blockdrivers.model import GiB, VolumeState
from tests.waiting import Clock, until


def test_what_a_snapshot_needs_is_made_once_and_stays(started, backend):
    backend.create_volume("v", 4 * GiB, POOL)
    backend.create_snapshot("s", "v")
    assert started.state("resources") == [{"lun": "bdvl-v", "size": 4 * GiB, "enabled": True, "autoexpand": True}]
    backend.delete_snapshot("s", of_volume="v")
    assert (started.state("snapshots"), len(started.state("resources"))) == ([], 1)
    backend.create_snapshot("t", "v")
    backend.delete_snapshot("t", of_volume="v")
    backend.delete_volume("v")
    assert (started.luns(), started.state("resources")) == ([], [])


def test_the_reserve_is_a_part_of_the_volume(started):
    backend = started.open(snapshot_reserve=0.3)
    for name, size in (("a", 10), ("b", 1)):
        backend.create_volume(name, size * GiB, POOL)
        backend.create_snapshot("s", name)
    assert [item["size"] // GiB for item in started.state("resources")] == [3, 1]


def test_a_resource_that_cannot_grow_is_only_told(started, backend, caplog):
    backend.create_volume("v", GiB, POOL)
    started.array.faults.add({"kind": "answer", "code": "400", "operation": "PUT /snapshot_resource.autoexpand"})
    backend.create_snapshot("s", "v")
    assert "does not grow by itself" in caplog.text
    assert [item["name"] for item in started.state("snapshots")] == [backend.create_snapshot("s", "v").name]


def test_without_room_for_the_resource_there_is_no_snapshot(lab):
    started = lab(pools=1, pool_bytes=8 * GiB)
    backend = started.open()
    backend.create_volume("v", 5 * GiB, POOL, thin=False)
    with pytest.raises(OutOfSpace):
        backend.create_snapshot("s", "v")
    assert (started.state("snapshots"), started.state("resources")) == ([], [])


def test_first_snapshots_of_one_volume_at_once(started):
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    others = [started.open() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda pair: pair[1].create_snapshot(f"s{pair[0]}", "v"), enumerate(others)))
    assert sorted(item["name"] for item in started.state("snapshots")) == sorted(snapshot.name for snapshot in made)
    assert len(started.state("resources")) == 1


def test_a_snapshot_taken_while_the_volume_is_being_deleted_keeps_it(started, backend):
    """Deleting the resource would destroy the snapshot with it."""
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    backend.delete_snapshot("s", of_volume="v")
    other = started.open()
    started.before("PUT /snapshot.disable", lambda: other.create_snapshot("t", "v"))
    with pytest.raises(InUse, match="1 snapshots"):
        backend.delete_volume("v")
    assert len(started.state("snapshots")) == 1
    backend.create_snapshot("u", "v")


def test_a_snapshot_that_is_copied_from_is_kept(lab):
    clock = Clock()
    started = lab(copy_seconds=600, clock=clock)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    with ThreadPoolExecutor(1) as pool:
        copy = pool.submit(backend.create_volume_from_snapshot, "c", "s", pool=POOL, of_volume="v")
        until(lambda: started.state("copies"))
        with pytest.raises(InUse, match="a volume is being made from it"):
            backend.delete_snapshot("s", of_volume="v")
        with pytest.raises(InUse):
            backend.delete_volume("v", force=True)
        assert backend.get_volume("c").state is VolumeState.COPYING
        clock.advance(600)
        copy.result()
    backend.delete_snapshot("s", of_volume="v")
    backend.delete_volume("v")
    assert started.luns() == ["bdvl-c"]


def test_snapshots_of_two_volumes_may_have_one_id(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, GiB, POOL)
        backend.create_snapshot("s", name)
    backend.delete_snapshot("s", of_volume="v")
    assert [item["lun"] for item in started.state("snapshots")] == ["bdvl-w"]
