"""Kinds of volumes in both kinds of pools, and the licences and limits that they need."""

from __future__ import annotations

import pytest
import requests

from blockdrivers.errors import InvalidRequest, LicenceMissing, NotFound, NotSupported
from blockdrivers.model import GiB, Qos
from tests.integration.svc.lab import FLASHSYSTEM, G2, G5, POOL, REDUCING, V3700, kinds


@pytest.mark.parametrize("model", [FLASHSYSTEM, G5])
def test_kinds_of_volumes_in_both_kinds_of_pools(lab, model):
    started = lab(model)
    started.open().create_volume("thin", GiB, POOL)
    started.open().create_volume("thick", GiB, POOL, thin=False)
    started.open(compression=True).create_volume("small", GiB, POOL)
    started.open().create_volume("plain", GiB, REDUCING)
    squeezing = started.open(compression=True, deduplication=True)
    squeezing.create_volume("both", GiB, REDUCING)
    squeezing.create_snapshot("s", "both")
    with pytest.raises(InvalidRequest):
        squeezing.create_volume("none", GiB, POOL)
    assert kinds(started) == {
        "thin": [(POOL, True, False, False)],
        "thick": [(POOL, False, False, False)],
        "small": [(POOL, True, True, False)],
        "plain": [(REDUCING, True, False, False)],
        "both": [(REDUCING, True, True, True)],
        "s": [(REDUCING, True, False, False)],
    }


def test_a_reducing_pool_of_inspur_holds_thin_volumes_only(lab):
    array = lab(G5).open()
    with pytest.raises(InvalidRequest, match="thin"):
        array.create_volume("thick", GiB, REDUCING, thin=False)
    with pytest.raises(InvalidRequest, match="no_such"):
        array.create_volume("v", GiB, "no_such")


def test_compression_without_a_licence(lab):
    started = lab(V3700)
    array = started.open(compression=True)
    assert array.licences() == {"compression": True}
    requests.put(f"{started.array.ready['control']}/licence", json={"compression": 0}, timeout=5)
    assert array.licences() == {"compression": False}
    with pytest.raises(LicenceMissing):
        array.create_volume("v", GiB, POOL)
    with pytest.raises(NotFound):
        array.get_volume("v")


def test_limits_of_both_kinds_are_set_by_one_command(lab):
    started = lab()
    array = started.open()
    both = Qos(total_iops=1000, total_bytes_sec=100 * 1024**2)
    array.create_volume("v", GiB, POOL, qos=both)
    assert array.get_qos("v") == both
    assert array.get_volume("v").qos_id is not None
    asked = started.operations(lambda: array.set_qos("v", Qos(total_bytes_sec=200 * 1024**2)))
    assert asked["chvdisk"] == 2
    assert array.get_qos("v") == Qos(total_bytes_sec=200 * 1024**2)
    array.set_qos("v", None)
    assert started.state("qos") == []
    assert array.get_volume("v").qos_id is None


def test_what_older_inspur_levels_cannot_limit(lab):
    array = lab(G2).open()
    array.create_volume("v", GiB, POOL, qos=Qos(total_iops=300))
    assert array.get_qos("v") == Qos(total_iops=300)
    with pytest.raises(NotSupported):
        array.set_qos("v", Qos(total_bytes_sec=1024**2))
