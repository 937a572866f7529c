"""Copies, reverts and moves: what runs at once, what fails, what another process does meanwhile, what is left when time runs out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.errors import NotFound, VendorError
from blockdrivers.model import GiB, VolumeState
from tests.integration.hpe.lab import OTHER, POOL, volume_name
from tests.waiting import Clock, out_of_time, until
from vendors.hpe.copies import Copies


def test_a_source_grows_while_it_is_cloned(lab):
    clock = Clock()
    started = lab(copy_seconds=600.0, clock=clock)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    with ThreadPoolExecutor(2) as threads:
        clones = [threads.submit(array.clone_volume, name, "v") for name in ("c", "d")]
        until(lambda: len(started.state("copies")) == 2)
        assert array.extend_volume("v", 2 * GiB).size == 2 * GiB
        assert len(started.state("copies")) == 2
        clock.advance(600)
        assert [clone.result().size for clone in clones] == [GiB, GiB]
    assert array.sweep() == []


def test_several_volumes_are_made_of_one_snapshot_at_once(lab):
    clock = Clock()
    started = lab(copy_seconds=600.0, clock=clock)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    with ThreadPoolExecutor(4) as threads:
        making = [threads.submit(array.create_volume_from_snapshot, f"c{n}", "s", pool=POOL) for n in range(4)]
        until(lambda: len(started.state("copies")) == 4)
        clock.advance(600)
        made = [each.result() for each in making]
    assert {volume.state for volume in made} == {VolumeState.READY}
    assert array.sweep() == []
    assert [snapshot.snapshot_id for snapshot in array.list_snapshots(foreign=True)] == ["s"]


def test_a_copy_that_fails_leaves_nothing(lab):
    started = lab(copy_seconds=30.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)

    def fail() -> None:
        until(lambda: started.state("copies"))
        started.array.family.fail_tasks()

    failing = threading.Thread(target=fail)
    failing.start()
    with pytest.raises(VendorError, match="has failed"):
        array.clone_volume("c", "v")
    failing.join()
    assert [volume.volume_id for volume in array.list_volumes(foreign=True)] == ["v"]
    assert array.list_snapshots(foreign=True) == []


def test_a_clone_that_another_process_completes_is_kept(lab):
    started = lab()
    array, other = started.open(), started.open()
    array.create_volume("v", GiB, POOL)
    copies = array.driver._copies
    helper = copies.helper

    def late(*arguments, **named):
        name = helper(*arguments, **named)
        other.clone_volume("c", "v")
        return name

    copies.helper = late
    assert array.clone_volume("c", "v") == other.get_volume("c")
    assert array.sweep() == []


def test_a_copy_whose_task_is_forgotten_is_made_again(lab):
    started = lab(copy_seconds=30.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)

    def forget() -> None:
        until(lambda: started.state("copies"))
        started.array.family.forget_tasks()

    forgetting = threading.Thread(target=forget)
    forgetting.start()
    made = "POST /volumes/{} createPhysicalCopy"
    out_of_time(
        lambda seconds: array.clone_volume("c", "v", timeout=seconds),
        lambda said: "phase 1 of 3, step" in said and started.operations().count(made) == 2,
    )
    forgetting.join()
    assert started.operations().count(made) == 2
    assert array.get_volume("c").state is VolumeState.COPYING


def test_a_revert_is_not_what_another_task_does(lab):
    started = lab(copy_seconds=1.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    started.admin.put("volumes", volume_name("v"), body={"action": 6, "tuneOperation": 1, "userCPG": OTHER})
    array.revert_volume("v", "s")
    done = [task["type"] for task in started.admin.members("tasks") if task["status"] == 1]
    assert sorted(done) == [3, 4]


def test_a_revert_does_not_hang_on_a_query_by_names(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    started.array.faults.add({"kind": "answer", "code": "12", "operation": "GET /volumes?query"})
    assert array.revert_volume("v", "s").volume_id == "v"
    sent = started.operations()
    asked = sent.index("GET /volumes?query")
    assert sent[asked : asked + 3] == ["GET /volumes?query", "GET /volumes/{}", "GET /volumes/{}"]
    with pytest.raises(NotFound):
        array.revert_volume("v", "absent")
    with pytest.raises(NotFound):
        array.revert_volume("absent", "s")


def test_a_move_is_not_what_another_move_does(lab):
    started = lab(copy_seconds=0.5, pools=3)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    started.admin.put("volumes", volume_name("v"), body={"action": 6, "tuneOperation": 1, "userCPG": OTHER})
    assert array.retype_volume("v", pool="pool_c").pool == "pool_c"
    assert array.get_volume("v").pool == "pool_c"


def test_a_move_that_ends_before_it_is_looked_for_is_gone_on_from(lab, monkeypatch):
    started = lab(copy_seconds=0.3, pools=3)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    looked = []

    def ended(copies, name, kinds):
        looked.append(name)
        until(lambda: copies._client.read("volumes", name)["userCPG"] == OTHER)

    monkeypatch.setattr(Copies, "_active", ended)
    started.admin.put("volumes", volume_name("v"), body={"action": 6, "tuneOperation": 1, "userCPG": OTHER})
    assert array.retype_volume("v", pool="pool_c").pool == "pool_c"
    assert looked == [volume_name("v")]


def test_an_unfinished_clone_is_deleted_with_its_helper(lab):
    started = lab(copy_seconds=30.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    out_of_time(lambda seconds: array.clone_volume("c", "v", timeout=seconds), lambda _: started.state("copies"))
    assert array.get_volume("c").state is VolumeState.COPYING
    assert {leftover.kind for leftover in array.sweep()} == {"volume", "snapshot"}
    array.delete_volume("c")
    assert array.sweep() == []
    array.delete_volume("v")


def test_a_foreign_copy_that_is_under_way_is_busy(lab):
    started = lab(copy_seconds=30.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    parameters = {"destVolume": "theirs", "destCPG": POOL, "online": True, "tpvv": True}
    started.admin.post("volumes", volume_name("v"), body={"action": "createPhysicalCopy", "parameters": parameters})
    theirs = next(volume for volume in array.list_volumes(foreign=True) if volume.name == "theirs")
    assert theirs.state is VolumeState.BUSY
