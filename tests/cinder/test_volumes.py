"""Volumes as the service's users ask for them: on both paths, with the documented fields, up to the array's own state."""

from __future__ import annotations

import pytest

import blockdrivers
from blockdrivers.model import GiB
from tests.cinder.lab.api import PROJECT, Api
from tests.cinder.lab.cloud import OTHERS, POOL_BYTES

DOCUMENTED = {
    "id",
    "status",
    "size",
    "name",
    "description",
    "volume_type",
    "bootable",
    "attachments",
    "availability_zone",
    "encrypted",
    "created_at",
    "updated_at",
    "replication_status",
    "snapshot_id",
    "source_volid",
    "multiattach",
    "metadata",
    "consistencygroup_id",
    "user_id",
    "links",
}
IN_DETAIL = DOCUMENTED | {
    "migration_status",
    "os-vol-host-attr:host",
    "os-vol-tenant-attr:tenant_id",
    "os-vol-mig-status-attr:migstat",
    "os-vol-mig-status-attr:name_id",
}
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(params=["v3", "v2"])
def api(cloud, request):
    return Api(cloud.services.root, request.param)


def test_a_volume_is_made_shown_listed_renamed_grown_and_deleted(cloud, api):
    asked = {"size": 1, "name": "one", "description": "d", "volume_type": "iscsi", "metadata": {"k": "v"}}
    answered = api.post("/volumes", {"volume": asked})["volume"]
    assert answered.keys() >= DOCUMENTED
    assert (answered["status"], answered["attachments"], answered["bootable"]) == ("creating", [], "false")
    volume = answered["id"]
    shown = api.wait("volume", volume)
    assert shown.keys() >= IN_DETAIL
    assert {key: shown[key] for key in asked} == asked
    assert shown["os-vol-tenant-attr:tenant_id"] == PROJECT
    pool = shown["os-vol-host-attr:host"].partition("#")[2]
    record = cloud.on_array(volume)
    assert (record["size"], record["pool"], record["thin"]) == (GiB, pool, True)
    listed = api.get("/volumes?name=one")["volumes"]
    assert [(item["id"], item.keys() >= {"name", "links"}) for item in listed] == [(volume, True)]
    (detail,) = api.get("/volumes/detail?name=one&all_tenants=1")["volumes"]
    assert detail.keys() >= IN_DETAIL
    assert api.put(f"/volumes/{volume}", {"volume": {"name": "two"}})["volume"]["name"] == "two"
    api.act(volume, "os-extend", {"new_size": 3})
    assert api.wait("volume", volume)["size"] == 3
    assert cloud.on_array(volume)["size"] == 3 * GiB
    api.remove("volume", volume)
    assert cloud.on_array(volume) is None


def test_lists_are_sorted_and_paged(cloud, api):
    names = ["page-a", "page-b", "page-c"]
    made = [cloud.volume(name=name) for name in names]
    first = api.get("/volumes?limit=1&sort=name:asc")
    assert [item["name"] for item in first["volumes"]] == names[:1]
    assert {link["rel"] for link in first["volumes_links"]} == {"next"}
    assert [item["name"] for item in api.get(f"/volumes?sort=name:asc&marker={made[0]}")["volumes"]] == names[1:]
    backwards = api.get("/volumes/detail?sort_key=name&sort_dir=desc&status=available")["volumes"]
    assert [item["name"] for item in backwards] == names[::-1]
    assert api.ask("GET", f"/volumes?marker={NOWHERE}").status == 404
    for volume in made:
        api.remove("volume", volume)


@pytest.mark.parametrize(
    ("wrong", "status", "kind"),
    [
        ({"size": 0}, 400, "badRequest"),
        ({"size": "x"}, 400, "badRequest"),
        ({"size": 1, "name": "n" * 256}, 400, "badRequest"),
        ({"size": 1, "volume_type": "nosuch"}, 404, "itemNotFound"),
        ({"size": 1, "snapshot_id": NOWHERE}, 404, "itemNotFound"),
        ({"size": 1, "source_volid": NOWHERE}, 404, "itemNotFound"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_refused_in_the_documented_form(cloud, api, wrong, status, kind):
    answer = api.ask("POST", "/volumes", {"volume": wrong})
    assert answer.status == status
    assert answer.body[kind]["code"] == status
    assert answer.body[kind]["message"]


def test_other_refusals(cloud, api):
    assert api.ask("GET", f"/volumes/{NOWHERE}").body["itemNotFound"]["code"] == 404
    assert api.ask("DELETE", f"/volumes/{NOWHERE}").status == 404
    assert api.ask("GET", "/volumes", project="fedcba9876543210fedcba9876543210").status == 400
    assert api.ask("GET", "/volumes", micro="3.99").status == 406
    versions = Api(cloud.services.root, "").ask("GET", "", project="")
    assert (versions.status, [version["status"] for version in versions.body["versions"]]) == (300, ["CURRENT"])


@pytest.mark.parametrize(("size", "kind"), [(65_537, "iscsi"), (65_536 * 40, "fc"), (60_000, "thick")])
def test_a_volume_that_no_pool_can_hold_ends_in_error_and_leaves_nothing(cloud, size, kind):
    """Beyond the library's limit, beyond what the scheduler lets a thin pool promise, beyond what a pool has."""
    made = cloud.volume(size, kind=kind, state="error")
    assert cloud.on_array(made) is None
    cloud.api.remove("volume", made)


def test_an_administrator_resets_states_and_sets_flags(cloud, api):
    volume = cloud.volume()
    api.act(volume, "os-reset_status", {"status": "maintenance"})
    assert api.show("volume", volume)["status"] == "maintenance"
    api.act(volume, "os-reset_status", {"status": "error", "attach_status": "detached"})
    assert api.show("volume", volume)["status"] == "error"
    api.act(volume, "os-reset_status", {"status": "available"})
    api.act(volume, "os-set_bootable", {"bootable": True})
    api.act(volume, "os-update_readonly_flag", {"readonly": False})
    api.act(volume, "os-set_image_metadata", {"metadata": {"hw": "x"}})
    shown = api.show("volume", volume)
    assert (shown["bootable"], shown["volume_image_metadata"]) == ("true", {"hw": "x"})
    assert api.ask("POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 1}}).status == 400
    api.remove("volume", volume)


def test_back_ends_report_their_pools_and_what_they_can(cloud):
    pools = {pool["name"]: pool["capabilities"] for pool in cloud.api.get("/scheduler-stats/get_pools?detail=true")["pools"]}
    of_others = {name for name in pools if name.partition("#")[0].removeprefix("labhost@") in OTHERS}
    assert len({name.partition("#")[0] for name in of_others}) == len(OTHERS)
    assert set(pools) - of_others == {
        *(f"labhost@{backend}#{pool}" for backend in ("iscsi", "fc") for pool in ("pool_a", "pool_b")),
        "labhost@chap#pool_b",
        "labhost@other#pool_b",
    }
    one = pools["labhost@iscsi#pool_a"]
    assert (one["storage_protocol"], one["backend_state"]) == ("iSCSI", "up")
    assert one["total_capacity_gb"] == POOL_BYTES / GiB
    assert one["thin_provisioning_support"]
    assert one["QoS_support"]
    assert one["multiattach"]
    assert one["total_capacity_gb"] >= one["free_capacity_gb"] > 0
    assert pools["labhost@fc#pool_a"]["storage_protocol"] == "FC"
    told = cloud.api.get("/capabilities/labhost@iscsi")
    assert (told["vendor_name"], told["volume_backend_name"], told["driver_version"]) == (
        "Huawei",
        "iscsi",
        blockdrivers.__version__,
    )
    assert told["properties"]["blockdrivers:provisioning"]["enum"] == ["thin", "thick"]
