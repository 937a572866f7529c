"""Round trips on the happy path and while a copy is waited for, counted by the simulator."""

from __future__ import annotations

import re

import pytest

from benchmarks import svc as svc_rows
from blockdrivers.model import GiB
from tests.integration.svc.lab import FLASHSYSTEM, G2, OTHER, POOL


@pytest.mark.parametrize("model", svc_rows.MODELS)
def test_no_operation_needs_more_round_trips_than_its_target(model):
    with svc_rows.opened(model, copy_seconds=0.0) as (array, backend):
        svc_rows.warm_up(backend)
        found = {row.title: (svc_rows.counted(array, backend, row)[0], row.target) for row in svc_rows.rows(model)}
    assert {title: pair for title, pair in found.items() if pair[1] is not None and pair[0] > pair[1]} == {}


@pytest.mark.parametrize("model", svc_rows.MODELS)
def test_targets_are_what_the_cinder_driver_needs_or_half_of_that_from_four_on(model):
    missed = set()
    for row in svc_rows.rows(model):
        theirs = re.match(r"\d+", row.cinder)
        if theirs is not None:
            least = int(theirs[0])
            assert row.target is not None
            if row.target > (least // 2 if least >= 4 else least):
                missed.add(row.title)
    # That driver has its own task remove the old copy.
    assert missed == (set() if model == FLASHSYSTEM else {"move to another pool"})


@pytest.mark.parametrize("model", [FLASHSYSTEM, G2])
def test_waiting_costs_inquiries_and_nothing_else(lab, model):
    started = lab(model, copy_seconds=0.4)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    stem = "fc" if model == FLASHSYSTEM else "lc"
    for step, look, rest in (
        (lambda: array.clone_volume("c", "v"), f"ls{stem}map?filter", 3),
        (lambda: array.revert_volume("v", "s"), f"ls{stem}map?filter", 3),
        (lambda: array.retype_volume("c", pool=OTHER), "lsvdisk", 2 if model == FLASHSYSTEM else 3),
    ):
        counted = started.operations(step)
        looks = counted.pop(look)
        assert 1 <= looks <= 8
        assert sum(counted.values()) == rest
