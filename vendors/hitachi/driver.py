"""The driver contract in terms of the Configuration Manager REST API.

Source of every request: the protocol sheet hitachi-vsp-rest, sections 3.1 to 3.15. Names, unfinished clones and snapshots are kept
as `ldevs`, `objects` and `snapshots` say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from blockdrivers.deadline import wait_until
from blockdrivers.driver import Capabilities, ChapRules, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import (
    AlreadyExists,
    Busy,
    InUse,
    InvalidRequest,
    LicenceMissing,
    NotFound,
    OutOfSpace,
    StaleReference,
    VendorError,
)
from blockdrivers.model import (
    Dependant,
    Export,
    Host,
    InitiatorFacts,
    Leftover,
    Pool,
    Port,
    Protocol,
    Qos,
    Snapshot,
    SnapshotRef,
    SystemFacts,
    Volume,
    VolumeRef,
)
from blockdrivers.naming import Kind, kind_of
from vendors.hitachi import objects
from vendors.hitachi import qos as limits
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.clones import Clones
from vendors.hitachi.facts import Facts
from vendors.hitachi.groups import SnapshotGroups
from vendors.hitachi.hosts import Hosts
from vendors.hitachi.ldevs import Claim, Ldevs
from vendors.hitachi.mapping import MAX_LUN, LuPaths, Target
from vendors.hitachi.options import VspOptions
from vendors.hitachi.shadow import Moves, ShadowClones
from vendors.hitachi.snapshots import Snapshots
from vendors.hitachi.space import explaining_space
from vendors.hitachi.sweeper import Sweeper

_REDUCING = frozenset({"ENABLED", "REHYDRATING", "DELETING"})
_NOTES = (
    "A volume's WWN is derived from its LDEV id: a volume that is made again under its old id has its old WWN.",
    "WWNs are not known before the array has shown one, which takes a first export of any LDEV.",
)


def open_driver(options: VspOptions, name: str) -> VspDriver:
    """Return a driver; nothing is sent before the first operation."""
    return VspDriver(VspClient(options, name), options)


class VspDriver(Driver):
    """One VSP array."""

    def __init__(self, client: VspClient, options: VspOptions) -> None:
        self._client = client
        self._options = options
        self._facts = Facts(client, options)
        self._ldevs = Ldevs(client, self._facts, options)
        self._snapshots = Snapshots(client, self._ldevs, self._facts, options)
        self._groups = SnapshotGroups(client, self._ldevs, self._facts, self._snapshots)
        self._hosts = Hosts(client, self._facts, options)
        self._paths = LuPaths(client, self._ldevs, self._hosts, self._facts)
        self._clones = Clones(client, self._ldevs, options)
        self._shadows = ShadowClones(client, self._ldevs, options)
        self._moves = Moves(client, self._ldevs, options)

    @property
    def capabilities(self) -> Capabilities:
        """What this model can do."""
        return Capabilities(
            protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
            thick=True,
            extend_with_snapshots=False,
            relative_extend=True,
            revert=True,
            qos=self._facts.model.qos,
            manage=True,
            migrate=True,
            group_snapshots=True,
            export_snapshots=True,
            chap=ChapRules(max_secret=32),
            max_lun=MAX_LUN,
            wwn_follows_id=True,
            notes=_NOTES,
        )

    def close(self) -> None:
        """Log out everywhere."""
        self._client.close()

    # The array

    def system(self) -> SystemFacts:
        """GET storages/{id} (sheet, 3.1)."""
        return objects.system_facts(self._client.read(""))

    def licences(self) -> Mapping[str, bool]:
        """Nothing tells of licences; a missing one is an error of its own (sheet, 4.4)."""
        return {}

    def pools(self) -> Sequence[Pool]:
        """GET pools (sheet, 3.2)."""
        return self._facts.read_pools()

    def ports(self) -> Sequence[Port]:
        """GET ports, and each iSCSI port alone (sheet, 3.8)."""
        return self._facts.read_ports()

    def initiators(self) -> Sequence[InitiatorFacts]:
        """GET host-wwns and host-iscsis of every host group (sheet, 3.10)."""
        return self._hosts.every_initiator()

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """POST ldevs under an id of the name's own, then its label (sheet, 3.3 and 3.5)."""
        return self._volume(self._make(spec, spec.name, spec.size))

    def get_volume(self, name: str) -> Volume:
        """GET ldevs; an LDEV without a label is called by its address, such as ``00:04:12``."""
        ldev = self._ldevs.named(name)
        if kind_of(objects.name(ldev)) is Kind.SNAPSHOT:
            raise NotFound(f"The array's LDEV {name!r} is a snapshot's.")
        self._ldevs.keep(ldev)
        return self._volume(ldev)

    def list_volumes(self) -> Iterable[Volume]:
        """GET ldevs, page by page; the secondary volumes of snapshots are left out where they are labelled."""
        for ldev in self._ldevs.all():
            if objects.is_defined(ldev) and kind_of(objects.name(ldev)) is not Kind.SNAPSHOT:
                yield self._volume(ldev)

    def extend_volume(self, volume: Volume, size: int) -> None:
        """Expand by the difference: the array is told what to add (sheet, 3.5)."""
        more = size - volume.size
        self._ldevs.changes(int(volume.id))
        with explaining_space(self._facts, self._facts.pool_id(volume.pool), more):
            self._client.act(f"ldevs/{volume.id}", "expand", {"additionalBlockCapacity": more // objects.BLOCK})

    def delete_volume(self, volume: Volume) -> None:
        """DELETE ldevs; what the array refuses is explained by reading the LDEV (sheet, 3.5 and trap 16)."""
        try:
            self._ldevs.delete(int(volume.id))
        except VendorError as refused:
            self._delete_refused(volume, refused)
        self._ldevs.forget(volume.name)

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Pair an LDEV of the source's size as its clone, and extend it afterwards (sheet, 3.6, 3.7 and trap 19).

        The label's last character marks it as unfinished meanwhile; the label without it is the commit.
        """
        origin, origin_size = self._origin(source)
        target, resume = self._clone_target(spec, origin_size)
        # A target that has been extended already had all its bytes before.
        if objects.size(target) == origin_size:
            with self._undoing_refused(target, spec, temporary):
                pool_id, target_id = objects.number(target, "poolId"), objects.number(target, "ldevId")
                if self._options.clone_with == "shadow-image" and isinstance(source, VolumeRef):
                    target = self._shadows.run(origin, target_id, spec.name)
                else:
                    target = self._clones.run(origin, target_id, pool_id, temporary, resume=resume)
        volume = self._volume(target)
        if volume.size < spec.size:
            self.extend_volume(volume, spec.size)
        self._ldevs.set_label(int(volume.id), spec.name)
        return self._volume({**target, "label": spec.name, "blockCapacity": spec.size // objects.BLOCK})

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Delete the pair whose target the volume is, of whichever kind."""
        del temporary  # the pair is found by its target, or by the target's name
        self._clones.abandon(int(volume.id))
        if self._options.clone_with == "shadow-image" or Dependant.COPY in volume.dependants:
            self._shadows.abandon(volume.name)

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """POST snapshots with autoSplit (sheet, 3.6)."""
        return self._snapshots.create(spec)

    def get_snapshot(self, name: str) -> Snapshot:
        """GET snapshots by group name, and the LDEVs that it names."""
        return self._snapshots.get(name)

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """GET snapshots of a volume, or snapshot-replications."""
        return self._snapshots.all() if source is None else self._snapshots.of(source)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """DELETE snapshots, and the secondary volume where there is one."""
        self._snapshots.delete(snapshot)

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """Pairs of one consistency group, split together (sheet, 3.14)."""
        return self._groups.create(specs)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """Restore the pair and wait for the end (sheet, 3.6)."""
        self._snapshots.revert(snapshot)

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Host groups, initiators and LU paths (sheet, 3.9 to 3.11)."""
        return self._paths.export(self._target(source), host, host_name, protocol)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """Delete the LU paths that lead from the host's groups to the LDEV, looked up by name."""
        self._paths.unexport(self._exported(source), host_name, protocol)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """Return what the LDEV says of its LU paths."""
        try:
            ldev = self._exported(source)
        except NotFound:
            if isinstance(source, VolumeRef):
                raise
            self._snapshots.find(source.name)
            return []
        return self._paths.exports(Target(objects.number(ldev, "ldevId"), source.name, lambda _: True), ldev)

    def remove_host(self, host_name: str) -> None:
        """Delete the host's groups on every port."""
        self._paths.forget(host_name)
        self._hosts.remove(host_name)

    # QoS, names, moves

    def set_qos(self, volume: Volume, qos: Qos, name: str) -> None:
        """Set the limits that differ, one request each (sheet, 3.12)."""
        del name  # limits are attributes of the LDEV: there is no policy to be named
        limits.check(qos)
        present = self.get_qos(volume) if volume.qos_id else Qos()
        self._ldevs.changes(int(volume.id))
        limits.apply(self._client, volume.id, present, qos)

    def get_qos(self, volume: Volume) -> Qos:
        """GET ldevs with detailInfoType=qos."""
        return objects.qos(self._ldevs.just_read(int(volume.id)))

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """Label the LDEV; the array takes one label twice, so the name is looked for first."""
        if self._ldevs.is_taken(name, looked_up=volume.name):
            raise AlreadyExists(f"The array has an LDEV labelled {name!r}.")
        self._ldevs.set_label(int(volume.id), name)
        self._ldevs.forget(volume.name)
        self._ldevs.remember(name, int(volume.id))
        return replace(volume, name=name, description="", volume_id=None)

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """Label the snapshot's secondary volume, made where there is none."""
        return self._snapshots.rename(snapshot, name)

    def migrate_volume(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """Volume Migration onto a helper LDEV in the new pool (sheet, 3.5); LDEV id, WWN and exports stay."""
        self._ldevs.changes(int(volume.id))
        if volume.pool == spec.pool:
            self._drop_helper(temporary)
            if volume.thin != spec.thin:
                self._provision(int(volume.id), spec.pool, volume.size, thin=spec.thin)
            return replace(volume, thin=spec.thin)
        if Dependant.SNAPSHOT in volume.dependants:
            raise InUse(f"Volume {volume.name!r} has snapshots, whose data stays in its pool; delete them before the move.")
        helper = self._helper(volume, replace(spec, name=temporary, size=volume.size))
        helper_id = objects.number(helper, "ldevId")
        try:
            with explaining_space(self._facts, self._facts.pool_id(spec.pool), volume.size):
                moved = self._moves.run(int(volume.id), helper_id, self._facts.pool_id(spec.pool), temporary)
        except (OutOfSpace, VendorError, NotFound):
            self._moves.undo(temporary)
            self._ldevs.delete(helper_id)
            raise
        self._ldevs.delete(helper_id)
        self._ldevs.forget(temporary)
        if moved.get("isFullAllocationEnabled", False) == spec.thin:
            self._provision(int(volume.id), spec.pool, volume.size, thin=spec.thin)
        return replace(self._volume(moved), thin=spec.thin)

    def leftovers(self) -> Iterable[Leftover]:
        """Unfinished clones, helpers, secondary volumes without a snapshot, hosts that stand half: only what bears our names."""
        return self._sweeper.find()

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them, looked up again by name."""
        self._sweeper.remove(leftover)

    @property
    def _sweeper(self) -> Sweeper:
        return Sweeper(self, self._ldevs, self._hosts, self._facts, self._options.ldev_range)

    # LDEVs

    def _volume(self, ldev: Object) -> Volume:
        return objects.volume(ldev, self._facts.pool_names([ldev]), self._facts.wwn(ldev))

    def _make(self, spec: VolumeSpec, name: str, size: int, *, unfinished: bool = False) -> Object:
        """Make and label an LDEV; return what the array would tell of it."""
        pool_id = self._facts.pool_id(spec.pool)
        try:
            with explaining_space(self._facts, pool_id, size):
                claim = self._ldevs.claim(name, pool_id, size)
        except NotFound as gone:
            self._facts.forget_pools()
            raise StaleReference(f"The array's pool {spec.pool!r} has another id now.") from gone
        if not spec.thin:
            self._reserve(claim, spec.pool, size)
        try:
            self._ldevs.label(claim, name, unfinished=unfinished)
        except NotFound as gone:
            raise Busy(f"LDEV {claim.ldev_id} was made for {name!r} and has gone again.") from gone
        return {
            "ldevId": claim.ldev_id,
            "emulationType": "OPEN-V-CVS",
            "label": f"{name}{objects.UNFINISHED}" if unfinished else name,
            "blockCapacity": size // objects.BLOCK,
            "poolId": pool_id,
            "isFullAllocationEnabled": not spec.thin,
        }

    def _reserve(self, claim: Claim, pool: str, size: int) -> None:
        try:
            self._provision(claim.ldev_id, pool, size, thin=False)
        except (OutOfSpace, VendorError):
            self._ldevs.delete(claim.ldev_id)
            raise

    def _provision(self, ldev_id: int, pool: str, size: int, *, thin: bool) -> None:
        with explaining_space(self._facts, self._facts.pool_id(pool), size):
            self._client.change(f"ldevs/{ldev_id}", {"isFullAllocationEnabled": not thin})

    def _delete_refused(self, volume: Volume, refused: VendorError) -> None:
        ldev_id = int(volume.id)
        ldev = self._ldevs.get(ldev_id)
        if not objects.bears(ldev, volume.name) and objects.name(ldev) != volume.name:
            self._ldevs.forget(volume.name)
            raise NotFound(f"LDEV {volume.id} is not {volume.name!r} any more.") from refused
        if blocking := self._volume(ldev).dependants:
            raise refused.explained_as(
                InUse,
                f"LDEV {volume.name!r} has dependants ({', '.join(sorted(blocking))}).",
            ) from refused
        if ldev.get("dataReductionStatus") not in _REDUCING:
            raise refused
        # Data reduction has to be told; its job ends before the LDEV has gone.
        self._client.delete(f"ldevs/{ldev_id}", {"isDataReductionDeleteForceExecute": True})
        wait_until(lambda: not objects.bears(self._ldevs.get(ldev_id), volume.name) or None, what=f"{volume.name} to be gone")

    # Clones and moves

    def _origin(self, source: Source) -> tuple[int, int]:
        """Return LDEV id and size of what is copied: a volume, proven, or a snapshot's secondary volume."""
        if isinstance(source, SnapshotRef):
            # A volume with snapshots is never extended, so they have its size.
            volume, svol_id = self._snapshots.readable(source.name)
            return svol_id, objects.size(volume)
        ldev = None if source.id is None else self._ldevs.just_read(int(source.id))
        if ldev is None or not objects.bears(ldev, source.name):
            ldev = self._ldevs.proven(source)
        return objects.number(ldev, "ldevId"), objects.size(ldev)

    def _clone_target(self, spec: VolumeSpec, size: int) -> tuple[Object, bool]:
        """Return the LDEV to copy onto, and whether an earlier call for the same clone has made it."""
        try:
            return self._make(spec, spec.name, size, unfinished=True), False
        except AlreadyExists:
            found = self._ldevs.named(spec.name)
        volume = self._volume(found)
        if not objects.is_unfinished(found) or (volume.pool, volume.thin) != (spec.pool, spec.thin):
            raise AlreadyExists(f"The array has an LDEV labelled {spec.name!r}.")
        if volume.size not in {size, spec.size}:
            raise AlreadyExists(f"The array has an unfinished LDEV labelled {spec.name!r} of another size.")
        return found, True

    @contextmanager
    def _undoing_refused(self, target: Object, spec: VolumeSpec, temporary: str) -> Iterator[None]:
        """Where the array will not copy at all, remove the target."""
        try:
            with explaining_space(self._facts, objects.number(target, "poolId"), 0):
                yield
        except (VendorError, LicenceMissing, InvalidRequest, NotFound, OutOfSpace):
            volume = self._volume(target)
            self.abandon_clone(volume, temporary)
            self.delete_volume(volume)
            self._ldevs.forget(spec.name)
            raise

    def _helper(self, volume: Volume, spec: VolumeSpec) -> Object:
        try:
            return self._make(spec, spec.name, volume.size)
        except AlreadyExists:
            found = self._ldevs.named(spec.name)
        helper = self._volume(found)
        if Dependant.COPY in helper.dependants:
            return found
        if (helper.pool, helper.size) != (spec.pool, volume.size):
            self._ldevs.delete(int(helper.id))
            raise Busy(f"A helper LDEV {spec.name!r} of another move was in the way and has been removed.")
        return found

    def _drop_helper(self, temporary: str) -> None:
        helper = self._ldevs.find(temporary)
        if helper is not None and "MRCF" not in objects.attributes(helper):
            self._ldevs.delete(objects.number(helper, "ldevId"))
            self._ldevs.forget(temporary)

    # Exports

    def _target(self, source: Source) -> Target:
        """Return what to export, by its remembered id where there is one: what the LDEV says afterwards proves it."""
        if isinstance(source, VolumeRef):
            ldev_id = int(source.id) if source.id is not None else objects.number(self._ldevs.named(source.name), "ldevId")
            return Target(
                ldev_id, source.name, lambda ldev: objects.bears(ldev, source.name) or objects.name(ldev) == source.name
            )
        _, svol_id = self._snapshots.readable(source.name)
        return Target(svol_id, source.name, lambda ldev: objects.is_paired(ldev) and objects.label(ldev) in {"", source.name})

    def _exported(self, source: Source) -> Object:
        """Return the LDEV behind a source, looked up by name."""
        if isinstance(source, VolumeRef):
            return self._ldevs.named(source.name)
        found = self._snapshots.find(source.name)
        if found.svol is None:
            raise NotFound(f"Snapshot {source.name!r} is exported to nobody.")
        return found.svol
