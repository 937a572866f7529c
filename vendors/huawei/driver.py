"""The driver contract in terms of the OceanStor REST interface.

Source of every request: the protocol sheet huawei-oceanstor, sections 3.1 to 3.11. Where the sheet is silent:

* The array's code for a full pool is not documented: a refused creation is explained by the pool's free capacity, read then.
* The codes for "in use" are not documented: a refused deletion is explained by the object's attributes, read then.
* Reverting to a snapshot of another size is taken as impossible.
* A host's first iSCSI export names the host in the request that makes the initiator; the answer tells whether the array bound it,
  and where it did not, a second request does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import Capabilities, ChapRules, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    Busy,
    InUse,
    InvalidRequest,
    LicenceMissing,
    LimitReached,
    NotFound,
    NotSupported,
    OutOfSpace,
    StaleReference,
    VendorError,
)
from blockdrivers.model import (
    Dependant,
    Export,
    GiB,
    Host,
    InitiatorFacts,
    IscsiTarget,
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
from blockdrivers.naming import Label
from vendors.huawei import codes, generations, objects, qos
from vendors.huawei.client import Object, OceanStorClient
from vendors.huawei.copies import FullCopy, Migration, full_copy
from vendors.huawei.generations import Generation
from vendors.huawei.mapping import DirectMapping, Hosts, MappingViews, Target
from vendors.huawei.mapping import Mapping as HostMapping
from vendors.huawei.objects import SECTOR, Running, Type
from vendors.huawei.options import OceanStorOptions
from vendors.huawei.qos import Policies
from vendors.huawei.sweeper import Sweeper

_DESCRIPTION = 255
_MAX_HOST_LUN_ID = 511
_SNAPSHOT_FEATURE = "HyperSnap"


def open_driver(options: OceanStorOptions, name: str) -> OceanStorDriver:
    """Return a driver; nothing is sent before the first operation."""
    return OceanStorDriver(OceanStorClient(options, name), options)


class OceanStorDriver(Driver):
    """One OceanStor array."""

    def __init__(self, client: OceanStorClient, options: OceanStorOptions) -> None:
        self._client = client
        self._options = options
        self._hosts = Hosts(client)
        self._guard = threading.Lock()
        self._generation: Generation | None = None
        self._pool_ids: dict[str, str] = {}
        self._iscsi_ports: tuple[Port, ...] = ()

    @property
    def generation(self) -> Generation:
        """The array's generation; asked once, it does not change while the array runs."""
        if self._generation is None:
            self._generation = generations.detect(self._client.read("system/"))
        return self._generation

    @property
    def capabilities(self) -> Capabilities:
        """What this generation can do."""
        generation = self.generation
        return Capabilities(
            protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
            description_bytes=_DESCRIPTION,
            thick=generation.thick,
            revert=True,
            qos=generation.qos,
            manage=True,
            migrate=True,
            group_snapshots=True,
            export_snapshots=True,
            chap=ChapRules(),
            max_lun=_MAX_HOST_LUN_ID,
        )

    def close(self) -> None:
        """Log out everywhere."""
        self._client.close()

    # The array

    def system(self) -> SystemFacts:
        """GET system/ (sheet, 3.1)."""
        return objects.system_facts(self._client.read("system/"))

    def licences(self) -> Mapping[str, bool]:
        """GET license/feature (sheet, 3.1)."""
        return qos.licences(self._client)

    def pools(self) -> Sequence[Pool]:
        """GET storagepool (sheet, 3.2)."""
        found = [objects.pool(item) for item in self._client.listing("storagepool") if objects.holds_luns(item)]
        with self._guard:
            self._pool_ids = {pool.name: pool.id for pool in found}
        return found

    def ports(self) -> Sequence[Port]:
        """GET iscsi_tgt_port and fc_port (sheet, 3.6, targets)."""
        return [*self._read_iscsi_ports(), *map(objects.fc_port, self._client.listing("fc_port"))]

    def initiators(self) -> Sequence[InitiatorFacts]:
        """GET iscsi_initiator and fc_initiator (sheet, 3.6)."""
        return [
            objects.initiator(item, protocol)
            for resource, protocol in (("iscsi_initiator", Protocol.ISCSI), ("fc_initiator", Protocol.FC))
            for item in self._client.listing(resource)
        ]

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """POST lun (sheet, 3.3)."""
        return self._create_lun(spec, spec.size, spec.description)

    def get_volume(self, name: str) -> Volume:
        """GET lun by name."""
        found = self._client.find("lun", "NAME", name)
        if found is None:
            raise NotFound(f"The array has no LUN {name!r}.")
        return objects.volume(found)

    def list_volumes(self) -> Iterable[Volume]:
        """GET lun, page by page."""
        return map(objects.volume, self._client.listing("lun"))

    def extend_volume(self, volume: Volume, size: int) -> None:
        """PUT lun/expand; the capacity sent is the new total."""
        with self._explaining_space(volume.pool, size - volume.size):
            self._client.put("lun/expand", {"TYPE": int(Type.LUN), "ID": volume.id, "CAPACITY": size // SECTOR})

    def delete_volume(self, volume: Volume) -> None:
        """DELETE lun; its QoS policy goes first (sheet, trap 14)."""
        if volume.qos_id:
            self._policies.remove(volume)
        params = {"isDelayDelete": "false"} if self.generation.delays_delete else {}
        try:
            self._client.delete(f"lun/{volume.id}", {"TYPE": str(int(Type.LUN)), "ID": volume.id}, **params)
        except VendorError as refused:
            if blocking := self.get_volume(volume.name).dependants:
                raise _in_use(f"LUN {volume.name!r} has dependants ({', '.join(sorted(blocking))}).", refused) from refused
            raise

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Full copy from a snapshot, made for the purpose where the source is a LUN (sheet, 3.5)."""
        copy = self._copies
        first_size = spec.source_size if copy.exact_size and spec.source_size else spec.size
        target, resume = self._clone_target(spec, first_size)
        # A target that has been extended already had all its bytes before.
        if target.size == first_size:
            with self._undoing_refused(copy, target, temporary):
                copy_from = (
                    source if isinstance(source, SnapshotRef) else self._temporary_snapshot(source, temporary, reuse=resume)
                )
                copy.run(copy_from.id or self.get_snapshot(copy_from.name).id, target.id, temporary, resume=resume)
        if target.size < spec.size:
            self.extend_volume(target, spec.size)
        if isinstance(source, VolumeRef):
            self._drop_snapshot(temporary)
        # The description is the commit: until it changes, every repeat goes through the steps above again.
        done = self._client.put(f"lun/{target.id}", {"ID": target.id, "DESCRIPTION": spec.description})
        return replace(objects.volume(done), size=spec.size) if done else self.get_volume(spec.name)

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Stop the copy onto a LUN and remove what was made for it."""
        self._copies.abandon(volume.id)
        self._drop_snapshot(temporary)

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """POST snapshot, POST snapshot/activate (sheet, 3.4)."""
        made = self._inactive_snapshot(spec)
        if made.ready:
            raise AlreadyExists(f"Snapshot {spec.name!r} exists.")
        return self._activate([made])[0]

    def get_snapshot(self, name: str) -> Snapshot:
        """GET snapshot by name."""
        found = self._client.find("snapshot", "NAME", name)
        if found is None:
            raise NotFound(f"The array has no snapshot {name!r}.")
        return objects.snapshot(found)

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """GET snapshot, page by page."""
        params = {} if source is None else {"filter": f"PARENTID::{source.id or self.get_volume(source.name).id}"}
        return map(objects.snapshot, self._client.listing("snapshot", **params))

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """PUT snapshot/stop, DELETE snapshot; stopped already is fine."""
        try:
            if snapshot.ready:
                self._stop_snapshot(snapshot)
            self._client.delete(f"snapshot/{snapshot.id}", {"TYPE": str(int(Type.SNAPSHOT)), "ID": snapshot.id})
        except VendorError as refused:
            raise _in_use(
                f"The array keeps snapshot {snapshot.name!r}: it is reverted to, copied from or mapped.", refused
            ) from refused

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """One POST snapshot each and one activation of them all: one point in time (sheet, 3.4)."""
        made = self._inactive_snapshots(specs)
        taken = [snapshot.name for snapshot in made if snapshot.ready]
        if len(taken) == len(made):
            raise AlreadyExists("Every snapshot of the group exists.")
        if taken:
            self._undo(made)
            raise AlreadyExists(
                f"Snapshots {', '.join(taken)} were taken at another moment; use other ids.",
                differences=dict.fromkeys(taken, ("taken with the group", "taken before")),
            )
        return self._activate(made)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """PUT snapshot/rollback and wait until the snapshot is active again (sheet, 3.4)."""
        try:
            self._client.put("snapshot/rollback", {"ID": snapshot.id, "ROLLBACKSPEED": str(self._options.copy_speed)})
        except VendorError:
            # A cut-off call may have begun it; then there is only the wait left.
            if not self._reverting(snapshot):
                raise
        note(f"LUN {volume.name} is being reverted to {snapshot.name}")
        wait_until(lambda: not self._reverting(snapshot) or None, what=f"LUN {volume.name} to be reverted to {snapshot.name}")

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Host, initiators, mapping, and the LUN id as the host sees it (sheet, 3.6 to 3.8)."""
        target = self._target(source)
        registered = self._hosts.register(host, host_name, protocol, Label(id=host.name).encode(_DESCRIPTION))
        seen = self._mapping.map(target, registered)
        return self._export(target, host_name, protocol, seen, host.wwpns)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """Take the LUN, looked up by name, out of what the host sees."""
        self._mapping.unmap(self._named(source), host_name)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """Every host that sees the LUN, with its LUN id there."""
        target = self._named(source)
        return [
            export
            for host_id, host_name in self._mapping.hosts_of(target)
            for export in self._exports_to(target, host_id, host_name)
        ]

    def remove_host(self, host_name: str) -> None:
        """Remove the host object and the groups and view around it."""
        self._hosts.forget(host_name)
        self._mapping.remove(host_name)

    # QoS, names, moves

    def set_qos(self, volume: Volume, qos: Qos, name: str) -> None:
        """POST ioclass: a policy of the volume's own (sheet, 3.9)."""
        self._policies.apply(volume, qos, name)

    def get_qos(self, volume: Volume) -> Qos:
        """GET ioclass by the LUN's IOCLASSID."""
        return self._policies.read(volume)

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """PUT lun (sheet, 3.3)."""
        renamed = self._client.put(f"lun/{volume.id}", {"ID": volume.id, "NAME": name, "DESCRIPTION": description})
        return objects.volume(renamed) if renamed else self.get_volume(name)

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """PUT snapshot (sheet, 3.4), and activate one that holds no point in time yet."""
        self._client.put(f"snapshot/{snapshot.id}", {"ID": snapshot.id, "NAME": name, "DESCRIPTION": description})
        renamed = replace(snapshot, name=name, description=description)
        return renamed if renamed.ready else self._activate([renamed])[0]

    def migrate_volume(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """LUN migration onto a helper LUN in the new pool (sheet, 3.5); the LUN's id and WWN stay."""
        migration = Migration(self._client, self._options.copy_speed)
        if (volume.pool, volume.thin) == (spec.pool, spec.thin):
            self._drop_helper(migration, volume, temporary)
            return self.get_volume(volume.name)
        helper = self._helper(volume, replace(spec, name=temporary, description=""))
        migration.run(volume.id, helper.id, resume=Dependant.MIGRATION in volume.dependants)
        self._drop_helper(migration, volume, temporary)
        return self.get_volume(volume.name)

    def leftovers(self) -> Iterable[Leftover]:
        """Helpers, unfinished clones, inactive snapshots, hosts and policies without use: only what bears our names."""
        return self._sweeper.find()

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them, looked up again by name."""
        self._sweeper.remove(leftover)

    # Parts

    @property
    def _copies(self) -> FullCopy:
        return full_copy(self.generation, self._client, self._options.copy_speed)

    @property
    def _policies(self) -> Policies:
        return Policies(self._client, self.generation.qos.latency_step_us)

    @property
    def _mapping(self) -> HostMapping:
        return (DirectMapping if self.generation.direct_mapping else MappingViews)(self._client, self._hosts)

    @property
    def _sweeper(self) -> Sweeper:
        migration = Migration(self._client, self._options.copy_speed)
        return Sweeper(self._client, self, self._mapping, self._copies, migration, self._policies)

    # LUNs

    def _create_lun(self, spec: VolumeSpec, size: int, description: str) -> Volume:
        body: dict[str, object] = {
            "TYPE": str(int(Type.LUN)),
            "NAME": spec.name,
            "PARENTTYPE": str(int(Type.POOL)),
            "PARENTID": self._pool_id(spec.pool),
            "DESCRIPTION": description,
            "CAPACITY": size // SECTOR,
        }
        if self.generation.thick:
            body["ALLOCTYPE"] = 1 if spec.thin else 0
        try:
            with self._explaining_space(spec.pool, size):
                made = self._client.post("lun", body)
        except NotFound as gone:
            self._forget_pools()
            raise StaleReference(f"The array's pool {spec.pool!r} has another id now.") from gone
        if made.get("PARENTNAME") != spec.pool:
            self._client.delete(f"lun/{objects.text(made, 'ID')}")
            self._forget_pools()
            raise StaleReference(f"The remembered id of pool {spec.pool!r} names {made.get('PARENTNAME')!r} now.")
        note(f"LUN {spec.name} exists and is not usable yet")
        if objects.running(made) != Running.ONLINE:
            lun_id = objects.text(made, "ID")
            made = wait_until(lambda: self._online(lun_id), what=f"LUN {spec.name} to be online")
        return objects.volume(made)

    def _online(self, lun_id: str) -> Object | None:
        item: Object = self._client.read(f"lun/{lun_id}")
        return item if objects.running(item) == Running.ONLINE else None

    def _clone_target(self, spec: VolumeSpec, first_size: int) -> tuple[Volume, bool]:
        """Return the LUN to copy onto, and whether an earlier call for the same clone has made it."""
        try:
            return self._create_lun(spec, first_size, spec.unfinished_description), False
        except AlreadyExists:
            found = self.get_volume(spec.name)
            wanted = (spec.unfinished_description, spec.pool, spec.thin)
            if (found.description, found.pool, found.thin) != wanted or found.size not in {first_size, spec.size}:
                raise
            return found, True

    @contextmanager
    def _undoing_refused(self, copy: FullCopy, target: Volume, temporary: str) -> Iterator[None]:
        """Where the array will not copy at all, remove the target and what was made for it."""
        try:
            yield
        except (VendorError, LicenceMissing, NotFound, OutOfSpace) as refused:
            self.abandon_clone(target, temporary)
            self.delete_volume(target)
            if not isinstance(refused, VendorError):
                raise
            raise self._without_licence(refused, copy.feature) from refused

    def _helper(self, volume: Volume, spec: VolumeSpec) -> Volume:
        try:
            return self._create_lun(spec, volume.size, spec.description)
        except AlreadyExists:
            found = self.get_volume(spec.name)
        if (found.pool, found.thin, found.size) != (spec.pool, spec.thin, volume.size):
            if Dependant.MIGRATION in found.dependants:
                raise Busy(f"The move of {volume.name!r} ended while it was looked at.")
            self.delete_volume(found)
            raise Busy(f"A helper LUN {spec.name!r} of another move was in the way and has been removed.")
        return found

    def _drop_helper(self, migration: Migration, volume: Volume, temporary: str) -> None:
        try:
            helper = self.get_volume(temporary)
        except NotFound:
            return
        migration.remove(volume.id)
        self.delete_volume(helper)

    # Snapshots

    def _inactive_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """Make a snapshot that holds no point in time yet, or return the one of that name, ready or not."""
        source_id = spec.source.id or self.get_volume(spec.source.name).id
        body = {
            "TYPE": str(int(Type.SNAPSHOT)),
            "NAME": spec.name,
            "PARENTTYPE": str(int(Type.LUN)),
            "PARENTID": source_id,
            "DESCRIPTION": spec.description,
        }
        try:
            made = objects.snapshot(self._client.post("snapshot", body))
        except AlreadyExists:
            return self._usable(self.get_snapshot(spec.name), spec)
        except NotFound as gone:
            if spec.source.id is None:
                raise
            raise StaleReference(f"LUN {spec.source.name!r} has another id now.") from gone
        except VendorError as refused:
            raise self._without_licence(refused, _SNAPSHOT_FEATURE) from refused
        if made.source_name != spec.source.name:
            self.delete_snapshot(made)
            raise StaleReference(f"The remembered id of LUN {spec.source.name!r} names {made.source_name!r} now.")
        return made

    def _inactive_snapshots(self, specs: Sequence[SnapshotSpec]) -> list[Snapshot]:
        """Make, or find, a snapshot for each member; where one cannot be, none of them is left."""
        made: list[Snapshot] = []
        try:
            for spec in specs:
                made.append(self._inactive_snapshot(spec))  # noqa: PERF401 - what was made before a failure is undone
        except (NotFound, InvalidRequest, NotSupported, LimitReached, VendorError):
            self._undo(made)
            raise
        return made

    def _undo(self, made: Sequence[Snapshot]) -> None:
        for snapshot in made:
            if not snapshot.ready:
                self.delete_snapshot(snapshot)

    def _usable(self, found: Snapshot, spec: SnapshotSpec) -> Snapshot:
        if not found.ready and found.source_name != spec.source.name:
            # A call that met a reused LUN id was cut off before it could undo this; it holds no point in time.
            self.delete_snapshot(found)
            raise Busy(f"An unfinished snapshot {spec.name!r} of another LUN was in the way and has been removed.")
        return found

    def _activate(self, made: Sequence[Snapshot]) -> list[Snapshot]:
        try:
            self._client.post("snapshot/activate", {"SNAPSHOTLIST": [snapshot.id for snapshot in made]})
        except (VendorError, InvalidRequest, LicenceMissing) as refused:
            # Another call for the same snapshots may have been quicker.
            if all(self.get_snapshot(snapshot.name).ready for snapshot in made):
                return [replace(snapshot, ready=True) for snapshot in made]
            for snapshot in made:
                self._client.delete(f"snapshot/{snapshot.id}")
            raise self._activation_refused(refused, made[0]) from refused
        return [replace(snapshot, ready=True) for snapshot in made]

    def _activation_refused(self, refused: BlockDriversError, snapshot: Snapshot) -> BlockDriversError:
        if not isinstance(refused, VendorError):
            return refused
        explained = self._without_licence(refused, _SNAPSHOT_FEATURE)
        if explained is refused:
            return self._without_space(refused, self.get_volume(snapshot.source_name).pool, GiB)
        return explained

    def _temporary_snapshot(self, source: VolumeRef, name: str, *, reuse: bool) -> SnapshotRef:
        spec = SnapshotSpec(source, name)
        try:
            return self.create_snapshot(spec).ref
        except AlreadyExists:
            found = self.get_snapshot(name)
        if reuse and found.source_name == source.name:
            return found.ref
        self.delete_snapshot(found)
        return self.create_snapshot(spec).ref

    def _drop_snapshot(self, name: str) -> None:
        try:
            self.delete_snapshot(self.get_snapshot(name))
        except NotFound:
            return

    def _stop_snapshot(self, snapshot: Snapshot) -> None:
        try:
            self._client.put("snapshot/stop", {"ID": snapshot.id})
        except VendorError as refused:
            if refused.vendor_code != str(codes.SNAPSHOT_NOT_ACTIVE):
                raise

    def _reverting(self, snapshot: Snapshot) -> bool:
        return objects.running(self._client.read(f"snapshot/{snapshot.id}")) == Running.SNAPSHOT_REVERTING

    # Exports

    def _target(self, source: Source) -> Target:
        """Return what to map, by its remembered id where there is one: what the host sees proves it afterwards."""
        if isinstance(source, VolumeRef) and source.id is not None:
            return Target(source.id, source.name, source.wwn, Type.LUN)
        return self._named(source)

    def _named(self, source: Source) -> Target:
        """Return what to map or unmap, looked up by name."""
        if isinstance(source, VolumeRef):
            volume = self.get_volume(source.name)
            return Target(volume.id, volume.name, volume.wwn, Type.LUN)
        snapshot = self.get_snapshot(source.name)
        return Target(snapshot.id, snapshot.name, snapshot.wwn, Type.SNAPSHOT)

    def _exports_to(self, target: Target, host_id: str, host_name: str) -> Iterator[Export]:
        seen = self._mapping.seen(target, host_id)
        if seen is None:
            return
        for protocol in (Protocol.ISCSI, Protocol.FC):
            if initiators := self._hosts.initiators(host_id, protocol):
                yield self._export(target, host_name, protocol, seen, initiators)

    def _export(
        self, target: Target, host_name: str, protocol: Protocol, seen: tuple[int, str | None], initiators: Sequence[str]
    ) -> Export:
        lun, wwn = seen
        if protocol is Protocol.ISCSI:
            return Export(target.name, host_name, protocol, lun, wwn, targets=self._portals())
        paths = {initiator: self._reachable(initiator) for initiator in initiators}
        wwpns = tuple(sorted({wwpn for reached in paths.values() for wwpn in reached}))
        if not wwpns:
            raise InvalidRequest(
                f"No FC port of the array is linked to any initiator of host {host_name!r} "
                f"({', '.join(initiators)}); check cabling and zoning, then ask again."
            )
        return Export(target.name, host_name, protocol, lun, wwn, wwpns=wwpns, paths=paths)

    def _portals(self) -> tuple[IscsiTarget, ...]:
        wanted = self._options.iscsi_portals
        found = tuple(
            IscsiTarget(port.address, port.iqn or "")
            for port in self._iscsi_ports or self._read_iscsi_ports()
            if wanted is None or port.address.rpartition(":")[0] in wanted
        )
        if not found:
            raise InvalidRequest(f"The array has no iSCSI portal{'' if wanted is None else ' of ' + ', '.join(wanted)}.")
        return found

    def _read_iscsi_ports(self) -> tuple[Port, ...]:
        self._iscsi_ports = tuple(map(objects.iscsi_port, self._client.listing("iscsi_tgt_port")))
        return self._iscsi_ports

    def _reachable(self, wwpn: str) -> tuple[str, ...]:
        links = self._client.listing("host_link", INITIATOR_TYPE=str(int(Type.FC_INITIATOR)), INITIATOR_PORT_WWN=wwpn)
        return tuple(sorted({objects.text(link, "TARGET_PORT_WWN").lower() for link in links}))

    # Pools, licences, explanations

    def _pool_id(self, name: str) -> str:
        with self._guard:
            known = self._pool_ids.get(name)
        if known is not None:
            return known
        pools = {pool.name: pool.id for pool in self.pools()}
        if name not in pools:
            raise InvalidRequest(f"The array has no pool {name!r} for LUNs; it has {', '.join(sorted(pools)) or 'none'}.")
        return pools[name]

    def _forget_pools(self) -> None:
        with self._guard:
            self._pool_ids = {}

    @contextmanager
    def _explaining_space(self, pool: str, needed: int) -> Iterator[None]:
        try:
            yield
        except VendorError as refused:
            raise self._without_space(refused, pool, needed) from refused

    def _without_space(self, refused: VendorError, pool_name: str, needed: int) -> BlockDriversError:
        """Return `OutOfSpace` where the pool cannot hold what was asked for, and the refusal itself otherwise."""
        pool = next((pool for pool in self.pools() if pool.name == pool_name), None)
        if pool is None or pool.free_bytes >= needed:
            return refused
        return OutOfSpace(
            f"Pool {pool_name!r} has {pool.free_bytes} bytes free and {needed} are needed; free some or use another pool.",
            request=refused.request,
            vendor_code=refused.vendor_code,
            vendor_text=refused.vendor_text,
        )

    def _without_licence(self, refused: VendorError, feature: str) -> BlockDriversError:
        """Return `LicenceMissing` where the array says that the feature is not usable, and the refusal itself otherwise."""
        if self.licences().get(feature, True):
            return refused
        return LicenceMissing(
            f"The array has no licence for {feature}; install one to use this.",
            request=refused.request,
            vendor_code=refused.vendor_code,
            vendor_text=refused.vendor_text,
        )


def _in_use(message: str, refused: VendorError) -> InUse:
    return InUse(message, request=refused.request, vendor_code=refused.vendor_code, vendor_text=refused.vendor_text)
