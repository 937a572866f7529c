"""Simulated OceanStor arrays on real sockets, and backends that drive them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from blockdrivers.backend import Backend
from blockdrivers.model import Host
from blockdrivers.operations import Timeouts
from conformance.simulation.opening import reaching
from conformance.simulation.server import SimulatedArray
from vendors.huawei.driver import open_driver
from vendors.huawei.options import OceanStorOptions
from vendors.huawei.simulator import build


@dataclass
class Lab:
    """One simulated array and the ways to open it."""

    array: SimulatedArray
    stack: ExitStack

    def options(self, **more: Any) -> OceanStorOptions:
        return OceanStorOptions.model_validate(
            {
                **reaching(self.array.ready),
                "copy_speed": 4,
            }
            | more
        )

    def open(self, **more: Any) -> Backend:
        backend = Backend(open_driver(self.options(**more), "lab"), "lab", timeouts=Timeouts(20, 20))
        return self.stack.enter_context(backend)

    def sent(self) -> int:
        return int(self.array.counters.as_dict()["requests"])

    def counting(self) -> None:
        self.array.counters.clear()


@pytest.fixture
def lab() -> Iterator[Callable[..., Lab]]:
    with ExitStack() as stack:

        def start(model: str = "OceanStor 5500 V5", **options: Any) -> Lab:
            return Lab(stack.enter_context(SimulatedArray(build(model, **options))), stack)

        yield start


@pytest.fixture
def iscsi_host() -> Host:
    return Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")


@pytest.fixture
def fc_host() -> Host:
    return Host("cmp02", wwpns=("21000024ff000001", "21:00:00:24:ff:00:00:02"))
