"""Volumes used by hosts: the ways in and out that Cinder knows, what the array exports to whom, and the bytes."""

from __future__ import annotations

import pytest

from blockdrivers.errors import AttachError
from blockdrivers.model import GiB
from tests.cinder.lab.api import AS_SERVICE
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
    made = []
    for number, host in enumerate(("cmp01", "cmp01", "cmp02"), 1):
        body = {"volume_uuid": volume, "instance_uuid": f"{SERVER}{number}", "connector": connector(host)}
        one = api.post("/attachments", {"attachment": body}, micro="3.54")["attachment"]["id"]
        api.post(f"/attachments/{one}/action", {"os-complete": {}}, micro="3.44")
        made.append(one)
    assert cloud.exported_to(volume) == {"cmp01", "cmp02"}
    for one, left in zip(made, ({"cmp01", "cmp02"}, {"cmp02"}, set()), strict=True):
        api.delete(f"/attachments/{one}", micro="3.27", headers=AS_SERVICE)
        assert cloud.exported_to(volume) == left
    api.remove("volume", volume)
    cloud.drop_kind("shared")


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
