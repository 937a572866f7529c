"""Defects that only an array can have which tells or can do little, or is managed over SSH: each is caught by the check that names it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from blockdrivers import naming
from blockdrivers.backend import Backend
from blockdrivers.config import load, open_driver
from blockdrivers.errors import NotFound
from blockdrivers.model import Host, Protocol
from blockdrivers.naming import Kind
from blockdrivers.plugins import find_model
from blockdrivers.transport.sshoptions import HostKeyOptions
from conformance import runner
from conformance.outcome import Result
from conformance.simulation.opening import BACKEND, write_config
from conformance.simulation.server import SimulatedArray
from conformance.target import Target
from tests.suite.saboteurs import VARIABLE, Driver
from tests.suite.test_saboteurs import HOSTS
from vendors.macrosan.simulator import build as build_macrosan
from vendors.netapp.simulator import build as build_netapp
from vendors.toyou.simulator import build

MODEL = "ACS5000"
OPENER = f"{__name__}:open_sabotaged"


class TrustsAnybody(Driver):
    """Takes whatever host key it is shown."""

    def __init__(self, driver):
        super().__init__(driver)
        options = self._transport._options
        self._transport._options = options.model_copy(update={"host_keys": HostKeyOptions.model_construct(verify=False)})


class NamesSnapshotsByTheirIdAlone(Backend):
    """Takes the snapshot of another volume for its own."""

    def _snapshot_name(self, snapshot_id, of_volume=None):
        return naming.array_name(Kind.SNAPSHOT, snapshot_id, 31)


class RevertsToTheNewest(Driver):
    """Reverts to the newest snapshot, whatever was asked for."""

    def create_snapshot(self, spec):
        self._newest = self._driver.create_snapshot(spec)
        return self._newest

    def revert_volume(self, volume, snapshot):
        self._driver.revert_volume(volume, replace(snapshot, name=self._newest.name))


class TakesAwayFromNames(Backend):
    """Takes a mere name for a host, and success for granted."""

    def unexport(self, volume_id, host, protocol, **more):
        if not isinstance(host, str):
            super().unexport(volume_id, host, protocol, **more)


class ListsNothing(Backend):
    """Answers what the array cannot tell with an empty list."""

    def list_exports(self, volume_id, **more):
        return []


class ShrinksInReverts(Driver):
    """Forgets how large the volume was."""

    def get_volume(self, name):
        found = self._driver.get_volume(name)
        return replace(found, size=found.size // 2) if getattr(self, "_reverted", False) else found

    look_up_volume = get_volume

    def revert_volume(self, volume, snapshot):
        self._driver.revert_volume(volume, snapshot)
        self._reverted = True


class RenamesTheSnapshotOfAnyVolume(Backend):
    """Takes a snapshot over from whatever volume has it."""

    def manage_snapshot(self, snapshot_id, volume_id, array_name, **more):
        try:
            return super().manage_snapshot(snapshot_id, volume_id, array_name, **more)
        except NotFound:
            return super().manage_snapshot(snapshot_id, volume_id.replace("other", "v"), array_name, **more)


class MovesUnderAHost(Driver):
    """Takes a volume away from its hosts in order to move it."""

    def look_up_volume(self, name):
        return replace(self._driver.look_up_volume(name), dependants=frozenset())

    def migrate_volume(self, volume, spec, temporary):
        for export in self._driver.list_exports(volume.ref):
            self._driver.unexport(volume.ref, export.host, export.protocol)
        return self._driver.migrate_volume(volume, spec, temporary)


DEFECTS = {
    "host_key.untrusted": TrustsAnybody,
    "snapshot.by_volume": NamesSnapshotsByTheirIdAlone,
    "revert.newest": RevertsToTheNewest,
    "unexport.initiators": TakesAwayFromNames,
    "system.untold": ListsNothing,
    "revert.extended.kept": ShrinksInReverts,
}
OF_MACROSAN = {"manage.snapshot.by_volume": RenamesTheSnapshotOfAnyVolume}
OF_FILES = {"retype.in_use": MovesUnderAHost}


def open_sabotaged(path: Path, name: str) -> Backend:
    config = load(path).backend(name)
    kind = (DEFECTS | OF_MACROSAN | OF_FILES).get(os.environ.get(VARIABLE, ""), Backend)
    driver = open_driver(config)
    if issubclass(kind, Driver):
        driver, kind = kind(driver), Backend
    return kind(driver, config.name, timeouts=config.timeouts)


@pytest.fixture(scope="module")
def array():
    with SimulatedArray(build(MODEL, copy_seconds=0.05)) as simulated:
        yield simulated


@pytest.fixture
def target(array, tmp_path):
    array.reset()
    config = write_config(tmp_path, find_model(MODEL), array.ready, timeouts={"default": 6, "copy": 10, "unreachable": 1})
    return Target(config, BACKEND, Protocol.ISCSI, "pool_a", "pool_b", HOSTS, array.ready["control"], MODEL)


@pytest.fixture
def macrosan(tmp_path):
    with SimulatedArray(build_macrosan("MS3000G2"), tls=False) as array:
        config = write_config(tmp_path, find_model("MS3000G2"), array.ready, timeouts={"default": 6, "unreachable": 1})
        yield Target(config, BACKEND, Protocol.ISCSI, "pool_a", "pool_b", HOSTS, array.ready["control"], "MS3000G2")


@pytest.fixture
def files(tmp_path):
    with SimulatedArray(build_netapp("FAS8200"), tls=False) as array:
        config = write_config(tmp_path, find_model("FAS8200"), array.ready, timeouts={"default": 6}, protocol=Protocol.NFS)
        hosts = tuple(Host(f"cmp0{n}", addresses=(f"192.0.2.{n}",)) for n in (1, 2))
        yield Target(config, BACKEND, Protocol.NFS, "pool_a", "pool_b", hosts, array.ready["control"], "FAS8200")


def results(target, check):
    return [item.result for item in runner.run(target, select=check, opener=OPENER) if item.check.id == check]


@pytest.mark.parametrize("check", DEFECTS)
def test_a_defect_is_caught_and_the_honest_driver_is_not(target, monkeypatch, check):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert results(target, check) == [Result.PASSED]
    monkeypatch.setenv(VARIABLE, check)
    assert results(target, check) == [Result.FAILED]


@pytest.mark.parametrize("check", OF_MACROSAN)
def test_a_defect_of_an_array_that_finds_snapshots_within_volumes_is_caught(macrosan, monkeypatch, check):
    test_a_defect_is_caught_and_the_honest_driver_is_not(macrosan, monkeypatch, check)


@pytest.mark.parametrize("check", OF_FILES)
def test_a_defect_of_an_array_that_moves_unused_volumes_only_is_caught(files, monkeypatch, check):
    test_a_defect_is_caught_and_the_honest_driver_is_not(files, monkeypatch, check)
