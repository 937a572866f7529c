"""Exports: one LUN id in all pairs of initiator and target, whichever ports there are."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.macrosan import POOL
from blockdrivers.errors import InUse, InvalidRequest, LimitReached, VendorError
from blockdrivers.model import GiB, Host, Protocol
from tests.integration.macrosan.lab import FC, ISCSI


def test_a_lun_has_one_id_at_every_port(started, backend):
    """The lowest id that is free in all pairs of the host."""
    backend.create_volume("theirs", GiB, POOL)
    backend.create_volume("v", GiB, POOL)
    backend.export("theirs", ISCSI, Protocol.ISCSI)
    first, second = (mapping["target"] for mapping in started.state("mappings"))
    started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-theirs", initr_wwn=ISCSI.iqn, tgt_port_name=second)
    export = backend.export("v", ISCSI, Protocol.ISCSI)
    assert {(item["target"], item["lun"]) for item in started.state("mappings") if item["object"] == "bdvl-v"} == {
        (first, 2),
        (second, 2),
    }
    assert export.lun == 2
    assert [target.iqn for target in export.targets] == [portal["iqn"] for portal in started.array.ready["iscsi"]]


def test_a_path_that_is_missing_is_added_under_the_id_that_the_lun_has(started, backend):
    backend.create_volume("v", GiB, POOL)
    whole = backend.export("v", ISCSI, Protocol.ISCSI)
    lost = started.state("mappings")[1]["target"]
    started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-v", initr_wwn=ISCSI.iqn, tgt_port_name=lost)
    assert backend.export("v", ISCSI, Protocol.ISCSI) == whole
    assert len(started.state("mappings")) == 2


def test_an_id_that_another_lun_has_at_a_missing_path_is_told(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, GiB, POOL)
    backend.export("v", ISCSI, Protocol.ISCSI)
    lost = started.state("mappings")[1]
    pair = {"initr_wwn": ISCSI.iqn, "tgt_port_name": lost["target"]}
    started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-v", **pair)
    started.tell("POST", "itl", attr="maplun", lun_name="bdvl-w", lun_id=lost["lun"], **pair)
    with pytest.raises(VendorError, match="which another LUN has"):
        started.open().export("v", ISCSI, Protocol.ISCSI)
    started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-w", **pair)
    started.tell("POST", "itl", attr="maplun", lun_name="bdvl-v", lun_id=9, **pair)
    with pytest.raises(VendorError, match=r"under the ids \[1, 9\]"):
        started.open().export("v", ISCSI, Protocol.ISCSI)
    backend.unexport("v", ISCSI, Protocol.ISCSI)
    assert backend.export("v", ISCSI, Protocol.ISCSI).lun == 1


def test_an_id_that_is_given_away_meanwhile_is_chosen_again(started, backend):
    for name in ("v", "w", "x"):
        backend.create_volume(name, GiB, POOL)
    backend.export("x", ISCSI, Protocol.ISCSI)
    other = started.open()
    started.before("POST /itl.maplun", lambda: other.export("w", ISCSI, Protocol.ISCSI))
    assert backend.export("v", ISCSI, Protocol.ISCSI).lun == 3


def test_first_exports_of_one_host_at_once(started):
    backends = [started.open() for _ in range(4)]
    for number, backend in enumerate(backends):
        backend.create_volume(f"v{number}", GiB, POOL)
    barrier = threading.Barrier(4)

    def export(pair):
        barrier.wait()
        return pair[1].export(f"v{pair[0]}", FC, Protocol.FC).lun

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(export, enumerate(backends))) == [1, 2, 3, 4]
    assert len(started.state("mappings")) == 8


def test_what_is_known_of_a_host_is_found_out_again_when_it_is_wrong(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, GiB, POOL)
    backend.export("v", ISCSI, Protocol.ISCSI)
    for target in [item["target"] for item in started.state("mappings")]:
        started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-v", initr_wwn=ISCSI.iqn, tgt_port_name=target)
        started.tell("DELETE", "target", tgt_name=target)
    assert backend.export("w", ISCSI, Protocol.ISCSI).lun == 1
    assert len(started.state("mappings")) == 2


def test_ports_without_a_target_get_one(lab):
    started = lab(targets_made=False)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    assert not any(port.up for port in backend.ports())
    assert len(backend.export("v", ISCSI, Protocol.ISCSI).targets) == 2
    assert len(backend.export("v", FC, Protocol.FC).wwpns) == 2


def test_only_the_ports_that_are_wanted(started):
    port = started.array.ready["ports"]["iscsi"][1]
    backend = started.open(iscsi_ports=[port], fc_ports=["FC-2:1:0"])
    backend.create_volume("v", GiB, POOL)
    assert [target.iqn for target in backend.export("v", ISCSI, Protocol.ISCSI).targets] == [
        started.array.ready["iscsi"][1]["iqn"]
    ]
    assert backend.export("v", FC, Protocol.FC).paths == {
        FC.wwpns[0]: (),
        FC.wwpns[1]: (started.array.ready["fc"][1],),
    }
    with pytest.raises(InvalidRequest, match="no IP-SAN port eth-9:0:0"):
        started.open(iscsi_ports=["eth-9:0:0"]).export("v", ISCSI, Protocol.ISCSI)


def test_through_a_switch_every_initiator_may_use_every_port_that_is_up(lab):
    started = lab(switched=True)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    export = backend.export("v", FC, Protocol.FC)
    assert export.paths == dict.fromkeys(FC.wwpns, tuple(sorted(started.array.ready["fc"])))
    assert list(backend.initiators()) == []
    backend.unexport("v", FC, Protocol.FC)
    assert started.state("mappings") == []


def test_a_host_that_is_plugged_in_nowhere_is_refused(started, backend):
    backend.create_volume("v", GiB, POOL)
    with pytest.raises(InvalidRequest, match="check cabling and zoning"):
        backend.export("v", Host("far", wwpns=("21000024ff0000f9",)), Protocol.FC)
    assert started.state("mappings") == []


def test_an_initiator_in_somebody_else_s_client_may_stay_there(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.tell("POST", "client", name="theirs")
    started.tell("POST", "initiator", initr_wwn=ISCSI.iqn, alias="theirs", type="iscsi")
    started.tell("PUT", "client", attr="mapinitiator", initr_wwn=ISCSI.iqn, client_name="theirs")
    backend.export("v", ISCSI, Protocol.ISCSI)
    assert [item["host"] for item in started.state("initiators")] == ["theirs"]
    backend.unexport("v", ISCSI, Protocol.ISCSI)
    backend.remove_host(ISCSI)


def test_every_lun_id_given_away(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.saying("GET /initiator.it_unused_id_list", [])
    with pytest.raises(LimitReached, match="No LUN id up to 510"):
        backend.export("v", ISCSI, Protocol.ISCSI)


def test_a_volume_is_taken_away_from_the_host_that_is_named(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.export("v", ISCSI, Protocol.ISCSI)
    backend.export("v", FC, Protocol.FC)
    for _ in range(2):
        backend.unexport("v", ISCSI, Protocol.ISCSI)
        assert {item["initiator"] for item in started.state("mappings")} == set(FC.wwpns)
    with pytest.raises(InUse, match=r"exported to 21:00:00:24:ff:00:00:01, 21"):
        backend.delete_volume("v")
    backend.delete_volume("v", force=True)
    assert (started.luns(), started.state("mappings")) == ([], [])
