"""The cinder package's ACS5000 drivers, unmodified, work against the simulated ACS5000: the proof that it is one.

Runs in an environment of its own, named by BLOCKDRIVERS_CINDER_VENV; ``make test-oracle`` builds it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from blockdrivers.model import GiB
from blockdrivers.plugins import find_model
from conformance.simulation.opening import open_array
from tests.oracle.scripts import seen_by

SCRIPT = Path(__file__).with_name("cinder_toyou.py")
MODEL = "ACS5000"
PROTOCOLS = ("iscsi", "fc")

TRIPS = {
    "do_setup": 5,
    "stats": 2,
    "create": 1,
    "extend": 1,
    "snapshot": 1,
    "revert": 1,
    "delete snapshot": 1,
    "delete": 1,
    "delete, absent": 1,
    "manage": 1,
}
"""Commands of that driver with two pools, as the protocol sheet, section 5, counts them."""
ATTACHING = {"iscsi": 1, "fc": 2}


@cache
def run(protocol: str, copy_seconds: float = 0.15) -> dict:
    with open_array(find_model(MODEL), MODEL, copy_seconds=copy_seconds) as array:
        seen = seen_by(SCRIPT, array.ready, protocol)
    return seen | {"ready": array.ready}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_operation_works_and_nothing_is_left(protocol):
    seen = run(protocol)["seen"]
    assert set(seen["pools"]) == {"pool_a", "pool_b"}
    assert sorted(size // GiB for size, _ in seen["made"].values()) == [2, 2, 2, 4]
    assert {kind for _, kind in seen["made"].values()} == {"RAID Volume"}
    assert seen["second lun differs"]
    assert seen["maps left"] == []
    assert (seen["managed size"], seen["migrated"], seen["pool afterwards"]) == (1, True, ["pool_b"])
    assert all(left == [] for left in seen["left"].values()), seen["left"]


def test_iscsi_connections_carry_every_portal():
    found = run("iscsi")
    connection = found["seen"]["connection"]
    assert connection["target_portals"] == [portal["portal"] for portal in found["ready"]["iscsi"]]
    assert connection["target_iqns"] == [portal["iqn"] for portal in found["ready"]["iscsi"]]
    assert connection["target_luns"] == [1, 1]


def test_fc_connections_carry_every_port():
    found = run("fc")
    connection = found["seen"]["connection"]
    assert [wwpn.lower() for wwpn in connection["target_wwn"]] == found["ready"]["fc"]
    assert set(connection["initiator_target_map"]) == {"21000024ff000001", "21000024ff000002"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_second_host_gets_the_same_lun(protocol):
    maps = run(protocol)["seen"]["maps"]
    ports = 1 if protocol == "iscsi" else 2
    assert [lun for _, lun in maps].count(1) == 2 * ports
    assert [lun for _, lun in maps].count(2) == ports


def test_what_that_driver_maps_holds_bytes_for_the_right_host_only():
    assert run("iscsi")["seen"]["bytes"] == {
        "volume": True,
        "copy": True,
        "wrong": False,
        "stranger": False,
        "reverted": True,
        "detached": False,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_commands_are_those_of_the_real_thing(protocol):
    trips = run(protocol)["trips"]
    expected = TRIPS | {"first attach": ATTACHING[protocol], "detach": ATTACHING[protocol]}
    assert {title: trips[title] for title in expected} == expected


def test_commands_of_copies_that_outlast_the_first_poll():
    """The sheet counts a copy of four seconds, polled every three."""
    trips = run("iscsi", copy_seconds=4.0)["trips"]
    assert {trips[title] for title in ("volume from snapshot", "larger volume from snapshot", "clone")} == {8}
    assert trips["move to another pool"] == 10
