"""Revert: back to the right moment, and never where it would lose more than was meant."""

from __future__ import annotations

from blockdrivers.errors import InUse, InvalidRequest, NotFound
from blockdrivers.model import GiB
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig


@check(
    "revert.volume",
    Level.MANDATORY,
    "A volume is reverted to any of its snapshots",
    title_zh="卷回滚到任一快照",
    requirement="Reverts to the newest, to an older and again to a newer snapshot keep the volume's identity and all snapshots.",
    needs=("revert", "revert_to_any"),
)
def test_revert(rig: Rig) -> None:
    made = rig.volume()
    taken = {tag: rig.snapshot(tag) for tag in ("old", "middle", "new")}
    for tag in ("new", "old", "middle", "new"):
        returned = rig.backend.revert_volume(rig.id("v"), rig.id(tag))
        expect.same_object(returned, made, what=f"the volume reverted to {tag}")
        expect.same_object(rig.backend.get_volume(rig.id("v")), made, what=f"the volume read after the revert to {tag}")
        for name, snapshot in taken.items():
            rig.expect_snapshot(snapshot, name, what=f"snapshot {name} after the revert to {tag}")
            if rig.capabilities.find_snapshots:
                ready = rig.backend.get_snapshot(rig.id(name)).ready
                assert ready, f"snapshot {name} holds no point in time after the revert to {tag}"


@check(
    "revert.repeat",
    Level.MANDATORY,
    "A revert can be repeated",
    title_zh="回滚可重复执行",
    requirement="A repeated revert to the same snapshot succeeds and leaves volume and snapshots as they are.",
    needs=("revert",),
)
def test_repeat(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    rig.backend.revert_volume(rig.id("v"), rig.id("s"))
    with rig.unchanged(rig.id("v")):
        rig.backend.revert_volume(rig.id("v"), rig.id("s"))
        rig.another_backend().revert_volume(rig.id("v"), rig.id("s"))
    rig.drop_snapshot("s")


@check(
    "revert.foreign",
    Level.ESSENTIAL,
    "A volume is not reverted to another's snapshot",
    title_zh="拒绝回滚到其他卷的快照",
    requirement="A revert to another volume's snapshot, also to its clone source's, is refused; both volumes stay as they are.",
    needs=("revert",),
)
def test_foreign(rig: Rig) -> None:
    rig.volume("v")
    rig.volume("w")
    rig.snapshot("s", "w")
    rig.backend.clone_volume(rig.id("c"), rig.id("w"))
    # Where volume and id together name a snapshot, this one names none.
    known = rig.capabilities.find_snapshots
    kind, named = (InvalidRequest, rig.id("s")) if known else (NotFound, None)
    for tag in ("v", "c"):
        with (
            rig.unchanged(rig.id(tag), rig.id("w")),
            expect.refused(kind, what="a revert to another volume's snapshot", naming=named),
        ):
            rig.backend.revert_volume(rig.id(tag), rig.id("s"))


@check(
    "revert.extended",
    Level.ESSENTIAL,
    "A volume is not reverted across a resize",
    title_zh="扩容后拒绝回滚到旧快照",
    requirement="A revert to a snapshot of another size is refused, since the volume would shrink; it stays as it is.",
    needs=("revert", "extend_with_snapshots", "find_snapshots"),
)
def test_extended(rig: Rig) -> None:
    rig.volume("v", GiB)
    rig.snapshot("s")
    rig.backend.extend_volume(rig.id("v"), 2 * GiB)
    with rig.unchanged(rig.id("v")), expect.refused(InvalidRequest, what="a revert across a resize", naming=str(2 * GiB)):
        rig.backend.revert_volume(rig.id("v"), rig.id("s"))


@check(
    "revert.extended.kept",
    Level.ESSENTIAL,
    "A volume that has grown keeps its size through a revert",
    title_zh="快照容量不可知时回滚后卷容量不缩小",
    requirement="Where the array does not tell a snapshot's size, a revert across a resize leaves the volume as large as it is.",
    needs=("revert", "snapshots_by_volume"),
)
def test_extended_kept(rig: Rig) -> None:
    rig.volume("v", GiB)
    rig.snapshot("s")
    rig.backend.extend_volume(rig.id("v"), 2 * GiB)
    rig.backend.revert_volume(rig.id("v"), rig.id("s"))
    expect.as_asked(rig.backend.get_volume(rig.id("v")), what="the reverted volume", size=2 * GiB)


@check(
    "revert.newest",
    Level.ESSENTIAL,
    "Only the newest snapshot is reverted to",
    title_zh="仅可回滚到最新快照",
    requirement="A revert past newer snapshots is InUse and changes nothing; to the newest, and after their deletion, it is done.",
    needs=("revert_newest",),
)
def test_newest(rig: Rig) -> None:
    made = rig.volume()
    for tag in ("old", "new"):
        rig.snapshot(tag)
    with rig.unchanged(rig.id("v")), expect.refused(InUse, what="a revert past a newer snapshot"):
        rig.backend.revert_volume(rig.id("v"), rig.id("old"))
    for tag in ("new", "old"):
        returned = rig.backend.revert_volume(rig.id("v"), rig.id(tag))
        expect.same_object(returned, made, what=f"the volume reverted to {tag}")
        rig.drop_snapshot(tag)


@check(
    "revert.exported",
    Level.ESSENTIAL,
    "A volume in use is not reverted unless told so",
    title_zh="已导出的卷未经明确要求不得回滚",
    requirement="A revert of an exported volume is InUse and changes nothing; with force it is done and the export stays.",
    needs=("revert", "list_exports"),
)
def test_exported(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    export = rig.export()
    with rig.unchanged(rig.id("v")), expect.refused(InUse, what="a revert of an exported volume", naming=rig.id("v")):
        rig.backend.revert_volume(rig.id("v"), rig.id("s"))
    rig.backend.revert_volume(rig.id("v"), rig.id("s"), force=True)
    assert rig.export() == export, f"after the forced revert the export is {rig.export()}, before {export}"


@check(
    "revert.absent",
    Level.MANDATORY,
    "A revert of or to what is absent is refused",
    title_zh="卷或快照不存在时回滚被拒绝",
    requirement="A revert of an absent volume, or to an absent snapshot, is NotFound and changes nothing.",
    needs=("revert",),
)
def test_absent(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    with rig.unchanged(rig.id("v")):
        for volume, snapshot in (("v", "absent"), ("absent", "s")):
            with expect.refused(NotFound, what=f"a revert of {volume} to {snapshot}"):
                rig.backend.revert_volume(rig.id(volume), rig.id(snapshot))
