"""The same operations on every generation: what a caller sees does not depend on how the array does it."""

from __future__ import annotations

import pytest

from blockdrivers.errors import InvalidRequest, NotSupported
from blockdrivers.model import GiB, Protocol, Qos
from vendors.huawei import generations

MODELS = {
    "OceanStor 5500 V3": generations.V3,
    "OceanStor 5500 V5": generations.V5,
    "Dorado 5000 V3": generations.DORADO_V3,
    "Dorado 18500 V6": generations.V6,
}
POOL, OTHER = "pool_a", "pool_b"


@pytest.mark.parametrize(("model", "generation"), MODELS.items())
def test_the_generation_is_recognised(lab, model, generation):
    assert lab(model).open().driver.generation is generation


@pytest.mark.parametrize("model", MODELS)
def test_a_volume_s_life(lab, model, iscsi_host, fc_host):
    array = lab(model).open()
    volume = array.create_volume("v", GiB, POOL)
    assert array.extend_volume("v", 3 * GiB).size == 3 * GiB
    array.create_snapshot("s", "v")
    for host, protocol in ((iscsi_host, Protocol.ISCSI), (fc_host, Protocol.FC)):
        export = array.export("v", host, protocol)
        assert export.wwn == volume.wwn
        assert export.lun is not None
        assert array.export("v", host, protocol) == export
    assert {export.host for export in array.list_exports("v")} == {"cmp01", "cmp02"}
    for host, protocol in ((iscsi_host, Protocol.ISCSI), (fc_host, Protocol.FC)):
        array.unexport("v", host, protocol)
    assert array.list_exports("v") == []
    array.revert_volume("v", "s")
    clone = array.clone_volume("c", "v", size=5 * GiB, pool=OTHER)
    assert (clone.size, clone.pool) == (5 * GiB, OTHER)
    assert array.create_volume_from_snapshot("d", "s", pool=POOL).size == 3 * GiB
    moved = array.retype_volume("d", pool=OTHER)
    assert (moved.pool, moved.wwn) == (OTHER, array.get_volume("d").wwn)
    array.set_qos("c", Qos(total_iops=1000))
    assert array.get_qos("c") == Qos(total_iops=1000)
    array.delete_snapshot("s")
    for name in ("v", "c", "d"):
        array.delete_volume(name)
    for host in ("cmp01", "cmp02"):
        array.remove_host(host)
    assert array.list_volumes() == []
    assert array.list_snapshots() == []
    assert array.sweep() == []


@pytest.mark.parametrize("model", MODELS)
def test_members_of_a_group_share_their_moment(lab, model):
    array = lab(model).open()
    for name in ("a", "b", "c"):
        array.create_volume(name, GiB, POOL)
    taken = array.create_group_snapshot({"a": "sa", "b": "sb", "c": "sc"})
    assert [(snapshot.snapshot_id, snapshot.ready) for snapshot in taken] == [("sa", True), ("sb", True), ("sc", True)]
    assert array.create_group_snapshot({"a": "sa", "b": "sb", "c": "sc"}) == taken


@pytest.mark.parametrize("model", ["Dorado 5000 V3", "Dorado 18500 V6"])
def test_an_all_flash_array_has_no_thick_volumes(lab, model):
    with pytest.raises(NotSupported, match="thick"):
        lab(model).open().create_volume("v", GiB, POOL, thin=False)


@pytest.mark.parametrize("thin", [True, False])
def test_a_hybrid_array_has_both(lab, thin):
    assert lab().open().create_volume("v", GiB, POOL, thin=thin).thin is thin


@pytest.mark.parametrize(
    ("model", "qos"),
    [
        ("OceanStor 5500 V5", Qos(total_iops=100, read_iops=100)),
        ("OceanStor 5500 V5", Qos(total_iops=100, min_iops=10)),
        ("Dorado 18500 V6", Qos(total_iops=99)),
        ("OceanStor 5500 V5", Qos(total_bytes_sec=1000)),
    ],
)
def test_limits_that_the_array_cannot_set_are_refused_before_anything_is_sent(lab, model, qos):
    started = lab(model)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    started.counting()
    with pytest.raises(InvalidRequest):
        array.set_qos("v", qos)
    assert started.sent() == 0


@pytest.mark.parametrize(
    "qos",
    [
        Qos(total_iops=2000, total_bytes_sec=10 * 1024**2),
        Qos(read_iops=500),
        Qos(write_bytes_sec=5 * 1024**2),
        Qos(min_iops=50),
        Qos(max_latency_us=5000),
    ],
)
def test_every_kind_of_limit_is_read_back_as_it_was_set(lab, qos):
    array = lab("OceanStor 5500 V5").open()
    array.create_volume("v", GiB, POOL, qos=qos)
    assert array.get_qos("v") == qos
    array.set_qos("v", None)
    assert array.get_qos("v") == Qos()
