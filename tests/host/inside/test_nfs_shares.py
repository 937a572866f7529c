"""Shares of an NFS server, driven over this machine's own mounts: one that fills up, goes away, is gone, or lets nobody in."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from blockdrivers import Backend, GiB, Host, Protocol
from blockdrivers.errors import AlreadyExists, DeadlineExceeded, InUse, InvalidRequest, OutOfSpace
from blockdrivers.model import MiB
from blockdrivers.operations import Timeouts
from conformance.suite import machine
from conformance.suite.disks import expect_stamp, stamp
from vendors.nfs.driver import open_driver
from vendors.nfs.options import NfsOptions

SOFT = "vers=4.2,soft,timeo=10,retrans=1"
USER = Host("cmp01", addresses=("192.0.2.2",))


@pytest.fixture
def shares(told, tmp_path):
    """Open backends on the server's shares, each with mounts of its own; these and all files are gone afterwards."""
    server = told["nfs_export"].partition(":")[0]
    opened = []

    def start(*names, options=SOFT, **more):
        base = tmp_path / str(len(opened))
        shares = [{"export": f"{server}:/{name}", "name": name, "mount_options": options} for name in names]
        settings = NfsOptions.model_validate({"shares": shares, "mount_base": str(base), "answer_seconds": 5} | more)
        array = Backend(open_driver(settings, "files"), "files", timeouts=Timeouts(60, 60, 0.5))
        opened.append((array, base))
        return array

    yield start
    for array, base in opened:
        array.close()
        for mounted in base.iterdir():
            for file in mounted.iterdir():
                file.unlink()
            subprocess.run(["umount", str(mounted)], check=True)


def mount_of(array, pool):
    return array.driver._mounts.folder(pool)


@contextmanager
def away(told):
    """Let the server of the shares be out of reach, and nothing else."""
    server = told["nfs_export"].partition(":")[0]
    rule = ["to", server, "ipproto", "tcp", "dport", "2049", "blackhole"]
    subprocess.run(["ip", "rule", "add", "pref", "1", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "rule", "del", "pref", "1"], check=True)


def test_a_volume_s_life_on_kernel_mounts(shares):
    array, beside = shares("large", "small"), shares("large", "small")
    array.create_volume("v", GiB, "large")
    assert beside.get_volume("v").id == array.get_volume("v").id
    with pytest.raises(AlreadyExists, match="pool"):
        beside.create_volume("v", GiB, "small")
    with machine.Device(str(mount_of(array, "large") / "bdvl-v")) as disk:
        stamp(disk, "before")
    array.create_snapshot("s", "v")
    with machine.Device(str(mount_of(array, "large") / "bdvl-v")) as disk:
        stamp(disk, "after")
    array.create_volume_from_snapshot("c", "s", pool="small", size=2 * GiB)
    assert array.extend_volume("v", 2 * GiB).size == 2 * GiB
    with machine.Device(str(mount_of(beside, "small") / "bdvl-c")) as disk:
        expect_stamp(disk, "before", what="a volume of the snapshot", size=GiB)
    # The space of a sparse disk is that of its bytes, in copies too.
    assert sum(pool.total_bytes - pool.free_bytes for pool in array.pools() if pool.name == "small") < 16 * MiB
    array.export("v", USER, Protocol.NFS)
    with pytest.raises(InUse):
        beside.clone_volume("d", "v")
    array.unexport("v", USER, Protocol.NFS)
    array.delete_snapshot("s")
    for name in ("v", "c"):
        beside.delete_volume(name)
    assert (list(array.list_volumes(foreign=True)), list(array.sweep())) == ([], [])


def test_permissions_are_those_asked_for(shares):
    array = shares("large", file_mode="640", owner=12, group=34)
    array.create_volume("v", GiB, "large")
    facts = (mount_of(array, "large") / "bdvl-v").stat()
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o640, 12, 34)


def test_a_share_that_squashes_root_says_what_to_check(shares):
    array = shares("squashed")
    with pytest.raises(InvalidRequest, match="export's rules"):
        array.create_volume("v", GiB, "squashed")
    assert list(array.list_volumes(foreign=True)) == []


def test_a_full_share_leaves_nothing(shares):
    array = shares("small", "large")
    with pytest.raises(OutOfSpace, match="free some"):
        array.create_volume("thick", GiB, "small", thin=False)
    array.create_volume("v", GiB, "large")
    with (mount_of(array, "large") / "bdvl-v").open("r+b") as file:
        for _ in range(10):
            file.write(os.urandom(8 * MiB))
    with pytest.raises(OutOfSpace):
        array.clone_volume("c", "v", pool="small")
    assert list(mount_of(array, "small").iterdir()) == []
    assert array.create_volume("w", GiB, "small").size == GiB


@pytest.mark.parametrize("options", [SOFT, "vers=4.2,hard"], ids=["soft", "hard"])
def test_a_server_that_goes_away_holds_nobody_up_and_comes_back(shares, told, options):
    array = shares("large", options=options, answer_seconds=2)
    made = array.create_volume("v", GiB, "large")
    with away(told):
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"does not answer|is away"):
            array.create_volume("w", GiB, "large", timeout=3)
        with pytest.raises(DeadlineExceeded, match=r"does not answer|is away"):
            array.get_volume("v", timeout=1)
        assert time.monotonic() - begun < 10
    assert array.create_volume("w", GiB, "large").size == GiB
    assert array.get_volume("v").id == made.id


def test_a_share_that_was_unmounted_is_mounted_again_and_nothing_is_written_below(shares):
    array = shares("large")
    array.create_volume("v", GiB, "large")
    subprocess.run(["umount", str(mount_of(array, "large"))], check=True)
    assert list(Path(mount_of(array, "large")).iterdir()) == []
    assert array.get_volume("v").size == GiB
    assert os.path.ismount(mount_of(array, "large"))
