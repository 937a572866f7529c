"""A simulated ACS5000: its door, routing and the parts that answer. Source: protocol sheet, sections 1 to 3."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.simulation.dataplane import DataPlane
from conformance.simulation.engine import Array, OutOfSpace
from conformance.simulation.family import Command, Output, SshDoor, client_facts
from vendors.toyou.simulator import keys, wire
from vendors.toyou.simulator.copies import Copies
from vendors.toyou.simulator.keys import Refusal
from vendors.toyou.simulator.mapping import Mappings
from vendors.toyou.simulator.snapshots import Snapshots
from vendors.toyou.simulator.storage import Storage
from vendors.toyou.simulator.system import System
from vendors.toyou.simulator.wire import Call

_SERIALS = itertools.count(secrets.randbits(40))
_NO_COMMAND = "not a command"

Verb = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Options:
    """How one simulated array is set up; see `build`."""

    pools: Mapping[str, int]
    thick_pools: frozenset[str]
    copy_seconds: float
    initialising_seconds: float
    targets_are_volumes: bool
    portals: tuple[str, ...]
    fc_ports: tuple[str, ...] | None
    """WWPNs; None where the array has ports of its own."""


class Acs5000:
    """One array at the wire; see `conformance.simulation.family.Family`."""

    model = "ACS5000"

    def __init__(self, options: Options, data_plane: DataPlane, clock: Callable[[], float]) -> None:
        self.username = "cliuser"
        self.password = secrets.token_urlsafe(12)
        self._options = options
        self._data_plane = data_plane
        self._clock = clock
        self._begin()

    def reset(self) -> None:
        """Become a new array; what the old one served is served no more."""
        with self._array.lock:
            self._array.clear()
            self._begin()

    def _begin(self) -> None:
        options = self._options
        serial = next(_SERIALS) & (2**60 - 1)
        self._array = array = Array(serial, options.pools, self._data_plane, self._clock, ())
        self._system = System(serial, options.portals, options.fc_ports)
        self._storage = Storage(
            array, options.thick_pools, options.initialising_seconds, targets_are_volumes=options.targets_are_volumes
        )
        self._snapshots = Snapshots(array, self._storage, seconds=options.copy_seconds)
        self._copies = Copies(array, self._storage, self._snapshots, seconds=options.copy_seconds)
        self._mappings = Mappings(array, self._storage, self._system)
        self._storage.guard(self._snapshots.blocks, self._copies.blocks, self._mappings.blocks)
        self._storage.describe(self._copies.shown, self._snapshots.is_reverting, self._copies.forget_target)
        self._data_plane.identify(self._system.identity)
        self._verbs: dict[str, Verb] = {}
        for part in (self._system, self._storage, self._snapshots, self._copies, self._mappings):
            self._verbs.update(part.verbs())

    # The front end's side

    def doors(self) -> Sequence[SshDoor]:
        """Return the one door."""
        return (SshDoor(self),)

    def operation(self, request: Command) -> str:
        """Return the verb; what else a client sends has no name of its own."""
        try:
            verb = wire.parse(request.line).verb
        except (wire.NotACommand, Refusal):
            return _NO_COMMAND
        return verb if verb in self._verbs else _NO_COMMAND

    def handle(self, request: Command) -> Output:
        """Carry a command out under the array's lock."""
        try:
            call = wire.parse(request.line)
            verb = self._verbs.get(call.verb)
            if verb is None:
                raise Refusal(keys.UNKNOWN, f"unknown command {call.verb}")
            with self._array.lock:
                return wire.success(verb(call))
        except wire.NotACommand as wrong:
            return wire.not_found(str(wrong))
        except Refusal as refusal:
            return wire.refused(refusal.key, str(refusal))
        except OutOfSpace:
            return wire.refused(keys.POOL_FULL)

    def busy(self, request: Command) -> Output:
        """Answer as a system that cannot start another program; the sheet knows no busy key."""
        return wire.no_process()

    def refusal(self, request: Command, code: str) -> Output:
        """Answer with that key."""
        return wire.refused(int(code))

    def expire_sessions(self, controller: str | None = None) -> None:
        """Do nothing: there are none beside the SSH connections."""

    def set_full(self, full: bool) -> None:
        """Fill every pool, or end that."""
        self._array.full = full

    def set_licence(self, feature: str, usable: bool) -> None:
        """Do nothing: this array tells of no licences."""

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Do nothing: this array does not tell which initiators it sees."""

    def ready(self) -> Mapping[str, Any]:
        """Return pools and ports."""
        pools = list(self._options.pools)
        portals, wwpns = self._system.portals(), self._system.wwpns()
        # No command lists the pools, so a backend has to be told.
        return client_facts(pools, portals, wwpns, options={"pools": pools})

    def state(self) -> Mapping[str, Any]:
        """Return every object, by kind."""
        with self._array.lock:
            return {
                "pools": self._storage.pool_state(),
                "volumes": self._storage.state(),
                "snapshots": self._snapshots.state(),
                "copies": self._copies.state(),
                "mappings": self._mappings.state(),
            }
