"""Calls for one file of a server at the same time, in every order of their steps: a step is a look at a share, or a change of it.

Of the orders of three calls some are tried, by chance: ``ONE_ID_RACES`` in the environment says how many. Of two calls eight times as many are tried, which are all
that there are of an export and a deletion of a mounted share's file; where it is 0, all of any two.
"""

from __future__ import annotations

import pytest

from blockdrivers.errors import AlreadyExists, InUse, NotFound
from blockdrivers.model import Dependant, GiB, Qos
from tests.integration.filelab import LONGEST, RACES, delete, export, give_up, lab, notes, snapshot, told

__all__ = ["lab"]


@pytest.mark.parametrize("deletions", [1, 2])
@pytest.mark.parametrize("hang", [export, snapshot])
def test_what_is_used_is_not_deleted_and_what_is_deleted_is_not_used(lab, hang, deletions):
    orders = 0
    for (used, *deleted), order in lab.race(hang, *[delete] * deletions):
        orders += 1
        if told(used):
            assert all(isinstance(outcome, InUse) for outcome in deleted), f"{order}: used, and deleted: {deleted}"
            kind = Dependant.EXPORT if hang is export else Dependant.SNAPSHOT
            assert lab.any.get_volume("v").dependants == {kind}, order
            assert len(lab.names()) == (3 if hang is export else 2), f"{order}: {lab.names()}"
        else:
            assert isinstance(used, NotFound), f"{order}: {used!r}"
            assert any(told(outcome) for outcome in deleted), f"{order}: {deleted}"
            assert (notes(lab), lab.any.list_volumes()) == ([], []), order
        assert list(lab.any.sweep()) == [], order
    assert orders >= min(RACES, 30) // lab.share


@pytest.mark.parametrize("lab", ["ontap"], indirect=True)
@pytest.mark.parametrize("others", [1, 2])
def test_limits_stay_with_a_volume_that_stays_and_go_with_one_that_goes(lab, others):
    limits = Qos(total_iops=500)
    for (used, *deleted), order in lab.race(
        export, *[delete] * others, before=lambda: lab.any.set_qos("v", limits), depth=LONGEST
    ):
        if told(used):
            assert all(isinstance(outcome, InUse) for outcome in deleted), f"{order}: {deleted}"
            assert lab.any.get_qos("v") == limits, f"{order}: {lab.any.get_volume('v')}"
            lab.any.set_qos("v", None)
        assert list(lab.any.sweep()) == [], order


def test_two_exports_and_a_deletion(lab):
    for (one, other, deleted), order in lab.race(export, export, delete):
        if told(deleted):
            assert (type(one), type(other), notes(lab)) == (NotFound, NotFound, []), order
        else:
            assert isinstance(deleted, InUse), f"{order}: {deleted!r}"
            assert (told(one), told(other), len(lab.any.list_exports("v"))) == (True, True, 1), f"{order}: {one!r} {other!r}"


@pytest.mark.parametrize("hang", [export, snapshot])
def test_what_hangs_on_a_volume_that_is_given_up_goes_with_it(lab, hang):
    for (used, given), order in lab.race(hang, give_up):
        assert told(given), f"{order}: {given!r}"
        there = lab.any.find_volume("old.img")
        if told(used):
            assert there.dependants == {Dependant.EXPORT if hang is export else Dependant.SNAPSHOT}, f"{order}: {notes(lab)}"
        elif isinstance(used, AlreadyExists):
            # It was taken, and went with the volume before its caller was told.
            assert (used.differences, notes(lab)) == ({"source": ("bdvl-v", "old.img")}, ["bdsl-s{old.img}"]), order
        else:
            assert isinstance(used, NotFound), f"{order}: {used!r}"
        assert [name for name in notes(lab) if not name.endswith("{old.img}")] == [], order


def test_a_volume_is_deleted_while_others_look_for_it(lab):
    for (seen, deleted), order in lab.race(lambda array: array.get_volume("v"), delete):
        assert told(deleted), f"{order}: {deleted!r}"
        assert told(seen) or isinstance(seen, NotFound), f"{order}: {seen!r}"
        assert lab.names() == [], order


def test_a_volume_that_is_made_while_it_is_deleted_is_one_volume(lab):
    for (made, deleted), order in lab.race(lambda array: array.create_volume("v", GiB, lab.b), delete):
        assert told(deleted), f"{order}: {deleted!r}"
        assert told(made) or made.differences == {"pool": (lab.b, lab.a)}, f"{order}: {made!r}"
        assert [lab.names(lab.a), lab.names(lab.b)] == [[], ["bdvl-v"] if told(made) else []], order
        assert list(lab.any.sweep()) == [], order


@pytest.mark.parametrize("pool", [0, 1])
def test_one_snapshot_id_of_two_volumes_is_one_snapshot(lab, pool):
    def other(array):
        return array.create_snapshot("s", "w")

    for outcomes, order in lab.race(snapshot, other, snapshot, before=lambda: lab.any.create_volume("w", GiB, lab.pools[pool])):
        there = lab.any.get_snapshot("s")
        stays = {outcome.id for outcome in outcomes if told(outcome)}
        assert stays == {there.id}, f"{order}: told {outcomes}, and there is {there}"
        refused = [outcome for outcome in outcomes if not told(outcome)]
        assert all(isinstance(outcome, AlreadyExists) and "source" in outcome.differences for outcome in refused), (
            f"{order}: {refused}"
        )
        assert list(lab.any.sweep()) == [], order
        assert len(list(lab.any.list_snapshots())) == 1, order


def test_a_volume_that_is_put_back_meets_no_second_one(lab):
    def make(array):
        return array.create_volume("v", GiB, lab.b)

    for outcomes, order in lab.race(export, delete, make):
        there = lab.where()
        assert len(there) < 2, f"{order}: a file in each share, after {outcomes}"
        if told(outcomes[0]):
            assert len(there) == len(lab.any.list_exports("v")) == 1, f"{order}: {outcomes}"
        if told(outcomes[2]):
            assert there == [lab.b], f"{order}: {outcomes}"


@pytest.mark.parametrize("other", ["delete", "move"])
def test_a_revert_meets_what_takes_the_volume_s_name_away(lab, other):
    def reverted(array):
        array.create_snapshot("s", "v")
        lab.write(array, b"after")
        array.revert_volume("v", "s")

    calls = {"delete": delete, "move": lambda array: array.retype_volume("v", pool=lab.b)}
    for (back, taken), order in lab.race(reverted, calls[other], before=lambda: lab.write(lab.any, b"first"), depth=LONGEST):
        if told(taken) and other == "delete":
            assert isinstance(back, NotFound), f"{order}: {back!r}"
            assert lab.names() == [], f"{order}: {lab.names()}"
            continue
        assert told(back), f"{order}: {back!r}"
        assert told(taken) or isinstance(taken, InUse), f"{order}: {taken!r}"
        assert (lab.read(), len(lab.names())) == (b"first", 2), f"{order}: {lab.names()}"
        assert list(lab.any.sweep()) == [], f"{order}: {lab.names()}"
