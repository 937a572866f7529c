"""A simulated OceanStor spoken to in its own words, without sockets and by a clock that only tests move."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from conformance.simulation.dataplane import Access, Identity
from conformance.simulation.family import Request
from vendors.huawei.simulator import build

GIB_SECTORS = 2 * 1024 * 1024
V3, V5, DORADO_V3, V6 = "OceanStor 5500 V3", "OceanStor 5500 V5", "Dorado 5000 V3", "Dorado 18500 V6"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Events:
    """A data plane that writes down what it is told; bytes are one marker per object."""

    def __init__(self) -> None:
        self.bytes: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.accesses: tuple[Access, ...] = ()

    def create(self, wwn: str, size: int) -> None:
        self.bytes[wwn], self.sizes[wwn] = "", size

    def delete(self, wwn: str) -> None:
        del self.bytes[wwn]
        self.sizes.pop(wwn, None)

    def resize(self, wwn: str, size: int) -> None:
        self.sizes[wwn] = size

    def copy(self, source: str, target: str) -> None:
        self.bytes[target] = self.bytes[source]

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        for volume, snapshot in pairs:
            self.bytes[snapshot] = self.bytes[volume]

    def exchange(self, first: str, second: str) -> None:
        self.bytes[first], self.bytes[second] = self.bytes[second], self.bytes[first]

    def identify(self, identity: Identity) -> None:
        self.identity = identity

    def serve(self, accesses: Sequence[Access]) -> None:
        self.accesses = tuple(accesses)


class Wire:
    """A session at one simulated array."""

    def __init__(self, model: str, **options: Any) -> None:
        self.clock, self.plane = Clock(), Events()
        self.array = build(model, clock=self.clock, data_plane=self.plane, **options)
        self.log_in()

    def log_in(self, controller: str = "A") -> None:
        body = {"username": self.array.username, "password": self.array.password, "scope": "0"}
        answer = self.array.handle(request("POST", "/deviceManager/rest/xx/sessions", body, controller=controller))
        data = json.loads(answer.body)["data"]
        cookie = dict(answer.headers)["Set-Cookie"].partition(";")[0]
        self.device = data["deviceid"]
        self.headers = {"ibasetoken": data["iBaseToken"], "cookie": cookie}

    def envelope(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send one request; `path` with its query, below the device id unless it begins with /api."""
        base = "" if path.startswith("/api/") else f"/deviceManager/rest/{self.device}"
        answer = self.array.handle(request(method, base + path, body, self.headers))
        assert answer.status == 200
        envelope = json.loads(answer.body)
        assert answer.code == str(envelope["error"]["code"])
        return envelope

    def code(self, method: str, path: str, body: Any = None) -> int:
        return self.envelope(method, path, body)["error"]["code"]

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed; return its data, or None where there is no data key."""
        envelope = self.envelope(method, path, body)
        assert envelope["error"]["code"] == 0, envelope
        return envelope.get("data")

    # What most tests need first

    def lun(self, name: str = "v", gib: int = 1, pool: str = "0", **more: Any) -> str:
        given = {"NAME": name, "PARENTID": pool, "CAPACITY": gib * GIB_SECTORS, "ALLOCTYPE": 1} | more
        return self.ok("POST", "/lun", given)["ID"]

    def snapshot(self, lun: str, name: str = "s", *, active: bool = True) -> str:
        made = self.ok("POST", "/snapshot", {"NAME": name, "PARENTTYPE": "11", "PARENTID": lun})["ID"]
        if active:
            self.ok("POST", "/snapshot/activate", {"SNAPSHOTLIST": [made]})
        return made

    def host(self, name: str = "cmp01") -> str:
        return self.ok("POST", "/host", {"NAME": name, "OPERATIONSYSTEM": "0"})["ID"]

    def group(self, resource: str, name: str = "g") -> str:
        return self.ok("POST", f"/{resource}", {"NAME": name})["ID"]

    def add_lun(self, group: str, lun: str, kind: str = "11") -> None:
        self.ok("POST", "/lungroup/associate", {"ID": group, "ASSOCIATEOBJTYPE": kind, "ASSOCIATEOBJID": lun})

    def add_host(self, group: str, host: str) -> None:
        self.ok("POST", "/hostgroup/associate", {"ID": group, "ASSOCIATEOBJTYPE": "21", "ASSOCIATEOBJID": host})

    def join(self, view: str, kind: str, group: str) -> None:
        self.ok("PUT", "/MAPPINGVIEW/CREATE_ASSOCIATE", {"ID": view, "ASSOCIATEOBJTYPE": kind, "ASSOCIATEOBJID": group})

    def mapped(self, host: str, *luns: str, name: str = "m") -> tuple[str, str, str]:
        """Map LUNs to a host by groups and a view of that name; return host group, LUN group and view."""
        hosts, lungroup, view = self.group("hostgroup", name), self.group("lungroup", name), self.group("mappingview", name)
        self.add_host(hosts, host)
        for lun in luns:
            self.add_lun(lungroup, lun)
        self.join(view, "14", hosts)
        self.join(view, "256", lungroup)
        return hosts, lungroup, view

    def seen(self, host: str) -> dict[str, int]:
        """Return LUN id -> host LUN id of what a host sees."""
        items = self.ok("GET", f"/lun/associate?TYPE=11&ASSOCIATEOBJTYPE=21&ASSOCIATEOBJID={host}") or []
        return {item["ID"]: json.loads(item["ASSOCIATEMETADATA"])["HostLUNID"] for item in items}


def request(method: str, target: str, body: Any = None, headers: dict[str, str] | None = None, controller: str = "A") -> Request:
    parts = urlsplit(target)
    return Request(
        method=method,
        path=unquote(parts.path),
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers=headers or {},
        body=b"" if body is None else json.dumps(body).encode(),
        controller=controller,
    )


@pytest.fixture
def wire() -> Callable[..., Wire]:
    return Wire
