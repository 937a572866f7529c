"""Manage and unmanage: volumes change hands with their bytes, their identity and nothing else."""

from __future__ import annotations

from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, NotFound
from blockdrivers.model import GiB
from conformance.outcome import Level
from conformance.suite import expect, ids
from conformance.suite.declare import check
from conformance.suite.rig import Rig


def _foreign(rig: Rig, tag: str) -> str:
    return rig.foreign(f"{ids.FOREIGN}{rig.run.prefix.strip('-')[-4:]}_{tag}")


def _given_up(rig: Rig, tag: str) -> str:
    """Make a volume, give it up, and return its new name on the array."""
    rig.volume(tag)
    rig.backend.unmanage_volume(rig.id(tag), _foreign(rig, tag))
    return _foreign(rig, tag)


@check(
    "manage.round_trip",
    Level.STANDARD,
    "A volume is given up and taken over",
    title_zh="卷的移出管理与纳入管理",
    requirement="A volume that is given up and taken over under another id keeps array id, WWN, size and snapshots.",
    needs=("manage",),
)
def test_round_trip(rig: Rig) -> None:
    made = rig.volume("v", 3 * GiB)
    given = rig.backend.unmanage_volume(rig.id("v"), _foreign(rig, "v"))
    expect.as_asked(given, what="given up", name=_foreign(rig, "v"))
    expect.same_volume(given, made, what="given up")
    with expect.refused(NotFound, what="reading the volume that was given up"):
        rig.backend.get_volume(rig.id("v"))
    if rig.capabilities.list_objects:
        listed = [volume.id for volume in rig.backend.list_volumes(foreign=True) if volume.name == _foreign(rig, "v")]
        assert listed == [made.id], f"among all volumes of the array it is {listed}"
    taken = rig.backend.manage_volume(rig.id("w"), _foreign(rig, "v"))
    for volume in (taken, rig.backend.get_volume(rig.id("w"))):
        expect.as_asked(volume, what="taken over", volume_id=rig.id("w"), size=3 * GiB)
        expect.same_volume(volume, made, what="taken over")
    rig.holds_only({rig.id("w")}, what="volumes afterwards")
    with expect.refused(NotFound, what="taking over a name that is gone"):
        rig.backend.manage_volume(rig.id("x"), _foreign(rig, "v"))


@check(
    "manage.repeat",
    Level.STANDARD,
    "Taking over and giving up again changes nothing",
    title_zh="重复纳管与移出无变化",
    requirement="A repeated unmanage and a repeated manage return the same volume; nothing else is touched.",
    needs=("manage",),
)
def test_repeat(rig: Rig) -> None:
    made = rig.volume()
    for backend in (rig.backend, rig.backend, rig.another_backend()):
        expect.same_volume(backend.unmanage_volume(rig.id("v"), _foreign(rig, "v")), made, what="given up again")
    for backend in (rig.backend, rig.backend, rig.another_backend()):
        taken = backend.manage_volume(rig.id("w"), _foreign(rig, "v"))
        expect.as_asked(taken, what="taken over again", volume_id=rig.id("w"))
        expect.same_volume(taken, made, what="taken over again")
    rig.holds_only({rig.id("w")}, what="volumes afterwards")


@check(
    "manage.refused",
    Level.STANDARD,
    "What must not change hands does not",
    title_zh="不允许的纳管与移出被拒绝",
    requirement="A managed volume's name, a taken id, an exported volume, and a bad or own-looking new name are refused.",
    needs=("manage",),
)
def test_refused(rig: Rig) -> None:
    managed = rig.volume("v")
    name = _given_up(rig, "w")
    other = _given_up(rig, "x")
    with rig.unchanged(rig.id("v")):
        with expect.refused(InvalidRequest, what="taking over a volume that is managed"):
            rig.backend.manage_volume(rig.id("y"), managed.name)
        with expect.refused(AlreadyExists, what="taking over under a taken id"):
            rig.backend.manage_volume(rig.id("v"), name)
        with expect.refused(AlreadyExists, what="giving up under a taken name"):
            rig.backend.unmanage_volume(rig.id("v"), name)
        for bad in ("", "a b", "a/b", "a;b", "x" * (rig.capabilities.names.volume + 1), managed.name, "名"):
            with expect.refused(InvalidRequest, what=f"giving up as {bad!r}"):
                rig.backend.unmanage_volume(rig.id("v"), bad)
    if rig.capabilities.list_objects:
        left = {volume.name for volume in rig.backend.list_volumes(foreign=True) if volume.name.startswith(ids.FOREIGN)}
        assert left == {name, other}, f"the volumes that were given up are now {left}"


@check(
    "manage.exported",
    Level.STANDARD,
    "A foreign volume in use is not taken over",
    title_zh="使用中的外部卷不得纳管",
    requirement="A volume that is exported when it is given up keeps its export, and is InUse for a manage until it is free.",
    needs=("manage", "list_exports"),
)
def test_exported(rig: Rig) -> None:
    made = rig.volume()
    rig.export()
    name = _foreign(rig, "v")
    rig.backend.unmanage_volume(rig.id("v"), name)
    with expect.refused(InUse, what="taking over an exported volume", naming=name):
        rig.backend.manage_volume(rig.id("v"), name)
    driver = rig.backend.driver
    (export,) = driver.list_exports(driver.get_volume(name).ref)
    assert export.wwn == made.wwn, f"the export of the given-up volume is {export}"
    driver.unexport(driver.get_volume(name).ref, export.host, export.protocol)
    expect.as_asked(rig.backend.manage_volume(rig.id("v"), name), id=made.id, wwn=made.wwn)


@check(
    "manage.snapshot",
    Level.STANDARD,
    "A volume changes hands with its snapshots",
    title_zh="快照随卷一并纳管",
    requirement="A snapshot outlives its volume's unmanage, and is taken over under a new id once its volume is.",
    needs=("manage", "find_snapshots"),
)
def test_snapshot(rig: Rig) -> None:
    made = rig.volume()
    rig.volume("other")
    taken = rig.snapshot("s")
    rig.backend.unmanage_volume(rig.id("v"), _foreign(rig, "v"))
    rig.backend.manage_volume(rig.id("w"), _foreign(rig, "v"))
    assert rig.backend.get_snapshot(rig.id("s")).source_id == made.id, "the snapshot is of another volume"
    for _ in range(2):
        given = rig.backend.unmanage_snapshot(rig.id("s"), _foreign(rig, "s"))
        assert (given.id, given.name, given.snapshot_id) == (taken.id, _foreign(rig, "s"), None), (
            f"the given-up snapshot is {given}"
        )
    assert rig.backend.find_snapshot(_foreign(rig, "s")).source_id == made.id, "its name finds another snapshot"
    with expect.refused(InvalidRequest, what="a snapshot of another volume"):
        rig.backend.manage_snapshot(rig.id("s2"), rig.id("other"), _foreign(rig, "s"))
    for _ in range(2):
        managed = rig.backend.manage_snapshot(rig.id("s2"), rig.id("w"), _foreign(rig, "s"))
        found = (managed.id, managed.snapshot_id, managed.volume_id)
        assert found == (taken.id, rig.id("s2"), rig.id("w")), f"array id, snapshot and volume are {found}"


@check(
    "manage.snapshot.by_volume",
    Level.STANDARD,
    "A snapshot of a named volume changes hands",
    title_zh="按卷纳管快照",
    requirement="Where a snapshot is found within its volume only, it is given up and taken over by both names; a taken id is refused.",
    needs=("manage", "find_in_volume"),
)
def test_snapshot_by_volume(rig: Rig) -> None:
    rig.volume("v")
    rig.volume("other")
    rig.snapshot("s")
    rig.snapshot("kept")
    name = _foreign(rig, "s")
    with expect.refused(InvalidRequest, what="giving up a snapshot of no volume"):
        rig.backend.unmanage_snapshot(rig.id("s"), name)
    for _ in range(2):
        given = rig.backend.unmanage_snapshot(rig.id("s"), name, of_volume=rig.id("v"))
        assert (given.name, given.snapshot_id) == (name, None), f"the given-up snapshot is {given}"
    with expect.refused(NotFound, what="a snapshot of another volume"):
        rig.backend.manage_snapshot(rig.id("s2"), rig.id("other"), name)
    with expect.refused(AlreadyExists, what="taking over under a taken id"):
        rig.backend.manage_snapshot(rig.id("kept"), rig.id("v"), name)
    for _ in range(2):
        managed = rig.backend.manage_snapshot(rig.id("s2"), rig.id("v"), name)
        assert (managed.snapshot_id, managed.volume_id) == (rig.id("s2"), rig.id("v")), f"the snapshot is {managed}"
    with expect.refused(InUse, what="deleting a volume whose snapshot has changed hands"):
        rig.backend.delete_volume(rig.id("v"))
    for snapshot in ("s2", "kept"):
        rig.backend.delete_snapshot(rig.id(snapshot), of_volume=rig.id("v"))
    rig.backend.delete_volume(rig.id("v"))
