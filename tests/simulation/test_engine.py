"""The vendor-neutral state: ids, WWNs, capacity, moments, jobs by the clock, and what the data plane is told."""

from __future__ import annotations

import threading

import pytest

from conformance.simulation.dataplane import Access, NoDataPlane
from conformance.simulation.engine import EXTENT, Array, Host, Initiator, OutOfLuns, OutOfSpace, lowest_free
from tests.simulation.conftest import Clock, Events

GIB = 1024**3


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def plane():
    return Events()


@pytest.fixture
def array(clock, plane):
    return Array(7, {"a": 10 * GIB, "b": 10 * GIB}, plane, clock, range(1, 4))


def volume(array, name="v", size=GIB, *, pool="0", thin=True):
    return array.create_volume(name, pool, size, thin=thin)


@pytest.mark.parametrize(("taken", "free"), [((), "0"), (("0", "1"), "2"), (("0", "2"), "1"), (("1",), "0")])
def test_the_lowest_free_id(taken, free):
    assert lowest_free(taken) == free


def test_wwns_are_never_given_twice(array):
    seen = set()
    for _ in range(50):
        made = volume(array)
        seen.add(made.wwn)
        array.delete_volume(made)
        assert made.id == "0"
    assert len(seen) == 50
    assert {len(wwn) for wwn in seen} == {32}
    assert volume(Array(8, {"a": GIB}, NoDataPlane(), Clock(), range(1))).wwn not in seen


def test_volumes_and_snapshots_share_their_ids(array):
    first = volume(array)
    snapshot = array.create_snapshot("s", first)
    assert (first.id, snapshot.id, volume(array, "w").id) == ("0", "1", "2")


def test_thin_takes_little_and_thick_takes_all(array):
    volume(array, size=100 * GIB)
    assert array.free("0") == 10 * GIB - EXTENT
    with pytest.raises(OutOfSpace):
        volume(array, "w", 10 * GIB, thin=False)
    thick = volume(array, "w", 5 * GIB, thin=False)
    with pytest.raises(OutOfSpace):
        array.extend_volume(thick, 11 * GIB)
    assert (thick.size, array.provisioned("0"), array.provisioned("1")) == (5 * GIB, 105 * GIB, 0)
    array.delete_volume(thick)
    assert array.free("0") == 10 * GIB - EXTENT
    array.full = True
    assert array.free("0") == array.free("1") == 0


def test_activation_is_one_moment(array, plane):
    first, second = volume(array), volume(array, "w")
    plane.bytes |= {first.wwn: "1", second.wwn: "2"}
    snapshots = [array.create_snapshot(f"s{item.id}", item) for item in (first, second)]
    array.extend_volume(first, 2 * GIB)
    array.activate(snapshots)
    assert [plane.bytes[item.wwn] for item in snapshots] == ["1", "2"]
    assert [item.size for item in snapshots] == [2 * GIB, GIB]
    array.deactivate(snapshots[0])
    array.delete_snapshot(snapshots[0])
    array.delete_snapshot(snapshots[1])
    assert plane.bytes.keys() == {first.wwn, second.wwn}


def test_a_revert_lasts_and_ends(array, plane, clock):
    made = volume(array)
    snapshot = array.create_snapshot("s", made)
    plane.bytes[made.wwn] = "old"
    array.activate([snapshot])
    plane.bytes[made.wwn] = "new"
    array.begin_revert(snapshot, 5)
    clock.advance(4.9)
    assert array.is_reverting(snapshot)
    clock.advance(0.1)
    assert not array.is_reverting(snapshot)
    assert plane.bytes[made.wwn] == "old"


def test_jobs_run_by_the_clock(array, plane, clock):
    source, target = volume(array), volume(array, "t")
    plane.bytes[source.wwn] = "content"
    job = array.create_job("luncopy", "c", source.id, target.id, 10)
    clock.advance(100)
    assert job.progress(clock()) == 0
    array.start_job(job)
    clock.advance(5)
    assert (job.progress(clock()), array.is_done(job)) == (0.5, False)
    clock.advance(50)
    assert (job.progress(clock()), array.is_done(job)) == (1.0, True)
    assert plane.bytes[target.wwn] == "content"


def test_a_migration_keeps_what_was_written_meanwhile(array, plane, clock):
    source, target = volume(array), volume(array, "t", pool="1", thin=False)
    job = array.create_job("migration", "", source.id, target.id, 10)
    array.start_job(job)
    plane.bytes[source.wwn] = "written while it moved"
    array.settle()
    assert (source.pool_id, target.pool_id) == ("0", "1")
    clock.advance(10)
    array.settle()
    array.settle()
    assert (source.pool_id, target.pool_id, source.thin) == ("1", "0", False)
    assert plane.bytes[source.wwn] == "written while it moved"


def test_lun_ids_stay_and_the_lowest_free_is_given(array):
    ids = [volume(array, name).id for name in "abcd"]
    array.show({"h": ids[:3]})
    assert array.visible["h"] == {ids[0]: 1, ids[1]: 2, ids[2]: 3}
    array.show({"h": [ids[0], ids[2]], "g": [ids[2]]})
    array.show({"h": [ids[3], ids[0], ids[2]], "g": [ids[2]]})
    assert array.visible == {"h": {ids[0]: 1, ids[2]: 3, ids[3]: 2}, "g": {ids[2]: 1}}
    assert array.seen_by(ids[2]) == ["h", "g"]
    with pytest.raises(OutOfLuns):
        array.show({"h": ids})
    assert array.visible["h"] == {ids[0]: 1, ids[2]: 3, ids[3]: 2}


def test_accesses_name_initiators_and_hide_the_secret(array, plane):
    made = volume(array)
    array.hosts["0"] = Host("0", "h")
    array.initiators["iqn.x"] = Initiator("iqn.x", "iscsi", "0", chap=("u", "hidden-secret"))
    array.initiators["free"] = Initiator("free", "fc")
    array.show({"0": [made.id]})
    assert plane.accesses == (Access("0", made.wwn, 1, ("iqn.x",), ("u", "hidden-secret")),)
    assert "hidden-secret" not in repr(plane.accesses) + repr(array.initiators)


def test_a_cleared_array_leaves_nothing_behind(array, plane):
    made = volume(array)
    array.activate([array.create_snapshot("s", made)])
    array.create_snapshot("inactive", made)
    array.show({"0": [made.id]})
    array.clear()
    assert (plane.bytes, plane.accesses) == ({}, ())


def test_many_threads(wire):
    w = wire("Dorado 18500 V6")
    codes = []

    def work(number):
        for turn in range(20):
            name = f"v{number}-{turn}"
            lun = w.lun(name)
            codes.append(w.code("GET", f"/lun?filter=NAME::{name}"))
            codes.append(w.code("DELETE", f"/lun/{lun}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (codes, w.array.state()["volumes"], w.plane.bytes) == ([0] * 320, [], {})
