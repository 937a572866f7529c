"""A simulated ACS5000 and the ways to open it."""

from __future__ import annotations

import json
from collections.abc import Callable

from blockdrivers.backend import Backend
from blockdrivers.model import Host
from blockdrivers.operations import Timeouts
from conformance.simulation.family import Command, Output
from tests.integration import labs
from vendors.toyou.driver import open_driver
from vendors.toyou.options import Acs5000Options

ISCSI_HOST = Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")
FC_HOST = Host("cmp02", wwpns=("21000024ff000001", "21:00:00:24:ff:00:00:02"))
POOL = "pool_a"


class Lab(labs.Lab):
    """One simulated array and the ways to open it."""

    def open(self, *, timeout: float = 20, **more: object) -> Backend:
        options = Acs5000Options(**self.reached(**more))
        return self.backend(open_driver(options, "lab"), Timeouts(timeout, timeout))

    def tell(self, line: str):
        """Say something to the array as any other client would."""
        answer = json.loads(self.array.family.handle(Command(f"cinder {line}", "cliuser")).stdout)
        assert answer["key"] == 0, answer
        return answer["arr"]

    def answering(self, verb: str, change: Callable[[Output], Output]) -> None:
        """Let every answer to a verb be changed on its way."""
        honest = self.array.family.handle

        def handle(request: Command) -> Output:
            output = honest(request)
            return change(output) if request.line.split()[1:2] == [verb] else output

        self.array.family.handle = handle

    def saying(self, verb: str, content: object) -> None:
        self.answering(verb, lambda _: Output(json.dumps({"key": 0, "msg": "", "arr": content})))

    def volumes(self) -> dict[str, str]:
        return {item["name"]: item["type"] for item in self.state("volumes")}
