"""The suite is itself tested: every deliberate defect is caught by the check that names it, and the honest driver passes them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockdrivers.model import Host, Protocol
from blockdrivers.plugins import find_model
from conformance import runner
from conformance.outcome import Result
from conformance.simulation.opening import BACKEND, write_config
from conformance.simulation.server import SimulatedArray
from conformance.target import Target
from tests.suite.saboteurs import SABOTEURS, VARIABLE
from vendors.huawei.simulator import build

MODEL = "OceanStor 5500 V5"
OPENER = "tests.suite.saboteurs:open_sabotaged"
HOSTS = tuple(
    Host(f"cmp0{n}", iqn=f"iqn.1994-05.org.example:cmp0{n}", wwpns=(f"21000024ff00000{2 * n - 1}", f"21000024ff00000{2 * n}"))
    for n in (1, 2)
)


@pytest.fixture(scope="module")
def array():
    with SimulatedArray(build(MODEL, copy_seconds=0.05)) as simulated:
        yield simulated


@pytest.fixture
def target(array, tmp_path: Path) -> Target:
    array.reset()
    ready = array.ready
    timeouts = {"default": 6, "copy": 10, "unreachable": 1}
    config = write_config(tmp_path, find_model(MODEL), ready, timeouts=timeouts)
    return Target(config, BACKEND, Protocol.ISCSI, "pool_a", "pool_b", HOSTS, ready["control"], MODEL)


def test_there_are_enough_of_them():
    assert len(SABOTEURS) >= 30
    assert {item.check for item in SABOTEURS.values()} <= {check.id for check in runner.all_checks()}


@pytest.mark.slow
def test_the_honest_driver_passes_every_one_of_these_checks(target, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    checks = sorted({item.check for item in SABOTEURS.values()})
    # A check's id selects those below it too, of which some are not for this array.
    outcomes = [item for item in runner.run(target, select=",".join(checks), opener=OPENER) if item.check.id in checks]
    assert {item.check.id: item.detail for item in outcomes if item.result is not Result.PASSED} == {}
    assert sorted(item.check.id for item in outcomes) == checks


@pytest.mark.parametrize("name", SABOTEURS)
def test_a_defect_is_caught_by_the_check_that_names_it(target, monkeypatch, name):
    monkeypatch.setenv(VARIABLE, name)
    # One failure is enough; some defects would let every further one wait for its deadline.
    monkeypatch.setenv("PYTEST_ADDOPTS", "--maxfail=1")
    caught = [
        item for item in runner.run(target, select=SABOTEURS[name].check, opener=OPENER) if item.check.id == SABOTEURS[name].check
    ]
    assert [item.result for item in caught] == [Result.FAILED], f"{SABOTEURS[name].defect} {caught}"
