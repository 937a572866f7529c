"""A simulated VSP: sessions, routing, jobs, resource-group locks and the parts that answer. Source: protocol sheet, section 1."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from conformance.simulation.dataplane import DataPlane, Identity
from conformance.simulation.engine import Array
from conformance.simulation.family import Request, Response, client_facts
from vendors.hitachi.simulator import codes, wire
from vendors.hitachi.simulator.codes import Failure, Fault, Refusal
from vendors.hitachi.simulator.copies import Copies
from vendors.hitachi.simulator.hosts import ISCSI_TCP_PORT, Hosts, Port
from vendors.hitachi.simulator.jobs import Jobs, Outcome
from vendors.hitachi.simulator.limits import Limits
from vendors.hitachi.simulator.luns import Luns
from vendors.hitachi.simulator.pairs import FEATURE, Pairs
from vendors.hitachi.simulator.profiles import PROFILES, Profile
from vendors.hitachi.simulator.sessions import Session, Sessions
from vendors.hitachi.simulator.storage import Storage
from vendors.hitachi.simulator.wire import Object

_ROOT = "/ConfigurationManager"
_SERIALS = itertools.count(secrets.randbits(30))
_COMMAND_DEVICE_BLOCKS = 47 * wire.MiB // wire.BLOCK
_ACTION = re.compile(r"(?P<kind>[a-z-]+)/(?P<id>.+)/actions/(?P<action>[a-z-]+)/invoke")
_SERVICE = re.compile(r"(?P<service>[a-z-]+)/actions/(?P<action>[a-z-]+)/invoke")


@dataclass(frozen=True, slots=True)
class Options:
    """How one simulated array is set up; see `build`."""

    pools: Mapping[str, int]
    fabric: tuple[str, ...]
    portals: tuple[str, ...]
    fc_ports: tuple[str, ...] | None
    job_seconds: float
    settle_seconds: float
    copy_seconds: float
    jobs_wait_for_copies: bool


@dataclass(frozen=True, slots=True)
class _Target:
    """What a path names below the storage system: the form of its URLs, the resource with its ids left out, and the id."""

    base: str
    resource: str
    identifier: str
    service: bool = False


class Vsp:
    """One array at the wire; see `conformance.simulation.family.Family`."""

    management_path = _ROOT

    def __init__(self, model: str, options: Options, data_plane: DataPlane, clock: Callable[[], float]) -> None:
        self.model = model
        self.username = "maintenance"
        self.password = secrets.token_urlsafe(12)
        self._options = options
        self._data_plane = data_plane
        self._clock = clock
        self._profile: Profile = PROFILES[model]
        self._sessions = Sessions(self.username, self.password, clock)
        self._begin()

    def reset(self) -> None:
        """Become a new array; what the old one served is served no more."""
        with self._array.lock:
            self._pairs.clear()
            self._array.clear()
            self._begin()

    def _begin(self) -> None:
        unique = next(_SERIALS)
        profile, options = self._profile, self._options
        self.serial = 400000 + unique % 99999
        self.storage_id = f"{profile.prefix}{self.serial:06d}"
        self._array = array = Array(unique, options.pools, self._data_plane, self._clock, ())
        self._licences = {FEATURE: True}
        self._storage = Storage(array, profile, f"{unique % 16**9:09x}fff", options.job_seconds)
        self._pairs = Pairs(array, self._storage, self._is_licensed, settle=options.settle_seconds, seconds=options.copy_seconds)
        self._copies = Copies(array, self._storage, seconds=options.copy_seconds)
        self._hosts = Hosts(self._ports(unique), f"{unique % 10**6:06d}", self._serve)
        self._luns = Luns(self._hosts, self._storage, self._data_plane, several=profile.port_ids)
        self._limits = Limits(self._storage, qos=profile.qos)
        self._jobs = Jobs(self._clock, options.job_seconds)
        self._storage.use(self)
        parts = (self._storage, self._pairs, self._copies, self._hosts, self._luns, self._limits)
        self._reads: dict[str, Callable[..., Any]] = {}
        self._changes: dict[tuple[str, str], Callable[..., Outcome]] = {}
        for part in parts:
            self._reads.update(part.reads())
            self._changes.update(part.changes())
        targets = {port.address: self._hosts.groups[port.id][0].iqn for port in self._hosts.ports.values() if port.iscsi}
        self._data_plane.identify(Identity("HITACHI", "OPEN-V", targets))
        self._define_command_device()
        self._sessions.expire()

    def _is_licensed(self) -> bool:
        return self._licences[FEATURE]

    def _serve(self) -> None:
        self._luns.serve()

    def _ports(self, unique: int) -> list[Port]:
        """Return FC and iSCSI ports, half on each controller."""
        own = tuple(f"50060e80{unique % 16**6:06x}{number:02x}" for number in (0x00, 0x10))
        wwns = own if self._options.fc_ports is None else self._options.fc_ports
        fc = [Port(_port_id(number, "A"), iscsi=False, address=wwn) for number, wwn in enumerate(wwns)]
        iscsi = [Port(_port_id(number, "B"), iscsi=True, address=ip) for number, ip in enumerate(self._options.portals)]
        return fc + iscsi

    def _define_command_device(self) -> None:
        """Define the LDEV through which the array is managed in-band; as on most arrays, it has an LU path."""
        volume = self._storage.add(0, 0, _COMMAND_DEVICE_BLOCKS, "command-device")
        volume.attributes["command"] = "1"
        self._luns.add(next(self._hosts.every()), 0, 0)

    # What LDEVs hang on: see storage.Links

    def paths_of(self, ldev_id: int) -> list[Object]:
        """Return its LU paths."""
        return self._luns.paths_of(ldev_id)

    def marks_of(self, ldev_id: int) -> set[str]:
        """Return the attributes that its pairs give it."""
        return ({"HTI"} if self._pairs.of(ldev_id) else set()) | ({"MRCF"} if self._copies.of(ldev_id) else set())

    def snapshot_pool_of(self, ldev_id: int) -> int | None:
        """Return the pool of the snapshot pair whose S-VOL it is."""
        return self._pairs.snapshot_pool_of(ldev_id)

    def may_grow(self, ldev_id: int) -> bool:
        """Tell whether all its pairs are split."""
        return self._pairs.may_grow(ldev_id) and not self._copies.of(ldev_id)

    # The front end's side

    def operation(self, request: Request) -> str:
        """Return the method and the resource without ids; PUT counts as what it means."""
        try:
            target = self._target(request)
        except Refusal:
            return f"{request.method} /"
        return f"{request.method} /{target.resource}"

    def handle(self, request: Request) -> Response:
        """Carry a request out; a job's answer is held as long as its headers ask for, without holding others up."""
        try:
            target = self._target(request)
            if target.resource in {"version", "storages", "storages/{id}"}:
                return wire.answer(self._about(request, target))
            if target.resource.startswith("sessions"):
                return self._sessions.handle(request, target.identifier)
            session = self._sessions.authorised(request)
            if request.method == "GET":
                return wire.answer(self._read(request, target))
            return self._change(request, target, session)
        except Refusal as refusal:
            answer = wire.refused(refusal, request.path)
            return replace(answer, headers=self._sessions.challenge(refusal))

    def busy(self, request: Request) -> Response:
        """Answer that the REST server is busy."""
        return wire.refused(Refusal(503, codes.BUSY), request.path)

    def refusal(self, request: Request, code: str) -> Response:
        """Answer with a message id, or fail with an SSB pair such as ``2E11-2205``."""
        if code.startswith("KART"):
            return wire.refused(Refusal(409, code), request.path)
        return self._failed(request, Fault(codes.ARRAY, code))

    def expire_sessions(self, controller: str | None = None) -> None:
        """End sessions, and the lock that one of them holds."""
        self._sessions.expire(controller)

    def set_full(self, full: bool) -> None:
        """Fill every pool, or end that."""
        self._array.full = full

    def set_licence(self, feature: str, usable: bool) -> None:
        """Grant or take a licence."""
        self._licences[feature] = usable

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Nothing at this interface tells which initiators are logged in."""

    def ready(self) -> Mapping[str, Any]:
        """Return pools, portals, FC ports, and what a backend needs to know of the array besides."""
        portals = [
            {"portal": f"{port.address}:{ISCSI_TCP_PORT}", "iqn": self._hosts.groups[port.id][0].iqn}
            for port in self._hosts.ports.values()
            if port.iscsi
        ]
        wwns = [port.address for port in self._hosts.ports.values() if not port.iscsi]
        ports = {
            "iscsi": [port.id for port in self._hosts.ports.values() if port.iscsi],
            "fc": [port.id for port in self._hosts.ports.values() if not port.iscsi],
        }
        pools = [pool.name for pool in self._array.pools.values()]
        known = {"storage_id": self.storage_id}
        return client_facts(pools, portals, wwns, ports=ports, options=known, **known)

    def state(self) -> Mapping[str, Any]:
        """Return every object, by kind."""
        with self._array.lock:
            self._settle()
            return {
                "pools": self._storage.pool_state(),
                "volumes": self._storage.state(),
                "snapshots": self._pairs.state(),
                "copies": self._copies.state(),
                "groups": self._hosts.group_state(),
                "initiators": self._hosts.initiator_state(),
                "mappings": self._luns.state(),
                "sessions": len(self._sessions),
            }

    def _settle(self) -> None:
        self._pairs.settle()
        self._copies.settle()

    # Routing

    def _target(self, request: Request) -> _Target:
        """Find out what a path names; both forms of URLs, with the storage system's id and without."""
        path = request.path.rstrip("/")
        if path == f"{_ROOT}/configuration/version":
            return _Target("", "version", "")
        if path.startswith(f"{_ROOT}/v1/objects/"):
            return self._object(path[len(f"{_ROOT}/v1/objects/") :])
        if match := re.fullmatch(rf"{_ROOT}/v1/(?:(?P<storage>\d{{12}})/)?services/(?P<rest>.+)", path):
            self._mine(match["storage"])
            found = _SERVICE.fullmatch(match["rest"])
            if found is not None:
                return _Target(f"{_ROOT}/v1/objects", f"{found['service']}/{found['action']}", "", service=True)
        raise Refusal(404, codes.NO_RESOURCE)

    def _mine(self, storage_id: str | None) -> None:
        """Refuse another storage system's id, and the short form where only the embedded server has it."""
        if storage_id not in {self.storage_id, None if self._profile.embedded else self.storage_id}:
            raise Refusal(404, codes.NO_RESOURCE)

    def _object(self, rest: str) -> _Target:
        base = f"{_ROOT}/v1/objects"
        kind, _, tail = rest.partition("/")
        if kind == "storages":
            storage_id, _, rest = tail.partition("/")
            if not rest:
                return _Target(base, "storages/{id}" if storage_id else "storages", storage_id)
            self._mine(storage_id)
            base = f"{base}/storages/{storage_id}"
        else:
            self._mine(None)
        if action := _ACTION.fullmatch(rest):
            return _Target(base, f"{action['kind']}/{{id}}/actions/{action['action']}/invoke", action["id"])
        kind, _, identifier = rest.partition("/")
        if rest in self._reads or not identifier:
            return _Target(base, rest, "")
        return _Target(base, f"{kind}/{{id}}", identifier)

    def _read(self, request: Request, target: _Target) -> Any:
        if target.resource == "jobs":
            return {"data": self._jobs.listed(request.controller)}
        if target.resource == "jobs/{id}":
            return self._jobs.rendered(self._jobs.find(target.identifier, request.controller))
        handler = self._reads.get(target.resource)
        if handler is None:
            raise Refusal(404, codes.NO_RESOURCE)
        with self._array.lock:
            self._settle()
            found = handler(target.identifier, request.query) if target.identifier else handler(request.query)
        return {"data": found} if isinstance(found, list) else found

    def _change(self, request: Request, target: _Target, session: Session) -> Response:
        handler = None if target.service else self._changes.get((self._meaning(request, target), target.resource))
        if handler is None and not target.service:
            raise Refusal(405 if target.resource in self._reads else 404, codes.NO_RESOURCE)
        given = wire.body(request)
        outcome, fault = Outcome(), None
        try:
            with self._array.lock:
                self._settle()
                if handler is None:
                    self._sessions.lock(target.resource, given, session)
                else:
                    self._sessions.check_lock(session)
                    outcome = handler(target.identifier, given) if target.identifier else handler(given)
        except Failure as failure:
            fault = failure.fault
        if not self._waits_for_copies(request):
            outcome.until = None if outcome.until is None else min(outcome.until, self._clock() + self._options.settle_seconds)
        return self._answered(request, target.base, outcome, fault)

    @staticmethod
    def _meaning(request: Request, target: _Target) -> str:
        """Return what PUT stands for: an action's POST, an attribute's PATCH (sheet, section 1.2)."""
        if request.method != "PUT":
            return request.method
        return "POST" if target.resource.endswith("/invoke") else "PATCH"

    def _waits_for_copies(self, request: Request) -> bool:
        return self._options.jobs_wait_for_copies and request.headers.get("job-mode-wait-configuration-change") != "NoWait"

    def _answered(self, request: Request, base: str, outcome: Outcome, fault: Fault | None) -> Response:
        job = self._jobs.begin(request, base, self.username, outcome, fault)
        self._jobs.wait(job, request.headers)
        rendered = self._jobs.rendered(job)
        return wire.answer(rendered, 202, (fault.ssb or fault.message_id) if fault and "error" in rendered else None)

    def _failed(self, request: Request, fault: Fault) -> Response:
        return self._answered(request, f"{_ROOT}/v1/objects", Outcome(), fault)

    # The array

    def _about(self, request: Request, target: _Target) -> Any:
        if request.method != "GET":
            raise Refusal(405, codes.NO_RESOURCE)
        if target.resource == "version":
            return {"productName": "Configuration Manager REST API", "apiVersion": "1.22.0"}
        address = {"ctl1Ip": "127.0.0.1", "ctl2Ip": "127.0.0.1"} if self._profile.embedded else {"svpIp": "127.0.0.1"}
        head = {"storageDeviceId": self.storage_id, "model": self.model, "serialNumber": self.serial, **address}
        if target.resource == "storages":
            return {"data": [head]}
        if target.identifier != self.storage_id:
            raise Refusal(404, codes.NOT_THERE)
        return head | {
            "dkcMicroVersion": self._profile.firmware,
            "communicationModes": [{"communicationMode": "lanConnectionMode"}],
            "isSecure": True,
            "targetCtl": "CTL1" if request.controller == "A" else "CTL2",
            "usesSvp": not self._profile.embedded,
        }


def _port_id(number: int, letter: str) -> str:
    """Return port ids in turn on two controllers: CL1-A, CL2-A, CL1-C, CL2-C, ..."""
    return f"CL{number % 2 + 1}-{chr(ord(letter) + number // 2 * 2)}"
