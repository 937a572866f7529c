"""Many at once: threads, processes, and the array's own refusals between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from blockdrivers.errors import BlockDriversError, Busy, InUse, NotFound
from blockdrivers.model import Export, GiB, Volume
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.nursery import Call
from conformance.suite.rig import Rig, told

T = TypeVar("T")

_THREADS = 8
_ROUNDS = 4


def _together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make the calls at the same time; fail with every error that came."""
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [pool.submit(call) for call in calls]
    errors = [told(error) for future in futures if isinstance(error := future.exception(), BlockDriversError)]
    assert not errors, f"{len(errors)} of {len(calls)} calls failed: {errors[:3]}"
    return [future.result() for future in futures]


@check(
    "concurrency.volumes",
    Level.STANDARD,
    "Different volumes in parallel",
    title_zh="多线程并行操作不同的卷",
    requirement="Eight threads make, snapshot, export, unexport and delete volumes of their own without disturbing each other.",
)
def test_volumes(rig: Rig) -> None:
    grows_in_use = rig.capabilities.extend_with_snapshots and rig.capabilities.online_extend

    def life(number: int) -> None:
        tag = f"v{number}"
        for round_ in range(2):
            made = rig.volume(tag, (1 + number) * GiB)
            rig.backend.create_snapshot(rig.id(f"s{number}"), rig.id(tag))
            export = rig.export(tag)
            assert export.wwn == made.wwn, f"round {round_}: {tag} has WWN {made.wwn}, its export {export.wwn}"
            grow = partial(rig.backend.extend_volume, rig.id(tag), (2 + number) * GiB)
            if grows_in_use:
                grow()
            rig.backend.unexport(rig.id(tag), rig.host, rig.protocol)
            rig.drop_snapshot(f"s{number}", tag)
            if not grows_in_use:
                grow()
            rig.backend.delete_volume(rig.id(tag))

    _together([partial(life, number) for number in range(_THREADS)])
    rig.holds_only(set(), what="objects afterwards")


@check(
    "concurrency.same_id",
    Level.STANDARD,
    "One id from many threads is one object",
    title_zh="多线程以同一标识创建只得一个对象",
    requirement="Eight threads that create, snapshot, clone and export under the same ids all get the same objects.",
    needs=("parallel_processes",),
)
def test_same_id(rig: Rig) -> None:
    backends = [rig.backend, rig.another_backend()]

    def everywhere(call: Callable[[Any], T]) -> list[T]:
        return _together([partial(call, backends[number % 2]) for number in range(_THREADS)])

    for _ in range(_ROUNDS):
        volumes = everywhere(lambda backend: backend.create_volume(rig.id("v"), GiB, rig.pool))
        _one({(volume.id, volume.wwn) for volume in volumes}, "volumes")
        _one({snap.id for snap in everywhere(lambda backend: backend.create_snapshot(rig.id("s"), rig.id("v")))}, "snapshots")
        exports: list[Export] = everywhere(lambda backend: backend.export(rig.id("v"), rig.host, rig.protocol))
        _one({(export.lun, export.wwn) for export in exports}, "exports")
        rig.holds_only({rig.id("v"), rig.id("s")}, what="objects")
        everywhere(lambda backend: backend.unexport(rig.id("v"), rig.host, rig.protocol))
        everywhere(lambda backend: rig.drop_snapshot("s", backend=backend))
        everywhere(lambda backend: backend.delete_volume(rig.id("v")))
        rig.holds_only(set(), what="objects after the deletes")


@check(
    "concurrency.same_clone",
    Level.STANDARD,
    "One clone from several threads is one clone",
    title_zh="多线程克隆同一标识只得一个卷",
    requirement="Four threads that ask for the same clone all get it, complete, and nothing of its making is left.",
)
def test_same_clone(rig: Rig) -> None:
    rig.volume()
    clones: list[Volume] = _together([lambda: rig.backend.clone_volume(rig.id("c"), rig.id("v"))] * 4)
    _one({(clone.id, clone.wwn) for clone in clones}, "clones")
    rig.holds_only({rig.id("v"), rig.id("c")}, what="objects")
    assert not rig.swept(), f"the sweep finds {rig.swept()}"


def _one(found: set[Any], what: str) -> None:
    assert len(found) == 1, f"one id became {len(found)} {what}: {found}"


@check(
    "concurrency.first_export",
    Level.STANDARD,
    "Two processes race for a host's first export",
    title_zh="两个进程竞争同一主机的首次导出",
    requirement="Two processes that export different volumes to a host that is new both succeed, on one host, at two LUN ids.",
    needs=("parallel_processes",),
)
def test_first_export(rig: Rig) -> None:
    for tag in ("v", "w"):
        rig.volume(tag)
    for _ in range(_ROUNDS):
        calls = [Call("export", (rig.id(tag), rig.host, rig.protocol)) for tag in ("v", "w")]
        children = [rig.nursery.child(call, warm=True) for call in calls]
        for child in children:
            child.go()
        exports = [child.result() for child in children]
        places = [expect.place(export) for export in exports]
        assert len(set(places)) == len(places), f"the two volumes are at {places}"
        for tag, export in zip(("v", "w"), exports, strict=True):
            rig.shown_to([rig.host], tag, what="after the race")
            where, again = expect.place(export), expect.place(rig.export(tag))
            assert again == where, f"{tag} was exported at {where} and is at {again}"
            rig.backend.unexport(rig.id(tag), rig.host, rig.protocol)
        rig.backend.remove_host(rig.host)


@check(
    "concurrency.export_churn",
    Level.STANDARD,
    "Exports come and go in parallel on one host",
    title_zh="同一主机并行导出与取消导出",
    requirement="While six threads export and unexport volumes of one host, each volume's LUN id is its own and a steady one stays.",
)
def test_churn(rig: Rig) -> None:
    rig.volume("steady")
    steady = rig.export("steady")
    tags = [f"v{number}" for number in range(6)]
    for tag in tags:
        rig.volume(tag)

    def churn(tag: str) -> None:
        for _ in range(_ROUNDS):
            where = expect.place(rig.export(tag))
            rig.shown_to([rig.host], tag, what="while others come and go")
            again = expect.place(rig.export(tag))
            assert again == where, f"{tag} was exported at {where} and is at {again}"
            assert where != expect.place(steady), f"{tag} was exported at the steady volume's place {where}"
            rig.backend.unexport(rig.id(tag), rig.host, rig.protocol)

    _together([partial(churn, tag) for tag in tags])
    assert rig.export("steady") == steady, f"the steady export was {steady} and is {rig.export('steady')}"
    for tag in tags:
        rig.shown_to([], tag, what="at the end")


@check(
    "concurrency.create_delete",
    Level.STANDARD,
    "Creates and deletes of one id in parallel end well",
    title_zh="同一标识并行创建与删除后状态一致",
    requirement="Threads that create and delete the same id get typed errors at most; afterwards one more call decides.",
    needs=("parallel_processes",),
)
def test_create_delete(rig: Rig) -> None:
    other = rig.another_backend()

    def attempt(number: int) -> None:
        try:
            if number % 2:
                other.create_volume(rig.id("v"), GiB, rig.pool, timeout=20)
            else:
                rig.backend.delete_volume(rig.id("v"), timeout=20)
        except (Busy, InUse, NotFound) as error:
            # What another thread did meanwhile may be said, as long as it is said in these words.
            assert rig.id("v") in str(error) or error.array, f"the error names nothing: {told(error)}"

    for _ in range(_ROUNDS):
        _together([partial(attempt, number) for number in range(_THREADS)])
        made = rig.volume()
        expect.same_object(other.get_volume(rig.id("v")), made, what="the volume after the race")
        rig.holds_only({rig.id("v")}, what="objects after the race")
        other.delete_volume(rig.id("v"))
        rig.holds_only(set(), what="objects after the delete")
