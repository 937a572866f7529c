"""The driver contract in terms of the Web Services API.

Source of every request: the protocol sheet hpe-3par-wsapi, sections 3.1 to 3.16. Where the sheet is silent:

* A volume does not say whether it is exported; its VLUNs do, in a request of their own.
* Numbers of several refusals are unknown: a refused deletion or revert is explained by the VLUNs and sets of the volume, read then.
* Whether the array lets one volume have two LUN ids on one host is unknown: what is exported is looked up before it is exported.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from blockdrivers.driver import Capabilities, ChapRules, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    Busy,
    ConfigurationError,
    InUse,
    InvalidRequest,
    LicenceMissing,
    NotFound,
    OutOfSpace,
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
from blockdrivers.naming import Label
from vendors.hpe import codes, generations, mapping, objects, remotecopy
from vendors.hpe.client import Object, WsapiClient
from vendors.hpe.copies import Copies
from vendors.hpe.generations import Generation
from vendors.hpe.groups import GroupSnapshots
from vendors.hpe.mapping import Hosts, Registered, Vlun, Vluns
from vendors.hpe.options import WsapiOptions
from vendors.hpe.qos import Rules
from vendors.hpe.sweeper import Sweeper

_COMMENT = 511
_HOST_COMMENT = 255
_MAX_LUN = 16383
_STEP = 256 * MiB
_LEAST_COMPRESSED = 16 * GiB
_GROW, _TUNE = 3, 6
_USER_CPG = 1
_TO_THIN, _TO_FULL, _TO_DEDUP, _TO_REDUCED = range(1, 5)
_REFUSALS = (VendorError, LicenceMissing, NotFound, OutOfSpace, InvalidRequest)


def open_driver(options: WsapiOptions, name: str) -> WsapiDriver:
    """Return a driver; nothing is sent before the first operation."""
    return WsapiDriver(WsapiClient(options, name), options)


class WsapiDriver(Driver):
    """One StoreServ, Primera or ConvergedFabric array."""

    def __init__(self, client: WsapiClient, options: WsapiOptions) -> None:
        self._client = client
        self._options = options
        self._copies = Copies(client, options.copy_priority)
        self._hosts = Hosts(client, options.persona)
        self._vluns = Vluns(client)
        self._rules = Rules(client)
        self._guard = threading.Lock()
        self._generation: Generation | None = None
        self._ports: tuple[Port, ...] = ()

    @property
    def generation(self) -> Generation:
        """The array's generation; asked once, it does not change while the array runs."""
        if self._generation is None:
            found = generations.detect(self._client.version())
            self._refuse_impossible(found)
            self._generation = found
        return self._generation

    @property
    def capabilities(self) -> Capabilities:
        """What this generation can do."""
        generation = self.generation
        return Capabilities(
            protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
            description_bytes=_COMMENT,
            size_step=_STEP,
            relative_extend=True,
            max_size=generation.max_size,
            thick=generation.thick,
            revert=True,
            qos=generation.qos,
            manage=True,
            migrate=True,
            group_snapshots=True,
            export_snapshots=True,
            chap=ChapRules(),
            max_lun=_MAX_LUN,
            replication=True,
            notes=("A volume's provisioning cannot be converted while it has snapshots.",),
        )

    def close(self) -> None:
        """Give the session keys back."""
        self._client.close()

    # The array

    def system(self) -> SystemFacts:
        """GET /system (sheet, 3.2)."""
        return objects.system_facts(self._client.read("system"))

    def licences(self) -> Mapping[str, bool]:
        """GET /system (sheet, 3.2)."""
        return objects.licences(self._client.read("system"))

    def pools(self) -> Sequence[Pool]:
        """GET /cpgs and /volumes, and POST /spacereporter for each CPG without a growth limit (sheet, 3.3)."""
        cpgs = self._client.members("cpgs")
        promised: dict[str, int] = {}
        for item in self._client.members("volumes"):
            cpg = str(item.get("userCPG", ""))
            promised[cpg] = promised.get(cpg, 0) + objects.number(item, "sizeMiB") * MiB
        return [self._pool(item, promised.get(objects.text(item, "name"), 0)) for item in cpgs]

    def ports(self) -> Sequence[Port]:
        """GET /ports, and the VLANs of tagged iSCSI ports (sheet, 3.10)."""
        found = tuple(self._read_ports())
        with self._guard:
            self._ports = found
        return found

    def initiators(self) -> Sequence[InitiatorFacts]:
        """GET /hosts (sheet, 3.9)."""
        return [facts for host in self._client.members("hosts") for facts in objects.initiators(host)]

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """POST /volumes, and the read that tells id and WWN (sheet, 3.4)."""
        self._create(spec, spec.description)
        return objects.volume(self._base(spec.name))

    def get_volume(self, name: str) -> Volume:
        """GET /volumes/NAME, and the VLUNs of that volume."""
        found = self._base(name)
        return objects.volume(found, exported=bool(self._vluns.of_volume(name)))

    def look_up_volume(self, name: str) -> Volume:
        """GET /volumes/NAME; the array refuses to delete or revert what is exported."""
        return objects.volume(self._base(name))

    def list_volumes(self) -> Iterable[Volume]:
        """GET /volumes and /vluns; there are no pages."""
        found = self._client.members("volumes")
        exported = {row.volume for row in self._vluns.every()}
        for item in found:
            if not objects.is_snapshot(item):
                yield objects.volume(item, exported=str(item.get("name")) in exported)

    def extend_volume(self, volume: Volume, size: int) -> None:
        """PUT /volumes/NAME with the action grow; what is sent is what is added (sheet, 3.4, trap 4)."""
        self._client.put("volumes", volume.name, body={"action": _GROW, "sizeMiB": (size - volume.size) // MiB})

    def delete_volume(self, volume: Volume) -> None:
        """DELETE /volumes/NAME; its own QoS rule and set go first (sheet, 4.2)."""
        try:
            self._client.delete("volumes", volume.name)
        except InUse as refused:
            if refused.vendor_code not in {str(codes.IN_USE), str(codes.EXPORTED)}:
                raise _explained(f"Volume {volume.name!r} has snapshots or is replicated.", refused) from refused
            self._free(volume.name, refused)
            self._client.delete("volumes", volume.name)

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Make an off-line physical copy, of a volume through a snapshot made for the purpose (sheet, 3.7)."""
        resumed = self._clone_target(spec)
        with self._undoing_refused(spec.name, temporary):
            helped = self._copy(source, spec, temporary)
        if helped or resumed:
            self._copies.drop(temporary)
        # The comment is the commit: until it changes, every repeat goes through the steps above again.
        self._client.put("volumes", spec.name, body={"comment": spec.description})
        return objects.volume(self._base(spec.name))

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Cancel the copy onto a volume and remove what was made for it."""
        self._copies.abandon(volume.name)
        self._copies.drop(temporary)

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """POST /volumes/NAME with the action createSnapshot, and the read that tells id and WWN (sheet, 3.5)."""
        self._copies.snapshot(spec.source.name, spec.name, read_only=True, comment=spec.description)
        return objects.snapshot(self._snapshot(spec.name))

    def get_snapshot(self, name: str) -> Snapshot:
        """GET /volumes/NAME, and the VLUNs of that snapshot."""
        found = self._snapshot(name)
        return objects.snapshot(found, exported=bool(self._vluns.of_volume(name)))

    def look_up_snapshot(self, name: str) -> Snapshot:
        """GET /volumes/NAME; the array refuses to delete what is exported."""
        return objects.snapshot(self._snapshot(name))

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """GET /volumes and /vluns; the snapshots of one volume by query (sheet, 3.5)."""
        query = "" if source is None else f"copyOf EQ {source.name}"
        found = self._client.members("volumes", query=query)
        exported = {row.volume for row in self._vluns.every()} if found else set()
        for item in found:
            if objects.is_snapshot(item):
                yield objects.snapshot(item, exported=str(item.get("name")) in exported)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """DELETE /volumes/NAME."""
        try:
            self._client.delete("volumes", snapshot.name)
        except InUse as refused:
            raise _explained(f"Snapshot {snapshot.name!r} is exported, has snapshots of its own, or is in a set.", refused) from (
                refused
            )

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """POST /volumesets and its action createSnapshot (sheet, 3.11)."""
        return GroupSnapshots(self._client).take(specs)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """PUT /volumes/SNAPSHOT with the action promote, and wait for its task (sheet, 3.6)."""
        try:
            self._copies.promote(snapshot.name, volume.name, online=Dependant.EXPORT in volume.dependants)
        except VendorError as refused:
            if self._vluns.of_volume(volume.name):
                raise _explained(f"Volume {volume.name!r} is exported and was not reverted.", refused) from refused
            raise

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Host, paths, CHAP, VLUN, and what the host sees (sheet, 3.9 and 3.12)."""
        registered = self._hosts.register(host, host_name, protocol, Label(id=host.name).encode(_HOST_COMMENT))
        try:
            paths = self._fc_paths(registered, host) if protocol is Protocol.FC else {}
            seen = self._vluns.ensure(source.name, registered)
        except (NotFound, InvalidRequest):
            if registered.is_new:
                with suppress(NotFound, InUse):
                    self._hosts.remove(host_name)
            raise
        if protocol is Protocol.ISCSI:
            return Export(source.name, host_name, protocol, seen.lun, seen.wwn, targets=self._targets({seen.port}))
        return _over_fc(source.name, host_name, seen, paths)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """DELETE /vluns/... of every template that names the host."""
        self._vluns.remove(source.name, host_name)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """GET /vluns by volume, and the hosts that it names."""
        rows = self._vluns.of_volume(source.name)
        if not rows:
            # No row is also what an absent volume has.
            self._client.read("volumes", source.name)
        names = dict.fromkeys(row.seen_by for row in rows)
        return [export for name in names for export in self._exports_to(name, [row for row in rows if row.seen_by == name])]

    def remove_host(self, host_name: str) -> None:
        """DELETE /hosts/NAME."""
        self._hosts.remove(host_name)

    # QoS, names, moves

    def set_qos(self, volume: Volume, qos: Qos, name: str) -> None:
        """POST /volumesets and /qos: a set of the volume's own, and its rule (sheet, 3.13)."""
        self._rules.apply(volume, qos)

    def get_qos(self, volume: Volume) -> Qos:
        """GET /volumesets, and the rule of the set that the volume is in."""
        return self._rules.read(volume)

    def replications(self, volume: Volume) -> Sequence[Replication]:
        """GET /remotecopygroups/GROUP and its volume (sheet, 3.16)."""
        return remotecopy.read(self._client, volume.name) if Dependant.REPLICATION in volume.dependants else ()

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """PUT /volumes/NAME (sheet, 3.4)."""
        self._client.put("volumes", volume.name, body={"newName": name, "comment": description})
        return replace(volume, name=name, description=description, volume_id=None)

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """PUT /volumes/NAME (sheet, 3.4)."""
        self._client.put("volumes", snapshot.name, body={"newName": name, "comment": description})
        return replace(snapshot, name=name, description=description, snapshot_id=None, volume_id=None)

    def migrate_volume(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """PUT /volumes/NAME with the action tune, and wait for its task (sheet, 3.4); the volume stays what it is."""
        if (volume.pool, volume.thin) != (spec.pool, spec.thin):
            body = {"action": _TUNE, "tuneOperation": _USER_CPG, "userCPG": spec.pool, **self._conversion(volume, spec)}
            with self._explaining_pool(spec.pool), _explaining_snapshots(volume.name):
                self._copies.tune(volume.name, body)
        found = self._base(volume.name)
        if found.get("snapCPG") and found["snapCPG"] != found.get("userCPG"):
            # Later snapshots go where the volume is.
            self._client.put("volumes", volume.name, body={"snapCPG": spec.pool})
        return objects.volume(found)

    def leftovers(self) -> Iterable[Leftover]:
        """Helpers, unfinished clones, sets and hosts without use: only what bears our names."""
        return self._sweeper.find()

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them, looked up again by name."""
        self._sweeper.remove(leftover)

    # Parts

    @property
    def _sweeper(self) -> Sweeper:
        return Sweeper(self._client, self, self._copies, self._rules)

    def _refuse_impossible(self, found: Generation) -> None:
        if self._options.compression and not (found.compression or found.reduce):
            raise ConfigurationError("This array's software knows no compression; leave the option compression out.")
        if self._options.dedup and not (found.dedup or found.reduce):
            raise ConfigurationError("This array's software knows no deduplication; leave the option dedup out.")

    # Pools

    def _pool(self, item: Object, promised: int) -> Pool:
        used, limit = objects.allocated(item), objects.limit(item)
        if limit is not None:
            return objects.pool(item, total=limit, free=max(0, limit - used), provisioned=promised)
        report, _ = self._client.posted("spacereporter", body={"cpg": objects.text(item, "name")}, changes=False)
        free = objects.number(report, "usableFreeMiB") * MiB
        return objects.pool(item, total=used + free, free=free, provisioned=promised)

    @contextmanager
    def _explaining_pool(self, name: str) -> Iterator[None]:
        """Say which pools there are where one was not found."""
        try:
            yield
        except NotFound as gone:
            if gone.vendor_code != str(codes.NO_CPG):
                raise
            known = ", ".join(sorted(objects.text(item, "name") for item in self._client.members("cpgs")))
            raise InvalidRequest(
                f"The array has no pool {name!r}; it has {known or 'none'}.",
                request=gone.request,
                vendor_code=gone.vendor_code,
                vendor_text=gone.vendor_text,
            ) from gone

    # Volumes

    def _base(self, name: str) -> Object:
        """Return a base volume, or raise `NotFound`; a snapshot of that name is none."""
        found = self._client.read("volumes", name)
        if objects.is_snapshot(found):
            raise NotFound(f"The array's {name!r} is a snapshot, not a volume.")
        return found

    def _snapshot(self, name: str) -> Object:
        found = self._client.read("volumes", name)
        if not objects.is_snapshot(found):
            raise NotFound(f"The array's {name!r} is a volume, not a snapshot.")
        return found

    def _create(self, spec: VolumeSpec, comment: str) -> None:
        body: dict[str, object] = {"name": spec.name, "cpg": spec.pool, "sizeMiB": spec.size // MiB, "comment": comment}
        if self.generation.snap_cpg:
            body["snapCPG"] = spec.pool
        with self._explaining_pool(spec.pool):
            self._client.post("volumes", body=body | self._provisioning(spec))

    def _provisioning(self, spec: VolumeSpec) -> dict[str, bool]:
        if not spec.thin:
            return {}
        if self.generation.reduce:
            return {"reduce" if self._options.dedup or self._options.compression else "tpvv": True}
        compressed = self._options.compression and spec.size >= _LEAST_COMPRESSED
        return {"tdvv" if self._options.dedup else "tpvv": True} | ({"compression": True} if compressed else {})

    def _free(self, name: str, refused: InUse) -> None:
        """Take a volume that is not exported out of this library's own sets; refuse where others hold it."""
        if rows := self._vluns.of_volume(name):
            seen_by = ", ".join(sorted({row.seen_by for row in rows}))
            raise _explained(f"Volume {name!r} is exported to {seen_by}.", refused) from refused
        if not self._rules.remove_own(name) and (others := self._rules.leave_sets(name)):
            raise _explained(f"Volume {name!r} is a member of the volume sets {', '.join(others)}.", refused) from refused

    # Clones

    def _clone_target(self, spec: VolumeSpec) -> bool:
        """Make the volume to copy onto; True where an earlier call for the same clone has made it."""
        try:
            self._create(spec, spec.unfinished_description)
        except AlreadyExists:
            found = objects.volume(self._base(spec.name))
            wanted = (spec.unfinished_description, spec.pool, spec.thin, spec.size)
            if (found.description, found.pool, found.thin, found.size) != wanted:
                raise
            return True
        return False

    def _copy(self, source: Source, spec: VolumeSpec, temporary: str) -> bool:
        """Copy the source's bytes; True where that took a helper snapshot."""
        if isinstance(source, SnapshotRef):
            try:
                self._copies.copy(source.name, spec.name)
            except Busy:
                # The snapshot is being copied from already; of its own snapshot only this call copies.
                pass
            else:
                return False
        read_only = isinstance(source, VolumeRef)
        helper = self._copies.helper(source.name, temporary, read_only=read_only, comment=spec.unfinished_description)
        self._copies.copy(helper, spec.name)
        return True

    @contextmanager
    def _undoing_refused(self, target: str, temporary: str) -> Iterator[None]:
        """Where the array will not copy at all, remove the target and what was made for it."""
        try:
            yield
        except _REFUSALS:
            self._copies.abandon(target)
            self._copies.drop(target)
            self._copies.drop(temporary)
            raise

    def _conversion(self, volume: Volume, spec: VolumeSpec) -> dict[str, object]:
        if volume.thin == spec.thin:
            return {}
        if not spec.thin:
            return {"conversionOperation": _TO_FULL}
        wanted = self._provisioning(spec)
        operation = _TO_REDUCED if "reduce" in wanted else _TO_DEDUP if "tdvv" in wanted else _TO_THIN
        compression = {"compression": wanted.get("compression", False)} if self.generation.compression else {}
        return {"conversionOperation": operation, **compression}

    # Exports

    def _exports_to(self, name: str, rows: Sequence[Vlun]) -> Iterator[Export]:
        templates = [row for row in rows if not row.active] or list(rows)
        seen = min(templates, key=lambda row: row.lun)
        where = {row.port for row in templates}
        if name.startswith(("set:", "port:")):
            over_fc = {row.port for row in rows} & self._fc_ports(refresh=False).keys()
            protocol = Protocol.FC if over_fc else Protocol.ISCSI
            yield Export(seen.volume, name, protocol, seen.lun, seen.wwn)
            return
        try:
            host = self._hosts.read(name)
        except NotFound:
            return
        addresses: dict[Protocol, list[str]] = {}
        for facts in objects.initiators(host):
            addresses.setdefault(facts.protocol, []).append(facts.address)
        if Protocol.ISCSI in addresses:
            yield Export(seen.volume, name, Protocol.ISCSI, seen.lun, seen.wwn, targets=self._targets(where))
        if Protocol.FC in addresses:
            paths = mapping.reached(host, self._fc_ports(refresh=False), addresses[Protocol.FC])
            yield _over_fc(seen.volume, name, seen, paths)

    def _fc_paths(self, registered: Registered, host: Host) -> dict[str, tuple[str, ...]]:
        """Return what each of a host's initiators reaches, or refuse a host that the array does not see."""
        found = registered.paths or self._hosts.read(registered.name)
        paths = mapping.reached(found, self._fc_ports(refresh=False), host.wwpns)
        if not any(paths.values()):
            paths = mapping.reached(found, self._fc_ports(refresh=True), host.wwpns)
        mapping.refuse_dark(host.name, paths)
        return paths

    # Ports

    def _fc_ports(self, *, refresh: bool) -> dict[str, str]:
        """Return position -> WWPN of the FC ports that are up."""
        return {port.id: port.address for port in self._known_ports(refresh=refresh) if port.protocol is Protocol.FC and port.up}

    def _targets(self, where: set[str | None]) -> tuple[IscsiTarget, ...]:
        """Return the iSCSI portals at some ports, or at all where None is among them."""
        wanted = self._options.iscsi_portals
        found = tuple(
            IscsiTarget(port.address, port.iqn or "")
            for port in self._known_ports(refresh=False)
            if port.protocol is Protocol.ISCSI
            and port.up
            and (None in where or port.id in where)
            and (wanted is None or port.address.rpartition(":")[0] in wanted)
        )
        if not found:
            raise InvalidRequest(f"The array has no iSCSI portal{'' if wanted is None else ' of ' + ', '.join(wanted)}.")
        return found

    def _known_ports(self, *, refresh: bool) -> Sequence[Port]:
        with self._guard:
            known = self._ports
        return self.ports() if refresh or not known else known

    def _read_ports(self) -> Iterator[Port]:
        for where, item, protocol in objects.host_ports(self._client.members("ports")):
            if protocol is Protocol.FC:
                yield objects.fc_port(where, item)
                continue
            addresses = [str(item.get("IPAddr", ""))]
            if objects.number(objects.inner(item, "iSCSIPortInfo"), "vlan", 0):
                vlans = objects.entries(self._client.read("ports", where, "iSCSIVlans"), "iSCSIVlans")
                addresses += [objects.text(vlan, "IPAddr") for vlan in vlans]
            for address in addresses:
                if address not in {"", objects.NO_ADDRESS}:
                    yield objects.iscsi_port(where, item, address)


def _over_fc(volume: str, host: str, seen: Vlun, paths: dict[str, tuple[str, ...]]) -> Export:
    wwpns = tuple(sorted({wwpn for reached in paths.values() for wwpn in reached}))
    return Export(volume, host, Protocol.FC, seen.lun, seen.wwn, wwpns=wwpns, paths=paths)


@contextmanager
def _explaining_snapshots(volume: str) -> Iterator[None]:
    """Say what stands in the way of a conversion."""
    try:
        yield
    except InvalidRequest as refused:
        if codes.NEEDS_KEEP_VV not in (refused.vendor_text or ""):
            raise
        raise _explained(f"The provisioning of {volume!r} cannot be converted while it has snapshots.", refused) from refused


def _explained(message: str, refused: BlockDriversError) -> InUse:
    return InUse(message, request=refused.request, vendor_code=refused.vendor_code, vendor_text=refused.vendor_text)
