"""Hosts, initiators, mappings and QoS: protocol sheet, sections 3.6 to 3.9."""

from __future__ import annotations

import json
import time

import pytest

from tests.simulation.conftest import DORADO_V3, V3, V5, V6
from vendors.huawei.simulator import DEFAULT_FABRIC, codes

IQN = "iqn.2001-01.org.example:a"
ESCAPED = IQN.replace(":", "\\:")


def bind(host, **more):
    return {"TYPE": "222", "ID": IQN, "USECHAP": "false", "PARENTTYPE": "21", "PARENTID": host} | more


def test_a_host_keeps_what_it_was_given(wire):
    w = wire(V6)
    made = w.ok("POST", "/host", {"NAME": "h", "OPERATIONSYSTEM": "7", "DESCRIPTION": "d", "accessMode": "1"})
    assert (made["OPERATIONSYSTEM"], made["DESCRIPTION"], made["accessMode"]) == ("7", "d", "1")
    assert w.ok("PUT", f"/host/{made['ID']}", {"DESCRIPTION": "e"})["OPERATIONSYSTEM"] == "7"
    assert w.code("POST", "/host", {"NAME": "h"}) == codes.NAME_EXISTS
    assert w.code("POST", "/host", {"NAME": "i", "OPERATIONSYSTEM": "12"}) == codes.BAD_PARAMETER
    assert w.code("GET", "/host/9") == codes.NO_HOST


@pytest.mark.parametrize("binds", [True, False])
def test_an_iscsi_initiator(wire, binds):
    w = wire(V5, initiator_post_binds=binds)
    host, other = w.host(), w.host("other")
    w.ok("POST", "/iscsi_initiator", bind(host))
    assert w.code("POST", "/iscsi_initiator", bind(host)) == codes.ID_EXISTS
    assert w.ok("GET", f"/iscsi_initiator?filter=ID::{ESCAPED}")[0]["ISFREE"] == ("false" if binds else "true")
    w.ok("PUT", f"/iscsi_initiator/{IQN}", bind(host))
    item = w.ok("GET", f"/iscsi_initiator?PARENTTYPE=21&PARENTID={host}")[0]
    assert (item["PARENTNAME"], item["PARENTTYPE"]) == ("cmp01", 21)
    assert w.ok("GET", f"/iscsi_initiator?PARENTTYPE=21&PARENTID={other}") is None
    assert w.code("PUT", f"/iscsi_initiator/{IQN}", bind(other)) == codes.INITIATOR_BOUND
    assert w.ok("GET", f"/host/{host}")["INITIATORNUM"] == "1"
    assert w.code("DELETE", f"/host/{host}") == codes.OBJECT_IN_USE
    assert w.ok("PUT", "/iscsi_initiator", {"ID": IQN, "MULTIPATHTYPE": "1"})["MULTIPATHTYPE"] == "1"
    w.ok("PUT", "/iscsi_initiator/remove_iscsi_from_host", {"TYPE": "222", "ID": IQN})
    assert w.code("PUT", "/iscsi_initiator/remove_iscsi_from_host", {"ID": IQN}) == codes.INITIATOR_NOT_BOUND
    assert "PARENTID" not in w.ok("GET", f"/iscsi_initiator/{IQN}")
    w.ok("DELETE", f"/host/{host}")
    assert w.code("PUT", f"/iscsi_initiator/{IQN}", bind("9")) == codes.NO_HOST


def test_chap_reaches_the_data_plane_and_goes_again(wire):
    w = wire(V5)
    host, lun = w.host(), w.lun()
    w.ok("POST", "/iscsi_initiator", bind(host, USECHAP="true", CHAPNAME="u", CHAPPASSWORD="secret-secret"))
    w.mapped(host, lun)
    (access,) = w.plane.accesses
    assert (access.initiators, access.chap, access.lun) == ((IQN,), ("u", "secret-secret"), 1)
    assert "CHAPPASSWORD" not in w.ok("GET", f"/iscsi_initiator/{IQN}")
    w.ok("PUT", "/iscsi_initiator", {"ID": IQN, "USECHAP": "false", "MULTIPATHTYPE": "0"})
    assert w.plane.accesses[0].chap is None
    short = bind(host, USECHAP="true", CHAPNAME="u", CHAPPASSWORD="short")
    assert w.code("PUT", f"/iscsi_initiator/{IQN}", short) == codes.BAD_PARAMETER


def test_fc_initiators_appear_by_themselves(wire):
    w = wire(V5)
    first = DEFAULT_FABRIC[0]
    assert [item["ID"] for item in w.ok("GET", "/fc_initiator?ISFREE=true&range=[0-8191]")] == list(DEFAULT_FABRIC)
    assert w.ok("GET", "/fc_initiator/count") == {"COUNT": "4"}
    assert w.ok("GET", f"/fc_initiator/{first}")["RUNNINGSTATUS"] == "27"
    assert w.code("GET", "/fc_initiator/21000024ff0000ee") == codes.NO_OBJECT
    assert w.code("POST", "/fc_initiator/", {"ID": "21:00:00:24:ff:00:00:ee"}) == codes.BAD_PARAMETER
    links = w.ok("GET", f"/host_link?INITIATOR_TYPE=223&INITIATOR_PORT_WWN={first}")
    assert {link["TARGET_PORT_WWN"] for link in links} == {port["WWN"] for port in w.ok("GET", "/fc_port")}
    host = w.host()
    w.ok("PUT", f"/fc_initiator/{first}", {"TYPE": "223", "ID": first, "PARENTTYPE": 21, "PARENTID": host})
    assert len(w.ok("GET", f"/fc_initiator?range=[0-256]&PARENTID={host}")) == 1
    w.array.set_fabric([DEFAULT_FABRIC[1], "21000024ff0000ee"])
    assert w.ok("GET", f"/fc_initiator/{first}")["RUNNINGSTATUS"] == "28"
    assert w.ok("GET", f"/host_link?INITIATOR_TYPE=223&INITIATOR_PORT_WWN={first}") is None
    assert w.ok("GET", "/fc_initiator/21000024ff0000ee")["ISFREE"] == "true"
    w.ok("DELETE", "/fc_initiator/21000024ff0000ee")
    assert w.ok("GET", "/fc_initiator/21000024ff0000ee")["RUNNINGSTATUS"] == "27"


def test_targets(wire):
    w = wire(V6)
    ready = w.array.ready()
    assert [entry["portal"] for entry in ready["iscsi"]] == ["127.0.0.11:3260", "127.0.0.12:3260"]
    prefix = w.ok("GET", "/iscsidevicename")[0]["CMO_ISCSI_DEVICE_NAME"]
    for port, entry in zip(w.ok("GET", "/iscsi_tgt_port"), ready["iscsi"], strict=True):
        assert port["ID"].startswith(f"0+{entry['iqn']},t,0x")
        assert entry["iqn"].startswith(prefix)
    assert [port["IPV4ADDR"] for port in w.ok("GET", "/eth_port")] == ["127.0.0.11", "127.0.0.12"]
    assert [lif["IPV4ADDR"] for lif in w.ok("GET", "/lif")] == ["127.0.0.11", "127.0.0.12"]


@pytest.mark.parametrize("model", [V3, V6])
def test_a_lun_is_seen_once_both_groups_are_in_the_view(wire, model):
    w = wire(model)
    host, lun = w.host(), w.lun()
    hosts, group, view = w.group("hostgroup"), w.group("lungroup"), w.group("mappingview")
    w.add_host(hosts, host)
    w.add_lun(group, lun)
    w.join(view, "256", group)
    assert w.seen(host) == {}
    assert w.ok("GET", f"/lun/{lun}")["EXPOSEDTOINITIATOR"] == "false"
    w.join(view, "14", hosts)
    assert w.seen(host) == {lun: 1}
    assert w.ok("GET", f"/lun/{lun}")["EXPOSEDTOINITIATOR"] == "true"
    assert w.ok("GET", f"/host/{host}")["ISADD2HOSTGROUP"] == "true"
    part = {"ID": view, "ASSOCIATEOBJTYPE": "256", "ASSOCIATEOBJID": group}
    assert w.code("PUT", "/MAPPINGVIEW/CREATE_ASSOCIATE", part) == 1073804560
    w.ok("PUT", "/mappingview/REMOVE_ASSOCIATE", part)
    assert w.code("PUT", "/mappingview/REMOVE_ASSOCIATE", part) == 1073804554
    assert w.seen(host) == {}


def test_host_lun_ids_are_the_lowest_free(wire):
    w = wire(V5)
    host, luns = w.host(), [w.lun(f"v{number}") for number in range(4)]
    _, group, view = w.mapped(host, *luns[:3])
    assert w.seen(host) == {luns[0]: 1, luns[1]: 2, luns[2]: 3}
    w.ok("DELETE", f"/lungroup/associate?ID={group}&ASSOCIATEOBJTYPE=11&ASSOCIATEOBJID={luns[1]}")
    w.add_lun(group, luns[3])
    assert w.seen(host)[luns[3]] == 2
    free = json.loads(w.ok("GET", f"/MAPPINGVIEW/{view}")["AVAILABLEHOSTLUNIDLIST"])
    assert (free[:2], free[-1]) == ([0, 4], 511)
    move = {"TYPE": "245", "ID": view, "ASSOCIATEMETADATA": [{"LUNID": luns[0], "hostLUNId": "77"}]}
    w.ok("PUT", "/mappingview", move)
    assert w.seen(host)[luns[0]] == 77
    assert w.code("PUT", f"/mappingview/{view}", move | {"ASSOCIATEMETADATA": [{"LUNID": luns[3], "hostLUNId": 77}]}) != 0
    assert w.code("PUT", f"/mappingview/{view}", move | {"ASSOCIATEMETADATA": [{"LUNID": luns[3], "hostLUNId": 512}]}) != 0


def test_a_host_sees_at_most_511(wire):
    w = wire(V5)
    host, luns = w.host(), [w.lun(f"v{number}") for number in range(512)]
    _, group, _ = w.mapped(host, *luns[:511])
    refused = {"ID": group, "ASSOCIATEOBJTYPE": "11", "ASSOCIATEOBJID": luns[511]}
    assert w.code("POST", "/lungroup/associate", refused) == codes.NO_LUN_ID
    assert w.ok("GET", f"/lun/{luns[511]}")["ISADD2LUNGROUP"] == "false"
    assert set(w.seen(host).values()) == set(range(1, 512))


def test_a_lun_reaches_a_host_one_way_only(wire):
    w = wire(V6)
    host, lun = w.host(), w.lun()
    w.mapped(host, lun)
    hosts, group, view = w.group("hostgroup"), w.group("lungroup"), w.group("mappingview")
    w.add_host(hosts, host)
    w.add_lun(group, lun)
    w.join(view, "14", hosts)
    second = {"ID": view, "ASSOCIATEOBJTYPE": "256", "ASSOCIATEOBJID": group}
    assert w.code("PUT", "/MAPPINGVIEW/CREATE_ASSOCIATE", second) == 1077936864
    assert w.ok("GET", f"/mappingview/associate?TYPE=245&ASSOCIATEOBJTYPE=256&ASSOCIATEOBJID={group}") is None
    assert w.code("POST", "/mapping", {"hostId": host, "lunId": lun}) == codes.MAPPING_EXISTS
    assert w.seen(host) == {lun: 1}


def test_snapshots_are_mapped_when_active(wire):
    w = wire(V5)
    host, lun = w.host(), w.lun()
    inactive, active = w.snapshot(lun, "i", active=False), w.snapshot(lun, "a")
    _, group, _ = w.mapped(host, lun)
    add = {"ID": group, "ASSOCIATEOBJTYPE": "27", "ASSOCIATEOBJID": inactive}
    assert w.code("POST", "/lungroup/associate", add) == codes.SNAPSHOT_NOT_ACTIVE
    w.add_lun(group, active, "27")
    (seen,) = w.ok("GET", f"/snapshot/associate?TYPE=27&ASSOCIATEOBJTYPE=21&ASSOCIATEOBJID={host}")
    assert (seen["ID"], seen["EXPOSEDTOINITIATOR"], json.loads(seen["ASSOCIATEMETADATA"])) == (active, "true", {"HostLUNID": 2})
    assert w.ok("GET", f"/snapshot/count?TYPE=27&ASSOCIATEOBJTYPE=256&ASSOCIATEOBJID={group}") == {"COUNT": "1"}
    assert w.ok("GET", f"/lun/count?TYPE=11&ASSOCIATEOBJTYPE=256&ASSOCIATEOBJID={group}") == {"COUNT": "1"}
    assert w.code("PUT", "/snapshot/stop", {"ID": active}) == codes.SNAPSHOT_IN_USE


def test_what_is_used_is_not_deleted_and_the_order_of_clients_works(wire):
    w = wire(V5)
    host, lun = w.host(), w.lun()
    hosts, group, view = w.mapped(host, lun)
    for path in (f"/hostgroup/{hosts}", f"/LUNGroup/{group}", f"/mappingview/{view}", f"/host/{host}"):
        assert w.code("DELETE", path) == codes.OBJECT_IN_USE
    w.ok("DELETE", f"/lungroup/associate?ID={group}&ASSOCIATEOBJTYPE=11&ASSOCIATEOBJID={lun}")
    assert w.code("DELETE", f"/LUNGroup/{group}") == codes.OBJECT_IN_USE
    w.ok("PUT", "/mappingview/REMOVE_ASSOCIATE", {"ID": view, "ASSOCIATEOBJTYPE": "256", "ASSOCIATEOBJID": group})
    w.ok("DELETE", f"/LUNGroup/{group}")
    w.ok("PUT", "/mappingview/REMOVE_ASSOCIATE", {"ID": view, "ASSOCIATEOBJTYPE": "14", "ASSOCIATEOBJID": hosts})
    member = f"/host/associate?TYPE=14&ID={hosts}&ASSOCIATEOBJTYPE=21&ASSOCIATEOBJID={host}"
    w.ok("DELETE", member)
    assert w.code("DELETE", member) == codes.HOST_NOT_IN_GROUP
    for path, code in (
        (f"/hostgroup/{hosts}", codes.NO_HOST_GROUP),
        (f"/host/{host}", codes.NO_HOST),
        (f"/mappingview/{view}", codes.NO_VIEW),
    ):
        w.ok("DELETE", path)
        assert w.code("DELETE", path) == code
    assert w.code("DELETE", f"/LUNGroup/{group}") == codes.NO_LUN_GROUP


def test_members_must_exist_and_are_taken_once(wire):
    w = wire(V5)
    group, hosts = w.group("lungroup"), w.group("hostgroup")
    lun, host = w.lun(), w.host()
    w.add_lun(group, lun)
    w.add_host(hosts, host)
    add = lambda resource, group, kind, member: w.code(  # noqa: E731
        "POST", f"/{resource}/associate", {"ID": group, "ASSOCIATEOBJTYPE": kind, "ASSOCIATEOBJID": member}
    )
    assert add("lungroup", group, "11", lun) == codes.LUN_IN_GROUP
    assert add("lungroup", group, "11", "9") == codes.NO_LUN
    assert add("lungroup", "9", "11", lun) == codes.NO_LUN_GROUP
    assert add("lungroup", group, "21", host) == codes.BAD_PARAMETER
    assert add("hostgroup", hosts, "21", host) == codes.HOST_IN_GROUP
    assert add("hostgroup", hosts, "21", "9") == codes.NO_HOST
    gone = w.lun("w")
    assert w.code("DELETE", f"/lungroup/associate?ID={group}&ASSOCIATEOBJTYPE=11&ASSOCIATEOBJID={gone}") == codes.LUN_NOT_IN_GROUP


def test_port_groups_and_the_older_spelling_of_queries(wire):
    w = wire(V5)
    hosts, group, view = w.mapped(w.host(), w.lun())
    ports = w.ok("POST", "/PortGroup", {"NAME": "pg", "TYPE": 257})["ID"]
    fc = w.ok("GET", "/fc_port")[0]["ID"]
    add = {"ID": ports, "TYPE": 257, "ASSOCIATEOBJTYPE": 212, "ASSOCIATEOBJID": fc}
    w.ok("POST", "/port/associate/portgroup", add)
    assert w.code("POST", "/port/associate/portgroup", add) == codes.PORT_IN_GROUP
    assert w.code("POST", "/port/associate/portgroup", add | {"ASSOCIATEOBJID": "9"}) == codes.NO_OBJECT
    w.join(view, "257", ports)
    of_view = f"ASSOCIATEOBJTYPE=245&ASSOCIATEOBJID={view}"
    of_ports = f"ASSOCIATEOBJTYPE=257&ASSOCIATEOBJID={ports}"
    for path, found in (
        (f"/mappingview/associate/lungroup?TYPE=256&{of_view}", group),
        (f"/lungroup/associate/mappingview?TYPE=256&{of_view}", group),
        (f"/portgroup/associate/mappingview?TYPE=257&{of_view}", ports),
        (f"/portgroup/associate?{of_view}&range=[0-8191]", ports),
        (f"/mappingview/associate/portgroup?TYPE=245&{of_ports}", view),
        (f"/mappingview/associate?TYPE=245&ASSOCIATEOBJTYPE=14&ASSOCIATEOBJID={hosts}", view),
        (f"/portgroup/associate/fc_port?TYPE=257&ASSOCIATEOBJTYPE=212&ASSOCIATEOBJID={fc}", ports),
        (f"/fc_port/associate/portgroup?TYPE=212&{of_ports}", fc),
        (f"/fc_port/associate?TYPE=213&{of_ports}", fc),
    ):
        assert [item["ID"] for item in w.ok("GET", path)] == [found], path
    assert w.ok("GET", f"/eth_port/associate?TYPE=213&{of_ports}") is None
    remove = f"/port/associate/portgroup?ID={ports}&TYPE=257&ASSOCIATEOBJTYPE=212&ASSOCIATEOBJID={fc}"
    w.ok("DELETE", remove)
    assert w.code("DELETE", remove) == codes.PORT_NOT_IN_GROUP
    assert w.code("DELETE", f"/PortGroup/{ports}") == codes.OBJECT_IN_USE


def test_direct_mappings(wire):
    w = wire(V6)
    host, lun = w.host(), w.lun()
    pair = {"hostId": host, "lunId": lun}
    assert w.code("GET", f"/mapping?hostId={host}&lunId={lun}") == codes.NO_MAPPING
    w.ok("POST", "/mapping", pair | {"force": True})
    assert w.code("POST", "/api/v2/mapping", pair) == codes.MAPPING_EXISTS
    assert w.seen(host) == {lun: 1}
    assert w.ok("GET", f"/hostLunInfo?hostId={host}&lunId={lun}")[0]["hostLunId"] == "1"
    for kind, identifier in (("11", lun), ("21", host)):
        (found,) = w.ok("GET", f"/mapping/associate?ASSOCIATEOBJTYPE={kind}&ASSOCIATEOBJID={identifier}&range=[0-100]")
        assert (found["hostId"], found["lunId"]) == (host, lun)
    w.ok("DELETE", "/mapping", pair)
    assert w.code("DELETE", "/mapping", pair) == codes.NO_MAPPING
    assert w.code("POST", "/mapping", pair | {"lunId": "9"}) == codes.NO_LUN
    assert w.code("POST", "/mapping", pair | {"hostId": "9"}) == codes.NO_HOST


def policy(w, *luns, **more):
    return w.envelope("POST", "/ioclass", {"NAME": f"q{time.monotonic_ns()}", "LUNLIST": list(luns), "IOTYPE": "2"} | more)


def test_a_policy_s_life(wire):
    w = wire(V5)
    first, second = w.lun("a"), w.lun("b")
    made = policy(w, first, NAME="q", MAXIOPS="2000")["data"]["ID"]
    assert w.ok("GET", f"/lun/{first}")["IOCLASSID"] == made
    w.ok("PUT", f"/ioclass/active/{made}", {"TYPE": 230, "ID": made, "ENABLESTATUS": "true"})
    shown = w.ok("GET", f"/ioclass/{made}")
    assert (shown["RUNNINGSTATUS"], json.loads(shown["LUNLIST"]), shown["MAXIOPS"], shown["MINIOPS"]) == (
        "2",
        [first],
        "2000",
        "0",
    )
    assert w.code("DELETE", f"/ioclass/{made}") == codes.POLICY_ACTIVE
    assert policy(w, first, MAXIOPS=100)["error"]["code"] == codes.LUN_IN_POLICY
    w.ok("PUT", f"/ioclass/{made}", {"LUNLIST": [second]})
    assert w.ok("GET", f"/lun/{first}")["IOCLASSID"] == ""
    w.ok("PUT", "/ioclass/remove_associate", {"ID": made, "ASSOCIATEOBJTYPE": 11, "ASSOCIATEOBJIDLIST": [second]})
    assert json.loads(w.ok("GET", f"/ioclass/{made}")["LUNLIST"]) == [""]
    assert w.code("PUT", f"/ioclass/{made}", {"MAXIOPS": "1"}) == codes.BAD_PARAMETER
    w.ok("PUT", "/ioclass/active", {"ID": made, "ENABLESTATUS": False})
    assert w.ok("GET", f"/ioclass/{made}")["RUNNINGSTATUS"] == "45"
    w.ok("DELETE", f"/ioclass/{made}", {"TYPE": "230", "ID": made})
    assert w.code("GET", f"/ioclass/{made}") == codes.NO_OBJECT


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (V5, {}),
        (V5, {"MAXIOPS": "0"}),
        (V5, {"MAXIOPS": "-1"}),
        (V5, {"MAXIOPS": "10", "LATENCY": "5"}),
        (V5, {"MINIOPS": "10"}),
        (V5, {"MAXIOPS": "10", "IOTYPE": "3"}),
        (DORADO_V3, {"MAXIOPS": "10", "IOTYPE": "0"}),
        (V6, {"MAXIOPS": "99"}),
        (V6, {"MAXIOPS": "1000000000"}),
        (V6, {"MAXIOPS": "100", "IOTYPE": "1"}),
    ],
)
def test_limits_that_cannot_be(wire, model, more):
    w = wire(model)
    assert policy(w, w.lun(), **more)["error"]["code"] == codes.BAD_PARAMETER


def test_lower_limits_need_a_high_priority(wire):
    for model, latency, code in ((V5, 5, 0), (V6, 500, 0), (V6, 600, codes.BAD_PARAMETER)):
        w = wire(model)
        lun = w.lun(IOPRIORITY="3")
        assert policy(w, lun, LATENCY=latency)["error"]["code"] == code


def test_a_policy_holds_64_luns(wire):
    w = wire(V5)
    luns = [w.lun(f"v{number}") for number in range(65)]
    assert policy(w, *luns, MAXIOPS=9)["error"]["code"] == codes.BAD_PARAMETER
    made = policy(w, *luns[:64], MAXIOPS=9)["data"]["ID"]
    add = {"ID": made, "ASSOCIATEOBJTYPE": 11, "ASSOCIATEOBJIDLIST": [luns[64]]}
    assert w.code("PUT", "/ioclass/create_associate", add) == codes.BAD_PARAMETER


def test_a_schedule_that_has_passed(wire):
    w = wire(V5)
    lun = w.lun()
    once = {"MAXIOPS": 9, "SCHEDULEPOLICY": "0"}
    assert policy(w, lun, **once, SCHEDULESTARTTIME="1410969600")["error"]["code"] == codes.QOS_IN_THE_PAST
    assert policy(w, lun, **once, SCHEDULESTARTTIME=str(int(time.time()) + 3600))["error"]["code"] == 0


def test_policies_need_a_licence(wire):
    w = wire(V5)
    w.array.set_licence("SmartQoS", False)
    assert policy(w, w.lun(), MAXIOPS=9)["error"]["code"] == codes.NO_LICENCE
    assert w.code("GET", "/ioclass/count") == codes.NO_LICENCE
