"""A volume's life: made, read, listed, extended, deleted, made again."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from blockdrivers.errors import InvalidRequest, NotFound
from blockdrivers.model import GiB, Volume, VolumeState
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig

_WWN = re.compile(r"[0-9a-f]{16,32}")


@check(
    "volume.create",
    Level.ESSENTIAL,
    "A volume is made as asked",
    title_zh="按要求创建卷",
    requirement="A new volume has the size, pool and id that were asked for, is ready, and reads back the same.",
)
def test_create(rig: Rig) -> None:
    made = rig.volume("v", 2 * GiB)
    _as_asked(rig, made, 2 * GiB)
    read = rig.backend.get_volume(rig.id("v"))
    _as_asked(rig, read, 2 * GiB)
    expect.same_object(read, made, what="the volume read back")


def _as_asked(rig: Rig, volume: Volume, size: int) -> None:
    expect.as_asked(
        volume, volume_id=rig.id("v"), size=size, pool=rig.pool, state=VolumeState.READY, dependants=frozenset(), qos_id=None
    )
    assert volume.id, f"the volume has no array id: {volume}"
    assert volume.name, f"the volume has no array name: {volume}"


@check(
    "volume.create.repeat",
    Level.ESSENTIAL,
    "Creating again returns the same volume",
    title_zh="重复创建返回同一个卷",
    requirement="A repeated create with the same arguments makes nothing and returns the volume that is there.",
)
def test_create_repeat(rig: Rig) -> None:
    first = rig.volume("v", 2 * GiB)
    with rig.unchanged(rig.id("v")):
        expect.same_object(rig.volume("v", 2 * GiB), first, what="created again")
        again = rig.another_backend().create_volume(rig.id("v"), 2 * GiB, rig.pool)
        expect.same_object(again, first, what="created again by another process")
    if rig.capabilities.list_objects:
        names = [volume.name for volume in rig.backend.list_volumes() if volume.name == first.name]
        assert len(names) == 1, f"the array has {len(names)} volumes called {first.name}"


@check(
    "volume.create.differs",
    Level.ESSENTIAL,
    "Creating again with another size is refused",
    title_zh="同名不同大小的创建被拒绝",
    requirement="A create for a taken id with another size is AlreadyExists naming the size; the volume stays as it is.",
)
def test_create_differs(rig: Rig) -> None:
    rig.volume("v", 2 * GiB)
    for size in (GiB, 3 * GiB):
        with rig.unchanged(rig.id("v")):
            expect.differs(partial(rig.volume, "v", size), "size", what=f"{size} bytes for a volume of 2 GiB")


@check(
    "volume.create.differs.pool",
    Level.MANDATORY,
    "Creating again in another pool is refused",
    title_zh="同名不同存储池的创建被拒绝",
    requirement="A create for a taken id in another pool is AlreadyExists naming the pool; the volume stays as it is.",
    needs=("two_pools",),
)
def test_create_differs_pool(rig: Rig) -> None:
    rig.volume()
    with rig.unchanged(rig.id("v")):
        expect.differs(lambda: rig.volume(pool=rig.other_pool), "pool", what="the same id in the other pool")


@check(
    "volume.create.differs.thin",
    Level.MANDATORY,
    "Creating again with other provisioning is refused",
    title_zh="同名不同置备方式的创建被拒绝",
    requirement="A thick create for a thin volume's id, and the reverse, is AlreadyExists naming the provisioning.",
    needs=("thin", "thick"),
)
def test_create_differs_thin(rig: Rig) -> None:
    for tag, thin in (("thin", True), ("thick", False)):
        rig.volume(tag, thin=thin)
        with rig.unchanged(rig.id(tag)):
            expect.differs(partial(rig.volume, tag, thin=not thin), "thin", what=f"thin={not thin} for {tag}")


@check(
    "volume.thin",
    Level.MANDATORY,
    "A thin volume is thin",
    title_zh="精简卷按精简方式置备",
    requirement="A volume asked for as thin, or without saying, is thin on the array.",
    needs=("thin",),
)
def test_thin(rig: Rig) -> None:
    expect.as_asked(rig.volume("said", thin=True), thin=True)
    expect.as_asked(rig.volume("unsaid"), thin=True)
    expect.as_asked(rig.backend.get_volume(rig.id("said")), thin=True)


@check(
    "volume.thick",
    Level.MANDATORY,
    "A thick volume is thick",
    title_zh="厚卷按全额方式置备",
    requirement="A volume asked for as thick is thick on the array.",
    needs=("thick",),
)
def test_thick(rig: Rig) -> None:
    expect.as_asked(rig.volume("v", thin=False), thin=False)
    expect.as_asked(rig.backend.get_volume(rig.id("v")), thin=False)


@check(
    "volume.identity",
    Level.ESSENTIAL,
    "Each volume has a WWN of its own that stays",
    title_zh="每个卷具有唯一且稳定的WWN",
    requirement="A volume's WWN is valid, unlike every other's, and the same in every answer of its life.",
    needs=("san", "tells_wwn"),
)
def test_identity(rig: Rig) -> None:
    made = {tag: rig.volume(tag) for tag in ("a", "b", "c")}
    wwns = {volume.wwn for volume in made.values()}
    assert len(wwns) == len(made), f"three volumes have the WWNs {wwns}"
    for tag, volume in made.items():
        assert volume.wwn, f"volume {tag} has no WWN"
        assert _WWN.fullmatch(volume.wwn), f"{volume.wwn!r} is no WWN of lower-case hex digits"
        grown = rig.backend.extend_volume(rig.id(tag), 2 * GiB)
        seen = {grown.wwn, rig.backend.get_volume(rig.id(tag)).wwn, rig.volumes()[rig.id(tag)].wwn}
        assert seen == {volume.wwn}, f"volume {tag} was made with WWN {volume.wwn}, and later told {seen}"


@check(
    "volume.list",
    Level.ESSENTIAL,
    "Volumes are listed with their ids",
    title_zh="卷列表完整且带调用者标识",
    requirement="The list holds each volume once, with the caller's id and the same facts as when it is read alone.",
    needs=("list_objects",),
)
def test_list(rig: Rig) -> None:
    made = {rig.id(tag): rig.volume(tag, size * GiB) for tag, size in (("a", 1), ("b", 2), ("c", 3))}
    listed = [volume for volume in rig.backend.list_volumes() if volume.volume_id in made]
    assert len(listed) == len(made), f"three volumes were listed as {[volume.volume_id for volume in listed]}"
    for volume in listed:
        assert volume == rig.backend.get_volume(volume.volume_id or ""), f"listed and read differ for {volume}"
        expect.same_object(volume, made[volume.volume_id or ""], what="the volume listed")


@check(
    "volume.delete",
    Level.ESSENTIAL,
    "A deleted volume is gone, and only that one",
    title_zh="删除卷后只有该卷消失",
    requirement="After a delete the volume cannot be read and is not listed, and every other volume is as it was.",
)
def test_delete(rig: Rig) -> None:
    rig.volume("a")
    rig.volume("b")
    kept = rig.backend.get_volume(rig.id("b"))
    rig.backend.delete_volume(rig.id("a"))
    with expect.refused(NotFound, what="reading a deleted volume", naming=rig.id("a")):
        _read(rig, "a")
    assert rig.backend.get_volume(rig.id("b")) == kept, "the other volume was changed"
    if rig.capabilities.list_objects:
        expect.only(rig.volumes(), {rig.id("b")}, what="volumes after the delete")


def _read(rig: Rig, tag: str) -> Volume:
    """Read a volume; an error that does not name the caller's id may name the array's name of it."""
    try:
        return rig.backend.get_volume(rig.id(tag))
    except NotFound as error:
        raise NotFound(f"{error} ({rig.id(tag)})") from error


@check(
    "volume.delete.repeat",
    Level.ESSENTIAL,
    "Deleting what is absent succeeds",
    title_zh="重复删除或删除不存在的卷视为成功",
    requirement="A delete of a deleted volume, and of one that never was, returns without an error and changes nothing.",
)
def test_delete_repeat(rig: Rig) -> None:
    rig.volume("a")
    rig.volume("b")
    rig.backend.delete_volume(rig.id("a"))
    with rig.unchanged(rig.id("b")):
        rig.backend.delete_volume(rig.id("a"))
        rig.another_backend().delete_volume(rig.id("a"))
        rig.backend.delete_volume(rig.id("never"), force=True)


@check(
    "volume.recreate",
    Level.ESSENTIAL,
    "A deleted id can be used again",
    title_zh="删除后的标识可重新使用",
    requirement="A volume made under a deleted volume's id is a new one, of the new size, with a WWN of its own unless ids carry WWNs.",
)
def test_recreate(rig: Rig) -> None:
    first = rig.volume("v", GiB)
    rig.backend.delete_volume(rig.id("v"))
    second = rig.volume("v", 2 * GiB)
    expect.as_asked(second, size=2 * GiB, volume_id=rig.id("v"))
    recurs = rig.capabilities.wwn_follows_id and second.id == first.id
    assert first.wwn is None or recurs or second.wwn != first.wwn, f"the new volume has the old one's WWN {first.wwn}"


@check(
    "volume.extend",
    Level.ESSENTIAL,
    "A volume grows",
    title_zh="卷扩容",
    requirement="An extended volume has exactly the new size and is otherwise the same volume.",
)
def test_extend(rig: Rig) -> None:
    made = rig.volume("v", GiB)
    rig.volume("other", GiB)
    for size in (2 * GiB, 7 * GiB):
        returned, read = rig.backend.extend_volume(rig.id("v"), size), rig.backend.get_volume(rig.id("v"))
        for volume in (returned, read):
            expect.as_asked(
                volume, what=f"extended to {size}", size=size, id=made.id, wwn=made.wwn, pool=made.pool, thin=made.thin
            )
    expect.as_asked(rig.backend.get_volume(rig.id("other")), what="another volume", size=GiB)


@check(
    "volume.extend.repeat",
    Level.ESSENTIAL,
    "Extending to the present size changes nothing",
    title_zh="重复扩容不产生变化",
    requirement="An extend to the size that a volume has already returns it as it is.",
)
def test_extend_repeat(rig: Rig) -> None:
    rig.volume("v", GiB)
    grown = rig.backend.extend_volume(rig.id("v"), 3 * GiB)
    with rig.unchanged(rig.id("v")):
        expect.same_object(rig.backend.extend_volume(rig.id("v"), 3 * GiB), grown, what="extended again")
        again = rig.another_backend().extend_volume(rig.id("v"), 3 * GiB)
        expect.same_object(again, grown, what="extended again by another process")


@check(
    "volume.extend.shrink",
    Level.ESSENTIAL,
    "A volume never shrinks",
    title_zh="拒绝缩小卷",
    requirement="An extend to a smaller size is refused naming both sizes; the volume stays as it is.",
)
def test_shrink(rig: Rig) -> None:
    rig.volume("v", 3 * GiB)
    for size in (2 * GiB, GiB):
        with rig.unchanged(rig.id("v")), expect.refused(InvalidRequest, what=f"3 GiB to {size} bytes", naming=str(size)):
            rig.backend.extend_volume(rig.id("v"), size)


@check(
    "volume.extend.exported",
    Level.MANDATORY,
    "A volume grows while a host uses it",
    title_zh="已导出的卷在线扩容",
    requirement="An exported volume is extended with its export untouched: same host, LUN id and WWN, never taken away meanwhile.",
    needs=("online_extend", "list_exports"),
)
def test_extend_exported(rig: Rig) -> None:
    rig.volume("v", GiB)
    export = rig.export()
    observer = rig.another_backend()
    before = observer.list_exports(rig.id("v"))
    with ThreadPoolExecutor(1) as pool:
        extending = pool.submit(rig.backend.extend_volume, rig.id("v"), 2 * GiB)
        while not extending.done():
            seen = observer.list_exports(rig.id("v"))
            assert seen == before, f"while it was extended the exports were {seen}, before {before}"
        extending.result()
    expect.as_asked(rig.backend.get_volume(rig.id("v")), size=2 * GiB)
    assert rig.export() == export, f"the export was {export} before and is {rig.export()} now"
