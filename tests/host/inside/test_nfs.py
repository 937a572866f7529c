"""Volumes that are files of an NFS share, from a real server: mounted with the first, unmounted with the last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from nfs_array import POOL, NfsArray

from blockdrivers import Backend, GiB, Protocol
from blockdrivers.errors import AttachError, InUse
from blockdrivers.host import shares, survey
from conformance.suite import machine
from conformance.suite.disks import expect_stamp, expect_zeros, stamp

NAMES = ("one", "two")


@pytest.fixture
def nfs(told, host):
    with Backend(NfsArray(Path(told["nfs_folder"]), told["nfs_export"]), "files") as backend:
        for name in NAMES:
            backend.create_volume(name, GiB, POOL.name)
        before = machine.remains()
        yield backend
        for name in NAMES:
            backend.detach(name, Protocol.NFS, host)
            backend.delete_volume(name)
        assert machine.remains() == before
        assert not shares.marked()


def behind(told, nfs, name):
    """The file as the server has it."""
    return Path(told["nfs_folder"]) / nfs.get_volume(name).name


def test_bytes_go_to_the_server_and_stay(nfs, host, told):
    made = nfs.attach("one", Protocol.NFS, host)
    assert made.size == GiB
    with machine.Device(made.path) as file:
        expect_zeros(file, 0, 65536, what="a new volume")
        stamp(file, "kept")
    nfs.detach("one", Protocol.NFS, host)
    assert not shares.mounts()
    assert not nfs.list_exports("one")
    with machine.Device(str(behind(told, nfs, "one"))) as file:
        expect_stamp(file, "kept", what="the server's file")
    with machine.Device(nfs.attach("one", Protocol.NFS, host).path) as file:
        expect_stamp(file, "kept", what="the volume attached again")


def test_the_share_is_unmounted_with_its_last_volume(nfs, host):
    first, again = (nfs.attach("one", Protocol.NFS, host) for _ in range(2))
    assert first.path == again.path
    second = nfs.attach("two", Protocol.NFS, host)
    assert Path(first.path).parent == Path(second.path).parent
    assert len(shares.mounts()) == 1
    nfs.detach("one", Protocol.NFS, host)
    assert len(shares.mounts()) == 1
    with machine.Device(second.path) as file:
        stamp(file, "two")
    nfs.detach("two", Protocol.NFS, host)
    assert not shares.mounts()


def test_an_open_file_is_not_taken_away(nfs, host):
    made = nfs.attach("one", Protocol.NFS, host)
    with machine.Device(made.path), pytest.raises(InUse, match="has it open"):
        nfs.detach("one", Protocol.NFS, host)
    loop = subprocess.run(["losetup", "-f", "--show", made.path], capture_output=True, text=True, check=True).stdout.strip()
    try:
        with pytest.raises(InUse, match=loop):
            nfs.detach("one", Protocol.NFS, host, force=True)
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


def test_it_grows(nfs, host):
    made = nfs.attach("one", Protocol.NFS, host)
    nfs.extend_volume("one", 2 * GiB)
    grown = nfs.refresh_attachment("one", Protocol.NFS, host)
    assert (grown.path, grown.size) == (made.path, 2 * GiB)
    with machine.Device(grown.path) as file:
        expect_zeros(file, GiB, 65536, what="what was added")


def test_what_is_no_regular_file_is_not_handed_out(nfs, host, told):
    nfs.attach("two", Protocol.NFS, host)
    file = behind(told, nfs, "one")
    file.rename(file.with_name(".aside"))
    try:
        file.symlink_to("/etc/passwd")
        with pytest.raises(AttachError, match="no regular file"):
            nfs.attach("one", Protocol.NFS, host)
    finally:
        file.unlink()
        file.with_name(".aside").rename(file)
    assert not nfs.list_exports("one")
    assert list(shares.marked().values()) == [[nfs.get_volume("two").name]]


def test_a_process_that_was_killed_while_attaching_leaves_what_detach_removes(nfs, host, told):
    script = (
        "import os, signal; from blockdrivers.host import brick, shares; from blockdrivers.model import Export, Protocol\n"
        "real = brick.call\n"
        "def call(*a, **k):\n"
        "    real(*a, **k); os.kill(os.getpid(), signal.SIGKILL)\n"
        "brick.call = call\n"
        f"shares.ShareFile(Export('v', 'h', Protocol.NFS, location={told['nfs_export'] + '/' + nfs.get_volume('one').name!r})).attach('one')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], timeout=120, check=False)
    assert ended.returncode < 0
    assert shares.mounts()
    nfs.attach("one", Protocol.NFS, host)
    nfs.detach("one", Protocol.NFS, host)
    assert not shares.mounts()


def test_the_doctor_finds_a_share_that_nothing_needs(nfs, host):
    made = nfs.attach("one", Protocol.NFS, host)
    for mark in (shares.RUN / "shares").glob("*/*"):
        mark.unlink()
    finding = next(item for item in survey.machine() if item.check == "share without a volume")
    assert str(Path(made.path).parent) in finding.saw
    subprocess.run(finding.advice, shell=True, check=True)
    assert not shares.mounts()
