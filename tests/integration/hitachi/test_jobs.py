"""Jobs: polled, forgotten, of the other controller, outlasted by their copies."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.hitachi import POOL
from blockdrivers.model import GiB, VolumeState
from tests.waiting import Clock, out_of_time, until
from vendors.hitachi import client as wire

JOB_SECONDS = 10
"""Less than an idle session lasts (20 s by default): the polls in between keep it."""


def test_a_job_whose_answer_is_not_held_long_enough_is_polled(lab, monkeypatch):
    monkeypatch.setattr(wire, "_HELD_SECONDS", 0)
    clock = Clock()
    started = lab(job_seconds=JOB_SECONDS, clock=clock)
    array = started.open()

    def polls():
        return started.sent().get("GET /jobs/{id}", 0)

    def make(volume):
        with ThreadPoolExecutor(1) as threads:
            making = threads.submit(array.create_volume, volume, GiB, POOL)
            while not making.done():
                seen = polls()
                until(lambda seen=seen: making.done() or polls() >= seen + 2)
                clock.advance(JOB_SECONDS)
            making.result()

    make("v1")
    assert polls() >= 2
    assert started.labels() == ["bdvl-v1"]
    out_of_time(lambda seconds: array.create_volume("v2", GiB, POOL, timeout=seconds), lambda said: "job" in said)
    make("v2")
    assert started.labels() == ["bdvl-v1", "bdvl-v2"]


def test_a_job_that_nobody_knows_any_more_is_read_back(lab, monkeypatch):
    """The other controller's server does not know the jobs of the one that was lost."""
    monkeypatch.setattr(wire, "_HELD_SECONDS", 0)
    started = lab(job_seconds=0.3)
    array = started.open()
    array.create_volume("v0", GiB, POOL)
    started.array.faults.add({"kind": "failover", "operation": "GET /jobs/{id}"})
    made = array.create_volume("v1", GiB, POOL)
    assert array.get_volume("v1").id == made.id
    assert started.labels() == ["bdvl-v0", "bdvl-v1"]


def test_a_job_of_the_other_controller_is_not_taken_for_ours(lab, monkeypatch):
    """Each controller's server counts its own jobs, so that an id may stand for another job there."""
    monkeypatch.setattr(wire, "_HELD_SECONDS", 0)
    started = lab(job_seconds=0.3)
    array = started.open()
    array.create_volume("v0", GiB, POOL)
    volume = array.get_volume("v0")
    second = started.array.ready["management2"]["url"]
    elsewhere = started.open(addresses=[second])
    for name in ("a", "b", "c", "d"):
        elsewhere.create_volume(name, GiB, POOL)
    started.array.faults.add({"kind": "failover", "operation": "GET /jobs/{id}"})
    snapshot = array.create_snapshot("s1", "v0")
    assert snapshot.source_id == volume.id
    (pair,) = started.state("snapshots")
    assert pair["volume"] == "bdvl-v0"
    assert snapshot.id.endswith(f",{pair['mu_id']}")


def test_copies_that_outlast_their_jobs_are_waited_for(lab):
    started = lab(jobs_wait_for_copies=False, copy_seconds=0.8)
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    began = time.monotonic()
    assert array.clone_volume("c1", "v1").state is VolumeState.READY
    assert time.monotonic() - began > 0.7
    array.create_snapshot("s1", "v1")
    array.revert_volume("v1", "s1")
    assert all(item["status"] == "PSUS" for item in started.state("snapshots"))
