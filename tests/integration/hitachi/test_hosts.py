"""Host groups and LUNs, among those of others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.hitachi import POOL
from blockdrivers.errors import InUse, LimitReached, NotFound
from blockdrivers.model import Chap, GiB, Host, Protocol
from tests.integration.hitachi.lab import FC, ISCSI
from vendors.hitachi.simulator.profiles import PROFILES


def test_a_host_that_a_port_has_no_room_for_leaves_nothing(lab):
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    before = started.state("groups")
    started.array.faults.add({"kind": "answer", "code": "B957-4184", "operation": "POST /host-wwns", "at": 2})
    with pytest.raises(LimitReached, match="initiators"):
        array.export("v1", FC, Protocol.FC)
    assert started.state("groups") == before
    array.export("v1", FC, Protocol.FC)


def test_luns_that_others_have_taken_are_passed_over(lab):
    started = lab()
    array = started.open()
    for name in ("v1", "v2"):
        array.create_volume(name, GiB, POOL)
    array.export("v1", FC, Protocol.FC)
    number = next(item["id"] for item in started.state("groups"))
    body = {"portId": "CL2-A", "hostGroupNumber": int(number.partition(",")[2]), "ldevId": 0, "lun": 2}
    assert started.admin("POST", "luns", body)["state"] == "Succeeded"
    export = array.export("v2", FC, Protocol.FC)
    assert export.lun == 3
    assert [item["lun"] for item in started.state("mappings") if item["volume"] == "bdvl-v2"] == [3, 3]


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
    hosts = {item["volume"]: item["group"] for item in started.state("mappings")}
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
    assert len([item for item in started.state("mappings") if item["volume"] == "bdvl-v9"]) == 2


def test_an_initiator_of_another_group_is_not_taken_and_nothing_is_left(lab):
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    array.export("v1", FC, Protocol.FC)
    groups = started.state("groups")
    with pytest.raises(InUse, match="another host group"):
        array.export("v1", replace(FC, name="thief"), Protocol.FC)
    assert started.state("groups") == groups


def test_chap_comes_changes_and_goes(lab):
    started = lab()
    array = started.open()
    array.create_volume("v1", GiB, POOL)
    for chap in (Chap("u,1/2", "s" * 12), Chap("u2", "t" * 32), None):
        started.open().export("v1", replace(ISCSI, chap=chap), Protocol.ISCSI)
        (initiator,) = started.state("initiators")
        assert initiator["chap_user"] == (chap.username if chap else None)
