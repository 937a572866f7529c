"""The tests of `tests/host/inside`, each reported here under its own name."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from tests.host.lab import fc
from tests.host.lab.inside import run_tests
from tests.host.lab.project import CONFIG

FOLDER = Path(__file__).with_name("inside")
SECONDS = 1500


def names(file):
    return [
        node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if getattr(node, "name", "").startswith("test_")
    ]


TESTS = [
    pytest.param(file.stem, name, id=f"{file.stem}-{name}".replace("test_", ""))
    for file in sorted(FOLDER.glob("test_*.py"))
    for name in names(file)
]


@pytest.fixture(scope="module")
def found():
    """Results by file; the tests of a file are run when the first of them is asked for."""
    return {}


def run_file(file, guest, array, nfs, share):
    export, folder = nfs
    told = {
        "config": CONFIG,
        "control": array["control"],
        "pool": array["pools"][0],
        "wwpns": fc.INITIATORS,
        "nfs_export": export,
        "nfs_folder": f"/share/{folder.relative_to(share)}",
    }
    guest.put(FOLDER, "/opt/inside")
    guest.run("host-programs multipath")
    return run_tests(guest, "/opt/inside", f"{file}.py", {"HOST_TESTS": json.dumps(told)}, timeout=SECONDS)


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize(("file", "name"), TESTS)
def test_inside(guest, array, nfs, share, found, file, name):
    if file not in found:
        found[file] = run_file(file, guest, array, nfs, share)
    mine = {key: result for key, result in found[file].items() if key.split("[")[0] == f"{file}::{name}"}
    assert mine, f"pytest in the guest did not run {name}"
    failed = {key: result.said for key, result in mine.items() if not result.passed}
    assert not failed, "\n\n".join(f"{key}:\n{said}" for key, said in failed.items())
    for result in mine.values():
        sys.stdout.writelines(f"{line}\n" for line in result.said.splitlines() if line.startswith("MEASURED"))
