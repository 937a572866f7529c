"""Simulated OceanStor arrays for their tests, and hosts."""

from __future__ import annotations

import pytest

from blockdrivers.model import Host
from tests.integration.huawei.lab import Lab
from tests.integration.labs import starting
from vendors.huawei.simulator import build

lab = starting(Lab, build, "OceanStor 5500 V5")


@pytest.fixture
def iscsi_host() -> Host:
    return Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")


@pytest.fixture
def fc_host() -> Host:
    return Host("cmp02", wwpns=("21000024ff000001", "21:00:00:24:ff:00:00:02"))
