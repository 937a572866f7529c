"""LUNs and pools: protocol sheet, sections 2, 3.2 and 3.3."""

from __future__ import annotations

import json

import pytest

from tests.simulation.conftest import DORADO_V3, GIB_SECTORS, V3, V5, V6
from vendors.huawei.simulator import codes

GIB = 1024**3


def test_ids_are_reused_and_shared_with_snapshots_but_wwns_are_not(wire):
    w = wire(V5)
    first, second = w.lun("a"), w.lun("b")
    snapshot = w.snapshot(second)
    assert (first, second, snapshot) == ("0", "1", "2")
    wwn = w.ok("GET", f"/lun/{first}")["WWN"]
    w.ok("DELETE", f"/lun/{first}")
    assert w.snapshot(second, "again") == "0"
    third = w.lun("c")
    assert third == "3"
    seen = {wwn, *(item["WWN"] for item in w.ok("GET", "/lun")), *(item["WWN"] for item in w.ok("GET", "/snapshot"))}
    assert len(seen) == 5


@pytest.mark.parametrize(("model", "longest"), [(V3, 31), (V5, 31), (DORADO_V3, 31), (V6, 255)])
def test_names(wire, model, longest):
    w = wire(model)

    def create(name):
        return w.code("POST", "/lun", {"NAME": name, "PARENTID": "0", "CAPACITY": 8, "ALLOCTYPE": 1})

    assert create("n" * longest) == 0
    assert create("n" * (longest + 1)) == codes.NAME_LENGTH
    assert create("") == codes.NAME_LENGTH
    assert create("a b") == create("a/b") == create("é") == codes.NAME_CHARACTER
    assert create("卷") == (codes.NAME_CHARACTER if model in {V3, DORADO_V3} else 0)
    assert create("Same") == create("same") == 0
    assert create("same") == codes.NAME_EXISTS
    assert w.code("POST", "/host", {"NAME": "h" * 32}) == codes.NAME_LENGTH


@pytest.mark.parametrize(("model", "code"), [(V3, 0), (V5, 0), (DORADO_V3, codes.BAD_PARAMETER), (V6, codes.BAD_PARAMETER)])
def test_only_hybrid_arrays_have_thick_luns(wire, model, code):
    given = {"NAME": "v", "PARENTID": "0", "CAPACITY": GIB_SECTORS, "ALLOCTYPE": "0"}
    assert wire(model).code("POST", "/lun", given) == code


@pytest.mark.parametrize(
    "wrong",
    [
        {"CAPACITY": 0},
        {"CAPACITY": -1},
        {"CAPACITY": "1.5"},
        {"CAPACITY": None},
        {"ALLOCTYPE": 2},
        {"IOPRIORITY": "4"},
        {"WRITEPOLICY": 0},
        {"PREFETCHPOLICY": 9},
        {"DESCRIPTION": "d" * 256},
    ],
)
def test_what_a_lun_cannot_be(wire, wrong):
    w = wire(V5)
    given = {"NAME": "v", "PARENTID": "0", "CAPACITY": GIB_SECTORS, "ALLOCTYPE": 1} | wrong
    assert w.code("POST", "/lun", given) == codes.BAD_PARAMETER
    assert w.array.state()["volumes"] == []


def test_capacity_is_accounted(wire):
    w = wire(V5, pools=2, pool_bytes=10 * GIB)
    thick = w.lun("thick", 6, ALLOCTYPE=0)
    w.lun("thin", 100)
    pool, other = w.ok("GET", "/storagepool")
    assert pool["LUNCONFIGEDCAPACITY"] == str(106 * GIB_SECTORS)
    assert 3 * GIB_SECTORS < int(pool["USERFREECAPACITY"]) < 4 * GIB_SECTORS
    assert other["USERFREECAPACITY"] == other["USERTOTALCAPACITY"] == str(10 * GIB_SECTORS)
    too_much = {"NAME": "w", "PARENTID": "0", "CAPACITY": 5 * GIB_SECTORS, "ALLOCTYPE": 0}
    assert w.code("POST", "/lun", too_much) == codes.OUT_OF_SPACE
    assert w.code("PUT", "/lun/expand", {"ID": thick, "CAPACITY": 11 * GIB_SECTORS}) == codes.OUT_OF_SPACE
    assert w.ok("GET", f"/lun/{thick}")["CAPACITY"] == str(6 * GIB_SECTORS)


def test_a_full_pool(wire):
    w = wire(V5)
    lun = w.lun()
    inactive = w.snapshot(lun, active=False)
    w.array.set_full(True)
    assert w.ok("GET", "/storagepool/0")["USERFREECAPACITY"] == "0"
    assert w.code("POST", "/lun", {"NAME": "x", "PARENTID": "0", "CAPACITY": 8, "ALLOCTYPE": 1}) == codes.OUT_OF_SPACE
    assert w.code("PUT", "/lun/expand", {"ID": lun, "CAPACITY": 2 * GIB_SECTORS}) == codes.OUT_OF_SPACE
    assert w.code("POST", "/snapshot/activate", {"SNAPSHOTLIST": [inactive]}) == codes.OUT_OF_SPACE
    w.array.set_full(False)
    assert w.code("POST", "/snapshot/activate", {"SNAPSHOTLIST": [inactive]}) == 0


def test_a_lun_only_grows(wire):
    w = wire(V5)
    lun = w.lun(gib=2)
    for size in (2, 1, 0):
        assert w.code("PUT", "/lun/expand", {"ID": lun, "CAPACITY": size * GIB_SECTORS}) == codes.BAD_PARAMETER
    grown = w.ok("PUT", "/lun/expand", {"TYPE": 11, "ID": lun, "CAPACITY": str(3 * GIB_SECTORS)})
    assert grown["CAPACITY"] == str(3 * GIB_SECTORS)
    assert w.plane.sizes[grown["WWN"]] == 3 * GIB
    assert w.code("PUT", "/lun/expand", {"ID": "9", "CAPACITY": 9}) == codes.NO_LUN


@pytest.mark.parametrize(("model", "own_name"), [(V5, 0), (V6, codes.NAME_EXISTS)])
def test_a_rename_answers_with_the_lun(wire, model, own_name):
    w = wire(model)
    lun = w.lun("v")
    w.lun("w")
    assert w.ok("PUT", f"/lun/{lun}", {"NAME": "v2", "DESCRIPTION": "d"})["NAME"] == "v2"
    assert w.code("PUT", f"/lun/{lun}", {"NAME": "v2"}) == own_name
    assert w.code("PUT", f"/lun/{lun}", {"NAME": "w"}) == codes.NAME_EXISTS
    assert w.ok("PUT", f"/lun/{lun}", {"DATATRANSFERPOLICY": None})["DATATRANSFERPOLICY"] == "0"
    assert w.ok("PUT", f"/lun/{lun}", {"ID": lun, "IOPRIORITY": "3"})["IOPRIORITY"] == "3"
    assert w.ok("GET", f"/lun/{lun}")["DESCRIPTION"] == "d"


def test_a_lun_being_initialised_is_not_usable(wire):
    w = wire(V6, initialising_seconds=5)
    lun, host = w.lun(), w.host()
    assert w.ok("GET", f"/lun/{lun}")["RUNNINGSTATUS"] == "53"
    group = w.group("lungroup")
    for method, path, body in (
        ("POST", "/snapshot", {"NAME": "s", "PARENTID": lun}),
        ("PUT", "/lun/expand", {"ID": lun, "CAPACITY": 2 * GIB_SECTORS}),
        ("POST", "/lungroup/associate", {"ID": group, "ASSOCIATEOBJTYPE": "11", "ASSOCIATEOBJID": lun}),
        ("POST", "/mapping", {"hostId": host, "lunId": lun}),
        ("POST", "/lun", {"NAME": "c", "ISCLONE": True, "CLONESOURCEID": lun}),
    ):
        assert w.code(method, path, body) == codes.LUN_INITIALISING
    w.clock.advance(5)
    assert w.ok("GET", f"/lun/{lun}")["RUNNINGSTATUS"] == "27"
    w.snapshot(lun)


def test_what_hangs_on_a_lun_keeps_it(wire):
    w = wire(V5)
    lun = w.lun()
    snapshot = w.snapshot(lun)
    assert w.code("DELETE", f"/lun/{lun}") == codes.LUN_HAS_SNAPSHOTS
    assert json.loads(w.ok("GET", f"/lun/{lun}")["SNAPSHOTIDS"]) == [snapshot]
    w.ok("PUT", "/snapshot/stop", {"ID": snapshot})
    w.ok("DELETE", f"/snapshot/{snapshot}")
    policy = w.ok("POST", "/ioclass", {"NAME": "q", "LUNLIST": [lun], "MAXIOPS": "100"})["ID"]
    assert w.code("DELETE", f"/lun/{lun}") == codes.LUN_IN_POLICY
    w.ok("PUT", f"/ioclass/{policy}", {"LUNLIST": []})
    group = w.group("lungroup")
    w.add_lun(group, lun)
    assert w.ok("GET", f"/lun/{lun}")["ISADD2LUNGROUP"] == "true"
    assert w.code("DELETE", f"/lun/{lun}") == codes.LUN_IN_USE
    w.ok("DELETE", f"/lungroup/associate?ID={group}&ASSOCIATEOBJTYPE=11&ASSOCIATEOBJID={lun}")
    w.ok("DELETE", f"/lun/{lun}", {"TYPE": "11", "ID": lun})
    assert w.code("DELETE", f"/lun/{lun}") == codes.NO_LUN
    assert w.plane.bytes == {}


def test_a_directly_mapped_lun_is_kept(wire):
    w = wire(V6)
    lun, host = w.lun(), w.host()
    w.ok("POST", "/mapping", {"hostId": host, "lunId": lun})
    assert w.code("DELETE", f"/lun/{lun}?isDelayDelete=false") == codes.LUN_IN_USE
    assert w.code("DELETE", f"/host/{host}") == codes.OBJECT_IN_USE
    w.ok("DELETE", "/mapping", {"hostId": host, "lunId": lun})
    w.ok("DELETE", f"/lun/{lun}?isDelayDelete=false")
    w.ok("DELETE", f"/host/{host}")
