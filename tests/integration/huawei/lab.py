"""A simulated OceanStor and the ways to open it."""

from __future__ import annotations

from typing import Any

from blockdrivers.backend import Backend
from tests.integration import labs
from vendors.huawei.driver import open_driver
from vendors.huawei.options import OceanStorOptions


class Lab(labs.Lab):
    """One simulated array and the ways to open it."""

    def options(self, **more: Any) -> OceanStorOptions:
        return OceanStorOptions.model_validate(self.reached(copy_speed=4, **more))

    def open(self, **more: Any) -> Backend:
        return self.backend(open_driver(self.options(**more), "lab"))

    def sent(self) -> int:
        return int(self.array.counters.as_dict()["requests"])

    def counting(self) -> None:
        self.array.counters.clear()
