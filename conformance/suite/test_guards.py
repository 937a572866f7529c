"""No data is lost by mistake: absent objects, dependants, and array ids that name something else by now."""

from __future__ import annotations

from collections.abc import Callable

from blockdrivers.backend import Backend
from blockdrivers.errors import InUse, NotFound
from blockdrivers.model import GiB, Qos
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig


@check(
    "absent.operations",
    Level.ESSENTIAL,
    "What is absent is said to be absent",
    title_zh="对不存在对象的操作返回未找到",
    requirement="Reading, extending, snapshotting, cloning and exporting an absent volume is NotFound, and nothing is made.",
)
def test_absent(rig: Rig) -> None:
    backend, absent, other = rig.backend, rig.id("absent"), rig.id("other")
    calls: dict[str, Callable[[], object]] = {
        "get_volume": lambda: backend.get_volume(absent),
        "extend_volume": lambda: backend.extend_volume(absent, 2 * GiB),
        "create_snapshot": lambda: backend.create_snapshot(other, absent),
        "clone_volume": lambda: backend.clone_volume(other, absent),
        "create_volume_from_snapshot": lambda: backend.create_volume_from_snapshot(
            other, absent, pool=rig.pool, of_volume=absent
        ),
        "export": lambda: backend.export(absent, rig.host, rig.protocol),
    }
    if rig.capabilities.find_snapshots:
        calls["get_snapshot"] = lambda: backend.get_snapshot(absent)
    with rig.unchanged():
        for name, call in calls.items():
            with expect.refused(NotFound, what=f"{name} of what is absent"):
                call()


@check(
    "absent.optional",
    Level.MANDATORY,
    "Optional operations on what is absent, too",
    title_zh="对不存在对象的可选操作返回未找到",
    requirement="QoS, retype, manage and unmanage of an absent volume are NotFound, and nothing is made.",
)
def test_absent_optional(rig: Rig) -> None:
    backend, absent, declared = rig.backend, rig.id("absent"), rig.capabilities
    calls: dict[str, Callable[[], object]] = {}
    if declared.qos is not None:
        calls["set_qos"] = lambda: backend.set_qos(absent, Qos())
        calls["get_qos"] = lambda: backend.get_qos(absent)
    if declared.migrate:
        calls["retype_volume"] = lambda: backend.retype_volume(absent, pool=rig.pool)
    if declared.manage:
        calls["manage_volume"] = lambda: backend.manage_volume(absent, "ct_foreign_absent")
        calls["unmanage_volume"] = lambda: backend.unmanage_volume(absent, "ct_foreign_absent")
    with rig.unchanged():
        for name, call in calls.items():
            with expect.refused(NotFound, what=f"{name} of what is absent"):
                call()


@check(
    "dependants.snapshots",
    Level.ESSENTIAL,
    "A volume with snapshots is not deleted",
    title_zh="有快照的卷不得删除",
    requirement="A delete of a volume with snapshots is InUse, also with force; volume and snapshots stay as they are.",
)
def test_snapshots(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s1")
    rig.snapshot("s2")
    for force in (False, True):
        with (
            rig.unchanged(rig.id("v")),
            expect.refused(InUse, what=f"a delete with snapshots, force={force}", naming=rig.id("v")),
        ):
            rig.backend.delete_volume(rig.id("v"), force=force)
    for tag in ("s1", "s2"):
        if rig.capabilities.find_snapshots:
            assert rig.backend.get_snapshot(rig.id(tag)).ready, f"snapshot {tag} holds no point in time any more"
        rig.drop_snapshot(tag)
    rig.backend.delete_volume(rig.id("v"))


@check(
    "dependants.exports",
    Level.ESSENTIAL,
    "A volume in use is not deleted unless told so",
    title_zh="已导出的卷未经明确要求不得删除",
    requirement="A delete of an exported volume is InUse and changes nothing; with force it is taken from its host and deleted.",
)
def test_exports(rig: Rig) -> None:
    rig.volume()
    rig.volume("other")
    rig.export("v")
    rig.export("other")
    with rig.unchanged(rig.id("v")), expect.refused(InUse, what="a delete of an exported volume", naming=rig.id("v")):
        rig.backend.delete_volume(rig.id("v"))
    rig.backend.delete_volume(rig.id("v"), force=True)
    with expect.refused(NotFound, what="reading the deleted volume"):
        rig.backend.get_volume(rig.id("v"))
    rig.shown_to([rig.host], "other", what="the other volume")


@check(
    "dependants.both",
    Level.ESSENTIAL,
    "Force does not take exports away in vain",
    title_zh="强制删除失败时不改变导出关系",
    requirement="A forced delete of a volume that is exported and has snapshots is InUse and leaves the export as it is.",
    needs=("list_exports",),
)
def test_both(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    rig.export()
    with rig.unchanged(rig.id("v")), expect.refused(InUse, what="a forced delete with snapshot and export"):
        rig.backend.delete_volume(rig.id("v"), force=True)


@check(
    "dependants.snapshot_exports",
    Level.MANDATORY,
    "A snapshot in use is not deleted",
    title_zh="已导出的快照不得删除",
    requirement="A delete of an exported snapshot is InUse and changes nothing; after its unexport it is deleted.",
    needs=("export_snapshots", "san"),
)
def test_snapshot_exports(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    export = rig.backend.export(rig.id("s"), rig.host, rig.protocol, snapshot=True)
    with rig.unchanged(rig.id("v")), expect.refused(InUse, what="a delete of an exported snapshot", naming=rig.id("s")):
        rig.backend.delete_snapshot(rig.id("s"))
    again = rig.backend.export(rig.id("s"), rig.host, rig.protocol, snapshot=True)
    assert again == export, f"the snapshot's export was {export} and is {again}"
    rig.backend.unexport(rig.id("s"), rig.host, rig.protocol, snapshot=True)
    rig.backend.delete_snapshot(rig.id("s"))


def _reuse(rig: Rig) -> tuple[Backend, str, str]:
    """Have one process remember volume "a", which another process deletes before it makes "b", likely under a's array id."""
    stale, other = rig.another_backend(), rig.another_backend()
    stale.create_volume(rig.id("a"), GiB, rig.pool)
    stale.create_snapshot(rig.id("warm"), rig.id("a"))
    rig.drop_snapshot("warm", "a", backend=stale)
    other.delete_volume(rig.id("a"))
    other.create_volume(rig.id("b"), GiB, rig.pool)
    return stale, rig.id("a"), rig.id("b")


@check(
    "reuse.snapshot",
    Level.ESSENTIAL,
    "A reused array id is not snapshotted by mistake",
    title_zh="阵列复用编号后不会误建快照",
    requirement="A process that remembers a deleted volume's array id takes no snapshot of the volume that has it now.",
)
def test_reuse_snapshot(rig: Rig) -> None:
    stale, gone, there = _reuse(rig)
    with rig.unchanged(there), expect.refused(NotFound, what="a snapshot of a volume that another process deleted"):
        stale.create_snapshot(rig.id("s"), gone)


@check(
    "reuse.export",
    Level.ESSENTIAL,
    "A reused array id is not exported by mistake",
    title_zh="阵列复用编号后不会误导出",
    requirement="A process that remembers a deleted volume's array id exports neither it nor the volume that has it now.",
)
def test_reuse_export(rig: Rig) -> None:
    stale, gone, there = _reuse(rig)
    with rig.unchanged(there), expect.refused(NotFound, what="an export of a volume that another process deleted"):
        stale.export(gone, rig.host, rig.protocol)
    made = rig.another_backend().create_volume(gone, 2 * GiB, rig.pool)
    export = stale.export(gone, rig.host, rig.protocol)
    assert export.wwn == made.wwn, f"the export hands out {export.wwn}, the volume made again is {made.wwn}"
    rig.shown_to([], "b", what="the volume that has the array id now")


@check(
    "reuse.unexport",
    Level.ESSENTIAL,
    "A reused array id is not unexported by mistake",
    title_zh="阵列复用编号后不会误取消导出",
    requirement="A process that remembers a deleted volume's array id does not take away the volume that has it now.",
)
def test_reuse_unexport(rig: Rig) -> None:
    stale, gone, there = _reuse(rig)
    rig.backend.export(there, rig.host, rig.protocol)
    with rig.unchanged(there):
        stale.unexport(gone, rig.host, rig.protocol)


@check(
    "reuse.change",
    Level.ESSENTIAL,
    "A reused array id is not deleted or grown by mistake",
    title_zh="阵列复用编号后不会误删除或误扩容",
    requirement="A process that remembers a deleted volume's array id neither deletes nor extends the volume that has it now.",
)
def test_reuse_change(rig: Rig) -> None:
    stale, gone, there = _reuse(rig)
    with rig.unchanged(there):
        stale.delete_volume(gone)
        with expect.refused(NotFound, what="an extend of a volume that another process deleted"):
            stale.extend_volume(gone, 2 * GiB)
        stale.delete_volume(gone, force=True)
