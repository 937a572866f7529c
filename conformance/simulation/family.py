"""What one array family brings to its simulator: the array behind the front ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One management request over HTTP, decoded."""

    method: str
    path: str
    """With its leading slash, without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    controller: str = "A"
    """Which controller it came in at: ``A`` or ``B``."""

    def json(self) -> Any:
        """Return the body as JSON; an empty one is an empty object."""
        return json.loads(self.body) if self.body.strip() else {}


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    code: str | None = None
    """The vendor's code, for the request log."""


class Family(Protocol):
    """One simulated array; called by many threads."""

    model: str
    username: str
    password: str
    management_path: str
    """Path of the management interface, such as ``/deviceManager/rest/``."""

    def operation(self, request: Request) -> str:
        """Return the request's name for counters, log and faults, ids left out: ``PUT /lun/expand``."""
        ...

    def handle(self, request: Request) -> Response:
        """Carry a request out."""
        ...

    def busy(self, request: Request) -> Response:
        """Answer as a busy array does; nothing is done."""
        ...

    def refusal(self, request: Request, code: str) -> Response:
        """Answer with that vendor code; nothing is done."""
        ...

    def expire_sessions(self, controller: str | None = None) -> None:
        """End the management sessions of one controller, or all."""
        ...

    def set_full(self, full: bool) -> None:
        """Let every pool be and report itself full, or end that."""
        ...

    def set_licence(self, feature: str, usable: bool) -> None:
        """Grant or take a licence."""
        ...

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Say which FC initiators are logged in."""
        ...

    def state(self) -> Mapping[str, Any]:
        """Return the array's objects as plain data, without secrets."""
        ...

    def reset(self) -> None:
        """Become a new array."""
        ...

    def ready(self) -> Mapping[str, Any]:
        """Return what clients must be told: ``pools``, ``iscsi``, ``fc``, ``nfs``, ``ports``, ..."""
        ...
