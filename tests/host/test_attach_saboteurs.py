"""The checks of attached volumes are themselves tested: each catches a defect that it is there to catch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from blockdrivers.model import Protocol
from tests.host.lab.inside import run_checks
from tests.host.test_attach_checks import CHECKS, target

FOLDER = Path(__file__).with_name("inside")
SECONDS = 300


def caught_by():
    """Return the checks that have a saboteur, read without importing what is made for the guest."""
    tree = ast.parse((FOLDER / "saboteurs.py").read_text(encoding="utf-8"))
    decorators = [item for node in tree.body if isinstance(node, ast.FunctionDef) for item in node.decorator_list]
    return [item.args[0].value for item in decorators]


def test_every_check_has_one():
    assert sorted(caught_by()) == sorted(CHECKS)


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("check", caught_by())
def test_a_defect_is_caught(guest, array, check):
    guest.put(FOLDER, "/opt/inside")
    guest.run("host-programs multipath")
    environment = {"PYTHONPATH": "/opt/inside", "BLOCKDRIVERS_ATTACH_SABOTEUR": check}
    pointed = target(array, Protocol.ISCSI, opener="saboteurs:open_sabotaged")
    try:
        found = run_checks(guest, pointed, check, timeout=SECONDS, environment=environment)
    finally:
        guest.reboot()
    assert not found[check].passed
    assert found[check].said.startswith("failed"), found[check].said
