"""Somebody else's distribution: built, installed, found through its entry point, driven and certified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SELECTED = "volume,size,naming,snapshot,clone,group,export,unexport,host,dependants,absent,reuse,qos,retype,manage,revert,chap"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict[str, str]:
    """Build a wheel of the example, install it into a folder of its own, and return an environment that sees it."""
    folder = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(HERE / "example")])
    wheel = next(folder.glob("example_array-*.whl"))
    run([*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)])
    return dict(os.environ) | {"PYTHONPATH": str(folder / "site")}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "backends.yaml"
    options = {"path": str(tmp_path / "array.sqlite")}
    file.write_text(yaml.safe_dump({"backends": {"outside": {"adapter": "example-file", "options": options}}}))
    return file


def run(command: list[str], environment: dict[str, str] | None = None, expected: int = 0) -> str:
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == expected, ended.stdout + ended.stderr
    return ended.stdout


def blockdrivers(environment: dict[str, str], *arguments: object, expected: int = 0) -> str:
    return run([sys.executable, "-m", "blockdrivers.cli.main", *map(str, arguments)], environment, expected)


def test_it_is_found_and_driven(installed, config):
    common = ("--config", config, "--json")
    blockdrivers(installed, *common, "volume", "create", "v1", "--size", "2GiB", "--pool", "pool_a")
    shown = json.loads(blockdrivers(installed, *common, "volume", "show", "v1"))
    assert (shown["size"], shown["pool"]) == (2 * 1024**3, "pool_a")
    blockdrivers(installed, *common, "volume", "delete", "v1")
    blockdrivers(installed, *common, "volume", "show", "v1", expected=6)


def test_without_it_the_adapter_is_unknown(config):
    ended = subprocess.run(
        [sys.executable, "-m", "blockdrivers.cli.main", "--config", str(config), "volume", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    assert "example-file" in ended.stderr
    assert "huawei-oceanstor" in ended.stderr


PROGRAM = """\
import sys
import blockdrivers
from blockdrivers import GiB, Host, Protocol
host = Host("h", iqn="iqn.1994-05.org.example:h")
with blockdrivers.open_backend(sys.argv[1]) as backend:
    sys.stdin.readline()
    shared = backend.create_volume("shared", GiB, "pool_a")
    for number in range(5):
        backend.create_volume(f"{sys.argv[2]}-{number}", GiB, "pool_a")
    backend.create_snapshot("s", "shared")
    print(shared.wwn, shared.id, backend.export("shared", host, Protocol.ISCSI).lun)
"""


def test_processes_that_share_one_array_make_everything_once(installed, config):
    command = [sys.executable, "-c", PROGRAM, str(config)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, f"p{number}"], env=installed, **pipes) for number in range(4)]
    try:
        for process in running:
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [0] * 4, ended
    assert len({said for said, _ in ended}) == 1
    volumes = json.loads(blockdrivers(installed, "--config", config, "--json", "volume", "list"))
    assert len(volumes) == 21
    assert len({volume["wwn"] for volume in volumes}) == len({volume["id"] for volume in volumes}) == 21


def test_a_file_that_is_no_array_is_told_apart(installed, config, tmp_path):
    (tmp_path / "array.sqlite").write_text("something else, longer than a header of a database file\n" * 9)
    blockdrivers(installed, "--config", config, "volume", "list", expected=12)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["iscsi", "fc"])
def test_it_is_certified(installed, config, tmp_path, protocol):
    hosts = {
        "iscsi": ["cmp01=iqn.1994-05.org.example:cmp01", "cmp02=iqn.1994-05.org.example:cmp02"],
        "fc": ["cmp01=21000024ff000001,21000024ff000002", "cmp02=21000024ff000003"],
    }[protocol]
    named = [part for host in hosts for part in ("--host", host)]
    blockdrivers(
        installed,
        *("--config", config, "certify", "Example File Array", "--protocol", protocol, "--output", tmp_path / "report"),
        *("--select", SELECTED, *named),
    )
    certificate = json.loads(next((tmp_path / "report").glob("*.json")).read_text())
    results = {outcome["result"] for outcome in certificate["outcomes"]}
    assert results <= {"passed", "not_applicable"}
    assert len(certificate["outcomes"]) > 60
    assert certificate["simulated"] is False
