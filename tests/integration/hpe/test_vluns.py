"""VLUNs of every kind: host, matched set, port and set; one LUN id, whoever asks for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.errors import InUse, LimitReached, VendorError
from blockdrivers.model import Dependant, GiB, Protocol
from tests.integration.hpe.lab import ISCSI, OLD, POOL, host_name, volume_name
from vendors.hpe import mapping


def test_a_build_that_takes_no_notice_of_queries_is_served(lab):
    array = lab(OLD, queries=False).open()
    for name in ("v", "w"):
        array.create_volume(name, GiB, POOL)
        array.create_snapshot(f"s{name}", name)
        assert array.export(name, ISCSI, Protocol.ISCSI).volume == volume_name(name)
    array.create_group_snapshot({"v": "tv", "w": "tw"})
    assert {snapshot.snapshot_id for snapshot in array.list_snapshots("v")} == {"sv", "tv"}
    assert [export.lun for export in array.list_exports("w")] == [2]
    array.unexport("v", ISCSI, Protocol.ISCSI)
    assert array.revert_volume("v", "sv").volume_id == "v"
    assert [array.get_volume(name).dependants >= {Dependant.EXPORT} for name in ("v", "w")] == [False, True]


def test_a_matched_set_is_listed_with_its_port_and_taken_away(lab):
    started = lab()
    array, admin = started.open(), started.admin
    array.create_volume("v", GiB, POOL)
    admin.post("hosts", body={"name": "legacy", "iSCSINames": [ISCSI.iqn]})
    where = {"node": 1, "slot": 2, "cardPort": 1}
    for port in (where, {"node": 0, "slot": 2, "cardPort": 1}):
        body = {"volumeName": volume_name("v"), "lun": 7, "hostname": "legacy", "portPos": port}
        admin.post("vluns", body=body)
        if port is where:
            (export,) = array.list_exports("v")
            assert (export.host, export.lun) == ("legacy", 7)
            assert [target.portal for target in export.targets] == ["127.0.0.12:3260"]
    (export,) = array.list_exports("v")
    assert len(export.targets) == 2
    with pytest.raises(InUse, match="export"):
        array.delete_volume("v")
    array.delete_volume("v", force=True)
    assert admin.members("vluns") == []


def test_an_export_through_sets_is_listed_and_not_torn(lab):
    started = lab()
    array, admin = started.open(), started.admin
    for name in ("v", "w"):
        array.create_volume(name, GiB, POOL)
    for host in ("one", "two"):
        admin.post("hosts", body={"name": host, "FCWWNs": [f"21000024ff00000{1 if host == 'one' else 3}"]})
    admin.post("hostsets", body={"name": "cluster", "setmembers": ["one", "two"]})
    admin.post("vluns", body={"volumeName": volume_name("v"), "lun": 3, "hostname": "set:cluster"})
    admin.post("volumesets", body={"name": "both", "setmembers": [volume_name("w")]})
    admin.post("vluns", body={"volumeName": "set:both", "lun": 4, "hostname": "one"})
    assert {(export.host, export.lun) for export in array.list_exports("v")} >= {("set:cluster", 3)}
    assert [(export.host, export.lun) for export in array.list_exports("w")] == [("one", 4)]
    assert Dependant.EXPORT in array.get_volume("w").dependants
    with pytest.raises(InUse, match="set"):
        array.driver.unexport(array.get_volume("w").ref, "one", Protocol.FC)
    with pytest.raises(InUse):
        array.delete_volume("w")
    array.driver.unexport(array.get_volume("v").ref, "set:cluster", Protocol.FC)
    assert array.list_exports("v") == []


@pytest.mark.parametrize(
    ("port", "protocol"),
    [({"node": 0, "slot": 2, "cardPort": 1}, Protocol.ISCSI), ({"node": 1, "slot": 1, "cardPort": 2}, Protocol.FC)],
)
def test_an_export_to_whoever_is_at_a_port_is_listed_and_taken_away(lab, port, protocol):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    started.admin.post("vluns", body={"volumeName": volume_name("v"), "lun": 9, "portPos": port})
    where = ":".join(map(str, port.values()))
    shown = [(export.host, export.lun, export.protocol) for export in array.list_exports("v")]
    assert (f"port:{where}", 9, protocol) in shown
    with pytest.raises(InUse, match="export"):
        array.delete_volume("v")
    array.delete_volume("v", force=True)
    assert started.admin.members("vluns") == []


def test_two_calls_at_once_leave_one_lun_id(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.create_volume("w", GiB, POOL)
    array.export("w", ISCSI, Protocol.ISCSI)
    backends = [started.open() for _ in range(4)]
    for _ in range(5):
        with ThreadPoolExecutor(8) as threads:
            exports = list(threads.map(lambda n: backends[n % 4].export("v", ISCSI, Protocol.ISCSI), range(8)))
        assert len({export.lun for export in exports}) == 1
        assert len(array.list_exports("v")) == 1
        array.unexport("v", ISCSI, Protocol.ISCSI)


def test_a_volume_that_has_two_lun_ids_loses_both(lab):
    started = lab(first_lun=0)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    assert array.export("v", ISCSI, Protocol.ISCSI).lun == 0
    started.admin.post("vluns", body={"volumeName": volume_name("v"), "lun": 5, "hostname": host_name("cmp01")})
    assert array.export("v", ISCSI, Protocol.ISCSI).lun == 0
    array.unexport("v", ISCSI, Protocol.ISCSI)
    assert array.list_exports("v") == []


def test_hosts_of_vmware_keep_a_lun_id_to_themselves(lab):
    array = lab(first_lun=256).open(persona=8)
    array.create_volume("v", GiB, POOL)
    assert array.export("v", ISCSI, Protocol.ISCSI).lun == 257


def test_a_host_without_a_lun_id_left_is_told(lab, monkeypatch):
    array = lab(last_lun=2).open()
    for name in ("u", "v", "w"):
        array.create_volume(name, GiB, POOL)
    for name in ("u", "v"):
        array.export(name, ISCSI, Protocol.ISCSI)
    with pytest.raises(VendorError, match="LUN id"):
        array.export("w", ISCSI, Protocol.ISCSI)
    monkeypatch.setattr(mapping, "MAX_LUN", 1)
    with pytest.raises(LimitReached, match="no LUN id left"):
        array.export("w", ISCSI, Protocol.ISCSI)
