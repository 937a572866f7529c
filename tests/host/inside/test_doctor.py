"""What `doctor --host` finds, and that the command it names mends it."""

from __future__ import annotations

import subprocess
import time

import pytest

from blockdrivers import Protocol
from blockdrivers.findings import Status
from blockdrivers.host import multipath, scsi, survey
from conformance.suite import machine
from conformance.suite.control import wait_for

SECONDS = 60.0


def troubles(backend, host):
    found = [*survey.machine(), *survey.exports(backend, host.name)]
    return {finding.check: finding for finding in found if finding.status is not Status.OK}


def mend(finding):
    for _ in range(3):
        # udev's programs may have the device open for a moment.
        if subprocess.run(finding.advice, shell=True, capture_output=True, timeout=SECONDS, check=False).returncode == 0:
            return
        time.sleep(1)


def test_a_clean_machine_has_no_trouble(backend, host, volume):
    assert not troubles(backend, host)
    backend.attach(volume("healthy"), Protocol.ISCSI, host)
    assert not troubles(backend, host)


@pytest.mark.parametrize("paths", [True, False])
def test_a_device_whose_lun_has_gone(backend, host, volume, paths):
    name = volume("gone")
    made = backend.attach(name, Protocol.ISCSI, host, multipath=paths)
    backend.unexport(name, host, Protocol.ISCSI)
    found = troubles(backend, host)
    assert found["stale device"].status is Status.FAIL
    assert made.paths[-1].device == found["stale device"].subject
    assert found["map without a LUN"].subject == made.map
    mend(found["map without a LUN"])
    assert not multipath.maps()
    for _ in made.paths:
        if "stale device" in (found := troubles(backend, host)):
            mend(found["stale device"])
    assert not [disk for disk in scsi.disks() if disk.target]
    found = troubles(backend, host)
    assert set(found) == {"session without a LUN"}
    for _ in made.paths:
        if "session without a LUN" in (found := troubles(backend, host)):
            mend(found["session without a LUN"])
    assert not troubles(backend, host)
    subprocess.run(["iscsiadm", "-m", "node", "-o", "delete"], capture_output=True, check=False)


def test_a_device_that_has_become_another_volume(backend, host, volume):
    old, new = volume("old"), volume("new")
    made = backend.attach(old, Protocol.ISCSI, host)
    backend.unexport(old, host, Protocol.ISCSI)
    backend.export(new, host, Protocol.ISCSI)
    found = troubles(backend, host)
    assert made.wwn in found["stale device"].saw
    assert backend.get_volume(new).wwn in found["stale device"].saw
    assert found["export without a device"].subject == new
    backend.detach(new, Protocol.ISCSI, host)
    assert not troubles(backend, host)


def test_a_dead_path(backend, host, volume, control):
    name = volume("half")
    made = backend.attach(name, Protocol.ISCSI, host)
    control.set_path(made.paths[0].address, up=False)
    try:
        wait_for("the path to be dead", lambda: "dead path" in troubles(backend, host), seconds=SECONDS)
        found = troubles(backend, host)
        assert set(found) == {"dead path"}
        assert found["dead path"].subject == made.paths[0].device
    finally:
        control.heal_paths()
    wait_for("the path to come back", lambda: not troubles(backend, host), seconds=SECONDS)


def test_an_export_without_a_device(backend, host, volume):
    name = volume("mapped")
    backend.export(name, host, Protocol.ISCSI)
    found = troubles(backend, host)
    assert set(found) == {"export without a device"}
    assert name in found["export without a device"].advice
    backend.detach(name, Protocol.ISCSI, host)
    assert not troubles(backend, host)


def test_the_command_tells_it_as_json(told):
    command = ["blockdrivers", "--config", told["config"], "--json", "doctor", "--host", "--host-name", "guest"]
    before = machine.remains()
    ended = subprocess.run(command, capture_output=True, text=True, timeout=2 * SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    assert '"check": "devices"' in ended.stdout
    assert machine.remains() == before


def test_without_root_there_is_one_clear_error(told):
    command = ["setpriv", "--reuid", "65534", "--clear-groups", "blockdrivers", "doctor", "--host"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=2 * SECONDS, check=False)
    assert ended.returncode == 3
    assert "takes root" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
