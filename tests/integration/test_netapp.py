"""NetApp over ONTAP REST, driver and simulator together: a volume's life, and what is particular to this family."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest

from benchmarks.netapp import counted, file_rows, opened, rows, warm_up, warm_up_files
from blockdrivers.backend import Backend
from blockdrivers.errors import (
    AlreadyExists,
    InUse,
    InvalidRequest,
    LicenceMissing,
    LoginRefused,
    NotFound,
    NotSupported,
    OutOfSpace,
)
from blockdrivers.model import Chap, Dependant, GiB, Health, Host, Protocol, Qos, VolumeState
from blockdrivers.naming import Kind, array_name
from blockdrivers.operations import Timeouts
from conformance.simulation.opening import reaching
from vendors.netapp.driver import open_driver
from vendors.netapp.options import OntapOptions
from vendors.netapp.simulator.wire import Call

MODELS = ("FAS2750", "FAS8200", "AFF A300")
POOL, OTHER = "pool_a", "pool_b"
ISCSI = Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")
FC = Host("cmp02", wwpns=("21000024ff000001", "21:00:00:24:ff:00:00:02"))


class Lab:
    """One simulated array and the ways to open it."""

    def __init__(self, stack: ExitStack, model: str, **options):
        self.stack = stack
        self.array, self.first = stack.enter_context(opened(model, **options))

    def open(self, **more) -> Backend:
        options = reaching(self.array.ready) | self.array.ready["options"] | more
        backend = Backend(open_driver(OntapOptions.model_validate(options), "lab"), "lab", timeouts=Timeouts(20, 20))
        return self.stack.enter_context(backend)

    def make_lun(self, path: str, size: int = GiB) -> None:
        """Make a LUN as an administrator does."""
        state = self.array.family._state
        pool = state.flexvols[path.split("/")[2]].pool_id
        lun = state.create_volume(path, pool, size, thin=True)
        made = "2030-01-01T00:00:00+00:00"
        lun.attributes |= {"os_type": "linux", "enabled": "true", "created": made, "unmap": "true", "policy": ""}

    def luns(self) -> list[str]:
        return sorted(lun["name"] for lun in self.array.family.state()["volumes"])


@pytest.fixture
def lab():
    with ExitStack() as stack:
        yield lambda model="AFF A300", **options: Lab(stack, model, **options)


@pytest.mark.parametrize("model", MODELS)
def test_a_volume_s_life(lab, model):
    array = lab(model).open()
    facts = array.system()
    assert (facts.vendor, facts.health) == ("NetApp", Health.NORMAL)
    assert model.removeprefix("AFF ") in facts.model
    volume = array.create_volume("v", GiB, POOL)
    assert array.extend_volume("v", 3 * GiB).size == 3 * GiB
    array.create_snapshot("s", "v")
    for host, protocol in ((ISCSI, Protocol.ISCSI), (FC, Protocol.FC)):
        export = array.export("v", host, protocol)
        assert export.wwn == volume.wwn
        assert array.export("v", host, protocol) == export
    assert {export.host for export in array.list_exports("v")} == {"cmp01", "cmp02"}
    assert array.get_volume("v").dependants == {Dependant.EXPORT, Dependant.SNAPSHOT}
    for host, protocol in ((ISCSI, Protocol.ISCSI), (FC, Protocol.FC)):
        array.unexport("v", host, protocol)
    assert array.list_exports("v") == []
    array.revert_volume("v", "s")
    clone = array.clone_volume("c", "v", size=5 * GiB, pool=OTHER)
    assert (clone.size, clone.pool, clone.state) == (5 * GiB, OTHER, VolumeState.READY)
    assert array.create_volume_from_snapshot("d", "s", pool=POOL).size == 3 * GiB
    moved = array.retype_volume("d", pool=OTHER, thin=False)
    assert (moved.pool, moved.thin, moved.wwn) == (OTHER, False, array.get_volume("d").wwn)
    array.set_qos("c", Qos(total_iops=1000, total_bytes_sec=20_000_000))
    assert array.get_qos("c") == Qos(total_iops=1000, total_bytes_sec=20_000_000)
    array.delete_snapshot("s")
    for name in ("v", "c", "d"):
        array.delete_volume(name)
    for host in ("cmp01", "cmp02"):
        array.remove_host(host)
    assert array.list_volumes(foreign=True) == []
    assert array.sweep() == []


def test_no_operation_needs_more_requests_than_its_target():
    with opened(pools=2) as (array, backend):
        warm_up(backend)
        found = {row.title: (counted(array, backend, row), row.target) for row in rows()}
    assert {title: pair for title, pair in found.items() if pair[1] is not None and pair[0] > pair[1]} == {}


def test_no_operation_on_files_needs_more_requests_than_its_target():
    with opened("FAS2750", Protocol.NFS, pools=2) as (array, backend):
        warm_up_files(backend)
        found = {row.title: (counted(array, backend, row), row.target) for row in file_rows()}
    assert {title: pair for title, pair in found.items() if pair[0] > pair[1]} == {}


def test_with_one_flexvol_a_volume_is_made_in_one_request(lab):
    started = lab(pools=2)
    array = started.open(pools=[POOL])
    assert [pool.name for pool in array.pools()] == [POOL]
    assert array.capabilities.thick
    started.array.counters.clear()
    array.create_volume("v", GiB, POOL)
    assert started.array.counters.as_dict()["by_operation"] == {"POST /storage/luns": 1}
    with pytest.raises(InvalidRequest, match=r"pool_b.*pool_a"):
        array.create_volume("w", GiB, OTHER)


# One name in the whole SVM


def test_an_id_is_taken_in_whatever_flexvol(lab):
    started = lab()
    started.open().create_volume("v", GiB, POOL)
    for make in (
        lambda array: array.create_volume("v", GiB, OTHER),
        lambda array: array.clone_volume("v", "source"),
        lambda array: array.clone_volume("v", "source", pool="pool_c"),
    ):
        array = started.open()
        array.create_volume("source", GiB, OTHER)
        with pytest.raises(AlreadyExists) as taken:
            make(array)
        assert taken.value.differences
        assert [lun for lun in started.luns() if "bdvl-v" in lun] == ["/vol/pool_a/bdvl-v"]


def test_a_second_lun_that_a_cut_off_call_left_is_told_apart_and_swept(lab):
    started = lab()
    array = started.open()
    first = array.create_volume("v", GiB, POOL)
    started.make_lun("/vol/pool_b/bdvl-v")
    assert array.get_volume("v").id == first.id
    assert [volume.id for volume in array.list_volumes()] == [first.id]
    with pytest.raises(AlreadyExists, match="pool"):
        array.create_volume("v", GiB, OTHER)
    assert [(leftover.kind, leftover.name) for leftover in array.sweep(remove=True)] == [("stray", "bdvl-v")]
    assert started.luns() == ["/vol/pool_a/bdvl-v"]


def test_two_dots_in_an_id_are_no_range_of_a_query(lab):
    array = lab().open()
    volumes = [array.create_volume(name, GiB, POOL) for name in ("a..b", "axb", "a..bc")]
    assert [array.get_volume(name).id for name in ("a..b", "axb", "a..bc")] == [volume.id for volume in volumes]
    array.create_snapshot("s..t", "a..b")
    assert [snapshot.snapshot_id for snapshot in array.list_snapshots("a..b")] == ["s..t"]
    assert array.list_snapshots("axb") == []
    for name in ("a..b", "axb"):
        array.export(name, ISCSI, Protocol.ISCSI)
    array.unexport("a..b", ISCSI, Protocol.ISCSI)
    assert (len(array.list_exports("a..b")), len(array.list_exports("axb"))) == (0, 1)


def test_a_name_that_no_lun_can_have_is_absent(lab):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    for name in ("*", "bdvl-*", "a|b", "!x", "../x", ""):
        with pytest.raises(NotFound):
            array.manage_volume("w", name)


# Hosts


@pytest.mark.parametrize(("host", "protocol"), [(ISCSI, Protocol.ISCSI), (FC, Protocol.FC)])
def test_an_initiator_of_another_igroup_is_refused_and_nothing_is_left(lab, host, protocol):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    array.export("v", host, protocol)
    with pytest.raises(InUse, match="belongs to"):
        array.export("v", replace(host, name="impostor"), protocol)
    assert [export.host for export in array.list_exports("v")] == [host.name]
    with pytest.raises(InUse):
        array.remove_host(host)


def test_an_igroup_gets_the_initiators_that_it_lacks(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.export("v", replace(FC, wwpns=FC.wwpns[:1]), Protocol.FC)
    for backend in (array, started.open()):
        assert set(backend.export("v", FC, Protocol.FC).paths) == {"21000024ff000001", "21000024ff000002"}
    bound = {facts.address for facts in array.initiators() if facts.host == array_name(Kind.HOST, "cmp02", 31)}
    assert bound == {"21000024ff000001", "21000024ff000002"}


def test_fc_initiators_that_the_array_does_not_see(lab):
    started = lab(fabric=["21000024ff000001"])
    array = started.open()
    array.create_volume("v", GiB, POOL)
    export = array.export("v", FC, Protocol.FC)
    assert export.paths["21000024ff000002"] == ()
    with pytest.raises(InvalidRequest, match="sees none"):
        array.export("v", Host("dark", wwpns=("21000024ff0000ee",)), Protocol.FC)
    assert [group["name"] for group in started.array.family.state()["hosts"]] == [array_name(Kind.HOST, "cmp02", 31)]


def test_chap_is_set_changed_taken_away_and_goes_with_its_host(lab):
    started = lab()

    def user():
        initiators = started.array.family.state()["initiators"]
        return next((item["chap_user"] for item in initiators if item["id"] == ISCSI.iqn), None)

    first, second = started.open(), started.open()
    first.create_volume("v", GiB, POOL)
    for array in (first, second):
        for chap in (Chap("u1", "first-secret-12"), Chap("u2", "second-secret-1"), None, Chap("u3", "third-secret-12")):
            array.export("v", replace(ISCSI, chap=chap), Protocol.ISCSI)
            assert user() == (chap.username if chap else None)
    started.open().export("v", ISCSI, Protocol.ISCSI)
    assert user() is None
    first.export("v", replace(ISCSI, chap=Chap("u1", "first-secret-12")), Protocol.ISCSI)
    first.unexport("v", ISCSI, Protocol.ISCSI)
    first.remove_host(ISCSI)
    assert started.array.family.state()["initiators"] == [
        item for item in started.array.family.state()["initiators"] if item["kind"] == "fc"
    ]


def test_only_the_reporting_nodes_lifs_are_named(lab):
    portals = [f"127.0.0.{number}" for number in range(11, 15)]
    array = lab(nodes=4, portals=portals).open()
    array.create_volume("v", GiB, POOL)
    export = array.export("v", ISCSI, Protocol.ISCSI)
    assert [target.portal for target in export.targets] == ["127.0.0.11:3260", "127.0.0.12:3260"]
    assert array.list_exports("v")[0].targets == export.targets
    over_fc = array.export("v", FC, Protocol.FC)
    up = {port.address for port in array.ports() if port.protocol is Protocol.FC}
    assert set(over_fc.wwpns) < up
    assert len(over_fc.wwpns) == len(up) // 2


def test_a_portset_limits_the_lifs(lab):
    started = lab()
    started.array.family.add_portset("ps", ["127.0.0.12"])
    array = started.open(portset="ps")
    array.create_volume("v", GiB, POOL)
    assert [target.portal for target in array.export("v", ISCSI, Protocol.ISCSI).targets] == ["127.0.0.12:3260"]
    with pytest.raises(InvalidRequest, match="portset 'none'"):
        started.open(portset="none").export("v", Host("h", iqn="iqn.1994-05.org.example:h"), Protocol.ISCSI)


# Copies and groups


def test_a_volume_with_snapshots_is_not_moved(lab):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    with pytest.raises(InUse, match="snapshots"):
        array.retype_volume("v", pool=OTHER)
    assert array.get_volume("v").pool == POOL


def test_a_revert_keeps_what_the_volume_is(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL, thin=False, qos=Qos(total_iops=700))
    array.create_snapshot("s", "v")
    before = array.get_volume("v")
    array.revert_volume("v", "s")
    assert array.get_volume("v") == before
    assert array.get_qos("v") == Qos(total_iops=700)
    (lun,) = [lun for lun in started.array.family.state()["volumes"] if lun["name"].endswith("bdvl-v")]
    assert (lun["unmap"], lun["comment"]) == ("true", "blockdrivers;id=v;kept")


def test_a_given_up_volume_takes_its_snapshots_and_limits_along(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL, qos=Qos(total_iops=700))
    taken = array.create_snapshot("s", "v")
    array.unmanage_volume("v", "legacy-7")
    assert started.luns() == ["/vol/pool_a/bdsl-s{legacy-7}", "/vol/pool_a/legacy-7"]
    managed = array.manage_volume("w", "legacy-7")
    assert managed.dependants == {Dependant.SNAPSHOT}
    assert array.get_qos("w") == Qos(total_iops=700)
    found = array.get_snapshot("s")
    assert (found.id, found.volume_id) == (taken.id, "w")
    array.revert_volume("w", "s")
    array.delete_snapshot("s")
    array.delete_volume("w")
    assert started.array.family.state()["qos"] == []


@pytest.mark.parametrize("volumes", ["luns", "files"])
def test_group_snapshots_over_two_flexvols_leave_no_group(lab, volumes):
    started = lab()
    array = started.open(volumes=volumes)
    for name, pool in (("a", POOL), ("b", OTHER), ("c", POOL)):
        array.create_volume(name, GiB, pool)
    members = {"a": "sa", "b": "sb", "c": "sc"}
    taken = array.create_group_snapshot(members)
    assert [(snapshot.snapshot_id, snapshot.volume_id) for snapshot in taken] == [(value, key) for key, value in members.items()]
    assert started.open(volumes=volumes).create_group_snapshot(members) == taken
    state = started.array.family.state()
    assert (state["groups"], state["snapshots"]) == ([], [])


def test_a_moment_of_files_is_taken_once_whoever_asks_for_it_at_once(lab):
    started = lab()
    array = started.open(volumes="files")
    for name, pool in (("a", POOL), ("b", OTHER)):
        array.create_volume(name, GiB, pool)
    started.array.counters.clear()
    with ThreadPoolExecutor(4) as callers:
        taken = list(callers.map(lambda _: array.create_group_snapshot({"a": "sa", "b": "sb"}), range(4)))
    assert taken == [taken[0]] * 4
    counted = started.array.counters.as_dict()["by_operation"]
    assert [number for name, number in counted.items() if name.startswith("POST ") and name.endswith("/snapshots")] == [1]


def test_a_group_snapshot_that_the_array_still_holds_is_a_leftover(lab, monkeypatch):
    started = lab()
    array = started.open()
    for name in ("a", "b"):
        array.create_volume(name, GiB, POOL)
    family = started.array.family
    take = family._state.take_snapshots

    def take_and_hold(*arguments):
        made = take(*arguments)
        family.hold_snapshots("split")
        return made

    monkeypatch.setattr(family._state, "take_snapshots", take_and_hold)
    array.create_group_snapshot({"a": "sa", "b": "sb"})
    (left,) = array.sweep()
    assert left.kind == "snapshot"
    for snapshot in ("sa", "sb"):
        array.delete_snapshot(snapshot)
    # The name is free for another moment, although the array keeps the first.
    array.create_group_snapshot({"a": "sa", "b": "sb"})
    family.hold_snapshots(None)
    array.sweep(remove=True)
    assert array.sweep() == []


def test_a_flexvol_of_somebody_s_consistency_group_is_told(lab):
    started = lab()
    array = started.open()
    for name, pool in (("a", POOL), ("b", OTHER)):
        array.create_volume(name, GiB, pool)
    body = {"name": "theirs", "svm": {"name": "svm1"}, "volumes": [{"name": OTHER}]}
    started.array.family._flexvols._create_group(Call("POST", (), {}, body))
    with pytest.raises(InUse, match="theirs"):
        array.create_group_snapshot({"a": "sa", "b": "sb"})
    assert array.list_snapshots() == []


# The array's ways


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_a_release_that_makes_luns_in_jobs(lab, seconds):
    array = lab(release=(9, 16, 1), job_seconds=seconds).open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    assert array.clone_volume("c", "v", size=2 * GiB).size == 2 * GiB
    assert array.create_volume_from_snapshot("d", "s", pool=OTHER).pool == OTHER


def test_a_release_without_what_is_needed_is_told_apart(lab):
    with pytest.raises(NotSupported, match=r"9\.10\.1.*9\.11\.1"):
        lab(release=(9, 10, 1)).open().pools()


def test_an_account_of_the_svm(lab):
    started = lab()
    array = started.open(username=started.array.ready["svm_username"])
    assert array.licences() == {}
    assert [pool.disk_types for pool in array.pools()] == [(), (), (), ()]
    assert array.capabilities.qos.keys == {"total_iops", "total_bytes_sec"}
    array.create_volume("v", GiB, POOL)
    array.export("v", ISCSI, Protocol.ISCSI)
    with pytest.raises(NotSupported, match="role"):
        array.system()


def test_lower_limits_need_all_flash(lab):
    flash, hybrid = lab("AFF A300").open(), lab("FAS8200").open()
    for array in (flash, hybrid):
        array.create_volume("v", GiB, POOL)
    flash.set_qos("v", Qos(min_iops=50, total_iops=500))
    flash.set_qos("v", Qos(total_iops=500))
    assert flash.get_qos("v") == Qos(total_iops=500)
    with pytest.raises(NotSupported, match="min_iops"):
        hybrid.set_qos("v", Qos(min_iops=50))


def test_a_full_flexvol_and_a_missing_licence_are_named(lab):
    started = lab(pool_bytes=10 * GiB)
    array = started.open()
    with pytest.raises(OutOfSpace, match="pool_a"):
        array.create_volume("v", 20 * GiB, POOL, thin=False)
    array.create_volume("v", GiB, POOL)
    started.array.family.set_licence("flexclone", False)
    with pytest.raises(LicenceMissing):
        array.create_snapshot("s", "v")
    assert started.luns() == ["/vol/pool_a/bdvl-v"]


def test_a_wrong_password_is_asked_once(lab):
    started = lab()
    array = started.open(password="wrong")
    started.array.counters.clear()
    for _ in range(3):
        with pytest.raises(LoginRefused):
            array.pools()
    assert started.array.counters.as_dict()["requests"] == 1


# Files


def test_a_host_that_another_process_removed_is_let_in_again(lab):
    started = lab(nfs_clients=())
    first, second = started.open(volumes="files", export_rules=True), started.open(volumes="files", export_rules=True)
    host = Host("cmp03", addresses=("192.0.2.3",))

    def rules():
        return started.array.family.state()["rules"]

    for name in ("v", "w"):
        first.create_volume(name, GiB, POOL)
        first.export(name, host, Protocol.NFS)
        assert [rule["clients"] for rule in rules()] == [[{"match": "192.0.2.3"}]]
        first.unexport(name, host, Protocol.NFS)
        second.remove_host(host)
        assert rules() == []


def test_a_host_that_is_given_an_export_while_it_is_removed_stays(lab, monkeypatch):
    started = lab(nfs_clients=())
    first, second = started.open(volumes="files", export_rules=True), started.open(volumes="files", export_rules=True)
    host = Host("cmp03", addresses=("192.0.2.3",))
    first.create_volume("v", GiB, POOL)
    first.export("v", host, Protocol.NFS)
    first.unexport("v", host, Protocol.NFS)
    dismiss = second.driver._shares.dismiss

    def export_first(*arguments):
        first.export("v", host, Protocol.NFS)
        dismiss(*arguments)

    monkeypatch.setattr(second.driver._shares, "dismiss", export_first)
    with pytest.raises(InUse, match="meanwhile"):
        second.remove_host(host)
    assert [rule["clients"] for rule in started.array.family.state()["rules"]] == [[{"match": "192.0.2.3"}]]
    assert len(first.list_exports("v")) == 1


def test_a_snapshot_that_another_process_took_anew_is_not_mistaken(lab):
    for volumes in ("luns", "files"):
        started = lab()
        first, second = started.open(volumes=volumes), started.open(volumes=volumes)
        first.create_volume("v", GiB, POOL)
        first.create_snapshot("s", "v")
        second.delete_snapshot("s")
        second.extend_volume("v", 2 * GiB)
        second.create_snapshot("s", "v")
        # What the first has seen is of one GiB.
        assert first.create_volume_from_snapshot("c", "s", pool=POOL).size == 2 * GiB
        second.delete_snapshot("s")
        with pytest.raises(NotFound):
            first.create_volume_from_snapshot("d", "s", pool=POOL)
        second.create_snapshot("s", "v")
        first.delete_snapshot("s")
        assert second.list_snapshots() == []
        assert sorted(volume.volume_id for volume in second.list_volumes()) == ["c", "v"]
