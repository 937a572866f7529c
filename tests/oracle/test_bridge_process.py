"""The bridge around a driver that reads Cinder's database, dies, hangs, fails, and would give its password away."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from blockdrivers.config import open_backend
from blockdrivers.errors import ConfigurationError, DeadlineExceeded, NotFound, NotSupported, VendorError
from blockdrivers.model import Dependant, GiB, Host, Protocol
from blockdrivers.plugins import find_model
from conformance.cli.certify import TEST_HOSTS
from conformance.simulation.opening import open_array
from tests.oracle.families import FAMILIES
from tests.oracle.scripts import python

DRIVERS = Path(__file__).with_name("drivers")
HOST = Host("node-1", iqn="iqn.1994-05.org.example:node-1")
PASSWORD = "right-password"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    return Lab(tmp_path, monkeypatch)


class Lab:
    def __init__(self, folder: Path, monkeypatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(DRIVERS))
        self.folder = folder
        self.array = folder / "array"
        self.array.mkdir()
        self.conf = folder / "cinder.conf"
        self.conf.write_text(f"[DEFAULT]\n[lab]\nvolume_backend_name = lab\nlab_folder = {self.array}\n")

    def open(self, **changed):
        options = {
            "driver": "lab_cinder_driver.LabDriver",
            "config": str(self.conf),
            "python": str(python()),
            "records": str(self.folder / "records"),
            "overrides": {"lab_password": PASSWORD},
            "extra_specs": {"vendor:tier": "fast"},
            "model": "Lab 1",
        }
        entry = {"adapter": "cinder-driver", "options": {name: value for name, value in (options | changed).items() if value}}
        config = self.folder / "backends.yaml"
        config.write_text(yaml.safe_dump({"backends": {"lab": entry}}))
        return open_backend(config)

    def mood(self, mood: str) -> None:
        (self.array / "mood").write_text(mood)

    def luns(self) -> list[str]:
        return sorted(file.name for file in self.array.iterdir() if file.name != "mood")


def test_what_is_declared_comes_from_the_class(lab):
    with lab.open() as backend:
        declared = backend.capabilities
        assert declared.protocols == {Protocol.ISCSI}
        assert (declared.thin, declared.thick, declared.multi_attach) == (True, False, True)
        assert (declared.revert, declared.export_snapshots, declared.list_objects, declared.tells_wwn) == (False,) * 4
        facts = backend.system()
        assert (facts.vendor, facts.model, facts.serial) == ("Lab", "Lab 1", "unknown")
        assert facts.details["cinder_driver_version"] == "1.2"
        (pool,) = backend.pools()
        assert (pool.name, pool.total_bytes, pool.free_bytes) == ("lab", 100 * GiB, 0)
        with pytest.raises(NotSupported):
            backend.list_volumes()


def test_a_driver_finds_in_the_database_what_a_deployment_has_there(lab):
    with lab.open() as backend:
        first = backend.create_volume("3b0cbd57-6ff6-4ea0-9c1b-21ee2d1cb0a7", GiB, "lab")
        backend.create_volume("second", GiB, "lab")
        seen = json.loads((lab.array / "volume-3b0cbd57-6ff6-4ea0-9c1b-21ee2d1cb0a7").read_text())
    assert first.id == "3b0cbd57-6ff6-4ea0-9c1b-21ee2d1cb0a7", "a caller's UUID is Cinder's id"
    assert seen["of this host"] == [first.id]
    assert seen["by id"] == first.name
    assert seen["extra specs"] == {"vendor:tier": "fast"}
    assert len(lab.luns()) == 2


def test_another_process_knows_what_is_there_and_a_repeat_makes_nothing(lab):
    with lab.open() as backend:
        made = backend.create_volume("v", GiB, "lab")
        backend.export("v", HOST, Protocol.ISCSI)
    with lab.open() as other:
        assert other.create_volume("v", GiB, "lab").id == made.id
        assert other.get_volume("v").dependants == {Dependant.EXPORT}
        assert [export.host for export in other.list_exports("v")] == ["node-1"]
        other.delete_volume("v", force=True)
        with pytest.raises(NotFound):
            other.get_volume("v")
    assert lab.luns() == []


def test_records_of_ones_own_end_with_the_backend(lab, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with lab.open(records=None) as backend:
        backend.create_volume("v", GiB, "lab")
    with lab.open(records=None) as backend, pytest.raises(NotFound):
        backend.get_volume("v")
    assert not list(tmp_path.glob("blockdrivers-cinder-*"))


def test_a_driver_that_ends_its_process_is_started_again_and_the_volume_made_again(lab):
    lab.mood("dies")
    with lab.open() as backend:
        volume = backend.create_volume("v", GiB, "lab")
        assert lab.luns() == [f"volume-{volume.id}"]
        backend.delete_volume("v")
    assert lab.luns() == []


def test_a_driver_that_hangs_is_left_at_the_deadline(lab):
    with lab.open() as backend:
        _ = backend.capabilities
        lab.mood("hangs")
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="still at it"):
            backend.create_volume("v", GiB, "lab", timeout=2)
        assert time.monotonic() - started < 10
        lab.mood("")
    with lab.open() as other:
        other.create_volume("v", GiB, "lab")
        assert len(lab.luns()) == 1


def test_a_failure_is_a_vendor_error_with_its_class_and_without_secrets(lab, caplog):
    lab.mood("fails")
    with caplog.at_level(logging.DEBUG), lab.open() as backend:
        with pytest.raises(VendorError) as raised:
            backend.create_volume("v", GiB, "lab")
        lab.mood("")
        backend.create_volume("v", GiB, "lab")
    assert raised.value.vendor_code == "VolumeBackendAPIException"
    assert "no luck with ***" in str(raised.value)
    assert "logging in with ***" in caplog.text
    assert PASSWORD not in caplog.text
    assert lab.luns() == [f"volume-{name}" for name in {lun.removeprefix("volume-") for lun in lab.luns()}]


def test_a_connection_that_could_not_be_made_can_be_ended(lab):
    with lab.open() as backend:
        backend.create_volume("v", GiB, "lab")
        lab.mood("races")
        with pytest.raises(VendorError, match="there is a host already"):
            backend.export("v", HOST, Protocol.ISCSI)
        assert [export.host for export in backend.list_exports("v")] == ["node-1"], "the array may have part of it"
        backend.unexport("v", HOST, Protocol.ISCSI)
        assert not backend.list_exports("v")
        lab.mood("")
        backend.delete_volume("v")
    assert lab.luns() == []


def test_a_connection_that_was_made_and_is_not_found_is_a_failure(lab):
    with lab.open() as backend:
        backend.create_volume("v", GiB, "lab")
        backend.export("v", HOST, Protocol.ISCSI)
        lab.mood("unlinks")
        with pytest.raises(VendorError, match="no luck"):
            backend.unexport("v", HOST, Protocol.ISCSI)
        with pytest.raises(VendorError, match="no luck"):
            backend.unexport("v", HOST, Protocol.ISCSI)
        lab.mood("forgets")
        backend.unexport("v", HOST, Protocol.ISCSI)
        lab.mood("")
        backend.export("v", HOST, Protocol.ISCSI)
        lab.mood("forgets")
        with pytest.raises(VendorError, match="no such host"):
            backend.unexport("v", HOST, Protocol.ISCSI)
        assert [export.host for export in backend.list_exports("v")] == ["node-1"]


def test_the_process_ends_with_its_backend_and_with_its_parent(lab):
    with lab.open() as backend:
        backend.pools()
        worker = backend.driver._process._worker._process.pid
        assert Path(f"/proc/{worker}").exists()
    assert not _runs(worker)
    code = (
        "import sys, time; from blockdrivers.config import open_backend; b = open_backend(sys.argv[1]); b.pools();"
        "print(b.driver._process._worker._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(lab.folder / "backends.yaml")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 10
    while _runs(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(worker)


def _runs(pid: int) -> bool:
    """Tell whether a process is there and no zombie: nobody may be there to wait for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"driver": "lab_cinder_driver.Absent"}, "cannot be imported"),
        ({"driver": "no_such_module.Driver"}, "cannot be imported"),
        ({"python": sys.executable}, "has no cinder package"),
        ({"section": "other"}, "has no section 'other'"),
    ],
)
def test_what_cannot_be_opened_says_why(lab, changed, words):
    with lab.open(**changed) as backend, pytest.raises((ConfigurationError, VendorError), match=words):
        backend.pools()


def test_certify_grades_a_cinder_driver_like_any_backend(tmp_path):
    family = FAMILIES[0]
    fabric = [wwpn for host in TEST_HOSTS for wwpn in host.wwpns]
    with open_array(find_model(family.model), family.model, fabric=fabric) as array:
        section = family.section(array.ready, Protocol.ISCSI, tmp_path)
        lines = "".join(f"{name} = {value}\n" for name, value in section.items())
        (tmp_path / "cinder.conf").write_text(f"[DEFAULT]\n[hall-3]\nvolume_backend_name = hall-3\n{lines}")
        command = [
            *(sys.executable, "-m", "blockdrivers.cli.main", "--json", "certify", family.model, "--protocol", "iscsi"),
            *("--cinder-driver", family.classes[Protocol.ISCSI], "--cinder-config", str(tmp_path / "cinder.conf")),
            *("--cinder-python", str(python()), "--output", str(tmp_path / "out")),
            *("--select", "volume.create,export.create,unexport,volume.list,system.ports"),
            *(word for host in TEST_HOSTS for word in ("--host", f"{host.name}={host.iqn}")),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    (certificate,) = (tmp_path / "out").glob("*.json")
    document = json.loads(certificate.read_text())
    results = {
        outcome["check"]["id"] if isinstance(outcome["check"], dict) else outcome["check"]: outcome
        for outcome in document["outcomes"]
    }
    assert results["export.create"]["result"] == "passed"
    assert results["volume.list"]["result"] == "not_applicable"
    assert "list_objects" in results["volume.list"]["detail"]
    assert document["host"]["adapter"] == "cinder-driver"
    assert document["array"]["details"]["cinder_driver"] == family.classes[Protocol.ISCSI]
