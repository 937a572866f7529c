"""Generic NFS shares: what a server does, and what becomes of one that fills up, goes away or is another. Needs root, for mounts.

A tmpfs stands for the mounted share here, as large as a test wants and mounted under the export's name; hosts reach its files through
a real NFS server. A share that is really mounted over NFS takes another kernel: `tests/host/inside/test_nfs_shares.py`.
"""

from __future__ import annotations

import os
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from blockdrivers.backend import Backend
from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    DeadlineExceeded,
    InUse,
    InvalidRequest,
    NotFound,
    OutOfSpace,
    Unreachable,
)
from blockdrivers.host import programs
from blockdrivers.model import Dependant, GiB, Host, MiB, Protocol
from blockdrivers.naming import Kind, array_name
from blockdrivers.operations import Timeouts
from conformance import runner
from conformance.outcome import Result
from conformance.simulation.nfs import ganesha
from conformance.suite.disks import expect_stamp, expect_zeros, stamp
from conformance.suite.nfsfile import NfsFile
from conformance.target import Target
from vendors.nfs import copying
from vendors.nfs.driver import open_driver
from vendors.nfs.options import NfsOptions

HOST = Host("cmp01", addresses=("192.0.2.1",))


class Shares:
    """Two mounted shares, ``a`` and ``b``."""

    def __init__(self, stack: ExitStack, folder: Path, size: str) -> None:
        self.folder, self.size, self._stack = folder, size, stack
        self.address = ganesha.free_address()
        stack.callback(self.unmount, "a")
        stack.callback(self.unmount, "b")
        for name in "ab":
            (folder / name).mkdir()
            self.mount(name)

    def mount(self, name: str, source: str | None = None) -> None:
        export = source or f"{self.address}:/{name}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", export, str(self.folder / name)], check=True)

    def unmount(self, name: str) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder / name)], check=False, stderr=subprocess.DEVNULL)

    def serve(self) -> None:
        server = ganesha.NfsServer(self.folder, ["a", "b"], self.address)
        self._stack.callback(server.close)

    def options(self, **more) -> dict:
        shares = [{"export": f"{self.address}:/{name}", "name": name, "folder": str(self.folder / name)} for name in "ab"]
        return {"shares": shares} | more

    def open(self, **more) -> Backend:
        options = NfsOptions.model_validate(self.options(**more))
        return self._stack.enter_context(Backend(open_driver(options, "files"), "files", timeouts=Timeouts(10, 20, 0.5)))

    def names(self, share: str = "a") -> list[str]:
        return sorted(entry.name for entry in (self.folder / share).iterdir())


@pytest.fixture
def shares(tmp_path):
    with ExitStack() as stack:
        yield lambda size="64m": Shares(stack, tmp_path, size)


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_a_volume_s_life(shares, format):
    started = shares()
    array = started.open(format=format)
    made = array.create_volume("v", GiB, "a")
    assert array.create_volume("v", GiB, "a") == made
    with pytest.raises(AlreadyExists, match="pool"):
        started.open(format=format).create_volume("v", GiB, "b")
    assert array.extend_volume("v", 2 * GiB).size == 2 * GiB
    array.create_snapshot("s", "v")
    assert array.get_volume("v").dependants == {Dependant.SNAPSHOT}
    assert array.clone_volume("c", "v", size=3 * GiB, pool="b").size == 3 * GiB
    assert array.create_volume_from_snapshot("d", "s", pool="a").size == 2 * GiB
    array.revert_volume("v", "s")
    export = array.export("v", HOST, Protocol.NFS)
    assert (export.location, export.format) == (f"{started.address}:/a/bdvl-v", format)
    assert array.list_exports("v") == [export]
    with pytest.raises(InUse, match="exported to"):
        array.create_snapshot("s2", "v")
    array.unexport("v", HOST, Protocol.NFS)
    array.remove_host(HOST)
    array.unmanage_volume("v", "old.img")
    assert started.names() == ["bdsl-s{old.img}", "bdvl-d", "old.img"]
    array.manage_volume("w", "old.img")
    assert array.get_snapshot("s").volume_id == "w"
    array.delete_snapshot("s")
    for name in ("w", "c", "d"):
        array.delete_volume(name)
    assert (started.names("a"), started.names("b"), list(array.sweep())) == ([], [], [])


def test_bytes_that_hosts_write_over_nfs(shares):
    started = shares()
    started.serve()
    array = started.open()
    array.create_volume("v", GiB, "a")

    def opened(name: str) -> NfsFile:
        return NfsFile(array.export(name, HOST, Protocol.NFS).location)

    disk = opened("v")
    assert disk.size == GiB
    expect_zeros(disk, 0, MiB, what="a new volume")
    stamp(disk, "before")
    disk.close()
    array.unexport("v", HOST, Protocol.NFS)
    array.create_snapshot("s", "v")
    disk = opened("v")
    stamp(disk, "after")
    disk.close()
    array.unexport("v", HOST, Protocol.NFS)
    array.clone_volume("c", "v", size=2 * GiB, pool="b")
    array.revert_volume("v", "s")
    for name, word, size in (("v", "before", GiB), ("c", "after", GiB)):
        disk = opened(name)
        expect_stamp(disk, word, what=name, size=size)
        disk.close()


def test_bytes_of_qcow2_files_as_hypervisors_write_them(shares):
    started = shares()
    array = started.open(format="qcow2")

    def disk(name: str, *commands: str) -> None:
        path = started.folder / name
        said = subprocess.run(
            ["qemu-io", "-f", "qcow2", *(word for command in commands for word in ("-c", command)), str(path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "verification failed" not in said, said

    array.create_volume("v", GiB, "a")
    disk("a/bdvl-v", "write -P 1 512M 64k")
    array.create_snapshot("s", "v")
    disk("a/bdvl-v", "write -P 2 512M 64k")
    array.clone_volume("c", "v", size=2 * GiB, pool="b")
    array.create_volume_from_snapshot("d", "s", pool="a")
    array.extend_volume("v", 2 * GiB)
    disk("a/bdvl-v", "read -P 2 512M 64k", "read -P 0 1G 64k", "write -P 3 1G 64k")
    disk("b/bdvl-c", "read -P 2 512M 64k", "read -P 0 1G 64k")
    disk("a/bdvl-d", "read -P 1 512M 64k")
    array.delete_snapshot("s")
    array.create_snapshot("t", "v")
    disk("a/bdvl-v", "write -P 4 1G 64k")
    array.revert_volume("v", "t")
    disk("a/bdvl-v", "read -P 2 512M 64k", "read -P 3 1G 64k")


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_a_file_that_leaves_while_it_grows_has_grown_where_it_has_gone(shares, monkeypatch, format):
    started = shares()
    array, other = started.open(format=format), started.open(format=format)
    array.create_volume("v", GiB, "a")
    files = array.driver._files
    real = files._qemu_img if format == "qcow2" else os.ftruncate

    def leaving(file, size):
        monkeypatch.undo()
        other.retype_volume("v", pool="b")
        real(file, size)

    def left(*arguments, **more):
        monkeypatch.undo()
        other.retype_volume("v", pool="b")
        # qemu-img has the file open by then.
        more["after"] = ()
        yield from real(arguments[0], "../b/bdvl-v", "info", **more)

    monkeypatch.setattr(*((files, "_qemu_img", left) if format == "qcow2" else (os, "ftruncate", leaving)))
    assert array.extend_volume("v", 2 * GiB).size == 2 * GiB
    found = array.get_volume("v")
    assert (found.pool, found.size) == ("b", 2 * GiB)
    assert (started.names("a"), started.names("b")) == ([], ["bdvl-v"])


def test_every_check_that_applies(shares, tmp_path):
    started = shares("2g")
    started.serve()
    config = tmp_path / "backends.yaml"
    config.touch(mode=0o600)
    config.write_text(yaml.safe_dump({"backends": {"files": {"adapter": "nfs-shares", "options": started.options()}}}))
    hosts = (HOST, Host("cmp02", addresses=("192.0.2.2",)))
    target = Target(config, "files", Protocol.NFS, "a", "b", hosts, None, "NCS10000")
    chosen = "essential,volume,snapshot,clone,export,unexport,host,revert,retype,manage,dependants,reuse,data,naming,random,size,concurrency"
    outcomes = runner.run(target, select=chosen)
    failed = {outcome.check.id: outcome.detail for outcome in outcomes if outcome.result is Result.FAILED}
    assert failed == {}
    passed = {outcome.check.id for outcome in outcomes if outcome.result is Result.PASSED}
    assert {
        "data.written",
        "data.snapshot",
        "data.clone",
        "data.sequences",
        "random.sequences",
        "clone.in_use",
        "retype.in_use",
        "data.moved",
    } <= passed


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


# Several at once


def test_one_id_from_many_threads_is_one_file(shares):
    started = shares()
    backends = [started.open(), started.open()]
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda number: backends[number % 2].create_volume("v", GiB, "a", timeout=20).id, range(8)))
    assert len(made) == 1
    assert (started.names("a"), started.names("b")) == (["bdvl-v"], [])


def test_one_id_for_two_shares_at_once_is_one_file(shares):
    started = shares()
    backends = {"a": started.open(), "b": started.open()}

    def make(where: str) -> str | None:
        try:
            return backends[where].create_volume("v", GiB, where, timeout=20).pool
        except AlreadyExists:
            return None

    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            made = set(pool.map(make, "ab")) - {None}
        (where,) = made
        assert (started.names(where), started.names("ab".replace(where, ""))) == (["bdvl-v"], [])
        backends[where].delete_volume("v")


@pytest.mark.parametrize("server_clones", [False, True])
def test_a_disk_that_a_host_is_given_while_it_is_copied_has_no_copy(shares, monkeypatch, server_clones):
    started = shares()
    array = started.open(server_clones=server_clones)
    array.create_volume("v", GiB, "a")
    real = copying.copy

    def copy(source, target):
        started.open().export("v", HOST, Protocol.NFS)
        yield from real(source, target)

    monkeypatch.setattr(copying, "copy", copy)
    for copied in (lambda: array.create_snapshot("s", "v"), lambda: array.clone_volume("c", "v", pool="b")):
        with pytest.raises(InUse, match="exported to"):
            copied()
        started.open().unexport("v", HOST, Protocol.NFS)
    assert [name for name in started.names("a") + started.names("b") if name.startswith(("bdt", "bds"))] == []


def test_a_draft_that_another_call_takes_away_is_made_again(shares, monkeypatch):
    started = shares()
    array = started.open(format="qcow2")
    array.create_volume("source", GiB, "a")
    real, taken = programs.run, []

    def run(seconds, program, *arguments):
        if len(taken) in {0, 2}:
            (draft,) = (started.folder / "a").glob("bdt*")
            draft.unlink()
        taken.append(arguments[0])
        return real(seconds, program, *arguments)

    monkeypatch.setattr(programs, "run", run)
    assert array.create_volume("v", GiB, "a").size == GiB
    assert stat.S_IMODE((started.folder / "a" / "bdvl-v").stat().st_mode) == 0o660
    assert array.clone_volume("c", "source", size=2 * GiB).size == 2 * GiB
    assert taken == ["create", "create", "resize", "resize"]
    assert started.names() == ["bdvl-c", "bdvl-source", "bdvl-v"]


def test_a_retry_does_not_write_into_what_was_published(shares):
    started = shares()
    array = started.open()
    array.create_volume("source", GiB, "a")
    array.create_volume("v", GiB, "a")
    (started.folder / "a" / "bdvl-v").write_bytes(b"a host's")
    # The draft's name is still there, of a call that was cut off between the two links.
    draft = array_name(Kind.TEMPORARY, f"{os.uname().nodename} {os.getpid()} {threading.get_ident()}", 31)
    os.link(started.folder / "a" / "bdvl-v", started.folder / "a" / f"{draft}{{bdvl-v}}")
    with pytest.raises(AlreadyExists):
        array.clone_volume("v", "source")
    assert (started.folder / "a" / "bdvl-v").read_bytes() == b"a host's"
    assert "{" not in "".join(started.names())


def test_what_a_killed_process_left_is_swept(shares):
    started = shares()
    array = started.open()
    array.create_volume("v", GiB, "a")
    helper = array_name(Kind.TEMPORARY, "somebody", 31)
    (started.folder / "a" / helper).write_bytes(b"half")
    (started.folder / "a" / "bdsl-s{bdvl-gone}").write_bytes(b"orphan")
    assert {leftover.name for leftover in array.sweep(remove=True)} == {helper, "bdsl-s{bdvl-gone}"}
    assert started.names() == ["bdvl-v"]


@pytest.mark.parametrize("call", ["get", "export", "delete", "create", "extend", "sweep"])
def test_a_deletion_that_was_cut_off_has_not_happened(shares, call):
    started = shares()
    array = started.open()
    made = array.create_volume("v", GiB, "a")
    away = "bdaway-bdtl-killed{bdvl-v}"
    (started.folder / "a" / "bdvl-v").rename(started.folder / "a" / away)
    assert [leftover.name for leftover in array.sweep()] == [away]
    if call == "get":
        assert array.get_volume("v") == made
    elif call == "export":
        array.export("v", HOST, Protocol.NFS)
        assert list(array.sweep()) == []
        return
    elif call == "create":
        with pytest.raises(AlreadyExists, match="pool"):
            started.open().create_volume("v", GiB, "b")
        assert array.create_volume("v", GiB, "a") == made
    elif call == "extend":
        assert array.extend_volume("v", 2 * GiB).id == made.id
    elif call == "delete":
        array.delete_volume("v")
    else:
        array.sweep(remove=True)
    assert started.names() == ([] if call in {"delete", "sweep"} else ["bdvl-v"])


def test_two_shares_of_one_name_are_refused(shares):
    options = {"shares": [{"export": "s:/a", "name": "x"}, {"export": "s:/b", "name": "x"}]}
    with pytest.raises(InvalidRequest, match="one name"):
        open_driver(NfsOptions.model_validate(options), "x")
