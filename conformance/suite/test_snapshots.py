"""Snapshots: taken, listed under their volume, deleted, and taken of several volumes at one moment."""

from __future__ import annotations

from blockdrivers.errors import InUse, InvalidRequest, NotFound
from blockdrivers.model import GiB
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig

_MANY = 12


@check(
    "snapshot.create",
    Level.ESSENTIAL,
    "A snapshot is taken",
    title_zh="创建快照",
    requirement="A new snapshot is ready, has its volume's size and names its volume; the volume itself is unchanged.",
)
def test_create(rig: Rig) -> None:
    made = rig.volume("v", 2 * GiB)
    taken = rig.snapshot("s")
    known = rig.capabilities.find_snapshots
    for snapshot in (taken, *([rig.backend.get_snapshot(rig.id("s"))] if known else [])):
        found = (snapshot.snapshot_id, snapshot.volume_id, snapshot.size, snapshot.ready, snapshot.source_name)
        expected = (rig.id("s"), rig.id("v"), 2 * GiB if known else None, True, made.name)
        assert found == expected, f"id, volume, size, readiness and source are {found}, not {expected}"
        assert snapshot.source_id == made.id, f"the snapshot is of {snapshot.source_id}, the volume is {made.id}"
        assert snapshot.id == taken.id, f"the snapshot was {taken.id} and reads back as {snapshot.id}"
    expect.same_object(rig.backend.get_volume(rig.id("v")), made, what="the volume after its snapshot")


@check(
    "snapshot.create.repeat",
    Level.ESSENTIAL,
    "Taking a snapshot again returns the same one",
    title_zh="重复创建快照返回同一快照",
    requirement="A repeated snapshot of the same volume takes none and returns the one that is there.",
)
def test_create_repeat(rig: Rig) -> None:
    rig.volume()
    first = rig.snapshot("s")
    with rig.unchanged(rig.id("v")):
        expect.same_object(rig.snapshot("s"), first, what="taken again")
        again = rig.another_backend().create_snapshot(rig.id("s"), rig.id("v"))
        expect.same_object(again, first, what="taken again by another process")
    if rig.capabilities.list_objects:
        found = [snapshot.name for snapshot in rig.backend.list_snapshots() if snapshot.name == first.name]
        assert len(found) == 1, f"the array has {len(found)} snapshots called {first.name}"


@check(
    "snapshot.create.differs",
    Level.ESSENTIAL,
    "A snapshot id of another volume is refused",
    title_zh="快照标识已属于其他卷时被拒绝",
    requirement="A snapshot id that is taken by another volume's snapshot is AlreadyExists naming the source; nothing changes.",
    needs=("find_snapshots",),
)
def test_create_differs(rig: Rig) -> None:
    rig.volume("v")
    rig.volume("w")
    rig.snapshot("s", "v")
    with rig.unchanged(rig.id("v"), rig.id("w")):
        expect.differs(lambda: rig.snapshot("s", "w"), "source", what="the same snapshot id for another volume")


@check(
    "snapshot.by_volume",
    Level.ESSENTIAL,
    "A snapshot is named by its volume and its id",
    title_zh="快照由所属卷与标识共同确定",
    requirement="Where snapshots cannot be looked up, one id stands for a snapshot of each volume, and none is touched without its volume.",
    needs=("snapshots_by_volume",),
)
def test_by_volume(rig: Rig) -> None:
    for tag in ("v", "w"):
        rig.volume(tag)
    first, second = rig.snapshot("s", "v"), rig.snapshot("s", "w")
    assert first.name != second.name, f"two volumes' snapshots are both {first.name}"
    with rig.unchanged(rig.id("v"), rig.id("w")):
        with expect.refused(InvalidRequest, what="a delete without the volume", naming="of_volume"):
            rig.backend.delete_snapshot(rig.id("s"))
        with expect.refused(InvalidRequest, what="a volume from a snapshot without its volume", naming="of_volume"):
            rig.backend.create_volume_from_snapshot(rig.id("c"), rig.id("s"), pool=rig.pool)
    rig.drop_snapshot("s", "v")
    rig.backend.create_volume_from_snapshot(rig.id("c"), rig.id("s"), pool=rig.pool, of_volume=rig.id("w"))
    rig.holds_only({*map(rig.id, ("v", "w", "c")), "the snapshot of w"}, what="objects afterwards")


@check(
    "snapshot.delete",
    Level.ESSENTIAL,
    "A deleted snapshot is gone, and only that one",
    title_zh="删除快照后只有该快照消失",
    requirement="After a delete the snapshot cannot be read; its volume and the other snapshots are as they were.",
)
def test_delete(rig: Rig) -> None:
    made = rig.volume()
    rig.snapshot("s1")
    kept = rig.snapshot("s2")
    rig.drop_snapshot("s1")
    if rig.capabilities.find_snapshots:
        with expect.refused(NotFound, what="reading a deleted snapshot"):
            rig.backend.get_snapshot(rig.id("s1"))
    rig.expect_snapshot(kept, "s2", what="the other snapshot")
    rig.holds_only({rig.id("v"), rig.id("s2")}, what="objects after the delete")
    expect.same_object(rig.backend.get_volume(rig.id("v")), made, what="the volume")


@check(
    "snapshot.delete.repeat",
    Level.ESSENTIAL,
    "Deleting an absent snapshot succeeds",
    title_zh="重复删除或删除不存在的快照视为成功",
    requirement="A delete of a deleted snapshot, and of one that never was, returns without an error and changes nothing.",
)
def test_delete_repeat(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s1")
    rig.snapshot("s2")
    rig.drop_snapshot("s1")
    with rig.unchanged(rig.id("v")):
        rig.drop_snapshot("s1")
        rig.drop_snapshot("s1", backend=rig.another_backend())
        rig.drop_snapshot("never")


@check(
    "snapshot.list",
    Level.MANDATORY,
    "Snapshots are listed under their own volume",
    title_zh="快照列表归属正确的卷",
    requirement="A volume's list holds exactly its snapshots; the whole list holds each of them once with id and volume.",
    needs=("list_objects",),
)
def test_list(rig: Rig) -> None:
    for tag in ("v", "w", "empty"):
        rig.volume(tag)
    pairs = {rig.id(f"{source}-{number}"): source for source in ("v", "w") for number in range(3)}
    for identifier, source in pairs.items():
        rig.backend.create_snapshot(identifier, rig.id(source))
    for source in ("v", "w", "empty"):
        expected = {identifier for identifier, of in pairs.items() if of == source}
        listed = rig.snapshots(rig.id(source))
        expect.only(listed, expected, what=f"snapshots of {source}")
        assert all(found.volume_id == rig.id(source) for found in listed.values()), f"listed under another volume: {listed}"
    everything = [found for found in rig.backend.list_snapshots() if found.snapshot_id in pairs]
    assert len(everything) == len(pairs), f"six snapshots were listed as {[found.snapshot_id for found in everything]}"
    for found in everything:
        assert found.volume_id == rig.id(pairs[found.snapshot_id or ""]), f"{found.snapshot_id} is listed under {found.volume_id}"


@check(
    "snapshot.many",
    Level.STANDARD,
    "A volume carries many snapshots",
    title_zh="单卷多快照",
    requirement=f"A volume carries {_MANY} snapshots; each is found, and they are deleted in any order.",
)
def test_many(rig: Rig) -> None:
    rig.volume()
    taken = [rig.snapshot(f"s{number}") for number in range(_MANY)]
    assert len({snapshot.id for snapshot in taken}) == _MANY, "snapshots share array ids"
    for number in [*range(1, _MANY, 2), *range(0, _MANY, 2)]:
        rig.expect_snapshot(taken[number], f"s{number}", what=f"snapshot s{number}")
        rig.drop_snapshot(f"s{number}")
    rig.backend.delete_volume(rig.id("v"))


@check(
    "snapshot.exported",
    Level.MANDATORY,
    "A snapshot of a volume in use",
    title_zh="对已导出的卷创建快照",
    requirement="A snapshot of an exported volume is taken and deleted without touching the export.",
    needs=("copies_in_use",),
)
def test_exported(rig: Rig) -> None:
    rig.volume()
    export = rig.export()
    rig.snapshot("s")
    assert rig.export() == export, f"after the snapshot the export is {rig.export()}, before {export}"
    rig.drop_snapshot("s")
    assert rig.export() == export, f"after its deletion the export is {rig.export()}, before {export}"


@check(
    "snapshot.extended",
    Level.MANDATORY,
    "A snapshot keeps the size of its moment",
    title_zh="卷扩容后快照保持原容量",
    requirement="A snapshot that was taken before its volume grew has the old size, and one taken after it the new one.",
    needs=("extend_with_snapshots", "find_snapshots"),
)
def test_extended(rig: Rig) -> None:
    rig.volume("v", GiB)
    rig.snapshot("old")
    rig.backend.extend_volume(rig.id("v"), 3 * GiB)
    rig.snapshot("new")
    sizes = {tag: rig.backend.get_snapshot(rig.id(tag)).size for tag in ("old", "new")}
    assert sizes == {"old": GiB, "new": 3 * GiB}, f"the snapshots have {sizes} bytes"


@check(
    "snapshot.extend.refused",
    Level.MANDATORY,
    "A volume with snapshots does not grow where the array cannot do that",
    title_zh="阵列不支持时拒绝扩容有快照的卷",
    requirement="An extend of a volume with snapshots is InUse and changes nothing; after their deletion it is carried out.",
    needs=("size_held_by_snapshots",),
)
def test_extend_refused(rig: Rig) -> None:
    rig.volume("v", GiB)
    rig.snapshot("s")
    with rig.unchanged(rig.id("v")), expect.refused(InUse, what="an extend with a snapshot", naming=rig.id("v")):
        rig.backend.extend_volume(rig.id("v"), 3 * GiB)
    rig.backend.delete_snapshot(rig.id("s"))
    expect.as_asked(rig.backend.extend_volume(rig.id("v"), 3 * GiB), what="without snapshots", size=3 * GiB)


@check(
    "group.create",
    Level.STANDARD,
    "Snapshots of a group of volumes",
    title_zh="一致性组快照",
    requirement="A group snapshot takes one snapshot of every member, in the order asked for, and of nothing else.",
    needs=("group_snapshots",),
)
def test_group(rig: Rig) -> None:
    members = _group(rig, 3)
    rig.volume("bystander")
    with rig.unchanged(rig.id("bystander")):
        before = rig.present()
        taken = rig.backend.create_group_snapshot(members)
        assert [snapshot.snapshot_id for snapshot in taken] == list(members.values()), f"taken in another order: {taken}"
        assert [snapshot.volume_id for snapshot in taken] == list(members), f"taken of other volumes: {taken}"
        assert rig.present() == before | set(members.values()), f"after the group snapshot there are {sorted(rig.present())}"
        for volume_id, snapshot_id in members.items():
            found = rig.backend.get_snapshot(snapshot_id)
            assert found.ready, f"{snapshot_id} holds no point in time"
            assert found.source_name == rig.backend.get_volume(volume_id).name, f"{snapshot_id} is of {found.source_name}"
            rig.backend.delete_snapshot(snapshot_id)


@check(
    "group.repeat",
    Level.STANDARD,
    "A group snapshot asked for again is the same",
    title_zh="重复的一致性组快照返回同一组快照",
    requirement="A repeated group snapshot returns the snapshots that are there; with exchanged members it is AlreadyExists.",
    needs=("group_snapshots",),
)
def test_group_repeat(rig: Rig) -> None:
    members = _group(rig, 2)
    first = rig.backend.create_group_snapshot(members)
    with rig.unchanged(*members):
        for snapshot, again in zip(first, rig.backend.create_group_snapshot(members), strict=True):
            expect.same_object(again, snapshot, what="taken again")
        exchanged = dict(zip(members, reversed(list(members.values())), strict=True))
        expect.differs(
            lambda: rig.backend.create_group_snapshot(exchanged), f"{members[rig.id('v0')]}.source", what="exchanged members"
        )


@check(
    "group.one_moment",
    Level.STANDARD,
    "A group snapshot is all or nothing",
    title_zh="一致性组快照要么全部成功要么全部不做",
    requirement="A group of which one member is absent gets no snapshot at all; empty groups and shared ids are refused.",
    needs=("group_snapshots",),
)
def test_group_one_moment(rig: Rig) -> None:
    members = _group(rig, 2)
    with rig.unchanged(*members):
        with expect.refused(NotFound, what="a group with an absent member"):
            rig.backend.create_group_snapshot(members | {rig.id("absent"): rig.id("s-absent")})
        with expect.refused(InvalidRequest, what="an empty group"):
            rig.backend.create_group_snapshot({})
        with expect.refused(InvalidRequest, what="one snapshot id for two members"):
            rig.backend.create_group_snapshot(dict.fromkeys(members, rig.id("same")))


def _group(rig: Rig, count: int) -> dict[str, str]:
    """Make volumes and return them as a group: volume id -> snapshot id."""
    for number in range(count):
        rig.volume(f"v{number}")
    return {rig.id(f"v{number}"): rig.id(f"s{number}") for number in range(count)}
