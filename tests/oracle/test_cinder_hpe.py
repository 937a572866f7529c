"""The cinder package's 3PAR drivers with python-3parclient, both unmodified, work against the simulated arrays: the proof that they are some.

Runs in an environment of its own, named by BLOCKDRIVERS_CINDER_VENV; ``make test-oracle`` builds it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from blockdrivers.plugins import find_model
from conformance.simulation.opening import open_array
from tests.oracle.scripts import seen_by

SCRIPT = Path(__file__).with_name("cinder_hpe.py")
OLD, NEW, THIN_ONLY = "3PAR StoreServ 7200", "3PAR StoreServ 8440", "ConvergedFabric 22035"
CASES = [(model, protocol) for model in (OLD, NEW, THIN_ONLY) for protocol in ("iscsi", "fc")]

TRIPS = {
    "stats": 5,
    "create": 1,
    "create with QoS": 5,
    "extend": 1,
    "snapshot": 1,
    "delete snapshot": 1,
    "volume from snapshot": 1,
    "clone": 3,
    "delete": 1,
    "delete absent": 1,
    "delete with a temporary snapshot": 4,
    "delete with QoS": 4,
    "manage": 2,
    "unmanage": 1,
    "group snapshot": 1,
}
"""Requests of that driver, session calls left out, where the protocol sheet, section 5, gives one number for every case."""

PORTALS = 2
ATTACHING = {
    "iscsi": {
        "do_setup": 4,
        "first attach": 10 + 3 * PORTALS,
        "attach, known host": 8 + 3 * PORTALS,
        "detach": 8 + PORTALS,
        "last detach": 8 + PORTALS,
    },
    "fc": {"do_setup": 3, "first attach": 13, "attach, known host": 10, "detach": 8, "last detach": 9},
}
"""So, too; setting up takes one more than the sheet says, since it looks for one more CPG."""

SESSIONS = {"first attach": 5, "detach": 5, "create": 0, "delete": 0}
"""Requests for session keys beside those."""


@cache
def run(model: str, protocol: str) -> dict:
    with open_array(find_model(model), model) as array:
        seen = seen_by(SCRIPT, array.ready, protocol)
        return seen | {"ready": array.ready}


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_every_operation_works_and_nothing_is_left(model, protocol):
    seen = run(model, protocol)["seen"]
    assert seen["pools"] == [["pool_a", 102400], ["pool_b", 102400]]
    assert seen["second lun differs"]
    assert (seen["retyped"], seen["moved to"]) == (True, "pool_b")
    assert (seen["managed size"], seen["managed snapshot size"]) == (1, 1)
    assert len(set(seen["group snapshots"])) == 2
    assert seen["group copies"] == 4
    assert seen["refused"] == [["again", "Duplicate"], ["too large", "HTTPBadRequest"]]
    assert all(left == [] for left in seen["left"].values()), seen["left"]


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_limits_hang_on_a_set_and_go_with_their_type(model, protocol):
    seen = run(model, protocol)["seen"]
    (rule,) = seen["qos"]
    assert (rule["ioMaxLimit"], rule["bwMaxLimitKB"], rule["enabled"]) == (1000, 10_000, True)
    assert seen["qos after retype"] == []


@pytest.mark.parametrize("model", [OLD, NEW])
def test_a_volume_is_converted_where_there_are_thick_ones(model):
    seen = run(model, "fc")["seen"]
    assert (seen["converted"], seen["thin"]) == (True, False)


@pytest.mark.parametrize("model", [OLD, NEW, THIN_ONLY])
def test_iscsi_connections_carry_every_portal(model):
    ended = run(model, "iscsi")
    connection = ended["seen"]["connection"]
    assert connection["target_portals"] == ended["ready"]["ports"]["iscsi"]
    assert connection["target_iqns"] == [portal["iqn"] for portal in ended["ready"]["iscsi"]]
    assert connection["target_luns"] == [1, 1]


@pytest.mark.parametrize("model", [OLD, NEW, THIN_ONLY])
def test_fc_connections_carry_every_port(model):
    ended = run(model, "fc")
    connection = ended["seen"]["connection"]
    assert {wwpn.lower() for wwpn in connection["target_wwn"]} == set(ended["ready"]["fc"])
    assert set(connection["initiator_target_map"]) == {"21000024ff000001", "21000024ff000002"}


@pytest.mark.parametrize("model", [OLD, NEW, THIN_ONLY])
def test_what_that_driver_maps_holds_bytes_for_the_right_host_only(model):
    seen = run(model, "iscsi")["seen"]
    assert seen["bytes"] == {"volume": True, "copy": True, "wrong": False, "stranger": False, "detached": False}
    assert seen["chap"] == {"user": True, "with": True, "without": False}


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_round_trips_are_those_of_the_real_thing(model, protocol):
    ended = run(model, protocol)
    expected = TRIPS | ATTACHING[protocol]
    assert {title: ended["trips"][title] for title in expected} == expected
    assert {title: ended["sessions"][title] for title in SESSIONS} == SESSIONS
