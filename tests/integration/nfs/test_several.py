"""Several calls at once, and what those left that were cut off."""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.errors import AlreadyExists, InUse
from blockdrivers.host import programs
from blockdrivers.model import GiB, Protocol
from blockdrivers.naming import Kind, array_name
from tests.integration.nfs.lab import HOST
from vendors.nfs import copying


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
