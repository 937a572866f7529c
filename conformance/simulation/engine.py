"""What every block array has: pools, volumes, snapshots, copies that take time, hosts, initiators and who sees what.

Vendor-neutral state behind the wire. It keeps the books (capacity, ids, WWNs, LUN ids, progress) and tells the data plane; what
an array refuses, and with which code, is the family's. Callers hold `lock` around everything that belongs together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from conformance.simulation.dataplane import Access, DataPlane

EXTENT = 64 * 1024 * 1024
"""Bytes that a new thin volume takes of its pool at once."""


class OutOfSpace(Exception):
    """The pool cannot hold that."""


class OutOfLuns(Exception):
    """A host has no LUN id left."""


@dataclass(slots=True)
class Pool:
    """A pool of so many bytes."""

    id: str
    name: str
    total: int


@dataclass(slots=True)
class Volume:
    """A volume; `attributes` are the family's own."""

    id: str
    name: str
    pool_id: str
    size: int
    thin: bool
    wwn: str
    description: str = ""
    online_at: float = 0.0
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Snapshot:
    """A snapshot; inactive until it has a moment."""

    id: str
    name: str
    volume_id: str
    size: int
    wwn: str
    description: str = ""
    active: bool = False
    holds_bytes: bool = False
    """Whether the data plane keeps bytes for it; a copy of another snapshot has them before it is activated."""
    taken_at: float = 0.0
    reverting_until: float | None = None


@dataclass(slots=True)
class Job:
    """A copy or migration that takes its time once it has been started."""

    id: str
    kind: str
    name: str
    source_id: str
    target_id: str
    seconds: float
    started: float | None = None
    applied: bool = False

    def progress(self, now: float) -> float:
        """Return 0.0 to 1.0."""
        if self.started is None:
            return 0.0
        return 1.0 if self.seconds <= 0 else min(1.0, (now - self.started) / self.seconds)


@dataclass(slots=True)
class Host:
    """A host object."""

    id: str
    name: str
    description: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Initiator:
    """An initiator that the array knows: registered, or seen on the fabric."""

    address: str
    kind: str
    """``iscsi`` or ``fc``."""
    host_id: str | None = None
    online: bool = False
    chap: tuple[str, str] | None = field(default=None, repr=False)
    attributes: dict[str, str] = field(default_factory=dict)


class Array:
    """The state of one array.

    Args:
        serial: its last nine hexadecimal digits distinguish this array's WWNs from every other's.
        pools: name -> bytes.
        data_plane: keeps the bytes.
        clock: seconds; copies run by it.
        luns: the LUN ids that a host may be given, lowest first.
    """

    def __init__(
        self, serial: int, pools: Mapping[str, int], data_plane: DataPlane, clock: Callable[[], float], luns: Iterable[int]
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.data_plane = data_plane
        self.pools = {str(number): Pool(str(number), name, total) for number, (name, total) in enumerate(pools.items())}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.jobs: dict[str, Job] = {}
        self.hosts: dict[str, Host] = {}
        self.initiators: dict[str, Initiator] = {}
        self.visible: dict[str, dict[str, int]] = {}
        """Host id -> id of a volume or snapshot -> LUN id."""
        self.full = False
        self._serial = serial
        self._luns = tuple(luns)
        self._named = 0

    # Ids, names, capacity

    def next_wwn(self) -> str:
        """Return a WWN that was never given before: NAA type 6, 32 hexadecimal digits.

        Only the lower half tells arrays and objects apart: the data plane's target can show no other upper half to hosts.
        """
        self._named += 1
        return f"6{0:015x}{self._serial % 16**9:09x}{self._named:07x}"

    def next_object_id(self) -> str:
        """Return the lowest id that neither a volume nor a snapshot has; arrays reuse ids."""
        return lowest_free({*self.volumes, *self.snapshots})

    def used(self, pool_id: str) -> int:
        """Return the bytes that a pool has given out."""
        return sum(volume.size if volume.thin is False else EXTENT for volume in self._in(pool_id))

    def provisioned(self, pool_id: str) -> int:
        """Return the bytes that a pool has promised."""
        return sum(volume.size for volume in self._in(pool_id))

    def free(self, pool_id: str) -> int:
        """Return the bytes that a pool has left."""
        return 0 if self.full else max(0, self.pools[pool_id].total - self.used(pool_id))

    def _in(self, pool_id: str) -> list[Volume]:
        return [volume for volume in self.volumes.values() if volume.pool_id == pool_id]

    def _take(self, pool_id: str, size: int, *, thin: bool) -> None:
        if (EXTENT if thin else size) > self.free(pool_id):
            raise OutOfSpace

    # Volumes and snapshots

    def create_volume(
        self,
        name: str,
        pool_id: str,
        size: int,
        *,
        thin: bool,
        description: str = "",
        online_in: float = 0.0,
        identity: tuple[str, str] | None = None,
    ) -> Volume:
        """Make an empty volume, usable `online_in` seconds from now.

        `identity` is id and WWN, both free, where the family has ways of its own to choose them.
        """
        self._take(pool_id, size, thin=thin)
        volume_id, wwn = identity or (self.next_object_id(), self.next_wwn())
        volume = Volume(volume_id, name, pool_id, size, thin, wwn, description, self.clock() + online_in)
        self.volumes[volume.id] = volume
        self.data_plane.create(volume.wwn, size)
        return volume

    def extend_volume(self, volume: Volume, size: int) -> None:
        """Grow a volume."""
        self._take(volume.pool_id, size - volume.size, thin=volume.thin)
        volume.size = size
        self.data_plane.resize(volume.wwn, size)

    def delete_volume(self, volume: Volume) -> None:
        """Forget a volume."""
        del self.volumes[volume.id]
        self.data_plane.delete(volume.wwn)

    def create_snapshot(self, name: str, volume: Volume, description: str = "") -> Snapshot:
        """Make a snapshot that has no moment yet."""
        snapshot = Snapshot(self.next_object_id(), name, volume.id, volume.size, self.next_wwn(), description)
        self.snapshots[snapshot.id] = snapshot
        return snapshot

    def activate(self, snapshots: Iterable[Snapshot]) -> None:
        """Give several snapshots one moment: now."""
        chosen = list(snapshots)
        empty = [snapshot for snapshot in chosen if not snapshot.holds_bytes]
        for snapshot in empty:
            snapshot.size = self.volumes[snapshot.volume_id].size
        for snapshot in chosen:
            snapshot.active, snapshot.holds_bytes, snapshot.taken_at = True, True, time.time()
        self.data_plane.snapshot([(self.volumes[item.volume_id].wwn, item.wwn) for item in empty])

    def copy_snapshot(self, name: str, original: Snapshot, description: str = "") -> Snapshot:
        """Make a snapshot that holds what another one holds, and is to be activated."""
        snapshot = self.create_snapshot(name, self.volumes[original.volume_id], description)
        snapshot.size, snapshot.holds_bytes = original.size, True
        self.data_plane.snapshot([(original.wwn, snapshot.wwn)])
        return snapshot

    def deactivate(self, snapshot: Snapshot) -> None:
        """Take a snapshot's moment away."""
        snapshot.active = snapshot.holds_bytes = False
        self.data_plane.delete(snapshot.wwn)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        if snapshot.holds_bytes:
            self.data_plane.delete(snapshot.wwn)
        del self.snapshots[snapshot.id]

    def begin_revert(self, snapshot: Snapshot, seconds: float) -> None:
        """Put a volume back to a snapshot; it takes so long."""
        self.data_plane.copy(snapshot.wwn, self.volumes[snapshot.volume_id].wwn)
        snapshot.reverting_until = self.clock() + seconds

    def is_reverting(self, snapshot: Snapshot) -> bool:
        """Tell whether a revert to this snapshot is under way."""
        if snapshot.reverting_until is not None and self.clock() >= snapshot.reverting_until:
            snapshot.reverting_until = None
        return snapshot.reverting_until is not None

    def wwn_of(self, object_id: str) -> str:
        """Return the WWN of a volume or snapshot."""
        return (self.volumes.get(object_id) or self.snapshots[object_id]).wwn

    # Jobs

    def create_job(self, kind: str, name: str, source_id: str, target_id: str, seconds: float) -> Job:
        """Make a job that has not been started."""
        job = Job(lowest_free(self.jobs), kind, name, source_id, target_id, seconds)
        self.jobs[job.id] = job
        return job

    def start_job(self, job: Job) -> None:
        """Start a job; a copy takes its source as it is now, the others have or exchange their bytes already."""
        job.started = self.clock()
        if job.kind not in {"migration", "split"}:
            self.data_plane.copy(self.wwn_of(job.source_id), self.wwn_of(job.target_id))

    def is_done(self, job: Job) -> bool:
        """Tell whether a job has run to its end."""
        return job.progress(self.clock()) >= 1.0

    def settle(self) -> None:
        """Let migrations that have run to their end exchange pools and bytes.

        By then the target holds what the source holds, writes in between included; so the source keeps its bytes, elsewhere.
        """
        for job in self.jobs.values():
            if job.kind == "migration" and not job.applied and self.is_done(job):
                job.applied = True
                first, second = self.volumes[job.source_id], self.volumes[job.target_id]
                first.pool_id, second.pool_id = second.pool_id, first.pool_id
                first.thin, second.thin = second.thin, first.thin
                self.data_plane.copy(first.wwn, second.wwn)
                self.data_plane.exchange(first.wwn, second.wwn)

    def clear(self) -> None:
        """Forget every byte and every access; the array is not used afterwards."""
        self.visible = {}
        self.serve()
        kept = [snapshot.wwn for snapshot in self.snapshots.values() if snapshot.holds_bytes]
        for wwn in (*kept, *(volume.wwn for volume in self.volumes.values())):
            self.data_plane.delete(wwn)

    # Who sees what

    def show(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Let each host see exactly these objects; what it sees already keeps its LUN id, what is new takes the lowest free."""
        seen: dict[str, dict[str, int]] = {}
        for host_id, object_ids in wanted.items():
            before = self.visible.get(host_id, {})
            now = {object_id: before[object_id] for object_id in object_ids if object_id in before}
            for object_id in object_ids:
                if object_id not in now:
                    now[object_id] = self._free_lun(now.values())
            if now:
                seen[host_id] = now
        if seen != self.visible:
            self.visible = seen
            self.serve()

    def serve(self) -> None:
        """Tell the data plane who may reach what."""
        self.data_plane.serve(
            [
                Access(host_id, self.wwn_of(object_id), lun, *self._initiators_of(host_id))
                for host_id, objects in self.visible.items()
                for object_id, lun in objects.items()
            ]
        )

    def _initiators_of(self, host_id: str) -> tuple[tuple[str, ...], tuple[str, str] | None]:
        bound = [initiator for initiator in self.initiators.values() if initiator.host_id == host_id]
        chap = next((initiator.chap for initiator in bound if initiator.chap), None)
        return tuple(initiator.address for initiator in bound), chap

    def _free_lun(self, taken: Iterable[int]) -> int:
        used = set(taken)
        for lun in self._luns:
            if lun not in used:
                return lun
        raise OutOfLuns

    def seen_by(self, object_id: str) -> list[str]:
        """Return the ids of the hosts that see an object."""
        return [host_id for host_id, objects in self.visible.items() if object_id in objects]


def lowest_free(taken: Iterable[str]) -> str:
    """Return the lowest decimal id that is not taken."""
    used = {int(identifier) for identifier in taken}
    candidate = 0
    while candidate in used:
        candidate += 1
    return str(candidate)
