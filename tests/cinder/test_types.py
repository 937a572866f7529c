"""Types, their limits, and volumes that change from one to another, or from one pool or owner to another."""

from __future__ import annotations

import time

import pytest

from blockdrivers.model import MiB
from tests.cinder.lab.api import Api
from tests.cinder.lab.cloud import BY_DEFAULT, connector

DOCUMENTED = {"id", "name", "extra_specs", "is_public", "qos_specs_id", "description"}


@pytest.fixture
def limited(cloud):
    """Return a function that makes a type with limits; types and limits go at the end."""
    made: list[tuple[str, str]] = []

    def make(name: str, consumer: str, **limits: str) -> str:
        body = {"qos_specs": {"name": f"qos-{name}", "consumer": consumer, **limits}}
        qos = cloud.api.post("/qos-specs", body)["qos_specs"]["id"]
        cloud.kind(name, qos, volume_backend_name="iscsi")
        made.append((name, qos))
        return qos

    yield make
    for name, qos in made:
        cloud.api.get(f"/qos-specs/{qos}/disassociate_all")
        cloud.api.delete(f"/qos-specs/{qos}")
        cloud.drop_kind(name)


@pytest.mark.parametrize("version", ["v3", "v2"])
def test_types_are_made_shown_changed_and_deleted(cloud, version):
    api = Api(cloud.services.root, version)
    asked = {"name": "gold", "description": "d", "os-volume-type-access:is_public": True, "extra_specs": {"a": "b"}}
    kind = api.post("/types", {"volume_type": asked})["volume_type"]["id"]
    shown = api.get(f"/types/{kind}")["volume_type"]
    assert shown.keys() >= DOCUMENTED
    assert (shown["extra_specs"], shown["is_public"], shown["qos_specs_id"]) == ({"a": "b"}, True, None)
    changed = api.put(f"/types/{kind}", {"volume_type": {"name": "gold-2", "description": "e", "is_public": False}})[
        "volume_type"
    ]
    assert (changed["name"], changed["description"], changed["is_public"]) == ("gold-2", "e", False)
    api.post(f"/types/{kind}/extra_specs", {"extra_specs": {"k": "v"}})
    api.delete(f"/types/{kind}/extra_specs/a")
    assert api.get(f"/types/{kind}/extra_specs")["extra_specs"] == {"k": "v"}
    assert kind in {item["id"] for item in api.get("/types?is_public=None")["volume_types"]}
    api.delete(f"/types/{kind}")
    assert api.ask("GET", f"/types/{kind}").status == 404


def test_a_type_in_use_stays(cloud):
    volume = cloud.volume()
    assert cloud.api.ask("DELETE", f"/types/{cloud.kind_id('iscsi')}").status == 400
    cloud.api.remove("volume", volume)


def test_the_hypervisors_limits_come_with_the_next_connection(cloud, limited):
    qos = limited("slow-guest", "front-end", total_iops_sec="500", read_bytes_sec="1000000")
    cloud.api.put(f"/qos-specs/{qos}", {"qos_specs": {"write_iops_sec": "100"}})
    (associated,) = cloud.api.get(f"/qos-specs/{qos}/associations")["qos_associations"]
    assert associated["name"] == "slow-guest"
    assert cloud.api.ask("DELETE", f"/qos-specs/{qos}").status == 400
    volume = cloud.volume(kind="slow-guest")
    assert cloud.limits(volume) == {}
    body = {"attachment": {"volume_uuid": volume, "connector": connector("cmp01")}}
    made = cloud.api.post("/attachments", body, micro="3.54")["attachment"]
    wanted = {"total_iops_sec": "500", "read_bytes_sec": "1000000", "write_iops_sec": "100"}
    assert made["connection_info"]["qos_specs"] == wanted
    cloud.api.delete(f"/attachments/{made['id']}", micro="3.27")
    cloud.api.remove("volume", volume)


@pytest.mark.parametrize("consumer", ["back-end", "both"])
def test_the_arrays_limits_are_on_volumes_however_they_were_made(cloud, limited, consumer):
    limited("slow", consumer, total_iops_sec="2000")
    empty = cloud.volume(kind="slow")
    clone, snapshot = cloud.volume(kind="slow", source_volid=empty), cloud.snapshot(empty)
    copy = cloud.volume(kind="slow", snapshot_id=snapshot)
    assert [cloud.limits(volume) for volume in (empty, clone, copy)] == [{"total_iops": 2000}] * 3
    cloud.api.remove("snapshot", snapshot)
    for volume in (empty, clone, copy):
        cloud.api.remove("volume", volume)
    assert cloud.array.family.state()["qos"] == []


def test_limits_that_no_array_knows_end_in_error(cloud, limited):
    limited("odd", "back-end", burstiness="9")
    volume = cloud.volume(kind="odd", state="error")
    assert cloud.on_array(volume) is None
    assert "Arrays know no limit burstiness" in cloud.services.log()
    cloud.api.remove("volume", volume)


def test_retyping_changes_provisioning_and_limits_in_place_with_a_snapshot_on_it(cloud, limited):
    limited("slow", "back-end", total_bytes_sec=str(8 * MiB))
    volume = cloud.volume()
    cloud.write(volume, b"kept" * 128)
    before = cloud.on_array(volume)
    assert before["thin"]
    cloud.api.act(volume, "os-retype", {"new_type": "thick", "migration_policy": "never"})
    cloud.api.wait("volume", volume)
    after = cloud.on_array(volume)
    assert (after["thin"], after["wwn"]) == (False, before["wwn"])
    snapshot = cloud.snapshot(volume)
    for kind, limits in (("slow", {"total_bytes_sec": 8 * MiB}), ("thick", {})):
        cloud.api.act(volume, "os-retype", {"new_type": kind, "migration_policy": "never"})
        assert cloud.api.wait("volume", volume)["volume_type"] == kind
        assert cloud.limits(volume) == limits
    assert cloud.read(volume, 512) == b"kept" * 128
    cloud.api.remove("snapshot", snapshot)
    cloud.api.remove("volume", volume)


def test_the_array_moves_a_volume_between_its_pools_and_back_ends(cloud):
    volume = cloud.volume(kind=BY_DEFAULT)
    cloud.write(volume, b"moved" * 100)
    wwn = cloud.on_array(volume)["wwn"]
    begins = cloud.api.show("volume", volume)["os-vol-host-attr:host"]
    hosts = ["labhost@iscsi#pool_a", "labhost@other#pool_b", "labhost@iscsi#pool_b"]
    for host in (*(host for host in hosts if host != begins), begins):
        cloud.api.act(volume, "os-migrate_volume", {"host": host})
        _moved(cloud, volume, host)
        record = cloud.on_array(volume)
        assert (record["pool"], record["wwn"]) == (host.partition("#")[2], wwn)
    assert cloud.read(volume, 500) == b"moved" * 100
    cloud.api.remove("volume", volume)


def test_a_volume_that_cinder_itself_copied_goes_on_under_another_name(cloud):
    volume = cloud.volume(kind=BY_DEFAULT)
    cloud.write(volume, b"copied" * 100)
    begins = cloud.api.show("volume", volume)["os-vol-host-attr:host"]
    host = next(host for host in ("labhost@other#pool_b", "labhost@iscsi#pool_a") if host != begins)
    cloud.api.act(volume, "os-migrate_volume", {"host": host, "force_host_copy": True})
    _moved(cloud, volume, host)
    shown = cloud.api.show("volume", volume)
    other = shown["os-vol-mig-status-attr:name_id"]
    assert other not in {None, volume}
    assert cloud.on_array(other)["pool"] == host.partition("#")[2]
    _until(lambda: cloud.on_array(volume) is None, "the source is deleted")
    assert cloud.read(volume, 600) == b"copied" * 100
    snapshot = cloud.snapshot(volume)
    cloud.api.remove("snapshot", snapshot)
    cloud.api.remove("volume", volume)
    assert cloud.on_array(other) is None


def _moved(cloud, volume, host):
    _until(lambda: cloud.api.show("volume", volume)["os-vol-mig-status-attr:migstat"] in {"success", "error"}, "it has moved")
    shown = cloud.api.show("volume", volume)
    assert (shown["os-vol-mig-status-attr:migstat"], shown["os-vol-host-attr:host"]) == ("success", host)


def test_volumes_and_snapshots_change_hands(cloud):
    api, host, micro = cloud.api, "labhost@iscsi", "3.8"
    volume = cloud.volume(2)
    cloud.write(volume, b"mine" * 128)
    wwn, pool = cloud.on_array(volume)["wwn"], cloud.on_array(volume)["pool"]
    api.act(volume, "os-unmanage")
    api.gone("volume", volume)
    assert cloud.on_array(volume) is None
    listed = api.get(f"/manageable_volumes/detail?host={host}%23{pool}", micro=micro)["manageable-volumes"]
    (offered,) = [item for item in listed if item["safe_to_manage"]]
    assert (offered["size"], offered["cinder_id"]) == (2, None)
    body = {"host": f"{host}#{pool}", "ref": offered["reference"], "volume_type": "iscsi", "name": "again"}
    again = api.post("/manageable_volumes", {"volume": body}, micro=micro)["volume"]["id"]
    assert api.wait("volume", again)["size"] == 2
    assert cloud.on_array(again)["wwn"] == wwn
    assert cloud.read(again, 512) == b"mine" * 128
    snapshot = cloud.snapshot(again)
    api.post(f"/snapshots/{snapshot}/action", {"os-unmanage": {}})
    api.gone("snapshot", snapshot)
    (free,) = api.get(f"/manageable_snapshots/detail?host={host}%23{pool}", micro=micro)["manageable-snapshots"]
    assert free["safe_to_manage"]
    taken = api.post("/manageable_snapshots", {"snapshot": {"volume_id": again, "ref": free["reference"]}}, micro=micro)[
        "snapshot"
    ]["id"]
    assert api.wait("snapshot", taken)["size"] == 2
    bad = {"host": f"{host}#{pool}", "ref": {"source-name": "no-such-lun"}, "volume_type": "iscsi"}
    refused = api.post("/manageable_volumes", {"volume": bad}, micro=micro)["volume"]["id"]
    api.wait("volume", refused, "error_managing", "error")
    api.remove("volume", refused)
    api.remove("snapshot", taken)
    api.remove("volume", again)


def _until(done, what):
    ends = time.monotonic() + 60
    while not done():
        assert time.monotonic() < ends, f"a minute later, not yet so: {what}"
        time.sleep(0.1)
