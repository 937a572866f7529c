"""LDEV ids and labels: who has claimed which, and what is proven of it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.hitachi import POOL
from blockdrivers.errors import AlreadyExists, InvalidRequest, LimitReached
from blockdrivers.model import GiB, Protocol
from tests.integration.hitachi.lab import ISCSI, home
from vendors.hitachi import placement


@given(name=st.text(min_size=1, max_size=40), first=st.integers(0, 500), count=st.integers(1, 2000))
def test_a_names_windows_hold_every_id_once(name, first, count):
    found = [ldev_id for window in placement.windows(name, first, first + count - 1) for ldev_id in window]
    assert sorted(found) == list(range(first, first + count))


def test_a_name_whose_first_id_is_taken_gets_another_and_stays_one_volume(lab):
    started = lab()
    taken = home("v1")[0]
    started.admin("POST", "ldevs", {"ldevId": taken, "poolId": 0, "byteFormatCapacity": "2G"})
    started.admin("PATCH", f"ldevs/{taken}", {"label": "somebody's"})
    made = started.open().create_volume("v1", GiB, POOL)
    assert int(made.id) == home("v1")[1]
    started.admin("DELETE", f"ldevs/{taken}")
    assert started.open().create_volume("v1", GiB, POOL).id == made.id
    assert started.labels() == ["bdvl-v1"]


def test_a_claim_that_was_cut_off_is_adopted_and_one_that_is_used_is_not(lab):
    started = lab()
    first = home("v1")[0]
    started.admin("POST", "ldevs", {"ldevId": first, "poolId": 0, "byteFormatCapacity": "1G"})
    assert int(started.open().create_volume("v1", GiB, POOL).id) == first
    other = home("v2")[0]
    started.admin("POST", "ldevs", {"ldevId": other, "poolId": 0, "byteFormatCapacity": "1G"})
    started.admin("POST", "luns", {"portId": "CL1-A", "hostGroupNumber": 0, "ldevId": other, "lun": 7})
    assert int(started.open().create_volume("v2", GiB, POOL).id) != other


def test_a_claim_that_is_about_to_be_labelled_is_left_to_its_claimant(lab):
    started = lab()
    first = home("v1")[0]
    started.admin("POST", "ldevs", {"ldevId": first, "poolId": 0, "byteFormatCapacity": "1G"})
    labelling = threading.Timer(0.5, lambda: started.admin("PATCH", f"ldevs/{first}", {"label": "bdvl-other"}))
    labelling.start()
    made = started.open().create_volume("v1", GiB, POOL)
    labelling.join()
    assert int(made.id) != first
    assert started.labels() == ["bdvl-other", "bdvl-v1"]


def test_volumes_stay_within_the_range_and_it_ends(lab):
    started = lab()
    array = started.open(ldev_range=(300, 303))
    made = [int(array.create_volume(f"v{number}", GiB, POOL).id) for number in range(4)]
    assert sorted(made) == [300, 301, 302, 303]
    with pytest.raises(LimitReached, match="ldev_range"):
        array.create_volume("v4", GiB, POOL)
    assert {volume.volume_id for volume in array.list_volumes()} == {"v0", "v1", "v2", "v3"}


def test_unnamed_leftovers_are_swept_only_where_the_ids_are_ours(lab):
    started = lab()
    started.admin("POST", "ldevs", {"ldevId": 400, "poolId": 0, "byteFormatCapacity": "1G"})
    assert not started.open().sweep()
    own = started.open(ldev_range=(300, 500))
    assert [item.kind for item in own.sweep(remove=True)] == ["unnamed"]
    assert not own.sweep()
    assert started.labels() == []


def test_a_taken_over_volume_is_not_made_a_second_time(lab):
    started = lab()
    started.admin("POST", "ldevs", {"ldevId": 77, "poolId": 0, "byteFormatCapacity": "1G"})
    array = started.open()
    assert array.manage_volume("v1", "00:00:4D").id == "77"
    for backend in (array, started.open()):
        assert backend.create_volume("v1", GiB, POOL).id == "77"
        with pytest.raises(AlreadyExists):
            backend.create_volume("v1", 2 * GiB, POOL)
    assert started.labels() == ["bdvl-v1"]


def test_labels_that_several_ldevs_bear_name_none_of_them(lab):
    """Labels are not unique: a volume is not taken over by chance."""
    started = lab()
    for ldev_id in (77, 78):
        started.admin("POST", "ldevs", {"ldevId": ldev_id, "poolId": 0, "byteFormatCapacity": "1G"})
        started.admin("PATCH", f"ldevs/{ldev_id}", {"label": "legacy"})
    array = started.open()
    with pytest.raises(InvalidRequest, match="00:00:4D, 00:00:4E"):
        array.manage_volume("v1", "legacy")
    assert array.manage_volume("v1", "00:00:4E").id == "78"
    assert array.manage_volume("v2", "legacy").id == "77"


def test_what_was_read_before_a_change_is_not_told_after_it(lab):
    array = lab().open()
    array.create_volume("v1", GiB, POOL)
    array.create_snapshot("s1", "v1")
    array.get_volume("v1")
    array.unmanage_volume("v1", "legacy")
    assert array.get_snapshot("s1").source_name == "legacy"
    array.find_volume("legacy")
    array.manage_volume("v2", "legacy")
    assert array.get_snapshot("s1").volume_id == "v2"


def test_data_reduction_is_told_to_be_deleted(lab):
    started = lab()
    array = started.open()
    made = array.create_volume("v1", GiB, POOL)
    started.admin("PATCH", f"ldevs/{made.id}", {"dataReductionMode": "compression"})
    array.delete_volume("v1")
    assert started.labels() == []


def test_wwns_are_unknown_until_the_array_has_shown_one(lab):
    started = lab()
    started.admin("DELETE", "luns/CL1-A,0,0")
    started.array.family._storage._had_path.clear()
    array = started.open()
    assert array.create_volume("v1", GiB, POOL).wwn is None
    export = array.export("v1", ISCSI, Protocol.ISCSI)
    assert export.wwn is not None
    assert array.get_volume("v1").wwn == export.wwn
    assert array.create_volume("v2", GiB, POOL).wwn not in {None, export.wwn}
