"""Snapshots of several volumes in one moment."""

from __future__ import annotations

import pytest

from blockdrivers.errors import AlreadyExists
from blockdrivers.model import GiB
from tests.integration.hpe.lab import POOL, volume_name
from vendors.hpe import groups


def test_members_of_a_group_share_their_moment(lab):
    started = lab()
    array = started.open()
    for name in ("a", "b", "c"):
        array.create_volume(name, GiB, POOL)
    members = {"a": "sa", "b": "sb", "c": "sc"}
    taken = array.create_group_snapshot(members)
    assert [snapshot.snapshot_id for snapshot in taken] == ["sa", "sb", "sc"]
    assert array.create_group_snapshot(members) == taken
    assert started.state("groups") == []
    assert started.operations().count("POST /volumesets/{} createSnapshot") == 1


def test_snapshots_of_a_group_are_told_apart_by_their_volumes(lab):
    started = lab()
    array, admin = started.open(), started.admin
    for name in ("a", "b"):
        array.create_volume(name, GiB, POOL)
    members = {"a": "sa", "b": "sb"}
    array.create_group_snapshot(members)
    for name in ("sa", "sb"):
        array.delete_snapshot(name)
    # What a call left that was cut off; the array numbers the members as it has them, and one has left the set since.
    group = groups._group([array._snapshot_spec(snapshot, volume) for volume, snapshot in members.items()])
    admin.post("volumesets", body={"name": group, "setmembers": [volume_name("b"), volume_name("a")]})
    taken = array.create_group_snapshot(members)
    assert [snapshot.source_name for snapshot in taken] == [volume_name("a"), volume_name("b")]
    assert [array.get_snapshot(name).volume_id for name in ("sa", "sb")] == ["a", "b"]
    for name in ("sa", "sb"):
        array.delete_snapshot(name)
    admin.post("volumesets", body={"name": group, "setmembers": [volume_name("b")]})
    taken = array.create_group_snapshot(members)
    assert [snapshot.volume_id for snapshot in taken] == ["a", "b"]
    assert [array.get_snapshot(name).source_name for name in ("sa", "sb")] == [volume_name("a"), volume_name("b")]
    assert started.state("groups") == []


def test_a_group_of_which_some_snapshots_are_left_is_taken_anew(lab):
    started = lab()
    array, admin = started.open(), started.admin
    for name in ("a", "b"):
        array.create_volume(name, GiB, POOL)
    members = {"a": "sa", "b": "sb"}
    group = groups._group([array._snapshot_spec(snapshot, volume) for volume, snapshot in members.items()])
    parameters = {"name": f"{group}-1", "readOnly": True}
    admin.post("volumes", volume_name("b"), body={"action": "createSnapshot", "parameters": parameters})
    assert [snapshot.volume_id for snapshot in array.create_group_snapshot(members)] == ["a", "b"]
    assert len(array.list_snapshots(foreign=True)) == 2


def test_a_snapshot_of_another_moment_is_no_member(lab):
    started = lab()
    array = started.open()
    for name in ("a", "b"):
        array.create_volume(name, GiB, POOL)
    array.create_snapshot("sb", "b")
    with pytest.raises(AlreadyExists, match="another moment"):
        array.create_group_snapshot({"a": "sa", "b": "sb"})
    array.create_volume("c", GiB, POOL)
    array.create_snapshot("sc", "c")
    with pytest.raises(AlreadyExists, match="another moment"):
        array.create_group_snapshot({"a": "sa", "b": "sc"})
    assert {snapshot.snapshot_id for snapshot in array.list_snapshots(foreign=True)} == {"sb", "sc"}
    assert started.state("groups") == []
