"""Round trips on the happy path: what the project promises of OceanStor V5, counted by the simulator."""

from __future__ import annotations

import pytest

from benchmarks.round_trips import POOL, rows
from blockdrivers.model import GiB, Host, Protocol


@pytest.fixture
def counted(lab, iscsi_host, fc_host):
    started = lab("OceanStor 5500 V5")
    array = started.open()
    for name in ("v0", "v2", "v3"):
        array.create_volume(name, GiB, POOL)
    array.create_snapshot("s3", "v3")
    array.export("v0", Host("warm", iqn="iqn.1994-05.org.example:warm"), Protocol.ISCSI)
    found = {}
    for row in rows((iscsi_host, fc_host)):
        started.counting()
        row.run(array)
        found[row.title] = (started.sent(), row.target)
    return found


def test_no_operation_needs_more_than_its_target(counted):
    assert {title: pair for title, pair in counted.items() if pair[1] is not None and pair[0] > pair[1]} == {}
