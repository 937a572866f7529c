"""Every operation once: on each shell and over REST, and with mappings that take their time."""

from __future__ import annotations

import time

import pytest

from blockdrivers.errors import InUse
from blockdrivers.model import GiB, Protocol, Qos
from tests.integration.svc.lab import FC, ISCSI, MODELS, OTHER, POOL


def life(array):
    """Take every operation once and return what is left."""
    array.create_volume("v", GiB, POOL, qos=Qos(total_iops=500))
    array.extend_volume("v", 2 * GiB)
    array.create_snapshot("s", "v")
    assert array.create_volume_from_snapshot("c", "s", size=3 * GiB, pool=OTHER).size == 3 * GiB
    array.clone_volume("d", "v", thin=False)
    for host, protocol in ((ISCSI, Protocol.ISCSI), (FC, Protocol.FC)):
        export = array.export("v", host, protocol)
        assert export.wwn == array.get_volume("v").wwn
    assert {export.host for export in array.list_exports("v")} == {"cmp01", "cmp02"}
    with pytest.raises(InUse):
        array.delete_volume("c") or array.delete_volume("v")
    array.revert_volume("v", "s", force=True)
    array.create_group_snapshot({"v": "g1", "d": "g2"})
    assert {found.snapshot_id for found in array.list_snapshots("v")} == {"s", "g1"}
    assert array.retype_volume("d", pool=OTHER, thin=True).pool == OTHER
    array.set_qos("v", None)
    for snapshot in ("s", "g1", "g2"):
        array.delete_snapshot(snapshot)
    for volume in ("v", "d"):
        array.delete_volume(volume, force=True)
    for host in (ISCSI, FC):
        array.remove_host(host)
    return array.sweep()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("joins", [True, False], ids=["joined", "one by one"])
def test_a_life_on_each_shell(lab, model, joins):
    started = lab(model, joins=joins)
    assert life(started.open()) == []
    for kind in ("volumes", "copies", "groups", "hosts", "mappings", "qos"):
        assert started.state(kind) == []


def test_a_life_over_rest(lab):
    started = lab()
    assert life(started.open(rest=True)) == []
    assert started.state("volumes") == []
    assert not any("+" in name for name in started.array.counters.as_dict()["by_operation"])


def test_mappings_that_take_their_time(lab):
    started = lab(prepare_seconds=0.3, stop_seconds=0.2, copy_seconds=0.3)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    begun = time.monotonic()
    assert array.create_snapshot("s", "v").ready
    assert time.monotonic() - begun >= 0.3
    assert [copy["status"] for copy in started.state("copies")] == ["copying"]
    array.create_volume_from_snapshot("c", "s", pool=POOL)
    array.revert_volume("v", "s")
    array.create_group_snapshot({"v": "g1", "c": "g2"})
    assert array.sweep() == []
