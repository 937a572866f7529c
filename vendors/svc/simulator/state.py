"""What this family's arrays have beyond pools, volumes and hosts: volume copies, copy mappings, their groups and throttles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from conformance.simulation.engine import Host, Pool, Volume, lowest_free
from vendors.svc.simulator import codes
from vendors.svc.simulator.codes import Refusal
from vendors.svc.simulator.engine import Engine
from vendors.svc.simulator.profiles import Profile

IO_GROUP = "0"
IO_GROUP_NAME = "io_grp0"


@dataclass(frozen=True, slots=True)
class Options:
    """How one simulated array is set up; see `build`."""

    pools: Mapping[str, int]
    fabric: tuple[str, ...]
    copy_seconds: float
    prepare_seconds: float
    stop_seconds: float
    formatting_seconds: float
    dependants_hold: bool
    joins: bool
    portals: tuple[str, ...]
    fc_ports: tuple[str, ...] | None
    """WWPNs; None where the array has ports of its own."""


@dataclass(slots=True)
class Kind:
    """How a volume copy keeps its bytes."""

    thin: bool = False
    compressed: bool = False
    deduplicated: bool = False
    autoexpand: bool = False
    warning: str = ""
    grain: str = ""
    tiered: bool = True


@dataclass(slots=True)
class Copy:
    """One copy of a volume; every volume has one or two."""

    id: str
    pool_id: str
    kind: Kind
    synced_at: float = 0.0
    auto_delete: bool = False
    primary: bool = True


@dataclass(slots=True)
class CopyMap:
    """A point-in-time mapping from one volume to another of its size."""

    id: str
    name: str
    source_id: str
    target_id: str
    rate: int
    clean_rate: int
    autodelete: bool
    group_id: str | None = None
    status: str = "idle_or_copied"
    since: float = 0.0
    """When the status began."""
    begun: float | None = None
    """When the background copy began to run at the present rate."""
    copied: float = 0.0
    """What had been copied by then: 0.0 to 1.0."""
    starts: bool = False
    """It is to be started once it is prepared."""
    restoring: bool = False
    start_time: str = ""

    @property
    def is_active(self) -> bool:
        """Whether its target depends on its source now."""
        return self.status in {"preparing", "prepared", "copying", "stopping", "suspended"}


@dataclass(slots=True)
class Group:
    """A consistency group of copy mappings."""

    id: str
    name: str


@dataclass(slots=True)
class Throttle:
    """Limits of one volume."""

    id: str
    name: str
    volume_id: str
    iops: int | None = None
    megabytes: int | None = None


@dataclass(slots=True)
class State:
    """Everything on one array; callers hold the engine's lock."""

    array: Engine
    profile: Profile
    options: Options
    copies: dict[str, list[Copy]] = field(default_factory=dict)
    """Volume id -> its copies."""
    maps: dict[str, CopyMap] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    throttles: dict[str, Throttle] = field(default_factory=dict)
    licences: dict[str, bool] = field(default_factory=lambda: {"compression": True})

    @property
    def now(self) -> float:
        """The array's clock."""
        return self.array.clock()

    def volume(self, reference: str, code: str = codes.NO_OBJECT) -> Volume:
        """Return a volume by name or id; digits are an id."""
        found = self.array.volumes.get(reference) if reference.isdecimal() else None
        found = found or next((volume for volume in self.array.volumes.values() if volume.name == reference), None)
        if found is None:
            raise Refusal(code)
        return found

    def pool(self, reference: str) -> Pool:
        """Return a pool by name or id."""
        pools = self.array.pools.values()
        found = next((pool for pool in pools if reference in {pool.id, pool.name}), None)
        if found is None:
            raise Refusal(codes.NO_OBJECT)
        return found

    def host(self, reference: str, code: str = codes.NO_OBJECT) -> Host:
        """Return a host by name or id."""
        found = next((host for host in self.array.hosts.values() if reference in {host.id, host.name}), None)
        if found is None:
            raise Refusal(code)
        return found

    def group(self, reference: str) -> Group:
        """Return a consistency group by name or id."""
        found = next((group for group in self.groups.values() if reference in {group.id, group.name}), None)
        if found is None:
            raise Refusal(codes.GONE)
        return found

    def reduces(self, pool_id: str) -> bool:
        """Tell whether a pool reduces data: the last one does, where the model has such pools."""
        return self.profile.reduces and pool_id == list(self.array.pools)[-1]

    def maps_of(self, volume: Volume) -> list[CopyMap]:
        """Return the mappings that a volume is source or target of."""
        return [found for found in self.maps.values() if volume.id in {found.source_id, found.target_id}]

    def throttle_of(self, volume: Volume) -> Throttle | None:
        """Return a volume's limits."""
        return next((found for found in self.throttles.values() if found.volume_id == volume.id), None)

    def limit(self, volume: Volume, **limits: int | None) -> None:
        """Set some of a volume's limits; one without any is gone."""
        throttle = self.throttle_of(volume)
        if throttle is None:
            identifier = free_id(self.throttles)
            throttle = self.throttles[identifier] = Throttle(identifier, f"throttle{identifier}", volume.id)
        for name, value in limits.items():
            setattr(throttle, name, value)
        if throttle.iops is None and throttle.megabytes is None:
            del self.throttles[throttle.id]

    def is_formatting(self, volume: Volume) -> bool:
        """Tell whether a new, fully allocated volume is still being formatted."""
        return self.now < volume.online_at

    def io_group(self, reference: str) -> None:
        """Refuse an I/O group that has no nodes."""
        if reference not in {IO_GROUP, IO_GROUP_NAME}:
            raise Refusal(codes.BAD_IO_GROUP)


def free_id(taken: Mapping[str, object]) -> str:
    """Return the lowest id that is not taken."""
    return lowest_free(taken)
