"""A simulated array of the WSAPI family, the ways to open it, and somebody else's client."""

from __future__ import annotations

from typing import Any

from blockdrivers.backend import Backend
from blockdrivers.model import Host
from blockdrivers.naming import Kind, array_name
from tests.integration import labs
from vendors.hpe.client import WsapiClient
from vendors.hpe.driver import open_driver
from vendors.hpe.options import WsapiOptions

OLD, NEW, THIN_ONLY = "3PAR StoreServ 7200", "3PAR StoreServ 8440", "ConvergedFabric 22035"
POOL, OTHER = "pool_a", "pool_b"
ISCSI = Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")
FC = Host("cmp02", wwpns=("21000024ff000001", "21:00:00:24:ff:00:00:02"))


class Lab(labs.Lab):
    """One simulated array, the ways to open it, and somebody else's client."""

    def options(self, **more: Any) -> WsapiOptions:
        return WsapiOptions.model_validate(self.reached(**more))

    def open(self, **more: Any) -> Backend:
        return self.backend(open_driver(self.options(**more), "lab"))

    @property
    def admin(self) -> WsapiClient:
        client = WsapiClient(self.options(), "admin")
        self.stack.callback(client.close)
        return client

    def operations(self) -> list[str]:
        return [entry["operation"] for entry in self.array.counters.entries()]


def volume_name(identifier: str) -> str:
    return array_name(Kind.VOLUME, identifier, 31)


def host_name(identifier: str) -> str:
    return array_name(Kind.HOST, identifier, 31)
