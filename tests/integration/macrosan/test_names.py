"""Taking over and giving up what has a name of its own."""

from __future__ import annotations

import pytest

from benchmarks.macrosan import POOL
from blockdrivers.errors import AlreadyExists, InvalidRequest, NotFound
from blockdrivers.model import GiB


def test_taking_over_and_giving_up(started, backend):
    started.tell("POST", "lun", name="legacy", owner="SP2", pool=POOL, raids=[], lun_mode=True, size=3, lun_params={})
    taken = backend.manage_volume("v", "legacy")
    assert (taken.size, taken.volume_id) == (3 * GiB, "v")
    assert backend.manage_volume("v", "legacy").name == "bdvl-v"
    backend.create_volume("w", GiB, POOL)
    given = backend.unmanage_volume("w", "gone")
    assert (given.name, given.volume_id) == ("gone", None)
    with pytest.raises(AlreadyExists):
        backend.unmanage_volume("v", "gone")
    assert started.luns() == ["bdvl-v", "gone"]


def test_snapshots_change_hands_within_their_volume(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, GiB, POOL)
        backend.create_snapshot("s", name)
    backend.create_snapshot("t", "v")
    for _ in range(2):
        backend.unmanage_snapshot("s", "legacy", of_volume="v")
    assert sorted(item["name"] == "legacy" for item in started.state("snapshots")) == [False, False, True]
    with pytest.raises(AlreadyExists):
        backend.manage_snapshot("t", "v", "legacy")
    with pytest.raises(NotFound):
        backend.manage_snapshot("u", "w", "legacy")
    with pytest.raises(NotFound):
        backend.manage_snapshot("u", "absent", "legacy")
    started.array.faults.add({"kind": "drop_after", "operation": "PUT /snapshot_point.name"})
    for _ in range(2):
        assert backend.manage_snapshot("u", "v", "legacy").snapshot_id == "u"
    backend.create_volume_from_snapshot("c", "u", pool=POOL, of_volume="v")
    for snapshot, volume in (("u", "v"), ("t", "v"), ("s", "w")):
        backend.delete_snapshot(snapshot, of_volume=volume)
    assert started.state("snapshots") == []


def test_a_size_that_is_no_whole_number_is_not_taken_over(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.tell("PUT", "lun", attr="name", old_name="bdvl-v", new_name="legacy")
    started.array.family._array.volumes[next(iter(started.array.family._array.volumes))].size += GiB // 2
    with pytest.raises(InvalidRequest):
        backend.manage_volume("v", "legacy")
    assert started.luns() == ["legacy"]
