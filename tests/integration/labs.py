"""What the labs of all families share: an array that is started, backends on it, and a fixture that ends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from blockdrivers.backend import Backend
from blockdrivers.driver import Driver
from blockdrivers.operations import Timeouts
from conformance.simulation.family import Family
from conformance.simulation.opening import reaching
from conformance.simulation.server import SimulatedArray


@dataclass
class Lab:
    """One simulated array; its family's lab says how a driver is opened on it."""

    array: SimulatedArray
    stack: ExitStack

    def reached(self, **more: Any) -> dict[str, Any]:
        """Return the options by which a backend reaches the array at its first door, what its family needs besides, and `more`."""
        return reaching(self.array.ready) | self.array.ready.get("options", {}) | more

    def backend(self, driver: Driver, timeouts: Timeouts | None = None) -> Backend:
        """Return the driver's backend, which ends with the test."""
        return self.stack.enter_context(Backend(driver, "lab", timeouts=timeouts or Timeouts(20, 20)))

    def state(self, kind: str) -> list[Any]:
        return list(self.array.family.state()[kind])


def starting(kind: type[Lab], build: Callable[..., Family], usual: str) -> Callable[..., Any]:
    """Return the fixture `lab` of a family: a function that starts an array of a model, the usual one if none is named."""

    @pytest.fixture
    def lab() -> Iterator[Callable[..., Lab]]:
        with ExitStack() as stack:

            def start(model: str = usual, **options: Any) -> Lab:
                return kind(stack.enter_context(SimulatedArray(build(model, **options))), stack)

            yield start

    return lab
