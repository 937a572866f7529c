"""Snapshots, and volumes made from them and from each other: states, the array's own state, and the bytes."""

from __future__ import annotations

import pytest

from blockdrivers.model import GiB, MiB
from blockdrivers.naming import Kind
from tests.cinder.lab.api import Api

OLD, NEW = b"old!" * (MiB // 4), b"new!" * (MiB // 4)
DOCUMENTED = {"id", "status", "size", "volume_id", "name", "description", "metadata", "created_at", "updated_at"}


@pytest.mark.parametrize("version", ["v3", "v2"])
def test_a_snapshot_is_made_shown_listed_and_deleted(cloud, version):
    api, volume = Api(cloud.services.root, version), cloud.volume()
    answered = api.post("/snapshots", {"snapshot": {"volume_id": volume, "name": "s1", "description": "d", "force": False}})
    assert answered["snapshot"].keys() >= DOCUMENTED
    first = answered["snapshot"]["id"]
    shown = api.wait("snapshot", first)
    assert shown["os-extended-snapshot-attributes:progress"] == "100%"
    assert shown["os-extended-snapshot-attributes:project_id"]
    record = cloud.on_array(first, Kind.SNAPSHOT)
    assert (record["volume"], record["active"]) == (cloud.on_array(volume)["name"], True)
    second = cloud.snapshot(volume, name="s2")
    newest = api.get("/snapshots?limit=1&sort_key=created_at&sort_dir=desc")["snapshots"]
    assert [item["name"] for item in newest] == ["s2"]
    older = api.get(f"/snapshots?marker={second}&sort_key=created_at&sort_dir=desc")["snapshots"]
    assert [item["name"] for item in older] == ["s1"]
    assert all(item.keys() >= DOCUMENTED for item in api.get("/snapshots/detail")["snapshots"])
    assert api.ask("DELETE", f"/volumes/{volume}").status == 400
    for snapshot in (first, second):
        api.remove("snapshot", snapshot)
        assert cloud.on_array(snapshot, Kind.SNAPSHOT) is None
    api.remove("volume", volume)


def test_an_attached_volume_needs_force(cloud):
    api, volume = cloud.api, cloud.volume()
    with cloud.attached(volume) as client:
        client.write(0, OLD)
        client.flush()
        assert api.ask("POST", "/snapshots", {"snapshot": {"volume_id": volume}}).status == 400
        snapshot = cloud.snapshot(volume, force=True)
        client.write(0, NEW)
    newer = api.post("/snapshots", {"snapshot": {"volume_id": volume}}, micro="3.66")["snapshot"]["id"]
    api.wait("snapshot", newer)
    copies = [cloud.volume(snapshot_id=each) for each in (snapshot, newer)]
    assert [cloud.read(copy, MiB) for copy in copies] == [OLD, NEW]
    for kind, each in (("snapshot", snapshot), ("snapshot", newer), *(("volume", one) for one in (*copies, volume))):
        api.remove(kind, each)


def test_copies_are_larger_if_asked_and_live_without_their_source(cloud):
    api, source = cloud.api, cloud.volume()
    cloud.write(source, OLD)
    snapshot = cloud.snapshot(source)
    cloud.write(source, NEW)
    assert api.ask("POST", "/volumes", {"volume": {"size": 0, "snapshot_id": snapshot}}).status == 400
    of_snapshot, of_volume = cloud.volume(3, snapshot_id=snapshot), cloud.volume(2, source_volid=source)
    assert [cloud.on_array(copy)["size"] for copy in (of_snapshot, of_volume)] == [3 * GiB, 2 * GiB]
    api.remove("snapshot", snapshot)
    api.remove("volume", source)
    assert (cloud.read(of_snapshot, MiB), cloud.read(of_volume, MiB)) == (OLD, NEW)
    assert cloud.read(of_snapshot, MiB, 2 * GiB) == bytes(MiB)
    assert api.show("volume", of_snapshot)["snapshot_id"] == snapshot
    for copy in (of_snapshot, of_volume):
        api.remove("volume", copy)


def test_a_volume_is_reverted_by_the_array(cloud):
    api, volume = cloud.api, cloud.volume()
    cloud.write(volume, OLD)
    snapshot = cloud.snapshot(volume)
    cloud.write(volume, NEW)
    wwn = cloud.on_array(volume)["wwn"]
    api.act(volume, "revert", {"snapshot_id": snapshot}, micro="3.40")
    api.wait("volume", volume)
    api.wait("snapshot", snapshot)
    assert (cloud.read(volume, MiB), cloud.on_array(volume)["wwn"]) == (OLD, wwn)
    api.remove("snapshot", snapshot)
    api.remove("volume", volume)


def test_a_group_is_snapshotted_at_one_moment_and_copied(cloud):
    """Generic groups of a consistent type, with the array's own group snapshots."""
    api, micro = cloud.api, "3.38"
    kind = api.post("/group_types", {"group_type": {"name": "consistent"}}, micro=micro)["group_type"]["id"]
    api.post(f"/group_types/{kind}/group_specs", {"group_specs": {"consistent_group_snapshot_enabled": "<is> True"}}, micro=micro)
    body = {"name": "g", "group_type": kind, "volume_types": [cloud.kind_id("iscsi")]}
    group = api.post("/groups", {"group": body}, micro=micro)["group"]["id"]
    api.wait("group", group, micro=micro)
    members = []
    for text in (b"1", b"2"):
        made = api.post("/volumes", {"volume": {"size": 1, "volume_type": "iscsi", "group_id": group}}, micro=micro)["volume"][
            "id"
        ]
        api.wait("volume", made)
        cloud.write(made, text * 512)
        members.append(made)
    taken = api.post("/group_snapshots", {"group_snapshot": {"group_id": group, "name": "gs"}}, micro=micro)["group_snapshot"][
        "id"
    ]
    api.wait("group_snapshot", taken, micro=micro)
    assert {item["volume"] for item in cloud.array.family.state()["snapshots"]} == {
        cloud.on_array(each)["name"] for each in members
    }
    groups = [group]
    for source in ({"group_snapshot_id": taken}, {"source_group_id": group}):
        made = api.post("/groups/action", {"create-from-src": {"name": "copy", **source}}, micro=micro)["group"]["id"]
        api.wait("group", made, micro=micro)
        copies = [item["id"] for item in api.get(f"/volumes/detail?group_id={made}", micro=micro)["volumes"]]
        assert sorted(cloud.read(copy, 512) for copy in copies) == [b"1" * 512, b"2" * 512]
        groups.append(made)
    api.delete(f"/group_snapshots/{taken}", micro=micro)
    api.gone("group_snapshot", taken, micro=micro)
    assert cloud.array.family.state()["snapshots"] == []
    for each in groups:
        api.post(f"/groups/{each}/action", {"delete": {"delete-volumes": True}}, micro=micro)
        api.gone("group", each, micro=micro)
    api.delete(f"/group_types/{kind}", micro=micro)
