"""The command line as a person and a script use it, in real processes against a real simulator."""

from __future__ import annotations

import json
import os
import re

import pytest
import yaml

from tests.cli.conftest import run, simulated

GIB = 1024**3


def test_models_as_json():
    rows = run("models", "--json").json
    assert [row["row"] for row in rows] == list(range(1, 64))
    row = rows[7]
    assert (row["vendor"], row["model"], row["classes"]) == ("Huawei", "OceanStor 5500 V5", {"FC-SAN": "A", "IP-SAN": "B"})
    assert row["adapter"] == "huawei-oceanstor"
    assert rows[62]["adapter"] == "none yet"


def test_a_volume_s_life(config):
    common = ("--config", config, "--json")
    made = run(*common, "volume", "create", "卷-1", "--size", "2GiB", "--pool", "pool_a").json
    assert (made["size"], made["volume_id"]) == (2 * GIB, "卷-1")
    assert run(*common, "volume", "extend", "卷-1", "--size", "3GiB").json["size"] == 3 * GIB
    run(*common, "snapshot", "create", "s1", "--volume", "卷-1")
    assert [item["snapshot_id"] for item in run(*common, "snapshot", "list").json] == ["s1"]
    export = run(
        *common, "export", "create", "卷-1", "--host", "cmp01", "--protocol", "iscsi", "--iqn", "iqn.1994-05.org.example:cli01"
    ).json
    assert export["lun"] >= 1
    refused = run(*common, "volume", "delete", "卷-1", status=8)
    assert refused.json["error"] == "InUse"
    run(*common, "export", "delete", "卷-1", "--host", "cmp01", "--protocol", "iscsi")
    run(*common, "snapshot", "delete", "s1")
    run(*common, "volume", "delete", "卷-1")
    run(*common, "export", "remove-host", "cmp01")
    assert run(*common, "volume", "list").json == []
    assert run(*common, "sweep").json["leftovers"] == []


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("volume", "show", "absent"), 6, "absent"),
        (("volume", "create", "v", "--size", "1", "--pool", "pool_a"), 4, "1 to 65536 GiB"),
        (("volume", "create", "v", "--size", "ten", "--pool", "pool_a"), 2, "ten"),
        (("volume", "create", "v", "--size", "1GiB", "--pool", "pool_z"), 4, "pool_a"),
        (("export", "create", "v", "--host", "h", "--protocol", "nfs"), 5, "nfs"),
        (("frobnicate",), 2, "frobnicate"),
    ],
)
def test_an_error_is_one_clear_line(config, arguments, status, says):
    said = run("--config", config, *arguments, status=status)
    lines = said.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert "Traceback" not in said.err


def test_a_traceback_only_when_asked_for(config):
    assert "Traceback" in run("--config", config, "--debug", "volume", "show", "absent", status=6).err


def test_without_configuration(tmp_path):
    assert "BLOCKDRIVERS_CONFIG" in run("volume", "list", status=3).err
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("backends:\n  a: {adapter: nothing}\n")
    assert "line 2" in run("--config", wrong, "volume", "list", status=3).err


def test_a_wrong_password(config):
    text = re.sub(r"password: \S+", "password: wrong-word", config.read_text())
    config.write_text(text)
    said = run("--config", config, "volume", "list", status=13)
    assert "wrong-word" not in said.err
    findings = run("--config", config, "--json", "doctor", status=1).json
    assert [item["status"] for item in findings if item["check"] == "credentials"] == ["fail"]


def test_doctor_finds_a_healthy_array(config):
    findings = run("--config", config, "--json", "doctor").json
    assert {item["check"] for item in findings} >= {"address", "tls", "credentials", "system", "licences", "pools", "ports"}
    assert all(item["status"] in {"ok", "warn"} for item in findings)
    assert all(item["advice"] for item in findings if item["status"] == "warn")


def test_doctor_says_what_to_trust(config):
    plain = yaml.safe_load(config.read_text())
    del plain["backends"]["hall"]["options"]["tls"]
    config.write_text(yaml.safe_dump(plain))
    said = run("--config", config, "doctor", status=1)
    assert "tls.ca_file" in said.out
    assert re.search(r"[0-9a-f]{64}", said.out)


def test_facts_and_request(config, tmp_path):
    run("--config", config, "collect", "--model", "OceanStor 5500 V5", "--output", tmp_path / "facts")
    facts = yaml.safe_load((tmp_path / "facts" / "facts.yaml").read_text())
    assert facts["listed"][0]["classes"] == {"FC-SAN": "A", "IP-SAN": "B"}
    assert len(facts["pools"]) == 4
    password = yaml.safe_load(config.read_text())["backends"]["hall"]["options"]["password"]
    written = "".join(path.read_text() for path in (tmp_path / "facts").iterdir())
    assert password not in written
    assert "存储阵列" in written
    project = tmp_path / "project.yaml"
    project.write_text(run("request", "--template").out)
    mail = run("request", "--project", project, "--facts", tmp_path / "facts" / "facts.yaml", "--format", "text").out
    assert "OceanStor 5500 V5" in mail
    assert "对接存储是否在兼容性列表中: 是" in mail


def test_checks_are_listed_with_what_they_prove():
    checks = run("checks", "--json").json
    assert len(checks) >= 60
    assert {check["level"] for check in checks} == {"essential", "mandatory", "standard"}
    assert all(check["requirement"] and check["title_zh"] for check in checks)


def test_an_unknown_model_cannot_be_simulated():
    assert "OceanStor 5500 V5" in run("simulate", "OceanStor 5500 V99", status=4).err


def test_portals_have_to_be_addresses():
    assert "hall" in run("simulate", "OceanStor 5500 V5", "--portals", "127.0.0.1,hall", status=4).err


def test_the_options_of_fc_go_together():
    assert "give all three" in run("simulate", "OceanStor 5500 V5", "--fc-target", "http://127.0.0.1:1", status=4).err


@pytest.mark.parametrize("more", [[], ["--no-data"]])
def test_portals_are_where_they_were_asked_for(more):
    # One network for each process of the tests: two with the same portals cannot stand side by side.
    portals = [f"127.254.{os.getpid() % 256}.{last}" for last in (11, 12)]
    with simulated("--portals", ",".join(portals), *more) as ready:
        assert [portal["portal"] for portal in ready["iscsi"]] == [f"{ip}:3260" for ip in portals]
        assert ready["data_plane"]["iscsi"] is (not more)


def test_simulate_says_all_that_clients_need(ready):
    assert set(ready) >= {"model", "management", "management2", "pools", "iscsi", "fc", "nfs", "control", "ports"}
    assert set(ready["management"]) == {"protocol", "host", "port", "url", "username", "password", "ca_file", "host_key"}
    assert ready["management"]["url"].endswith("/deviceManager/rest/")
    assert len(ready["iscsi"]) == 2
    json.dumps(ready)
