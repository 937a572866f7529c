"""Arrays of other kinds under the same Cinder: one that lists nothing and knows no hosts, and one whose volumes are files."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockdrivers.model import GiB, MiB
from tests.cinder.lab.api import AS_SERVICE
from tests.cinder.lab.cloud import OTHERS, connector

OLD, NEW = b"old!" * (MiB // 4), b"new!" * (MiB // 4)


@pytest.fixture(params=OTHERS)
def kind(cloud, request):
    """Return a type of volumes of each other array; nothing may be left there."""
    yield request.param
    _nothing_left(cloud, request.param)


@pytest.fixture
def reticent(cloud):
    """Return the type of volumes whose array tells the least."""
    yield "reticent"
    _nothing_left(cloud, "reticent")


def _array(cloud, kind):
    return cloud.others[OTHERS[kind][0]]


def _sizes(cloud, kind):
    """Return the sizes of the volumes that the array has, in GiB."""
    array = _array(cloud, kind)
    if kind == "files":
        return sorted(file.stat().st_size // GiB for file in Path(array.ready["files_folder"]).rglob("bdvu-*"))
    return sorted(volume["size"] // GiB for volume in array.family.state()["volumes"])


def _nothing_left(cloud, kind):
    state = _array(cloud, kind).family.state()
    assert _sizes(cloud, kind) == []
    assert {what: state[what] for what in ("snapshots", "copies", "mappings") if state.get(what)} == {}


def _remove(cloud, *objects):
    for what, identifier in objects:
        cloud.api.remove(what, identifier)


def test_volumes_live_through_everything(cloud, kind):
    api, volume = cloud.api, cloud.volume(kind=kind)
    snapshot = cloud.snapshot(volume)
    of_snapshot = cloud.volume(2, kind, snapshot_id=snapshot)
    of_volume = cloud.volume(1, kind, source_volid=volume)
    assert _sizes(cloud, kind) == [1, 1, 2]
    _remove(cloud, ("snapshot", snapshot))
    api.act(volume, "os-extend", {"new_size": 3})
    assert api.wait("volume", volume)["size"] == 3
    assert _sizes(cloud, kind) == [1, 2, 3]
    _remove(cloud, *(("volume", each) for each in (of_snapshot, of_volume, volume)))


def test_a_host_connects_and_lets_go(cloud, kind):
    volume = cloud.volume(kind=kind)
    body = {"attachment": {"volume_uuid": volume, "connector": connector("cmp07")}}
    made = cloud.api.post("/attachments", body, micro="3.54")["attachment"]
    info = made["connection_info"]
    wanted = {"reticent": "iscsi", "reticent-fc": "fibre_channel", "in-volume": "iscsi", "files": "nfs"}[kind]
    assert (info["driver_volume_type"], info["volume_id"]) == (wanted, volume)
    cloud.api.delete(f"/attachments/{made['id']}", micro="3.27")
    cloud.api.wait("volume", volume)
    _remove(cloud, ("volume", volume))


def test_the_bytes_are_the_ones_written_and_come_back(cloud, reticent):
    api, volume = cloud.api, cloud.volume(kind=reticent)
    cloud.write(volume, OLD)
    snapshot = cloud.snapshot(volume)
    cloud.write(volume, NEW)
    copies = [cloud.volume(kind=reticent, snapshot_id=snapshot), cloud.volume(kind=reticent, source_volid=volume)]
    assert [cloud.read(copy, MiB) for copy in copies] == [OLD, NEW]
    api.act(volume, "revert", {"snapshot_id": snapshot}, micro="3.40")
    api.wait("volume", volume)
    assert cloud.read(volume, MiB) == OLD
    api.wait("snapshot", snapshot)
    _remove(cloud, ("snapshot", snapshot), *(("volume", each) for each in (*copies, volume)))


def test_a_forced_detachment_takes_a_volume_from_whom_cinder_knows_it_to_be_with(cloud, reticent):
    volume = cloud.volume(kind=reticent)
    body = {"attachment": {"volume_uuid": volume, "connector": connector("cmp07")}}
    made = cloud.api.post("/attachments", body, micro="3.54")["attachment"]
    assert len(_array(cloud, reticent).family.state()["mappings"]) == 1
    cloud.api.act(volume, "os-force_detach", {"attachment_id": made["id"], "connector": None}, headers=AS_SERVICE)
    cloud.api.wait("volume", volume)
    assert _array(cloud, reticent).family.state()["mappings"] == []
    _remove(cloud, ("volume", volume))


def test_a_snapshot_that_is_found_in_its_volume_only_changes_hands(cloud):
    api, kind = cloud.api, "in-volume"
    volume = cloud.volume(kind=kind)
    snapshot = cloud.snapshot(volume)
    api.post(f"/snapshots/{snapshot}/action", {"os-unmanage": {}})
    api.gone("snapshot", snapshot)
    (given_up,) = [item["name"] for item in _array(cloud, kind).family.state()["snapshots"]]
    assert given_up.startswith("free-")
    wanted = {"snapshot": {"volume_id": volume, "ref": {"source-name": given_up}}}
    taken = api.post("/os-snapshot-manage", wanted)["snapshot"]["id"]
    api.wait("snapshot", taken)
    _remove(cloud, ("snapshot", taken), ("volume", volume))
    _nothing_left(cloud, kind)
