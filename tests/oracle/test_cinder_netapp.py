"""The cinder package's NetApp driver, unmodified, works against the simulated ONTAP: the proof that it is one.

Runs in an environment of its own, named by BLOCKDRIVERS_CINDER_VENV; ``make test-oracle`` builds it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from blockdrivers.plugins import find_model
from conformance.simulation.opening import open_array
from tests.oracle.scripts import seen_by

SCRIPT = Path(__file__).with_name("cinder_netapp.py")
CASES = [("AFF A300", "iscsi"), ("FAS8200", "fc")]

TRIPS = {
    "do_setup": 8,
    "check_for_setup_error": 19,
    "first stats": 27,
    "stats": 6,
    "create": 1,
    "extend": 2,
    "snapshot": 2,
    "revert": 6,
    "volume from snapshot": 2,
    "larger volume from snapshot": 4,
    "clone": 2,
    "delete snapshot": 1,
    "delete": 2,
    "create with QoS": 3,
    "extend with QoS": 4,
    "delete with QoS": 3,
    "unmanage": 1,
    "group snapshot": 20,
    "group from snapshot": 4,
}
"""Requests of that driver, as the protocol sheet, section 5, counts them."""


@cache
def run(model: str, protocol: str) -> dict:
    with open_array(find_model(model), model) as array:
        seen = seen_by(SCRIPT, array.ready, protocol)
    return seen | {"ready": array.ready}


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_every_operation_works_and_nothing_is_left(model, protocol):
    seen = run(model, protocol)["seen"]
    assert set(seen["pools"]) == {"pool_a", "pool_b"}
    assert seen["second lun differs"]
    assert seen["mappings"] == []
    assert seen["qos"] == [[1000, 1]]
    assert seen["managed size"] == 1
    assert seen["managed name"].endswith("000000000022")
    assert seen["migrated"][0]
    assert seen["migrated"][1].startswith("/vol/pool_b/")
    assert len([name for name in seen["group luns"] if "/snapshot-" in name]) == 2
    assert all(left == [] for left in seen["left"].values()), seen["left"]


def test_iscsi_connections_carry_every_portal():
    found = run("AFF A300", "iscsi")
    connection = found["seen"]["connection"]
    assert connection["target_portals"] == [portal["portal"] for portal in found["ready"]["iscsi"]]
    assert set(connection["target_iqns"]) == {found["ready"]["iscsi"][0]["iqn"]}


def test_fc_connections_carry_every_port():
    found = run("FAS8200", "fc")
    connection = found["seen"]["connection"]
    assert sorted(connection["target_wwn"]) == sorted(found["ready"]["fc"])
    assert set(connection["initiator_target_map"]) == {"21000024ff000001", "21000024ff000002"}


def test_what_that_driver_maps_holds_bytes_for_the_right_host_only():
    seen = run("AFF A300", "iscsi")["seen"]
    assert seen["bytes"] == {"volume": True, "copy": True, "wrong": False, "stranger": False, "detached": False}


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_round_trips_are_those_of_the_real_thing(model, protocol):
    trips = run(model, protocol)["trips"]
    expected = TRIPS | {"first attach": 8, "attach, known host": 5, "detach": 4, "last detach": 4}
    if protocol == "fc":
        expected |= {"attach, known host": 3, "detach": 5, "last detach": 6}
    assert {title: trips[title] for title in expected} == expected


FILE_TRIPS = {
    "create": 0,
    "extend": 0,
    "snapshot": 5,
    "volume from snapshot": 5,
    "clone": 5,
    "revert": 13,
    "attach": 0,
    "delete snapshot": 4,
    "delete": 5,
}


def test_volumes_as_files_hold_their_bytes_and_nothing_is_left():
    found = run("FAS2750", "nfs")
    seen, trips = found["seen"], found["trips"]
    assert seen["pools"] == [share for share in found["ready"]["nfs"] if share.endswith(("/pool_a", "/pool_b"))]
    assert seen["sizes"] == [2, 2, 4, 2]
    assert seen["heads"] == {"twin": "before", "larger": "before", "clone": "after!", "reverted": "before"}
    assert seen["connection"]["export"] == seen["pools"][0]
    assert seen["left"] == {"files": []}
    assert {title: trips[title] for title in FILE_TRIPS} == FILE_TRIPS
