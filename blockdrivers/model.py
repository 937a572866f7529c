"""The nouns of the library: frozen dataclasses. Sizes are bytes, rates are per second, latencies are microseconds.

An object that lives on an array has an `id` (the array's own, reused after deletion on many arrays), a `name` (array-side,
derived from the caller's id by `blockdrivers.naming`) and, for what has bytes, a `wwn` (its SCSI identity, never reused).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

KiB = 1024
MiB = 1024**2
GiB = 1024**3
TiB = 1024**4

MIN_VOLUME_SIZE = GiB
MAX_VOLUME_SIZE = 64 * TiB


class Protocol(StrEnum):
    """How a host reaches a volume."""

    FC = "fc"
    ISCSI = "iscsi"
    NFS = "nfs"
    RBD = "rbd"

    @property
    def label(self) -> str:
        """The compatibility list's word for it: FC-SAN, IP-SAN, NFS or Ceph."""
        return _PROTOCOL_LABELS[self]


_PROTOCOL_LABELS = {Protocol.FC: "FC-SAN", Protocol.ISCSI: "IP-SAN", Protocol.NFS: "NFS", Protocol.RBD: "Ceph"}


class Health(StrEnum):
    """What an object says of its own condition."""

    NORMAL = "normal"
    DEGRADED = "degraded"
    FAULTY = "faulty"
    UNKNOWN = "unknown"


class VolumeState(StrEnum):
    """What a volume may be used for."""

    READY = "ready"
    COPYING = "copying"
    """A clone whose bytes are not all there: a cut-off or running call; asking for the clone again completes it."""
    BUSY = "busy"
    """Being initialised, reverted or migrated by the array."""
    FAULTY = "faulty"


class Dependant(StrEnum):
    """Kinds of things that hang on a volume and stand in the way of its deletion."""

    SNAPSHOT = "snapshot"
    EXPORT = "export"
    COPY = "copy"
    MIGRATION = "migration"
    REPLICATION = "replication"
    MIRROR = "mirror"


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """The array itself."""

    vendor: str
    model: str
    serial: str
    name: str
    firmware: str
    wwn: str | None = None
    health: Health = Health.UNKNOWN
    details: Mapping[str, str] = field(default_factory=dict)
    """Whatever else is worth handing over to support (patch level, location, product mode)."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool as it is now."""

    id: str
    name: str
    total_bytes: int
    free_bytes: int
    provisioned_bytes: int | None
    """Sum of the sizes promised to volumes; None where the array does not tell."""
    health: Health = Health.UNKNOWN
    disk_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """A target port of the array."""

    id: str
    protocol: Protocol
    address: str
    """A WWPN (16 lower-case hex digits) for FC, ``ip:port`` for iSCSI."""
    iqn: str | None = None
    up: bool = True
    speed_bits: int | None = None
    controller: str | None = None


@dataclass(frozen=True, slots=True)
class InitiatorFacts:
    """An initiator that the array knows or sees."""

    address: str
    protocol: Protocol
    online: bool
    host: str | None = None
    """Array-side name of the host that it is bound to."""


@dataclass(frozen=True, slots=True)
class Qos:
    """Limits of a volume; None is no limit. Rates in operations or bytes per second, latency in microseconds."""

    total_iops: int | None = None
    read_iops: int | None = None
    write_iops: int | None = None
    total_bytes_sec: int | None = None
    read_bytes_sec: int | None = None
    write_bytes_sec: int | None = None
    min_iops: int | None = None
    min_bytes_sec: int | None = None
    max_latency_us: int | None = None

    def as_dict(self) -> dict[str, int]:
        """Return the limits that are set."""
        return {key: value for key in QOS_KEYS if (value := getattr(self, key)) is not None}


QOS_KEYS = tuple(Qos.__dataclass_fields__)


class ReplicationState(StrEnum):
    """How a volume's copy on another array stands."""

    SYNCHRONISED = "synchronised"
    SYNCHRONISING = "synchronising"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Replication:
    """A volume's copy on another array, as this array has it."""

    group: str
    """What is replicated together."""
    target: str
    """What this array calls the other one."""
    volume: str | None
    """The copy's name there, where it is told."""
    synchronous: bool | None
    reversed: bool
    """Whether the roles are exchanged: the other array's copy is the one in use."""
    state: ReplicationState


@dataclass(frozen=True, slots=True)
class VolumeRef:
    """How a volume is addressed: by name, with the id and WWN under which it was last seen, if it was."""

    name: str
    id: str | None = None
    wwn: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """How a snapshot is addressed: by name, with the id under which it was last seen, if it was."""

    name: str
    id: str | None = None
    volume: str | None = None
    """Array-side name of the volume that it is of, where that is known."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume on the array."""

    id: str
    name: str
    size: int
    pool: str
    wwn: str | None
    """SCSI identity (NAA, lower-case hex digits without prefix); None for what is not a LUN."""
    thin: bool
    state: VolumeState = VolumeState.READY
    health: Health = Health.NORMAL
    description: str = ""
    dependants: frozenset[Dependant] = frozenset()
    """What hangs on it: all of it where the volume was read or listed, else as far as the operation had to look."""
    qos_id: str | None = None
    """The array's id of the QoS policy that holds this volume, if any; None too where the array does not tell."""
    allocated_bytes: int | None = None
    volume_id: str | None = None
    """The caller's id; None for a volume that this library did not name. Filled in by `Backend`."""

    @property
    def ref(self) -> VolumeRef:
        """The volume's address as seen now."""
        return VolumeRef(self.name, self.id, self.wwn)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point-in-time copy of a volume."""

    id: str
    name: str
    size: int | None
    """None where the array does not tell (capability ``find_snapshots``)."""
    source_id: str
    """The array's id of the volume that it was taken of."""
    source_name: str
    wwn: str | None = None
    ready: bool = True
    """Whether it holds a point in time; an array with two-step snapshots shows an unfinished one as not ready."""
    exported: bool = False
    description: str = ""
    snapshot_id: str | None = None
    volume_id: str | None = None
    """The caller's ids; None for what this library did not name. Filled in by `Backend`."""

    @property
    def ref(self) -> SnapshotRef:
        """The snapshot's address as seen now."""
        return SnapshotRef(self.name, self.id, self.source_name)


@dataclass(frozen=True, slots=True)
class Chap:
    """One-way CHAP credentials; the secret never shows in a repr."""

    username: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that uses volumes: what it is called and how it shows itself on the wire."""

    name: str
    iqn: str | None = None
    wwpns: tuple[str, ...] = ()
    nqn: str | None = None
    addresses: tuple[str, ...] = ()
    """IP addresses, for NFS export rules."""
    chap: Chap | None = None


@dataclass(frozen=True, slots=True)
class IscsiTarget:
    """One iSCSI path: a portal and the target behind it."""

    portal: str
    """``ip:port``."""
    iqn: str


@dataclass(frozen=True, slots=True)
class Export:
    """A volume or snapshot as one host sees it: everything that the host needs to connect."""

    volume: str
    """Array-side name of the exported volume or snapshot."""
    host: str
    """Name of the host as the caller gave it; its array-side name where the caller is unknown."""
    protocol: Protocol
    lun: int | None = None
    wwn: str | None = None
    targets: tuple[IscsiTarget, ...] = ()
    wwpns: tuple[str, ...] = ()
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """FC only: initiator WWPN -> target WWPNs that it can reach."""
    location: str | None = None
    """NFS: ``server:/path/file``; RBD: ``pool/image``."""
    format: str | None = None
    """NFS: how the disk's bytes are in the file, ``raw`` or ``qcow2``; never to be guessed from them."""
    chap: Chap | None = None


@dataclass(frozen=True, slots=True)
class DevicePath:
    """One way of this machine to an attached LUN: a SCSI disk of the kernel."""

    device: str
    """``/dev/sdb``."""
    target: str
    """IQN or WWPN of the target port."""
    lun: int
    address: str | None = None
    """iSCSI only: ``ip:port`` of the portal."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A volume on this machine, after its identity was proven."""

    volume_id: str
    protocol: Protocol
    path: str
    """What to use: a block device (``/dev/sdb``, ``/dev/dm-0``, ``/dev/rbd0``) or, over NFS, a file."""
    size: int
    """Bytes, as this machine sees them."""
    wwn: str | None = None
    """What every path answered when it was asked for its identity; None for what is not a LUN."""
    map: str | None = None
    """The multipath map, ``/dev/dm-0``, where the paths are held by one."""
    paths: tuple[DevicePath, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long it took: ``array``, ``host`` (connecting) and ``identity`` (finding and proving the devices)."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that an abandoned operation left on the array."""

    kind: str
    """``volume``, ``snapshot``, ``copy``, ``migration``, ``host``, ``qos``, ..."""
    id: str
    name: str
    reason: str
    """Why it is a leftover, in one sentence."""
