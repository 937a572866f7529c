"""The cinder package's HBSD drivers, unmodified, work against the simulated VSP: the proof that it is one.

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

SCRIPT = Path(__file__).with_name("cinder_hitachi.py")
X70, G200 = "VSP G370", "VSP G200"
CASES = [(model, protocol) for model in (X70, G200) for protocol in ("iscsi", "fc")]

TRIPS = {
    "stats": 1,
    "create": 2,
    "extend": 5,
    "snapshot": 6,
    "volume from snapshot": 9,
    "clone": 9,
    "revert": 5,
    "delete snapshot": 14,
    "delete": 4,
    "delete, absent": 3,
    "manage by number": 3,
    "unmanage": 2,
    "group snapshot": 13,
    "attach, groups just made": 6,
    "attach, known host": 2,
    "detach": 5,
}
"""Requests of that driver, as the protocol sheet, section 5, counts them for two pools, two ports and group deletion on.

A snapshot and a clone take one more than with one pool: the volume's pool is asked for. A clone's empty pair query is followed by one for
pairs that the clone is the source of.
"""


@cache
def run(model: str, protocol: str, **options: object) -> dict:
    with open_array(find_model(model), model, **options) as array:
        seen = seen_by(SCRIPT, array.ready, protocol)
    return seen | {"ready": array.ready}


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_every_operation_works_and_nothing_is_left(model, protocol):
    seen = run(model, protocol)["seen"]
    assert set(seen["pools"]) == {"pool_a", "pool_b"}
    assert sorted(size // GiB for size in seen["made"].values()) == [0, 2, 2, 2, 2]
    assert seen["second lun differs"]
    assert (seen["managed size"], seen["moved"], seen["pools afterwards"]) == (1, True, ["pool_b"])
    assert seen["group"] == [["PSUS", True]] * 2
    assert all(left == [] for left in seen["left"].values()), seen["left"]


@pytest.mark.parametrize("protocol", ["iscsi", "fc"])
def test_limits_are_set_on_the_models_that_have_them(protocol):
    found = run(X70, protocol)
    assert found["seen"]["qos"] == [{"upperIops": 500, "upperTransferRate": 100}]
    assert found["trips"]["create with QoS"] == 4


def test_iscsi_connections_carry_every_portal_and_the_hosts_own_target():
    found = run(X70, "iscsi")
    connection = found["seen"]["connection"]
    assert connection["target_portals"] == [portal["portal"] for portal in found["ready"]["iscsi"]]
    assert connection["target_iqns"] == ["iqn.1994-05.org.example:cmp01.hbsd-target"] * 2
    assert connection["target_luns"] == [1, 1]
    assert found["seen"]["hosts"] == ["1A-G00", "HBSD-127.0.0.1", "HBSD-127.0.0.2"]


def test_fc_connections_carry_every_port():
    found = run(X70, "fc")
    connection = found["seen"]["connection"]
    assert [wwpn.lower() for wwpn in connection["target_wwn"]] == found["ready"]["fc"]
    assert connection["target_lun"] == 1


@pytest.mark.parametrize("model", [X70, G200])
def test_what_that_driver_maps_holds_bytes_for_the_right_host_only(model):
    seen = run(model, "iscsi")["seen"]
    assert seen["bytes"] == {
        "volume": True,
        "copy": True,
        "wrong": False,
        "stranger": False,
        "detached": False,
        "reverted": True,
    }


@pytest.mark.parametrize(("model", "protocol"), CASES)
def test_round_trips_are_those_of_the_real_thing(model, protocol):
    trips = run(model, protocol)["trips"]
    expected = TRIPS | ({"do_setup": 21, "first attach": 18} if protocol == "iscsi" else {"do_setup": 23, "first attach": 20})
    assert {title: trips[title] for title in expected} == expected


def test_copies_that_outlast_their_jobs_are_waited_for():
    """An array whose jobs end before the data is copied is polled until the pair says what is wanted."""
    seen = run(X70, "iscsi", jobs_wait_for_copies=False, copy_seconds=1.0)["seen"]
    assert seen["bytes"]["copy"]
    assert seen["bytes"]["reverted"]
    assert all(left == [] for left in seen["left"].values()), seen["left"]
