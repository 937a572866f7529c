"""Clones: what a cut-off call left, at each of its steps, and what others do meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.errors import AlreadyExists, InUse, NotFound, VendorError
from blockdrivers.model import GiB, Protocol, VolumeState
from tests.integration.toyou.lab import ISCSI_HOST, POOL
from tests.waiting import Clock, out_of_time, until


def _cut_after(started, steps: int) -> None:
    lines = (
        "create_volume --size 2 --volume bdvl-c --pool pool_a --type 10",
        "create_clone --volume bdvl-v --clone bdvl-c",
        "start_clone --volume bdvl-v --snapshot ",
        "get_volume --volume bdvl-v",
        "delete_clone --volume bdvl-v --snapshot ",
    )
    for line in lines[:steps]:
        started.tell(line)
        if line.startswith("get_volume"):
            _settle(started)


def _settle(started) -> None:
    until(lambda: started.tell("get_volume --volume bdvl-v")[0]["status"] == "Online")


@pytest.mark.parametrize("steps", range(1, 6))
def test_a_clone_goes_on_where_it_was_cut_off(started, backend, steps):
    backend.create_volume("v", 2 * GiB, POOL)
    _cut_after(started, steps)
    if steps < 5:
        assert backend.get_volume("c").state is VolumeState.COPYING
    made = backend.clone_volume("c", "v")
    assert (made.size, made.state) == (2 * GiB, VolumeState.READY)
    assert started.volumes() == {"bdvl-v": "RAID Volume", "bdvl-c": "RAID Volume"}
    assert started.state("copies") == []


@pytest.mark.parametrize("steps", range(1, 5))
def test_an_unfinished_clone_is_deleted_with_all_that_belongs_to_it(started, backend, steps):
    backend.create_volume("v", 2 * GiB, POOL)
    _cut_after(started, steps)
    _settle(started)
    backend.delete_volume("c")
    assert started.volumes() == {"bdvl-v": "RAID Volume"}
    backend.clone_volume("d", "v")


def test_an_unfinished_clone_is_no_source_and_no_volume(started, backend):
    backend.create_volume("v", 2 * GiB, POOL)
    _cut_after(started, 2)
    with pytest.raises(InUse, match="not complete"):
        backend.clone_volume("d", "c")
    with pytest.raises(InUse, match="not complete"):
        backend.extend_volume("c", 3 * GiB)
    with pytest.raises(AlreadyExists) as differs:
        backend.clone_volume("c", "v", size=3 * GiB)
    assert "size" in differs.value.differences


def test_an_unfinished_clone_gets_neither_maps_nor_snapshots(started, backend):
    backend.create_volume("v", 2 * GiB, POOL)
    _cut_after(started, 3)
    with pytest.raises(InUse, match="not complete"):
        backend.export("c", ISCSI_HOST, Protocol.ISCSI)
    with pytest.raises(InUse, match="not complete"):
        backend.create_snapshot("s", "c")
    with pytest.raises(NotFound):
        backend.create_snapshot("s", "absent")


def test_a_clone_that_was_given_up_and_is_kept_by_the_array_is_named_and_blocks_nothing_for_ever(lab):
    """Were a target mapped by somebody: the array's deletion is refused after it has lost its name."""
    started = lab(targets_are_volumes=True)
    backend = started.open()
    backend.create_volume("v", 2 * GiB, POOL)
    mapped = "create_lun_map --volume bdvl-c --protocol iSCSI --host iqn.1994-05.org.example:other"
    _cut_after(started, 3)
    started.tell(mapped)
    _settle(started)
    kept = "'bdtl-c-x', a clone that was given up"
    with pytest.raises(InUse, match=kept):
        backend.delete_volume("c")
    _cut_after(started, 3)
    with pytest.raises(InUse, match=kept):
        backend.delete_volume("c")
    started.tell("delete_lun_map --volume bdtl-c-x --protocol iSCSI --host -1")
    backend.delete_volume("c")
    _cut_after(started, 3)
    started.tell(mapped)
    _settle(started)
    backend.delete_volume("c", force=True)
    assert started.volumes() == {"bdvl-v": "RAID Volume"}
    assert started.state("copies") == []


def test_a_volume_that_is_cloned_is_not_reverted_meanwhile_and_the_other_way_round(lab):
    clock = Clock()
    started = lab(copy_seconds=600, clock=clock)
    backend, other = started.open(), started.open()
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    with ThreadPoolExecutor(2) as threads:
        cloning = threads.submit(backend.clone_volume, "c", "v")
        until(lambda: any(copy["started"] for copy in started.state("copies")))
        with pytest.raises(InUse, match="is being cloned onto 'bdvl-c'"):
            other.revert_volume("v", "s")
        clock.advance(600)
        assert cloning.result().volume_id == "c"
        reverting = threads.submit(backend.revert_volume, "v", "s")
        until(lambda: any(snapshot["reverting"] for snapshot in started.state("snapshots")))
        started.array.counters.clear()
        cloning = threads.submit(other.clone_volume, "d", "v")
        until(lambda: len(started.array.counters.entries()) > 3)
        assert not cloning.done()
        clock.advance(600)
        reverting.result()
        until(lambda: cloning.done() or any(copy["started"] for copy in started.state("copies")))
        clock.advance(600)
        assert cloning.result().volume_id == "d"
    assert set(started.volumes().values()) == {"RAID Volume"}


def test_an_unfinished_clone_of_something_else_is_not_taken_over(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, 2 * GiB, POOL)
    backend.create_snapshot("s", "v")
    _cut_after(started, 2)
    with pytest.raises(AlreadyExists) as differs:
        backend.clone_volume("c", "w")
    assert "source" in differs.value.differences
    started.tell("start_clone --volume bdvl-v --snapshot ")
    with pytest.raises(AlreadyExists, match="is being made from"):
        backend.create_volume_from_snapshot("c", "s", pool=POOL, of_volume="v")
    backend.clone_volume("c", "v")


def test_a_clone_from_an_absent_snapshot_leaves_nothing(started, backend):
    backend.create_volume("v", 2 * GiB, POOL)
    for snapshot in ("absent", "gone"):
        with pytest.raises(NotFound):
            backend.create_volume_from_snapshot("c", snapshot, pool=POOL, of_volume="v")
    assert started.volumes() == {"bdvl-v": "RAID Volume"}
    assert started.state("copies") == []


def test_a_source_that_another_process_clones_is_waited_for(lab):
    started = lab(copy_seconds=0.6)
    first, second = started.open(), started.open()
    first.create_volume("v", GiB, POOL)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(backend.clone_volume, name, "v") for backend, name in ((first, "c"), (second, "d"))]
        assert sorted(one.result(20).name for one in made) == ["bdvl-c", "bdvl-d"]
    assert started.state("copies") == []
    assert set(started.volumes().values()) == {"RAID Volume"}


def test_a_source_that_nobody_frees_is_named_until_the_deadline(started, backend):
    backend.create_volume("v", 2 * GiB, POOL)
    started.tell("create_volume --size 2 --volume theirs --pool pool_a --type 10")
    started.tell("create_clone --volume bdvl-v --clone theirs")
    out_of_time(lambda seconds: backend.clone_volume("c", "v", timeout=seconds), lambda said: "makes 'theirs' now" in said)
    assert started.volumes() == {"bdvl-v": "RAID Volume", "theirs": "BACKUP"}


def test_a_long_copy_is_not_asked_for_all_the_time(lab):
    started = lab(copy_seconds=3.0)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    started.array.counters.clear()
    backend.clone_volume("c", "v")
    assert started.array.counters.as_dict()["by_operation"]["get_volume"] <= 5


def test_a_source_of_a_copy_is_kept(lab):
    started = lab(copy_seconds=30)
    backend = started.open()
    backend.create_volume("v", 2 * GiB, POOL)
    backend.create_snapshot("s", "v")
    _cut_after(started, 3)
    with pytest.raises(InUse, match="being cloned"):
        backend.delete_volume("v", force=True)
    started.array.faults.clear()
    started.tell('set_volume --volume bdvl-c --type "RAID Volume"')
    started.tell("create_volume --size 2 --volume t --pool pool_a --type 10")
    started.tell("create_clone --volume bdvl-v --clone t")
    snapshot = started.state("snapshots")[0]["name"]
    started.tell(f"start_clone --volume bdvl-v --snapshot {snapshot}")
    with pytest.raises(InUse, match="'s': it is copied from"):
        backend.delete_snapshot("s", of_volume="v")


def test_a_copy_that_is_refused_for_what_has_ended_since_is_begun(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.array.faults.add({"kind": "answer", "code": "1", "operation": "start_clone"})
    assert backend.clone_volume("c", "v").state is VolumeState.READY
    assert set(started.volumes().values()) == {"RAID Volume"}


def test_a_copy_that_is_refused_for_nothing_that_can_be_seen_leaves_nothing(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.array.faults.add({"kind": "answer", "code": "1", "operation": "start_clone", "count": 0})
    with pytest.raises(VendorError, match="not documented"):
        backend.clone_volume("c", "v")
    assert started.volumes() == {"bdvl-v": "RAID Volume"}
    assert not started.state("copies")
