"""The simulated MS series in its own words: bare JSON values, sub-operations, and no request that it cannot answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.simulation.controller import Cut
from conformance.simulation.family import Request, Response
from tests.simulation.conftest import Clock
from vendors.macrosan.simulator import build
from vendors.macrosan.simulator.array import MODELS, MacroSan

IQN = "iqn.1994-05.org.example:cmp01"
WWPN = "21:00:00:24:ff:00:00:01"
PORTS = ("iSCSI-Target-1:0:0", "iSCSI-Target-2:0:0")
PAIR = {"initr_wwn": IQN, "tgt_port_name": PORTS[0]}


class Wire:
    """Another client's end."""

    def __init__(self, model: str = "MS7020G2", **options: Any) -> None:
        self.clock = Clock()
        self.array = build(model, clock=self.clock, **options)

    def ask(self, method: str, resource: str, given: object, *repeated: tuple[str, str], **more: Any) -> Response:
        asks = method == "GET"
        pairs = tuple((key, str(value)) for key, value in given.items()) + repeated if asks and isinstance(given, dict) else ()
        return self.array.handle(
            Request(
                method,
                f"/api/v1/{resource}",
                dict(pairs),
                {"authorization": f"Bearer {self.array.username}{self.array.password}"},
                b"" if asks else json.dumps(given).encode(),
                parameters=pairs,
                **more,
            )
        )

    def __call__(self, method: str, resource: str, *repeated: tuple[str, str], **given: Any) -> Any:
        answer = self.ask(method, resource, given, *repeated)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def refuses(self, method: str, resource: str, **given: Any) -> int:
        before = self.array.state()
        answer = self.ask(method, resource, given)
        assert set(json.loads(answer.body)) == {"code", "message"}
        assert self.array.state() == before
        return answer.status

    def lun(
        self, name: str, size: int = 2, *, thin: bool = True, raids: tuple[str, ...] = ("RAID-1",), pool: str = "pool_a"
    ) -> None:
        self(
            "POST",
            "lun",
            name=name,
            owner="SP1",
            pool=pool,
            raids=[] if thin else list(raids),
            lun_mode=thin,
            size=size,
            lun_params={},
        )

    def resource(self, lun: str, size: int = 2) -> None:
        self("POST", "snapshot_resource", lun_name=lun, raids=["RAID-1"], size=size)

    def point(self, lun: str, name: str) -> int:
        self("POST", "snapshot_point", lun_name=lun, snapshot_name=name)
        return int(self("GET", "snapshot_point", attr="point_id", lun_name=lun, snapshot_name=name))

    def enabled(self, lun: str) -> None:
        self.lun(lun)
        self.resource(lun)
        self("PUT", "snapshot", attr="enable", lun_name=lun)

    def pair(self) -> None:
        self("POST", "client", name="node7")
        self("POST", "initiator", initr_wwn=IQN, alias="node7", type="iscsi")
        self("PUT", "client", attr="mapinitiator", initr_wwn=IQN, client_name="node7")
        for port in PORTS:
            self("POST", "itl", attr="maptarget", initr_wwn=IQN, tgt_port_name=port)


@pytest.fixture
def wire() -> Wire:
    return Wire()


# Who may ask


@pytest.mark.parametrize("model", MODELS)
def test_every_model_serves_both_processors_with_one_uuid(model):
    wire = Wire(model)
    assert wire("GET", "ha_status") == {"sp1": "double", "sp2": "double"}
    uuid = wire("GET", "device")
    assert uuid.startswith("0x00b342")
    assert [len(part) for part in uuid.split("-")] == [10, 8, 8, 8]
    assert json.loads(wire.ask("GET", "device", {}, controller="B").body) == uuid


@pytest.mark.parametrize("given", ["", "Bearer admin", "Basic YWRtaW46eA==", "Bearer éé", "Bearer admin\udc80"])
def test_credentials_travel_with_every_request(wire, given):
    for resource in ("ha_status", "device"):
        answer = wire.array.handle(Request("GET", f"/api/v1/{resource}", headers={"authorization": given}))
        assert answer.status == 401
        assert json.loads(answer.body)["code"] == 401


def test_a_processor_that_does_not_serve_tells_its_state_and_nothing_else():
    wire = Wire(states=("idle", "single"))
    assert wire("GET", "ha_status") == {"sp1": "idle", "sp2": "single"}
    with pytest.raises(Cut):
        wire.ask("GET", "device", {})
    assert wire.ask("GET", "device", {}, controller="B").status == 200


# LUNs and room


def test_names_uuids_and_owners(wire):
    wire.lun("a")
    uuid = wire("GET", "lun", attr="lun_uuid", lun_name="a")
    wire("PUT", "lun", attr="name", old_name="a", new_name="b")
    assert wire("GET", "lun", attr="lun_name", lun_uuid=uuid) == "b"
    assert wire("GET", "lun", attr="lun_sp", name="b") == "SP1"
    assert wire("GET", "lun", attr="existence", name="a") is False
    assert wire("GET", "lun", attr="base_info", name="b") == {"pool": "pool_a", "size": 2, "lun_mode": "thin"}
    wire.lun("a")
    assert wire.refuses("PUT", "lun", attr="name", old_name="a", new_name="b") == 409
    assert wire.refuses("GET", "lun", attr="lun_name", lun_uuid="0x0") == 404


def test_an_extension_is_an_increment(wire):
    wire.lun("a", 2)
    wire("PUT", "lun", attr="capicity", name="a", raids=["RAID-1"], size=3)
    assert wire("GET", "lun", attr="base_info", name="a")["size"] == 5
    assert wire.refuses("PUT", "lun", attr="capacity", name="a", raids=[], size=1) == 404


def test_thick_luns_take_of_the_raid_sets_that_are_named():
    wire = Wire(pools=1, pool_bytes=16 * 1024**3)
    assert wire("GET", "raid_list", pool="pool_a") == [{"name": "RAID-1", "free_cap": 12}, {"name": "RAID-2", "free_cap": 4}]
    thick = {"owner": "SP2", "pool": "pool_a", "lun_mode": False, "lun_params": {}}
    assert wire.refuses("POST", "lun", name="a", raids=["RAID-1"], size=13, **thick) == 507
    assert wire.refuses("POST", "lun", name="a", raids=["RAID-9"], size=1, **thick) == 404
    wire("POST", "lun", name="a", raids=["RAID-1", "RAID-2"], size=13, **thick)
    assert wire("GET", "raid_list", pool="pool_a")[1]["free_cap"] == 3
    assert wire("GET", "pool", pool="pool_a") == [16, 3, 0]
    wire("DELETE", "lun", name="a")
    assert wire("GET", "pool", pool="pool_a") == [16, 16, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": "x"},
        {"size": True},
        {"owner": "SP3"},
        {"lun_mode": "thin"},
        {"name": "a b"},
        {"name": ""},
        {"name": "a" * 64},
        {"raids": "RAID-1"},
        {"pool": "nowhere"},
    ],
)
def test_a_lun_that_makes_no_sense_is_not_made(wire, wrong):
    right = {"name": "a", "owner": "SP1", "pool": "pool_a", "raids": ["RAID-1"], "lun_mode": False, "size": 1, "lun_params": {}}
    assert wire.refuses("POST", "lun", **(right | wrong)) in {400, 404}


def test_a_strategy_has_to_be_there(wire):
    wire.lun("a")
    wire("PUT", "lun", attr="qos", name="a", strategy="QoS-gold")
    assert wire.array.state()["volumes"][0]["qos"] == "QoS-gold"
    assert wire.refuses("PUT", "lun", attr="qos", name="a", strategy="QoS-lead") == 404


# Snapshots, views, copies


def test_a_point_needs_a_resource_and_enabled_snapshots(wire):
    wire.lun("a")
    assert wire("GET", "snapshot_resource", lun_name="a") is None
    assert wire.refuses("PUT", "snapshot", attr="enable", lun_name="a") == 409
    assert wire.refuses("POST", "snapshot_point", lun_name="a", snapshot_name="p") == 409
    wire.resource("a")
    assert wire.refuses("POST", "snapshot_resource", lun_name="a", raids=["RAID-1"], size=1) == 409
    assert wire.refuses("POST", "snapshot_point", lun_name="a", snapshot_name="p") == 409
    wire("PUT", "snapshot", attr="enable", lun_name="a")
    assert wire("GET", "snapshot", attr="enable", lun_name="a") is True
    assert [wire.point("a", name) for name in "pq"] == [1, 2]
    assert wire.refuses("POST", "snapshot_point", lun_name="a", snapshot_name="x" * 32) == 400
    assert wire("GET", "snapshot_point", attr="number", lun_name="a") == 2
    assert wire.refuses("DELETE", "lun", name="a") == 409


def test_point_ids_are_their_luns_own_and_not_used_again(wire):
    for lun in "ab":
        wire.enabled(lun)
    assert (wire.point("a", "p"), wire.point("b", "p")) == (1, 1)
    wire("DELETE", "snapshot_point", lun_name="a", pointid="1")
    assert wire("GET", "snapshot_point", attr="existence", lun_name="a", pointid=1) is False
    assert wire("GET", "snapshot_point", attr="existence", lun_name="b", pointid=1) is True
    assert wire.point("a", "p") == 2
    wire("PUT", "snapshot_point", attr="name", lun_name="a", pointid=2, name="q")
    assert wire("GET", "snapshot_point", attr="point_id", lun_name="a", snapshot_name="q") == 2


def test_a_resource_takes_its_points_with_it(wire):
    wire.enabled("a")
    wire.point("a", "p")
    assert wire.refuses("DELETE", "snapshot_resource", lun_name="a") == 409
    wire("PUT", "snapshot", attr="disable", lun_name="a")
    wire("DELETE", "snapshot_resource", lun_name="a")
    assert wire.array.state()["snapshots"] == []
    wire("DELETE", "lun", name="a")


def test_a_resource_can_be_renamed_like_a_lun(wire):
    wire.enabled("a")
    wire("PUT", "lun", attr="name", old_name=wire("GET", "snapshot_resource", lun_name="a"), new_name="SR-a")
    assert wire("GET", "snapshot_resource", lun_name="a") == "SR-a"
    assert wire("GET", "lun", attr="existence", name="SR-a") is False


def test_a_view_holds_its_point_and_is_copied_from(wire):
    wire.enabled("a")
    number = wire.point("a", "p")
    wire("POST", "snapshot_view", view_name="v", lun_name="a", pointid=str(number))
    assert wire.refuses("POST", "snapshot_view", view_name="v", lun_name="a", pointid=number) == 409
    assert wire.refuses("DELETE", "snapshot_point", lun_name="a", pointid=number) == 409
    wire.lun("small", 1)
    wire.lun("large", 5)
    assert wire.refuses("POST", "copy_volume", attr="from_view", lun_name="small", view_name="v") == 400
    wire("POST", "copy_volume", attr="from_view", lun_name="large", view_name="v")
    done = {"attr": "snapshot_copy_task_completed", "lun_name": "large"}
    assert wire("GET", "copy_volume", **done) is False
    assert wire.refuses("DELETE", "snapshot_view", view_name="v") == 409
    assert wire.refuses("DELETE", "lun", name="large") == 409
    wire.clock.advance(1)
    assert wire("GET", "copy_volume", **done) is True
    wire("DELETE", "snapshot_view", view_name="v")
    wire("DELETE", "snapshot_point", lun_name="a", pointid=number)


def test_a_clone_pair_needs_a_resource_on_both_sides_and_equal_sizes(wire):
    wire.lun("a")
    wire.lun("b")
    wire.lun("c", 3)
    assert wire.refuses("POST", "local_clone", master="a", slave="b") == 409
    for lun in "abc":
        wire.resource(lun)
    assert wire.refuses("POST", "local_clone", master="a", slave="c") == 400
    assert wire.refuses("POST", "local_clone", master="a", slave="a") == 400
    wire("POST", "local_clone", master="a", slave="b")
    assert wire("GET", "local_clone", attr="existence", lun="b") is True
    assert wire("GET", "local_clone", attr="completed", lun="b") is False
    wire.clock.advance(1)
    assert wire("GET", "local_clone", attr="completed", lun="b") is True
    assert wire.refuses("DELETE", "snapshot_resource", lun_name="a") == 409
    assert wire.refuses("DELETE", "lun", name="b") == 409
    wire("DELETE", "local_clone", lun="b")
    assert wire("GET", "local_clone", attr="existence", lun="b") is False
    assert wire.refuses("GET", "local_clone", attr="completed", lun="b") == 404


# Hosts and pairs


def test_luns_are_mapped_in_pairs(wire):
    wire.pair()
    wire.lun("a")
    wire.lun("b")
    wire("POST", "itl", attr="maptarget", **PAIR)
    assert wire("GET", "itl", attr="it", **PAIR) is True
    unused = wire("GET", "initiator", attr="it_unused_id_list", it_type="iscsi", **PAIR)
    assert (unused[0], unused[-1]) == (1, 510)
    assert wire("POST", "itl", attr="maplun", lun_name="a", lun_id=4, **PAIR) is False
    assert wire("POST", "itl", attr="maplun", lun_name="a", lun_id=5, **PAIR) is True
    assert wire("GET", "lun", attr="lun_id", lun_name="a", **PAIR) == 4
    assert wire.refuses("POST", "itl", attr="maplun", lun_name="b", lun_id=4, **PAIR) == 409
    assert wire.refuses("POST", "itl", attr="maplun", lun_name="b", lun_id=511, **PAIR) == 409
    assert wire("POST", "itl", attr="maplun", lun_name="b", lun_id=-1, **PAIR) is False
    assert wire("GET", "itl", attr="getitl", name="a") == [{"initiator": IQN, "port": PORTS[0], "connected": False}]
    assert wire.refuses("DELETE", "lun", name="a") == 409
    assert wire.refuses("DELETE", "itl", attr="unmaptarget", **PAIR) == 409
    for lun in "ab":
        wire("DELETE", "itl", attr="unmaplun", lun_name=lun, **PAIR)
    assert wire.refuses("DELETE", "itl", attr="unmaplun", lun_name="a", **PAIR) == 404
    for port in PORTS:
        wire("DELETE", "itl", attr="unmaptarget", initr_wwn=IQN, tgt_port_name=port)
    assert wire.refuses("DELETE", "initiator", initr_wwn=IQN) == 409
    wire("PUT", "client", attr="unmapinitiator", initr_wwn=IQN, client_name="node7")
    wire("DELETE", "initiator", initr_wwn=IQN)


def test_a_view_is_mapped_like_a_lun(wire):
    wire.pair()
    wire.enabled("a")
    wire("POST", "snapshot_view", view_name="v", lun_name="a", pointid=wire.point("a", "p"))
    assert wire("POST", "itl", attr="maplun", lun_name="v", lun_id=-1, **PAIR) is False
    assert wire.refuses("DELETE", "snapshot_view", view_name="v") == 409
    wire("DELETE", "itl", attr="unmaplun", lun_name="v", **PAIR)
    wire("DELETE", "snapshot_view", view_name="v")


def test_an_initiator_is_in_one_client(wire):
    wire.pair()
    wire("POST", "client", name="other")
    assert wire("GET", "client", name="nobody") is None
    assert wire("GET", "client", name="other")
    assert wire("GET", "initiator", attr="list", initr_wwn=IQN, client_name="node7") is True
    assert wire.refuses("PUT", "client", attr="mapinitiator", initr_wwn=IQN, client_name="other") == 409
    assert wire.refuses("POST", "client", name="other") == 409
    assert wire.refuses("POST", "client", name="c" * 32) == 400
    assert wire.refuses("POST", "initiator", initr_wwn=IQN, alias="x", type="iscsi") == 409
    assert wire.refuses("POST", "initiator", initr_wwn=WWPN, alias="x", type="iscsi") == 400


def test_fc_initiators_and_the_ports_of_their_pairs(wire):
    wire("POST", "initiator", initr_wwn=WWPN, alias=WWPN, type="fc")
    port = wire("GET", "initiator", attr="fc_ports")[0]
    assert (port["initr"], port["online"], port["sp"]) == (WWPN, 1, 1)
    wire("POST", "itl", attr="maptarget", initr_wwn=WWPN, tgt_port_name=port["port_name"])
    assert wire.refuses("POST", "itl", attr="maptarget", initr_wwn=WWPN, tgt_port_name=PORTS[0]) == 400
    two = (("initr_wwns", WWPN), ("initr_wwns", "21:00:00:24:ff:00:00:09"))
    found = wire("GET", "initiator", *two, attr="fc_initr_mapped_ports")
    assert found == {WWPN: [{"port_name": port["port_name"], "wwn": port["wwn"]}]}
    assert wire("GET", "itl", *two, attr="itl", type="fc") is False
    wire.lun("a")
    wire("POST", "itl", attr="maplun", lun_name="a", initr_wwn=WWPN, tgt_port_name=port["port_name"], lun_id=1)
    assert wire("GET", "itl", *two, attr="itl", type="fc") is True


def test_targets_are_made_on_ports_and_take_their_pairs_with_them():
    wire = Wire(targets_made=False)
    assert [port["port_name"] for port in wire("GET", "initiator", attr="iscsi_ports")] == ["", ""]
    wire("POST", "target", port_name="eth-1:0:0", type="iscsi")
    assert wire.refuses("POST", "target", port_name="eth-1:0:0", type="iscsi") == 409
    assert wire.refuses("POST", "target", port_name="eth-1:0:0", type="fc") == 404
    wire("POST", "initiator", initr_wwn=IQN, alias="x", type="iscsi")
    wire("POST", "itl", attr="maptarget", **PAIR)
    wire("DELETE", "target", tgt_name=PORTS[0])
    assert wire("GET", "itl", attr="it", **PAIR) is False
    assert wire("GET", "itl", attr="port_ipaddr", port="eth-1:0:0/eth-2:0:0") == "127.0.0.11/127.0.0.12"


# What concerns a second array


def test_relations_stand_in_the_way_of_a_deletion(wire):
    wire.lun("a")
    assert wire.refuses("POST", "dalun", lun_name="a") == 409
    wire.resource("a")
    wire("POST", "dalun", lun_name="a")
    wire("PUT", "dalun", attr="suspend", lun_name="a")
    assert wire.refuses("DELETE", "lun", name="a") == 409
    assert wire.refuses("DELETE", "snapshot_resource", lun_name="a") == 409
    wire("DELETE", "dalun", lun_name="a")
    assert wire.refuses("PUT", "dalun", attr="resume", lun_name="a") == 404
    wire("PUT", "replication", attr="enable", lun_name="a", sp1="192.0.2.1", sp2="192.0.2.2")
    assert wire("GET", "replication", attr="enabled", lun_name="a") is True
    wire("PUT", "replication", attr="disable", lun_name="a")
    assert wire("GET", "replication", attr="enabled", lun_name="a") is False


def test_the_rename_file_keeps_names(wire):
    assert wire("GET", "rename_file", name="y") is None
    wire("POST", "rename_file", cur_name="x", original_name="y")
    assert wire("GET", "rename_file", name="y") == "x"


# Anything


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 600),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=4),
    st.sampled_from(["a", "b", "v", "p", "SP1", "pool_a", "RAID-1", "iscsi", "fc", IQN, WWPN, *PORTS, "eth-1:0:0", "node7", "1"]),
    st.lists(st.sampled_from(["RAID-1", "x"]), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
FIELDS = [
    "name",
    "lun_name",
    "lun_uuid",
    "owner",
    "pool",
    "raids",
    "lun_mode",
    "size",
    "old_name",
    "new_name",
    "strategy",
    "snapshot_name",
    "pointid",
    "view_name",
    "master",
    "slave",
    "lun",
    "port_name",
    "port",
    "tgt_name",
    "type",
    "initr_wwn",
    "initr_wwns",
    "alias",
    "client_name",
    "tgt_port_name",
    "lun_id",
    "it_type",
    "cur_name",
    "original_name",
    "sp1",
]


def _furnished() -> Wire:
    wire = Wire()
    wire.pair()
    wire.enabled("a")
    wire.lun("b")
    wire("POST", "snapshot_view", view_name="v", lun_name="a", pointid=wire.point("a", "p"))
    return wire


def _routes(array: MacroSan) -> list[tuple[str, str, str]]:
    return sorted(array._routes)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    route=st.sampled_from(_routes(build("MS3000G2"))),
    given_=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8),
)
def test_whatever_is_sent_is_answered_in_json(route, given_):
    wire = _furnished()
    method, resource, attribute = route
    answer = wire.ask(method, resource, given_ | ({"attr": attribute} if attribute else {}))
    assert answer.status in {200, 400, 404, 409, 507}
    json.loads(answer.body)
    wire.array.state()


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(wire, body):
    headers = {"authorization": f"Bearer {wire.array.username}{wire.array.password}"}
    for resource in ("lun", "itl", "snapshot_view"):
        assert wire.array.handle(Request("DELETE", f"/api/v1/{resource}", headers=headers, body=body)).status in {400, 404}
    assert wire.array.handle(Request("GET", "/somewhere/else", headers=headers)).status == 404
