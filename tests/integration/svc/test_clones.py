"""Clones and snapshots: mappings that are split off, cut off, removed, stopped or left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, NotFound, OutOfSpace, VendorError
from blockdrivers.model import GiB, VolumeState
from conformance.simulation.family import Command
from tests.integration.svc.lab import G2, POOL
from tests.waiting import Clock, out_of_time, until


def test_complete_copies_that_others_hold_are_split_off(lab):
    started = lab(dependants_hold=True, stop_seconds=0.1)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    for snapshot in ("s1", "s2"):
        array.create_snapshot(snapshot, "v")
    array.revert_volume("v", "s1")
    assert len(started.state("copies")) == 2
    array.delete_snapshot("s1")
    array.delete_snapshot("s2")
    array.delete_volume("v")


def test_an_unfinished_clone_is_seen_and_deleted(lab):
    started = lab(copy_seconds=30)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    out_of_time(
        lambda seconds: array.clone_volume("c", "v", timeout=seconds), lambda said: "copy" in said and started.state("copies")
    )
    found = array.get_volume("c")
    assert (found.state, found.volume_id) == (VolumeState.COPYING, "c")
    assert [(volume.volume_id, volume.state) for volume in array.list_volumes()] == [
        ("v", VolumeState.READY),
        ("c", VolumeState.COPYING),
    ]
    assert [leftover.kind for leftover in array.sweep()] == ["volume"]
    with pytest.raises(InUse, match="copy"):
        array.delete_volume("v")
    array.delete_volume("c")
    with pytest.raises(NotFound):
        array.get_volume("c")
    array.delete_volume("v")
    assert started.state("volumes") == []


def test_a_clone_never_takes_bytes_of_another_source(lab):
    started = lab(copy_seconds=30)
    array = started.open()
    for name in ("v", "w"):
        array.create_volume(name, GiB, POOL)
    for name in ("v", "w"):
        out_of_time(
            lambda seconds, source=name: array.clone_volume("c", source, timeout=seconds),
            lambda _, source=name: [copy["source"] for copy in started.state("copies")] == [f"bdvl-{source}"],
        )


def test_a_copy_that_somebody_removes_is_never_taken_for_complete(lab):
    """The clone begins anew; it ends with a mapping that was seen to be complete."""
    clock = Clock()
    started = lab(copy_seconds=600, clock=clock)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    family = started.array.family

    def copying():
        return [found for found in family._state.maps.values() if found.status == "copying"]

    with ThreadPoolExecutor(1) as threads:
        cloning = threads.submit(array.clone_volume, "c", "v")
        until(copying)
        with family._state.array.lock:
            family._state.maps.clear()
        until(copying)
        assert not cloning.done()
        clock.advance(600)
        cloning.result()
    assert array.get_volume("c").state is VolumeState.READY


def test_a_stopped_copy_is_an_error(lab):
    started = lab(copy_seconds=30)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    family = started.array.family

    def stopped():
        with family._state.array.lock:
            for found in family._state.maps.values():
                if found.status == "copying":
                    found.status = "stopped"
                    return True
        return False

    def stop():
        until(stopped)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(VendorError, match="stopped"):
        array.clone_volume("c", "v")
    thread.join()
    assert [volume["name"] for volume in started.state("volumes")] == ["bdvl-v"]


@pytest.mark.parametrize("joins", [True, False], ids=["joined", "one by one"])
def test_a_clone_whose_mapping_stayed_behind_is_whole_and_grows(lab, joins):
    """Older levels expand nothing that is in a mapping."""
    started = lab(G2, joins=joins)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    started.fault("answer", code="CMMVC9999E", operation="*rmlcmap*", count=0)
    with suppress(VendorError):
        array.clone_volume("c", "v")
    started.array.faults.clear()
    started.fault("answer", code="CMMVC6318E", operation="*rmlcmap*")
    found = array.clone_volume("c", "v")
    assert (found.state, found.dependants) == (VolumeState.READY, frozenset())
    assert array.extend_volume("c", 2 * GiB).size == 2 * GiB
    assert started.state("copies") == []
    assert array.sweep() == []


def test_a_clone_whose_name_is_taken_meanwhile_leaves_nothing(lab):
    clock = Clock()
    started = lab(copy_seconds=600, clock=clock)
    array, other = started.open(), started.open()
    array.create_volume("v", GiB, POOL)

    def take():
        until(lambda: started.state("copies"))
        other.create_volume("c", 2 * GiB, POOL)
        clock.advance(600)

    thread = threading.Thread(target=take)
    thread.start()
    with pytest.raises(AlreadyExists, match="size"):
        array.clone_volume("c", "v")
    thread.join()
    assert sorted(volume["name"] for volume in started.state("volumes")) == ["bdvl-c", "bdvl-v"]
    assert array.sweep() == []


def test_a_snapshot_without_a_moment_is_not_cloned(lab):
    """A call that was cut off before the mapping began has left a volume whose bytes are nobody's."""
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)

    run = started.array.family.doors()[0].handler
    run.handle(Command("svctask mkvdisk -name bdsl-s -mdiskgrp pool_a -size 1 -unit gb -rsize 2% -autoexpand", "u"))
    assert not array.get_snapshot("s").ready
    with pytest.raises(InvalidRequest, match="point in time"):
        array.create_volume_from_snapshot("c", "s", pool=POOL)
    assert array.create_snapshot("s", "v").ready
    array.create_volume_from_snapshot("c", "s", pool=POOL)


def test_a_clone_that_is_there_is_returned_by_a_full_array(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    made = array.clone_volume("c", "v")
    started.fault("pool_full")
    assert array.clone_volume("c", "v").wwn == made.wwn
    with pytest.raises(OutOfSpace):
        array.clone_volume("d", "v")
