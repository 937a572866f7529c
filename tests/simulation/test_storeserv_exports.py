"""Hosts, ports, VLUNs, sets and rules of a simulated StoreServ."""

from __future__ import annotations

import json

import pytest

from tests.simulation.storeserv import IQN, OTHER_IQN, WWN, Wsapi, refusal
from vendors.hpe.simulator import codes


def test_hosts_and_their_paths():
    w = Wsapi()
    w.made("/hosts", {"name": "fc", "persona": 2, "FCWWNs": [WWN.lower()], "domain": None})
    shown = w.ok("GET", "/hosts/fc")
    assert {row["wwn"] for row in shown["FCPaths"]} == {WWN}
    assert len(shown["FCPaths"]) == 4
    assert shown["iSCSIPaths"] == []
    w.ok("PUT", "/hosts/fc", {"pathOperation": 1, "FCWWNs": ["10:00:00:00:C9:AA:BB:01"]})
    dark = [row for row in w.ok("GET", "/hosts/fc")["FCPaths"] if row["wwn"] == "10000000C9AABB01"]
    assert len(dark) == 1
    assert "portPos" not in dark[0]
    w.host("h")
    assert w.code("POST", "/hosts", {"name": "h", "iSCSINames": [OTHER_IQN]}) == refusal(codes.HOST_EXISTS)
    assert w.code("POST", "/hosts", {"name": "x", "iSCSINames": [IQN]}) == refusal(codes.PATH_EXISTS)
    assert w.code("PUT", "/hosts/fc", {"pathOperation": 1, "iSCSINames": [IQN]}) == refusal(codes.PATH_EXISTS)
    assert w.names(f'/hosts?query="FCPaths[wwn=={WWN.lower()} OR wwn==1] OR iSCSIPaths[name==none]"') == ["fc"]
    assert w.names(f'/hosts?query="FCPaths[wwn==1] OR iSCSIPaths[name=={IQN}]"') == ["h"]
    assert w.code("PUT", "/hosts/h", {"pathOperation": 2, "iSCSINames": [OTHER_IQN]}) == refusal(codes.NO_PATH)
    w.volume()
    w.export()
    assert w.code("PUT", "/hosts/h", {"pathOperation": 2, "iSCSINames": [IQN]}) == refusal(codes.EXPORTED)
    assert w.code("DELETE", "/hosts/h") == refusal(codes.EXPORTED)
    w.ok("PUT", "/hosts/h", {"pathOperation": 2, "iSCSINames": [IQN], "forcePathRemoval": True})
    assert w.ok("GET", "/hosts/h")["iSCSIPaths"] == []


def test_chap_is_the_hosts():
    w = Wsapi()
    w.host()
    on = {"chapOperation": 1, "chapOperationMode": 1, "chapName": "u", "chapSecret": "s" * 12}
    assert w.code("PUT", "/hosts/h", on | {"chapSecret": "s" * 11}) == refusal(codes.CHAP_LENGTH)
    w.ok("PUT", "/hosts/h", on)
    assert w.ok("GET", "/hosts/h")["initiatorChapEnabled"] is True
    w.ok("PUT", "/hosts/h", {"pathOperation": 1, "iSCSINames": [OTHER_IQN]})
    assert [item["chap_user"] for item in w.array.state()["initiators"] if item["kind"] == "iscsi"] == ["u", "u"]
    w.ok("PUT", "/hosts/h", {"chapOperation": 2, "chapRemoveTargetOnly": True})
    assert w.ok("GET", "/hosts/h")["initiatorChapEnabled"] is True
    w.ok("PUT", "/hosts/h", {"chapOperation": 2})
    assert w.ok("GET", "/hosts/h")["initiatorChapEnabled"] is False
    assert "s" * 12 not in json.dumps(w.array.state())


@pytest.mark.parametrize("tagged", [False, True])
def test_ports_carry_what_clients_index(tagged):
    w = Wsapi(tagged=tagged)
    ports = w.members("/ports")
    assert all({"protocol", "mode", "linkState"} <= port.keys() for port in ports)
    iscsi = [port for port in ports if port["protocol"] == 2]
    assert [port["iSCSIPortInfo"]["vlan"] for port in iscsi] == [int(tagged)] * 2
    where = ":".join(str(iscsi[0]["portPos"][key]) for key in ("node", "slot", "cardPort"))
    vlans = w.ok("GET", f"/ports/{where}/iSCSIVlans/")["iSCSIVlans"]
    assert [vlan["IPAddr"] for vlan in vlans] == (["127.0.0.11"] if tagged else [])
    assert iscsi[0]["IPAddr"] == ("0.0.0.0" if tagged else "127.0.0.11")


def test_every_kind_of_vlun():
    w = Wsapi()
    for name in ("v", "w", "x"):
        w.volume(name)
    w.host("h")
    w.made("/hosts", {"name": "fc", "FCWWNs": [WWN]})
    w.made("/hostsets", {"name": "cluster", "setmembers": ["h", "fc"]})
    w.made("/volumesets", {"name": "both", "setmembers": ["w", "x"]})
    port = {"node": 0, "slot": 2, "cardPort": 1}
    assert w.export("v", "h") == "v,1,h"
    assert w.export("v", "h", lun=1, portPos=port) == "v,1,h,0:2:1"
    assert w.made("/vluns", {"volumeName": "v", "lun": 9, "portPos": {"node": 0, "slot": 1, "cardPort": 1}}) == "v,9,,0:1:1"
    assert w.export("set:both", "set:cluster") == "set:both,2,set:cluster"
    templates = [row for row in w.members("/vluns") if not row["active"]]
    assert sorted(row["type"] for row in templates) == [2, 3, 4, 5]
    seen = {(access.host, access.lun, access.wwn) for access in w.plane.accesses}
    wwns = {item["name"]: item["wwn"].lower() for item in w.members("/volumes")}
    ids = {item["name"]: str(item["id"]) for item in w.members("/hosts")}
    expected = {(ids["h"], 1, wwns["v"])} | {(ids[host], 9, wwns["v"]) for host in ids}
    expected |= {(ids[host], lun, wwns[name]) for host in ids for lun, name in ((2, "w"), (3, "x"))}
    assert seen == expected
    active = [row for row in w.members('/vluns?query="volumeName EQ w"') if row["active"]]
    assert {row["hostname"] for row in active} == {"fc"}
    assert all({"remoteName", "portPos", "hostname"} <= row.keys() for row in active)
    assert w.code("DELETE", "/hosts/fc") == refusal(codes.HOST_IN_SET)
    assert w.code("DELETE", "/hostsets/cluster") == refusal(codes.EXPORTED)
    assert w.code("DELETE", "/volumesets/both") == refusal(codes.EXPORTED)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"volumeName": "none"}, codes.NO_VOLUME),
        ({"hostname": "none"}, codes.NO_HOST),
        ({"portPos": {"node": 9, "slot": 9, "cardPort": 9}}, codes.NO_PORT),
        ({"lun": 16384}, codes.TOO_LARGE),
        ({"hostname": None}, codes.NO_EXPORT_INFO),
        ({"hostname": "set:cluster", "portPos": {"node": 0, "slot": 2, "cardPort": 1}}, codes.MATCHED_HOSTSET),
        ({"volumeName": "w"}, codes.VLUN_EXISTS),
        ({}, codes.VLUN_EXISTS),
        ({"autoLun": True, "maxAutoLun": 1, "lun": 1}, codes.NO_LUN_LEFT),
    ],
)
def test_what_a_vlun_cannot_be(given, code):
    w = Wsapi()
    w.volume("v")
    w.volume("w")
    w.host()
    w.made("/hostsets", {"name": "cluster", "setmembers": ["h"]})
    w.export("v", "h", lun=1)
    body = {"volumeName": "v", "lun": 1, "hostname": "h"} | given
    assert w.code("POST", "/vluns", body) == refusal(code)


def test_a_lun_id_may_be_zero_and_a_volume_may_have_two():
    w = Wsapi(first_lun=0)
    w.volume()
    w.host()
    assert w.export() == "v,0,h"
    assert w.export() == "v,1,h"
    w.ok("DELETE", "/vluns/v,0,h")
    assert w.code("DELETE", "/vluns/v,0,h") == refusal(codes.NO_VLUN)
    assert [access.lun for access in w.plane.accesses] == [1]


def test_sets_keep_their_order_and_are_empty_without_members():
    w = Wsapi()
    for name in ("a", "b", "c"):
        w.volume(name)
    w.made("/volumesets", {"name": "s" * 27})
    assert "setmembers" not in w.ok("GET", f"/volumesets/{'s' * 27}")
    assert w.code("POST", "/volumesets", {"name": "s" * 28}) == refusal(codes.TOO_LONG)
    assert w.code("POST", "/volumesets", {"name": "g", "setmembers": ["*"]}) == refusal(codes.BAD_CHARACTER)
    w.made("/volumesets", {"name": "g", "setmembers": ["c"]})
    w.ok("PUT", "/volumesets/g", {"action": 1, "setmembers": ["a", "b"]})
    assert w.ok("GET", "/volumesets/g")["setmembers"] == ["c", "a", "b"]
    assert w.code("PUT", "/volumesets/g", {"action": 1, "setmembers": ["a"]}) == refusal(codes.IN_SET)
    w.ok("POST", "/volumesets/g", {"action": "createSnapshot", "parameters": {"name": "snap-@count@", "readOnly": True}})
    parents = {item["name"]: item.get("copyOf") for item in w.members("/volumes")}
    assert [parents[f"snap-{number}"] for number in range(3)] == ["c", "a", "b"]
    assert w.code("POST", "/volumesets/g", {"action": "createSnapshot", "parameters": {"name": "x-@count@", "readOnly": 1}}) == (
        refusal(codes.WRONG_TYPE)
    )
    assert w.code("GET", "/volumesets/none") == refusal(codes.NO_SET)


def test_rules_hang_on_sets():
    w = Wsapi()
    w.volume()
    w.made("/volumesets", {"name": "g", "setmembers": ["v"]})
    rule = {"name": "g", "type": 1, "ioMinGoal": 100, "ioMaxLimit": 200, "latencyGoal": 5, "enable": True}
    assert w.code("POST", "/qos", rule | {"name": "none"}) == refusal(codes.NO_SET)
    assert w.code("POST", "/qos", rule | {"ioMinGoal": 201}) == refusal(codes.BAD_INPUT)
    w.made("/qos", rule)
    assert w.code("POST", "/qos", rule) == refusal(codes.QOS_EXISTS)
    w.ok("PUT", "/qos/vvset:g", {"bwMaxLimitKB": 1000, "ioMinGoalOP": 1})
    shown = w.ok("GET", "/qos/vvset:g")
    assert (shown["bwMaxLimitKB"], shown["ioMaxLimit"], "ioMinGoal" in shown) == (1000, 200, False)
    w.ok("DELETE", "/volumesets/g")
    assert w.code("GET", "/qos/vvset:g") == refusal(codes.NO_QOS) or w.code("GET", "/qos/vvset:g") == refusal(codes.NO_SET)
    assert w.members("/qos") == []
