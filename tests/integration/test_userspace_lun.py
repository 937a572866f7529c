"""The user-space initiator on the LUNs of a simulated array: bytes, refusals and what is left of it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from blockdrivers.deadline import deadline
from blockdrivers.errors import AttachError
from blockdrivers.host import userspace
from blockdrivers.model import Chap, GiB, IscsiTarget
from conformance.simulation.dataplane import Access, Identity
from conformance.simulation.iscsi.plane import IscsiPlane

INITIATOR = "iqn.1994-05.org.example:rescue"
WWN = f"6{0:015x}00000000000000aa"
SECRET = "a%secret=of+16=="


@pytest.fixture(scope="module")
def plane():
    opened = IscsiPlane()
    opened.identify(Identity("HUAWEI", "XSG1", {ip: f"iqn.2006-08.com.huawei:u:{ip}" for ip in opened.addresses}))
    opened.create(WWN, GiB)
    yield opened
    opened.close()


@pytest.fixture
def target(plane):
    plane.serve([Access("0", WWN, 1, (INITIATOR,))])
    return IscsiTarget(plane.portals[0].name, f"iqn.2006-08.com.huawei:u:{plane.addresses[0]}")


def test_bytes_are_read_and_written_anywhere(target):
    with userspace.open_lun(target, 1, INITIATOR) as lun:
        assert lun.size == GiB
        assert lun.read(0, 4096) == bytes(4096)
        # Longer than one request, and at odds with every block size.
        data = os.urandom(17 * 1024 * 1024 + 511)
        lun.write(511, data)
        lun.write(GiB - 3, b"end")
        assert lun.read(511, len(data)) == data
        assert lun.read(0, 511) == bytes(511)
        lun.zero(1024, 1024)
        assert lun.read(1024, 1024) == bytes(1024)
    with userspace.open_lun(target, 1, INITIATOR) as lun:
        assert lun.read(GiB - 4, 4) == b"\0end"
        assert lun.read(511, 513) == data[:513]


def test_reading_beyond_the_end_is_an_error_and_the_lun_goes_on(target):
    with userspace.open_lun(target, 1, INITIATOR) as lun:
        with pytest.raises(OSError, match="Invalid argument"):
            lun.read(GiB - 512, 1024)
        assert len(lun.read(GiB - 512, 512)) == 512


def test_a_stranger_and_an_absent_lun_are_refused(target):
    with pytest.raises(AttachError, match="check that the volume is exported"), userspace.open_lun(target, 1, "iqn.x:stranger"):
        pass
    with pytest.raises(AttachError), userspace.open_lun(target, 2, INITIATOR):
        pass


def test_chap_secrets_are_used_and_shown_nowhere(plane, target):
    chap = Chap("some-user", SECRET)
    plane.serve([Access("0", WWN, 1, (INITIATOR,), (chap.username, chap.secret))])
    with userspace.open_lun(target, 1, INITIATOR, chap) as lun:
        lun.read(0, 512)
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        assert any(b"qemu-storage-daemon" in command for command in commands)
        assert not any(SECRET.encode() in command for command in commands)
    for wrong in (None, Chap(chap.username, "another=of=16==x")):
        with pytest.raises(AttachError) as refused, userspace.open_lun(target, 1, INITIATOR, wrong):
            pass
        assert SECRET not in str(refused.value)


def test_credentials_that_the_target_cannot_hold_let_nobody_in(plane, target, caplog):
    plane.serve([])
    plane.serve([Access("0", WWN, 1, (INITIATOR,), ("user", "with,a,comma1"))])
    assert "comma" in caplog.text
    with pytest.raises(AttachError), userspace.open_lun(target, 1, INITIATOR, Chap("user", "with,a,comma1")):
        pass


def test_a_portal_that_does_not_answer_is_an_error_within_the_deadline(plane, target):
    plane.set_path(target.portal, up=False)
    try:
        with pytest.raises(AttachError), deadline(5, "open"), userspace.open_lun(target, 1, INITIATOR):
            pass
    finally:
        plane.heal()


def test_the_process_ends_with_a_killed_user(target, tmp_path):
    script = (
        "import os, signal\n"
        "from blockdrivers.host import userspace\nfrom blockdrivers.model import IscsiTarget\n"
        f"with userspace.open_lun({target!r}, 1, {INITIATOR!r}):\n"
        "    print('open', flush=True)\n    signal.pause()\n"
    )
    environment = dict(os.environ) | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ended = os.pidfd_open(int(child))
        process.kill()
    try:
        assert select.select([ended], [], [], 10)[0], "qemu-storage-daemon outlived its user"
    finally:
        os.close(ended)


def test_a_lun_is_a_file_where_there_is_fuse(target):
    with userspace.lun_as_file(target, 1, INITIATOR) as file:
        assert file.stat().st_size == GiB
        with file.open("r+b") as opened:
            opened.seek(700_000_001)
            opened.write(b"through a file")
    assert not file.exists()
    with userspace.open_lun(target, 1, INITIATOR) as lun:
        assert lun.read(700_000_001, 14) == b"through a file"


def test_a_lun_is_a_block_device_where_there_are_loop_devices(target):
    with userspace.lun_as_device(target, 1, INITIATOR) as device:
        assert device.is_block_device()
        subprocess.run(["mkfs.ext4", "-q", "-F", str(device)], check=True)
        said = subprocess.run(["blkid", "-o", "value", "-s", "TYPE", str(device)], capture_output=True, text=True, check=True)
        assert said.stdout == "ext4\n"
    with userspace.open_lun(target, 1, INITIATOR) as lun:
        assert lun.read(1024 + 0x38, 2) == b"\x53\xef"


def test_without_the_driver_it_is_said_what_to_install(monkeypatch, tmp_path):
    daemon = tmp_path / userspace.PROGRAM
    daemon.write_text("#!/bin/sh\necho \"Unknown driver 'iscsi'\" >&2\nexit 1\n")
    daemon.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "qemu-block-extra" in userspace.missing.__wrapped__()
    monkeypatch.setenv("PATH", "")
    assert "qemu-system-common" in userspace.missing.__wrapped__()
