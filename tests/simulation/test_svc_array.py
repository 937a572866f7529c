"""The simulated Spectrum Virtualize and InStorage arrays at their command line: states over time, refusals by number, levels."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from conformance.simulation.family import Command, Request
from vendors.svc.simulator import build
from vendors.svc.simulator.profiles import PROFILES

FLASHSYSTEM, V3700, G2, G5 = "FlashSystem 9100", "Storwize V3700", "AS5500 G2", "AS5500 G5"
GB = "-mdiskgrp pool_a -iogrp 0 -size 1 -unit gb"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Shell:
    def __init__(self, model=FLASHSYSTEM, **options):
        self.clock = Clock()
        self.array = build(model, clock=self.clock, **options)
        self.door = self.array.doors()[0].handler

    def run(self, line):
        return self.door.handle(Command(line, "superuser"))

    def ok(self, line):
        output = self.run(line)
        assert (output.stderr, output.status) == ("", 0), line
        return output.stdout

    def refused(self, line):
        output = self.run(line)
        assert (output.stdout, output.status) == ("", 1), line
        assert output.stderr.startswith(output.code)
        return output.code

    def rows(self, line):
        header, *rows = self.ok(f"{line} -delim !").splitlines() or [""]
        return [dict(zip(header.split("!"), row.split("!"), strict=True)) for row in rows]

    def detail(self, line):
        first = self.ok(f"{line} -delim !").split("\n\n")[0]
        return dict(pair.split("!", 1) for pair in first.splitlines())

    def status(self, stem="fc", map_id="0"):
        return [row["status"] for row in self.rows(f"ls{stem}map -filtervalue id={map_id}")]

    def volumes(self, *names):
        for name in names:
            self.ok(f"mkvdisk -name {name} {GB} -rsize 2% -autoexpand")


@pytest.mark.parametrize(("model", "stem"), [(FLASHSYSTEM, "fc"), (G2, "lc")])
def test_the_states_of_a_mapping(model, stem):
    shell = Shell(model, prepare_seconds=2, copy_seconds=10, stop_seconds=1)
    shell.volumes("s", "t")
    word = {"fc": "FlashCopy", "lc": "LocalCopy"}[stem]
    assert shell.ok(f"mk{stem}map -source s -target t -copyrate 50") == f"{word} Mapping, id [0], successfully created\n"
    assert shell.status(stem) == ["idle_or_copied"]
    assert shell.refused(f"start{stem}map 0") == "CMMVC5903E"
    shell.ok(f"prestart{stem}map 0")
    assert shell.status(stem) == ["preparing"]
    for verb in ("start", "prestart", "rm"):
        assert shell.refused(f"{verb}{stem}map 0") == "CMMVC5903E"
    shell.clock.now += 2
    assert shell.status(stem) == ["prepared"]
    assert shell.refused(f"start{stem}map -prep 0") == "CMMVC5903E"
    shell.ok(f"start{stem}map 0")
    shell.clock.now += 5
    (row,) = shell.rows(f"ls{stem}map")
    assert (row["status"], row["progress"], bool(row["start_time"])) == ("copying", "50", True)
    assert shell.refused(f"rm{stem}map -force 0") == "CMMVC5903E"
    shell.ok(f"stop{stem}map 0")
    assert shell.status(stem) == ["stopping"]
    shell.clock.now += 1
    assert shell.status(stem) == ["stopped"]
    assert shell.detail("lsvdisk t")["status"] == "offline"
    assert shell.refused(f"rm{stem}map 0") == "CMMVC5903E"
    shell.ok(f"prestart{stem}map 0")
    shell.clock.now += 2
    shell.ok(f"start{stem}map 0")
    shell.clock.now += 10
    assert shell.status(stem) == ["idle_or_copied"]
    shell.ok(f"rm{stem}map 0")
    assert shell.refused(f"rm{stem}map 0") == "CMMVC5753E"


def test_a_mapping_without_background_copy_copies_for_ever_until_its_rate_is_raised():
    shell = Shell(copy_seconds=10)
    shell.volumes("s", "t")
    shell.ok("mkfcmap -source s -target t -copyrate 0 -autodelete")
    shell.ok("startfcmap -prep 0")
    shell.clock.now += 1000
    assert shell.status() == ["copying"]
    shell.ok("chfcmap -copyrate 50 0")
    shell.clock.now += 10
    assert shell.status() == []


def test_a_revert_needs_restore_while_others_are_active():
    shell = Shell()
    shell.volumes("v", "s1", "s2")
    for target in ("s1", "s2"):
        shell.ok(f"mkfcmap -source v -target {target} -copyrate 0")
    shell.ok("startfcmap -prep 0")
    shell.ok("startfcmap -prep 1")
    shell.ok("mkfcmap -source s1 -target v -copyrate 50 -autodelete")
    assert shell.refused("startfcmap -prep 2") == "CMMVC5903E"
    shell.ok("startfcmap -prep -restore 2")
    shell.clock.now += 1
    assert len(shell.rows("lsfcmap")) == 2


def test_mappings_that_cannot_be():
    shell = Shell()
    shell.volumes("a", "b", "c")
    shell.ok(f"mkvdisk -name big {GB.replace('-size 1', '-size 2')}")
    assert shell.refused("mkfcmap -source a -target big") == "CMMVC5924E"
    assert shell.refused("mkfcmap -source a -target a") == "CMMVC6303E"
    assert shell.refused("mkfcmap -source a -target nowhere") == "CMMVC5754E"
    shell.ok("mkfcmap -source a -target b")
    assert shell.refused("mkfcmap -source c -target b") == "CMMVC6466E"
    assert shell.refused("mkfcmap -source a -target c -copyrate 151") == "CMMVC5767E"
    assert shell.refused("rmvdisk a") == "CMMVC5840E"
    shell.ok("rmvdisk -force a")
    assert shell.rows("lsfcmap") == []


def test_a_group_has_the_status_of_its_mappings():
    shell = Shell(prepare_seconds=1)
    shell.volumes("a", "b", "s", "t")
    shell.ok("mkfcconsistgrp -name g")
    assert shell.refused("mkfcconsistgrp -name g") == "CMMVC6035E"
    assert shell.detail("lsfcconsistgrp g")["status"] == "empty"
    assert shell.refused("startfcconsistgrp -prep g") == "CMMVC5903E"
    for source, target in (("a", "s"), ("b", "t")):
        shell.ok(f"mkfcmap -source {source} -target {target} -copyrate 0 -consistgrp g")
    assert shell.refused("startfcmap -prep 0") == "CMMVC5903E"
    shell.ok("prestartfcconsistgrp g")
    assert shell.detail("lsfcconsistgrp g")["status"] == "preparing"
    shell.clock.now += 1
    assert shell.detail("lsfcconsistgrp g")["status"] == "prepared"
    shell.ok("startfcconsistgrp g")
    assert shell.detail("lsfcconsistgrp g")["status"] == "copying"
    assert shell.refused("rmfcconsistgrp g") == "CMMVC5903E"
    shell.ok("rmfcconsistgrp -force g")
    assert [row["group_name"] for row in shell.rows("lsfcmap")] == ["", ""]
    assert shell.refused("rmfcconsistgrp g") == "CMMVC5753E"


@pytest.mark.parametrize(("model", "expected"), [(FLASHSYSTEM, None), (V3700, "CMMVC5840E"), (G2, "CMMVC5840E"), (G5, None)])
def test_growing_under_a_mapping(model, expected):
    shell = Shell(model)
    stem = PROFILES[model].words.stem
    shell.volumes("s", "t")
    shell.ok(f"mk{stem}map -source s -target t -copyrate 0")
    shell.ok(f"start{stem}map -prep 0")
    output = shell.run("expandvdisksize -size 1 -unit gb s")
    assert output.code == expected
    assert shell.rows("lsvdisk -bytes -filtervalue name=s")[0]["capacity"] == str((1 if expected else 2) * 2**30)


@pytest.mark.parametrize(
    ("model", "verb"),
    [(FLASHSYSTEM, "lsportip"), (V3700, "lsip"), (V3700, "lsfcportsetmember"), (G2, "lstargetportfc"), (G2, "mkfcmap")],
)
def test_what_a_level_does_not_have(model, verb):
    assert Shell(model).refused(verb) == "CMMVC7205E"


def test_prefixes_are_the_vendors_own_or_none():
    shell = Shell(G2)
    assert shell.rows("mcsinq lsiogrp") == shell.rows("lsiogrp")
    assert shell.run("svcinfo lsiogrp").status == 127
    assert Shell(FLASHSYSTEM).rows("svcinfo lsiogrp")


def test_names_and_parameters_that_are_wrong():
    shell = Shell()
    assert shell.refused(f"mkvdisk -name 1a {GB}") == "CMMVC6527E"
    assert shell.refused(f"mkvdisk -name {'x' * 64} {GB}") == "CMMVC5738E"
    assert shell.refused(f"mkvdisk -name 卷 {GB}") == "CMMVC6017E"
    assert shell.refused(f"mkvdisk -name a {GB} -what 1") == "CMMVC5709E"
    assert shell.refused("mkvdisk -name a -mdiskgrp") == "CMMVC5707E"
    assert shell.refused("mkvdisk -name a -mdiskgrp pool_z -size 1") == "CMMVC5754E"
    assert shell.refused(f"mkvdisk -name a {GB.replace('-iogrp 0', '-iogrp 3')}") == "CMMVC5729E"
    assert shell.refused("rmvdisk") == "CMMVC5701E"
    assert shell.refused("lsvdisk -filtervalue nothing -delim !") == "CMMVC5741E"
    assert shell.refused("chvdisk -name b -warning 3% a") in {"CMMVC5713E", "CMMVC5753E"}


def test_kinds_and_pools():
    shell = Shell()
    reducing = GB.replace("pool_a", "pool_d")
    shell.ok(f"mkvdisk -name a {reducing} -rsize 2% -autoexpand -compressed -deduplicated")
    for more in ("-warning 0%", "-grainsize 256", "-easytier on"):
        assert shell.refused(f"mkvdisk -name b {reducing} -rsize 2% -autoexpand {more}") == "CMMVC9236E"
    assert shell.refused(f"mkvdisk -name b {GB} -rsize 2% -deduplicated") == "CMMVC9301E"
    assert shell.refused(f"mkvdisk -name b {GB} -rsize 2% -intier on") == "CMMVC5709E"
    shell.array.set_licence("compression", usable=False)
    assert shell.refused(f"mkvdisk -name b {GB} -rsize 2% -compressed") == "CMMVC7050E"
    shell.array.set_full(True)
    assert shell.refused(f"mkvdisk -name b {GB}") == "CMMVC5860E"


@pytest.mark.parametrize(("model", "taken"), [(FLASHSYSTEM, "CMMVC6578E"), (G2, "CMMVC6581E")])
def test_hosts_and_mappings(model, taken):
    shell = Shell(model)
    shell.volumes("v", "w")
    shell.ok("mkhost -force -iscsiname iqn.1994-05.com.x:a -name h1")
    shell.ok("mkhost -force -hbawwpn 21000024FF000001:21000024FF0000AA -name h2")
    assert shell.refused("mkhost -iscsiname iqn.1994-05.com.x:a -name h3") == taken
    assert shell.refused("mkhost -force -hbawwpn 21000024FF000001 -name h3") == "CMMVC6035E"
    assert shell.refused("mkhost -hbawwpn 21000024FF0000BB -name h3") == "CMMVC5867E"
    assert shell.refused("mkhost -force -iscsiname iqn.1994-05.com.x:b -name h1") == "CMMVC6035E"
    shell.ok("addhostport -force -iscsiname iqn.1994-05.com.x:b h2")
    shell.ok("mkvdiskhostmap -host h1 -scsi 3 v")
    assert shell.refused("mkvdiskhostmap -host h2 v") == "CMMVC6071E"
    assert shell.refused("mkvdiskhostmap -host h1 v") == "CMMVC5878E"
    assert shell.refused("mkvdiskhostmap -host h1 -scsi 3 w") == "CMMVC5879E"
    shell.ok("mkvdiskhostmap -force -host h2 v")
    shell.ok("mkvdiskhostmap -host h1 w")
    assert {(row["host_name"], row["SCSI_id"]) for row in shell.rows("lsvdiskhostmap v")} == {("h1", "3"), ("h2", "0")}
    assert [row["SCSI_id"] for row in shell.rows("lshostvdiskmap h1")] == ["3", "0"]
    assert shell.refused("rmhost h1") == "CMMVC5871E"
    assert shell.refused("rmvdisk v") == "CMMVC5840E"
    shell.ok("rmvdiskhostmap -host h2 v")
    assert shell.refused("rmvdiskhostmap -host h2 v") == "CMMVC5842E"
    shell.ok("rmhost h2")
    assert [row["name"] for row in shell.rows("lshost")] == ["h1"]
    assert {row["name"] for row in shell.rows("lsfabric -wwpn 21000024FF000001")} == {""}


def test_a_second_copy_and_its_predecessor():
    shell = Shell(copy_seconds=5)
    shell.volumes("v")
    assert shell.ok("addvdiskcopy -mdiskgrp pool_b -autodelete v") == "Vdisk [0] copy [1] successfully created\n"
    assert shell.detail("lsvdisk v")["mdisk_grp_name"] == "many"
    assert [row["sync"] for row in shell.rows("lsvdiskcopy v")] == ["yes", "no"]
    assert shell.rows("lsvdisksyncprogress -copy 1 v")[0]["progress"] == "0"
    assert shell.refused("addvdiskcopy -mdiskgrp pool_c v") == "CMMVC5786E"
    assert shell.refused("rmvdiskcopy -copy 0 v") == "CMMVC5840E"
    shell.clock.now += 5
    assert shell.detail("lsvdisk v")["mdisk_grp_name"] == "pool_b"
    assert shell.refused("lsvdiskcopy -copy 0 v -delim !") == "CMMVC6353E"


def test_several_commands_on_a_line():
    shell = Shell()
    output = shell.run("lsvdisk nowhere; echo ==$?; lsiogrp -nohdr -delim !; echo ==$?")
    assert output.stdout.startswith("==1\n0!io_grp0!")
    assert output.stdout.endswith("==0\n")
    assert (output.stderr.split()[0], output.status) == ("CMMVC5754E", 0)
    assert shell.door.operation(Command("lsvdisk nowhere; echo ==$?; lsiogrp", "u")) == "lsvdisk+lsiogrp"
    for line in ("lsvdisk | cat", "lsvdisk > /tmp/x", "lsvdisk && lsvdisk", "lsvdisk 'open", "(lsvdisk)"):
        assert shell.run(line).status == 1
    assert Shell(joins=False).run("lsvdisk; lsvdisk").status == 2


def post(array, path, body="", **headers):
    request = Request("POST", f"/rest/v1/{path}", headers={name.replace("_", "-"): value for name, value in headers.items()})
    return array.doors()[1].handler.handle(
        Request("POST", request.path, headers=request.headers, body=body.encode(), controller="A")
    )


def test_rest_has_the_same_verbs_and_texts():
    array = build(FLASHSYSTEM)
    login = post(array, "auth", x_auth_username=array.username, x_auth_password=array.password)
    token = login.body.decode().split('"')[3]
    assert post(array, "auth", x_auth_username="x", x_auth_password="y").status == 401
    assert post(array, "lsvdisk").status == 403
    made = post(
        array,
        "mkvdisk",
        '{"name": "v", "mdiskgrp": "pool_a", "iogrp": "0", "size": "1", "unit": "gb", "rsize": "2%", "autoexpand": true}',
        x_auth_token=token,
    )
    assert made.body == b'{"id": "0", "message": "Virtual Disk, id [0], successfully created"}'
    import json

    volume, copy = json.loads(post(array, "lsvdisk/v", '{"bytes": true}', x_auth_token=token).body)
    assert (volume["capacity"], copy["tiers"][0]["tier"]) == (str(2**30), "tier0_flash")
    assert post(array, "rmvdisk/v", "null", x_auth_token=token).body == b""
    gone = post(array, "lsvdisk/v", "", x_auth_token=token)
    assert (gone.status, gone.code) == (404, "CMMVC5754E")
    assert post(array, "mkvdisk", '{"name": ["v"]}', x_auth_token=token).status == 400
    assert post(array, "mkvdisk", "[1]", x_auth_token=token).status == 400
    assert len(build(V3700).doors()) == 1


class Machine(RuleBasedStateMachine):
    """Whatever is sent, the array keeps its books: names once, mappings between volumes of one size, LUNs once a host."""

    names = st.sampled_from(["a", "b", "c"])
    hosts = st.sampled_from(["h", "i"])

    @initialize(model=st.sampled_from([FLASHSYSTEM, G2]))
    def begin(self, model):
        self.shell = Shell(model, prepare_seconds=1, copy_seconds=3, stop_seconds=1)
        self.stem = PROFILES[model].words.stem
        for number, host in enumerate("hi"):
            self.shell.ok(f"mkhost -force -iscsiname iqn.1994-05.com.x:{number} -name {host}")

    @rule(name=names, size=st.integers(1, 2))
    def make(self, name, size):
        self.shell.run(f"mkvdisk -name {name} -mdiskgrp pool_a -size {size} -unit gb")

    @rule(name=names, force=st.booleans())
    def remove(self, name, force):
        self.shell.run(f"rmvdisk {'-force ' if force else ''}{name}")

    @rule(name=names)
    def grow(self, name):
        self.shell.run(f"expandvdisksize -size 1 -unit gb {name}")

    @rule(source=names, onto=names, rate=st.sampled_from([0, 50]), autodelete=st.booleans())
    def join(self, source, onto, rate, autodelete):
        flag = "-autodelete" if autodelete else ""
        self.shell.run(f"mk{self.stem}map -source {source} -target {onto} -copyrate {rate} {flag}")

    @rule(
        verb=st.sampled_from(["prestart", "start", "start -prep", "start -prep -restore", "stop", "rm", "rm -force"]),
        number=st.integers(0, 2),
    )
    def drive(self, verb, number):
        word, _, flags = verb.partition(" ")
        flags = f" {flags}" if flags else ""
        self.shell.run(f"{word}{self.stem}map{flags} {number}")

    @rule(name=names, host=hosts, map_=st.booleans())
    def show(self, name, host, map_):
        self.shell.run(f"{'mkvdiskhostmap -force' if map_ else 'rmvdiskhostmap'} -host {host} {name}")

    @rule(seconds=st.sampled_from([0.5, 1, 5]))
    def wait(self, seconds):
        self.shell.clock.now += seconds

    @invariant()
    def the_books_are_right(self):
        if not hasattr(self, "shell"):
            return
        sizes = {row["id"]: row["capacity"] for row in self.shell.rows("lsvdisk -bytes")}
        names = [row["name"] for row in self.shell.rows("lsvdisk")]
        assert len(set(names)) == len(names)
        targets = [row["target_vdisk_id"] for row in self.shell.rows(f"ls{self.stem}map")]
        assert len(set(targets)) == len(targets)
        for row in self.shell.rows(f"ls{self.stem}map"):
            assert {row["source_vdisk_id"], row["target_vdisk_id"]} <= sizes.keys()
            assert 0 <= int(row["progress"]) <= 100
        for host in "hi":
            luns = [row["SCSI_id"] for row in self.shell.rows(f"lshostvdiskmap {host}")]
            assert len(set(luns)) == len(luns)


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
