"""Limits, which are rules on sets of volumes: ours, and those of others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.errors import InUse, InvalidRequest
from blockdrivers.model import GiB, Qos
from tests.integration.hpe.lab import POOL, volume_name
from vendors.hpe.qos import set_name


@pytest.mark.parametrize("rules_hold_sets", [False, True])
def test_limits_go_with_their_volume(lab, rules_hold_sets):
    started = lab(rules_hold_sets=rules_hold_sets)
    array = started.open()
    array.create_volume("v", GiB, POOL, qos=Qos(total_iops=500))
    array.delete_volume("v")
    assert started.state("groups") == started.state("qos") == []


@pytest.mark.parametrize(
    "qos",
    [
        Qos(total_iops=2000, total_bytes_sec=10_000_000),
        Qos(total_iops=2000, min_iops=100, max_latency_us=5000),
        Qos(total_bytes_sec=5_000_000, min_bytes_sec=5_000_000),
    ],
)
def test_every_kind_of_limit_is_read_back_as_it_was_set(lab, qos):
    array = lab().open()
    array.create_volume("v", GiB, POOL, qos=qos)
    assert array.get_qos("v") == qos
    array.set_qos("v", qos)
    array.set_qos("v", Qos(total_iops=1))
    assert array.get_qos("v") == Qos(total_iops=1)


@pytest.mark.parametrize("qos", [Qos(min_iops=10), Qos(min_iops=10, total_iops=9), Qos(min_bytes_sec=1000)])
def test_a_goal_needs_its_limit(lab, qos):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    with pytest.raises(InvalidRequest, match="needs a total"):
        array.set_qos("v", qos)
    assert started.state("groups") == []


def test_limits_that_are_set_at_once_are_those_of_one_call(lab):
    started = lab()
    backends = [started.open() for _ in range(3)]
    backends[0].create_volume("v", GiB, POOL)
    wanted = [Qos(total_iops=100 + number) for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda pair: backends[pair[0] % 3].set_qos("v", pair[1]), enumerate([*wanted, None])))
    assert backends[0].get_qos("v") in {*wanted, Qos()}
    backends[0].set_qos("v", wanted[0])
    assert backends[0].get_qos("v") == wanted[0]


def test_limits_through_somebody_else_s_set_are_seen_and_left_alone(lab):
    started = lab()
    array, admin = started.open(), started.admin
    array.create_volume("v", GiB, POOL)
    admin.post("volumesets", body={"name": "theirs", "setmembers": [volume_name("v")]})
    admin.post("qos", body={"name": "theirs", "type": 1, "ioMaxLimit": 300})
    assert array.get_qos("v") == Qos(total_iops=300)
    with pytest.raises(InUse, match="theirs"):
        array.delete_volume("v")
    assert array.get_qos("v") == Qos(total_iops=300)


def test_a_set_of_ours_that_others_use_loses_only_the_volume(lab):
    started = lab()
    array, admin = started.open(), started.admin
    array.create_volume("v", GiB, POOL, qos=Qos(total_iops=500))
    array.create_volume("w", GiB, POOL)
    name = set_name(volume_name("v"))
    admin.put("volumesets", name, body={"action": 1, "setmembers": [volume_name("w")]})
    with pytest.raises(InvalidRequest, match="beside"):
        array.set_qos("v", Qos(total_iops=400))
    array.delete_volume("v")
    assert admin.read("volumesets", name)["setmembers"] == [volume_name("w")]
