"""Retype: a volume moves, under its hosts' feet where the array can do that, and stays the same volume."""

from __future__ import annotations

from blockdrivers.errors import InUse, InvalidRequest
from blockdrivers.model import GiB, Volume
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig


def _stays(rig: Rig, before: Volume, **changed: object) -> None:
    """Prove that the volume is what it was but for what was to change, and that the move left nothing."""
    after = rig.backend.get_volume(rig.id("v"))
    expect.as_asked(after, what="the moved volume", name=before.name, wwn=before.wwn, size=before.size, **changed)
    assert after.dependants == before.dependants, f"dependants were {set(before.dependants)} and are {set(after.dependants)}"
    assert not rig.swept(), f"after the move the sweep finds {rig.swept()}"
    rig.holds_only({rig.id("v")}, what="objects after the move")


@check(
    "retype.pool",
    Level.STANDARD,
    "A volume moves to another pool",
    title_zh="卷迁移到其他存储池",
    requirement="A moved volume is in the new pool with its WWN, size and name; nothing of the move is left, and it moves back.",
    needs=("migrate", "two_pools"),
)
def test_pool(rig: Rig) -> None:
    made = rig.volume("v", 2 * GiB)
    for pool in (rig.other_pool, rig.pool):
        moved = rig.backend.retype_volume(rig.id("v"), pool=pool)
        expect.as_asked(moved, what="the volume returned", pool=pool, wwn=made.wwn, volume_id=rig.id("v"))
        _stays(rig, made, pool=pool)


@check(
    "retype.exported",
    Level.STANDARD,
    "A volume moves while a host uses it",
    title_zh="已导出的卷在线迁移",
    requirement="The export of a moved volume keeps its LUN id and WWN.",
    needs=("migrate_in_use", "two_pools", "san"),
)
def test_exported(rig: Rig) -> None:
    rig.volume()
    export = rig.export()
    before = rig.backend.get_volume(rig.id("v"))
    rig.backend.retype_volume(rig.id("v"), pool=rig.other_pool)
    _stays(rig, before, pool=rig.other_pool)
    assert rig.export() == export, f"the export was {export} and is {rig.export()}"


@check(
    "retype.in_use",
    Level.STANDARD,
    "A volume in use is not moved where it would be another one then",
    title_zh="无法在线迁移时拒绝迁移已导出的卷",
    requirement="Where moves are off line, one of an exported volume is InUse and changes nothing; unexported, it moves.",
    needs=("migrate_unused_only", "two_pools"),
)
def test_in_use(rig: Rig) -> None:
    rig.volume()
    rig.export()
    with rig.unchanged(rig.id("v")), expect.refused(InUse, what="a move of an exported volume"):
        rig.backend.retype_volume(rig.id("v"), pool=rig.other_pool)
    rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)
    before = rig.backend.get_volume(rig.id("v"))
    rig.backend.retype_volume(rig.id("v"), pool=rig.other_pool)
    _stays(rig, before, pool=rig.other_pool)


@check(
    "retype.thin",
    Level.STANDARD,
    "A volume changes its provisioning",
    title_zh="卷在精简与厚置备之间转换",
    requirement="A thin volume becomes thick, and thin again, with its WWN, size and name.",
    needs=("migrate", "thin", "thick"),
)
def test_thin(rig: Rig) -> None:
    made = rig.volume("v", GiB, thin=True)
    for thin in (False, True):
        expect.as_asked(rig.backend.retype_volume(rig.id("v"), thin=thin), what="the volume returned", thin=thin, wwn=made.wwn)
        _stays(rig, made, thin=thin)


@check(
    "retype.repeat",
    Level.STANDARD,
    "A retype to what a volume is already changes nothing",
    title_zh="重复迁移无变化",
    requirement="A repeated retype, and one without a wish, returns the volume as it is; an unknown pool is refused.",
    needs=("migrate", "two_pools"),
)
def test_repeat(rig: Rig) -> None:
    rig.volume()
    moved = rig.backend.retype_volume(rig.id("v"), pool=rig.other_pool)
    with rig.unchanged(rig.id("v")):
        expect.same_object(rig.backend.retype_volume(rig.id("v"), pool=rig.other_pool), moved, what="moved again")
        expect.same_object(
            rig.another_backend().retype_volume(rig.id("v"), pool=rig.other_pool), moved, what="by another process"
        )
        expect.same_object(rig.backend.retype_volume(rig.id("v")), moved, what="without a wish")
        with expect.refused(InvalidRequest, what="a move to an unknown pool", naming="no-such-pool"):
            rig.backend.retype_volume(rig.id("v"), pool="no-such-pool")
