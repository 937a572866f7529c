"""Volumes used by hosts: the ways in and out that Cinder knows, what the array exports to whom, and the bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.errors import AttachError
from blockdrivers.model import GiB
from tests.cinder.lab.api import AS_SERVICE, Api
from tests.cinder.lab.cloud import CHAP, connector, lun

SERVER = "aaaaaaaa-bbbb-4ccc-8ddd-00000000000"


def test_reserved_connected_completed_grown_and_taken_away(cloud):
    api, volume, who = cloud.api, cloud.volume(), connector("cmp01")
    body = {"attachment": {"volume_uuid": volume, "instance_uuid": SERVER + "1", "connector": None}}
    made = api.post("/attachments", body, micro="3.27")["attachment"]
    assert (made["status"], api.show("volume", volume)["status"]) == ("reserved", "reserved")
    assert cloud.exported_to(volume) == set()
    connected = api.put(f"/attachments/{made['id']}", {"attachment": {"connector": who}}, micro="3.27")["attachment"]
    info = connected["connection_info"]
    assert (info["driver_volume_type"], info["volume_id"]) == ("iscsi", volume)
    assert info["target_portals"][0] in {target["portal"] for target in cloud.array.ready["iscsi"]}
    assert cloud.exported_to(volume) == {"cmp01"}
    api.post(f"/attachments/{made['id']}/action", {"os-complete": {}}, micro="3.44")
    shown = api.show("volume", volume)
    assert (shown["status"], shown["attachments"][0]["server_id"]) == ("in-use", SERVER + "1")
    with lun(info, who["initiator"]) as client:
        assert client.size == GiB
        client.write(0, b"kept")
    with pytest.raises(AttachError), lun(info, "iqn.1994-05.org.example:stranger"):
        pass
    second = {"attachment": {"volume_uuid": volume, "instance_uuid": SERVER + "2"}}
    assert api.ask("POST", "/attachments", second, micro="3.27").status == 400
    assert api.ask("DELETE", f"/volumes/{volume}").status == 400
    assert api.ask("POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}}).status == 400
    api.act(volume, "os-extend", {"new_size": 2}, micro="3.42")
    assert api.wait("volume", volume, "in-use")["size"] == 2
    with lun(info, who["initiator"]) as client:
        assert (client.size, client.read(0, 4)) == (2 * GiB, b"kept")
    assert len(api.get(f"/attachments?volume_id={volume}", micro="3.27")["attachments"]) == 1
    api.delete(f"/attachments/{made['id']}", micro="3.27", headers=AS_SERVICE)
    assert api.wait("volume", volume)["attachments"] == []
    assert cloud.exported_to(volume) == set()
    with pytest.raises(AttachError), lun(info, who["initiator"]):
        pass
    api.remove("volume", volume)


def test_the_older_actions(cloud):
    api, volume, who = cloud.api, cloud.volume(), connector("cmp02")
    api.act(volume, "os-reserve")
    info = api.act(volume, "os-initialize_connection", {"connector": who})["connection_info"]
    api.act(volume, "os-attach", {"instance_uuid": SERVER + "1", "mountpoint": "/dev/vdb", "mode": "rw"})
    assert (info["driver_volume_type"], api.show("volume", volume)["status"]) == ("iscsi", "in-use")
    assert cloud.exported_to(volume) == {"cmp02"}
    api.act(volume, "os-begin_detaching")
    api.act(volume, "os-terminate_connection", {"connector": who}, headers=AS_SERVICE)
    api.act(volume, "os-detach", headers=AS_SERVICE)
    assert api.wait("volume", volume)["attachments"] == []
    assert cloud.exported_to(volume) == set()
    api.act(volume, "os-initialize_connection", {"connector": who})
    api.act(volume, "os-attach", {"instance_uuid": SERVER + "1", "mountpoint": "/dev/vdb"})
    api.act(volume, "os-force_detach", {"connector": who}, headers=AS_SERVICE)
    api.wait("volume", volume)
    assert cloud.exported_to(volume) == set()
    api.remove("volume", volume)


def test_several_servers_on_two_hosts_share_a_volume(cloud):
    """Two of them on one host: its export stays until the second lets go."""
    api = cloud.api
    cloud.kind("shared", volume_backend_name="iscsi", multiattach="<is> True")
    volume = cloud.volume(kind="shared")
    assert api.show("volume", volume)["multiattach"]
    made = [attached_by(cloud, volume, number, host) for number, host in enumerate(("cmp01", "cmp01", "cmp02"), 1)]
    assert cloud.exported_to(volume) == {"cmp01", "cmp02"}
    for one, left in zip(made, ({"cmp01", "cmp02"}, {"cmp02"}, set()), strict=True):
        let_go(api, one)
        assert cloud.exported_to(volume) == left
    api.remove("volume", volume)
    cloud.drop_kind("shared")


def test_servers_that_let_go_of_a_volume_at_one_moment(cloud):
    """Each of them finds the others' attachments in Cinder's database still."""
    cloud.kind("let go", volume_backend_name="iscsi", multiattach="<is> True")
    volume = cloud.volume(kind="let go")
    for _ in range(3):
        made = [attached_by(cloud, volume, number) for number in range(1, 5)]
        stays = attached_by(cloud, volume, 5, "cmp02")
        with ThreadPoolExecutor(len(made)) as threads:
            list(threads.map(lambda one: let_go(Api(cloud.api.root), one), made))
        assert cloud.exported_to(volume) == {"cmp02"}
        let_go(cloud.api, stays)
        assert cloud.exported_to(volume) == set()
    cloud.api.remove("volume", volume)
    cloud.drop_kind("let go")


def test_a_server_that_is_about_to_use_a_volume_keeps_it_on_its_host(cloud):
    cloud.kind("about to", volume_backend_name="iscsi", multiattach="<is> True")
    volume = cloud.volume(kind="about to")
    first, second = attached_by(cloud, volume, 1), attached_by(cloud, volume, 2, complete=False)
    let_go(cloud.api, first)
    assert cloud.exported_to(volume) == {"cmp01"}, "taken from a server that has been told how to reach it"
    let_go(cloud.api, second)
    assert cloud.exported_to(volume) == set()
    cloud.api.remove("volume", volume)
    cloud.drop_kind("about to")


def attached_by(cloud, volume: str, number: int, host: str = "cmp01", *, complete: bool = True) -> str:
    """Attach a volume to one of several servers on a host, and return the attachment's id."""
    body = {"volume_uuid": volume, "instance_uuid": f"{SERVER}{number}", "connector": connector(host)}
    made = cloud.api.post("/attachments", {"attachment": body}, micro="3.54")["attachment"]["id"]
    if complete:
        cloud.api.post(f"/attachments/{made}/action", {"os-complete": {}}, micro="3.44")
    return str(made)


def let_go(api: Api, attachment: str) -> None:
    """End an attachment as Nova does."""
    api.delete(f"/attachments/{attachment}", micro="3.27", headers=AS_SERVICE)


def test_chap_comes_with_the_connection_and_is_asked_for(cloud):
    api, who = cloud.api, connector("cmp03")
    volume = cloud.volume(kind="chap")
    assert cloud.on_array(volume)["pool"] == "pool_b"
    body = {"attachment": {"volume_uuid": volume, "connector": who}}
    made = api.post("/attachments", body, micro="3.54")["attachment"]
    info = made["connection_info"]
    assert (info["auth_method"], info["auth_username"], info["auth_password"]) == ("CHAP", CHAP.username, CHAP.secret)
    with lun(info, who["initiator"]) as client:
        assert client.read(0, 16) == bytes(16)
    without = {key: value for key, value in info.items() if not key.startswith("auth_")}
    with pytest.raises(AttachError), lun(without, who["initiator"]):
        pass
    assert CHAP.secret not in cloud.services.log()
    api.delete(f"/attachments/{made['id']}", micro="3.27")
    api.remove("volume", volume)


def test_fc_connections_name_the_ports_that_each_initiator_reaches(cloud):
    api, volume, who = cloud.api, cloud.volume(kind="fc"), connector("cmp04")
    made = api.post("/attachments", {"attachment": {"volume_uuid": volume, "connector": who}}, micro="3.54")["attachment"]
    info = made["connection_info"]
    assert info["driver_volume_type"] == "fibre_channel"
    assert set(info["initiator_target_map"]) == set(who["wwpns"])
    assert set(info["target_wwn"]) == {port for ports in info["initiator_target_map"].values() for port in ports}
    assert set(info["target_wwn"]) == set(cloud.array.ready["fc"])
    assert cloud.exported_to(volume) == {"cmp04"}
    api.delete(f"/attachments/{made['id']}", micro="3.27")
    assert cloud.exported_to(volume) == set()
    without = {"attachment": {"volume_uuid": volume, "connector": who | {"wwpns": []}}}
    assert api.ask("POST", "/attachments", without, micro="3.54").status >= 400
    api.act(volume, "os-reset_status", {"status": "available", "attach_status": "detached"})
    api.remove("volume", volume)
