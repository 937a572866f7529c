"""A simulated MacroSAN array, backends on it, and somebody else at its interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from blockdrivers.backend import Backend
from blockdrivers.model import Host
from blockdrivers.operations import Timeouts
from conformance.simulation.family import Request, Response
from tests.integration import labs
from vendors.macrosan.driver import open_driver
from vendors.macrosan.options import MacroSanOptions

ISCSI = Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")
FC = Host("cmp02", wwpns=("21000024ff000001", "21000024ff000002"))


class Lab(labs.Lab):
    """One simulated array, backends on it, and somebody else at its interface."""

    def open(self, *, timeout: float = 20, unreachable: float = 10, **more: Any) -> Backend:
        driver = open_driver(MacroSanOptions.model_validate(self.reached(**more)), "lab")
        return self.backend(driver, Timeouts(timeout, timeout, unreachable))

    def tell(self, method: str, resource: str, **given: Any) -> Any:
        """Say something to the array as any other client would."""
        return tell(self.array.family, method, resource, **given)

    def answering(self, operation: str, answer: Callable[[Request, Response], Response]) -> None:
        """Let every answer to an operation be changed on its way."""
        honest = self.array.family.handle

        def handle(request: Request) -> Response:
            response = honest(request)
            return answer(request, response) if self.array.family.operation(request) == operation else response

        self.array.family.handle = handle

    def saying(self, operation: str, value: object) -> None:
        self.answering(operation, lambda *_: Response(json.dumps(value).encode()))

    def before(self, operation: str, step: Callable[[], object]) -> None:
        """Do something just before the array carries an operation out for the first time."""
        honest, waiting = self.array.family.handle, [step]

        def handle(request: Request) -> Response:
            if waiting and self.array.family.operation(request) == operation:
                waiting.pop()()
            return honest(request)

        self.array.family.handle = handle

    def luns(self) -> list[str]:
        return sorted(item["name"] for item in self.state("volumes"))

    def sent(self) -> list[str]:
        return [entry["operation"] for entry in self.array.counters.entries()]

    def clean(self) -> bool:
        return not any(self.state(kind) for kind in ("views", "copies", "mappings"))


def tell(family: Any, method: str, resource: str, **given: Any) -> Any:
    pairs = tuple((key, str(value)) for key, value in given.items())
    asks = method == "GET"
    answer = type(family).handle(
        family,
        Request(
            method,
            f"/api/v1/{resource}",
            dict(pairs) if asks else {},
            {"authorization": f"Bearer {family.username}{family.password}"},
            b"" if asks else json.dumps(given).encode(),
            parameters=pairs if asks else (),
        ),
    )
    assert answer.status == 200, answer.body
    return json.loads(answer.body)
