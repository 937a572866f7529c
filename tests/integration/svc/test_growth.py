"""Growth: once although its answer is lost or late, and only where the level allows it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.errors import InUse, InvalidRequest
from blockdrivers.model import GiB
from tests.integration.svc.lab import FLASHSYSTEM, G2, G5, POOL, V3700
from tests.waiting import Clock, until


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_lost_extend_adds_once(lab, kind):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    started.fault(kind, operation="expandvdisksize")
    assert array.extend_volume("v", 4 * GiB).size == 4 * GiB
    assert [volume["size"] for volume in started.state("volumes")] == [4 * GiB]


def test_an_extend_whose_answer_is_late_adds_once(lab):
    """The connection dies while the array is still at it: what was sent is carried out after the first look."""
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    family, volumes = started.array.family, started.array.family._state.array
    started.fault("drop_before", operation="expandvdisksize")

    def late():
        until(lambda: started.array.faults.active()[0].hits)
        time.sleep(0.3)
        with volumes.lock:
            volumes.extend_volume(family._state.volume("bdvl-v"), 4 * GiB)

    thread = threading.Thread(target=late)
    thread.start()
    assert array.extend_volume("v", 4 * GiB).size == 4 * GiB
    thread.join()
    assert [volume["size"] for volume in started.state("volumes")] == [4 * GiB]


@pytest.mark.parametrize("model", [V3700, G2])
def test_a_volume_with_snapshots_does_not_grow_on_older_levels(lab, model):
    array = lab(model).open()
    assert not array.capabilities.extend_with_snapshots
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    with pytest.raises(InUse):
        array.extend_volume("v", 2 * GiB)
    assert array.get_volume("v").size == GiB
    array.clone_volume("c", "v", size=2 * GiB)


@pytest.mark.parametrize("model", [FLASHSYSTEM, G5])
def test_a_volume_with_snapshots_grows_on_newer_levels(lab, model):
    array = lab(model).open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    assert array.extend_volume("v", 2 * GiB).size == 2 * GiB
    with pytest.raises(InvalidRequest, match="resize"):
        array.revert_volume("v", "s")


def test_a_volume_that_is_being_formatted_grows_later(lab):
    clock = Clock()
    started = lab(formatting_seconds=600, clock=clock)
    array = started.open()
    array.create_volume("v", GiB, POOL, thin=False)
    started.array.counters.clear()
    with ThreadPoolExecutor(1) as threads:
        growing = threads.submit(array.extend_volume, "v", 2 * GiB)
        until(lambda: started.array.counters.as_dict()["by_operation"].get("expandvdisksize", 0) > 1)
        assert not growing.done()
        clock.advance(600)
        assert growing.result().size == 2 * GiB
