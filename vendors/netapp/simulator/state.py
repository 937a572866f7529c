"""The array's state: one SVM, its FlexVols, LUNs, igroups and maps, on the shared engine. Source: protocol sheet, section 2."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from conformance.simulation.dataplane import DataPlane
from conformance.simulation.engine import Array, Volume
from vendors.netapp.simulator.profiles import Profile
from vendors.netapp.simulator.wire import Refusal

_NAA: Final = "600a0980"
_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LUN_NUMBERS: Final = range(4096)
_FIRST_NUMBER: Final = 1
"""What a map gets where it asks for none; the array begins at 0, at which the data plane can show no volume."""
KEPT_SECONDS: Final = 120.0
"""How long the array tells of a copy or a move after its end."""


@dataclass(frozen=True, slots=True)
class Options:
    """How one simulated array is set up; see `build`."""

    pools: Mapping[str, int]
    fabric: tuple[str, ...]
    copy_seconds: float
    job_seconds: float
    portals: tuple[str, ...]
    fc_ports: tuple[str, ...] | None
    nodes: int
    release: tuple[int, int, int] | None
    files: Path
    """Folder with one folder per FlexVol."""
    nfs: str | None
    """Address of the NFS server that serves them; None where none does."""
    nfs_clients: tuple[str, ...]
    """Whom the default export policy lets in from the start."""


@dataclass(slots=True)
class FlexVol:
    """What a pool of the engine is besides."""

    uuid: str
    pool_id: str
    name: str
    aggregate: str
    node: str
    created: str
    snapshots: dict[str, FlexSnapshot] = field(default_factory=dict)
    """By uuid."""
    attributes: dict[str, str] = field(default_factory=dict)
    export_policy: int = 1
    """Id of its policy."""


@dataclass(slots=True)
class FlexSnapshot:
    """A snapshot of a FlexVol: base name -> LUN as it was, with bytes of its own."""

    uuid: str
    name: str
    created: str
    luns: dict[str, Volume] = field(default_factory=dict)
    owners: tuple[str, ...] = ()


@dataclass(slots=True)
class Transfer:
    """A copy onto a LUN, or a move of it, that takes its time."""

    source: str
    started: float
    seconds: float

    def progress(self, now: float) -> tuple[str, int]:
        """Return state and per cent."""
        part = 1.0 if self.seconds <= 0 else min(1.0, (now - self.started) / self.seconds)
        return ("complete" if part >= 1.0 else "replicating"), int(part * 100)

    def is_told(self, now: float) -> bool:
        """Tell whether the array still knows of it."""
        return now - self.started - self.seconds < KEPT_SECONDS


@dataclass(slots=True)
class Igroup:
    """An initiator group."""

    uuid: str
    name: str
    protocol: str
    os_type: str
    comment: str = ""
    portset: str = ""
    delete_on_unmap: bool = False
    initiators: list[str] = field(default_factory=list)
    """As the array writes them: WWPNs with colons."""


@dataclass(slots=True)
class Job:
    """Work that was accepted: done at once here, told later."""

    uuid: str
    description: str
    ends: float
    started: str
    refusal: Refusal | None = None


class State(Array):
    """The engine with ONTAP's identities."""

    def __init__(
        self, serial: int, profile: Profile, options: Options, data_plane: DataPlane, clock: Callable[[], float]
    ) -> None:
        super().__init__(serial, options.pools, data_plane, clock, _LUN_NUMBERS[_FIRST_NUMBER:])
        self.profile = profile
        self.options = options
        self.release = options.release or profile.release
        self.serial_text = _in_digits(serial, 5)
        self.cluster_uuid, self.svm_uuid = new_uuid(), new_uuid()
        self.cluster_name = f"cluster-{self.serial_text.lower()}"
        self.svm_name = "svm1"
        self.nodes = {f"{self.cluster_name}-{number:02d}": new_uuid() for number in range(1, options.nodes + 1)}
        self.flexvols = {pool.name: self._flexvol(number, pool.id, pool.name) for number, pool in enumerate(self.pools.values())}
        self.transfers: dict[str, Transfer] = {}
        """Copies, by the target's uuid."""
        self.movements: dict[str, Transfer] = {}
        """Moves, by the LUN's uuid."""
        self.igroups: dict[str, Igroup] = {}
        self.chap: dict[str, tuple[str, str, str]] = {}
        """Initiator -> authentication type, user, secret."""
        self.logged_in: tuple[str, ...] = options.fabric
        self.used_by_files: Callable[[str], int] = lambda _: 0
        self.keep_files: Callable[[FlexVol, FlexSnapshot], None] = lambda *_: None
        self.drop_files: Callable[[FlexSnapshot], None] = lambda _: None
        self.job_list: dict[str, Job] = {}
        self.job_guard = threading.Lock()

    def _flexvol(self, number: int, pool_id: str, name: str) -> FlexVol:
        nodes = list(self.nodes)
        return FlexVol(new_uuid(), pool_id, name, f"aggr{number % 2 + 1}", nodes[number % 2], now_text())

    # Identities

    def next_object_id(self) -> str:
        """Return a uuid, which is never given again."""
        return new_uuid()

    def next_wwn(self) -> str:
        """Return the SCSI identity of a LUN: the vendor's prefix and a serial number of twelve characters."""
        self._named += 1
        return _NAA + (self.serial_text + _in_digits(self._named, 7)).encode().hex()

    def used(self, pool_id: str) -> int:
        """Return the bytes that a FlexVol has given out, to files too."""
        return super().used(pool_id) + self.used_by_files(pool_id)

    # Looking

    def lun_at(self, path: str) -> Volume | None:
        """Return the LUN of that name."""
        return next((lun for lun in self.volumes.values() if lun.name == path), None)

    def flexvol_of(self, lun: Volume) -> FlexVol:
        """Return the FlexVol that a LUN is in."""
        return self.flexvols[self.pools[lun.pool_id].name]

    def igroup_named(self, name: str) -> Igroup | None:
        """Return the igroup of that name."""
        return next((group for group in self.igroups.values() if group.name == name), None)

    def maps_of(self, lun_uuid: str) -> dict[str, int]:
        """Return igroup uuid -> LUN number."""
        return {group: luns[lun_uuid] for group, luns in self.visible.items() if lun_uuid in luns}

    def is_mapped(self, lun_uuid: str) -> bool:
        """Tell whether any igroup sees a LUN."""
        return any(lun_uuid in luns for luns in self.visible.values())

    def reporting_nodes(self, lun: Volume) -> list[str]:
        """Return the nodes that show a LUN: its own and that one's partner."""
        nodes = list(self.nodes)
        pair = nodes.index(self.flexvol_of(lun).node) // 2 * 2
        return nodes[pair : pair + 2]

    # Who sees what

    def map_lun(self, lun: Volume, group: Igroup, wanted: int | None) -> int:
        """Show a LUN to an igroup, under the lowest number that is free for all of its initiators."""
        taken = {
            number
            for other in self.igroups.values()
            if other is group or set(other.initiators) & set(group.initiators)
            for number in self.visible.get(other.uuid, {}).values()
        }
        if wanted is not None and (wanted in taken or wanted not in _LUN_NUMBERS):
            raise Refusal(1254324, "The LUN number is in use for an initiator of the igroup.", target="logical_unit_number")
        lun_number = self._free_lun(taken) if wanted is None else wanted
        self.visible.setdefault(group.uuid, {})[lun.id] = lun_number
        self.serve()
        return lun_number

    def unmap_lun(self, lun_uuid: str, group_uuid: str) -> None:
        """Take a LUN away from an igroup."""
        luns = self.visible.get(group_uuid, {})
        luns.pop(lun_uuid, None)
        if not luns:
            self.visible.pop(group_uuid, None)
        self.serve()

    def _initiators_of(self, host_id: str) -> tuple[tuple[str, ...], tuple[str, str] | None]:
        members = self.igroups[host_id].initiators
        chap = next((self.chap[name] for name in members if name in self.chap and self.chap[name][0] == "chap"), None)
        return tuple(name.replace(":", "").lower() if is_wwpn(name) else name for name in members), chap and chap[1:]

    def clear(self) -> None:
        """Forget every byte, those of FlexVol snapshots too."""
        for flexvol in self.flexvols.values():
            for snapshot in list(flexvol.snapshots.values()):
                self.drop_snapshot(flexvol, snapshot)
        super().clear()

    # FlexVol snapshots

    def take_snapshots(self, name: str, flexvols: list[FlexVol]) -> list[FlexSnapshot]:
        """Keep every LUN and file of several FlexVols as it is at one moment."""
        made, pairs = [], []
        for flexvol in flexvols:
            kept = FlexSnapshot(new_uuid(), name, now_text())
            for lun in [lun for lun in self.volumes.values() if lun.pool_id == flexvol.pool_id]:
                frozen = Volume(
                    new_uuid(), lun.name, lun.pool_id, lun.size, lun.thin, self.next_wwn(), attributes=dict(lun.attributes)
                )
                kept.luns[lun.name.rpartition("/")[2]] = frozen
                pairs.append((lun.wwn, frozen.wwn))
            flexvol.snapshots[kept.uuid] = kept
            self.keep_files(flexvol, kept)
            made.append(kept)
        if pairs:
            self.data_plane.snapshot(pairs)
        return made

    def drop_snapshot(self, flexvol: FlexVol, snapshot: FlexSnapshot) -> None:
        """Forget a FlexVol's snapshot and its bytes."""
        del flexvol.snapshots[snapshot.uuid]
        self.drop_files(snapshot)
        for lun in snapshot.luns.values():
            self.data_plane.delete(lun.wwn)

    # Jobs

    def begin_job(self, description: str, refusal: Refusal | None = None) -> Job:
        """Make the record of accepted work."""
        job = Job(new_uuid(), description, self.clock() + self.options.job_seconds, now_text(), refusal)
        with self.job_guard:
            self.job_list[job.uuid] = job
        return job


def serial_of(lun: Volume) -> str:
    """Return a LUN's serial number, the latter part of its SCSI identity."""
    return bytes.fromhex(lun.wwn[len(_NAA) :]).decode()


def is_wwpn(name: str) -> bool:
    """Tell whether an initiator is an FC port."""
    return not name.startswith(("iqn.", "eui.", "naa."))


def with_colons(plain: str) -> str:
    """Return a WWPN as the array writes it."""
    return ":".join(plain[start : start + 2] for start in range(0, len(plain), 2))


def new_uuid() -> str:
    """Return a new identifier."""
    return str(uuid.uuid4())


def now_text() -> str:
    """Return the time as the array writes it; finer than a second, so that objects made one after another are told apart."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat()


def named(name: str, identifier: str) -> dict[str, Any]:
    """Return how a record refers to another object."""
    return {"name": name, "uuid": identifier}


def _in_digits(number: int, length: int) -> str:
    found = ""
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        found = _DIGITS[digit] + found
    return found
