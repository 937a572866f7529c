"""Clones from volumes and snapshots: complete, independent, and without anything left of their making."""

from __future__ import annotations

from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, NotFound
from blockdrivers.model import GiB, Volume, VolumeState
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig


def _clone(rig: Rig, tag: str = "c", source: str = "v", **options: object) -> Volume:
    return rig.backend.clone_volume(rig.id(tag), rig.id(source), **options)  # type: ignore[arg-type]


def _from_snapshot(rig: Rig, tag: str = "c", source: str = "s", **options: object) -> Volume:
    options.setdefault("pool", rig.pool)
    options.setdefault("of_volume", rig.id("v"))
    return rig.backend.create_volume_from_snapshot(rig.id(tag), rig.id(source), **options)  # type: ignore[arg-type]


def _is_own(rig: Rig, clone: Volume, source: Volume, size: int) -> None:
    """Prove that a clone is a volume of its own: another object, another identity, nothing hanging on it."""
    for volume in (clone, rig.backend.get_volume(rig.id("c"))):
        expect.as_asked(
            volume, what="the clone", size=size, state=VolumeState.READY, volume_id=rig.id("c"), dependants=frozenset()
        )
        assert volume.id != source.id, f"the clone is its source: {volume}"
        assert volume.wwn is None or volume.wwn != source.wwn, f"the clone has its source's WWN {volume.wwn}"


@check(
    "clone.volume",
    Level.ESSENTIAL,
    "A volume is cloned",
    title_zh="从卷克隆",
    requirement="A clone has its source's size, pool and provisioning, and an identity of its own; the source is unchanged.",
)
def test_volume(rig: Rig) -> None:
    source = rig.volume("v", 2 * GiB)
    clone = _clone(rig)
    _is_own(rig, clone, source, 2 * GiB)
    expect.as_asked(clone, what="the clone", pool=source.pool, thin=source.thin)
    assert rig.backend.get_volume(rig.id("v")) == source, f"the source was {source} and is {rig.backend.get_volume(rig.id('v'))}"
    rig.holds_only({rig.id("v"), rig.id("c")}, what="objects beside the clone")


@check(
    "clone.snapshot",
    Level.ESSENTIAL,
    "A volume is made from a snapshot",
    title_zh="从快照创建卷",
    requirement="A volume from a snapshot has the snapshot's size and an identity of its own; the snapshot is unchanged.",
)
def test_snapshot(rig: Rig) -> None:
    source = rig.volume("v", 2 * GiB)
    taken = rig.snapshot("s")
    _is_own(rig, _from_snapshot(rig), source, 2 * GiB)
    rig.expect_snapshot(taken, "s", what="the snapshot")
    rig.holds_only({rig.id("v"), rig.id("s"), rig.id("c")}, what="objects afterwards")


@check(
    "clone.repeat",
    Level.ESSENTIAL,
    "Cloning again returns the same clone",
    title_zh="重复克隆返回同一个卷",
    requirement="A repeated clone, of a volume or of a snapshot, makes nothing and returns the one that is there.",
)
def test_repeat(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    first, second = _clone(rig, "c1"), _from_snapshot(rig, "c2")
    with rig.unchanged(rig.id("v"), rig.id("c1"), rig.id("c2")):
        expect.same_object(_clone(rig, "c1"), first, what="cloned again")
        expect.same_object(_from_snapshot(rig, "c2"), second, what="made from the snapshot again")
        again = rig.another_backend().clone_volume(rig.id("c1"), rig.id("v"))
        expect.same_object(again, first, what="cloned again by another process")


@check(
    "clone.differs",
    Level.MANDATORY,
    "Cloning again with other arguments is refused",
    title_zh="参数不同的重复克隆被拒绝",
    requirement="A clone whose id is taken by a volume of another size or source is AlreadyExists naming the difference.",
)
def test_differs(rig: Rig) -> None:
    for tag in ("v", "w"):
        rig.volume(tag)
    rig.snapshot("s")
    _clone(rig, "c")
    with rig.unchanged(*map(rig.id, ("v", "w", "c"))):
        expect.differs(lambda: _clone(rig, "c", size=2 * GiB), "size", what="another size")
        if rig.capabilities.description_bytes:
            expect.differs(lambda: _clone(rig, "c", "w"), "source", what="another source")
            expect.differs(lambda: _from_snapshot(rig, "c"), "source", what="a snapshot as the source")
            expect.differs(lambda: _clone(rig, "w", "v"), "source", what="the id of an empty volume")
            expect.differs(lambda: rig.volume("c"), "source", what="an empty volume under a clone's id")


@check(
    "clone.larger",
    Level.MANDATORY,
    "A clone may be larger than its source",
    title_zh="克隆卷可大于源",
    requirement="A clone of a volume or snapshot with a larger size has exactly that size, and repeats return it.",
)
def test_larger(rig: Rig) -> None:
    source = rig.volume("v", GiB)
    rig.snapshot("s")
    clone = _clone(rig, size=3 * GiB)
    _is_own(rig, clone, source, 3 * GiB)
    expect.same_object(_clone(rig, size=3 * GiB), clone, what="cloned again")
    second = _from_snapshot(rig, "c2", size=2 * GiB)
    expect.as_asked(second, what="from the snapshot", size=2 * GiB)
    expect.same_object(_from_snapshot(rig, "c2", size=2 * GiB), second, what="made again")


@check(
    "clone.smaller",
    Level.ESSENTIAL,
    "A clone is never smaller than its source",
    title_zh="拒绝小于源的克隆",
    requirement="A clone with a smaller size than its volume or snapshot is refused, and nothing is made.",
)
def test_smaller(rig: Rig) -> None:
    rig.volume("v", 3 * GiB)
    rig.snapshot("s")
    with rig.unchanged(rig.id("v")):
        with expect.refused(InvalidRequest, what="a clone of 2 GiB from 3 GiB", naming=str(2 * GiB)):
            _clone(rig, size=2 * GiB)
        with expect.refused(InvalidRequest, what="2 GiB from a snapshot of 3 GiB", naming=str(2 * GiB)):
            _from_snapshot(rig, size=2 * GiB)


@check(
    "clone.pool",
    Level.MANDATORY,
    "A clone may live in another pool",
    title_zh="克隆到其他存储池",
    requirement="A clone into the second pool is there and complete, from a volume and from a snapshot.",
    needs=("two_pools",),
)
def test_pool(rig: Rig) -> None:
    source = rig.volume()
    rig.snapshot("s")
    clone = _clone(rig, pool=rig.other_pool)
    _is_own(rig, clone, source, GiB)
    expect.as_asked(clone, what="the clone", pool=rig.other_pool)
    expect.as_asked(_from_snapshot(rig, "c2", pool=rig.other_pool), what="from the snapshot", pool=rig.other_pool)


@check(
    "clone.independent",
    Level.ESSENTIAL,
    "A clone does not depend on its source",
    title_zh="克隆卷独立于源卷",
    requirement="With a clone there, its source is extended, given snapshots, and deleted; the clone is unchanged, and the reverse.",
)
def test_independent(rig: Rig) -> None:
    rig.volume()
    _clone(rig)
    with rig.unchanged(rig.id("c")):
        rig.backend.extend_volume(rig.id("v"), 2 * GiB)
    with rig.unchanged(rig.id("v")):
        rig.backend.extend_volume(rig.id("c"), 3 * GiB)
    clone = rig.watch(rig.id("c"))
    rig.snapshot("s", "v")
    assert rig.watch(rig.id("c")) == clone, f"a snapshot of the source changed the clone to {rig.watch(rig.id('c'))}"
    rig.drop_snapshot("s")
    rig.backend.delete_volume(rig.id("v"))
    assert rig.watch(rig.id("c")) == clone, f"the source's deletion changed the clone to {rig.watch(rig.id('c'))}"
    rig.backend.create_snapshot(rig.id("s2"), rig.id("c"))
    rig.drop_snapshot("s2", "c")
    rig.backend.delete_volume(rig.id("c"))


@check(
    "clone.independent.snapshot",
    Level.ESSENTIAL,
    "A volume from a snapshot does not depend on it",
    title_zh="由快照创建的卷独立于快照与源卷",
    requirement="With a volume made from a snapshot, the snapshot and then the source are deleted; the new volume is unchanged.",
)
def test_independent_snapshot(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    _from_snapshot(rig)
    clone = rig.watch(rig.id("c"))
    rig.drop_snapshot("s")
    rig.backend.delete_volume(rig.id("v"))
    assert rig.watch(rig.id("c")) == clone, f"deleting snapshot and source changed the volume to {rig.watch(rig.id('c'))}"
    rig.holds_only({rig.id("c")}, what="objects afterwards")


@check(
    "clone.leftovers",
    Level.MANDATORY,
    "A clone's making leaves nothing",
    title_zh="克隆完成后不残留临时对象",
    requirement="After clones of a volume, of a snapshot, and of a clone, neither temporaries nor copies are on the array.",
)
def test_leftovers(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    _clone(rig, "c1")
    _from_snapshot(rig, "c2")
    _clone(rig, "c3", "c1")
    assert not rig.swept(), f"the sweep finds {rig.swept()}"
    expected = set(map(rig.id, ("v", "s", "c1", "c2", "c3")))
    rig.holds_only(expected, what="objects afterwards")
    if rig.capabilities.list_objects:
        sources = {rig.backend.get_volume(rig.id(tag)).name for tag in ("v", "c1", "c2", "c3")}
        hanging = [found.name for found in rig.backend.list_snapshots(foreign=True) if found.source_name in sources]
        assert len(hanging) == 1, f"beside the snapshot s there are {hanging}"
    for tag in ("v", "c1", "c3"):
        expect.as_asked(rig.backend.get_volume(rig.id(tag)), what=tag, state=VolumeState.READY)


@check(
    "clone.exported",
    Level.MANDATORY,
    "A volume in use is cloned",
    title_zh="克隆已导出的卷",
    requirement="A clone of an exported volume is made without touching the export, and is not exported itself.",
    needs=("copies_in_use",),
)
def test_exported(rig: Rig) -> None:
    source = rig.volume()
    export = rig.export()
    _is_own(rig, _clone(rig), source, GiB)
    assert rig.export() == export, f"after the clone the export is {rig.export()}, before {export}"
    rig.shown_to([], "c", what="the clone")


@check(
    "clone.in_use",
    Level.MANDATORY,
    "A volume in use is not copied where that takes time",
    title_zh="无法瞬时克隆时拒绝复制使用中的卷",
    requirement="Where bytes are copied over time, a snapshot and a clone of an exported volume are InUse, and nothing is made.",
    needs=("copies_unused_only",),
)
def test_in_use(rig: Rig) -> None:
    rig.volume()
    rig.export()
    with rig.unchanged(rig.id("v")):
        with expect.refused(InUse, what="a clone of an exported volume"):
            _clone(rig)
        with expect.refused(InUse, what="a snapshot of an exported volume"):
            rig.snapshot("s")
    rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)
    rig.snapshot("s")
    _clone(rig)


@check(
    "clone.refused",
    Level.MANDATORY,
    "Impossible clones are refused",
    title_zh="不可能的克隆请求被拒绝",
    requirement="A clone of itself or into an unknown pool is refused, one of an absent source is NotFound; nothing is made.",
)
def test_refused(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    with rig.unchanged(rig.id("v")):
        with expect.refused(NotFound, what="a clone of an absent volume"):
            _clone(rig, "c", "absent")
        with expect.refused(NotFound, what="a volume from an absent snapshot"):
            _from_snapshot(rig, "c", "absent")
        with expect.refused(InvalidRequest, what="a clone into an unknown pool", naming="no-such-pool"):
            _clone(rig, "c", pool="no-such-pool")
        with expect.refused(AlreadyExists, InvalidRequest, what="a clone of itself"):
            _clone(rig, "v", "v", size=2 * GiB)
