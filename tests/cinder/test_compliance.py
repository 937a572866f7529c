"""The compliance tests that ship inside the cinder package, and what they leave out."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.cinder.conftest import INSIDE


@pytest.fixture(scope="module")
def report(cinder_python, tmp_path_factory):
    command = [str(cinder_python), "-W", "ignore", str(INSIDE / "compliance.py")]
    folder = tmp_path_factory.mktemp("compliance")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=folder)
    assert ended.returncode == 0, ended.stderr[-4000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_cinders_own_compliance_tests_pass_with_each_of_our_drivers(report):
    ran = [name.rpartition(".")[2] for name in report["ran"]]
    assert ran == [*(f"test_volume_driver_compliance_{number}" for number in (1, 2, 3)), "test_volume_driver_decorator"]
    assert (report["failed"], report["skipped"]) == ([], 0)


def test_every_method_of_every_interface_is_ours_with_the_arguments_that_cinder_gives(report):
    assert report["differences"] == []
