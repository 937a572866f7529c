"""A simulated VSP, backends on it, and a session of somebody else's."""

from __future__ import annotations

from typing import Any

import requests

from blockdrivers.backend import Backend
from blockdrivers.model import Host
from blockdrivers.naming import Kind, array_name
from blockdrivers.operations import Timeouts
from tests.integration import labs
from vendors.hitachi import placement
from vendors.hitachi.driver import open_driver
from vendors.hitachi.options import VspOptions

ISCSI = Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")
FC = Host("cmp02", wwpns=("21000024ff000001", "21000024ff000002"))


class Lab(labs.Lab):
    """One simulated array, backends on it, and a session of somebody else's."""

    def open(self, **more: Any) -> Backend:
        driver = open_driver(VspOptions.model_validate(self.reached(**more)), "lab")
        return self.backend(driver, Timeouts(15, 15))

    def sent(self) -> dict[str, int]:
        return dict(self.array.counters.as_dict()["by_operation"])

    def count(self) -> None:
        self.array.counters.clear()

    def raw(self, method: str, path: str, body: object = None, token: str | None = None, **headers: str) -> requests.Response:
        management = self.array.ready["management"]
        login = None if token else (management["username"], management["password"])
        headers |= {"Authorization": f"Session {token}"} if token else {}
        url = f"{management['url']}/v1/objects/storages/{self.array.ready['storage_id']}/{path}"
        return requests.request(method, url, json=body, auth=login, headers=headers, verify=management["ca_file"], timeout=10)

    def admin(self, method: str, path: str, body: object = None) -> dict:
        """Have the array do something as another tool would, and wait for it."""
        waiting = {"Response-Max-Wait": "10", "Response-Job-Status": "Completed;"}
        return self.raw(method, path, body, **waiting).json()

    def labels(self) -> list[str]:
        return sorted(item["name"] for item in self.state("volumes") if item["name"] != "command-device")


def home(name: str, last: int = 32767) -> list[int]:
    """Return the LDEV ids that a volume's id prefers, most wanted first."""
    return list(next(placement.windows(array_name(Kind.VOLUME, name, 31), 0, last)))
