"""A simulated ONTAP cluster: credentials, routing and the parts that answer. Source: protocol sheet, sections 1 and 2."""

from __future__ import annotations

import itertools
import re
import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.simulation.dataplane import DataPlane
from conformance.simulation.engine import OutOfSpace
from conformance.simulation.family import Request, Response
from conformance.simulation.nfs.admission import Admit
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.cluster import Cluster
from vendors.netapp.simulator.exports import Exports
from vendors.netapp.simulator.files import Files
from vendors.netapp.simulator.flexvols import FlexVols
from vendors.netapp.simulator.igroups import Igroups
from vendors.netapp.simulator.luns import Luns, no_space
from vendors.netapp.simulator.network import Network
from vendors.netapp.simulator.policies import Policies
from vendors.netapp.simulator.profiles import PROFILES
from vendors.netapp.simulator.state import Options, State
from vendors.netapp.simulator.wire import Call, Refusal

_SERIALS = itertools.count(secrets.randbits(28))
_BASE = "/api/"
_BUSY = 429
_OF_CLUSTER = ("cluster/nodes", "cluster/licensing", "cluster/counter", "storage/aggregates", "storage/disks")
"""What an account of the SVM may not ask for."""

Handler = Callable[[Call], Response]


class Ontap:
    """One cluster with one SVM at the wire; see `conformance.simulation.family.Family`."""

    management_path = "/"

    def __init__(self, model: str, options: Options, data_plane: DataPlane, clock: Callable[[], float]) -> None:
        self.model = model
        self.username, self.svm_username = "admin", "vsadmin"
        self.password = secrets.token_urlsafe(12)
        self._options = options
        self._data_plane = data_plane
        self._clock = clock
        self._admit: Admit = lambda _: None
        self._begin()

    def reset(self) -> None:
        """Become a new array; what the old one served is served no more."""
        with self._state.lock:
            self._state.clear()
            for entry in self._options.files.glob("*/*"):
                entry.unlink()
            self._begin()

    @property
    def files_folder(self) -> Path:
        """Where the FlexVols' files are, a folder for each."""
        return self._options.files

    @property
    def nfs_exports(self) -> list[str]:
        """Names of those folders, which hosts mount as ``/NAME``."""
        return list(self._options.pools)

    def enforce(self, admit: Admit) -> None:
        """Have the export rules hold at an NFS server, from now on and with every change of them."""
        with self._state.lock:
            self._admit = self._exports.admit = admit
            self._exports.enforce()

    def _begin(self) -> None:
        serial = next(_SERIALS)
        self._state = state = State(serial, PROFILES[self.model], self._options, self._data_plane, self._clock)
        self._network = Network(state)
        self._policies = Policies(state)
        self._luns = Luns(state, self._policies)
        self._igroups = Igroups(state)
        self._exports = Exports(state, self._options.nfs_clients, self._admit)
        self._flexvols = FlexVols(state, self._exports)
        self._files = Files(state, self._flexvols, self._policies)
        self._cluster = Cluster(state, serial)
        self._luns.cloning_licensed = lambda: self._cluster.is_licensed("flexclone")
        self._files.cloning_licensed = self._luns.cloning_licensed
        self._igroups.licensed = self._cluster.is_licensed
        self._routes: dict[tuple[str, str], Handler] = {}
        parts = (self._cluster, self._network, self._flexvols, self._luns, self._files, self._igroups, self._policies)
        for part in (*parts, self._exports):
            self._routes.update(part.routes())
        self._patterns = [(method, re.compile(_pattern(path)), path) for method, path in self._routes]
        self._exports.enforce()

    # The front end's side

    def operation(self, request: Request) -> str:
        """Return the method and the resource without ids."""
        found = self._route(request.method, _relative(request.path))
        return f"{request.method} /{found[0] if found else 'unknown'}"

    def handle(self, request: Request) -> Response:
        """Carry a request out under the array's lock."""
        try:
            path = _relative(request.path)
            self._authorise(request, path)
            found = self._route(request.method, path)
            if found is None:
                raise Refusal(3, "API not found", 404)
            template, ids = found
            is_json = request.method != "GET" and "multipart" not in request.headers.get("content-type", "")
            body = wire.body_of(request.body) if is_json else {}
            call = Call(request.method, ids, request.query, body, request.body, request.headers)
            with self._state.lock:
                return self._routes[request.method, template](call)
        except Refusal as refusal:
            return wire.refused(refusal)
        except OutOfSpace:
            return wire.refused(no_space("the volume"))

    def busy(self, request: Request) -> Response:
        """Answer that too many requests are waiting."""
        return wire.refused(Refusal(13, "Too many requests are waiting; try again.", _BUSY))

    def refusal(self, request: Request, code: str) -> Response:
        """Answer with that code."""
        return wire.refused(Refusal(int(code), "As asked for."))

    def expire_sessions(self, controller: str | None = None) -> None:
        """There are none: every request carries its credentials."""

    def set_full(self, full: bool) -> None:
        """Fill every FlexVol, or end that."""
        self._state.full = full

    def set_licence(self, feature: str, usable: bool) -> None:
        """Grant or take a licence."""
        self._cluster.licences[feature] = usable

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Say which FC initiators are logged in."""
        with self._state.lock:
            self._state.logged_in = tuple(wwpns)

    def add_portset(self, name: str, addresses: Sequence[str]) -> None:
        """Make a portset of the LIFs with these IP addresses or WWPNs; administrators do."""
        members = [{"ip": {"ip": {"address": item}}} if "." in item else {"fc": {"wwpn": item}} for item in addresses]
        self._igroups.portsets[name] = {
            "uuid": f"{name}-uuid",
            "name": name,
            "interfaces": members,
            "svm": {"name": self._state.svm_name},
        }

    def hold_snapshots(self, owner: str | None) -> None:
        """Let every FlexVol snapshot be held by an owner, as while the array splits clones of it; None ends that."""
        for flexvol in self._state.flexvols.values():
            for snapshot in flexvol.snapshots.values():
                snapshot.owners = () if owner is None else (owner,)

    def ready(self) -> Mapping[str, Any]:
        """Return pools, portals, FC ports and what a backend is configured with besides."""
        portals, wwpns = self._network.portals(), self._network.target_wwpns()
        return {
            "pools": list(self._state.flexvols),
            "iscsi": portals,
            "fc": wwpns,
            "nfs": [f"{self._options.nfs or portals[0]['portal'].partition(':')[0]}:/{name}" for name in self._state.flexvols],
            "ports": {"iscsi": [portal["portal"] for portal in portals], "fc": wwpns},
            "vserver": self._state.svm_name,
            "svm_username": self.svm_username,
            "files_folder": str(self._options.files),
            "options": {"svm": self._state.svm_name},
            "options_for": {"nfs": {"volumes": "files", "export_rules": True}},
        }

    def state(self) -> Mapping[str, Any]:
        """Return every object, by kind."""
        with self._state.lock:
            return {
                "pools": self._flexvols.pool_dump(),
                "volumes": self._luns.state_dump(),
                "snapshots": self._flexvols.snapshot_dump(),
                "groups": self._flexvols.group_dump(),
                "hosts": self._igroups.host_dump(),
                "initiators": self._igroups.initiator_dump(),
                "mappings": self._igroups.map_dump(),
                "qos": self._policies.dump(),
                "files": self._files.dump(),
                "rules": self._exports.dump(),
            }

    def _authorise(self, request: Request, path: str) -> None:
        kind, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = b64decode(encoded).decode().partition(":")
        except ValueError:
            user, password = "", ""
        if kind != "Basic" or user not in {self.username, self.svm_username} or password != self.password:
            raise Refusal(6691623, "User is not authorized.", 401)
        if user == self.svm_username and path.startswith(_OF_CLUSTER):
            raise Refusal(6, "not authorized for that command", 403)

    def _route(self, method: str, path: str) -> tuple[str, tuple[str, ...]] | None:
        if (method, path) in self._routes:
            return path, ()
        for known, pattern, template in self._patterns:
            if known == method and (match := pattern.fullmatch(path)):
                return template, match.groups()
        return None


def _relative(path: str) -> str:
    """Return the path below the API, single slashes only; anything else is no route."""
    single = re.sub(r"/{2,}", "/", path)
    return single[len(_BASE) :].strip("/") if single.startswith(_BASE) else "-"


def _pattern(template: str) -> str:
    return "".join("([^/]+)" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", template))
