"""A simulated StoreServ: sessions, routing and the parts that answer. Source: protocol sheet, sections 1 and 3.1."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.simulation.dataplane import DataPlane
from conformance.simulation.engine import Array, OutOfSpace
from conformance.simulation.family import Request, Response, client_facts
from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.copies import Copies
from vendors.hpe.simulator.cpgs import Cpgs
from vendors.hpe.simulator.hosts import Hosts
from vendors.hpe.simulator.ports import Ports
from vendors.hpe.simulator.profiles import PROFILES, WITHOUT_SNAP_CPG
from vendors.hpe.simulator.remotecopy import RemoteCopy
from vendors.hpe.simulator.sets import GroupSnapshots, Rules, Sets
from vendors.hpe.simulator.system import System
from vendors.hpe.simulator.tasks import Tasks
from vendors.hpe.simulator.vluns import Vluns
from vendors.hpe.simulator.volumes import Volumes
from vendors.hpe.simulator.wire import Answer, Call, Handler, Refusal

_ROOT = "/api/v1"
_HEADER = "x-hp3par-wsapi-sessionkey"
_SERIALS = itertools.count(secrets.randbits(40))
_ITEM_AT = (1, 3)
"""Places in a path that name one object; the others name resources."""


@dataclass(frozen=True, slots=True)
class Options:
    """How one simulated array is set up; see `build`."""

    pools: Mapping[str, int]
    fabric: tuple[str, ...]
    copy_seconds: float
    portals: tuple[str, ...]
    fc_ports: tuple[str, ...] | None
    limited: bool
    tagged: bool
    first_lun: int
    last_lun: int
    max_volumes: int
    session_seconds: float
    max_sessions: int
    closes: bool
    rules_hold_sets: bool
    queries: bool


@dataclass(slots=True)
class Session:
    """A key, where it holds, and when it was used last."""

    controller: str
    used: float


class StoreServ:
    """One array at the wire; see `conformance.simulation.family.Family`."""

    management_path = _ROOT

    def __init__(self, model: str, options: Options, data_plane: DataPlane, clock: Callable[[], float]) -> None:
        self.model = model
        self.username = "3paradm"
        self.password = secrets.token_urlsafe(12)
        self._options = options
        self._data_plane = data_plane
        self._clock = clock
        self._profile = PROFILES[model]
        self._guard = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._begin()

    def reset(self) -> None:
        """Become a new array; what the old one served is served no more."""
        with self._array.lock:
            self._array.clear()
            self._begin()

    def _begin(self) -> None:
        serial = next(_SERIALS) & (2**60 - 1)
        options, profile = self._options, self._profile
        self._array = array = Array(serial, options.pools, self._data_plane, self._clock, ())
        self._system = System(array, profile, serial % 10_000_000, lambda: len(self._sessions))
        self._cpgs = Cpgs(array, profile, limited=options.limited)
        self._volumes = Volumes(array, profile, self._cpgs, self._system, options.max_volumes)
        self._tasks = Tasks(array, self.username)
        self._copies = Copies(array, profile, self._volumes, self._cpgs, self._tasks, self._system, options.copy_seconds)
        self._ports = Ports(array, options.portals, options.fc_ports, tagged=options.tagged)
        self._hosts = Hosts(array, self._ports, options.fabric)
        self._volume_sets = Sets(
            "volumesets", lambda name: self._volumes.find(name).id, lambda member: self._volumes.by_id(member).name
        )
        self._host_sets = Sets("hostsets", lambda name: self._hosts.find(name).id, lambda member: self._array.hosts[member].name)
        self._rules = Rules(self._volume_sets, self._system)
        self._vluns = Vluns(
            array,
            self._ports,
            self._hosts,
            self._volumes,
            self._volume_sets,
            self._host_sets,
            first_lun=options.first_lun,
            last_lun=options.last_lun,
        )
        self._remote_copy = RemoteCopy(self._volumes, self._system)
        self._connect()
        self._routes: dict[tuple[str, str], Handler] = {}
        for part in (
            self._system,
            self._cpgs,
            self._volumes,
            self._copies,
            self._tasks,
            self._ports,
            self._hosts,
            self._volume_sets,
            self._host_sets,
            GroupSnapshots(self._volume_sets, self._volumes),
            self._rules,
            self._vluns,
            self._remote_copy,
        ):
            self._routes.update(part.routes())
        with self._guard:
            self._sessions.clear()

    def _connect(self) -> None:
        """Let the parts ask each other what hangs on their objects."""
        vluns = self._vluns
        self._volumes.use(
            busy=self._tasks.hold,
            written=self._tasks.write_to,
            copied_from=self._copies.copied_from,
            exported=vluns.exports,
            grouped=lambda volume_id: bool(self._volume_sets.holding(volume_id)),
            replicated=self._remote_copy.group_of,
        )
        self._hosts.use(has_exports=vluns.host_has_exports, set_of=self._host_sets.holding, serve=vluns.serve)
        rules_hold = self._options.rules_hold_sets
        self._volume_sets.use(
            exported=lambda set_id: vluns.set_is_exported("volume", set_id),
            ruled=lambda set_id: rules_hold and self._rules.hang_on(set_id),
            changed=vluns.serve,
            removed=self._rules.drop,
        )
        self._host_sets.use(exported=lambda set_id: vluns.set_is_exported("host", set_id), changed=vluns.serve)

    # The front end's side

    def operation(self, request: Request) -> str:
        """Return the method and the resource without names, with the action where the body has one; a query is counted apart."""
        resource, _ = _resource(request.path)
        queried = "?query" if "query" in request.query else ""
        return f"{request.method} /{resource}{queried}{_action(request)}"

    def handle(self, request: Request) -> Response:
        """Carry a request out under the array's lock."""
        try:
            answer = wire.response(self._answer(request))
        except Refusal as refusal:
            answer = wire.refused(refusal.code, refusal.text, refusal.ref)
        except OutOfSpace:
            answer = wire.refused(codes.NO_SPACE)
        if not self._options.closes:
            return answer
        return Response(answer.body, answer.status, (*answer.headers, ("Connection", "close")), answer.code)

    def busy(self, request: Request) -> Response:
        """Answer that the system is busy."""
        return wire.refused(codes.BUSY)

    def refusal(self, request: Request, code: str) -> Response:
        """Answer with that code."""
        return wire.refused(codes.BY_NUMBER[int(code)])

    def expire_sessions(self, controller: str | None = None) -> None:
        """End sessions."""
        with self._guard:
            for key, session in list(self._sessions.items()):
                if controller in {None, session.controller}:
                    del self._sessions[key]

    def set_full(self, full: bool) -> None:
        """Fill every CPG, or end that."""
        self._array.full = full

    def set_licence(self, feature: str, usable: bool) -> None:
        """Grant or take a licence."""
        self._system.licences[feature] = usable

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Say which FC initiators are logged in."""
        with self._array.lock:
            self._hosts.set_fabric(wwpns)

    def set_link(self, portal: str, *, up: bool) -> None:
        """Take the iSCSI port with that IP address down, or bring it back."""
        with self._array.lock:
            self._ports.set_link(portal, up=up)

    def fail_tasks(self) -> None:
        """Let every task that is under way fail."""
        with self._array.lock:
            self._tasks.fail()

    def forget_tasks(self) -> None:
        """Forget every task, as a restart of the management software does; what was under way has not been done."""
        with self._array.lock:
            self._tasks.forget()

    def ready(self) -> Mapping[str, Any]:
        """Return pools, portals and FC ports."""
        portals, wwpns = self._ports.portals(), list(self._ports.fc.values())
        return client_facts([pool.name for pool in self._array.pools.values()], portals, wwpns)

    def state(self) -> Mapping[str, Any]:
        """Return every object, by kind."""
        with self._array.lock:
            self._settle()
            with self._guard:
                sessions = len(self._sessions)
            return {
                "pools": self._cpgs.state(),
                "volumes": self._volumes.state(),
                "snapshots": self._volumes.snapshot_state(),
                "copies": self._tasks.state(),
                "hosts": self._hosts.state(),
                "initiators": self._hosts.initiator_state(),
                "groups": [*self._volume_sets.state(), *self._host_sets.state()],
                "mappings": self._vluns.state(),
                "qos": self._rules.state(),
                "replication": self._remote_copy.state(),
                "sessions": sessions,
            }

    def _settle(self) -> None:
        self._tasks.settle()
        self._volumes.settle()

    # Sessions and routing

    def _answer(self, request: Request) -> Any:
        resource, names = _resource(request.path)
        if resource.startswith("credentials"):
            return self._session(request, names)
        if request.path.rstrip("/") == "/api":
            if self._profile.build >= WITHOUT_SNAP_CPG:
                self._authorise(request)
            return self._system.version()
        if not request.path.startswith(f"{_ROOT}/"):
            raise Refusal(codes.NO_RESOURCE)
        self._authorise(request)
        with self._array.lock:
            self._settle()
            handler = self._routes.get((request.method, resource))
            if handler is None:
                known = any(resource == path for _, path in self._routes)
                raise Refusal(codes.UNSUPPORTED if known else codes.NO_RESOURCE)
            query = request.query.get("query", "") if self._options.queries else ""
            return handler(Call(wire.body(request), names, query, request.query))

    def _session(self, request: Request, names: tuple[str, ...]) -> Answer:
        if request.method == "POST" and not names:
            return self._log_in(request)
        if request.method != "DELETE" or not names:
            raise Refusal(codes.UNSUPPORTED)
        with self._guard:
            if self._sessions.pop(names[0], None) is None:
                raise Refusal(codes.NO_SESSION)
        return Answer()

    def _log_in(self, request: Request) -> Answer:
        given = wire.body(request)
        if (given.get("user"), given.get("password")) != (self.username, self.password):
            raise Refusal(codes.WRONG_PASSWORD)
        key = f"5-{secrets.token_hex(16)}"
        with self._guard:
            self._forget_idle()
            if len(self._sessions) >= self._options.max_sessions:
                raise Refusal(codes.BUSY)
            self._sessions[key] = Session(request.controller, self._clock())
        return wire.created(f"{_ROOT}/credentials/{key}", {"key": key})

    def _forget_idle(self) -> None:
        oldest = self._clock() - self._options.session_seconds
        self._sessions = {key: session for key, session in self._sessions.items() if session.used >= oldest}

    def _authorise(self, request: Request) -> None:
        """Demand a key of this controller that was used lately."""
        key = request.headers.get(_HEADER, "")
        with self._guard:
            self._forget_idle()
            session = self._sessions.get(key)
            if session is None or session.controller != request.controller:
                raise Refusal(codes.NO_SESSION)
            session.used = self._clock()


def _resource(path: str) -> tuple[str, tuple[str, ...]]:
    """Return a path's resource with ``{}`` in the place of names, and the names."""
    if not path.startswith(f"{_ROOT}/"):
        return path.strip("/"), ()
    parts = [part for part in path[len(_ROOT) :].split("/") if part]
    named = [place for place in _ITEM_AT if place < len(parts)]
    pattern = "/".join("{}" if place in named else part for place, part in enumerate(parts))
    return pattern, tuple(parts[place] for place in named)


def _action(request: Request) -> str:
    """Return the action that a body asks for, for counters and faults."""
    if request.method not in {"POST", "PUT"}:
        return ""
    try:
        found = request.json()
    except (ValueError, RecursionError):
        return ""
    action = found.get("action") if isinstance(found, dict) else None
    return f" {action}" if isinstance(action, str | int) else ""
