"""The VSP driver against the simulated array over TLS: requests, jobs, locks, races for LDEV ids and LUNs, and what is proven."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.counted import opened, sent
from benchmarks.hitachi import MODELS, POOL, rows, warm_up
from blockdrivers.backend import Backend
from blockdrivers.errors import (
    AlreadyExists,
    Busy,
    ConfigurationError,
    DeadlineExceeded,
    InUse,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    NotFound,
    NotSupported,
)
from blockdrivers.model import Chap, GiB, Host, MiB, Protocol, Qos, VolumeState
from blockdrivers.naming import Kind, array_name
from blockdrivers.operations import Timeouts
from conformance.simulation.family import Request
from conformance.simulation.opening import reaching
from conformance.simulation.server import SimulatedArray
from vendors.hitachi import client as wire
from vendors.hitachi import placement
from vendors.hitachi.driver import open_driver
from vendors.hitachi.options import VspOptions
from vendors.hitachi.simulator import build
from vendors.hitachi.simulator.profiles import PROFILES

ISCSI = Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")
FC = Host("cmp02", wwpns=("21000024ff000001", "21000024ff000002"))


@dataclass
class Lab:
    """One simulated array, backends on it, and a session of somebody else's."""

    array: SimulatedArray
    stack: ExitStack

    def open(self, **more: Any) -> Backend:
        options = {
            **reaching(self.array.ready),
            **self.array.ready["options"],
            **more,
        }
        driver = open_driver(VspOptions.model_validate(options), "lab")
        return self.stack.enter_context(Backend(driver, "lab", timeouts=Timeouts(15, 15)))

    def sent(self) -> dict[str, int]:
        return dict(self.array.counters.as_dict()["by_operation"])

    def count(self) -> None:
        self.array.counters.clear()

    def raw(self, method: str, path: str, body: object = None, token: str | None = None, **headers: str) -> requests.Response:
        management = self.array.ready["management"]
        login = None if token else (management["username"], management["password"])
        headers |= {"Authorization": f"Session {token}"} if token else {}
        url = f"{management['url']}/v1/objects/storages/{self.array.ready['storage_id']}/{path}"
        return requests.request(method, url, json=body, auth=login, headers=headers, verify=management["ca_file"], timeout=10)

    def admin(self, method: str, path: str, body: object = None) -> dict:
        """Have the array do something as another tool would, and wait for it."""
        waiting = {"Response-Max-Wait": "10", "Response-Job-Status": "Completed;"}
        return self.raw(method, path, body, **waiting).json()

    def labels(self) -> list[str]:
        return sorted(item["name"] for item in self.array.family.state()["volumes"] if item["name"] != "command-device")


@pytest.fixture
def lab() -> Iterator[Callable[..., Lab]]:
    with ExitStack() as stack:

        def start(model: str = "VSP G370", **options: Any) -> Lab:
            return Lab(stack.enter_context(SimulatedArray(build(model, **options))), stack)

        yield start


def home(name: str, last: int = 32767) -> list[int]:
    """Return the LDEV ids that a volume's id prefers, most wanted first."""
    return list(next(placement.windows(array_name(Kind.VOLUME, name, 31), 0, last)))


# Requests


@pytest.mark.parametrize("model", MODELS)
def test_no_operation_needs_more_than_its_target(model):
    with opened(model) as (array, backend):
        warm_up(backend)
        found = {row.title: (sent(array, backend, row), row.target) for row in rows(model)}
    assert {title: pair for title, pair in found.items() if pair[1] is not None and pair[0] > pair[1]} == {}


def test_a_new_process_maps_to_a_host_that_stands_without_making_it(lab):
    started = lab()
    started.open().create_volume("v1", GiB, POOL)
    for host, protocol in ((ISCSI, Protocol.ISCSI), (FC, Protocol.FC)):
        started.open().export("v1", host, protocol)
        fresh = started.open()
        fresh.get_volume("v1")
        fresh.ports()
        started.count()
        fresh.export("v1", host, protocol)
        # The HBSD driver needs six then.
        assert sum(started.sent().values()) <= 6, started.sent()


# Jobs


def test_a_job_whose_answer_is_not_held_long_enough_is_polled(lab, monkeypatch):
    monkeypatch.setattr(wire, "_HELD_SECONDS", 0)
    started = lab(job_seconds=0.3)
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    assert started.sent()["GET /jobs/{id}"] >= 2
    assert started.labels() == ["bdvl-v1"]
    with pytest.raises(DeadlineExceeded, match="job"):
        array.create_volume("v2", GiB, POOL, timeout=0.2)
    array.create_volume("v2", GiB, POOL)
    assert started.labels() == ["bdvl-v1", "bdvl-v2"]


def test_a_job_that_nobody_knows_any_more_is_read_back(lab, monkeypatch):
    """The other controller's server does not know the jobs of the one that was lost."""
    monkeypatch.setattr(wire, "_HELD_SECONDS", 0)
    started = lab(job_seconds=0.3)
    array = started.open()
    array.create_volume("v0", GiB, POOL)
    started.array.faults.add({"kind": "failover", "operation": "GET /jobs/{id}"})
    made = array.create_volume("v1", GiB, POOL)
    assert array.get_volume("v1").id == made.id
    assert started.labels() == ["bdvl-v0", "bdvl-v1"]


def test_a_job_of_the_other_controller_is_not_taken_for_ours(lab, monkeypatch):
    """Each controller's server counts its own jobs, so that an id may stand for another job there."""
    monkeypatch.setattr(wire, "_HELD_SECONDS", 0)
    started = lab(job_seconds=0.3)
    array = started.open()
    array.create_volume("v0", GiB, POOL)
    volume = array.get_volume("v0")
    second = started.array.ready["management2"]["url"]
    elsewhere = started.open(addresses=[second])
    for name in ("a", "b", "c", "d"):
        elsewhere.create_volume(name, GiB, POOL)
    started.array.faults.add({"kind": "failover", "operation": "GET /jobs/{id}"})
    snapshot = array.create_snapshot("s1", "v0")
    assert snapshot.source_id == volume.id
    (pair,) = started.array.family.state()["snapshots"]
    assert pair["volume"] == "bdvl-v0"
    assert snapshot.id.endswith(f",{pair['mu_id']}")


def test_a_host_that_a_port_has_no_room_for_leaves_nothing(lab):
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    before = started.array.family.state()["groups"]
    started.array.faults.add({"kind": "answer", "code": "B957-4184", "operation": "POST /host-wwns", "at": 2})
    with pytest.raises(LimitReached, match="initiators"):
        array.export("v1", FC, Protocol.FC)
    assert started.array.family.state()["groups"] == before
    array.export("v1", FC, Protocol.FC)


def test_sessions_that_ended_are_not_remembered(lab):
    started = lab()
    array = started.open(session_seconds=1)
    login = array.driver._client._transport._authenticator
    for _ in range(3):
        array.pools()
        started.array.family.expire_sessions()
    array.pools()
    assert len(login._ids) == 1


def test_copies_that_outlast_their_jobs_are_waited_for(lab):
    started = lab(jobs_wait_for_copies=False, copy_seconds=0.8)
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    began = time.monotonic()
    assert array.clone_volume("c1", "v1").state is VolumeState.READY
    assert time.monotonic() - began > 0.7
    array.create_snapshot("s1", "v1")
    array.revert_volume("v1", "s1")
    assert all(item["status"] == "PSUS" for item in started.array.family.state()["snapshots"])


# Sessions and locks


def test_what_another_session_has_locked_is_waited_for_and_nothing_else_is_held_up(lab):
    started = lab()
    array = started.open()
    token = started.raw("POST", "sessions", {}).json()["token"]
    service = started.array.ready["management"]["url"] + f"/v1/{started.array.ready['storage_id']}/services"
    path = f"{service}/resource-group-service/actions"
    headers = {"Authorization": f"Session {token}"}
    ca_file = started.array.ready["management"]["ca_file"]
    requests.put(f"{path}/lock/invoke", json={}, headers=headers, verify=ca_file, timeout=10)
    with pytest.raises(DeadlineExceeded, match="locked"):
        array.create_volume("v1", GiB, POOL, timeout=0.5)
    assert array.pools()
    waiting = threading.Timer(0.5, lambda: requests.put(f"{path}/unlock/invoke", headers=headers, verify=ca_file, timeout=10))
    waiting.start()
    array.create_volume("v1", GiB, POOL)
    waiting.join()
    assert started.labels() == ["bdvl-v1"]


def test_a_full_session_table_is_waited_for(lab):
    started = lab()
    family = started.array.family
    basic = base64.b64encode(f"{family.username}:{family.password}".encode()).decode()
    path = f"/ConfigurationManager/v1/objects/storages/{family.storage_id}/sessions"
    # At the front end's other side: 65 TLS handshakes could take longer than the sessions last.
    login = Request("POST", path, headers={"authorization": f"Basic {basic}"}, body=b'{"aliveTime": 2}')
    assert [family.handle(login).status for _ in range(65)] == [200] * 64 + [503]
    assert started.open().create_volume("v1", GiB, POOL).size == GiB


def test_the_array_is_another_than_configured(lab):
    array = lab("VSP G370").open(storage_id="886000000001")
    with pytest.raises(ConfigurationError, match="storage_id"):
        array.pools(timeout=2)


# LDEV ids


@given(name=st.text(min_size=1, max_size=40), first=st.integers(0, 500), count=st.integers(1, 2000))
def test_a_names_windows_hold_every_id_once(name, first, count):
    found = [ldev_id for window in placement.windows(name, first, first + count - 1) for ldev_id in window]
    assert sorted(found) == list(range(first, first + count))


def test_a_name_whose_first_id_is_taken_gets_another_and_stays_one_volume(lab):
    started = lab()
    taken = home("v1")[0]
    started.admin("POST", "ldevs", {"ldevId": taken, "poolId": 0, "byteFormatCapacity": "2G"})
    started.admin("PATCH", f"ldevs/{taken}", {"label": "somebody's"})
    made = started.open().create_volume("v1", GiB, POOL)
    assert int(made.id) == home("v1")[1]
    started.admin("DELETE", f"ldevs/{taken}")
    assert started.open().create_volume("v1", GiB, POOL).id == made.id
    assert started.labels() == ["bdvl-v1"]


def test_a_claim_that_was_cut_off_is_adopted_and_one_that_is_used_is_not(lab):
    started = lab()
    first = home("v1")[0]
    started.admin("POST", "ldevs", {"ldevId": first, "poolId": 0, "byteFormatCapacity": "1G"})
    assert int(started.open().create_volume("v1", GiB, POOL).id) == first
    other = home("v2")[0]
    started.admin("POST", "ldevs", {"ldevId": other, "poolId": 0, "byteFormatCapacity": "1G"})
    started.admin("POST", "luns", {"portId": "CL1-A", "hostGroupNumber": 0, "ldevId": other, "lun": 7})
    assert int(started.open().create_volume("v2", GiB, POOL).id) != other


def test_a_claim_that_is_about_to_be_labelled_is_left_to_its_claimant(lab):
    started = lab()
    first = home("v1")[0]
    started.admin("POST", "ldevs", {"ldevId": first, "poolId": 0, "byteFormatCapacity": "1G"})
    labelling = threading.Timer(0.5, lambda: started.admin("PATCH", f"ldevs/{first}", {"label": "bdvl-other"}))
    labelling.start()
    made = started.open().create_volume("v1", GiB, POOL)
    labelling.join()
    assert int(made.id) != first
    assert started.labels() == ["bdvl-other", "bdvl-v1"]


def test_volumes_stay_within_the_range_and_it_ends(lab):
    started = lab()
    array = started.open(ldev_range=(300, 303))
    made = [int(array.create_volume(f"v{number}", GiB, POOL).id) for number in range(4)]
    assert sorted(made) == [300, 301, 302, 303]
    with pytest.raises(LimitReached, match="ldev_range"):
        array.create_volume("v4", GiB, POOL)
    assert {volume.volume_id for volume in array.list_volumes()} == {"v0", "v1", "v2", "v3"}


def test_unnamed_leftovers_are_swept_only_where_the_ids_are_ours(lab):
    started = lab()
    started.admin("POST", "ldevs", {"ldevId": 400, "poolId": 0, "byteFormatCapacity": "1G"})
    assert not started.open().sweep()
    own = started.open(ldev_range=(300, 500))
    assert [item.kind for item in own.sweep(remove=True)] == ["unnamed"]
    assert not own.sweep()
    assert started.labels() == []


def test_a_taken_over_volume_is_not_made_a_second_time(lab):
    started = lab()
    started.admin("POST", "ldevs", {"ldevId": 77, "poolId": 0, "byteFormatCapacity": "1G"})
    array = started.open()
    assert array.manage_volume("v1", "00:00:4D").id == "77"
    for backend in (array, started.open()):
        assert backend.create_volume("v1", GiB, POOL).id == "77"
        with pytest.raises(AlreadyExists):
            backend.create_volume("v1", 2 * GiB, POOL)
    assert started.labels() == ["bdvl-v1"]


def test_labels_that_several_ldevs_bear_name_none_of_them(lab):
    """Labels are not unique: a volume is not taken over by chance."""
    started = lab()
    for ldev_id in (77, 78):
        started.admin("POST", "ldevs", {"ldevId": ldev_id, "poolId": 0, "byteFormatCapacity": "1G"})
        started.admin("PATCH", f"ldevs/{ldev_id}", {"label": "legacy"})
    array = started.open()
    with pytest.raises(InvalidRequest, match="00:00:4D, 00:00:4E"):
        array.manage_volume("v1", "legacy")
    assert array.manage_volume("v1", "00:00:4E").id == "78"
    assert array.manage_volume("v2", "legacy").id == "77"


def test_what_was_read_before_a_change_is_not_told_after_it(lab):
    array = lab().open()
    array.create_volume("v1", GiB, POOL)
    array.create_snapshot("s1", "v1")
    array.get_volume("v1")
    array.unmanage_volume("v1", "legacy")
    assert array.get_snapshot("s1").source_name == "legacy"
    array.find_volume("legacy")
    array.manage_volume("v2", "legacy")
    assert array.get_snapshot("s1").volume_id == "v2"


def test_data_reduction_is_told_to_be_deleted(lab):
    started = lab()
    array = started.open()
    made = array.create_volume("v1", GiB, POOL)
    started.admin("PATCH", f"ldevs/{made.id}", {"dataReductionMode": "compression"})
    array.delete_volume("v1")
    assert started.labels() == []


def test_wwns_are_unknown_until_the_array_has_shown_one(lab):
    started = lab()
    started.admin("DELETE", "luns/CL1-A,0,0")
    started.array.family._storage._had_path.clear()
    array = started.open()
    assert array.create_volume("v1", GiB, POOL).wwn is None
    export = array.export("v1", ISCSI, Protocol.ISCSI)
    assert export.wwn is not None
    assert array.get_volume("v1").wwn == export.wwn
    assert array.create_volume("v2", GiB, POOL).wwn not in {None, export.wwn}


# Hosts and LUNs


def test_luns_that_others_have_taken_are_passed_over(lab):
    started = lab()
    array = started.open()
    for name in ("v1", "v2"):
        array.create_volume(name, GiB, POOL)
    array.export("v1", FC, Protocol.FC)
    number = next(item["id"] for item in started.array.family.state()["groups"])
    body = {"portId": "CL2-A", "hostGroupNumber": int(number.partition(",")[2]), "ldevId": 0, "lun": 2}
    assert started.admin("POST", "luns", body)["state"] == "Succeeded"
    export = array.export("v2", FC, Protocol.FC)
    assert export.lun == 3
    assert [item["lun"] for item in started.array.family.state()["mappings"] if item["volume"] == "bdvl-v2"] == [3, 3]


def test_firmware_that_takes_one_port_a_time_is_noticed_once(lab, monkeypatch):
    monkeypatch.setitem(PROFILES, "VSP G370", replace(PROFILES["VSP G370"], port_ids=False))
    started = lab()
    array = started.open()
    for name in ("v1", "v2"):
        array.create_volume(name, GiB, POOL)
    array.export("v1", ISCSI, Protocol.ISCSI)
    started.count()
    array.export("v2", ISCSI, Protocol.ISCSI)
    assert started.sent()["POST /luns"] == 2


def test_a_groups_number_that_names_another_host_now_is_not_mapped_to(lab):
    started = lab()
    remembering, other = started.open(), started.open()
    remembering.create_volume("v1", GiB, POOL)
    remembering.create_volume("v2", GiB, POOL)
    remembering.export("v1", ISCSI, Protocol.ISCSI)
    other.unexport("v1", ISCSI, Protocol.ISCSI)
    other.remove_host(ISCSI)
    stranger = Host("cmp03", iqn="iqn.1994-05.org.example:cmp03")
    other.export("v1", stranger, Protocol.ISCSI)
    remembering.export("v2", ISCSI, Protocol.ISCSI)
    hosts = {item["volume"]: item["group"] for item in started.array.family.state()["mappings"]}
    assert (hosts["bdvl-v1"], hosts["bdvl-v2"]) == ("bdhl-cmp03", "bdhl-cmp01")


def test_what_was_mapped_before_is_not_taken_away_when_a_remembered_id_was_wrong(lab):
    """The id names another volume of the same host by now, at the very LUN that would have been chosen."""
    started = lab()
    stale, other = started.open(), started.open()
    made = stale.create_volume("v1", GiB, POOL)
    stale.create_volume("v0", GiB, POOL)
    stale.export("v0", FC, Protocol.FC)
    other.delete_volume("v1")
    started.admin("POST", "ldevs", {"ldevId": int(made.id), "poolId": 0, "byteFormatCapacity": "1G"})
    started.admin("PATCH", f"ldevs/{made.id}", {"label": "bdvl-v9"})
    kept = other.export("v9", FC, Protocol.FC)
    assert kept.lun == 2
    with pytest.raises(NotFound):
        stale.export("v1", FC, Protocol.FC)
    assert [export.lun for export in other.list_exports("v9")] == [2]
    assert len([item for item in started.array.family.state()["mappings"] if item["volume"] == "bdvl-v9"]) == 2


def test_an_initiator_of_another_group_is_not_taken_and_nothing_is_left(lab):
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    array.export("v1", FC, Protocol.FC)
    groups = started.array.family.state()["groups"]
    with pytest.raises(InUse, match="another host group"):
        array.export("v1", replace(FC, name="thief"), Protocol.FC)
    assert started.array.family.state()["groups"] == groups


def test_chap_comes_changes_and_goes(lab):
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    for chap in (Chap("u,1/2", "s" * 12), Chap("u2", "t" * 32), None):
        started.open().export("v1", replace(ISCSI, chap=chap), Protocol.ISCSI)
        (initiator,) = started.array.family.state()["initiators"]
        assert initiator["chap_user"] == (chap.username if chap else None)


# QoS, snapshots, moves


def test_limits_change_in_an_order_that_the_array_takes(lab):
    array = lab().open()
    array.create_volume("v1", GiB, POOL)
    for qos in (
        Qos(total_iops=1000, min_iops=500),
        Qos(total_iops=300, min_iops=200),
        Qos(total_iops=5000, min_iops=4000, total_bytes_sec=20 * MiB),
        Qos(min_iops=600),
        Qos(total_iops=700),
        Qos(),
    ):
        array.set_qos("v1", qos)
        assert array.get_qos("v1") == qos
    with pytest.raises(InvalidRequest, match="above"):
        array.set_qos("v1", Qos(total_iops=200, min_iops=200))


def test_limits_that_a_cut_off_creation_has_set_in_part_are_completed(lab):
    started = lab()
    array = started.open()
    wanted = Qos(total_iops=500, total_bytes_sec=10 * MiB)
    array.create_volume("v1", GiB, POOL, qos=Qos(total_iops=500))
    array.create_volume("v1", GiB, POOL, qos=wanted)
    assert array.get_qos("v1") == wanted
    with pytest.raises(AlreadyExists, match="qos"):
        array.create_volume("v1", GiB, POOL, qos=Qos(total_iops=500))


def test_models_without_limits_say_so(lab):
    array = lab("VSP G200").open()
    assert array.capabilities.qos is None
    with pytest.raises(NotSupported):
        array.create_volume("v1", GiB, POOL, qos=Qos(total_iops=500))


def test_snapshots_that_hash_to_one_number_both_stand(lab, monkeypatch):
    monkeypatch.setattr("vendors.hitachi.snapshots._mus", lambda _: iter((3, 4, 5)))
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    taken = [array.create_snapshot(name, "v1").id.partition(",")[2] for name in ("s1", "s2", "s3")]
    assert taken == ["3", "4", "5"]
    assert {snapshot.snapshot_id for snapshot in array.list_snapshots("v1")} == {"s1", "s2", "s3"}


def test_a_missing_licence_is_named(lab):
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    started.array.family.set_licence("Thin Image", usable=False)
    for call in (lambda: array.create_snapshot("s1", "v1"), lambda: array.clone_volume("c1", "v1")):
        with pytest.raises(LicenceMissing):
            call()
    assert started.labels() == ["bdvl-v1"]


def test_a_snapshot_that_a_clone_reads_is_kept(lab):
    started = lab(copy_seconds=1.0)
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    array.create_snapshot("s1", "v1")
    copying = threading.Thread(target=lambda: array.create_volume_from_snapshot("c1", "s1", pool=POOL))
    copying.start()
    time.sleep(0.5)
    with pytest.raises(InUse, match="copied"):
        array.delete_snapshot("s1")
    copying.join()
    array.delete_snapshot("s1")
    array.delete_volume("c1")
    array.delete_volume("v1")
    assert started.labels() == []


def test_a_volume_with_snapshots_is_not_moved(lab):
    array = lab().open()
    array.create_volume("v1", GiB, POOL)
    array.create_snapshot("s1", "v1")
    with pytest.raises(InUse, match="snapshots"):
        array.retype_volume("v1", pool="pool_b")


def test_a_busy_server_has_done_nothing(lab):
    started = lab()
    driver = started.open().driver
    driver.pools()
    started.array.faults.add({"kind": "busy", "operation": "DELETE /ldevs/{id}"})
    volume = started.open().create_volume("v1", GiB, POOL)
    with pytest.raises(Busy, match="come back later"):
        driver.delete_volume(volume)
