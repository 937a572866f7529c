"""The simulated ACS5000 spoken to in its own words: what the protocol sheet says of every command."""

from __future__ import annotations

import json

import pytest

from conformance.simulation.family import Command
from tests.simulation.conftest import Clock, Events
from vendors.toyou.simulator import build

MODEL = "ACS5000"
IQN = "iqn.1994-05.com.example:n1"
GiB = 1024**3


class Shell:
    """The array behind its shell."""

    def __init__(self, **options):
        self.clock, self.plane = Clock(), Events()
        self.array = build(MODEL, clock=self.clock, data_plane=self.plane, **options)

    def output(self, line):
        return self.array.handle(Command(line, "cliuser"))

    def answer(self, line):
        output = self.output(f"cinder {line}")
        assert (output.status, output.stderr) == (0, ""), output
        answer = json.loads(output.stdout)
        assert set(answer) == {"key", "msg", "arr"}
        assert output.code == str(answer["key"])
        assert bool(answer["key"]) is bool(answer["msg"])
        return answer

    def key(self, line):
        return self.answer(line)["key"]

    def ok(self, line):
        answer = self.answer(line)
        assert answer["key"] == 0, answer
        return answer["arr"]

    # What most tests need first

    def volume(self, name="v", size="1", pool="pool_a", kind=0):
        assert self.ok(f"create_volume --size {size} --volume {name} --pool {pool} --type {kind}") is None

    def shown(self, *names):
        found = self.ok("get_volume " + " ".join(f"--volume {name}" for name in names))
        return {item["name"]: item for item in found}

    def copying(self, snapshot=""):
        self.volume("v", "2")
        if snapshot:
            self.ok(f"create_snapshot --volume v --snapshot {snapshot}")
        self.volume("t", "2", kind=10)
        self.ok("create_clone --volume v --clone t")
        self.ok(f"start_clone --volume v --snapshot {snapshot}")


@pytest.fixture
def shell():
    return Shell()


# The envelope


@pytest.mark.parametrize("line", ["", "lsvdisk", "svcinfo lsvdisk", "cinder", "cinder get_volume --volume 'a", "sh -c id"])
def test_what_is_no_command_of_it_is_the_shell_s_affair(shell, line):
    output = shell.output(line)
    assert (output.stdout, output.status) == ("", 127)
    assert output.stderr
    assert shell.array.operation(Command(line, "cliuser")) == "not a command"


@pytest.mark.parametrize(
    "line", ["no_such_verb", "create_volume --volume v", "get_pool", "get_volume stray", "create_volume --size x"]
)
def test_bad_options_are_refused_with_exit_status_0(shell, line):
    assert shell.key(line) == 1


def test_an_empty_value_is_what_is_left_out(shell):
    shell.copying()
    shell.clock.advance(1)
    assert shell.ok("delete_clone --volume v --snapshot ") is None
    shell.ok("create_snapshot --volume v --snapshot s")
    assert shell.ok("rollback_snapshot --volume  --snapshot s") is None


def test_operations_are_verbs(shell):
    assert shell.array.operation(Command("cinder get_volume --volume secret", "cliuser")) == "get_volume"


# System, ports, pools


def test_system_and_ports(shell):
    system = shell.ok("get_system")
    assert system["vendor"] == "TOYOU"
    assert system["system_id"].startswith("TY")
    controllers = shell.ok("ls_controller")
    assert [(item["id"], item["status"]) for item in controllers] == [("0", "online"), ("1", "online")]
    portals = shell.ok("ls_iscsi")
    assert [(item["ip"], item["ctrl_idx"], item["link"]) for item in portals] == [
        ("127.0.0.11", 0, "10 Gb/s"),
        ("127.0.0.12", 1, "10 Gb/s"),
    ]
    assert [set(item) & {"wwpn", "WWPN"} for item in shell.ok("ls_fc")] == [{"wwpn"}, {"WWPN"}] * 2
    assert shell.plane.identity.targets == {item["ip"]: controllers[item["ctrl_idx"]]["iscsi_name"] for item in portals}


def test_pools():
    shell = Shell(thick_pools=["pool_b"])
    assert shell.ok("get_pool --pool nowhere") == {}
    shell.volume("a", pool="pool_a")
    shell.volume("b", "3", pool="pool_b")
    thin, thick = (shell.ok(f"get_pool --pool pool_{letter}") for letter in "ab")
    assert (thin["thin"], thin["total_volumes"]) == ("Enabled", "1")
    assert "thin" not in thick
    assert int(thick["used_capacity"]) == 3 * GiB
    assert all(isinstance(value, str) for value in thick.values())


# Volumes


def test_a_volume(shell):
    shell.volume("v", "10")
    shell.volume("odd", "1.2")
    assert shell.shown("v", "nowhere", "odd") == {
        "v": {
            "id": "0000000001",
            "name": "v",
            "size_gb": "10",
            "size_mb": "10240",
            "status": "Online",
            "health": "Optimal",
            "r": "",
            "poolname": "pool_a",
            "has_clone": 0,
            "clone": "N/A",
            "clone_snap": "N/A",
            "type": "RAID Volume",
        },
        "odd": shell.shown("odd")["odd"],
    }
    assert shell.shown("odd")["odd"]["size_mb"] == "1228"
    assert shell.ok("get_volume") == []


def test_a_new_volume_is_initiating_for_a_while():
    shell = Shell(initialising_seconds=5)
    shell.volume()
    assert shell.shown("v")["v"]["status"] == "Initiating"
    shell.clock.advance(5)
    assert shell.shown("v")["v"]["status"] == "Online"


def test_what_cannot_be_made(shell):
    shell.volume()
    assert shell.key("create_volume --size 1 --volume v --pool pool_a --type 0") == 310
    assert shell.key("create_volume --size 1 --volume w --pool nowhere --type 0") == 101
    assert shell.key("create_volume --size 1 --volume w --pool pool_a --type 7") == 1
    assert shell.key("create_volume --size 0 --volume w --pool pool_a --type 0") == 1
    shell.array.set_full(True)
    assert shell.key("create_volume --size 1 --volume w --pool pool_a --type 0") == 102
    assert shell.key("extend_volume --size 9 --volume v") == 102


def test_a_pool_holds_96_volumes(shell):
    for number in range(96):
        shell.volume(f"v{number}")
    assert shell.key("create_volume --size 1 --volume w --pool pool_a --type 0") == 307
    shell.volume("w", pool="pool_b")


def test_extending(shell):
    shell.volume("v", "2")
    assert shell.key("extend_volume --volume v --size 1") == 321
    assert shell.key("extend_volume --volume v --size 2") == 322
    assert shell.key("extend_volume --volume w --size 3") == 303
    shell.ok("extend_volume --volume v --size 3")
    assert shell.shown("v")["v"]["size_gb"] == "3"


def test_names_and_types(shell):
    shell.volume("v")
    shell.volume("w", kind=10)
    assert shell.key("set_volume --volume nowhere --new_name x") == 303
    assert shell.key("set_volume --volume v --new_name w") == 310
    shell.ok("set_volume --volume v --type 2 --new_name adopted")
    shell.ok('set_volume --volume w --type "RAID Volume" --new_name grown-up')
    assert {item["name"]: item["type"] for item in shell.array.state()["volumes"]} == {
        "adopted": "RAID Volume",
        "grown-up": "RAID Volume",
    }


def test_deleting(shell):
    shell.volume()
    shell.ok("create_snapshot --volume v --snapshot s")
    assert shell.key("delete_volume --volume v") == 1
    shell.ok("delete_snapshot --volume v --snapshot s")
    shell.ok(f"create_lun_map --volume v --protocol iSCSI --host {IQN}")
    assert shell.key("delete_volume --volume v") == 1
    shell.ok("delete_lun_map --volume v --protocol iSCSI --host -1")
    assert shell.ok("delete_volume --volume v") is None
    assert shell.ok("delete_volume --volume v") is None
    assert shell.plane.bytes == {}


# Snapshots


def test_snapshots(shell):
    shell.volume("v")
    shell.volume("w")
    assert shell.key("create_snapshot --volume nowhere --snapshot s") == 303
    shell.ok("create_snapshot --volume v --snapshot s")
    assert shell.key("create_snapshot --volume w --snapshot s") == 508
    assert shell.key("delete_snapshot --volume w --snapshot s") == 505
    assert shell.key("delete_snapshot --volume nowhere --snapshot s") == 303
    shell.ok("delete_snapshot --volume v --snapshot s")
    assert shell.key("delete_snapshot --volume v --snapshot s") == 505


def test_a_volume_holds_64_snapshots(shell):
    shell.volume()
    for number in range(64):
        shell.ok(f"create_snapshot --volume v --snapshot s{number}")
    assert shell.key("create_snapshot --volume v --snapshot more") == 504


def test_reverting(shell):
    shell.volume("v")
    shell.volume("w")
    for name in ("old", "new"):
        shell.ok(f"create_snapshot --volume v --snapshot {name}")
    assert shell.key("rollback_snapshot --snapshot nothing --volume v") == 505
    assert shell.key("rollback_snapshot --snapshot new --volume nowhere") == 303
    assert shell.key("rollback_snapshot --snapshot new --volume w") == 507
    assert shell.key("rollback_snapshot --snapshot old --volume v") == 506
    shell.ok("rollback_snapshot --snapshot new --volume v")
    assert shell.shown("v")["v"]["status"] == "Rolling back"
    assert shell.key("delete_snapshot --volume v --snapshot new") == 1
    shell.clock.advance(1)
    assert shell.shown("v")["v"]["status"] == "Online"
    shell.ok("delete_snapshot --volume v --snapshot new")
    shell.ok("rollback_snapshot --snapshot old --volume v")


# Clones


def test_a_clone_shows_at_its_source():
    shell = Shell(copy_seconds=10)
    shell.copying()
    seen = shell.shown("v", "t")
    assert (seen["v"]["status"], seen["v"]["r"], seen["v"]["has_clone"], seen["v"]["clone"]) == ("Queued", "0", 1, "t")
    assert (seen["t"]["status"], seen["t"]["type"], seen["t"]["has_clone"]) == ("Online", "BACKUP", 0)
    shell.clock.advance(5)
    assert (shell.shown("v")["v"]["status"], shell.shown("v")["v"]["r"]) == ("Cloning", "50")
    assert shell.key("delete_clone --volume v --snapshot ") == 1
    shell.clock.advance(5)
    assert shell.shown("v")["v"]["status"] == "Online"
    assert shell.shown("t")["t"]["type"] == "BACKUP"
    shell.ok("delete_clone --volume v --snapshot ")
    assert shell.shown("t")["t"]["type"] == "RAID Volume"
    assert (shell.shown("v")["v"]["has_clone"], shell.shown("v")["v"]["clone_snap"]) == (0, "N/A")
    assert shell.array.state()["copies"] == []


def test_a_clone_of_a_snapshot_holds_its_moment():
    shell = Shell()
    shell.copying("s")
    wwns = {item["name"]: item["wwn"] for item in shell.array.state()["volumes"]}
    assert shell.shown("v")["v"]["clone_snap"] == "s"
    assert shell.key("delete_snapshot --volume v --snapshot s") == 1
    shell.clock.advance(1)
    assert shell.plane.bytes[wwns["t"]] == shell.plane.bytes[wwns["v"]]
    shell.ok("delete_clone --volume v --snapshot s")
    shell.ok("delete_snapshot --volume v --snapshot s")


def test_what_cannot_be_cloned(shell):
    shell.volume("v", "2")
    shell.volume("small", "1", kind=10)
    shell.volume("t", "2", kind=10)
    shell.volume("u", "2", kind=10)
    assert shell.key("create_clone --volume nowhere --clone t") == 304
    assert shell.key("create_clone --volume t --clone u") == 304
    assert shell.key("create_clone --volume v --clone nowhere") == 305
    assert shell.key("create_clone --volume v --clone v") == 305
    assert shell.key("create_clone --volume v --clone small") == 306
    assert shell.key("start_clone --volume v --snapshot ") == 1
    shell.ok("create_clone --volume v --clone t")
    assert shell.key("create_clone --volume v --clone u") == 1
    assert shell.key("start_clone --volume v --snapshot nothing") == 505
    assert shell.key("delete_volume --volume t") == 1
    assert shell.key("delete_volume --volume v") == 1
    assert shell.key("delete_clone --volume nowhere --snapshot ") == 303


def test_a_target_that_becomes_an_ordinary_volume_leaves_its_source(shell):
    shell.copying()
    shell.ok('set_volume --volume t --type "RAID Volume"')
    assert shell.shown("v")["v"]["has_clone"] == 0
    shell.ok("delete_volume --volume t")


# Maps


def test_maps_over_iscsi(shell):
    shell.volume()
    controllers = shell.ok("ls_controller")
    expected = {
        "lun": [1, 1],
        "iscsi_name": [item["iscsi_name"] for item in controllers],
        "portal": ["127.0.0.11:3260", "127.0.0.12:3260"],
    }
    assert shell.ok(f"create_lun_map --volume v --protocol iSCSI --host {IQN}") == expected
    assert shell.ok(f"create_lun_map --volume v --protocol iSCSI --host {IQN}") == expected
    assert shell.ok("create_lun_map --volume v --protocol iSCSI --host iqn.1994-05.com.example:n2") == expected
    assert {(access.lun, access.initiators) for access in shell.plane.accesses} == {
        (1, (IQN,)),
        (1, ("iqn.1994-05.com.example:n2",)),
    }


def test_maps_over_fc(shell):
    shell.volume("v")
    shell.volume("w")
    shell.ok(f"create_lun_map --volume v --protocol iSCSI --host {IQN}")
    assert shell.ok("create_lun_map --volume w --protocol FC --host 10000090FA000001 --host 10000090fa000002") == {"lun": 2}
    assert {access.initiators for access in shell.plane.accesses if access.lun == 2} == {
        ("10000090fa000001",),
        ("10000090fa000002",),
    }
    assert shell.key("delete_lun_map --volume w --protocol FC --host 10000090fa000001 --host 10000090fa000009") == 401
    shell.ok("delete_lun_map --volume w --protocol FC --host -1")
    assert {access.lun for access in shell.plane.accesses} == {1}


def test_what_cannot_be_mapped(shell):
    shell.volume()
    assert shell.key(f"create_lun_map --volume nowhere --protocol iSCSI --host {IQN}") == 303
    assert shell.key(f"create_lun_map --volume v --protocol iscsi --host {IQN}") == 1
    assert shell.key("create_lun_map --volume v --protocol iSCSI") == 1
    assert shell.key("create_lun_map --volume v --protocol iSCSI --host ") == 403
    assert shell.key(f"delete_lun_map --volume v --protocol iSCSI --host {IQN}") == 401
    assert shell.key("delete_lun_map --volume v --protocol FC --host -1") == 401


def test_a_new_array_has_nothing_of_the_old_one(shell):
    shell.copying()
    shell.ok(f"create_lun_map --volume v --protocol iSCSI --host {IQN}")
    shell.array.reset()
    assert all(not shell.array.state()[kind] for kind in ("volumes", "snapshots", "copies", "mappings"))
    assert (shell.plane.bytes, shell.plane.accesses) == ({}, ())
