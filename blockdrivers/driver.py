"""The driver contract: what one vendor adapter implements.

A driver translates; it does not decide. Each method is one intention on the array, raises the typed errors of
`blockdrivers.errors`, and never retries, locks, sleeps (but through `blockdrivers.deadline.wait_until`) or caches what can
change. Names, sizes and options have been validated by `Backend` before a driver sees them.

Rules that hold for every method:

* **Re-entrant.** A method that needs several requests completes what an earlier, cut-off call for the same name began.
  `AlreadyExists` means: the object is there, and complete.
* **Optimistic.** Send what changes the array; read only what the answer must hold.
* **References.** A `VolumeRef` with an id may be used as it is where the answer proves that the id still names the volume
  (else undo and raise `StaleReference`); where it has no id, or nothing would prove it, look the name up.
* **Destructive methods** (`delete_*`, `revert_volume`) take what `Backend` has read a moment before, by name.
* **Ambiguous** is for a connection that died after a changing request was sent; a read may be repeated by the transport.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from blockdrivers.errors import NotSupported
from blockdrivers.model import (
    MAX_VOLUME_SIZE,
    MIN_VOLUME_SIZE,
    Export,
    GiB,
    Host,
    InitiatorFacts,
    Leftover,
    MiB,
    Pool,
    Port,
    Protocol,
    Qos,
    Replication,
    Snapshot,
    SnapshotRef,
    SystemFacts,
    Volume,
    VolumeRef,
)


@dataclass(frozen=True, slots=True)
class NameRules:
    """How long array-side names may be, in characters. Fixed for a family: a changed limit would change every name."""

    volume: int = 31
    snapshot: int = 31
    host: int = 31


@dataclass(frozen=True, slots=True)
class QosSupport:
    """Which limits the array can set, and how.

    Attributes:
        keys: fields of `Qos` that it knows.
        combinations: sets of fields that may be set together; a request must fit within one of them.
        bytes_step: bandwidth limits are multiples of this many bytes per second.
        latency_step_us: latency limits are multiples of this many microseconds.
        min_iops: smallest limit of operations per second that it takes.
        told: whether `Volume.qos_id` tells that a volume has a policy; where not, `get_qos` has to be asked.
    """

    keys: frozenset[str]
    combinations: tuple[frozenset[str], ...]
    bytes_step: int = MiB
    latency_step_us: int = 1
    min_iops: int = 1
    told: bool = True


@dataclass(frozen=True, slots=True)
class ChapRules:
    """What the array takes as CHAP credentials."""

    min_secret: int = 12
    max_secret: int = 16
    free_username: bool = True
    """Whether the user name can be chosen; else it is the initiator's IQN."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this array can do, as data. What is not declared raises `NotSupported` before anything is sent."""

    protocols: frozenset[Protocol]
    names: NameRules = NameRules()
    description_bytes: int = 0
    """Room in the description field of volumes and snapshots; 0 where there is none."""
    size_step: int = GiB
    """Sizes are multiples of this."""
    min_size: int = MIN_VOLUME_SIZE
    max_size: int = MAX_VOLUME_SIZE
    thin: bool = True
    thick: bool = False
    thin_pools: frozenset[str] | None = None
    """Names of the pools whose volumes are thin, where provisioning is the pool's; None where each volume's is chosen."""
    online_extend: bool = True
    extend_with_snapshots: bool = True
    """Whether a volume that has snapshots can grow."""
    relative_extend: bool = False
    """Whether the array is told how much to add: two such requests at once would add twice, so `Backend` lets one wait."""
    multi_attach: bool = True
    revert: bool = False
    revert_to_any: bool = True
    """Whether a volume can be reverted to an older snapshot past newer ones; else these have to be deleted first (`InUse`)."""
    qos: QosSupport | None = None
    manage: bool = False
    migrate: bool = False
    migrate_in_use: bool = True
    """Whether a volume moves to another pool, and has its space reserved, while hosts use it, and stays the same object. Else an exported one is
    `InUse`, and one that has moved has another id; an array may be able to reserve on line all the same."""
    group_snapshots: bool = False
    export_snapshots: bool = False
    copies_in_use: bool = True
    """Whether an exported volume gets snapshots and clones; else it is `InUse`: bytes that are copied while a host writes are of no
    one moment."""
    chap: ChapRules | None = None
    file_format: str | None = None
    """How disks' bytes are in the files of volumes, ``raw`` or ``qcow2``; None where volumes are LUNs."""
    export_rules: bool = False
    """Whether an export over NFS lets the host's addresses in; else that is the administrator's business."""
    list_objects: bool = True
    """Whether volumes and snapshots can be listed; some command lines have no such query. Without, nothing can be swept."""
    find_snapshots: bool = True
    """Whether a snapshot can be looked up. Where not, it is known by its volume's id and its own together: callers name both
    (``of_volume``), the same id may stand for a snapshot of each volume, and what was asked for is told, not what is there."""
    find_in_volume: bool = False
    """Where snapshots cannot be looked up: whether one can be told, and renamed, within its volume. Callers that name both can take
    one over and give it up then (``manage``)."""
    list_exports: bool = True
    """Whether the array tells what a volume is exported to. Where not, its own refusals are all that protects an exported
    volume, and `Driver.delete_named` deletes one."""
    host_objects: bool = True
    """Whether hosts are objects on the array. Where not, volumes are shown to initiators: a caller that takes one away names
    these (`Host`), and no initiator belongs to anybody."""
    tells_wwn: bool = True
    """Whether the array tells a LUN's SCSI identity. Where not, no device can be proven, and `Backend.attach` refuses."""
    wwn_follows_id: bool = False
    """Whether the array derives a LUN's SCSI identity from its id, so that an id used again brings its WWN back."""
    tells_ports: bool = True
    """Whether the array can be asked for its target ports."""
    tells_reasons: bool = True
    """Whether a refusal says why: a full pool is `OutOfSpace`, a wrong password `LoginRefused`. Where not, it is a `VendorError`."""
    own_transport: bool = True
    """Whether requests go through this library's transports, which are configured with what to trust. Where not, nothing is known of
    how the array's certificate or host key is checked."""
    parallel_processes: bool = True
    """Whether several processes may work on the array at the same time; one after the other they always may."""
    serial_clones: bool = False
    """Whether a volume is the source of one clone at a time, and the array does not guard that: `Backend` lets others wait."""
    serial_snapshots: bool = False
    """Whether two calls for a snapshot of one id at once, one of them for a group, could end with members of two moments: `Backend` lets
    one wait."""
    max_lun: int = 255
    replication: bool = False
    """Whether the copies of a volume on other arrays can be told; they are made and ended elsewhere."""
    changed_blocks: bool = False
    notes: tuple[str, ...] = field(default=())
    """What a caller should know and no flag says."""


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume to be made."""

    name: str
    size: int
    pool: str
    thin: bool
    description: str = ""
    """The text of the complete volume."""
    unfinished_description: str = ""
    """The text that marks a clone whose bytes are still being copied."""
    source_size: int | None = None
    """Size in bytes of what a clone is made from; None for an empty volume."""


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """A snapshot to be made."""

    source: VolumeRef
    name: str
    description: str = ""


Source = VolumeRef | SnapshotRef
"""What can be cloned or exported."""


class Driver(ABC):
    """One array family's adapter. Instances are shared by threads."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What the array can do; may ask the array once (model, firmware)."""

    @abstractmethod
    def close(self) -> None:
        """End every management session and connection; calling it again does nothing."""

    # The array

    @abstractmethod
    def system(self) -> SystemFacts:
        """Return facts and health as they are now, in one request."""

    @abstractmethod
    def licences(self) -> Mapping[str, bool]:
        """Return feature name, as the array spells it -> usable; empty where the array does not tell."""

    @abstractmethod
    def pools(self) -> Sequence[Pool]:
        """Return every pool that can hold volumes, as it is now."""

    @abstractmethod
    def ports(self) -> Sequence[Port]:
        """Return the target ports of every protocol that the array serves to hosts."""

    @abstractmethod
    def initiators(self) -> Sequence[InitiatorFacts]:
        """Return the initiators that the array knows or sees logged in."""

    # Volumes

    @abstractmethod
    def create_volume(self, spec: VolumeSpec) -> Volume:
        """Make an empty volume and return it once it is usable.

        Raises `AlreadyExists` (the name is taken), `InvalidRequest` (no such pool), `OutOfSpace`, `LimitReached`, `Ambiguous`.
        """

    @abstractmethod
    def get_volume(self, name: str) -> Volume:
        """Return the volume of that exact name, or raise `NotFound`."""

    def look_up_volume(self, name: str) -> Volume:
        """Return the volume as `get_volume` does, but for dependants that take further requests to see.

        A driver may leave a kind of dependant out where the array itself refuses what would harm it: `delete_volume` and
        `revert_volume` then raise `InUse` without having changed anything.
        """
        return self.get_volume(name)

    @abstractmethod
    def list_volumes(self) -> Iterable[Volume]:
        """Yield every volume of the array, page by page, foreign ones included."""

    @abstractmethod
    def extend_volume(self, volume: Volume, size: int) -> None:
        """Grow a volume, read a moment before, to `size` bytes in all."""

    @abstractmethod
    def delete_volume(self, volume: Volume) -> None:
        """Delete a volume, read a moment before; raise `NotFound` when it has gone, `InUse` when the array refuses.

        A QoS policy that holds only this volume goes with it.
        """

    def delete_named(self, name: str, temporary: str, *, force: bool) -> None:
        """Delete the volume of that name, where the array tells nothing of exports (not capability ``list_exports``).

        What hangs on it is the array's to refuse: `InUse`. With `force` it is taken away from every host then. An unfinished clone
        goes with its helper objects; `temporary` is the name that they may have. `NotFound` when there is none.
        """
        raise self._unsupported("deletion without a look")

    @abstractmethod
    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Make an independent full copy of a volume or snapshot and return it once all bytes are there.

        Until then the target's description is ``spec.unfinished_description`` and its state COPYING. `temporary` is the name
        for a helper object (a snapshot of the source, say); none is left when the method returns. Called again after a cut,
        it goes on. Raises `AlreadyExists` when the target is complete, or is somebody else's.
        """

    @abstractmethod
    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Stop a clone that will not be completed and remove its helper objects; the target stays, to be deleted next."""

    # Snapshots

    @abstractmethod
    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """Take a snapshot and return it once it holds its point in time."""

    @abstractmethod
    def get_snapshot(self, name: str) -> Snapshot:
        """Return the snapshot of that exact name, or raise `NotFound`."""

    def look_up_snapshot(self, name: str) -> Snapshot:
        """Return the snapshot as `get_snapshot` does; whether it is exported may be left out under the terms of `look_up_volume`."""
        return self.get_snapshot(name)

    def look_up_revert(self, volume: str, snapshot: str) -> tuple[Volume, Snapshot]:
        """Return a volume and the snapshot that it is to be put back to, as `look_up_volume` and `look_up_snapshot` do.

        For arrays that answer several questions in one request. `NotFound` where there is one of them only.
        """
        return self.look_up_volume(volume), self.look_up_snapshot(snapshot)

    def recall_snapshot(self, name: str) -> Snapshot:
        """Return the snapshot as it was last seen, or as `look_up_snapshot` does, for `clone_volume` and `delete_snapshot`.

        A driver may answer from memory, all but whether it is exported, where the array proves by the request that follows that this
        snapshot is still there: else `clone_volume` raises `NotFound`, and `delete_snapshot` looks it up.
        """
        return self.look_up_snapshot(name)

    @abstractmethod
    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """Yield the snapshots of one volume, or every one of the array."""

    @abstractmethod
    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Delete a snapshot, read a moment before; `NotFound` when it has gone, `InUse` when the array refuses."""

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """Take snapshots of several volumes at one point in time (capability ``group_snapshots``)."""
        raise self._unsupported("group_snapshots")

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """Put a volume back to a snapshot of its own and return when that is done (capability ``revert``)."""
        raise self._unsupported("revert")

    # Exports

    @abstractmethod
    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Let a host use a volume or snapshot, making the host object on the way; return how to reach it.

        Exporting again returns the same export. Two first exports of one host may race: the array's own refusals settle
        that. Raises `InUse` when an initiator belongs to another host object, `InvalidRequest` when the array sees none of the
        host's FC initiators, `LimitReached` when no LUN id is free.
        """

    @abstractmethod
    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """Take a volume or snapshot away from a host; `NotFound` when it was not exported to it.

        The host object stays for its next export; `remove_host` removes it.
        """

    @abstractmethod
    def list_exports(self, source: Source) -> Sequence[Export]:
        """Return every export of a volume or snapshot, to whatever host, with `Export.host` as the array-side name."""

    def unexport_initiators(self, source: Source, host: Host, protocol: Protocol) -> None:
        """Take a volume away from a host's initiators, where hosts are no objects (not capability ``host_objects``).

        `NotFound` when it was not exported to any of them.
        """
        raise self._unsupported("exports to initiators")

    def remove_host(self, host_name: str) -> None:
        """Remove a host object that has no exports; `NotFound` when it has gone, `InUse` while it has exports."""
        raise self._unsupported("hosts")

    # Optional parts

    def set_qos(self, volume: Volume, qos: Qos, name: str) -> None:
        """Put exactly these limits on a volume, read a moment before (capability ``qos``).

        `name` is for a policy object of the volume's own. An empty `Qos` takes the limits away.
        """
        raise self._unsupported("qos")

    def get_qos(self, volume: Volume) -> Qos:
        """Return the limits on a volume, read a moment before; an empty `Qos` where there are none (capability ``qos``)."""
        raise self._unsupported("qos")

    def replications(self, volume: Volume) -> Sequence[Replication]:
        """Return the copies on other arrays of a volume, read a moment before (capability ``replication``)."""
        raise self._unsupported("replication")

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """Rename a volume, read a moment before (capability ``manage``)."""
        raise self._unsupported("manage")

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """Rename a snapshot, read a moment before (capability ``manage``).

        Where snapshots are found within their volume only (``find_in_volume``), nothing was read: `NotFound` where the volume has none of
        that name, `AlreadyExists` where it has one of the new name.
        """
        raise self._unsupported("manage")

    def has_snapshot(self, snapshot: SnapshotRef) -> bool:
        """Tell whether a volume has a snapshot of that name (capability ``find_in_volume``); False where there is no such volume."""
        raise self._unsupported("look-up of a volume's snapshots")

    def migrate_volume(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """Move a volume's bytes to the pool and provisioning of `spec`; its WWN stays (capability ``migrate``).

        On line, or, without ``migrate_in_use``, `InUse` where a host uses it. Where snapshots would stay behind: `InUse`.

        `temporary` names the helper LUN that the array exchanges the bytes with; none is left when the method returns.
        """
        raise self._unsupported("migrate")

    def leftovers(self) -> Iterable[Leftover]:
        """Yield what abandoned operations left on the array: only objects that this library named."""
        return ()

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of `leftovers`, after making sure that it still is one."""
        raise self._unsupported("leftovers")

    def _unsupported(self, what: str) -> NotSupported:
        return NotSupported(f"{type(self).__name__} has no {what}; its capabilities say so.")
