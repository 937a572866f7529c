"""Snapshots, LUN copies, clone pairs, fast clones and migrations: protocol sheet, sections 3.4 and 3.5."""

from __future__ import annotations

import json

import pytest

from tests.simulation.conftest import DORADO_V3, GIB_SECTORS, V3, V5, V6
from vendors.huawei.simulator import codes

CLASSIC = [V3, V5, DORADO_V3]


def status(w, path):
    return w.ok("GET", path)["RUNNINGSTATUS"]


def write(w, path, content):
    w.plane.bytes[w.ok("GET", path)["WWN"]] = content


def read(w, path):
    return w.plane.bytes[w.ok("GET", path)["WWN"]]


def lun_copy(w, source, target, name="lc"):
    members = {key: f"INVALID;{item};INVALID;INVALID;INVALID" for key, item in (("SOURCELUN", source), ("TARGETLUN", target))}
    return {"NAME": name, "COPYSPEED": "2", "LUNCOPYTYPE": "1", **members}


def test_a_snapshot_gets_its_moment_when_it_is_activated(wire):
    w = wire(V5)
    lun = w.lun()
    snapshot = w.snapshot(lun, active=False)
    assert status(w, f"/snapshot/{snapshot}") == "45"
    write(w, f"/lun/{lun}", "one")
    w.ok("POST", "/snapshot/activate", {"SNAPSHOTLIST": [snapshot]})
    write(w, f"/lun/{lun}", "two")
    assert (status(w, f"/snapshot/{snapshot}"), read(w, f"/snapshot/{snapshot}")) == ("43", "one")
    w.ok("PUT", "/snapshot/reactive", {"ID": snapshot})
    assert read(w, f"/snapshot/{snapshot}") == "two"


def test_activation_of_several_is_all_or_nothing(wire):
    w = wire(V5)
    first, second = w.lun("a"), w.lun("b")
    snapshots = [w.snapshot(lun, f"s{lun}", active=False) for lun in (first, second)]
    twin = w.snapshot(first, "twin", active=False)
    activate = lambda ids: w.code("POST", "/snapshot/activate", {"SNAPSHOTLIST": ids})  # noqa: E731
    assert activate([*snapshots, twin]) == codes.BAD_PARAMETER
    assert activate([*snapshots, "99"]) == codes.NO_SNAPSHOT
    assert activate([]) == codes.BAD_PARAMETER
    assert {status(w, f"/snapshot/{item}") for item in (*snapshots, twin)} == {"45"}
    assert activate(snapshots) == 0
    assert activate([snapshots[0]]) == codes.BAD_PARAMETER


@pytest.mark.parametrize(("model", "code"), [(V3, codes.SNAPSHOT_ACTIVE), (DORADO_V3, codes.SNAPSHOT_ACTIVE), (V6, 0)])
def test_deletion_of_an_active_snapshot(wire, model, code):
    w = wire(model)
    snapshot = w.snapshot(w.lun())
    assert w.code("DELETE", f"/snapshot/{snapshot}") == code
    if code:
        w.ok("PUT", "/snapshot/stop", {"ID": snapshot})
        assert w.code("PUT", "/snapshot/stop", {"ID": snapshot}) == codes.SNAPSHOT_NOT_ACTIVE
        w.ok("DELETE", f"/snapshot/{snapshot}")
    assert w.code("DELETE", f"/snapshot/{snapshot}") == codes.NO_SNAPSHOT
    assert w.code("PUT", "/snapshot/stop", {"ID": snapshot}) == codes.NO_SNAPSHOT


def test_a_rollback_takes_its_time(wire):
    w = wire(V5, copy_seconds=10)
    lun = w.lun()
    write(w, f"/lun/{lun}", "old")
    snapshot, other = w.snapshot(lun), w.snapshot(lun, "t")
    write(w, f"/lun/{lun}", "new")
    roll = {"ID": snapshot, "ROLLBACKSPEED": "4"}
    assert w.code("PUT", "/snapshot/rollback", roll | {"ROLLBACKSPEED": "5"}) == codes.BAD_PARAMETER
    w.ok("PUT", "/snapshot/rollback", roll)
    assert status(w, f"/snapshot/{snapshot}") == "44"
    assert w.code("PUT", "/snapshot/rollback", roll | {"ID": other}) == codes.REVERTING
    assert w.code("PUT", "/snapshot/stop", {"ID": snapshot}) == codes.SNAPSHOT_IN_USE
    assert w.code("DELETE", f"/snapshot/{snapshot}") == codes.SNAPSHOT_IN_USE
    assert w.code("PUT", "/lun/expand", {"ID": lun, "CAPACITY": 2 * GIB_SECTORS}) == codes.LUN_IN_USE
    late = w.snapshot(lun, "late", active=False)
    assert w.code("POST", "/snapshot/activate", {"SNAPSHOTLIST": [late]}) == codes.REVERTING
    w.clock.advance(10)
    assert (status(w, f"/snapshot/{snapshot}"), read(w, f"/lun/{lun}")) == ("43", "old")
    w.ok("PUT", "/lun/expand", {"ID": lun, "CAPACITY": 2 * GIB_SECTORS})
    assert w.code("PUT", "/snapshot/rollback", roll) == codes.SIZES_DIFFER
    w.ok("PUT", "/snapshot/stop", {"ID": other})
    assert w.code("PUT", "/snapshot/rollback", roll | {"ID": other}) == codes.SNAPSHOT_NOT_ACTIVE


def test_a_copy_of_a_snapshot_holds_the_snapshot_s_bytes(wire):
    w = wire(V5)
    lun = w.lun()
    write(w, f"/lun/{lun}", "then")
    snapshot = w.snapshot(lun)
    write(w, f"/lun/{lun}", "now")
    copy = w.ok("POST", "/snapshot/createcopy", {"ID": snapshot, "NAME": "c"})["ID"]
    assert status(w, f"/snapshot/{copy}") == "45"
    w.ok("POST", "/snapshot/activate", {"SNAPSHOTLIST": [copy]})
    assert read(w, f"/snapshot/{copy}") == "then"


def test_snapshots_need_a_licence_with_the_text_that_clients_look_for(wire):
    w = wire(V5)
    lun = w.lun()
    w.array.set_licence("HyperSnap", False)
    refused = w.envelope("POST", "/snapshot", {"NAME": "s", "PARENTID": lun})["error"]
    assert refused["description"] == "The snapshot license file is unavailable."
    assert {"HyperSnap": 0} in w.ok("GET", "/license/feature")


@pytest.mark.parametrize("model", CLASSIC)
def test_a_lun_copy(wire, model):
    w = wire(model, copy_seconds=10)
    lun = w.lun()
    write(w, f"/lun/{lun}", "content")
    snapshot, target = w.snapshot(lun), w.lun("t", 3)
    job = w.ok("POST", "/luncopy", lun_copy(w, snapshot, target))["ID"]
    assert status(w, f"/LUNCOPY/{job}") == "36"
    assert json.loads(w.ok("GET", f"/lun/{target}")["LUNCOPYIDS"]) == [job]
    w.ok("PUT", "/LUNCOPY/start", {"TYPE": "219", "ID": job})
    assert w.code("PUT", "/LUNCOPY/start", {"ID": job}) == codes.COPY_RUNNING
    (listed,) = w.ok("GET", "/LUNCOPY?range=[0-1023]")
    assert (listed["RUNNINGSTATUS"], listed["HEALTHSTATUS"]) == ("39", "1")
    for method, path, body, code in (
        ("DELETE", f"/lun/{target}", None, codes.LUN_IN_USE),
        ("DELETE", f"/lun/{lun}", None, codes.LUN_HAS_SNAPSHOTS),
        ("PUT", "/snapshot/stop", {"ID": snapshot}, codes.SNAPSHOT_IN_USE),
        ("DELETE", f"/snapshot/{snapshot}", None, codes.SNAPSHOT_IN_USE),
        ("DELETE", f"/LUNCOPY/{job}", None, codes.COPY_RUNNING),
    ):
        assert w.code(method, path, body) == code
    w.clock.advance(10)
    assert status(w, f"/LUNCOPY/{job}") == "40"
    assert w.code("PUT", "/LUNCOPY/stop", {"ID": job}) == codes.COPY_COMPLETE
    w.ok("DELETE", f"/LUNCOPY/{job}")
    assert w.code("DELETE", f"/LUNCOPY/{job}") == codes.NO_LUN_COPY
    assert read(w, f"/lun/{target}") == "content"


def test_what_a_lun_copy_cannot_be(wire):
    w = wire(V5)
    large, small = w.lun("large", 2), w.lun("small")
    inactive = w.snapshot(small, active=False)
    assert w.code("POST", "/luncopy", lun_copy(w, large, small)) == codes.BAD_PARAMETER
    assert w.code("POST", "/luncopy", lun_copy(w, small, small)) == codes.BAD_PARAMETER
    assert w.code("POST", "/luncopy", lun_copy(w, inactive, large)) == codes.SNAPSHOT_NOT_ACTIVE
    assert w.code("POST", "/luncopy", lun_copy(w, "77", large)) == codes.NO_LUN
    assert w.code("POST", "/luncopy", lun_copy(w, small, large) | {"COPYSPEED": "9"}) == codes.BAD_PARAMETER
    w.array.set_licence("HyperCopy", False)
    assert w.code("POST", "/luncopy", lun_copy(w, small, large)) == codes.NO_LICENCE
    assert w.code("GET", "/luncopy/count") == codes.NO_LICENCE
    assert w.array.state()["copies"] == []


def test_a_clone_pair(wire):
    w = wire(V6, copy_seconds=10)
    lun = w.lun()
    write(w, f"/lun/{lun}", "content")
    snapshot, larger, target = w.snapshot(lun), w.lun("l", 2), w.lun("t")
    relation = {"copyRate": "2", "sourceID": snapshot, "targetID": target, "isNeedSynchronize": "0"}
    assert w.code("POST", "/clonepair/relation", relation | {"targetID": larger}) == codes.SIZES_DIFFER
    pair = w.ok("POST", "/clonepair/relation", relation)["ID"]
    assert w.code("PUT", "/clonepair/synchronize", {"ID": pair, "copyAction": 2}) == codes.NO_SYNCHRONISATION
    w.clock.advance(100)
    assert w.ok("GET", f"/clonepair/{pair}")["syncStatus"] == "1"
    w.ok("PUT", "/clonepair/synchronize", {"ID": pair, "copyAction": 0})
    assert w.code("PUT", "/clonepair/synchronize", {"ID": pair, "copyAction": 0}) == codes.COPY_RUNNING
    assert w.code("PUT", "/lun/expand", {"ID": target, "CAPACITY": 2 * GIB_SECTORS}) == codes.LUN_IN_USE
    w.clock.advance(10)
    assert (w.ok("GET", f"/clonepair/{pair}")["syncStatus"], len(w.ok("GET", "/clonepair"))) == ("2", 1)
    assert w.code("PUT", "/clonepair/synchronize", {"ID": pair, "copyAction": 0}) == codes.SYNCHRONISED
    assert w.code("PUT", "/lun/expand", {"ID": target, "CAPACITY": 2 * GIB_SECTORS}) == codes.LUN_IN_USE
    w.ok("DELETE", "/clonepair", {"ID": pair, "isDeleteDstLun": False})
    assert w.code("DELETE", f"/clonepair/{pair}") == codes.NO_CLONE_PAIR
    w.ok("PUT", "/lun/expand", {"ID": target, "CAPACITY": 2 * GIB_SECTORS})
    assert read(w, f"/lun/{target}") == "content"


def test_a_pair_is_not_deleted_with_a_target_that_is_used(wire):
    w = wire(V6, copy_seconds=0)
    source, target = w.lun("s"), w.lun("t")
    relation = {"copyRate": 2, "sourceID": source, "targetID": target, "isNeedSynchronize": "1"}
    pair = w.ok("POST", "/clonepair/relation", relation)["ID"]
    assert w.ok("GET", f"/clonepair/{pair}")["syncStatus"] == "2"
    group = w.group("lungroup")
    w.add_lun(group, target)
    assert w.code("DELETE", f"/clonepair/{pair}", {"isDeleteDstLun": True}) == codes.LUN_IN_USE
    w.ok("DELETE", f"/lungroup/associate?ID={group}&ASSOCIATEOBJTYPE=11&ASSOCIATEOBJID={target}")
    w.ok("DELETE", f"/clonepair/{pair}", {"isDeleteDstLun": True})
    assert w.code("GET", f"/lun/{target}") == codes.NO_LUN


@pytest.mark.parametrize("model", [DORADO_V3, V6])
def test_a_fast_clone_is_linked_until_its_split_has_ended(wire, model):
    w = wire(model, copy_seconds=10)
    lun = w.lun(gib=2)
    write(w, f"/lun/{lun}", "content")
    snapshot = w.snapshot(lun)
    clone = w.ok("POST", "/lun", {"NAME": "c", "ISCLONE": True, "CLONESOURCEID": snapshot})
    assert (clone["ISCLONE"], clone["CAPACITY"]) == ("true", str(2 * GIB_SECTORS))
    linked = lambda: w.ok("GET", f"/lun/{clone['ID']}")["ISCLONE"]  # noqa: E731
    split = {"ID": clone["ID"], "SPLITACTION": 1, "ISCLONE": True, "SPLITSPEED": 4}
    assert w.code("PUT", "/snapshot/stop", {"ID": snapshot}) == codes.SNAPSHOT_IN_USE
    w.ok("PUT", "/lunclone_split_switch", split)
    assert w.code("PUT", "/lunclone_split_switch", split) == codes.COPY_RUNNING
    w.ok("PUT", "/lunclone_split_switch", split | {"SPLITACTION": 2})
    w.clock.advance(20)
    assert linked() == "true"
    w.ok("PUT", "/lunclone_split_switch", split)
    assert linked() == "true"
    assert w.code("DELETE", f"/lun/{clone['ID']}") == codes.LUN_IN_USE
    w.clock.advance(10)
    assert linked() == "false"
    w.ok("PUT", "/snapshot/stop", {"ID": snapshot})
    assert read(w, f"/lun/{clone['ID']}") == "content"
    w.ok("DELETE", f"/lun/{clone['ID']}")


def test_the_source_lun_of_a_linked_clone_is_kept(wire):
    w = wire(V6)
    lun = w.lun()
    clone = w.ok("POST", "/lun", {"NAME": "c", "ISCLONE": True, "CLONESOURCEID": lun})["ID"]
    assert w.code("DELETE", f"/lun/{lun}") == codes.LUN_IN_USE
    w.ok("DELETE", f"/lun/{clone}")
    w.ok("DELETE", f"/lun/{lun}")


def test_hybrid_arrays_have_no_fast_clones(wire):
    w = wire(V5)
    assert w.code("POST", "/lun", {"NAME": "c", "ISCLONE": True, "CLONESOURCEID": w.lun()}) == codes.NOT_SUPPORTED
    assert w.code("PUT", "/lunclone_split_switch", {"ID": "0", "SPLITACTION": 1}) == codes.NOT_SUPPORTED


@pytest.mark.parametrize("model", [V5, V6])
def test_a_migration_exchanges_pools_and_bytes_and_leaves_id_and_wwn(wire, model):
    w = wire(model, copy_seconds=10)
    for number in range(3):
        w.lun(f"filler{number}")
    lun, target = w.lun("v"), w.lun("t", pool="1")
    write(w, f"/lun/{lun}", "content")
    before = w.ok("GET", f"/lun/{lun}")
    body = {"TYPE": "253", "PARENTID": lun, "TARGETLUNID": target, "SPEED": 2, "WORKMODE": 0}
    w.ok("POST", "/LUN_MIGRATION", body)
    assert json.loads(w.ok("GET", f"/lun/{lun}")["HASRSSOBJECT"])["LunMigration"] == "TRUE"
    (item,) = w.ok("GET", "/LUN_MIGRATION?range=[0-256]")
    assert (item["RUNNINGSTATUS"], item["PARENTID"], item["TARGETLUNID"]) == ("75", lun, target)
    assert w.code("POST", "/LUN_MIGRATION", body) == codes.LUN_IN_USE
    assert w.code("PUT", "/lun/expand", {"ID": lun, "CAPACITY": 2 * GIB_SECTORS}) == codes.LUN_IN_USE
    assert w.ok("GET", f"/lun/{lun}")["PARENTID"] == "0"
    w.clock.advance(10)
    assert w.ok("GET", "/LUN_MIGRATION")[0]["RUNNINGSTATUS"] == "76"
    after = w.ok("GET", f"/lun/{lun}")
    assert (after["PARENTID"], after["PARENTNAME"], after["WWN"]) == ("1", "pool_b", before["WWN"])
    assert (w.ok("GET", f"/lun/{target}")["PARENTID"], read(w, f"/lun/{lun}")) == ("0", "content")
    assert w.code("DELETE", f"/lun/{target}") == codes.LUN_IN_USE
    assert w.code("DELETE", f"/LUN_MIGRATION/{target}") == codes.NO_MIGRATION
    assert w.ok("DELETE", f"/LUN_MIGRATION/{item['ID']}") == {}
    assert w.code("DELETE", f"/LUN_MIGRATION/{lun}") == codes.NO_MIGRATION
    w.ok("DELETE", f"/lun/{target}")


def test_what_a_migration_cannot_be(wire):
    w = wire(V5)
    lun, larger = w.lun("v"), w.lun("t", 2)
    assert w.code("POST", "/LUN_MIGRATION", {"PARENTID": lun, "TARGETLUNID": larger}) == codes.SIZES_DIFFER
    assert w.code("POST", "/LUN_MIGRATION", {"PARENTID": lun, "TARGETLUNID": lun}) == codes.SIZES_DIFFER
    w.array.set_licence("SmartMigration", False)
    assert w.code("POST", "/LUN_MIGRATION", {"PARENTID": lun, "TARGETLUNID": larger}) == codes.NO_MIGRATION_LICENCE
