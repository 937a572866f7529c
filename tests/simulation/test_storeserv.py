"""A simulated StoreServ's interface itself: session keys, builds, licences, capacity."""

from __future__ import annotations

import json

import pytest

from tests.simulation.conftest import request
from tests.simulation.storeserv import HEADER, NEW, OLD, THIN_ONLY, Wsapi, refusal, taking
from vendors.hpe.simulator import codes


def test_a_key_is_demanded_and_dies_when_it_is_not_used():
    w = Wsapi()
    w.clock.advance(14 * 60)
    w.ok("GET", "/system")
    w.clock.advance(14 * 60)
    w.ok("GET", "/system")
    w.clock.advance(16 * 60)
    assert w.code("GET", "/system") == refusal(codes.NO_SESSION)
    w.headers = {}
    assert w.code("GET", "/volumes") == refusal(codes.NO_SESSION)


def test_keys_are_counted_given_back_and_limited():
    w = Wsapi(max_sessions=2)
    assert w.log_in() == 201
    assert w.ok("GET", "/wsapiconfiguration")["sessionsInUse"] == 2
    assert w.log_in() == 503
    w.ok("DELETE", f"/credentials/{w.headers[HEADER.lower()]}")
    assert w.log_in() == 201


def test_a_key_holds_at_its_own_address_only():
    w = Wsapi()
    sent = request("GET", "/api/v1/system", headers=w.headers, controller="B")
    assert json.loads(w.array.handle(sent).body)["code"] == 6


@pytest.mark.parametrize(("model", "build_number"), [(OLD, 30202290), (NEW, 30301215), (THIN_ONLY, 40600052)])
def test_the_interface_tells_its_build_without_a_key(model, build_number):
    answer = Wsapi(model).array.handle(request("GET", "/api"))
    assert json.loads(answer.body)["build"] == build_number


def test_what_is_not_there_is_said_to_be_so():
    w = Wsapi()
    assert w.code("GET", "/nothing") == refusal(codes.NO_RESOURCE)
    assert w.code("DELETE", "/volumes") == refusal(codes.UNSUPPORTED)
    malformed = request("GET", "/api/v1systemreporter/vstime/cpgstatistics/daily")
    assert w.array.handle(malformed).status == 404


def test_licences_are_demanded():
    w = Wsapi()
    w.volume()
    for feature, method, path, body in (
        ("Virtual Copy", "POST", "/volumes/v", taking("s")),
        ("Dynamic Optimization", "PUT", "/volumes/v", {"action": 6, "tuneOperation": 1, "userCPG": "pool_b"}),
        ("Priority Optimization", "POST", "/qos", {"name": "g", "type": 1, "ioMaxLimit": 200}),
        ("Remote Copy", "POST", "/remotecopygroups", {"name": "r", "targets": []}),
    ):
        w.array.set_licence(feature, False)
        status, said, _ = w.send(method, path, body)
        assert (status, feature in said["desc"]) == (400, True)
        assert feature not in [item["name"] for item in w.ok("GET", "/system")["licenseInfo"]["licenses"]]


def test_capacity_is_accounted():
    w = Wsapi(pools=2, pool_bytes=10 * 1024**3)
    w.volume("thick", 6144, tpvv=False)
    w.volume("thin", 100 * 1024)
    cpg, other = w.members("/cpgs")
    assert cpg["SDGrowth"]["limitMiB"] == 10240
    assert cpg["UsrUsage"]["totalMiB"] == 6144 + 64
    assert (cpg["numFPVVs"], cpg["numTPVVs"]) == (1, 1)
    assert other["UsrUsage"]["totalMiB"] == 0
    body = {"name": "more", "cpg": "pool_a", "sizeMiB": 6144, "tpvv": False}
    assert w.code("POST", "/volumes", body) == refusal(codes.NO_SPACE)


def test_a_cpg_without_a_limit_is_asked_for_its_space():
    w = Wsapi(limited=False, pool_bytes=10 * 1024**3)
    assert "limitMiB" not in w.ok("GET", "/cpgs/pool_a")["SDGrowth"]
    assert w.ok("POST", "/spacereporter", {"cpg": "pool_a"})["usableFreeMiB"] == 10240
    assert w.made("/cpgs", {"name": "mine", "growthLimitMiB": 2048}) == "mine"
    assert w.ok("GET", "/cpgs/mine")["SDGrowth"]["limitMiB"] == 2048
    w.ok("DELETE", "/cpgs/mine")
