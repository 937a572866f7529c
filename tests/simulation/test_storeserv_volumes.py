"""Volumes of a simulated StoreServ: names, sizes, kinds, what hangs on them."""

from __future__ import annotations

import pytest

from tests.simulation.storeserv import NEW, OLD, THIN_ONLY, Wsapi, refusal
from vendors.hpe.simulator import codes


def test_names_are_keys():
    w = Wsapi()
    for name, code in (
        ("", codes.EMPTY),
        ("n" * 32, codes.TOO_LONG),
        ("-v", codes.BAD_CHARACTER),
        ("a b", codes.BAD_CHARACTER),
        ("名", codes.BAD_CHARACTER),
    ):
        assert w.code("POST", "/volumes", {"name": name, "cpg": "pool_a", "sizeMiB": 256, "tpvv": True}) == refusal(code)
    w.volume("n" * 31)
    w.volume("V.1_x-")
    w.volume("v")
    w.volume("V")
    assert w.code("POST", "/volumes", {"name": "v", "cpg": "pool_a", "sizeMiB": 256}) == refusal(codes.VOLUME_EXISTS)
    w.snapshot("v", "s")
    assert w.code("POST", "/volumes", {"name": "s", "cpg": "pool_a", "sizeMiB": 256}) == refusal(codes.VOLUME_EXISTS)


@pytest.mark.parametrize(("asked", "got"), [(256, 256), (257, 512), (1000, 1024), (1024.0, 1024)])
def test_sizes_are_rounded_up(asked, got):
    w = Wsapi()
    w.volume("v", asked)
    assert w.ok("GET", "/volumes/v")["sizeMiB"] == got


@pytest.mark.parametrize(("model", "tebibytes"), [(OLD, 16), (NEW, 64), (THIN_ONLY, 64)])
def test_the_largest_volume(model, tebibytes):
    w = Wsapi(model)
    w.volume("v", tebibytes * 2**20)
    body = {"name": "w", "cpg": "pool_a", "sizeMiB": tebibytes * 2**20 + 1, "tpvv": True}
    assert w.code("POST", "/volumes", body) == refusal(codes.TOO_LARGE)
    assert w.code("PUT", "/volumes/v", {"action": 3, "sizeMiB": 256}) == refusal(codes.GROW_SIZE)


def test_growth_is_what_is_added():
    w = Wsapi()
    w.volume("v", 1024)
    w.ok("PUT", "/volumes/v", {"action": 3, "sizeMiB": 100.0})
    w.ok("PUT", "/volumes/v", {"action": 3, "sizeMiB": 512})
    assert w.ok("GET", "/volumes/v")["sizeMiB"] == 1024 + 256 + 512


@pytest.mark.parametrize(
    ("model", "given", "code"),
    [
        (NEW, {"tpvv": True, "tdvv": True}, codes.CONFLICT),
        (NEW, {"tpvv": True, "compression": True}, codes.BELOW_RANGE),
        (NEW, {"reduce": True}, codes.BAD_INPUT),
        (NEW, {"tpvv": "yes"}, codes.WRONG_TYPE),
        (OLD, {"tpvv": True, "compression": False}, codes.BAD_INPUT),
        (THIN_ONLY, {}, codes.ONE_REQUIRED),
        (THIN_ONLY, {"tdvv": True}, codes.ONE_REQUIRED),
        (NEW, {"cpg": "pool_z"}, codes.NO_CPG),
        (NEW, {"cpg": None}, codes.MISSING),
        (NEW, {"sizeMiB": 255}, codes.BELOW_RANGE),
        (NEW, {"sizeMiB": -1}, codes.OUT_OF_RANGE),
        (NEW, {"comment": "c" * 512}, codes.TOO_LONG),
        (NEW, {"expirationHours": 43801}, codes.OUT_OF_RANGE),
    ],
)
def test_what_a_volume_cannot_be(model, given, code):
    w = Wsapi(model)
    body = {"name": "v", "cpg": "pool_a", "sizeMiB": 1024} | given
    assert w.code("POST", "/volumes", body) == refusal(code)
    assert w.array.state()["volumes"] == []


@pytest.mark.parametrize(
    ("model", "given", "kind"),
    [
        (NEW, {}, 1),
        (NEW, {"tpvv": True}, 2),
        (NEW, {"tdvv": True}, 6),
        (NEW, {"tpvv": True, "compression": True}, 2),
        (THIN_ONLY, {"tpvv": True}, 2),
        (THIN_ONLY, {"reduce": True}, 7),
    ],
)
def test_kinds_of_provisioning(model, given, kind):
    w = Wsapi(model)
    w.made("/volumes", {"name": "v", "cpg": "pool_a", "sizeMiB": 16384, **given})
    assert w.ok("GET", "/volumes/v")["provisioningType"] == kind


def test_what_does_not_apply_is_absent():
    w = Wsapi()
    w.volume("v", snapCPG="pool_b")
    base = w.ok("GET", "/volumes/v")
    absent = ("copyOf", "parentId", "physParentId", "roChildId", "rwChildId", "expirationTimeSec", "rcopyGroup", "comment")
    assert not base.keys() & set(absent)
    assert (base["userCPG"], base["snapCPG"]) == ("pool_a", "pool_b")
    w.snapshot(readOnly=True, comment="why", expirationHours=2)
    taken = w.ok("GET", "/volumes/s")
    assert "userCPG" not in taken
    assert (taken["copyOf"], taken["snapCPG"], taken["readOnly"], taken["comment"]) == ("v", "pool_b", True, "why")
    assert taken["expirationTimeSec"] - taken["creationTimeSec"] == pytest.approx(7200, abs=2)
    assert w.ok("GET", "/volumes/v")["roChildId"] == taken["id"]


def test_renaming_keeps_what_a_volume_is():
    w = Wsapi()
    w.volume(comment="old")
    w.snapshot()
    before = w.ok("GET", "/volumes/v")
    status, _, headers = w.send("PUT", "/volumes/v", {"newName": "x", "comment": None})
    assert (status, headers["Location"]) == (200, "/api/v1/volumes/x")
    after = w.ok("GET", "/volumes/x")
    assert (after["id"], after["wwn"], "comment" in after) == (before["id"], before["wwn"], False)
    assert w.ok("GET", "/volumes/s")["copyOf"] == "x"
    assert w.code("PUT", "/volumes/x", {"newName": "s"}) == refusal(codes.VOLUME_EXISTS)


def test_what_hangs_on_a_volume_keeps_it():
    w = Wsapi()
    w.volume()
    w.snapshot(readOnly=True)
    w.snapshot("s", "child")
    assert w.code("DELETE", "/volumes/v") == refusal(codes.HAS_CHILD)
    assert w.code("DELETE", "/volumes/s") == refusal(codes.HAS_CHILD)
    w.ok("DELETE", "/volumes/child")
    w.ok("DELETE", "/volumes/s")
    w.host()
    vlun = w.export()
    assert w.code("DELETE", "/volumes/v") == refusal(codes.IN_USE)
    w.ok("DELETE", f"/vluns/{vlun}")
    w.made("/volumesets", {"name": "set", "setmembers": ["v"]})
    assert w.code("DELETE", "/volumes/v") == refusal(codes.IN_USE)
    w.ok("PUT", "/volumesets/set", {"action": 2, "setmembers": ["v"]})
    w.ok("DELETE", "/volumes/v")
    assert w.code("GET", "/volumes/v") == refusal(codes.NO_VOLUME)


def test_retained_and_expired():
    w = Wsapi()
    w.volume()
    w.snapshot(name="kept", retentionHours=1, readOnly=True)
    w.snapshot(name="passing", expirationHours=1, readOnly=True)
    assert w.code("DELETE", "/volumes/kept") == refusal(codes.RETAINED)
    w.clock.advance(3601)
    w.log_in()
    assert w.names("/volumes") == ["v", "kept"]
    w.ok("DELETE", "/volumes/kept")


def test_metadata():
    w = Wsapi()
    w.volume()
    assert w.members("/volumes/v/objectKeyValues") == []
    w.made("/volumes/v/objectKeyValues", {"key": "k", "value": "1"})
    assert w.code("POST", "/volumes/v/objectKeyValues", {"key": "k", "value": "2"}) == refusal(codes.KEY_EXISTS)
    w.ok("PUT", "/volumes/v/objectKeyValues/k", {"value": "2"})
    assert w.ok("GET", "/volumes/v/objectKeyValues/k")["value"] == "2"
    w.ok("DELETE", "/volumes/v/objectKeyValues/k")
    assert w.code("DELETE", "/volumes/v/objectKeyValues/k") == refusal(codes.NO_KEY)
