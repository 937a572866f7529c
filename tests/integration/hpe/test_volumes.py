"""Volumes of each build and of each kind: provisioning, conversion, CPGs, space, taking over."""

from __future__ import annotations

import pytest

from blockdrivers.errors import ConfigurationError, InUse, NotSupported
from blockdrivers.model import Dependant, GiB, Protocol, TiB
from tests.integration.hpe.lab import FC, ISCSI, NEW, OLD, OTHER, POOL, THIN_ONLY, volume_name


@pytest.mark.parametrize(("model", "thick", "largest"), [(OLD, True, 16), (NEW, True, 64), (THIN_ONLY, False, 64)])
def test_the_build_tells_what_the_array_can_do(lab, model, thick, largest):
    array = lab(model).open()
    declared = array.capabilities
    assert (declared.thick, declared.max_size) == (thick, largest * TiB)
    if thick:
        assert array.create_volume("v", GiB, POOL, thin=False).thin is False
    else:
        with pytest.raises(NotSupported, match="thick"):
            array.create_volume("v", GiB, POOL, thin=False)


@pytest.mark.parametrize("model", [OLD, NEW, THIN_ONLY])
def test_a_volume_s_life(lab, model):
    array = lab(model).open()
    volume = array.create_volume("v", GiB, POOL)
    assert array.extend_volume("v", 3 * GiB).size == 3 * GiB
    array.create_snapshot("s", "v")
    for host, protocol in ((ISCSI, Protocol.ISCSI), (FC, Protocol.FC)):
        export = array.export("v", host, protocol)
        assert (export.wwn, export.lun) == (volume.wwn, 1)
        assert array.export("v", host, protocol) == export
    assert {export.host for export in array.list_exports("v")} == {"cmp01", "cmp02"}
    assert array.get_volume("v").dependants == {Dependant.SNAPSHOT, Dependant.EXPORT}
    for host, protocol in ((ISCSI, Protocol.ISCSI), (FC, Protocol.FC)):
        array.unexport("v", host, protocol)
    assert array.list_exports("v") == []
    array.revert_volume("v", "s")
    assert (array.clone_volume("c", "v", size=5 * GiB, pool=OTHER).size, array.get_volume("c").pool) == (5 * GiB, OTHER)
    assert array.create_volume_from_snapshot("d", "s", pool=POOL).size == 3 * GiB
    moved = array.retype_volume("d", pool=OTHER)
    assert (moved.pool, moved.wwn) == (OTHER, array.get_volume("d").wwn)
    array.delete_snapshot("s")
    for name in ("v", "c", "d"):
        array.delete_volume(name)
    for host in ("cmp01", "cmp02"):
        array.remove_host(host)
    assert array.list_volumes(foreign=True) == []
    assert array.list_snapshots(foreign=True) == []
    assert array.sweep() == []


def test_models_under_another_name_say_who_they_are(lab):
    assert (lab(THIN_ONLY).open().system().vendor, lab(NEW).open().system().vendor) == ("H3C", "HPE")


@pytest.mark.parametrize(
    ("model", "options", "size", "expected"),
    [
        (NEW, {}, 20, (False, False)),
        (NEW, {"dedup": True}, 20, (True, False)),
        (NEW, {"compression": True}, 20, (False, True)),
        (NEW, {"dedup": True, "compression": True}, 16, (True, True)),
        (NEW, {"compression": True}, 15, (False, False)),
        (OLD, {"dedup": True}, 20, (True, False)),
    ],
)
def test_thin_volumes_are_made_as_the_options_say(lab, model, options, size, expected):
    started = lab(model)
    volume = started.open(**options).create_volume("v", size * GiB, POOL)
    shown = started.state("volumes")[0]
    assert (volume.thin, shown["dedup"], shown["compression"]) == (True, *expected)


def test_reduction_takes_the_place_of_both(lab):
    started = lab(THIN_ONLY)
    started.open(dedup=True).create_volume("v", GiB, POOL)
    assert started.admin.read("volumes", volume_name("v"))["provisioningType"] == 7


def test_what_the_software_does_not_know_is_a_wrong_configuration(lab):
    with pytest.raises(ConfigurationError, match="compression"):
        lab(OLD).open(compression=True).create_volume("v", 20 * GiB, POOL)


def test_a_conversion_under_snapshots_is_refused(lab):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    with pytest.raises(InUse, match="snapshots"):
        array.retype_volume("v", thin=False)
    assert array.retype_volume("v", pool=OTHER).pool == OTHER
    array.delete_snapshot("s")
    assert array.retype_volume("v", thin=False).thin is False
    assert array.retype_volume("v", thin=True).thin is True


def test_later_snapshots_go_where_the_volume_went(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.retype_volume("v", pool=OTHER)
    assert started.state("volumes")[0]["snapshot pool"] == OTHER


@pytest.mark.parametrize(
    ("options", "expected"), [({}, (False, False)), ({"dedup": True}, (True, False)), ({"compression": True}, (False, True))]
)
def test_a_volume_is_converted_to_what_the_options_say(lab, options, expected):
    started = lab()
    array = started.open(**options)
    array.create_volume("v", 16 * GiB, POOL, thin=False)
    assert array.retype_volume("v", thin=True).thin is True
    shown = started.state("volumes")[0]
    assert (shown["dedup"], shown["compression"]) == expected


def test_a_foreign_volume_without_a_cpg_for_snapshots_gets_one(lab):
    started = lab()
    array, admin = started.open(), started.admin
    for name in ("one", "two", "three"):
        admin.post("volumes", body={"name": name, "cpg": OTHER, "sizeMiB": 1024, "tpvv": True})
        array.manage_volume(name, name)
    array.create_snapshot("s", "one")
    array.clone_volume("c", "two")
    taken = array.create_group_snapshot({"one": "s1", "three": "s3"})
    assert [snapshot.volume_id for snapshot in taken] == ["one", "three"]
    shown = {volume["name"]: volume["snapshot pool"] for volume in started.state("volumes")}
    assert {shown[volume_name(name)] for name in ("one", "two", "three")} == {OTHER}
    assert array.sweep() == []


def test_pools_without_a_limit_are_asked_for_their_space(lab):
    array = lab(limited=False, pool_bytes=10 * TiB).open()
    array.create_volume("v", TiB, POOL, thin=False)
    pool = next(pool for pool in array.pools() if pool.name == POOL)
    assert (pool.total_bytes, pool.free_bytes, pool.provisioned_bytes) == (10 * TiB, 9 * TiB, TiB)
    assert pool.disk_types == ("SSD",)


def test_manage_and_unmanage(lab):
    array = lab().open()
    volume = array.create_volume("v", GiB, POOL)
    array.unmanage_volume("v", "legacy-7")
    managed = array.manage_volume("w", "legacy-7")
    assert (managed.wwn, managed.volume_id) == (volume.wwn, "w")
    array.export("w", ISCSI, Protocol.ISCSI)
    array.unmanage_volume("w", "legacy-8")
    with pytest.raises(InUse):
        array.manage_volume("x", "legacy-8")
