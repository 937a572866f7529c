"""Shares whose server clones and copies files itself: NFSv4.2 CLONE and COPY, by this machine's own kernel server on the loopback."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from blockdrivers import Backend, GiB, Host, Protocol
from blockdrivers.errors import InUse
from blockdrivers.model import MiB
from blockdrivers.operations import Timeouts
from vendors.nfs.driver import open_driver
from vendors.nfs.options import NfsOptions

USER = Host("cmp01", addresses=("192.0.2.2",))
OPTIONS = "vers=4.2,soft,timeo=100,retrans=1"
DISKS = {"clones": ("xfs", "-m", "reflink=1"), "copies": ("ext4", "-O", "^has_journal")}
"""The exports, and how the file systems behind them are made: the first one's can share blocks, the other one's cannot."""
PLACES = [place * 16 * MiB for place in range(GiB // (16 * MiB))]
NUMBER = struct.Struct(">Q")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve both exports; yield the folders behind them."""
    base = tmp_path_factory.mktemp("served")
    folders = {}
    for name, (kind, *options) in DISKS.items():
        disk, folders[name] = base / f"{name}.img", base / name
        with disk.open("xb") as file:
            file.truncate(GiB)
        folders[name].mkdir()
        subprocess.run([f"mkfs.{kind}", "-q", *options, str(disk)], check=True)
        subprocess.run(["mount", "-o", "loop", str(disk), str(folders[name])], check=True)
        if kind == "ext4":
            (folders[name] / "lost+found").rmdir()
    rules = "rw,sync,no_root_squash,no_subtree_check"
    lines = [f"{folder} 127.0.0.1({rules},fsid={number})" for number, folder in enumerate(folders.values(), 1)]
    subprocess.run(["host-programs", "nfs-server", "\n".join(lines)], check=True)
    yield folders
    subprocess.run(["host-programs", "no-nfs-server"], check=True)
    for folder in folders.values():
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def shares(server, tmp_path):
    """Open a backend on both shares, in mounts of its own; these and all files are gone afterwards."""
    opened = []

    def start(**more):
        exports = [{"export": f"127.0.0.1:{folder}", "name": name, "mount_options": OPTIONS} for name, folder in server.items()]
        settings = NfsOptions.model_validate({"shares": exports, "mount_base": str(tmp_path / "ours"), **more})
        array = Backend(open_driver(settings, "files"), "files", timeouts=Timeouts(60, 60, 0.5))
        array.pools()
        opened.append(array)
        return array

    yield start
    for array in opened:
        for pool in server:
            subprocess.run(["umount", str(mount_of(array, pool))], check=True)
        array.close()
    for folder in server.values():
        for file in folder.iterdir():
            file.unlink()


@pytest.fixture
def host(server, tmp_path):
    """The shares as a host has them, with caches of its own."""
    base = tmp_path / "host"
    for name, folder in server.items():
        (base / name).mkdir(parents=True)
        command = ["mount", "-t", "nfs", "-o", f"{OPTIONS},nosharecache", f"127.0.0.1:{folder}", str(base / name)]
        subprocess.run(command, check=True)
    yield base
    for name in server:
        subprocess.run(["umount", str(base / name)], check=True)


def mount_of(array, pool):
    return array.driver._mounts.folder(pool)


def asked(array, pool):
    """Return how often the server was asked for each operation, by the mount of that share."""
    text = Path("/proc/self/mountstats").read_text(encoding="utf-8")
    mine = next(part for part in text.split("\ndevice ") if f" mounted on {mount_of(array, pool)} with " in part)
    return {found[1]: int(found[2]) for found in re.finditer(r"^\s+([A-Z_]+): (\d+) ", mine, re.MULTILINE)}


@contextmanager
def moving(array, pool, *, told):
    """See which of the operations that move bytes the server was asked for meanwhile: written to `told`."""
    before = asked(array, pool)
    yield
    after = asked(array, pool)
    told.clear()
    told |= {name: after[name] - before[name] for name in ("CLONE", "COPY", "READ", "WRITE") if after[name] != before[name]}


@contextmanager
def writing(file):
    """Let a host write one number after the other, from place to place and round again, each before the next one."""
    enough, over = threading.Event(), threading.Event()

    def write():
        disk = os.open(file, os.O_WRONLY | os.O_DSYNC)
        try:
            number = 0
            while not over.is_set():
                os.pwrite(disk, NUMBER.pack(number), PLACES[number % len(PLACES)])
                number += 1
                if number == 2 * len(PLACES):
                    enough.set()
        finally:
            os.close(disk)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert enough.wait(60)
        yield
    finally:
        over.set()
        thread.join(60)


def numbers(file):
    with file.open("rb", buffering=0) as disk:
        return sorted(NUMBER.unpack(os.pread(disk.fileno(), NUMBER.size, place))[0] for place in PLACES)


def expect_one_moment(file):
    """Of one moment are the last numbers that were written until then, none left out."""
    found = numbers(file)
    assert found == list(range(found[0], found[0] + len(PLACES))), f"{file.name} holds numbers of several moments: {found}"
    return found[-1]


def test_a_disk_that_is_written_gets_snapshots_and_clones_of_one_moment(shares, host, server):
    array, told = shares(server_clones=True), {}
    array.create_volume("v", GiB, "clones")
    array.export("v", USER, Protocol.NFS)
    with writing(host / "clones" / "bdvl-v"):
        for number in range(3):
            with moving(array, "clones", told=told):
                array.create_snapshot(f"s{number}", "v")
            assert told == {"CLONE": 1}
        with moving(array, "clones", told=told):
            array.clone_volume("c", "v")
        assert told == {"CLONE": 1}
        with moving(array, "clones", told=told):
            array.create_volume_from_snapshot("d", "s1", pool="clones")
        assert told == {"CLONE": 1}
    names = ["bdsl-s0{bdvl-v}", "bdsl-s1{bdvl-v}", "bdsl-s2{bdvl-v}", "bdvl-c", "bdvl-v"]
    moments = [expect_one_moment(server["clones"] / name) for name in names]
    assert moments == sorted(moments)
    assert numbers(server["clones"] / "bdvl-d") == numbers(server["clones"] / "bdsl-s1{bdvl-v}")


def test_clones_are_independent_and_a_revert_keeps_the_file(shares, host, server):
    array, told, behind = shares(server_clones=True), {}, server["clones"]
    first, second = os.urandom(8 * MiB), os.urandom(8 * MiB)

    def put(name, data):
        with (host / "clones" / name).open("r+b") as disk:
            disk.seek(512 * MiB)
            disk.write(data)

    def held(name):
        with (behind / name).open("rb") as disk:
            disk.seek(512 * MiB)
            return disk.read(8 * MiB)

    made = array.create_volume("v", GiB, "clones")
    array.export("v", USER, Protocol.NFS)
    put("bdvl-v", first)
    before = os.statvfs(behind).f_bfree * os.statvfs(behind).f_frsize
    array.create_snapshot("s", "v")
    array.clone_volume("c", "v")
    array.clone_volume("large", "v", size=2 * GiB)
    assert array.get_volume("large").size == 2 * GiB
    # Blocks are shared until they are written.
    assert before - os.statvfs(behind).f_bfree * os.statvfs(behind).f_frsize < 4 * MiB
    put("bdvl-c", second)
    put("bdvl-v", second)
    assert [held(name) == first for name in ("bdsl-s{bdvl-v}", "bdvl-large", "bdvl-c", "bdvl-v")] == [True, True, False, False]
    with pytest.raises(InUse, match="exported"):
        array.revert_volume("v", "s")
    with (host / "clones" / "bdvl-v").open("rb") as open_disk:
        with moving(array, "clones", told=told):
            array.revert_volume("v", "s", force=True)
        assert told == {"CLONE": 1}
        os.posix_fadvise(open_disk.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.fstat(open_disk.fileno()).st_ino == (behind / "bdvl-v").stat().st_ino
    assert array.get_volume("v").id == made.id
    assert (held("bdvl-v") == first, held("bdvl-c") == second) == (True, True)


def test_qcow2_disks_are_cloned_under_a_host_s_hands(shares, host, server):
    array, told = shares(server_clones=True, format="qcow2"), {}

    def disk(path, *commands):
        words = [word for command in commands for word in ("-c", command)]
        ended = subprocess.run(["qemu-io", "-f", "qcow2", *words, str(path)], capture_output=True, text=True, check=False)
        assert (ended.returncode, "verification failed" in ended.stdout) == (0, False), f"{ended.stdout}{ended.stderr}"

    array.create_volume("v", GiB, "clones")
    array.export("v", USER, Protocol.NFS)
    disk(host / "clones" / "bdvl-v", "write -P 1 512M 64k", "write -P 3 900M 64k")
    with moving(array, "clones", told=told):
        array.create_snapshot("s", "v")
        array.create_volume_from_snapshot("c", "s", pool="clones")
    assert told.pop("CLONE") == 2
    # Headers are read.
    assert told.keys() <= {"READ"}
    disk(host / "clones" / "bdvl-v", "write -P 2 512M 64k")
    disk(host / "clones" / "bdvl-c", "read -P 1 512M 64k", "read -P 3 900M 64k", "write -P 4 900M 64k")
    array.unexport("v", USER, Protocol.NFS)
    array.revert_volume("v", "s")
    disk(server["clones"] / "bdvl-v", "read -P 1 512M 64k", "read -P 3 900M 64k")


@pytest.mark.parametrize("server_clones", [False, True])
def test_a_server_that_cannot_clone_copies_what_no_host_uses(shares, server, server_clones):
    array, told = shares(server_clones=server_clones), {}
    array.create_volume("v", GiB, "copies")
    data = os.urandom(8 * MiB)
    with (server["copies"] / "bdvl-v").open("r+b") as disk:
        disk.seek(512 * MiB)
        disk.write(data)
    for copied in (lambda: array.create_snapshot("s", "v"), lambda: array.clone_volume("c", "v")):
        with moving(array, "copies", told=told):
            copied()
        # It refuses to clone, which the kernel asks once; what it copies then never comes here.
        assert (told.pop("CLONE", 0) < 2, told.pop("COPY", 0) > 0, told) == (True, True, {})
    for name in ("bdsl-s{bdvl-v}", "bdvl-c"):
        with (server["copies"] / name).open("rb") as disk:
            assert os.fstat(disk.fileno()).st_blocks * 512 < 12 * MiB, "holes are left out"
            disk.seek(512 * MiB)
            assert disk.read(8 * MiB) == data
    array.export("v", USER, Protocol.NFS)
    before = sorted(server["copies"].iterdir())
    for refused in (lambda: array.create_snapshot("t", "v"), lambda: array.clone_volume("d", "v")):
        with pytest.raises(InUse, match="server_clones says so" if server_clones else "not said to clone"):
            refused()
    assert sorted(server["copies"].iterdir()) == before
    assert list(array.sweep()) == []
