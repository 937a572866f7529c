"""Runs pytest inside the guest and brings its results back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree import ElementTree

from tests.host.lab.guest import Guest
from tests.host.lab.processes import LabError

_REPORT = "/run/report"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test."""

    passed: bool
    said: str
    """The failure as pytest shows it, or what the test printed."""


def run_tests(guest: Guest, folder: str, file: str, environment: Mapping[str, str], *, timeout: float) -> Mapping[str, Result]:
    """Run a test file in a folder of the guest; return the result of each test by its file and name: ``test_nfs::test_it_grows``."""
    report = f"{_REPORT}.xml"
    options = ["--rootdir", folder, f"{folder}/{file}", "--junit-xml", report, "-o", "junit_logging=system-out"]
    said = _pytest(guest, options, environment, timeout)
    found = guest.run(f"cat {report}", check=False).stdout
    if not found:
        raise LabError(f"pytest in the guest gave no report; it said:\n{said}")
    return {
        f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}": _result(case)
        for case in ElementTree.fromstring(found).iter("testcase")
    }


def run_checks(
    guest: Guest, target: str, selection: str, *, timeout: float, environment: Mapping[str, str] = MappingProxyType({})
) -> Mapping[str, Result]:
    """Run checks of the conformance suite in the guest; return the result of each by its id.

    Args:
        guest: the machine that volumes are attached to.
        target: a description of what is tested, as JSON.
        selection: of checks.
        timeout: seconds for all of them.
        environment: variables of the process that runs them.
    """
    guest.write("/run/target.json", target, mode=0o600)
    lines = f"{_REPORT}.jsonl"
    options = ["-p", "conformance.suite.plugin", "--pyargs", "conformance.suite", "--conformance-target", "/run/target.json"]
    said = _pytest(guest, [*options, "--conformance-json", lines, "--conformance-select", selection], environment, timeout)
    outcomes = [json.loads(line) for line in guest.run(f"cat {lines}", check=False).stdout.splitlines()]
    found = {
        item["check"]: Result(item["result"] == "passed", f"{item['result']}: {item['detail']}")
        for item in outcomes
        if "check" in item
    }
    if not found:
        raise LabError(f"The suite in the guest judged nothing; it said:\n{said}")
    return found


def _pytest(guest: Guest, options: Sequence[str], environment: Mapping[str, str], timeout: float) -> str:
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    base = "mkdir -p /run/pytest && cd /run/pytest && touch pytest.ini && rm -f /run/report.*"
    command = f"python3 -W ignore -m pytest -q --no-header --tb=short -p no:cacheprovider -c pytest.ini {shlex.join(options)}"
    ended = guest.run(f"{base} && {settings} {command}", check=False, timeout=timeout)
    return f"{ended.stdout}\n{ended.stderr}"


def _result(case: ElementTree.Element) -> Result:
    wrong = [item for item in case if item.tag in {"failure", "error", "skipped"}]
    if wrong:
        return Result(False, "\n".join(item.text or item.get("message", "") for item in wrong))
    return Result(True, "".join(item.text or "" for item in case.iter("system-out")))
