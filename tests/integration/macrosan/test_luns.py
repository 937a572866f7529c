"""LUNs: their RAID sets and owners, how they grow, and what keeps them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.macrosan import POOL
from blockdrivers.errors import InUse, OutOfSpace
from blockdrivers.model import GiB
from vendors.macrosan.raids import _chosen


def test_a_lun_that_goes_while_it_is_looked_for_is_made(started, backend):
    other = started.open()
    other.create_volume("v", 2 * GiB, POOL)
    started.before("GET /lun.existence", lambda: other.delete_volume("v"))
    assert backend.create_volume("v", GiB, POOL).size == GiB


def test_a_thick_lun_takes_as_many_raid_sets_as_it_needs(lab):
    started = lab(pools=1, pool_bytes=40 * GiB)
    backend = started.open()
    backend.create_volume("v", 32 * GiB, POOL, thin=False)
    assert started.tell("GET", "raid_list", pool=POOL) == [{"name": "RAID-1", "free_cap": 0}, {"name": "RAID-2", "free_cap": 8}]
    backend.extend_volume("v", 40 * GiB)
    with pytest.raises(OutOfSpace, match="0 bytes free"):
        backend.create_volume("w", GiB, POOL, thin=False)
    with pytest.raises(OutOfSpace):
        backend.extend_volume("v", 41 * GiB)
    assert started.luns() == ["bdvl-v"]
    assert backend.get_volume("v").size == 40 * GiB


def test_what_is_remembered_of_raid_sets_is_asked_again_once_it_is_wrong(lab):
    started = lab(pools=1, pool_bytes=40 * GiB)
    first, second = started.open(), started.open()
    first.create_volume("a", GiB, POOL, thin=False)
    second.create_volume("b", 29 * GiB, POOL, thin=False)
    first.create_volume("c", 9 * GiB, POOL, thin=False)
    assert first.pools()[0].free_bytes == GiB
    second.delete_volume("b")
    first.create_volume("d", 20 * GiB, POOL, thin=False)


@given(
    free=st.dictionaries(st.sampled_from("abcde"), st.integers(0, 20)),
    size=st.integers(1, 60),
)
def test_raid_sets_are_chosen_until_they_hold_it_and_never_more(free, size):
    chosen = _chosen(free, size)
    if sum(free.values()) < size:
        assert chosen == []
    else:
        assert sum(free[name] for name in chosen) >= size > sum(free[name] for name in chosen[:-1])
        assert all(free[name] for name in chosen)


def test_service_processors_own_about_half_of_the_luns_each(started, backend):
    for number in range(20):
        backend.create_volume(f"v{number}", GiB, POOL)
    owners = [started.tell("GET", "lun", attr="lun_sp", name=name) for name in started.luns()]
    assert 5 <= owners.count("SP1") <= 15


def test_an_extension_whose_answer_is_lost_is_not_sent_twice(started, backend):
    backend.create_volume("v", GiB, POOL)
    for kind in ("drop_after", "drop_before"):
        started.array.faults.add({"kind": kind, "operation": "PUT /lun.capicity"})
        size = backend.get_volume("v").size + 3 * GiB
        assert backend.extend_volume("v", size).size == size
        assert backend.get_volume("v").size == size


def test_two_extensions_at_once_add_once(started, backend):
    backend.create_volume("v", GiB, POOL)
    with ThreadPoolExecutor(4) as pool:
        assert {volume.size for volume in pool.map(lambda _: backend.extend_volume("v", 5 * GiB), range(4))} == {5 * GiB}
    assert backend.get_volume("v").size == 5 * GiB


def test_a_replicated_lun_is_kept(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    backend.delete_snapshot("s", of_volume="v")
    started.tell("POST", "dalun", lun_name="bdvl-v")
    with pytest.raises(InUse, match="replicated"):
        backend.delete_volume("v", force=True)
    started.tell("DELETE", "dalun", lun_name="bdvl-v")
    started.tell("PUT", "replication", attr="enable", lun_name="bdvl-v", sp1="192.0.2.1", sp2="192.0.2.2")
    with pytest.raises(InUse, match="replicated"):
        backend.delete_volume("v", force=True)
    assert [str(each) for each in backend.get_volume("v").dependants] == ["replication"]


def test_a_lun_that_the_array_keeps_for_reasons_of_its_own_keeps_its_snapshots_on(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    backend.delete_snapshot("s", of_volume="v")
    started.array.faults.add({"kind": "answer", "code": "409", "operation": "DELETE /snapshot_resource"})
    with pytest.raises(InUse, match="keeps the snapshot resource"):
        backend.delete_volume("v")
    assert started.state("resources")[0]["enabled"]
