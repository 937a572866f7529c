"""A client of a simulator's control API: faults on demand, counters, and the array's inside."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PATIENCE = 20.0
EVERY = 1_000_000
"""As a fault's count: until it is taken away."""


class Control:
    """The control API at one base URL; loopback only, so no proxies are asked."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def fault(self, kind: str, *, at: int = 1, count: int = 1, operation: str | None = None) -> None:
        """Arrange for a fault at the `at`-th request from now on, and `count` requests in all."""
        body: dict[str, Any] = {"kind": kind, "at": at, "count": count}
        if operation is not None:
            body["operation"] = operation
        self._send("POST", "/faults", body)

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are arranged, each with whether it was hit."""
        found = self._send("GET", "/faults")
        entries = found.get("faults", []) if isinstance(found, dict) else found
        return [dict(entry) for entry in entries]

    def clear(self) -> None:
        """Take every fault away; answers that were held back are sent."""
        self._send("DELETE", "/faults")

    @contextmanager
    def faulty(self, kind: str, *, at: int = 1, count: int = 1, operation: str | None = None) -> Iterator[None]:
        """Have a fault for the enclosed block."""
        self.fault(kind, at=at, count=count, operation=operation)
        try:
            yield
        finally:
            self.clear()

    def hit(self) -> bool:
        """Tell whether an arranged fault has been met by a request."""
        return any(entry.get("hit") for entry in self.faults())

    def requests(self) -> int:
        """Return how many requests the array has had so far."""
        return int(self.counters()["requests"])

    def counters(self) -> dict[str, Any]:
        """Return the request counters, in all and by operation."""
        return dict(self._send("GET", "/counters"))

    def state(self) -> dict[str, Any]:
        """Return a dump of the array."""
        return dict(self._send("GET", "/state"))

    def paths(self) -> dict[str, bool]:
        """Return whether each portal, and each FC port with bytes behind it, is up; empty where the array keeps no bytes."""
        return dict(self._send("GET", "/paths"))

    def set_path(self, path: str, *, up: bool) -> None:
        """Cut or heal one path of the array to its hosts."""
        self._send("PUT", "/paths", {"portal": path, "up": up})

    def heal_paths(self) -> None:
        """Heal every path that was cut."""
        for path, up in self.paths().items():
            if not up:
                self.set_path(path, up=True)

    def licence(self, feature: str, usable: bool) -> None:
        """Give the array a licence or take it away."""
        self._send("PUT", "/licence", {feature: usable})

    def latency(self, milliseconds: float) -> None:
        """Have the array answer that much later."""
        self._send("PUT", "/latency", {"ms": milliseconds})

    def _send(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the base is a simulator's loopback address
            self._base + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with self._opener.open(request, timeout=_PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else {}


def wait_for(what: str, probe: Any, *, seconds: float = _PATIENCE) -> None:
    """Wait until `probe` returns something true; fail with `what` when it does not in time."""
    end = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > end:
            raise AssertionError(f"Waited {seconds:g} s in vain for {what}.")
        time.sleep(0.005)
