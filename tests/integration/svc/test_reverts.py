"""Reverts: where they may begin, and what is left of one that was cut off."""

from __future__ import annotations

import pytest

from blockdrivers.errors import Ambiguous, DeadlineExceeded, InUse, InvalidRequest, NotFound
from blockdrivers.model import Dependant, GiB, Protocol
from tests.integration.svc.lab import ISCSI, POOL
from tests.waiting import out_of_time


@pytest.mark.parametrize("rest", [False, True], ids=["ssh", "rest"])
def test_a_revert_begins_only_where_both_are_there_and_nobody_sees_the_volume(lab, rest):
    started = lab()
    array = started.open(rest=rest)
    array.create_volume("v", GiB, POOL)
    with pytest.raises(NotFound, match="bdsl-s"):
        array.revert_volume("v", "s")
    array.create_snapshot("s", "v")
    with pytest.raises(NotFound, match="bdvl-w"):
        array.revert_volume("w", "s")
    array.create_volume("w", GiB, POOL)
    with pytest.raises(InvalidRequest, match="not of volume"):
        array.revert_volume("w", "s")
    array.export("v", ISCSI, Protocol.ISCSI)
    with pytest.raises(InUse, match="exported"):
        array.revert_volume("v", "s")
    assert len(started.state("copies")) == 1
    array.revert_volume("v", "s", force=True)


def test_what_is_left_of_a_revert_hinders_nothing(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    started.fault("drop_before", operation="rmfcmap", count=0)
    out_of_time(
        lambda seconds: array.revert_volume("v", "s", timeout=seconds),
        lambda _: len(started.state("copies")) == 2,
        (Ambiguous, DeadlineExceeded),
    )
    started.array.faults.clear()
    assert array.get_volume("v").dependants == frozenset({Dependant.SNAPSHOT})
    assert [leftover.kind for leftover in array.sweep()] == ["copy"]
    array.delete_snapshot("s")
    array.delete_volume("v")
    assert started.state("copies") == []
