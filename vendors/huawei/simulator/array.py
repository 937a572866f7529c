"""A simulated OceanStor: sessions, routing and the parts that answer. Source: protocol sheet, sections 1 and 2."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.simulation.dataplane import DataPlane
from conformance.simulation.engine import Array, OutOfLuns, OutOfSpace
from conformance.simulation.family import Request, Response, client_facts
from vendors.huawei.simulator import codes, wire
from vendors.huawei.simulator.copies import Copies
from vendors.huawei.simulator.hosts import Hosts
from vendors.huawei.simulator.mapping import Mappings
from vendors.huawei.simulator.policies import Policies
from vendors.huawei.simulator.profiles import PROFILES, Profile
from vendors.huawei.simulator.snapshots import Snapshots
from vendors.huawei.simulator.storage import Storage
from vendors.huawei.simulator.system import System
from vendors.huawei.simulator.wire import Attributes, Refusal

_MAX_SESSIONS = 4096
_LUN_IDS = range(1, 512)
_SERIALS = itertools.count(secrets.randbits(40))

_CLASSIC = "/devicemanager/rest/"
_API_V2 = "/api/v2/"
_RESOURCES_OF_API_V2 = frozenset({"mapping"})

Handler = Callable[[Attributes, str], Any]
"""Takes the arguments and the id in the path (empty where the route has none)."""


@dataclass(frozen=True, slots=True)
class Options:
    """How one simulated array is set up; see `build`."""

    pools: Mapping[str, int]
    fabric: tuple[str, ...]
    copy_seconds: float
    initiator_post_binds: bool
    initialising_seconds: float
    portals: tuple[str, ...]
    fc_ports: tuple[str, ...] | None
    """WWPNs; None where the array has ports of its own."""


class OceanStor:
    """One array at the wire; see `conformance.simulation.family.Family`."""

    management_path = "/deviceManager/rest/"

    def __init__(self, model: str, options: Options, data_plane: DataPlane, clock: Callable[[], float]) -> None:
        self.model = model
        self.username = "admin"
        self.password = secrets.token_urlsafe(12)
        self._options = options
        self._data_plane = data_plane
        self._clock = clock
        self._profile: Profile = PROFILES[model]
        self._guard = threading.Lock()
        self._sessions: dict[str, tuple[str, str]] = {}
        self._begin()

    def reset(self) -> None:
        """Become a new array; what the old one served is served no more."""
        with self._array.lock:
            self._array.clear()
            self._begin()

    def _begin(self) -> None:
        serial = next(_SERIALS) & (2**60 - 1)
        self.serial = f"2102355{serial % 10**13:013d}"
        self._array = Array(serial, self._options.pools, self._data_plane, self._clock, _LUN_IDS)
        profile, array = self._profile, self._array
        self._system = System(array, profile, self.serial, self.model)
        self._policies = Policies(array, profile, self._system)
        self._hosts = Hosts(array, profile, self._options)
        self._mappings = Mappings(array, profile, self._hosts)
        self._storage = Storage(array, profile, self._policies, self._mappings, self._options.initialising_seconds)
        self._snapshots = Snapshots(
            array, profile, self._storage, self._system, self._mappings, seconds=self._options.copy_seconds
        )
        self._copies = Copies(array, profile, self._storage, self._snapshots, self._system, seconds=self._options.copy_seconds)
        self._mappings.use_renderers(
            lambda lun_id: self._storage.lun(self._storage.volume(lun_id)),
            lambda snapshot_id: self._snapshots.rendered(self._snapshots.snapshot(snapshot_id)),
        )
        self._routes: dict[tuple[str, str], Handler] = {}
        for part in (
            self._system,
            self._storage,
            self._snapshots,
            self._copies,
            self._hosts,
            self._mappings,
            self._policies,
        ):
            self._routes.update(part.routes())
        with self._guard:
            self._sessions.clear()

    # The front end's side

    def operation(self, request: Request) -> str:
        """Return the method and the resource without ids; a filtered query is counted apart."""
        path = self._relative(request.path)
        if _is_session(path):
            return f"{request.method} sessions"
        resource, _ = self._resource(request.method, path)
        return f"{request.method} /{resource}{'?filter' if 'filter' in request.query else ''}"

    def handle(self, request: Request) -> Response:
        """Carry a request out under the array's lock."""
        try:
            path = self._relative(request.path)
            if _is_session(path):
                return self._session(request)
            self._authorise(request)
            with self._array.lock:
                self._settle()
                resource, identifier = self._resource(request.method, path)
                handler = self._routes.get((request.method, resource))
                if handler is None or not self._is_served(request.path, resource):
                    raise Refusal(codes.NOT_SUPPORTED)
                return wire.success(handler(wire.arguments(request), identifier))
        except Refusal as refusal:
            return wire.refused(refusal.code)
        except OutOfSpace:
            return wire.refused(codes.OUT_OF_SPACE)
        except OutOfLuns:
            return wire.refused(codes.NO_LUN_ID)

    def busy(self, request: Request) -> Response:
        """Answer that the system is busy."""
        return wire.refused(codes.BUSY)

    def refusal(self, request: Request, code: str) -> Response:
        """Answer with that code."""
        return wire.refused(int(code))

    def expire_sessions(self, controller: str | None = None) -> None:
        """End sessions."""
        with self._guard:
            for token, (_, at) in list(self._sessions.items()):
                if controller in {None, at}:
                    del self._sessions[token]

    def set_full(self, full: bool) -> None:
        """Fill every pool, or end that."""
        self._array.full = full

    def set_licence(self, feature: str, usable: bool) -> None:
        """Grant or take a licence."""
        self._system.licences[feature] = usable

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Say which FC initiators are logged in."""
        with self._array.lock:
            self._hosts.set_fabric(wwpns)

    def ready(self) -> Mapping[str, Any]:
        """Return pools, portals and FC ports."""
        portals, wwpns = self._hosts.portals(), self._hosts.target_wwpns()
        return client_facts([pool.name for pool in self._array.pools.values()], portals, wwpns)

    def state(self) -> Mapping[str, Any]:
        """Return every object, by kind."""
        with self._array.lock:
            self._settle()
            with self._guard:
                sessions = len(self._sessions)
            return {
                "pools": self._storage.pool_state(),
                "volumes": self._storage.state(),
                "snapshots": self._snapshots.state(),
                "copies": self._copies.state(),
                "hosts": self._hosts.host_state(),
                "initiators": self._hosts.initiator_state(),
                "groups": self._mappings.group_state(),
                "mappings": self._mappings.mapping_state(),
                "qos": self._policies.state(),
                "sessions": sessions,
            }

    def _settle(self) -> None:
        self._array.settle()
        self._copies.settle()

    # Sessions

    def _session(self, request: Request) -> Response:
        if request.method == "POST":
            return self._log_in(request)
        if request.method == "DELETE":
            self._authorise(request)
            with self._guard:
                self._sessions.pop(request.headers.get("ibasetoken", ""), None)
            return wire.success({})
        raise Refusal(codes.NOT_SUPPORTED)

    def _log_in(self, request: Request) -> Response:
        given = wire.arguments(request)
        if (given.get("username"), given.get("password")) != (self.username, self.password):
            raise Refusal(codes.WRONG_PASSWORD)
        token, cookie = secrets.token_hex(16).upper(), secrets.token_hex(16)
        with self._guard:
            if len(self._sessions) >= _MAX_SESSIONS:
                raise Refusal(codes.TOO_MANY_SESSIONS)
            self._sessions[token] = (cookie, request.controller)
        answer = wire.success(
            {
                "accountstate": 1,
                "deviceid": self.serial,
                "iBaseToken": token,
                "lastloginip": "127.0.0.1",
                "lastlogintime": 1700000000,
                "pwdchangetime": 1690000000,
                "roleId": "1",
                "usergroup": "1",
                "userid": self.username,
                "username": self.username,
                "userscope": "0",
                "vstoreId": "0",
                "vstoreName": "System_vStore",
            }
        )
        header = ("Set-Cookie", f"session=ismsession={cookie}; path=/; secure; HttpOnly")
        return Response(answer.body, headers=(header,), code=answer.code)

    def _authorise(self, request: Request) -> None:
        """Demand token and cookie of one login at this controller (sheet, section 7, trap 2)."""
        with self._guard:
            cookie, at = self._sessions.get(request.headers.get("ibasetoken", ""), ("", ""))
        if not cookie or at != request.controller or f"ismsession={cookie}" not in request.headers.get("cookie", ""):
            raise Refusal(codes.UNAUTHORISED)

    # Routing

    def _relative(self, path: str) -> str:
        """Return the resource path, as it is written; the device id is left out."""
        lowered = path.lower()
        if lowered.startswith(_API_V2):
            return path[len(_API_V2) :].strip("/")
        if not lowered.startswith(_CLASSIC):
            return ""
        rest = path[len(_CLASSIC) :].strip("/")
        return rest if _is_session(rest) else rest.partition("/")[2]

    def _is_served(self, path: str, resource: str) -> bool:
        """Tell whether a resource is at the path's base: only V6 has the newer one, with few resources (sheet, section 1)."""
        return not path.lower().startswith(_API_V2) or (self._profile.v6 and resource.partition("/")[0] in _RESOURCES_OF_API_V2)

    def _resource(self, method: str, path: str) -> tuple[str, str]:
        """Return the route's resource and the id at the end of the path, if the route has one."""
        lowered = path.lower()
        if (method, lowered) in self._routes:
            return lowered, ""
        head, _, tail = path.rpartition("/")
        return f"{head.lower()}/{{id}}", tail


def _is_session(path: str) -> bool:
    """Tell whether a path, with a device id or without, names the sessions."""
    return path.lower().rpartition("/")[2] == "sessions"
