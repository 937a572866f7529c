"""Snapshots of several volumes in one moment."""

from __future__ import annotations

import pytest

from blockdrivers.errors import AlreadyExists, Ambiguous, DeadlineExceeded, VendorError
from blockdrivers.model import GiB
from tests.integration.svc.lab import POOL
from tests.waiting import out_of_time


def test_a_group_goes_also_when_its_removal_was_lost(lab):
    started = lab()
    array = started.open()
    for name in ("v", "w"):
        array.create_volume(name, GiB, POOL)
    started.fault("drop_before", operation="rmfcconsistgrp")
    taken = array.create_group_snapshot({"v": "s1", "w": "s2"})
    assert all(snapshot.ready for snapshot in taken)
    assert started.state("groups") == []


def test_a_group_that_was_cut_off_is_swept(lab):
    started = lab()
    array = started.open()
    for name in ("v", "w"):
        array.create_volume(name, GiB, POOL)
    started.fault("answer", code="CMMVC9999E", operation="startfcconsistgrp*", count=0)
    started.fault("drop_before", operation="rm*", count=0)
    out_of_time(
        lambda seconds: array.create_group_snapshot({"v": "s1", "w": "s2"}, timeout=seconds),
        lambda _: len(started.state("copies")) == 2,
        (Ambiguous, DeadlineExceeded, VendorError),
    )
    started.array.faults.clear()
    assert sorted(leftover.kind for leftover in array.sweep(remove=True)) == ["group", "snapshot", "snapshot"]
    assert array.sweep() == []
    assert len(started.state("volumes")) == 2


def test_a_group_with_a_snapshot_of_another_moment(lab):
    started = lab()
    array = started.open()
    for name in ("v", "w"):
        array.create_volume(name, GiB, POOL)
    array.create_snapshot("s1", "v")
    with pytest.raises(AlreadyExists, match="another moment"):
        array.create_group_snapshot({"v": "s1", "w": "s2"})
    assert [snapshot.snapshot_id for snapshot in array.list_snapshots()] == ["s1"]
    assert started.state("groups") == []
