"""Shares that fill up, go away or are others, and files that are not what they seem."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
import time

import pytest

from blockdrivers.backend import Backend
from blockdrivers.errors import BlockDriversError, DeadlineExceeded, InvalidRequest, NotFound, OutOfSpace, Unreachable
from blockdrivers.model import GiB, MiB, Protocol
from blockdrivers.operations import Timeouts
from tests.integration.nfs.lab import HOST
from vendors.nfs.driver import open_driver
from vendors.nfs.options import NfsOptions

# Space and permissions


def test_a_thick_volume_has_its_space_and_a_thin_one_takes_none(shares):
    started = shares("3g")
    array = started.open()
    before = {pool.name: pool for pool in array.pools()}["a"]
    array.create_volume("thin", 2 * GiB, "a")
    thick = array.create_volume("thick", GiB, "a", thin=False)
    assert (array.get_volume("thin").allocated_bytes, thick.allocated_bytes) == (0, GiB)
    after = {pool.name: pool for pool in array.pools()}["a"]
    assert before.free_bytes - after.free_bytes == pytest.approx(GiB, abs=MiB)
    assert after.provisioned_bytes == 3 * GiB
    assert array.extend_volume("thick", 2 * GiB).size == 2 * GiB
    assert array.get_volume("thick").allocated_bytes == 2 * GiB
    assert [array.get_volume(name).thin for name in ("thin", "thick")] == [True, False]


def test_a_share_that_fills_up_leaves_nothing(shares):
    started = shares("64m")
    array = started.open()
    with pytest.raises(OutOfSpace, match="free some"):
        array.create_volume("thick", GiB, "a", thin=False)
    assert started.names() == []
    array.create_volume("v", GiB, "a")
    (started.folder / "a" / "bdvl-v").write_bytes(os.urandom(40 * MiB))
    os.truncate(started.folder / "a" / "bdvl-v", GiB)
    for copy in (lambda: array.clone_volume("c", "v"), lambda: array.create_snapshot("s", "v")):
        with pytest.raises(OutOfSpace):
            copy()
        assert started.names() == ["bdvl-v"]
    assert array.clone_volume("c", "v", pool="b").size == GiB


def test_permissions_are_those_asked_for_whatever_the_mask(shares):
    started = shares()
    before = os.umask(0o077)
    try:
        array = started.open(file_mode="640", owner=12, group=34)
        array.create_volume("v", GiB, "a")
        array.create_snapshot("s", "v")
        array.clone_volume("c", "v", size=2 * GiB, pool="b")
    finally:
        os.umask(before)
    for path in (started.folder / "a" / "bdvl-v", started.folder / "a" / "bdsl-s{bdvl-v}", started.folder / "b" / "bdvl-c"):
        facts = path.stat()
        assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o640, 12, 34)


# Shares that are not there


def test_nothing_is_written_where_the_share_is_not_mounted(shares):
    started = shares()
    array = started.open()
    array.create_volume("v", GiB, "a")
    started.unmount("a")
    for call in (
        lambda: array.create_volume("w", GiB, "a"),
        lambda: array.extend_volume("v", 2 * GiB),
        lambda: array.delete_volume("v"),
        lambda: array.create_snapshot("s", "v"),
        array.pools,
    ):
        with pytest.raises(Unreachable, match="not mounted"):
            call()
    assert started.names() == []
    started.mount("a", source="another:/share")
    with pytest.raises(Unreachable, match="not mounted"):
        array.create_volume("w", GiB, "a")
    assert started.names() == []
    started.unmount("a")
    started.mount("a")
    assert array.create_volume("w", GiB, "a").size == GiB


def test_a_server_that_does_not_answer_holds_nobody_up(shares, monkeypatch):
    started = shares()
    started.open().create_volume("v", GiB, "a")
    array = started.open(answer_seconds=0.2)
    released = threading.Event()
    real = os.lstat

    def silent(*arguments, **more):
        released.wait(20)
        return real(*arguments, **more)

    monkeypatch.setattr(os, "lstat", silent)
    begun = time.monotonic()
    try:
        with pytest.raises(DeadlineExceeded, match="does not answer"):
            array.get_volume("v", timeout=1)
    finally:
        released.set()
    assert time.monotonic() - begun < 5


def test_a_share_that_this_machine_cannot_mount_is_told(tmp_path):
    options = {"shares": [{"export": "127.0.0.1:/nowhere", "mount_options": "vers=4.2"}], "mount_base": str(tmp_path)}
    array = Backend(open_driver(NfsOptions.model_validate(options), "x"), "x", timeouts=Timeouts(5, 5, 0.1))
    with pytest.raises((Unreachable, DeadlineExceeded), match="cannot be mounted"):
        array.create_volume("v", GiB, "127.0.0.1:/nowhere")


# Files that are not what they seem


def test_links_and_foreign_files_are_not_followed(shares, tmp_path):
    started = shares()
    array = started.open()
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (started.folder / "a" / "bdvl-v").symlink_to(secret)
    with pytest.raises(NotFound):
        array.get_volume("v")
    with pytest.raises(BlockDriversError):
        array.create_volume("v", GiB, "a", timeout=1)
    assert secret.read_bytes() == b"secret"
    for name in ("../secret", "a/b", "..", "*"):
        with pytest.raises(NotFound):
            array.manage_volume("w", name)


def test_a_qcow2_file_that_refers_to_others_is_no_volume(shares, tmp_path):
    started = shares()
    array = started.open(format="qcow2")
    base = tmp_path / "base.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(base), "1G"], check=True)
    chained = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(started.folder / "a" / "chained")]
    subprocess.run(chained, check=True)
    options = f"data_file={tmp_path / 'raw'},data_file_raw=on"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", options, str(started.folder / "a" / "split"), "1G"], check=True
    )
    (started.folder / "a" / "raw").write_bytes(bytes(MiB))
    assert array.list_volumes(foreign=True) == []
    for name in ("chained", "split", "raw"):
        with pytest.raises(NotFound):
            array.manage_volume("v", name)


def test_a_guest_s_header_in_a_raw_volume_means_nothing(shares, tmp_path):
    started = shares()
    array = started.open()
    array.create_volume("v", GiB, "a")
    evil = tmp_path / "evil"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", str(evil), "1T"], check=True)
    with (started.folder / "a" / "bdvl-v").open("r+b") as file:
        file.write(evil.read_bytes()[:MiB])
    assert array.get_volume("v").size == GiB
    assert array.export("v", HOST, Protocol.NFS).format == "raw"


def test_two_shares_of_one_name_are_refused(shares):
    options = {"shares": [{"export": "s:/a", "name": "x"}, {"export": "s:/b", "name": "x"}]}
    with pytest.raises(InvalidRequest, match="one name"):
        open_driver(NfsOptions.model_validate(options), "x")
