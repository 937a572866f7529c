"""A client of the block storage API, as a user's program would be one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import requests

PROJECT = "0123456789abcdef0123456789abcdef"
ERRORS = frozenset({"error", "error_deleting", "error_extending", "error_restoring", "error_managing", "error_backing-up"})
AS_SERVICE = {"X-Service-Roles": "service"}
"""What Nova's own token brings; users may not take an instance's attachments away."""


@dataclass(frozen=True)
class Answer:
    """A status and the JSON that came with it."""

    status: int
    body: Any


class Api:
    """One version of the API, ``v3`` or ``v2``."""

    def __init__(self, root: str, version: str = "v3") -> None:
        self.root, self.version = root, version
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        micro: str | None = None,
        headers: dict[str, str] | None = None,
        project: str = PROJECT,
    ) -> Answer:
        """Send one request and return whatever comes."""
        sent = {"X-Auth-Token": f"admin:{PROJECT}", **(headers or {})}
        if micro:
            sent["OpenStack-API-Version"] = f"volume {micro}"
        url = f"{self.root}/{self.version}/{project}{path}" if project else f"{self.root}/{self.version}{path}"
        answer = self._session.request(method, url, json=body, headers=sent, timeout=60)
        try:
            return Answer(answer.status_code, answer.json() if answer.content else {})
        except requests.JSONDecodeError:
            return Answer(answer.status_code, answer.text)

    def get(self, path: str, **more: Any) -> Any:
        """GET, and return the answer, which must be one."""
        return self._good(self.ask("GET", path, **more), path)

    def post(self, path: str, body: Any, **more: Any) -> Any:
        """POST, and return the answer, which must be one."""
        return self._good(self.ask("POST", path, body, **more), path)

    def put(self, path: str, body: Any, **more: Any) -> Any:
        """PUT, and return the answer, which must be one."""
        return self._good(self.ask("PUT", path, body, **more), path)

    def delete(self, path: str, **more: Any) -> Any:
        """DELETE, which must be accepted."""
        return self._good(self.ask("DELETE", path, **more), path)

    def act(self, volume: str, action: str, body: Any = None, **more: Any) -> Any:
        """Ask for an action on a volume, which must be accepted."""
        return self.post(f"/volumes/{volume}/action", {action: body or {}}, **more)

    @staticmethod
    def _good(answer: Answer, path: str) -> Any:
        assert answer.status < 300, f"{path}: {answer}"
        return answer.body

    def show(self, kind: str, identifier: str, **more: Any) -> Any:
        """Return a volume, snapshot, backup or group as it is now."""
        return self.get(f"/{kind}s/{identifier}", **more)[kind]

    def wait(self, kind: str, identifier: str, *states: str, seconds: float = 240, **more: Any) -> Any:
        """Return the object once it is in one of these states (``available``); an error that is not among them ends the wait."""
        wanted, ends = set(states or ("available",)), time.monotonic() + seconds
        while (found := self.show(kind, identifier, **more))["status"] not in wanted:
            assert found["status"] not in ERRORS, found
            assert time.monotonic() < ends, f"still {found['status']}: {found}"
            time.sleep(0.1)
        return found

    def gone(self, kind: str, identifier: str, *, seconds: float = 240, **more: Any) -> None:
        """Return once the object is not there any more."""
        ends = time.monotonic() + seconds
        while (answer := self.ask("GET", f"/{kind}s/{identifier}", **more)).status != 404:
            assert answer.body[kind]["status"] not in ERRORS, answer
            assert time.monotonic() < ends, f"still there: {answer}"
            time.sleep(0.1)

    def remove(self, kind: str, identifier: str) -> None:
        """Delete an object and wait until it is gone."""
        self.delete(f"/{kind}s/{identifier}")
        self.gone(kind, identifier)
