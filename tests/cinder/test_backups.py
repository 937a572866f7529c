"""Backups and images: real bytes out of the array and into it, through Cinder's own services."""

from __future__ import annotations

import hashlib

from blockdrivers.model import GiB, MiB
from tests.cinder.lab.api import Api
from tests.cinder.lab.cloud import BY_DEFAULT

DETAIL = {
    "id",
    "name",
    "links",
    "status",
    "size",
    "volume_id",
    "fail_reason",
    "object_count",
    "container",
    "is_incremental",
    "has_dependent_backups",
    "snapshot_id",
    "data_timestamp",
}


def _bytes(seed: str) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(MiB)


def _backup(cloud, volume, **more):
    answered = cloud.api.post("/backups", {"backup": {"volume_id": volume, **more}})["backup"]
    assert answered.keys() >= {"id", "name", "links"}
    return cloud.api.wait("backup", answered["id"])


def test_a_chain_of_backups_is_kept_restored_and_deleted_from_its_end(cloud):
    v2 = Api(cloud.services.root, "v2")
    volume = cloud.volume()
    cloud.write(volume, _bytes("a"))
    full = _backup(cloud, volume, name="full", description="d")
    cloud.write(volume, _bytes("b"), 700 * MiB)
    with cloud.attached(volume):
        assert cloud.api.ask("POST", "/backups", {"backup": {"volume_id": volume}}).status == 400
        increment = _backup(cloud, volume, name="increment", incremental=True, force=True)
    assert (full["is_incremental"], increment["is_incremental"]) == (False, True)
    full = v2.show("backup", full["id"])
    assert full.keys() >= DETAIL
    assert (full["has_dependent_backups"], full["size"], full["fail_reason"]) == (True, 1, None)
    newest = v2.get("/backups?limit=1&sort_key=created_at&sort_dir=desc")["backups"]
    assert [item["name"] for item in newest] == ["increment"]
    older = v2.get(f"/backups/detail?marker={increment['id']}&sort_key=created_at&sort_dir=desc")["backups"]
    assert [(item["name"], item.keys() >= DETAIL) for item in older] == [("full", True)]
    assert v2.ask("DELETE", f"/backups/{full['id']}").status == 400

    target = cloud.volume(2)
    cloud.write(target, _bytes("c"), 700 * MiB)
    answered = v2.post(f"/backups/{increment['id']}/restore", {"restore": {"volume_id": target}})["restore"]
    assert answered.keys() == {"backup_id", "volume_id", "volume_name"}
    cloud.api.wait("volume", target)
    cloud.api.wait("backup", increment["id"])
    assert (cloud.read(target, MiB), cloud.read(target, MiB, 700 * MiB)) == (_bytes("a"), _bytes("b"))
    for kind, identifier in (("backup", increment["id"]), ("backup", full["id"]), ("volume", target), ("volume", volume)):
        cloud.api.remove(kind, identifier)


def test_a_backup_of_a_snapshot_is_restored_to_a_new_volume(cloud):
    volume = cloud.volume()
    cloud.write(volume, _bytes("then"))
    snapshot = cloud.snapshot(volume)
    cloud.write(volume, _bytes("now"))
    backup = _backup(cloud, volume, snapshot_id=snapshot)
    assert backup["snapshot_id"] == snapshot
    made = cloud.api.post(f"/backups/{backup['id']}/restore", {"restore": {"name": "restored"}})["restore"]["volume_id"]
    restored = cloud.api.wait("volume", made)
    assert (restored["name"], restored["volume_type"], restored["size"]) == ("restored", BY_DEFAULT, 1)
    assert cloud.read(made, MiB) == _bytes("then")
    for kind, identifier in (("backup", backup["id"]), ("snapshot", snapshot), ("volume", made), ("volume", volume)):
        cloud.api.remove(kind, identifier)


def test_an_image_becomes_a_volume_and_a_volume_an_image(cloud):
    data = _bytes("image") * 8
    image = cloud.images.add("first", data)
    volume = cloud.volume(imageRef=image)
    shown = cloud.api.show("volume", volume)
    assert (shown["bootable"], shown["volume_image_metadata"]["image_id"]) == ("true", image)
    assert cloud.read(volume, len(data)) == data
    asked = {"image_name": "copy", "container_format": "bare", "disk_format": "raw"}
    made = cloud.api.act(volume, "os-volume_upload_image", asked)["os-volume_upload_image"]
    assert made["image_name"] == "copy"
    cloud.api.wait("volume", volume)
    copied = cloud.images.contents[made["image_id"]]
    assert len(copied) == GiB
    assert hashlib.sha256(copied[: len(data)]).digest() == hashlib.sha256(data).digest()
    assert not any(copied[len(data) : len(data) + MiB])
    for each in (image, made["image_id"]):
        del cloud.images.contents[each]
    cloud.api.remove("volume", volume)
