"""The conformance suite's checks of attached volumes, run in the guest's kernel on an array outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockdrivers.model import Host, Protocol
from conformance.suite.declare import declared_checks
from conformance.suite.settings import Settings
from conformance.target import Target
from tests.host.conftest import FC_STRANGER, INITIATOR
from tests.host.lab import fc
from tests.host.lab.inside import run_checks
from tests.host.lab.project import CONFIG

PROTOCOLS = (Protocol.ISCSI, Protocol.FC)
SECONDS = 1500
ONE_PATH = ("attach.bytes", "attach.reused_lun", "attach.extended")
"""Where multipathd does not run, these show what is different."""


CHECKS = [item.check.id for item in declared_checks() if item.check.id.startswith("attach.")]
CASES = [pytest.param(protocol, check, id=f"{protocol}-{check}") for protocol in PROTOCOLS for check in CHECKS]


def target(array, protocol, **settings):
    other = Host("cmp02", iqn="iqn.1994-05.org.example:cmp02", wwpns=(FC_STRANGER,))
    hosts = (Host("guest", iqn=INITIATOR, wwpns=fc.INITIATORS), other)
    pool, second, *_ = array["pools"]
    found = Target(Path(CONFIG), "simulated", protocol, pool, second, hosts, array["control"], array["model"], attach=True)
    return Settings(found, **settings).to_json()


@pytest.fixture(scope="module")
def found():
    """Results of the checks by protocol; each protocol's are run when the first of them is asked for."""
    return {}


@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize(("protocol", "check"), CASES)
def test_check(guest, array, found, protocol, check):
    if protocol not in found:
        guest.run("host-programs multipath")
        found[protocol] = run_checks(guest, target(array, protocol), ",".join(CHECKS), timeout=SECONDS)
    result = found[protocol][check]
    assert result.passed, result.said


@pytest.mark.timeout(SECONDS)
def test_without_multipathd(guest, array):
    guest.run("host-programs no-multipath")
    found = run_checks(guest, target(array, Protocol.ISCSI), ",".join(ONE_PATH), timeout=SECONDS)
    assert set(found) == set(ONE_PATH)
    failed = {check: result.said for check, result in found.items() if not result.passed}
    assert not failed
