"""This machine's side of an attachment, as far as it can be tried without changing a machine; the rest is in tests/host."""

from __future__ import annotations

import os
import socket
import subprocess
import time

import pytest

from blockdrivers import Chap, Protocol, deadline
from blockdrivers.errors import AttachError, ConfigurationError
from blockdrivers.host import brick, machine, programs, rbd, users
from blockdrivers.host.bounded import bounded
from blockdrivers.host.place import properties
from blockdrivers.model import Export, IscsiTarget

WWN = "6" + "0" * 31


def iscsi(**changes):
    targets = (IscsiTarget("192.0.2.11:3260", "iqn.a"), IscsiTarget("192.0.2.12:3260", "iqn.b"))
    fields = {"volume": "bdvl-v", "host": "h", "protocol": Protocol.ISCSI, "lun": 7, "wwn": WWN, "targets": targets}
    return Export(**(fields | changes))


def test_every_iscsi_path_is_given_to_os_brick_with_its_credentials():
    found = properties(iscsi(chap=Chap("user", "secret-secret")))
    assert found["target_portals"] == ["192.0.2.11:3260", "192.0.2.12:3260"]
    assert (found["target_portal"], found["target_iqn"], found["target_lun"]) == ("192.0.2.11:3260", "iqn.a", 7)
    assert found["target_iqns"] == ["iqn.a", "iqn.b"]
    assert found["target_luns"] == [7, 7]
    assert (found["auth_method"], found["auth_username"], found["auth_password"]) == ("CHAP", "user", "secret-secret")
    assert "auth_method" not in properties(iscsi())


def test_fc_paths_are_given_to_os_brick_as_the_array_names_them():
    export = Export("v", "h", Protocol.FC, lun=0, wwn=WWN, wwpns=("aa", "bb"), paths={"11": ("aa",), "22": ("bb",)})
    found = properties(export)
    assert found["target_wwn"] == ["aa", "bb"]
    assert found["initiator_target_map"] == {"11": ["aa"], "22": ["bb"]}
    assert found["target_lun"] == 0


@pytest.mark.parametrize("export", [iscsi(wwn=None), iscsi(lun=None)])
def test_what_cannot_be_proven_is_refused_before_anything_is_done(export):
    with pytest.raises(AttachError, match="does not tell the identity"):
        machine.attachable(export, multipath=False)


@pytest.mark.parametrize(
    ("protocol", "location"),
    [
        (Protocol.NFS, None),
        (Protocol.NFS, "server"),
        (Protocol.NFS, "/path/file"),
        (Protocol.RBD, "pool"),
        (Protocol.RBD, "a/b/c"),
    ],
)
def test_a_location_that_is_none_is_refused(protocol, location):
    with pytest.raises(AttachError, match="is no"):
        machine.attachable(Export("v", "h", protocol, location=location), multipath=False)


def test_multipath_needs_multipathd(monkeypatch):
    monkeypatch.setattr(programs, "lacking", lambda *_: "multipathd cannot be found.")
    with pytest.raises(AttachError, match="multipathd does not answer"):
        machine.attachable(iscsi(), multipath=True)


def test_without_root_nothing_is_started(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError, match="takes root"):
        brick.call("facts", address=None, multipath=False)


def test_a_program_that_does_not_end_is_ended():
    started = time.monotonic()
    ended = programs.run(0.2, "sleep", "60")
    assert not ended.succeeded
    assert ended.status is None
    assert "0.2 s" in ended.said
    assert time.monotonic() - started < 20


def test_a_program_tells_its_status_and_its_last_words():
    assert programs.run(20, "true") == programs.Ended(0, "")
    failed = programs.run(20, "sh", "-c", "echo one; echo two >&2; exit 3")
    assert (failed.status, failed.said) == (3, "one two")
    assert "cannot be found" in programs.run(20, "no-such-program").said


def test_a_call_that_takes_too_long_is_left_behind():
    first, second = socket.socketpair()
    with first, second:
        with pytest.raises(TimeoutError, match=r"0\.1 s"):
            bounded(lambda: first.recv(1), 0.1)
        second.sendall(b"x")
    assert bounded(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 5)


def test_who_has_a_file_open_is_named(tmp_path):
    file = tmp_path / "volume"
    file.touch()
    assert users.of_file(file) == []
    with file.open(), subprocess.Popen(["sleep", "60"], stdin=file.open()) as process:
        try:
            found = users.of_file(file)
        finally:
            process.kill()
    assert any(f"process {process.pid} (sleep)" in text for text in found)
    assert any(f"process {os.getpid()} " in text for text in found)
    assert users.of_file(file) == []


class Kernel:
    """Stands in for the kernel's rbd driver and a Ceph cluster, which cannot be had here."""

    def __init__(self, folder):
        self.devices = folder / "bus/rbd/devices"
        self.devices.mkdir(parents=True)
        self.calls = []

    def call(self, do, **request):
        self.calls.append((do, request["properties"]["name"]))
        device = self.devices / "0"
        if do == "connect":
            device.mkdir()
            for name, value in (("pool", "rbd"), ("name", "image"), ("current_snap", "-")):
                (device / name).write_text(value)
        else:
            for file in device.iterdir():
                file.unlink()
            device.rmdir()


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    made = Kernel(tmp_path)
    monkeypatch.setattr(rbd, "SYS", tmp_path)
    monkeypatch.setattr(brick, "call", made.call)
    return made


def test_a_ceph_image_is_the_one_that_the_kernel_names(kernel):
    image = machine.attachable(Export("v", "h", Protocol.RBD, location="rbd/image"), multipath=None)
    other = machine.attachable(Export("v", "h", Protocol.RBD, location="rbd/other"), multipath=None)
    with deadline.deadline(30, "test"):
        assert image.attach("v").path == "/dev/rbd0"
        assert image.attach("v").path == "/dev/rbd0"
        with pytest.raises(AttachError, match="not mapped"):
            other.refresh("o")
        other.detach(force=False)
        image.detach(force=True)
        image.detach(force=False)
    assert kernel.calls == [("connect", "rbd/image"), ("disconnect", "rbd/image")]
