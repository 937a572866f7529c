"""A simulated MacroSAN array: who may ask, and which part answers. Source: protocol sheet, section 1."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.simulation.controller import Cut
from conformance.simulation.dataplane import DataPlane, Identity
from conformance.simulation.engine import Array, OutOfSpace
from conformance.simulation.family import Request, Response, client_facts
from vendors.macrosan.simulator import wire
from vendors.macrosan.simulator.copies import Copies
from vendors.macrosan.simulator.hosts import Hosts
from vendors.macrosan.simulator.luns import Luns
from vendors.macrosan.simulator.pools import Pools
from vendors.macrosan.simulator.ports import Ports
from vendors.macrosan.simulator.remote import Remote
from vendors.macrosan.simulator.snapshots import Snapshots
from vendors.macrosan.simulator.wire import Refusal, Routes

MODELS = ("MS5580G2", "MS7020G2", "MS3000G2")

_ROOT = "/api/v1"
_SERVES = frozenset({"single", "double"})
_SPS: Mapping[str, int] = {"A": 0, "B": 1}
_SERIALS = itertools.count(secrets.randbits(40))


@dataclass(frozen=True, slots=True)
class Options:
    """How one simulated array is set up; see `build`."""

    pools: Mapping[str, int]
    fabric: tuple[str, ...]
    switched: bool
    copy_seconds: float
    portals: tuple[str, ...]
    fc_ports: tuple[str, ...] | None
    targets_made: bool
    states: tuple[str, str]
    first_lun: int


class MacroSan:
    """One array at the wire; see `conformance.simulation.family.Family`."""

    management_path = f"{_ROOT}/"

    def __init__(self, model: str, options: Options, data_plane: DataPlane, clock: Callable[[], float]) -> None:
        self.model = model
        self.username = "admin"
        self.password = secrets.token_urlsafe(12)
        self._options = options
        self._data_plane = data_plane
        self._clock = clock
        self._fabric: Sequence[str] = options.fabric
        self.states = options.states
        self._begin()

    def reset(self) -> None:
        """Become a new array; what the old one served is served no more."""
        with self._array.lock:
            self._array.clear()
            self._begin()

    def _begin(self) -> None:
        serial, options = next(_SERIALS) & (2**60 - 1), self._options
        self._uuid = f"0x00b34201-02c10000-{serial >> 32 & 0xFFFFFFFF:08x}-{serial & 0xFFFFFFFF:08x}"
        self._array = array = Array(serial, options.pools, self._data_plane, self._clock, ())
        self._pools = Pools(array)
        self._luns = Luns(array, self._pools)
        self._snapshots = Snapshots(array, self._pools, self._luns)
        self._copies = Copies(array, self._luns, self._snapshots, options.copy_seconds)
        self._ports = Ports(
            serial, options.portals, options.fc_ports, targets_made=options.targets_made, switched=options.switched
        )
        self._ports.set_fabric(self._fabric)
        self._hosts = Hosts(array, self._ports, self._luns, self._snapshots, options.first_lun)
        self._remote = Remote(self._luns, self._snapshots)
        self._connect()
        self._routes: Routes = {("GET", "ha_status", ""): self._ha_status, ("GET", "device", ""): lambda _: self._uuid}
        parts = (self._pools, self._luns, self._snapshots, self._copies, self._ports, self._hosts, self._remote)
        for part in parts:
            self._routes.update(part.routes())
        targets = {portal["portal"].rpartition(":")[0]: portal["iqn"] for portal in self._ports.portals()}
        self._data_plane.identify(Identity("MacroSAN", "LU", targets))

    def _connect(self) -> None:
        """Let the parts ask each other what hangs on their objects."""
        self._luns.use(
            self._hosts.shows,
            self._snapshots.has_resource,
            self._copies.holds,
            self._remote.holds,
            renames=self._snapshots.rename,
        )
        self._snapshots.use(
            view_in_use=lambda view: self._copies.reads(view) or self._hosts.shows_view(view),
            resource_in_use=lambda lun: self._copies.pairs(lun) or self._remote.holds(lun),
        )
        self._ports.use(self._hosts.drop_target)

    # The front end's side

    def operation(self, request: Request) -> str:
        """Return method and resource, with a dot and ``attr`` where there is one: ``PUT /lun.capicity``."""
        resource, attribute = _resource(request), _attribute(request)
        return f"{request.method} /{resource}{'.' if attribute else ''}{attribute}"

    def handle(self, request: Request) -> Response:
        """Carry a request out under the array's lock."""
        try:
            self._authorise(request)
            resource = _resource(request)
            if resource != "ha_status" and self._state(request) not in _SERVES:
                raise Cut
            given = wire.arguments(request)
            with self._array.lock:
                self._copies.settle()
                handler = self._routes.get((request.method, resource, _attribute(request)))
                if handler is None:
                    raise Refusal(wire.NOT_FOUND, "no such operation")
                return wire.success(handler(given))
        except Refusal as refusal:
            return wire.refused(refusal)
        except OutOfSpace:
            return wire.refused(Refusal(wire.NO_SPACE))

    def busy(self, request: Request) -> Response:
        """Answer that the system is busy."""
        return wire.refused(Refusal(wire.BUSY))

    def refusal(self, request: Request, code: str) -> Response:
        """Answer with that status."""
        return wire.refused(Refusal(int(code)))

    def expire_sessions(self, controller: str | None = None) -> None:
        """Do nothing: there are no sessions."""

    def set_full(self, full: bool) -> None:
        """Fill every pool, or end that."""
        self._array.full = full

    def set_licence(self, feature: str, usable: bool) -> None:
        """Refuse: the interface knows no licences."""
        raise ValueError(f"this array has no licence for {feature!r}: its interface knows none")

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Say which FC initiators are logged in."""
        with self._array.lock:
            self._fabric = [wwpn.lower() for wwpn in wwpns]
            self._ports.set_fabric(self._fabric)

    def ready(self) -> Mapping[str, Any]:
        """Return pools, portals and FC ports; a backend has to be told the pools, which the interface does not list."""
        pools = [pool.name for pool in self._array.pools.values()]
        ports = {kind: self._ports.names(kind) for kind in ("iscsi", "fc")}
        return client_facts(pools, self._ports.portals(), self._ports.wwpns(), ports=ports, options={"pools": pools})

    def state(self) -> Mapping[str, Any]:
        """Return every object, by kind."""
        with self._array.lock:
            self._copies.settle()
            return {
                "pools": self._pools.state(),
                "volumes": self._luns.state(),
                "snapshots": self._snapshots.state(),
                "resources": self._snapshots.resource_state(),
                "views": self._snapshots.view_state(),
                "copies": self._copies.state(),
                "clients": self._hosts.clients,
                "initiators": self._hosts.state(),
                "mappings": self._hosts.map_state(),
                "replication": self._remote.state(),
            }

    # Who may ask

    def _authorise(self, request: Request) -> None:
        """Demand user name and password, joined; there is no session (sheet, section 1)."""
        given = request.headers.get("authorization", "")
        # The front end reads headers as Latin-1.
        if not secrets.compare_digest(given.encode("latin-1", "replace"), f"Bearer {self.username}{self.password}".encode()):
            raise Refusal(wire.UNAUTHORISED)

    def _state(self, request: Request) -> str:
        return self.states[_SPS[request.controller]]

    def _ha_status(self, _: wire.Arguments) -> Mapping[str, str]:
        return {f"sp{number + 1}": state for number, state in enumerate(self.states)}


def _resource(request: Request) -> str:
    path = request.path.rstrip("/")
    return path[len(_ROOT) + 1 :] if path.startswith(f"{_ROOT}/") else ""


def _attribute(request: Request) -> str:
    try:
        return str(wire.arguments(request).get("attr", ""))
    except Refusal:
        return ""
