"""Moves between pools, and volumes that are mirrored."""

from __future__ import annotations

import pytest

from blockdrivers.errors import InUse, LimitReached
from blockdrivers.model import GiB
from conformance.simulation.family import Command
from tests.integration.svc.lab import FLASHSYSTEM, G2, OTHER, POOL, kinds
from tests.waiting import Clock, out_of_time


@pytest.mark.parametrize("model", [FLASHSYSTEM, G2])
def test_a_move_that_was_cut_off_goes_on(lab, model):
    clock = Clock()
    started = lab(model, copy_seconds=600, clock=clock)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    out_of_time(lambda seconds: array.retype_volume("v", pool=OTHER, timeout=seconds), lambda said: "under way" in said)
    clock.advance(600)
    moved = array.retype_volume("v", pool=OTHER)
    assert (moved.pool, array.get_volume("v").pool) == (OTHER, OTHER)
    assert len(kinds(started)["v"]) == 1


def test_a_move_that_met_another_one_s_copy_goes_on_when_that_has_gone(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    started.fault("answer", code="CMMVC5786E", operation="*addvdiskcopy*")
    assert array.retype_volume("v", pool=OTHER).pool == OTHER
    started.fault("answer", code="CMMVC5786E", operation="*addvdiskcopy*", count=0)
    with pytest.raises(LimitReached):
        array.retype_volume("v", pool=POOL)
    assert array.get_volume("v").pool == OTHER


def test_a_mirrored_volume_stays_one_unless_it_cannot_be_told(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    family = started.array.family
    run = family.doors()[0].handler
    added = run.handle(Command("svctask addvdiskcopy -mdiskgrp pool_b -rsize 2% -autoexpand bdvl-v", "u"))
    assert added.status == 0
    found = array.get_volume("v")
    assert (found.pool, found.dependants) == (POOL, frozenset())
    assert array.retype_volume("v").pool == POOL
    with pytest.raises(InUse, match="mirrored"):
        array.retype_volume("v", pool=OTHER)
    assert len(kinds(started)["v"]) == 2
    assert [volume.pool for volume in array.list_volumes()] == [POOL]
    array.create_snapshot("s", "v")
    array.delete_snapshot("s")
    array.delete_volume("v")
