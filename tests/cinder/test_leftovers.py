"""What a killed service leaves on this machine ends with the folder of its temporary files, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blockdrivers import open_backend
from blockdrivers.model import GiB, Host, Protocol
from blockdrivers.plugins import find_model
from conformance.simulation.opening import BACKEND, open_array, write_config
from tests.cinder.lab.cloud import MODEL
from tests.leftovers import loop_devices, mounts, own_folder

INITIATOR = "iqn.1994-05.org.example:cmp01"
HOLDS = """
import sys
from blockdrivers.host.userspace import lun_as_device
from blockdrivers.model import IscsiTarget
with lun_as_device(IscsiTarget(sys.argv[1], sys.argv[2]), int(sys.argv[3]), sys.argv[4]) as device:
    with open(device, "rb+", buffering=0) as opened:
        opened.write(b"x" * 4096)
        print(device, flush=True)
        sys.stdin.read()
"""
"""A program that works on a LUN as a block device, as a backup service does."""


def held(folder: Path, portal: str, iqn: str, lun: int) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", HOLDS, portal, iqn, str(lun), INITIATOR]
    program = subprocess.Popen(
        command,
        env=os.environ | {"TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None
    return program, program.stdout.readline().strip()


def test_a_killed_program_leaves_neither_mount_nor_loop_device(tmp_path: Path):
    (tmp_path / "own").touch()
    os.truncate(tmp_path / "own", 1024**2)
    foreign = subprocess.run(
        ["losetup", "--find", "--show", str(tmp_path / "own")], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        with open_array(find_model(MODEL), MODEL) as array:
            config = write_config(tmp_path, find_model(MODEL), array.ready)
            with open_backend(config, BACKEND) as backend:
                backend.create_volume("v", GiB, "pool_a")
                export = backend.export("v", Host("cmp01", iqn=INITIATOR), Protocol.ISCSI)
            target = export.targets[0]
            with own_folder() as folder:
                program, device = held(folder, target.portal, target.iqn, export.lun)
                with program:
                    os.killpg(program.pid, signal.SIGKILL)
                assert loop_devices(folder) == [device], "the program leaves nothing: there is nothing to show here"
                assert len(mounts(folder)) == 1
        assert not folder.exists()
        assert loop_devices(folder) == []
        assert mounts(folder) == []
        assert loop_devices(tmp_path) == [foreign], "what is not in that folder was touched"
    finally:
        subprocess.run(["losetup", "--detach", foreign], check=True)


def fail_with_mounts_in(folder: Path) -> None:
    for place in (folder / "inner", folder / "inner" / "second"):
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    raise RuntimeError


def test_it_ends_after_a_failure_too():
    with own_folder() as other:
        with pytest.raises(RuntimeError), own_folder() as folder:
            fail_with_mounts_in(folder)
        assert not folder.exists()
        assert mounts(folder) == []
        assert other.exists()
