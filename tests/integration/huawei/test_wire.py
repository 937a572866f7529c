"""What is particular to this family: reused ids, initiators, licences, full pools, sessions, unfinished business."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, LicenceMissing, LoginRefused, NotFound, OutOfSpace
from blockdrivers.model import Chap, Dependant, GiB, Host, Protocol, Qos
from blockdrivers.naming import Kind, array_name

POOL = "pool_a"


def test_an_array_that_does_not_bind_in_the_first_request_gets_a_second(lab, iscsi_host):
    started = lab(initiator_post_binds=False)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    export = array.export("v", iscsi_host, Protocol.ISCSI)
    assert export.lun is not None
    assert [facts.host for facts in array.initiators() if facts.address == iscsi_host.iqn] == [array_name(Kind.HOST, "cmp01", 31)]


@pytest.mark.parametrize("protocol", [Protocol.ISCSI, Protocol.FC])
def test_an_initiator_of_another_host_is_refused_and_nothing_is_left(lab, iscsi_host, fc_host, protocol):
    array = lab().open()
    host = iscsi_host if protocol is Protocol.ISCSI else fc_host
    array.create_volume("v", GiB, POOL)
    array.create_volume("w", GiB, POOL)
    array.export("v", host, protocol)
    with pytest.raises(InUse if protocol is Protocol.ISCSI else (InUse, InvalidRequest)):
        array.export("w", replace(host, name="impostor"), protocol)
    assert [export.host for export in array.list_exports("v")] == [host.name]
    assert array.list_exports("w") == []
    assert [leftover for leftover in array.sweep() if leftover.kind == "host"] == []


def test_fc_initiators_that_the_array_does_not_see(lab, fc_host):
    started = lab(fabric=["21000024ff000001"])
    array = started.open()
    array.create_volume("v", GiB, POOL)
    export = array.export("v", fc_host, Protocol.FC)
    assert list(export.paths) == ["21000024ff000001", "21000024ff000002"]
    assert export.paths["21000024ff000002"] == ()
    with pytest.raises(InvalidRequest, match="sees none"):
        array.export("v", Host("dark", wwpns=("21000024ff0000ee",)), Protocol.FC)
    assert [leftover for leftover in array.sweep() if leftover.kind == "host"] == []


def test_chap_is_set_changed_and_taken_away(lab, iscsi_host):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    for chap in (Chap("u1", "first-secret-12"), Chap("u2", "second-secret-1"), None):
        array.export("v", replace(iscsi_host, chap=chap), Protocol.ISCSI)
        shown = next(item for item in started.state("initiators") if item["id"] == iscsi_host.iqn)
        assert shown["chap_user"] == (chap.username if chap else None)


def test_a_stale_lun_id_never_reaches_another_lun(lab, iscsi_host):
    started = lab()
    here, elsewhere = started.open(), started.open()
    first = here.create_volume("a", GiB, POOL)
    elsewhere.delete_volume("a")
    second = elsewhere.create_volume("b", GiB, POOL)
    assert second.id == first.id
    for operation in (
        lambda: here.create_snapshot("s", "a"),
        lambda: here.export("a", iscsi_host, Protocol.ISCSI),
        lambda: here.extend_volume("a", 2 * GiB),
    ):
        with pytest.raises(NotFound):
            operation()
    here.delete_volume("a")
    left = here.get_volume("b")
    assert (left.size, left.dependants) == (GiB, frozenset())
    assert here.list_exports("b") == []


def test_a_host_removed_elsewhere_is_made_again(lab, iscsi_host):
    started = lab()
    here, elsewhere = started.open(), started.open()
    here.create_volume("v", GiB, POOL)
    here.export("v", iscsi_host, Protocol.ISCSI)
    elsewhere.unexport("v", iscsi_host, Protocol.ISCSI)
    elsewhere.remove_host(iscsi_host)
    other = Host("other", iqn="iqn.1994-05.org.example:other")
    elsewhere.create_volume("w", GiB, POOL)
    elsewhere.export("w", other, Protocol.ISCSI)
    here.export("v", iscsi_host, Protocol.ISCSI)
    assert [export.host for export in here.list_exports("v")] == ["cmp01"]
    assert [export.host for export in here.list_exports("w")] == ["other"]


def test_a_host_with_exports_is_not_removed(lab, iscsi_host):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    array.export("v", iscsi_host, Protocol.ISCSI)
    with pytest.raises(InUse):
        array.remove_host("cmp01")
    assert len(array.list_exports("v")) == 1


def test_a_missing_licence_is_named(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    started.array.family.set_licence("SmartQoS", False)
    started.array.family.set_licence("HyperSnap", False)
    with pytest.raises(LicenceMissing, match="SmartQoS"):
        array.set_qos("v", Qos(total_iops=100))
    with pytest.raises(LicenceMissing):
        array.create_snapshot("s", "v")
    assert array.list_snapshots(foreign=True) == []


def test_a_full_pool_is_named_and_nothing_is_left(lab):
    started = lab(pools=2, pool_bytes=10 * GiB)
    array = started.open()
    with pytest.raises(OutOfSpace, match="pool_a"):
        array.create_volume("v", 20 * GiB, POOL, thin=False)
    assert array.list_volumes(foreign=True) == []


def test_an_unknown_pool_is_named(lab):
    with pytest.raises(InvalidRequest, match=r"pool_z.*pool_a"):
        lab().open().create_volume("v", GiB, "pool_z")


def test_a_wrong_password_is_asked_once(lab):
    started = lab()
    array = started.open(password="wrong")
    for _ in range(3):
        with pytest.raises(LoginRefused):
            array.pools()
    assert started.sent() == 1


def test_sessions_are_ended_by_close(lab):
    started = lab()
    array = started.open()
    array.pools()
    assert started.array.family.state()["sessions"] == 1
    array.close()
    assert started.array.family.state()["sessions"] == 0


def test_a_taken_over_volume_keeps_wwn_and_exports_none(lab, iscsi_host):
    array = lab().open()
    volume = array.create_volume("v", GiB, POOL)
    array.unmanage_volume("v", "legacy-7")
    array.unmanage_volume("v", "legacy-7")
    assert array.list_volumes() == []
    managed = array.manage_volume("w", "legacy-7")
    assert (managed.wwn, managed.volume_id) == (volume.wwn, "w")
    assert array.manage_volume("w", "legacy-7") == managed
    array.export("w", iscsi_host, Protocol.ISCSI)
    array.unmanage_volume("w", "legacy-8")
    with pytest.raises(InUse):
        array.manage_volume("x", "legacy-8")


def test_what_was_given_up_is_found_by_its_name(lab):
    array = lab().open()
    volume = array.create_volume("v", GiB, POOL)
    taken = array.create_snapshot("s", "v")
    assert array.find_volume(volume.name).volume_id == "v"
    assert (array.find_snapshot(taken.name).snapshot_id, array.find_snapshot(taken.name).volume_id) == ("s", "v")
    array.unmanage_snapshot("s", "legacy-s")
    array.unmanage_snapshot("s", "legacy-s")
    array.unmanage_volume("v", "legacy-v")
    assert (array.find_volume("legacy-v").id, array.find_volume("legacy-v").volume_id) == (volume.id, None)
    assert array.find_snapshot("legacy-s").snapshot_id is None
    for find in (array.find_volume, array.find_snapshot):
        with pytest.raises(NotFound):
            find("no-such-name")


def test_a_volume_with_snapshots_shows_them(lab):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    assert array.get_volume("v").dependants == {Dependant.SNAPSHOT}
    with pytest.raises(InUse, match="snapshot"):
        array.delete_volume("v", force=True)


def test_a_name_taken_by_something_else_is_told_apart(lab):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    with pytest.raises(AlreadyExists) as taken:
        array.create_volume("v", 2 * GiB, "pool_b")
    assert set(taken.value.differences) == {"size", "pool"}
    array.create_volume("src", GiB, POOL)
    with pytest.raises(AlreadyExists) as taken:
        array.clone_volume("v", "src")
    assert set(taken.value.differences) == {"source"}


def test_a_slow_new_lun_is_waited_for(lab):
    assert lab(initialising_seconds=0.3).open().create_volume("v", GiB, POOL).state == "ready"
