"""The cinder package's Huawei driver, unmodified, works against the simulated OceanStor: the proof that it is one.

Runs in an environment of its own, named by BLOCKDRIVERS_CINDER_VENV; ``make test-oracle`` builds it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from blockdrivers.plugins import find_model
from conformance.simulation.opening import open_array
from tests.oracle.scripts import seen_by

SCRIPT = Path(__file__).with_name("cinder_huawei.py")
V5, V6 = "OceanStor 5500 V5", "Dorado 18500 V6"
CASES = [(model, protocol) for model in (V5, V6) for protocol in ("iscsi", "fc")]

TRIPS = {
    "create": 2,
    "extend": 3,
    "snapshot": 4,
    "delete snapshot": 3,
    "delete": 5,
    "stats": 11,
    "detach": 8,
    "retype in place": 9,
}
"""Requests of that driver where the protocol sheet, section 5, gives one number for every case."""


@cache
def run(model: str, protocol: str, copy_seconds: float = 0.15) -> dict:
    with open_array(find_model(model), model, copy_seconds=copy_seconds) as array:
        seen = seen_by(SCRIPT, array.ready, protocol)
    return seen | {"portal": array.ready["iscsi"][0]["portal"]}


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_every_operation_works_and_nothing_is_left(model, protocol):
    seen = run(model, protocol)["seen"]
    assert set(seen["pools"]) == {"pool_a", "pool_b"}
    assert seen["second lun differs"]
    assert seen["group snapshots active"] == [True, True]
    assert seen["retyped"]
    assert (seen["managed size"], seen["managed snapshot size"]) == (1, 1)
    assert [(policy["active"], policy["limits"]) for policy in seen["qos"]] == [(True, {"MAXIOPS": "1000"})]
    assert all(left == [] for left in seen["left"].values()), seen["left"]


@pytest.mark.parametrize("model", [V5, V6])
def test_iscsi_connections_carry_portal_lun_and_chap(model):
    seen = run(model, "iscsi")["seen"]
    assert seen["connection"]["target_portals"] == [run(model, "iscsi")["portal"]]
    assert seen["connection"]["target_luns"] == [1]
    assert seen["chap user"] == "chapuser"


@pytest.mark.parametrize("model", [V5, V6])
def test_what_that_driver_maps_holds_bytes_for_the_right_host_only(model):
    seen = run(model, "iscsi")["seen"]
    assert seen["bytes"] == {"volume": True, "copy": True, "wrong": False, "stranger": False, "detached": False}
    assert seen["chap"] == {"with": True, "without": False}


@pytest.mark.parametrize("model", [V5, V6])
def test_fc_connections_carry_every_port(model):
    connection = run(model, "fc")["seen"]["connection"]
    assert len(connection["target_wwn"]) == 4
    assert set(connection["initiator_target_map"]) == {"21000024ff000001", "21000024ff000002"}


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_round_trips_are_those_of_the_real_thing(model, protocol):
    trips = run(model, protocol)["trips"]
    expected = TRIPS | {"first attach": 21, "attach, known host": 14, "last detach": 21}
    if protocol == "fc":
        expected |= {"first attach": 24, "attach, known host": 17, "last detach": 24}
    assert {title: trips[title] for title in expected} == expected


@pytest.mark.parametrize(("model", "when_bigger"), [(V5, 10), (V6, 12)])
def test_round_trips_of_copies_that_outlast_the_first_poll(model, when_bigger):
    """The sheet counts two polls of each copy; the driver polls once a second."""
    trips = run(model, "iscsi", copy_seconds=1.5)["trips"]
    assert trips["volume from snapshot"] == 10
    assert trips["larger volume from snapshot"] == when_bigger
    assert trips["clone"] == 18
    assert trips["group snapshot"] + trips["group from snapshot"] + trips["delete group snapshot"] == 33
