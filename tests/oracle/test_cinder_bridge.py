"""Every simulator under the suite, driven by the cinder package's own driver for that array, unmodified, through the bridge.

What fails is the simulator's fault until it is proven to be the driver's; then it stands in `families` with the reason, and has to fail.
Without ``--full``, the checks that ask most of a simulator; with it, the essential level and whatever else is an array's part.
"""

from __future__ import annotations

import re

import pytest

from blockdrivers.model import Protocol
from conformance.outcome import Result
from conformance.runner import all_checks
from conformance.suite.declare import selected
from tests.oracle.bridged import graded
from tests.oracle.families import FAMILIES, Family

FULL = {
    Protocol.ISCSI: "essential,clone,concurrency.volumes,data.revert,data.shared,data.sequences,dependants,export,revert,snapshot,"
    "unexport,volume",
    Protocol.FC: "clone,concurrency.volumes,export,snapshot,unexport,volume,revert",
}
"""Over FC there are no bytes here; what differs between protocols is how LUNs are mapped."""

FEW = {
    Protocol.ISCSI: "clone.volume,clone.snapshot,data.clone,data.snapshot,data.unexport,export.right_host,"
    "revert.newest,snapshot.delete,unexport,volume.create,volume.extend",
    Protocol.FC: "export.create,export.right_host,unexport",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a case of each family and protocol; without ``--full``, of one family for each driver."""
    full = metafunc.config.getoption("--full", default=False)
    cases = [(family, protocol) for family in FAMILIES if family.often or full for protocol in family.classes]
    metafunc.parametrize(("family", "protocol"), cases, ids=[f"{family.model}-{protocol}" for family, protocol in cases])


# Some drivers sleep for seconds after each answer that they do not like.
@pytest.mark.timeout(3600)
def test_the_suite_passes_but_for_what_that_driver_cannot(family: Family, protocol: Protocol, tmp_path, pytestconfig):
    selection = (FULL if pytestconfig.getoption("--full", default=False) else FEW)[protocol]
    chosen = {check.id for check in all_checks() if selected(check, selection)}
    outcomes = graded(family, protocol, tmp_path, selection)
    failed = {outcome.check.id: outcome.detail for outcome in outcomes if outcome.result is Result.FAILED}
    not_run = {outcome.check.id: outcome.detail for outcome in outcomes if outcome.result is Result.NOT_RUN}
    known = family.known_limits(protocol).keys() & chosen
    raced = {name for name, racy in family.racy.items() if name in failed and re.search(racy.says, failed[name])}
    unexpected = {name: detail[:1500] for name, detail in failed.items() if name not in {*known, *raced}}
    assert not unexpected, f"{len(unexpected)} checks failed: {unexpected}"
    assert failed.keys() - raced == known, f"listed as a limit of the driver, but passed: {sorted(known - failed.keys())}"
    assert set(not_run) == (family.unproven.keys() & chosen), f"not run: {not_run}"
    passed = [outcome for outcome in outcomes if outcome.result is Result.PASSED]
    assert len(passed) >= len(chosen) // 2, f"only {len(passed)} of {len(chosen)} checks passed; most do not seem to apply"
