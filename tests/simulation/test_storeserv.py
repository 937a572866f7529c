"""A simulated StoreServ spoken to in its own words, without sockets and by a clock that only tests move."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.simulation.conftest import Clock, Events, request
from vendors.hpe.simulator import build, codes

OLD, NEW, THIN_ONLY = "3PAR StoreServ 7200", "3PAR StoreServ 8440", "ConvergedFabric 22035"
HEADER = "X-HP3PAR-WSAPI-SessionKey"
IQN, OTHER_IQN = "iqn.1994-05.org.example:a", "iqn.1994-05.org.example:b"
WWN = "21000024FF000001"


class Wsapi:
    """A session at one simulated array."""

    def __init__(self, model: str = NEW, **options: Any) -> None:
        self.clock, self.plane = Clock(), Events()
        self.array = build(model, clock=self.clock, data_plane=self.plane, **options)
        self.log_in()

    def log_in(self) -> int:
        body = {"user": self.array.username, "password": self.array.password}
        answer = self.array.handle(request("POST", "/api/v1/credentials", body))
        if answer.status == 201:
            self.headers = {HEADER.lower(): json.loads(answer.body)["key"]}
        return answer.status

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any, dict[str, str]]:
        answer = self.array.handle(request(method, f"/api/v1{path}", body, self.headers))
        return answer.status, json.loads(answer.body) if answer.body else None, dict(answer.headers)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, data, _ = self.send(method, path, body)
        assert status in {200, 201}, data
        return data

    def made(self, path: str, body: Any) -> str:
        """Make something; return what the array calls it."""
        status, data, headers = self.send("POST", path, body)
        assert status in {200, 201}, data
        return headers.get("Location", "").rpartition("/")[2]

    def code(self, method: str, path: str, body: Any = None) -> tuple[int, int]:
        status, data, _ = self.send(method, path, body)
        return status, data["code"] if isinstance(data, dict) and "code" in data else 0

    def volume(self, name: str = "v", mib: int = 1024, **more: Any) -> str:
        thin = {"tpvv": True} if not {"tpvv", "tdvv", "reduce"} & more.keys() else {}
        return self.made("/volumes", {"name": name, "cpg": "pool_a", "sizeMiB": mib, "snapCPG": "pool_a", **thin, **more})

    def snapshot(self, source: str = "v", name: str = "s", **more: Any) -> str:
        return self.made(f"/volumes/{source}", {"action": "createSnapshot", "parameters": {"name": name, **more}})

    def host(self, name: str = "h", iqn: str = IQN) -> str:
        return self.made("/hosts", {"name": name, "persona": 2, "iSCSINames": [iqn]})

    def export(self, volume: str = "v", host: str = "h", **more: Any) -> str:
        auto = {"lun": 0, "autoLun": True, "maxAutoLun": 0} if "lun" not in more else {}
        return self.made("/vluns", {"volumeName": volume, "hostname": host, **auto, **more})

    def members(self, path: str) -> list[dict[str, Any]]:
        found = self.ok("GET", path)
        assert found["total"] == len(found["members"])
        return found["members"]

    def names(self, path: str) -> list[str]:
        return [item["name"] for item in self.members(path)]


def refusal(code: codes.Code) -> tuple[int, int]:
    return code.status, code.number


# Sessions


def test_a_key_is_demanded_and_dies_when_it_is_not_used():
    w = Wsapi()
    w.clock.advance(14 * 60)
    w.ok("GET", "/system")
    w.clock.advance(14 * 60)
    w.ok("GET", "/system")
    w.clock.advance(16 * 60)
    assert w.code("GET", "/system") == refusal(codes.NO_SESSION)
    w.headers = {}
    assert w.code("GET", "/volumes") == refusal(codes.NO_SESSION)


def test_keys_are_counted_given_back_and_limited():
    w = Wsapi(max_sessions=2)
    assert w.log_in() == 201
    assert w.ok("GET", "/wsapiconfiguration")["sessionsInUse"] == 2
    assert w.log_in() == 503
    w.ok("DELETE", f"/credentials/{w.headers[HEADER.lower()]}")
    assert w.log_in() == 201


def test_a_key_holds_at_its_own_address_only():
    w = Wsapi()
    sent = request("GET", "/api/v1/system", headers=w.headers, controller="B")
    assert json.loads(w.array.handle(sent).body)["code"] == 6


@pytest.mark.parametrize(("model", "build_number"), [(OLD, 30202290), (NEW, 30301215), (THIN_ONLY, 40600052)])
def test_the_interface_tells_its_build_without_a_key(model, build_number):
    answer = Wsapi(model).array.handle(request("GET", "/api"))
    assert json.loads(answer.body)["build"] == build_number


def test_what_is_not_there_is_said_to_be_so():
    w = Wsapi()
    assert w.code("GET", "/nothing") == refusal(codes.NO_RESOURCE)
    assert w.code("DELETE", "/volumes") == refusal(codes.UNSUPPORTED)
    malformed = request("GET", "/api/v1systemreporter/vstime/cpgstatistics/daily")
    assert w.array.handle(malformed).status == 404


# Volumes


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


# Snapshots, copies, tasks


def test_snapshots_hold_their_moment_and_may_be_written_to():
    w = Wsapi()
    w.volume()
    wwn = w.ok("GET", "/volumes/v")["wwn"].lower()
    w.plane.bytes[wwn] = "first"
    w.snapshot(name="ro", readOnly=True)
    w.plane.bytes[wwn] = "second"
    assert w.code("POST", "/volumes/ro", _snapshot("x", readOnly=True)) == refusal(codes.READONLY_OF_READONLY)
    w.snapshot("ro", "rw")
    held = {item["name"]: w.plane.bytes[item["wwn"].lower()] for item in w.members("/volumes")}
    assert held == {"v": "second", "ro": "first", "rw": "first"}
    assert [item["copyOf"] for item in w.members('/volumes?query="copyOf EQ ro"')] == ["ro"]
    assert w.code("PUT", "/volumes/rw", {"action": 3, "sizeMiB": 256}) == refusal(codes.CANNOT_GROW)


def test_snapshots_need_a_cpg_of_their_own():
    w = Wsapi()
    w.volume("v", snapCPG=None)
    parameters = {"name": "s", "readOnly": True}
    assert w.code("POST", "/volumes/v", {"action": "createSnapshot", "parameters": parameters}) == refusal(codes.NO_SNAP_CPG)
    w.ok("PUT", "/volumes/v", {"snapCPG": "pool_b"})
    w.snapshot("v", "s")


def test_an_off_line_copy_holds_both_volumes_until_it_is_done():
    w = Wsapi(copy_seconds=10)
    w.volume("v", 1024)
    w.volume("big", 2048)
    w.volume("small", 512)
    w.plane.bytes[w.ok("GET", "/volumes/v")["wwn"].lower()] = "bytes"
    assert w.code("POST", "/volumes/v", _copy("small")) == refusal(codes.BELOW_RANGE)
    assert w.code("POST", "/volumes/v", _copy("none")) == refusal(codes.NO_VOLUME)
    assert w.code("POST", "/volumes/v", _copy("big", tpvv=True)) == refusal(codes.CONFLICT)
    task = w.ok("POST", "/volumes/v", _copy("big"))["taskid"]
    assert w.ok("GET", f"/tasks/{task}")["status"] == 2
    assert w.ok("GET", "/volumes/big")["copyType"] == 2
    for method, path, body in (
        ("DELETE", "/volumes/v", None),
        ("DELETE", "/volumes/big", None),
        ("PUT", "/volumes/big", {"action": 3, "sizeMiB": 256}),
        ("POST", "/volumes/v", _copy("small")),
    ):
        assert w.code(method, path, body) == refusal(codes.BUSY_VOLUME)
    w.clock.advance(10)
    done = w.ok("GET", f"/tasks/{task}")
    assert (done["status"], done["name"], done["type"]) == (1, "big", 1)
    copied = w.ok("GET", "/volumes/big")
    assert (copied["copyType"], copied["sizeMiB"], "physParentId" in copied) == (1, 2048, False)
    assert w.plane.bytes[copied["wwn"].lower()] == "bytes"
    assert w.code("PUT", f"/tasks/{task}", {"action": 1}) == refusal(codes.NOT_ACTIVE)


def test_an_on_line_copy_makes_its_target_and_never_names_its_source():
    w = Wsapi(copy_seconds=10)
    w.volume("v")
    task = w.ok("POST", "/volumes/v", _copy("c", online=True, destCPG="pool_b", tpvv=True))["taskid"]
    made = w.ok("GET", "/volumes/c")
    assert (made["userCPG"], made["copyType"], "copyOf" in made) == ("pool_b", 2, False)
    w.ok("PUT", f"/tasks/{task}", {"action": 1})
    assert w.ok("GET", f"/tasks/{task}")["status"] == 3
    w.ok("DELETE", "/volumes/c")
    w.ok("DELETE", "/volumes/v")


@pytest.mark.parametrize(("model", "code"), [(NEW, codes.BAD_INPUT), (THIN_ONLY, None)])
def test_only_later_builds_take_a_comment_for_an_on_line_copy(model, code):
    w = Wsapi(model)
    w.volume("v")
    body = _copy("c", online=True, destCPG="pool_b", tpvv=True, comment="why")
    assert w.code("POST", "/volumes/v", body) == (refusal(code) if code else (200, 0))


def test_tasks_are_listed_newest_first_and_forgotten_after_a_day():
    w = Wsapi(copy_seconds=1)
    w.volume("v")
    w.volume("c")
    tasks = []
    for _ in range(2):
        tasks.append(w.ok("POST", "/volumes/v", _copy("c"))["taskid"])
        w.clock.advance(2)
    assert [task["id"] for task in w.members("/tasks")] == tasks[::-1]
    w.clock.advance(24 * 3600)
    w.log_in()
    assert w.members("/tasks") == []
    assert w.code("GET", f"/tasks/{tasks[0]}") == refusal(codes.NO_TASK)


def test_a_promote_needs_a_parent_that_is_not_exported():
    w = Wsapi(copy_seconds=5)
    w.volume()
    wwn = w.ok("GET", "/volumes/v")["wwn"].lower()
    w.plane.bytes[wwn] = "first"
    w.snapshot(readOnly=True)
    w.plane.bytes[wwn] = "second"
    w.host()
    w.export()
    assert w.code("PUT", "/volumes/v", {"action": 4}) == refusal(codes.BAD_INPUT)
    assert w.code("PUT", "/volumes/s", {"action": 4, "online": False}) == refusal(codes.PARENT_EXPORTED)
    task = w.ok("PUT", "/volumes/s", {"action": 4, "online": True, "priority": 1})["taskid"]
    assert w.plane.bytes[wwn] == "first"
    assert w.code("PUT", f"/tasks/{task}", {"action": 1}) == refusal(codes.CANNOT_CANCEL)
    assert w.code("PUT", "/volumes/s", {"action": 4, "online": True}) == refusal(codes.BUSY_VOLUME)
    w.ok("PUT", "/volumes/v", {"action": 5})
    assert w.ok("GET", f"/tasks/{task}")["status"] == 3


def test_a_tune_moves_and_converts_but_not_under_snapshots():
    w = Wsapi(copy_seconds=5)
    w.volume()
    move = {"action": 6, "tuneOperation": 1, "userCPG": "pool_b"}
    task = w.ok("PUT", "/volumes/v", move)["taskid"]
    assert w.ok("GET", "/volumes/v")["userCPG"] == "pool_a"
    assert w.code("PUT", "/volumes/v", move) == refusal(codes.TUNING)
    w.clock.advance(5)
    assert w.ok("GET", f"/tasks/{task}")["type"] == 3
    assert w.ok("GET", "/volumes/v")["userCPG"] == "pool_b"
    w.snapshot(readOnly=True)
    status, said, _ = w.send("PUT", "/volumes/v", move | {"conversionOperation": 2})
    assert (status, said["code"], "keepVV" in said["desc"]) == (400, 40, True)
    w.ok("DELETE", "/volumes/s")
    w.ok("PUT", "/volumes/v", move | {"conversionOperation": 3, "compression": False})
    w.clock.advance(5)
    assert w.ok("GET", "/volumes/v")["provisioningType"] == 6


# Hosts and ports


def test_hosts_and_their_paths():
    w = Wsapi()
    w.made("/hosts", {"name": "fc", "persona": 2, "FCWWNs": [WWN.lower()], "domain": None})
    shown = w.ok("GET", "/hosts/fc")
    assert {row["wwn"] for row in shown["FCPaths"]} == {WWN}
    assert len(shown["FCPaths"]) == 4
    assert shown["iSCSIPaths"] == []
    w.ok("PUT", "/hosts/fc", {"pathOperation": 1, "FCWWNs": ["10:00:00:00:C9:AA:BB:01"]})
    dark = [row for row in w.ok("GET", "/hosts/fc")["FCPaths"] if row["wwn"] == "10000000C9AABB01"]
    assert len(dark) == 1
    assert "portPos" not in dark[0]
    w.host("h")
    assert w.code("POST", "/hosts", {"name": "h", "iSCSINames": [OTHER_IQN]}) == refusal(codes.HOST_EXISTS)
    assert w.code("POST", "/hosts", {"name": "x", "iSCSINames": [IQN]}) == refusal(codes.PATH_EXISTS)
    assert w.code("PUT", "/hosts/fc", {"pathOperation": 1, "iSCSINames": [IQN]}) == refusal(codes.PATH_EXISTS)
    assert w.names(f'/hosts?query="FCPaths[wwn=={WWN.lower()} OR wwn==1] OR iSCSIPaths[name==none]"') == ["fc"]
    assert w.names(f'/hosts?query="FCPaths[wwn==1] OR iSCSIPaths[name=={IQN}]"') == ["h"]
    assert w.code("PUT", "/hosts/h", {"pathOperation": 2, "iSCSINames": [OTHER_IQN]}) == refusal(codes.NO_PATH)
    w.volume()
    w.export()
    assert w.code("PUT", "/hosts/h", {"pathOperation": 2, "iSCSINames": [IQN]}) == refusal(codes.EXPORTED)
    assert w.code("DELETE", "/hosts/h") == refusal(codes.EXPORTED)
    w.ok("PUT", "/hosts/h", {"pathOperation": 2, "iSCSINames": [IQN], "forcePathRemoval": True})
    assert w.ok("GET", "/hosts/h")["iSCSIPaths"] == []


def test_chap_is_the_hosts():
    w = Wsapi()
    w.host()
    on = {"chapOperation": 1, "chapOperationMode": 1, "chapName": "u", "chapSecret": "s" * 12}
    assert w.code("PUT", "/hosts/h", on | {"chapSecret": "s" * 11}) == refusal(codes.CHAP_LENGTH)
    w.ok("PUT", "/hosts/h", on)
    assert w.ok("GET", "/hosts/h")["initiatorChapEnabled"] is True
    w.ok("PUT", "/hosts/h", {"pathOperation": 1, "iSCSINames": [OTHER_IQN]})
    assert [item["chap_user"] for item in w.array.state()["initiators"] if item["kind"] == "iscsi"] == ["u", "u"]
    w.ok("PUT", "/hosts/h", {"chapOperation": 2, "chapRemoveTargetOnly": True})
    assert w.ok("GET", "/hosts/h")["initiatorChapEnabled"] is True
    w.ok("PUT", "/hosts/h", {"chapOperation": 2})
    assert w.ok("GET", "/hosts/h")["initiatorChapEnabled"] is False
    assert "s" * 12 not in json.dumps(w.array.state())


@pytest.mark.parametrize("tagged", [False, True])
def test_ports_carry_what_clients_index(tagged):
    w = Wsapi(tagged=tagged)
    ports = w.members("/ports")
    assert all({"protocol", "mode", "linkState"} <= port.keys() for port in ports)
    iscsi = [port for port in ports if port["protocol"] == 2]
    assert [port["iSCSIPortInfo"]["vlan"] for port in iscsi] == [int(tagged)] * 2
    where = ":".join(str(iscsi[0]["portPos"][key]) for key in ("node", "slot", "cardPort"))
    vlans = w.ok("GET", f"/ports/{where}/iSCSIVlans/")["iSCSIVlans"]
    assert [vlan["IPAddr"] for vlan in vlans] == (["127.0.0.11"] if tagged else [])
    assert iscsi[0]["IPAddr"] == ("0.0.0.0" if tagged else "127.0.0.11")


# VLUNs


def test_every_kind_of_vlun():
    w = Wsapi()
    for name in ("v", "w", "x"):
        w.volume(name)
    w.host("h")
    w.made("/hosts", {"name": "fc", "FCWWNs": [WWN]})
    w.made("/hostsets", {"name": "cluster", "setmembers": ["h", "fc"]})
    w.made("/volumesets", {"name": "both", "setmembers": ["w", "x"]})
    port = {"node": 0, "slot": 2, "cardPort": 1}
    assert w.export("v", "h") == "v,1,h"
    assert w.export("v", "h", lun=1, portPos=port) == "v,1,h,0:2:1"
    assert w.made("/vluns", {"volumeName": "v", "lun": 9, "portPos": {"node": 0, "slot": 1, "cardPort": 1}}) == "v,9,,0:1:1"
    assert w.export("set:both", "set:cluster") == "set:both,2,set:cluster"
    templates = [row for row in w.members("/vluns") if not row["active"]]
    assert sorted(row["type"] for row in templates) == [2, 3, 4, 5]
    seen = {(access.host, access.lun, access.wwn) for access in w.plane.accesses}
    wwns = {item["name"]: item["wwn"].lower() for item in w.members("/volumes")}
    ids = {item["name"]: str(item["id"]) for item in w.members("/hosts")}
    expected = {(ids["h"], 1, wwns["v"])} | {(ids[host], 9, wwns["v"]) for host in ids}
    expected |= {(ids[host], lun, wwns[name]) for host in ids for lun, name in ((2, "w"), (3, "x"))}
    assert seen == expected
    active = [row for row in w.members('/vluns?query="volumeName EQ w"') if row["active"]]
    assert {row["hostname"] for row in active} == {"fc"}
    assert all({"remoteName", "portPos", "hostname"} <= row.keys() for row in active)
    assert w.code("DELETE", "/hosts/fc") == refusal(codes.HOST_IN_SET)
    assert w.code("DELETE", "/hostsets/cluster") == refusal(codes.EXPORTED)
    assert w.code("DELETE", "/volumesets/both") == refusal(codes.EXPORTED)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"volumeName": "none"}, codes.NO_VOLUME),
        ({"hostname": "none"}, codes.NO_HOST),
        ({"portPos": {"node": 9, "slot": 9, "cardPort": 9}}, codes.NO_PORT),
        ({"lun": 16384}, codes.TOO_LARGE),
        ({"hostname": None}, codes.NO_EXPORT_INFO),
        ({"hostname": "set:cluster", "portPos": {"node": 0, "slot": 2, "cardPort": 1}}, codes.MATCHED_HOSTSET),
        ({"volumeName": "w"}, codes.VLUN_EXISTS),
        ({}, codes.VLUN_EXISTS),
        ({"autoLun": True, "maxAutoLun": 1, "lun": 1}, codes.NO_LUN_LEFT),
    ],
)
def test_what_a_vlun_cannot_be(given, code):
    w = Wsapi()
    w.volume("v")
    w.volume("w")
    w.host()
    w.made("/hostsets", {"name": "cluster", "setmembers": ["h"]})
    w.export("v", "h", lun=1)
    body = {"volumeName": "v", "lun": 1, "hostname": "h"} | given
    assert w.code("POST", "/vluns", body) == refusal(code)


def test_a_lun_id_may_be_zero_and_a_volume_may_have_two():
    w = Wsapi(first_lun=0)
    w.volume()
    w.host()
    assert w.export() == "v,0,h"
    assert w.export() == "v,1,h"
    w.ok("DELETE", "/vluns/v,0,h")
    assert w.code("DELETE", "/vluns/v,0,h") == refusal(codes.NO_VLUN)
    assert [access.lun for access in w.plane.accesses] == [1]


# Sets and rules


def test_sets_keep_their_order_and_are_empty_without_members():
    w = Wsapi()
    for name in ("a", "b", "c"):
        w.volume(name)
    w.made("/volumesets", {"name": "s" * 27})
    assert "setmembers" not in w.ok("GET", f"/volumesets/{'s' * 27}")
    assert w.code("POST", "/volumesets", {"name": "s" * 28}) == refusal(codes.TOO_LONG)
    assert w.code("POST", "/volumesets", {"name": "g", "setmembers": ["*"]}) == refusal(codes.BAD_CHARACTER)
    w.made("/volumesets", {"name": "g", "setmembers": ["c"]})
    w.ok("PUT", "/volumesets/g", {"action": 1, "setmembers": ["a", "b"]})
    assert w.ok("GET", "/volumesets/g")["setmembers"] == ["c", "a", "b"]
    assert w.code("PUT", "/volumesets/g", {"action": 1, "setmembers": ["a"]}) == refusal(codes.IN_SET)
    w.ok("POST", "/volumesets/g", {"action": "createSnapshot", "parameters": {"name": "snap-@count@", "readOnly": True}})
    parents = {item["name"]: item.get("copyOf") for item in w.members("/volumes")}
    assert [parents[f"snap-{number}"] for number in range(3)] == ["c", "a", "b"]
    assert w.code("POST", "/volumesets/g", {"action": "createSnapshot", "parameters": {"name": "x-@count@", "readOnly": 1}}) == (
        refusal(codes.WRONG_TYPE)
    )
    assert w.code("GET", "/volumesets/none") == refusal(codes.NO_SET)


def test_rules_hang_on_sets():
    w = Wsapi()
    w.volume()
    w.made("/volumesets", {"name": "g", "setmembers": ["v"]})
    rule = {"name": "g", "type": 1, "ioMinGoal": 100, "ioMaxLimit": 200, "latencyGoal": 5, "enable": True}
    assert w.code("POST", "/qos", rule | {"name": "none"}) == refusal(codes.NO_SET)
    assert w.code("POST", "/qos", rule | {"ioMinGoal": 201}) == refusal(codes.BAD_INPUT)
    w.made("/qos", rule)
    assert w.code("POST", "/qos", rule) == refusal(codes.QOS_EXISTS)
    w.ok("PUT", "/qos/vvset:g", {"bwMaxLimitKB": 1000, "ioMinGoalOP": 1})
    shown = w.ok("GET", "/qos/vvset:g")
    assert (shown["bwMaxLimitKB"], shown["ioMaxLimit"], "ioMinGoal" in shown) == (1000, 200, False)
    w.ok("DELETE", "/volumesets/g")
    assert w.code("GET", "/qos/vvset:g") == refusal(codes.NO_QOS) or w.code("GET", "/qos/vvset:g") == refusal(codes.NO_SET)
    assert w.members("/qos") == []


def test_licences_are_demanded():
    w = Wsapi()
    w.volume()
    for feature, method, path, body in (
        ("Virtual Copy", "POST", "/volumes/v", _snapshot("s")),
        ("Dynamic Optimization", "PUT", "/volumes/v", {"action": 6, "tuneOperation": 1, "userCPG": "pool_b"}),
        ("Priority Optimization", "POST", "/qos", {"name": "g", "type": 1, "ioMaxLimit": 200}),
        ("Remote Copy", "POST", "/remotecopygroups", {"name": "r", "targets": []}),
    ):
        w.array.set_licence(feature, False)
        status, said, _ = w.send(method, path, body)
        assert (status, feature in said["desc"]) == (400, True)
        assert feature not in [item["name"] for item in w.ok("GET", "/system")["licenseInfo"]["licenses"]]


# Capacity


def test_capacity_is_accounted():
    w = Wsapi(pools=2, pool_bytes=10 * 1024**3)
    w.volume("thick", 6144, tpvv=False)
    w.volume("thin", 100 * 1024)
    cpg, other = w.members("/cpgs")
    assert cpg["SDGrowth"]["limitMiB"] == 10240
    assert cpg["UsrUsage"]["totalMiB"] == 6144 + 64
    assert (cpg["numFPVVs"], cpg["numTPVVs"]) == (1, 1)
    assert other["UsrUsage"]["totalMiB"] == 0
    body = {"name": "more", "cpg": "pool_a", "sizeMiB": 6144, "tpvv": False}
    assert w.code("POST", "/volumes", body) == refusal(codes.NO_SPACE)


def test_a_cpg_without_a_limit_is_asked_for_its_space():
    w = Wsapi(limited=False, pool_bytes=10 * 1024**3)
    assert "limitMiB" not in w.ok("GET", "/cpgs/pool_a")["SDGrowth"]
    assert w.ok("POST", "/spacereporter", {"cpg": "pool_a"})["usableFreeMiB"] == 10240
    assert w.made("/cpgs", {"name": "mine", "growthLimitMiB": 2048}) == "mine"
    assert w.ok("GET", "/cpgs/mine")["SDGrowth"]["limitMiB"] == 2048
    w.ok("DELETE", "/cpgs/mine")


# Remote copy


def test_remote_copy_groups():
    w = Wsapi()
    w.volume()
    w.made("/remotecopygroups", {"name": "r", "targets": [{"targetName": "far", "mode": 1}]})
    admit = {"action": 1, "volumeName": "v", "targets": [{"targetName": "far", "secVolumeName": "w"}]}
    w.ok("PUT", "/remotecopygroups/r", admit)
    assert w.ok("GET", "/volumes/v")["rcopyGroup"] == "r"
    assert w.code("DELETE", "/volumes/v") == refusal(codes.IN_REMOTE_COPY)
    w.ok("PUT", "/remotecopygroups/r", {"action": 3})
    group = w.ok("GET", "/remotecopygroups/r")
    assert [target["state"] for target in group["targets"]] == [3]
    assert w.ok("GET", "/remotecopygroups/r/volumes/v")["remoteVolumes"][0]["syncStatus"] == 3
    w.ok("DELETE", "/remotecopygroups/r/volumes/v?keepSnap=true")
    w.ok("PUT", "/remotecopygroups/r", {"action": 4})
    w.ok("DELETE", "/remotecopygroups/r?keepSnap=false")
    assert w.code("GET", "/remotecopygroups/r") == refusal(codes.NO_GROUP)


# Queries and bodies


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('"copyOf EQ a"', ["sa"]),
        ('"copyOf EQ a OR copyOf EQ b"', ["sa", "sb"]),
        ('"copyType EQ 3 AND copyOf == b"', ["sb"]),
        ('"sizeMiB GE 1024 AND copyType LE 1"', ["b"]),
        ('"copyOf EQ nobody"', []),
    ],
)
def test_queries(query, found):
    w = Wsapi()
    w.volume("a", 512)
    w.volume("b", 1024)
    for name in ("a", "b"):
        w.snapshot(name, f"s{name}", readOnly=True)
    assert sorted(w.names(f"/volumes?query={query}")) == found


@pytest.mark.parametrize("query", ["copyOf EQ a", '"copyOf"', '"copyOf LIKE a"', '"sizeMiB GE x"', '"a EQ b OR "'])
def test_a_query_that_says_nothing_is_refused(query):
    assert Wsapi().code("GET", f"/volumes?query={query}") == refusal(codes.BAD_QUERY)


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"1", b"[" * 100000])
def test_a_body_that_is_no_object_is_refused(body):
    from dataclasses import replace

    w = Wsapi()
    sent = replace(request("POST", "/api/v1/volumes", headers=w.headers), body=body)
    assert json.loads(w.array.handle(sent).body)["code"] == codes.BAD_JSON.number
    assert w.array.operation(sent) == "POST /volumes"


FIELDS = (
    *("name", "newName", "cpg", "sizeMiB", "comment", "snapCPG", "tpvv", "tdvv", "compression", "reduce", "expirationHours"),
    *("action", "parameters", "destVolume", "destCPG", "online", "priority", "readOnly", "tuneOperation", "userCPG"),
    *("conversionOperation", "key", "value", "persona", "FCWWNs", "iSCSINames", "descriptors", "pathOperation"),
    *("chapOperation", "chapOperationMode", "chapName", "chapSecret", "setmembers", "flashCachePolicy", "volumeName"),
    *("hostname", "lun", "autoLun", "maxAutoLun", "portPos", "type", "ioMaxLimit", "latencyGoal", "enable", "targets"),
    *("domain", "growthLimitMiB", "forcePathRemoval"),
)
VALUES = (None, "", "v", "x", 0, 1, -1, 3, 1.5, True, [], ["v"], [1], [{}], {}, {"name": "n"}, {"a": 1}, "\u0000", 10**30)


@pytest.mark.parametrize("model", [OLD, NEW, THIN_ONLY])
def test_whatever_is_sent_is_answered(model):
    w = Wsapi(model)
    for method, resource in sorted(w.array._routes):
        for value, name in itertools.product(VALUES, ("v", "vvset:g", "0:1:1")):
            w.send("POST", "/volumes", {"name": "v", "cpg": "pool_a", "sizeMiB": 256, "tpvv": True})
            w.send(method, "/" + resource.replace("{}", name), dict.fromkeys(FIELDS, value))


def test_every_single_argument_may_be_anything():
    w = Wsapi()
    w.volume("v")
    w.host("v")
    w.made("/volumesets", {"name": "v", "setmembers": ["v"]})
    valid = {"name": "n", "cpg": "pool_a", "sizeMiB": 256, "volumeName": "v", "hostname": "v", "type": 1}
    for method, resource in sorted(w.array._routes):
        for field, value in itertools.product(FIELDS, VALUES):
            w.send(method, "/" + resource.replace("{}", "v"), valid | {field: value})


def _snapshot(name: str, **more: Any) -> dict[str, Any]:
    return {"action": "createSnapshot", "parameters": {"name": name, **more}}


def _copy(target: str, **more: Any) -> dict[str, Any]:
    return {"action": "createPhysicalCopy", "parameters": {"destVolume": target, **more}}
