"""The cinder package's MacroSAN drivers, unmodified, work against the simulated MS series: the proof that it is one.

Runs in an environment of its own, named by BLOCKDRIVERS_CINDER_VENV; ``make test-oracle`` builds it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from blockdrivers.model import GiB
from blockdrivers.plugins import find_model
from conformance.simulation.opening import open_array
from tests.oracle.addresses import own_address
from tests.oracle.scripts import seen_by

SCRIPT = Path(__file__).with_name("cinder_macrosan.py")
MODEL = "MS7020G2"
PORT = 12138
"""These drivers know one port of the service only."""
PROTOCOLS = ["iscsi", "fc"]

TRIPS = {
    "stats": 2,
    "extend": 6,
    "first snapshot": 18,
    "snapshot": 12,
    "delete snapshot": 8,
    "delete last snapshot": 16,
    "delete": 10,
    "delete absent": 4,
    "manage": 12,
    "manage snapshot": 4,
}
"""Requests of those drivers, as the protocol sheet, section 5, counts them: each one after a look at the HA status."""

PARTICULAR = {
    "iscsi": {
        "do_setup": 8,
        "create": 4,
        "first attach": 30,
        "attach, known host": 24,
        "detach": 10,
        "last detach": 10,
        # The bytes are there at the first poll; each further one takes two requests.
        "volume from snapshot": 18,
        "clone": 34,
        "move": 44,
    },
    "fc": {
        "do_setup": 12,
        "create": 6,
        "first attach": 38,
        "attach, known host": 14,
        "detach": 8,
        "last detach": 8,
        "volume from snapshot": 20,
        "clone": 36,
        "move": 46,
    },
}
"""LUNs are thin over iSCSI and thick over FC: there the RAID sets are asked for before one is made."""


@cache
def run(protocol: str) -> dict:
    with open_array(find_model(MODEL), MODEL, host=own_address(), port=PORT, tls=False, targets_made=False) as array:
        seen = seen_by(SCRIPT, array.ready, protocol)
    return seen | {"ready": array.ready}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_operation_works_and_nothing_is_left(protocol):
    seen = run(protocol)["seen"]
    assert seen["pools"] == ["pool_a"]
    assert seen["made"] == [[size * GiB, protocol == "iscsi"] for size in (2, 2, 4, 2)]
    assert seen["second lun differs"]
    assert (seen["mapped"], seen["mapped in the end"]) == (6, 0)
    assert seen["revert"] == "NotImplementedError"
    assert seen["qos"] == ["QoS-gold"]
    assert (seen["managed size"], seen["managed snapshot size"]) == (1, 1)
    assert seen["moved"] == [True, ["pool_b"]]
    assert all(left == [] for left in seen["left"].values()), seen["left"]


def test_iscsi_connections_carry_every_portal():
    found = run("iscsi")
    connection, portals = found["seen"]["connection"], found["ready"]["iscsi"]
    assert connection["target_portals"] == [portal["portal"] for portal in portals]
    assert connection["target_iqns"] == [portal["iqn"] for portal in portals]
    assert connection["target_luns"] == [1, 1]


def test_fc_connections_carry_the_ports_that_the_host_is_plugged_into():
    found = run("fc")
    connection = found["seen"]["connection"]
    assert connection["target_wwn"] == found["ready"]["fc"][:2]
    assert connection["target_lun"] == 1


def test_what_that_driver_maps_holds_bytes_for_the_right_host_only():
    assert run("iscsi")["seen"]["bytes"] == {
        "volume": True,
        "copy": True,
        "clone": True,
        "wrong": False,
        "stranger": False,
        "detached": False,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_round_trips_are_those_of_the_real_thing(protocol):
    trips, expected = run(protocol)["trips"], TRIPS | PARTICULAR[protocol]
    assert {title: trips[title] for title in expected} == expected
