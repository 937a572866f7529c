"""What becomes of volumes on a share, and of their bytes."""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml

from blockdrivers.errors import AlreadyExists, InUse
from blockdrivers.model import Dependant, GiB, Host, MiB, Protocol
from conformance import runner
from conformance.outcome import Result
from conformance.suite.disks import expect_stamp, expect_zeros, stamp
from conformance.suite.nfsfile import NfsFile
from conformance.target import Target
from tests.integration.nfs.lab import HOST


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
