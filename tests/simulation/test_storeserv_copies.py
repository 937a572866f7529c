"""Snapshots, copies, tasks and Remote Copy of a simulated StoreServ."""

from __future__ import annotations

import pytest

from tests.simulation.storeserv import NEW, THIN_ONLY, Wsapi, copying, refusal, taking
from vendors.hpe.simulator import codes


def test_snapshots_hold_their_moment_and_may_be_written_to():
    w = Wsapi()
    w.volume()
    wwn = w.ok("GET", "/volumes/v")["wwn"].lower()
    w.plane.bytes[wwn] = "first"
    w.snapshot(name="ro", readOnly=True)
    w.plane.bytes[wwn] = "second"
    assert w.code("POST", "/volumes/ro", taking("x", readOnly=True)) == refusal(codes.READONLY_OF_READONLY)
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
    assert w.code("POST", "/volumes/v", copying("small")) == refusal(codes.BELOW_RANGE)
    assert w.code("POST", "/volumes/v", copying("none")) == refusal(codes.NO_VOLUME)
    assert w.code("POST", "/volumes/v", copying("big", tpvv=True)) == refusal(codes.CONFLICT)
    task = w.ok("POST", "/volumes/v", copying("big"))["taskid"]
    assert w.ok("GET", f"/tasks/{task}")["status"] == 2
    assert w.ok("GET", "/volumes/big")["copyType"] == 2
    for method, path, body in (
        ("DELETE", "/volumes/v", None),
        ("DELETE", "/volumes/big", None),
        ("PUT", "/volumes/big", {"action": 3, "sizeMiB": 256}),
        ("POST", "/volumes/v", copying("small")),
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
    task = w.ok("POST", "/volumes/v", copying("c", online=True, destCPG="pool_b", tpvv=True))["taskid"]
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
    body = copying("c", online=True, destCPG="pool_b", tpvv=True, comment="why")
    assert w.code("POST", "/volumes/v", body) == (refusal(code) if code else (200, 0))


def test_tasks_are_listed_newest_first_and_forgotten_after_a_day():
    w = Wsapi(copy_seconds=1)
    w.volume("v")
    w.volume("c")
    tasks = []
    for _ in range(2):
        tasks.append(w.ok("POST", "/volumes/v", copying("c"))["taskid"])
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
