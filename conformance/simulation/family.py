"""What one array family brings to its simulator: the array behind the front ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

RequestT_contra = TypeVar("RequestT_contra", contravariant=True)
ResponseT_co = TypeVar("ResponseT_co", covariant=True)


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
    parameters: tuple[tuple[str, str], ...] = ()
    """The query as it was written, for clients that repeat a key to give a list."""

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


@dataclass(frozen=True, slots=True)
class Command:
    """One management request over SSH."""

    line: str
    """As it was sent; what it means is the family's."""
    username: str
    controller: str = "A"
    """Which controller it came in at: ``A`` or ``B``."""


@dataclass(frozen=True, slots=True)
class Output:
    """The answer to a command. Bytes that are no UTF-8 stand as surrogate escapes."""

    stdout: str = ""
    stderr: str = ""
    status: int = 0
    code: str | None = None
    """The vendor's code, for the request log."""


class Handler(Protocol[RequestT_contra, ResponseT_co]):
    """Carries out what comes in at one kind of door; called by many threads."""

    def operation(self, request: RequestT_contra) -> str:
        """Return the request's name for counters, log and faults, ids and secrets left out: ``PUT /lun/expand``, ``mkvdisk``."""
        ...

    def handle(self, request: RequestT_contra) -> ResponseT_co:
        """Carry a request out."""
        ...

    def busy(self, request: RequestT_contra) -> ResponseT_co:
        """Answer as a busy array does; nothing is done."""
        ...

    def refusal(self, request: RequestT_contra, code: str) -> ResponseT_co:
        """Answer with that vendor code; nothing is done."""
        ...


@dataclass(frozen=True, slots=True)
class HttpDoor:
    """Management over HTTP(S), one address per controller."""

    handler: Handler[Request, Response]
    path: str = "/"
    """Of the management interface, such as ``/deviceManager/rest/``."""


@dataclass(frozen=True, slots=True)
class SshDoor:
    """Management over SSH, one address per controller; a command per exec request."""

    handler: Handler[Command, Output]
    max_connections: int | None = None
    """How many connections a controller bears; further ones are cut. None is any number."""


Door = HttpDoor | SshDoor


class Family(Protocol):
    """One simulated array; called by many threads.

    What it is managed through are its `doors` (`HasDoors`), or HTTP alone (`HttpFamily`).
    """

    model: str
    username: str
    password: str

    def expire_sessions(self, controller: str | None = None) -> None:
        """End the management sessions of one controller, or all; SSH connections are the front end's to cut."""
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


@runtime_checkable
class HasDoors(Protocol):
    """A family that says what it is managed through."""

    def doors(self) -> Sequence[Door]:
        """Return its doors, first the one that its adapter uses when nothing else is said; no two of one kind."""
        ...


@runtime_checkable
class HttpFamily(Handler[Request, Response], Protocol):
    """A family that is managed over HTTP alone."""

    management_path: str
    """See `HttpDoor`."""


def doors_of(family: Family) -> Sequence[Door]:
    """Return what an array is managed through."""
    if isinstance(family, HasDoors):
        return family.doors()
    if isinstance(family, HttpFamily):
        return (HttpDoor(family, family.management_path),)
    raise TypeError(f"{type(family).__name__} has no doors; see conformance.simulation.family")


def client_facts(pools: Iterable[str], portals: Sequence[Mapping[str, Any]], wwpns: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return what `Family.ready` tells of an array of LUNs.

    Args:
        pools: their names.
        portals: of iSCSI, each with its ``portal`` (``ip:port``) and what else clients of the family need.
        wwpns: of the FC ports.
        more: what the family tells besides, in place of what stands here.
    """
    names = {"iscsi": [portal["portal"] for portal in portals], "fc": list(wwpns)}
    return {"pools": list(pools), "iscsi": list(portals), "fc": list(wwpns), "nfs": [], "ports": names, **more}
