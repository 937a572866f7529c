"""Limits, snapshots and moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.hitachi import POOL
from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, LicenceMissing, NotSupported
from blockdrivers.model import GiB, MiB, Qos
from tests.waiting import Clock, until


def test_limits_change_in_an_order_that_the_array_takes(lab):
    array = lab().open()
    array.create_volume("v1", GiB, POOL)
    for qos in (
        Qos(total_iops=1000, min_iops=500),
        Qos(total_iops=300, min_iops=200),
        Qos(total_iops=5000, min_iops=4000, total_bytes_sec=20 * MiB),
        Qos(min_iops=600),
        Qos(total_iops=700),
        Qos(),
    ):
        array.set_qos("v1", qos)
        assert array.get_qos("v1") == qos
    with pytest.raises(InvalidRequest, match="above"):
        array.set_qos("v1", Qos(total_iops=200, min_iops=200))


def test_limits_that_a_cut_off_creation_has_set_in_part_are_completed(lab):
    started = lab()
    array = started.open()
    wanted = Qos(total_iops=500, total_bytes_sec=10 * MiB)
    array.create_volume("v1", GiB, POOL, qos=Qos(total_iops=500))
    array.create_volume("v1", GiB, POOL, qos=wanted)
    assert array.get_qos("v1") == wanted
    with pytest.raises(AlreadyExists, match="qos"):
        array.create_volume("v1", GiB, POOL, qos=Qos(total_iops=500))


def test_models_without_limits_say_so(lab):
    array = lab("VSP G200").open()
    assert array.capabilities.qos is None
    with pytest.raises(NotSupported):
        array.create_volume("v1", GiB, POOL, qos=Qos(total_iops=500))


def test_snapshots_that_hash_to_one_number_both_stand(lab, monkeypatch):
    monkeypatch.setattr("vendors.hitachi.snapshots._mus", lambda _: iter((3, 4, 5)))
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    taken = [array.create_snapshot(name, "v1").id.partition(",")[2] for name in ("s1", "s2", "s3")]
    assert taken == ["3", "4", "5"]
    assert {snapshot.snapshot_id for snapshot in array.list_snapshots("v1")} == {"s1", "s2", "s3"}


def test_a_missing_licence_is_named(lab):
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    started.array.family.set_licence("Thin Image", usable=False)
    for call in (lambda: array.create_snapshot("s1", "v1"), lambda: array.clone_volume("c1", "v1")):
        with pytest.raises(LicenceMissing):
            call()
    assert started.labels() == ["bdvl-v1"]


def test_a_snapshot_that_a_clone_reads_is_kept(lab):
    clock = Clock()
    started = lab(copy_seconds=600, clock=clock)
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    array.create_snapshot("s1", "v1")
    with ThreadPoolExecutor(1) as threads:
        copying = threads.submit(array.create_volume_from_snapshot, "c1", "s1", pool=POOL)
        until(lambda: any(pair["clone"] for pair in started.state("snapshots")))
        with pytest.raises(InUse, match="copied"):
            array.delete_snapshot("s1")
        clock.advance(600)
        copying.result()
    array.delete_snapshot("s1")
    array.delete_volume("c1")
    array.delete_volume("v1")
    assert started.labels() == []


def test_a_volume_with_snapshots_is_not_moved(lab):
    array = lab().open()
    array.create_volume("v1", GiB, POOL)
    array.create_snapshot("s1", "v1")
    with pytest.raises(InUse, match="snapshots"):
        array.retype_volume("v1", pool="pool_b")
