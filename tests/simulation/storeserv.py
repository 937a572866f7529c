"""A session at a simulated StoreServ, without sockets and by a clock that only tests move."""

from __future__ import annotations

import json
from typing import Any

from tests.simulation.conftest import Clock, Events, request
from vendors.hpe.simulator import build, codes

OLD, NEW, THIN_ONLY = "3PAR StoreServ 7200", "3PAR StoreServ 8440", "ConvergedFabric 22035"
HEADER = "X-HP3PAR-WSAPI-SessionKey"
IQN, OTHER_IQN = "iqn.1994-05.org.example:a", "iqn.1994-05.org.example:b"
WWN = "21000024FF000001"


class Wsapi:
    """A session at one simulated array."""

    def __init__(self, model: str = NEW, **options: Any) -> None:
        self.clock, self.plane = Clock(), Events()
        self.array = build(model, clock=self.clock, data_plane=self.plane, **options)
        self.log_in()

    def log_in(self) -> int:
        body = {"user": self.array.username, "password": self.array.password}
        answer = self.array.handle(request("POST", "/api/v1/credentials", body))
        if answer.status == 201:
            self.headers = {HEADER.lower(): json.loads(answer.body)["key"]}
        return answer.status

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any, dict[str, str]]:
        answer = self.array.handle(request(method, f"/api/v1{path}", body, self.headers))
        return answer.status, json.loads(answer.body) if answer.body else None, dict(answer.headers)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, data, _ = self.send(method, path, body)
        assert status in {200, 201}, data
        return data

    def made(self, path: str, body: Any) -> str:
        """Make something; return what the array calls it."""
        status, data, headers = self.send("POST", path, body)
        assert status in {200, 201}, data
        return headers.get("Location", "").rpartition("/")[2]

    def code(self, method: str, path: str, body: Any = None) -> tuple[int, int]:
        status, data, _ = self.send(method, path, body)
        return status, data["code"] if isinstance(data, dict) and "code" in data else 0

    def volume(self, name: str = "v", mib: int = 1024, **more: Any) -> str:
        thin = {"tpvv": True} if not {"tpvv", "tdvv", "reduce"} & more.keys() else {}
        return self.made("/volumes", {"name": name, "cpg": "pool_a", "sizeMiB": mib, "snapCPG": "pool_a", **thin, **more})

    def snapshot(self, source: str = "v", name: str = "s", **more: Any) -> str:
        return self.made(f"/volumes/{source}", {"action": "createSnapshot", "parameters": {"name": name, **more}})

    def host(self, name: str = "h", iqn: str = IQN) -> str:
        return self.made("/hosts", {"name": name, "persona": 2, "iSCSINames": [iqn]})

    def export(self, volume: str = "v", host: str = "h", **more: Any) -> str:
        auto = {"lun": 0, "autoLun": True, "maxAutoLun": 0} if "lun" not in more else {}
        return self.made("/vluns", {"volumeName": volume, "hostname": host, **auto, **more})

    def members(self, path: str) -> list[dict[str, Any]]:
        found = self.ok("GET", path)
        assert found["total"] == len(found["members"])
        return found["members"]

    def names(self, path: str) -> list[str]:
        return [item["name"] for item in self.members(path)]


def refusal(code: codes.Code) -> tuple[int, int]:
    return code.status, code.number


def taking(name: str, **more: Any) -> dict[str, Any]:
    return {"action": "createSnapshot", "parameters": {"name": name, **more}}


def copying(target: str, **more: Any) -> dict[str, Any]:
    return {"action": "createPhysicalCopy", "parameters": {"destVolume": target, **more}}
