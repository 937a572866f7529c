"""Clones: what a cut-off call left at each of its steps, and what other calls do meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.macrosan import POOL
from blockdrivers.errors import AlreadyExists, InUse, NotFound, VendorError
from blockdrivers.model import GiB, Protocol, VolumeState
from tests.integration.macrosan.lab import ISCSI
from tests.waiting import Clock, out_of_time, until

COPY_STEPS = (
    ("POST", "lun", {"name": "bdtl-c", "owner": "SP1", "pool": POOL, "raids": [], "lun_mode": True, "size": 2, "lun_params": {}}),
    ("POST", "snapshot_view", {"view_name": "bdxl-c", "lun_name": "bdvl-v", "pointid": 1}),
    ("POST", "copy_volume", {"attr": "from_view", "lun_name": "bdtl-c", "view_name": "bdxl-c"}),
)
PAIR_STEPS = (
    COPY_STEPS[0],
    ("POST", "snapshot_resource", {"lun_name": "bdtl-c", "raids": ["RAID-1"], "size": 2}),
    ("POST", "local_clone", {"master": "bdvl-v", "slave": "bdtl-c"}),
    ("DELETE", "local_clone", {"lun": "bdtl-c"}),
    ("DELETE", "snapshot_resource", {"lun_name": "bdtl-c"}),
)
CUTS = [(steps, cut) for steps in (COPY_STEPS, PAIR_STEPS) for cut in range(1, len(steps) + 1)]


@pytest.fixture
def cut_off(started, backend):
    def cut(steps: tuple, number: int) -> None:
        backend.create_volume("v", 2 * GiB, POOL)
        backend.create_snapshot("s", "v")
        for method, resource, body in steps[:number]:
            started.tell(method, resource, **body)

    return cut


@pytest.mark.parametrize(("steps", "cut"), CUTS)
@pytest.mark.parametrize("of_snapshot", [False, True])
def test_an_unfinished_clone_is_begun_again(started, backend, cut_off, steps, cut, of_snapshot):
    cut_off(steps, cut)
    assert backend.get_volume("c").state is VolumeState.COPYING
    if of_snapshot:
        made = backend.create_volume_from_snapshot("c", "s", pool=POOL, of_volume="v")
    else:
        made = backend.clone_volume("c", "v")
    assert (made.size, made.state) == (2 * GiB, VolumeState.READY)
    assert started.luns() == ["bdvl-c", "bdvl-v"]
    assert started.clean()
    assert [item["lun"] for item in started.state("resources")] == ["bdvl-v"]


@pytest.mark.parametrize(("steps", "cut"), CUTS)
def test_an_unfinished_clone_is_deleted_with_all_that_belongs_to_it(started, backend, cut_off, steps, cut):
    cut_off(steps, cut)
    backend.delete_volume("c")
    assert started.luns() == ["bdvl-v"]
    assert started.clean()
    backend.delete_snapshot("s", of_volume="v")
    backend.delete_volume("v")


def test_a_copy_that_ends_while_it_is_looked_at_leaves_no_view(lab):
    started = lab(copy_seconds=60)
    backend = started.open()
    backend.create_volume("v", 2 * GiB, POOL)
    backend.create_snapshot("s", "v")
    for method, resource, body in COPY_STEPS:
        started.tell(method, resource, **body)
    started.before("GET /copy_volume.snapshot_copy_task_completed", started.array.family._array.jobs.clear)
    backend.delete_volume("c")
    assert started.luns() == ["bdvl-v"]
    assert started.clean()


def test_an_unfinished_clone_is_no_source_and_no_volume(started, backend, cut_off):
    cut_off(COPY_STEPS, 1)
    for refused in (
        lambda: backend.clone_volume("d", "c"),
        lambda: backend.extend_volume("c", 3 * GiB),
        lambda: backend.unmanage_volume("c", "legacy"),
        lambda: backend.create_snapshot("t", "c"),
        lambda: backend.export("c", ISCSI, Protocol.ISCSI),
    ):
        with pytest.raises((InUse, NotFound)):
            refused()
    with pytest.raises(AlreadyExists) as differs:
        backend.clone_volume("c", "v", pool="pool_b")
    assert "pool" in differs.value.differences
    assert started.luns() == ["bdtl-c", "bdvl-v"]


def test_a_clone_that_another_call_removed_is_begun_again(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.before("PUT /lun.name", lambda: started.tell("DELETE", "lun", name="bdtl-c"))
    assert backend.clone_volume("c", "v").state is VolumeState.READY
    assert started.luns() == ["bdvl-c", "bdvl-v"]


def test_a_clone_that_another_call_completed_is_taken(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.before("PUT /lun.name", lambda: started.tell("PUT", "lun", attr="name", old_name="bdtl-c", new_name="bdvl-c"))
    assert backend.clone_volume("c", "v").state is VolumeState.READY
    assert started.luns() == ["bdvl-c", "bdvl-v"]


def test_a_clone_that_is_refused_leaves_nothing(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    for operation in ("POST /copy_volume.from_view", "POST /local_clone"):
        started.array.faults.add({"kind": "answer", "code": "400", "operation": operation, "count": 9})
    with pytest.raises(VendorError, match="local_clone"):
        backend.clone_volume("c", "v")
    with pytest.raises(VendorError, match="copy_volume"):
        backend.create_volume_from_snapshot("c", "s", pool=POOL, of_volume="v")
    with pytest.raises(NotFound):
        backend.create_volume_from_snapshot("c", "absent", pool=POOL, of_volume="v")
    assert started.luns() == ["bdvl-v"]
    assert started.clean()


def test_a_clone_larger_than_its_source(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    assert backend.clone_volume("c", "v", size=3 * GiB, thin=False).size == 3 * GiB
    backend.create_volume_from_snapshot("d", "s", size=4 * GiB, pool="pool_b", of_volume="v")
    assert {item["name"]: (item["size"] // GiB, item["pool"], item["thin"]) for item in started.state("volumes")} == {
        "bdvl-v": (1, POOL, True),
        "bdvl-c": (3, POOL, False),
        "bdvl-d": (4, "pool_b", True),
    }


def test_a_copy_that_outlasts_the_deadline_is_waited_for_by_the_repeat(lab):
    clock = Clock()
    started = lab(copy_seconds=600, clock=clock)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")

    def make(seconds):
        return backend.create_volume_from_snapshot("c", "s", pool=POOL, of_volume="v", timeout=seconds)

    def copies_begun():
        return started.sent().count("POST /copy_volume.from_view")

    out_of_time(make, lambda said: "being copied to" in said and started.state("copies"))
    with ThreadPoolExecutor(1) as threads:
        asked = len(started.sent())
        repeat = threads.submit(make, 60)
        until(lambda: "DELETE /snapshot_view" in started.sent()[asked:])
        assert (repeat.done(), copies_begun()) == (False, 1)
        clock.advance(600)
        until(lambda: copies_begun() == 2)
        clock.advance(600)
        repeat.result()
    assert started.luns() == ["bdvl-c", "bdvl-v"]
    assert started.clean()
