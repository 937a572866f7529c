"""What is particular to the WSAPI family: builds, VLUNs of every kind, copies that hold their source, sets, sessions, Remote Copy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from blockdrivers.backend import Backend
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    Busy,
    ConfigurationError,
    DeadlineExceeded,
    InUse,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    LoginRefused,
    NotFound,
    NotSupported,
    OutOfSpace,
    VendorError,
)
from blockdrivers.model import Chap, Dependant, GiB, Host, Protocol, Qos, ReplicationState, TiB, VolumeState
from blockdrivers.naming import Kind, array_name
from blockdrivers.operations import Timeouts
from conformance.simulation.opening import reaching
from conformance.simulation.server import SimulatedArray
from vendors.hpe import codes, groups, mapping, ports
from vendors.hpe.client import WsapiClient
from vendors.hpe.copies import Copies
from vendors.hpe.driver import open_driver
from vendors.hpe.options import WsapiOptions
from vendors.hpe.qos import set_name
from vendors.hpe.simulator import build

OLD, NEW, THIN_ONLY = "3PAR StoreServ 7200", "3PAR StoreServ 8440", "ConvergedFabric 22035"
POOL, OTHER = "pool_a", "pool_b"
ISCSI = Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")
FC = Host("cmp02", wwpns=("21000024ff000001", "21:00:00:24:ff:00:00:02"))


@dataclass
class Lab:
    """One simulated array, the ways to open it, and somebody else's client."""

    array: SimulatedArray
    stack: ExitStack

    def options(self, **more: Any) -> WsapiOptions:
        return WsapiOptions.model_validate(
            {
                **reaching(self.array.ready),
            }
            | more
        )

    def open(self, **more: Any) -> Backend:
        backend = Backend(open_driver(self.options(**more), "lab"), "lab", timeouts=Timeouts(20, 20))
        return self.stack.enter_context(backend)

    @property
    def admin(self) -> WsapiClient:
        client = WsapiClient(self.options(), "admin")
        self.stack.callback(client.close)
        return client

    def operations(self) -> list[str]:
        return [entry["operation"] for entry in self.array.counters.entries()]


@pytest.fixture
def lab() -> Iterator[Callable[..., Lab]]:
    with ExitStack() as stack:

        def start(model: str = NEW, **options: Any) -> Lab:
            return Lab(stack.enter_context(SimulatedArray(build(model, **options))), stack)

        yield start


def volume_name(identifier: str) -> str:
    return array_name(Kind.VOLUME, identifier, 31)


def host_name(identifier: str) -> str:
    return array_name(Kind.HOST, identifier, 31)


# Builds


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
    shown = started.array.family.state()["volumes"][0]
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
    assert started.array.family.state()["volumes"][0]["snapshot pool"] == OTHER


@pytest.mark.parametrize(
    ("options", "expected"), [({}, (False, False)), ({"dedup": True}, (True, False)), ({"compression": True}, (False, True))]
)
def test_a_volume_is_converted_to_what_the_options_say(lab, options, expected):
    started = lab()
    array = started.open(**options)
    array.create_volume("v", 16 * GiB, POOL, thin=False)
    assert array.retype_volume("v", thin=True).thin is True
    shown = started.array.family.state()["volumes"][0]
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
    shown = {volume["name"]: volume["snapshot pool"] for volume in started.array.family.state()["volumes"]}
    assert {shown[volume_name(name)] for name in ("one", "two", "three")} == {OTHER}
    assert array.sweep() == []


def test_pools_without_a_limit_are_asked_for_their_space(lab):
    array = lab(limited=False, pool_bytes=10 * TiB).open()
    array.create_volume("v", TiB, POOL, thin=False)
    pool = next(pool for pool in array.pools() if pool.name == POOL)
    assert (pool.total_bytes, pool.free_bytes, pool.provisioned_bytes) == (10 * TiB, 9 * TiB, TiB)
    assert pool.disk_types == ("SSD",)


# VLUNs


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


@pytest.mark.parametrize("protocol", [Protocol.ISCSI, Protocol.FC])
def test_an_initiator_of_another_host_is_refused_and_nothing_is_left(lab, protocol):
    started = lab()
    array = started.open()
    host = ISCSI if protocol is Protocol.ISCSI else FC
    array.create_volume("v", GiB, POOL)
    array.export("v", host, protocol)
    with pytest.raises(InUse, match=host_name(host.name)):
        array.export("v", replace(host, name="impostor"), protocol)
    other = Host("other", iqn="iqn.1994-05.org.example:other", wwpns=("21000024ff000003",))
    array.export("v", other, protocol)
    with pytest.raises(InUse, match=host_name(host.name)):
        array.export("v", replace(host, name="other"), protocol)
    assert {item["name"] for item in started.array.family.state()["hosts"]} == {host_name(host.name), host_name("other")}


def test_fc_initiators_that_the_array_does_not_see(lab):
    started = lab(fabric=["21000024ff000001"])
    array = started.open()
    array.create_volume("v", GiB, POOL)
    export = array.export("v", FC, Protocol.FC)
    assert len(export.paths["21000024ff000001"]) == 4
    assert export.paths["21000024ff000002"] == ()
    with pytest.raises(InvalidRequest, match="sees none"):
        array.export("v", Host("dark", wwpns=("21000024ff0000ee",)), Protocol.FC)
    assert [item["name"] for item in started.array.family.state()["hosts"]] == [host_name("cmp02")]


def test_a_host_of_both_protocols_is_one_host(lab):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    both = replace(FC, iqn=ISCSI.iqn)
    iscsi, fc = (array.export("v", both, protocol) for protocol in (Protocol.ISCSI, Protocol.FC))
    assert iscsi.lun == fc.lun
    assert {export.protocol for export in array.list_exports("v")} == {Protocol.ISCSI, Protocol.FC}
    assert {facts.host for facts in array.initiators() if facts.host} == {host_name("cmp02")}


def test_an_absent_volume_leaves_no_host(lab):
    started = lab()
    with pytest.raises(NotFound):
        started.open().export("absent", ISCSI, Protocol.ISCSI)
    assert started.array.family.state()["hosts"] == []


def test_chap_is_set_changed_and_taken_away(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    for chap in (Chap("u1", "first-secret-12"), Chap("u2", "second-secret-1"), None):
        array.export("v", replace(ISCSI, chap=chap), Protocol.ISCSI)
        shown = next(item for item in started.array.family.state()["initiators"] if item["id"] == ISCSI.iqn)
        assert shown["chap_user"] == (chap.username if chap else None)


def test_tagged_ports_are_reached_at_their_vlans(lab):
    array = lab(tagged=True).open()
    array.create_volume("v", GiB, POOL)
    portals = [target.portal for target in array.export("v", ISCSI, Protocol.ISCSI).targets]
    assert portals == ["127.0.0.11:3260", "127.0.0.12:3260"]


def test_only_the_configured_portals_are_handed_out(lab):
    started = lab()
    array = started.open(iscsi_portals=["127.0.0.12"])
    array.create_volume("v", GiB, POOL)
    assert [target.portal for target in array.export("v", ISCSI, Protocol.ISCSI).targets] == ["127.0.0.12:3260"]
    with pytest.raises(InvalidRequest, match=r"127\.9\.9\.9"):
        started.open(iscsi_portals=["127.9.9.9"]).export("v", ISCSI, Protocol.ISCSI)


def test_a_port_that_is_down_is_told_and_not_handed_out(lab):
    array = lab().open()
    down = [port for port in array.ports() if not port.up]
    array.create_volume("v", GiB, POOL)
    assert [port.protocol for port in down] == [Protocol.FC]
    assert down[0].address not in array.export("v", FC, Protocol.FC).wwpns


def test_portals_that_come_back_are_handed_out_again(lab, monkeypatch):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    whole = array.export("v", ISCSI, Protocol.ISCSI).targets
    started.array.family.set_link("127.0.0.12", up=False)
    assert array.export("v", ISCSI, Protocol.ISCSI).targets == whole
    monkeypatch.setattr(ports, "_KEPT_SECONDS", 0.0)
    assert [target.portal for target in array.export("v", ISCSI, Protocol.ISCSI).targets] == ["127.0.0.11:3260"]
    started.array.family.set_link("127.0.0.12", up=True)
    assert array.export("v", ISCSI, Protocol.ISCSI).targets == whole


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


@pytest.mark.parametrize(
    ("host", "later", "protocol"),
    [
        (ISCSI, ISCSI, Protocol.ISCSI),
        (ISCSI, replace(ISCSI, chap=Chap("u1", "first-secret-12")), Protocol.ISCSI),
        (FC, FC, Protocol.FC),
        (FC, replace(FC, wwpns=(*FC.wwpns, "21000024ff000003")), Protocol.FC),
    ],
)
def test_a_host_that_is_removed_while_it_is_exported_to_is_made_again(lab, host, later, protocol):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.export("v", host, protocol)
    array.unexport("v", host, protocol)
    hosts = array.driver._hosts
    read = hosts.read

    def late(name):
        hosts.read = read
        found = read(name)
        started.admin.delete("hosts", name)
        return found

    hosts.read = late
    assert array.export("v", later, protocol).lun == 1
    assert [export.host for export in array.list_exports("v")] == [host.name]


# Copies


def test_a_source_grows_while_it_is_cloned(lab):
    array = lab(copy_seconds=1.0).open()
    array.create_volume("v", GiB, POOL)
    with ThreadPoolExecutor(2) as threads:
        clones = [threads.submit(array.clone_volume, name, "v") for name in ("c", "d")]
        time.sleep(0.3)
        started = time.monotonic()
        assert array.extend_volume("v", 2 * GiB).size == 2 * GiB
        assert time.monotonic() - started < 0.5
        assert [clone.result().size for clone in clones] == [GiB, GiB]
    assert array.sweep() == []


def test_several_volumes_are_made_of_one_snapshot_at_once(lab):
    array = lab(copy_seconds=1.0).open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    started = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda n: array.create_volume_from_snapshot(f"c{n}", "s", pool=POOL), range(4)))
    assert time.monotonic() - started < 3.0
    assert {volume.state for volume in made} == {VolumeState.READY}
    assert array.sweep() == []
    assert [snapshot.snapshot_id for snapshot in array.list_snapshots(foreign=True)] == ["s"]


def test_a_copy_that_fails_leaves_nothing(lab):
    started = lab(copy_seconds=30.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)

    def fail() -> None:
        while not started.array.family.state()["copies"]:
            time.sleep(0.02)
        started.array.family.fail_tasks()

    failing = threading.Thread(target=fail)
    failing.start()
    with pytest.raises(VendorError, match="has failed"):
        array.clone_volume("c", "v")
    failing.join()
    assert [volume.volume_id for volume in array.list_volumes(foreign=True)] == ["v"]
    assert array.list_snapshots(foreign=True) == []


def test_a_clone_that_another_process_completes_is_kept(lab):
    started = lab()
    array, other = started.open(), started.open()
    array.create_volume("v", GiB, POOL)
    copies = array.driver._copies
    helper = copies.helper

    def late(*arguments, **named):
        name = helper(*arguments, **named)
        other.clone_volume("c", "v")
        return name

    copies.helper = late
    assert array.clone_volume("c", "v") == other.get_volume("c")
    assert array.sweep() == []


def test_a_copy_whose_task_is_forgotten_is_made_again(lab):
    started = lab(copy_seconds=30.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)

    def forget() -> None:
        while not started.array.family.state()["copies"]:
            time.sleep(0.02)
        started.array.family.forget_tasks()

    forgetting = threading.Thread(target=forget)
    forgetting.start()
    with pytest.raises(DeadlineExceeded, match="phase 1 of 3, step"):
        array.clone_volume("c", "v", timeout=2.0)
    forgetting.join()
    assert started.operations().count("POST /volumes/{} createPhysicalCopy") == 2
    assert array.get_volume("c").state is VolumeState.COPYING


def test_a_revert_is_not_what_another_task_does(lab):
    started = lab(copy_seconds=1.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    started.admin.put("volumes", volume_name("v"), body={"action": 6, "tuneOperation": 1, "userCPG": OTHER})
    array.revert_volume("v", "s")
    done = [task["type"] for task in started.admin.members("tasks") if task["status"] == 1]
    assert sorted(done) == [3, 4]


def test_a_revert_does_not_hang_on_a_query_by_names(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    started.array.faults.add({"kind": "answer", "code": "12", "operation": "GET /volumes?query"})
    assert array.revert_volume("v", "s").volume_id == "v"
    sent = started.operations()
    asked = sent.index("GET /volumes?query")
    assert sent[asked : asked + 3] == ["GET /volumes?query", "GET /volumes/{}", "GET /volumes/{}"]
    with pytest.raises(NotFound):
        array.revert_volume("v", "absent")
    with pytest.raises(NotFound):
        array.revert_volume("absent", "s")


def test_a_move_is_not_what_another_move_does(lab):
    started = lab(copy_seconds=0.5, pools=3)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    started.admin.put("volumes", volume_name("v"), body={"action": 6, "tuneOperation": 1, "userCPG": OTHER})
    assert array.retype_volume("v", pool="pool_c").pool == "pool_c"
    assert array.get_volume("v").pool == "pool_c"


def test_a_move_that_ends_before_it_is_looked_for_is_gone_on_from(lab, monkeypatch):
    started = lab(copy_seconds=0.3, pools=3)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    looked = []

    def ended(copies, name, kinds):
        looked.append(name)
        while copies._client.read("volumes", name)["userCPG"] != OTHER:
            time.sleep(0.05)

    monkeypatch.setattr(Copies, "_active", ended)
    started.admin.put("volumes", volume_name("v"), body={"action": 6, "tuneOperation": 1, "userCPG": OTHER})
    assert array.retype_volume("v", pool="pool_c").pool == "pool_c"
    assert looked == [volume_name("v")]


def test_an_unfinished_clone_is_deleted_with_its_helper(lab):
    started = lab(copy_seconds=30.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    with pytest.raises(Exception, match="did not end"):
        array.clone_volume("c", "v", timeout=1.0)
    assert array.get_volume("c").state is VolumeState.COPYING
    assert {leftover.kind for leftover in array.sweep()} == {"volume", "snapshot"}
    array.delete_volume("c")
    assert array.sweep() == []
    array.delete_volume("v")


def test_a_foreign_copy_that_is_under_way_is_busy(lab):
    started = lab(copy_seconds=30.0)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    parameters = {"destVolume": "theirs", "destCPG": POOL, "online": True, "tpvv": True}
    started.admin.post("volumes", volume_name("v"), body={"action": "createPhysicalCopy", "parameters": parameters})
    theirs = next(volume for volume in array.list_volumes(foreign=True) if volume.name == "theirs")
    assert theirs.state is VolumeState.BUSY


# Sets, rules, groups


@pytest.mark.parametrize("rules_hold_sets", [False, True])
def test_limits_go_with_their_volume(lab, rules_hold_sets):
    started = lab(rules_hold_sets=rules_hold_sets)
    array = started.open()
    array.create_volume("v", GiB, POOL, qos=Qos(total_iops=500))
    array.delete_volume("v")
    assert started.array.family.state()["groups"] == started.array.family.state()["qos"] == []


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
    assert started.array.family.state()["groups"] == []


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


def test_members_of_a_group_share_their_moment(lab):
    started = lab()
    array = started.open()
    for name in ("a", "b", "c"):
        array.create_volume(name, GiB, POOL)
    members = {"a": "sa", "b": "sb", "c": "sc"}
    taken = array.create_group_snapshot(members)
    assert [snapshot.snapshot_id for snapshot in taken] == ["sa", "sb", "sc"]
    assert array.create_group_snapshot(members) == taken
    assert started.array.family.state()["groups"] == []
    assert started.operations().count("POST /volumesets/{} createSnapshot") == 1


def test_snapshots_of_a_group_are_told_apart_by_their_volumes(lab):
    started = lab()
    array, admin = started.open(), started.admin
    for name in ("a", "b"):
        array.create_volume(name, GiB, POOL)
    members = {"a": "sa", "b": "sb"}
    array.create_group_snapshot(members)
    for name in ("sa", "sb"):
        array.delete_snapshot(name)
    # What a call left that was cut off; the array numbers the members as it has them, and one has left the set since.
    group = groups._group([array._snapshot_spec(snapshot, volume) for volume, snapshot in members.items()])
    admin.post("volumesets", body={"name": group, "setmembers": [volume_name("b"), volume_name("a")]})
    taken = array.create_group_snapshot(members)
    assert [snapshot.source_name for snapshot in taken] == [volume_name("a"), volume_name("b")]
    assert [array.get_snapshot(name).volume_id for name in ("sa", "sb")] == ["a", "b"]
    for name in ("sa", "sb"):
        array.delete_snapshot(name)
    admin.post("volumesets", body={"name": group, "setmembers": [volume_name("b")]})
    taken = array.create_group_snapshot(members)
    assert [snapshot.volume_id for snapshot in taken] == ["a", "b"]
    assert [array.get_snapshot(name).source_name for name in ("sa", "sb")] == [volume_name("a"), volume_name("b")]
    assert started.array.family.state()["groups"] == []


def test_a_group_of_which_some_snapshots_are_left_is_taken_anew(lab):
    started = lab()
    array, admin = started.open(), started.admin
    for name in ("a", "b"):
        array.create_volume(name, GiB, POOL)
    members = {"a": "sa", "b": "sb"}
    group = groups._group([array._snapshot_spec(snapshot, volume) for volume, snapshot in members.items()])
    parameters = {"name": f"{group}-1", "readOnly": True}
    admin.post("volumes", volume_name("b"), body={"action": "createSnapshot", "parameters": parameters})
    assert [snapshot.volume_id for snapshot in array.create_group_snapshot(members)] == ["a", "b"]
    assert len(array.list_snapshots(foreign=True)) == 2


def test_a_snapshot_of_another_moment_is_no_member(lab):
    started = lab()
    array = started.open()
    for name in ("a", "b"):
        array.create_volume(name, GiB, POOL)
    array.create_snapshot("sb", "b")
    with pytest.raises(AlreadyExists, match="another moment"):
        array.create_group_snapshot({"a": "sa", "b": "sb"})
    array.create_volume("c", GiB, POOL)
    array.create_snapshot("sc", "c")
    with pytest.raises(AlreadyExists, match="another moment"):
        array.create_group_snapshot({"a": "sa", "b": "sc"})
    assert {snapshot.snapshot_id for snapshot in array.list_snapshots(foreign=True)} == {"sb", "sc"}
    assert started.array.family.state()["groups"] == []


# Refusals


@pytest.mark.parametrize(
    ("feature", "operation"),
    [
        ("Virtual Copy", lambda array: array.create_snapshot("s", "v")),
        ("Virtual Copy", lambda array: array.create_group_snapshot({"v": "s"})),
        ("Virtual Copy", lambda array: array.clone_volume("c", "v")),
        ("Priority Optimization", lambda array: array.set_qos("v", Qos(total_iops=100))),
        ("Dynamic Optimization", lambda array: array.retype_volume("v", pool=OTHER)),
    ],
)
def test_a_missing_licence_is_named_and_nothing_is_left(lab, feature, operation):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    before = started.array.family.state()
    started.array.family.set_licence(feature, False)
    with pytest.raises(LicenceMissing) as missing:
        operation(array)
    assert feature in str(missing.value)
    assert started.array.family.state() == before
    assert feature not in array.licences()


def test_a_full_pool_is_named_and_nothing_is_left(lab):
    array = lab(pools=2, pool_bytes=10 * GiB).open()
    with pytest.raises(OutOfSpace):
        array.create_volume("v", 20 * GiB, POOL, thin=False)
    assert array.list_volumes(foreign=True) == []


def test_a_limit_of_the_array_is_named_at_once(lab):
    array = lab(max_volumes=2).open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    with pytest.raises(LimitReached):
        array.create_volume("w", GiB, POOL)
    with pytest.raises(LimitReached):
        array.create_group_snapshot({"v": "t"})
    assert array.sweep() == []


@pytest.mark.parametrize(
    ("code", "status", "text", "changes", "kind"),
    [
        (1, 500, "internal error", True, Ambiguous),
        (7, 408, "timeout", True, Ambiguous),
        (7, 408, "timeout", False, Busy),
        (29, 400, "volume is busy", True, Busy),
        (29, 409, "volume is retained", True, VendorError),
        (270, 503, "system is too busy, the limit of load is reached", True, Busy),
        (999, 503, "virtual volume limit reached", True, LimitReached),
        (999, 503, "not now", True, Busy),
        (999, 404, "no such thing", True, NotFound),
        (12, 400, "system is not licensed for Virtual Copy", True, LicenceMissing),
    ],
)
def test_a_refusal_is_known_by_code_status_and_words(code, status, text, changes, kind):
    refused = codes.error(code, text, status=status, request="PUT volumes/v", changes=changes)
    assert (type(refused), refused.vendor_code, refused.vendor_text) == (kind, str(code), text)


def test_an_unknown_pool_is_named(lab):
    with pytest.raises(InvalidRequest, match=r"pool_z.*pool_a"):
        lab().open().create_volume("v", GiB, "pool_z")


def test_a_wrong_password_is_asked_once(lab):
    started = lab()
    array = started.open(password="wrong")
    for _ in range(3):
        with pytest.raises(LoginRefused):
            array.pools()
    assert len(started.operations()) == 1


# Sessions


def test_keys_are_shared_given_back_and_taken_again(lab):
    started = lab(session_seconds=0.4)
    array = started.open()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: array.system(), range(8)))
    assert started.array.family.state()["sessions"] == 1
    time.sleep(0.5)
    array.system()
    array.close()
    assert started.array.family.state()["sessions"] == 0


def test_an_array_without_a_key_to_give_says_so(lab):
    started = lab(max_sessions=1)
    first, second = started.open(), started.open()
    first.system()
    with pytest.raises(DeadlineExceeded, match="session key"):
        second.system(timeout=1.0)
    first.close()
    assert second.system().vendor == "HPE"


def test_an_interface_that_ends_every_connection_is_served(lab):
    started = lab(closes=True)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    assert array.export("v", ISCSI, Protocol.ISCSI).lun == 1
    array.delete_volume("v", force=True)


# Remote Copy


def test_a_copy_on_another_array_is_told_and_protected(lab):
    started = lab()
    array, admin = started.open(), started.admin
    array.create_volume("v", GiB, POOL)
    assert array.replications("v") == ()
    name = volume_name("v")
    admin.post("remotecopygroups", body={"name": "far", "targets": [{"targetName": "paris", "mode": 1}]})
    admit = {"action": 1, "volumeName": name, "targets": [{"targetName": "paris", "secVolumeName": "copy"}]}
    admin.put("remotecopygroups", "far", body=admit)
    (stopped,) = array.replications("v")
    assert (stopped.group, stopped.target, stopped.volume, stopped.synchronous) == ("far", "paris", "copy", True)
    assert (stopped.state, stopped.reversed) == (ReplicationState.STOPPED, False)
    admin.put("remotecopygroups", "far", body={"action": 3})
    assert [copy.state for copy in array.replications("v")] == [ReplicationState.SYNCHRONISED]
    admin.post("remotecopygroups", "far", body={"action": 7})
    assert [copy.reversed for copy in array.replications("v")] == [True]
    assert array.get_volume("v").dependants == {Dependant.REPLICATION}
    with pytest.raises(InUse, match="replication"):
        array.delete_volume("v", force=True)


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
