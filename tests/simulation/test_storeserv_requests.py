"""Queries and bodies that a simulated StoreServ is sent, whatever they hold."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from tests.simulation.conftest import request
from tests.simulation.storeserv import NEW, OLD, THIN_ONLY, Wsapi, refusal
from vendors.hpe.simulator import codes


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('"copyOf EQ a"', ["sa"]),
        ('"copyOf EQ a OR copyOf EQ b"', ["sa", "sb"]),
        ('"copyType EQ 3 AND copyOf == b"', ["sb"]),
        ('"sizeMiB GE 1024 AND copyType LE 1"', ["b"]),
        ('"copyOf EQ nobody"', []),
    ],
)
def test_queries(query, found):
    w = Wsapi()
    w.volume("a", 512)
    w.volume("b", 1024)
    for name in ("a", "b"):
        w.snapshot(name, f"s{name}", readOnly=True)
    assert sorted(w.names(f"/volumes?query={query}")) == found


@pytest.mark.parametrize("query", ["copyOf EQ a", '"copyOf"', '"copyOf LIKE a"', '"sizeMiB GE x"', '"a EQ b OR "'])
def test_a_query_that_says_nothing_is_refused(query):
    assert Wsapi().code("GET", f"/volumes?query={query}") == refusal(codes.BAD_QUERY)


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"1", b"[" * 100000])
def test_a_body_that_is_no_object_is_refused(body):
    w = Wsapi()
    sent = replace(request("POST", "/api/v1/volumes", headers=w.headers), body=body)
    assert json.loads(w.array.handle(sent).body)["code"] == codes.BAD_JSON.number
    assert w.array.operation(sent) == "POST /volumes"


FIELDS = (
    *("name", "newName", "cpg", "sizeMiB", "comment", "snapCPG", "tpvv", "tdvv", "compression", "reduce", "expirationHours"),
    *("action", "parameters", "destVolume", "destCPG", "online", "priority", "readOnly", "tuneOperation", "userCPG"),
    *("conversionOperation", "key", "value", "persona", "FCWWNs", "iSCSINames", "descriptors", "pathOperation"),
    *("chapOperation", "chapOperationMode", "chapName", "chapSecret", "setmembers", "flashCachePolicy", "volumeName"),
    *("hostname", "lun", "autoLun", "maxAutoLun", "portPos", "type", "ioMaxLimit", "latencyGoal", "enable", "targets"),
    *("domain", "growthLimitMiB", "forcePathRemoval"),
)


VALUES = (None, "", "v", "x", 0, 1, -1, 3, 1.5, True, [], ["v"], [1], [{}], {}, {"name": "n"}, {"a": 1}, "\u0000", 10**30)


@pytest.mark.parametrize("model", [OLD, NEW, THIN_ONLY])
def test_whatever_is_sent_is_answered(model):
    w = Wsapi(model)
    for method, resource in sorted(w.array._routes):
        for value, name in itertools.product(VALUES, ("v", "vvset:g", "0:1:1")):
            w.send("POST", "/volumes", {"name": "v", "cpg": "pool_a", "sizeMiB": 256, "tpvv": True})
            w.send(method, "/" + resource.replace("{}", name), dict.fromkeys(FIELDS, value))


def test_every_single_argument_may_be_anything():
    w = Wsapi()
    w.volume("v")
    w.host("v")
    w.made("/volumesets", {"name": "v", "setmembers": ["v"]})
    valid = {"name": "n", "cpg": "pool_a", "sizeMiB": 256, "volumeName": "v", "hostname": "v", "type": 1}
    for method, resource in sorted(w.array._routes):
        for field, value in itertools.product(FIELDS, VALUES):
            w.send(method, "/" + resource.replace("{}", "v"), valid | {field: value})
