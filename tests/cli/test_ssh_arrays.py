"""The command line on an array that is managed over SSH: what it serves, what the doctor sees, and what the probe tells."""

from __future__ import annotations

import pytest
import requests
import yaml

from conformance.simulation.family import SshDoor
from conformance.simulation.server import SimulatedArray
from tests.cli.conftest import run, simulated
from tests.simulation.test_ssh_door import Shell, Toy


@pytest.fixture(scope="module")
def ready():
    with simulated("--no-data", model="ACS5000") as said:
        yield said


@pytest.fixture
def configure(tmp_path):
    def write(ready, **options):
        ways = [ready["management"], ready["management2"]]
        file = tmp_path / "backends.yaml"
        plain = {
            "addresses": [f"{way['host']}:{way['port']}" for way in ways],
            "username": ways[0]["username"],
            "password": ways[0]["password"],
            "host_keys": {"keys": [way["host_key"] for way in ways]},
            "pools": ready.get("pools", ["pool_a"]),
        }
        file.write_text(yaml.safe_dump({"backends": {"hall": {"adapter": "toyou-acs5000", "options": plain | options}}}))
        file.chmod(0o600)
        return file

    return write


def test_the_ready_line(ready):
    way = ready["management"]
    assert (way["protocol"], way["url"]) == ("ssh", f"ssh://{way['host']}:{way['port']}")
    assert way["host_key"].startswith("ecdsa-sha2-nistp256 ")
    assert ready["management2"]["port"] != way["port"]
    assert ready["options"] == {"pools": ready["pools"]}


def test_a_volume_s_life(ready, configure):
    config = configure(ready)
    made = run("--config", config, "--json", "volume", "create", "v", "--size", "2GiB", "--pool", "pool_a").json
    assert (made["volume_id"], made["wwn"]) == ("v", None)
    run("--config", config, "snapshot", "create", "s", "--volume", "v")
    assert "of_volume" in run("--config", config, "snapshot", "delete", "s", status=4).err
    wanted = ("--snapshot", "s", "--of-volume", "v", "--pool", "pool_b")
    assert run("--config", config, "--json", "volume", "from-snapshot", "c", *wanted).json["pool"] == "pool_b"
    run("--config", config, "snapshot", "delete", "s", "--of-volume", "v")
    iqn = "iqn.1994-05.org.example:h"
    run("--config", config, "export", "create", "v", "--host", "h", "--protocol", "iscsi", "--iqn", iqn)
    assert "initiators" in run("--config", config, "export", "delete", "v", "--host", "h", "--protocol", "iscsi", status=4).err
    run("--config", config, "export", "delete", "v", "--host", "h", "--protocol", "iscsi", "--iqn", iqn)
    assert "cannot list volumes" in run("--config", config, "volume", "list", status=5).err
    for name in ("v", "c"):
        run("--config", config, "volume", "delete", name)


def test_doctor_finds_a_healthy_array(ready, configure):
    findings = run("--config", configure(ready), "--json", "doctor").json
    assert {item["check"] for item in findings} >= {"address", "host key", "credentials", "system", "pools", "ports"}
    assert {item["status"] for item in findings} <= {"ok", "warn", "unknown"}
    assert [item["status"] for item in findings if item["check"] == "host key"] == ["ok", "ok"]


def test_doctor_says_which_host_key_is_shown(ready, configure):
    other = {"fingerprints": ["SHA256:" + "A" * 43]}
    findings = run("--config", configure(ready, host_keys=other), "--json", "doctor", status=1).json
    seen = [item for item in findings if item["check"] == "host key"]
    assert [item["status"] for item in seen] == ["fail", "fail"]
    assert all("ecdsa-sha2-nistp256 SHA256:" in item["saw"] for item in seen)
    off = run("--config", configure(ready, host_keys={"verify": False}), "--json", "doctor").json
    assert [item["status"] for item in off if item["check"] == "host key"] == ["warn", "warn"]


def test_collect_holds_no_secret(ready, configure):
    facts = run("--config", configure(ready), "collect", "--model", "ACS5000").out
    assert ready["management"]["password"] not in facts
    assert yaml.safe_load(facts)["listed"][0]["classes"] == {"FC-SAN": "A", "IP-SAN": "A"}


def test_the_probe_of_what_is_no_acs5000_only_reads(configure):
    shell = Shell()
    with SimulatedArray(Toy(SshDoor(shell))) as array:
        findings = run("--config", configure(array.ready), "--json", "doctor", status=1).json
        asked = set(array.counters.as_dict()["by_operation"])
    (credentials,) = (item for item in findings if item["check"] == "credentials")
    assert credentials["status"] == "fail"
    assert "adapter is the right one" in credentials["advice"]
    assert asked == {"login", "cinder"}
    assert shell.changes == []


def test_the_probe_of_an_acs5000_only_reads(ready, configure):
    """Also where the pool that the configuration names is not there: nobody knows one before."""
    counters = f"{ready['control']}/counters"
    requests.delete(counters, timeout=5).raise_for_status()
    config = configure(ready, pools=["any"])
    findings = run("--config", config, "--json", "doctor", status=1).json
    told = {item["check"]: (item["status"], item["saw"]) for item in findings}
    assert (told["credentials"][0], told["system"][0], told["pools"]) == ("ok", "ok", ("fail", "there is no pool"))
    run("--config", config, "collect", "--model", "NCS9000")
    asked = set(requests.get(counters, timeout=5).json()["by_operation"])
    assert asked == {"login", "get_system", "ls_controller", "get_pool", "ls_iscsi", "ls_fc"}


def test_models_say_what_is_unknown():
    shown = {row["model"]: (row["adapter"], row["probe"]) for row in run("--json", "models", "--vendor", "TOYOU").json}
    assert shown["ACS5000"] == ("toyou-acs5000", None)
    assert shown["NCS9000"] == shown["NetStor iSUMA A1600"] == ("unknown", "toyou-acs5000")
