"""The command line on a simulated FlashSystem, as an operator meets it: host keys, logins, both interfaces, a lost controller."""

from __future__ import annotations

import pytest
import requests
import yaml

from blockdrivers.errors import ConfigurationError, HostKeyError, LoginRefused
from tests.cli.conftest import run, simulated

HOST_KEY, LOGIN, CONFIGURATION = (kind.exit_code for kind in (HostKeyError, LoginRefused, ConfigurationError))


@pytest.fixture(scope="module")
def ready():
    with simulated("--no-data", model="FlashSystem 9100") as said:
        yield said


@pytest.fixture
def configure(ready, tmp_path):
    """Return a function that writes a configuration; what is None is left out."""
    ways = [ready["management"], ready["management2"]]

    def write(**options):
        plain = {
            "addresses": [f"{way['host']}:{way['port']}" for way in ways],
            "username": ways[0]["username"],
            "password": ways[0]["password"],
        }
        given = {name: value for name, value in (plain | options).items() if value is not None}
        file = tmp_path / "backends.yaml"
        entry = {"adapter": "ibm-spectrum-virtualize", "timeouts": {"unreachable": 0}, "options": given}
        file.write_text(yaml.safe_dump({"backends": {"hall": entry}}))
        file.chmod(0o600)
        return file

    return write


@pytest.fixture
def known_hosts(ready, tmp_path):
    file = tmp_path / "known_hosts"
    ways = [ready["management"], ready["management2"]]
    file.write_text("".join(f"[{way['host']}]:{way['port']} {way['host_key']}\n" for way in ways))
    return str(file)


def test_an_unknown_host_key_is_refused_in_one_sentence(configure, tmp_path):
    nobody = tmp_path / "nobody"
    nobody.touch()
    said = run("--config", configure(host_keys={"known_hosts": str(nobody)}), "volume", "list", status=HOST_KEY).err
    assert "is not known: it shows ecdsa-sha2-nistp256 SHA256:" in said
    assert len(said.strip().splitlines()) == 1


def test_a_wrong_password_is_refused_in_one_sentence(configure, known_hosts):
    config = configure(password="not-this", host_keys={"known_hosts": known_hosts})
    said = run("--config", config, "volume", "list", status=LOGIN).err
    assert "refused the password of 'superuser'" in said
    assert "not-this" not in said
    assert len(said.strip().splitlines()) == 1


def test_password_and_key_over_ssh_and_rest_meet_the_same_array(ready, configure, known_hosts):
    way = ready["rest"]
    by_password = {"host_keys": {"known_hosts": known_hosts}}
    by_key = by_password | {"password": None, "private_key_file": ready["management"]["private_key_file"]}
    over_rest = {"interface": "rest", "addresses": [way["url"], ready["rest2"]["url"]], "tls": {"ca_file": way["ca_file"]}}
    seen = []
    for number, options in enumerate((by_password, by_key, over_rest)):
        config = configure(**options)
        run("--config", config, "volume", "create", f"v{number}", "--size", "1GiB", "--pool", "pool_a")
        seen.append({volume["volume_id"] for volume in run("--config", config, "--json", "volume", "list").json})
    assert seen == [{"v0"}, {"v0", "v1"}, {"v0", "v1", "v2"}]
    for number in range(3):
        run("--config", config, "volume", "delete", f"v{number}")


@pytest.mark.parametrize("kind", ["failover", "drop_after"])
def test_a_lost_controller_is_not_noticed(ready, configure, known_hosts, kind):
    config = configure(host_keys={"known_hosts": known_hosts})
    faults = f"{ready['control']}/faults"
    requests.post(faults, json={"kind": kind, "operation": "mkvdisk*"}, timeout=5).raise_for_status()
    try:
        made = run("--config", config, "--json", "volume", "create", "w", "--size", "1GiB", "--pool", "pool_a").json
        assert made["volume_id"] == "w"
        assert [fault["hits"] for fault in requests.get(faults, timeout=5).json()] == [1]
    finally:
        requests.delete(faults, timeout=5).raise_for_status()
    assert len(run("--config", config, "--json", "volume", "list").json) == 1
    run("--config", config, "volume", "delete", "w")


def test_what_is_not_the_array_is_told_in_one_sentence(ready, configure):
    """The web interface's port where SSH was meant."""
    address = f"127.0.0.1:{ready['rest']['port']}"
    said = run(
        "--config", configure(addresses=[address], host_keys={"keys": [ready["management"]["host_key"]]}), "doctor", status=1
    ).out
    assert "no SSH session begins" in said
    config = configure(interface="rest", addresses=[address])
    assert run("--config", config, "volume", "list", status=CONFIGURATION).err.count("got") == 1
