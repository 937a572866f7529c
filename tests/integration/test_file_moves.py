"""A file moves to another share: what it keeps, and what it meets on the way, in every order of the steps and cut off before each of them."""

from __future__ import annotations

import pytest

from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, NotFound
from blockdrivers.model import Dependant, GiB, Protocol, Qos
from tests.integration.filelab import HOST, LONGEST, Lab, delete, export, give_up, lab, notes, snapshot, told

__all__ = ["lab"]


LOOKS = {"get": lambda array: [array.get_volume("v")], "list": lambda array: array.list_volumes()}
BEFORE_COPYING, AFTER_ITS_NOTES = 5, 6
"""So many steps has a move, with looking for the volume, before the copy is there, and after its notes have gone."""


def race(lab: Lab, *calls, **more):
    """Yield what is told in each order of all the steps of a move, of which some are tried."""
    return lab.race(*calls, depth=LONGEST, **more)


def moving(lab: Lab, pool: int = 1):
    return lambda array: array.retype_volume("v", pool=lab.pools[pool])


def alone(lab: Lab, what: object) -> None:
    """Make sure that there is one file of the volume, and nothing of a move."""
    assert len(lab.where()) == 1, f"{what}: the volume is in {lab.where()}"
    assert lab.names() == ["bdvl-v"], f"{what}: {lab.names()}"


# What a move keeps


def test_a_file_moves_and_moves_back(lab):
    lab.any.create_volume("v", GiB, lab.a)
    lab.write(lab.any, b"bytes")
    for pool, thin in ((lab.b, True), (lab.a, False), (lab.b, False), (lab.a, True)):
        moved = lab.any.retype_volume("v", pool=pool, thin=thin)
        assert (moved.pool, moved.thin, moved.size, moved.volume_id) == (pool, thin, GiB, "v")
        assert lab.any.get_volume("v") == moved
        assert lab.any.retype_volume("v", pool=pool, thin=thin) == moved
        alone(lab, pool)
        assert lab.read() == b"bytes"
    with pytest.raises(InvalidRequest, match="nowhere"):
        lab.any.retype_volume("v", pool="nowhere")
    lab.any.extend_volume("v", 2 * GiB)
    lab.any.create_snapshot("s", "v")
    with pytest.raises(InUse, match="bdsl-s"):
        lab.any.retype_volume("v", pool=lab.b)
    lab.any.delete_snapshot("s")
    lab.any.export("v", HOST, Protocol.NFS)
    with pytest.raises(InUse, match="unexport it first"):
        lab.any.retype_volume("v", pool=lab.b)
    lab.any.unexport("v", HOST, Protocol.NFS)
    lab.any.delete_volume("v")
    lab.any.remove_host(HOST)
    assert lab.names() == []


def test_a_volume_changes_its_provisioning_where_it_is(lab):
    lab.any.create_volume("v", GiB, lab.a)
    lab.write(lab.any, b"bytes")
    export = lab.any.export("v", HOST, Protocol.NFS)
    if not lab.any.driver._store.reserves_in_use:
        # Zeros in its holes could meet what a host writes.
        with pytest.raises(InUse, match="bdhl-cmp01"):
            lab.any.retype_volume("v", thin=False)
        lab.any.unexport("v", HOST, Protocol.NFS)
    assert lab.any.retype_volume("v", thin=False).thin is False
    assert (lab.any.get_volume("v").thin, lab.read()) == (False, b"bytes")
    assert lab.any.export("v", HOST, Protocol.NFS) == export
    assert lab.any.retype_volume("v", thin=True).thin is True
    assert (lab.any.get_volume("v").thin, lab.read()) == (True, b"bytes")
    assert lab.any.list_exports("v") == [export]
    assert list(lab.any.sweep()) == []


# What it meets


@pytest.mark.parametrize("use", [export, snapshot])
def test_a_volume_that_is_used_meanwhile_stays_or_is_used_where_it_has_gone(lab, use):
    for (used, moved), order in race(lab, use, moving(lab)):
        assert told(used), f"{order}: {used!r}"
        there = lab.any.get_volume("v")
        assert there.dependants == {Dependant.EXPORT if use is export else Dependant.SNAPSHOT}, f"{order}: {lab.names()}"
        assert (lab.where(), told(moved)) in [([lab.a], False), ([lab.b], True)], f"{order}: {lab.names()}, {moved!r}"
        assert told(moved) or isinstance(moved, InUse), f"{order}: {moved!r}"
        if use is export:
            assert lab.any.list_exports("v") == [used], f"{order}: told {used}"
        assert list(lab.any.sweep()) == [], f"{order}: {lab.names()}"


@pytest.mark.parametrize("lab", ["ontap"], indirect=True)
@pytest.mark.parametrize("other", ["move", "delete"])
def test_a_group_is_taken_of_a_volume_whose_name_is_away(lab, other):
    def group(array):
        return array.create_group_snapshot({"v": "s", "w": "t"})

    def before():
        lab.any.create_volume("w", GiB, lab.b)

    for (taken, gone), order in race(lab, group, moving(lab) if other == "move" else delete, before=before):
        if told(taken):
            assert lab.any.get_volume("v").dependants == {Dependant.SNAPSHOT}, f"{order}: {lab.names()}"
            assert isinstance(gone, InUse) or (other == "move" and told(gone)), f"{order}: {gone!r}"
        else:
            assert other == "delete", f"{order}: {taken!r}"
            assert isinstance(taken, NotFound), f"{order}: {taken!r}"
            assert lab.names() == ["bdvl-w"], f"{order}: {lab.names()}"
        assert list(lab.any.sweep()) == [], f"{order}: {lab.any.sweep()}"


def test_what_a_host_writes_meanwhile_moves_too(lab):
    def written(array):
        export(array)
        lab.write(array, b"after")
        array.unexport("v", HOST, Protocol.NFS)

    for (used, moved), order in race(lab, written, moving(lab), before=lambda: lab.write(lab.any, b"before")):
        assert told(used), f"{order}: {used!r}"
        assert told(moved) or isinstance(moved, InUse), f"{order}: {moved!r}"
        assert lab.read() == b"after", f"{order}: lost what was written, {lab.names()}"
        assert list(lab.any.sweep()) == [], f"{order}: {lab.names()}"


def test_what_a_revert_has_put_back_moves_too(lab):
    def reverted(array):
        array.create_snapshot("s", "v")
        lab.write(array, b"after")
        array.revert_volume("v", "s")
        array.delete_snapshot("s")

    for (back, moved), order in race(lab, reverted, moving(lab), before=lambda: lab.write(lab.any, b"first")):
        assert told(back), f"{order}: {back!r}"
        assert told(moved) or isinstance(moved, InUse), f"{order}: {moved!r}"
        assert lab.read() == b"first", f"{order}: {lab.names()}"
        assert list(lab.any.sweep()) == [], f"{order}: {lab.names()}"


def test_a_volume_that_grows_meanwhile_has_grown_where_it_has_gone(lab):
    for (grown, moved), order in race(lab, lambda array: array.extend_volume("v", 2 * GiB), moving(lab)):
        assert told(grown), f"{order}: {grown!r}"
        assert told(moved), f"{order}: {moved!r}"
        assert (lab.any.get_volume("v").size, lab.where()) == (2 * GiB, [lab.b]), order
        alone(lab, order)


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("home", [0, 1])
def test_a_volume_is_found_and_listed_wherever_it_is(lab, look, home):
    lab.home = lab.pools[home]
    for (seen, moved), order in race(lab, look, moving(lab, 1 - home), before=lab.forget):
        assert told(seen), f"{order}: {seen!r}"
        assert told(moved), f"{order}: {moved!r}"
        if [volume.volume_id for volume in seen] != ["v"]:
            # A listing reads one share after the other: the copying was begun after the first look, and the move at its end before the second.
            before, between = (len(run) for run in order.split("0")[:2])
            assert look is LOOKS["list"], f"{order}: {seen!r}"
            assert before <= BEFORE_COPYING, f"{order}: {seen!r}"
            assert before + between >= order.count("1") - AFTER_ITS_NOTES, f"{order}: {seen!r}"
        alone(lab, order)


def test_a_volume_that_is_deleted_meanwhile_is_gone_everywhere(lab):
    for (deleted, moved), order in race(lab, delete, moving(lab)):
        assert told(deleted), f"{order}: {deleted!r}"
        assert told(moved) or isinstance(moved, NotFound), f"{order}: {moved!r}"
        assert lab.names() == [], f"{order}: {lab.names()}"


def test_a_volume_that_is_given_up_meanwhile_is_whole(lab):
    for (given, moved), order in race(lab, give_up, moving(lab)):
        assert told(given), f"{order}: {given!r}"
        assert told(moved) or isinstance(moved, NotFound), f"{order}: {moved!r}"
        assert lab.names() == ["old.img"], f"{order}: {lab.names()}"


@pytest.mark.parametrize("pools", [(0, 1), (1, 1)])
def test_two_moves_leave_one_volume(lab, pools):
    # The one who is asked to move it back may do so before or after it has moved.
    calls = [moving(lab, pool) for pool in pools]
    for outcomes, order in race(lab, *calls):
        assert all(told(outcome) for outcome in outcomes), f"{order}: {outcomes}"
        assert lab.where() == [lab.b] or pools == (0, 1), f"{order}: {lab.names()}"
        alone(lab, order)


def test_a_volume_that_is_made_again_meanwhile_is_that_one(lab):
    for (made, moved), order in race(lab, lambda array: array.create_volume("v", GiB, lab.b), moving(lab)):
        assert told(made) or (isinstance(made, AlreadyExists) and made.differences == {"pool": (lab.b, lab.a)}), (
            f"{order}: {made!r}"
        )
        assert told(moved), f"{order}: {moved!r}"
        alone(lab, order)


def test_three_at_once(lab):
    def make(array):
        return array.create_volume("v", GiB, lab.a)

    for (used, moved, made), order in race(lab, export, moving(lab), make):
        assert told(used), f"{order}: {used!r}"
        assert told(moved) or isinstance(moved, InUse), f"{order}: {moved!r}"
        assert told(made) or isinstance(made, AlreadyExists), f"{order}: {made!r}"
        assert lab.any.list_exports("v") == [used], f"{order}: {lab.names()}"
        assert len(lab.where()) == 1, f"{order}: {lab.names()}"
        assert list(lab.any.sweep()) == [], f"{order}: {lab.names()}"
    for (deleted, moved, made), order in race(lab, delete, moving(lab), make):
        assert told(deleted), f"{order}: {deleted!r}"
        assert told(moved) or isinstance(moved, NotFound), f"{order}: {moved!r}"
        there = lab.where()
        assert len(there) <= 1, f"{order}: {lab.names()}"
        assert told(made) or isinstance(made, AlreadyExists), f"{order}: {made!r}"
        assert list(lab.any.sweep()) == [], f"{order}: {lab.names()}"


# Cut off


def cut(lab: Lab, steps: int, qos: Qos | None) -> bool:
    lab.begin()
    lab.write(lab.any, b"bytes")
    if qos:
        lab.any.set_qos("v", qos)
    return lab.killed(moving(lab), steps)


def over_every_step(lab: Lab, qos: Qos | None = None):
    """Yield the number of each step before which a move has been killed just now."""
    for steps in range(LONGEST):
        whole = not cut(lab, steps, qos)
        if not whole:
            yield steps
        lab.end()
        if whole:
            return
    raise AssertionError("a move takes more steps than are tried")


def test_a_move_that_is_cut_off_is_completed_by_its_repeat(lab):
    limits = Qos(total_iops=500) if lab.any.capabilities.qos else None
    for steps in over_every_step(lab, limits):
        moved = lab.backends["second"].retype_volume("v", pool=lab.b)
        assert (moved.pool, lab.read()) == (lab.b, b"bytes"), f"{steps}: {lab.names()}"
        alone(lab, steps)
        if limits:
            assert lab.any.get_qos("v") == limits, steps
            lab.any.set_qos("v", None)
        assert list(lab.any.sweep()) == [], steps


@pytest.mark.parametrize("use", [export, snapshot])
def test_a_volume_whose_move_is_cut_off_is_used(lab, use):
    for steps in over_every_step(lab):
        used = use(lab.backends["second"])
        assert lab.read() == b"bytes", f"{steps}: {lab.names()}"
        if use is export:
            assert used.location.endswith(f"/{lab.where()[0]}/bdvl-v"), f"{steps}: {used}, and it is in {lab.where()}"
        list(lab.any.sweep(remove=True))
        assert len(notes(lab)) == 1, f"{steps}: {lab.names()}"


@pytest.mark.parametrize("lab", ["ontap"], indirect=True)
def test_a_group_is_taken_of_a_volume_whose_move_is_cut_off(lab):
    for steps in over_every_step(lab):
        lab.any.create_volume("w", GiB, lab.b)
        taken = lab.backends["second"].create_group_snapshot({"v": "s", "w": "t"})
        assert [snapshot.volume_id for snapshot in taken] == ["v", "w"], f"{steps}: {taken}"
        list(lab.any.sweep(remove=True))
        assert len(notes(lab)) == 2, f"{steps}: {lab.names()}"


def test_a_volume_whose_move_is_cut_off_is_looked_for_swept_given_up_and_deleted(lab):
    for steps in over_every_step(lab):
        assert [volume.volume_id for volume in lab.backends["second"].list_volumes()] == ["v"], f"{steps}: {lab.names()}"
        list(lab.backends["third"].sweep(remove=True))
        assert lab.backends["second"].get_volume("v").pool == lab.where()[0], f"{steps}: {lab.names()}"
        assert lab.read() == b"bytes"
        alone(lab, steps)
    for steps in over_every_step(lab):
        lab.backends["second"].unmanage_volume("v", "old.img")
        assert [name for name in notes(lab) if name.startswith("bdmove-")] == [], f"{steps}: {lab.names()}"
        list(lab.any.sweep(remove=True))
        assert lab.names() == ["old.img"], f"{steps}: {lab.names()}"
    for steps in over_every_step(lab):
        lab.backends["second"].delete_volume("v")
        assert [name for name in notes(lab) if name.startswith("bdmove-")] == [], f"{steps}: {lab.names()}"
        list(lab.any.sweep(remove=True))
        assert lab.names() == [], f"{steps}: {lab.names()}"
