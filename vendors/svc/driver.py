"""The driver contract in the commands of Spectrum Virtualize and InStorage MCS.

Source of every command: the protocol sheets ibm-spectrum-virtualize-cli and inspur-instorage-cli, sections 3. What they do not say and
is assumed here stands in docs/adapters/spectrum-virtualize.md.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from blockdrivers.driver import Capabilities, ChapRules, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import InUse, InvalidRequest, NotFound, StaleReference
from blockdrivers.model import (
    Export,
    Host,
    InitiatorFacts,
    Leftover,
    Pool,
    Port,
    Protocol,
    Qos,
    Snapshot,
    SystemFacts,
    Volume,
    VolumeRef,
)
from vendors.svc import objects, variants
from vendors.svc.client import SvcClient, connect, one, present
from vendors.svc.copies import Clones, Moves, Reverts
from vendors.svc.grammar import Ask, Call, Section
from vendors.svc.hosts import Hosts, Seen, protocols_of
from vendors.svc.mappings import Mappings
from vendors.svc.options import IbmOptions, InspurOptions, SvcOptions
from vendors.svc.ports import Ports
from vendors.svc.qos import Limits
from vendors.svc.snapshots import Snapshots
from vendors.svc.sweeper import Sweeper
from vendors.svc.variants import IBM, INSPUR, Features, Variant
from vendors.svc.volumes import Pools, Provisioning, Volumes

_SECTOR = 512
_MAX_LUN = 511
_CHAP = ChapRules(min_secret=12, max_secret=79, free_username=False)


def open_ibm(options: IbmOptions, name: str) -> SvcDriver:
    """Return a driver of an IBM array; nothing is sent before the first operation."""
    return SvcDriver(connect(options, name, IBM), options, IBM)


def open_inspur(options: InspurOptions, name: str) -> SvcDriver:
    """Return a driver of an Inspur array; nothing is sent before the first operation."""
    return SvcDriver(connect(options, name, INSPUR), options, INSPUR)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What depends on what the system can do."""

    features: Features
    hosts: Hosts
    ports: Ports
    limits: Limits
    moves: Moves


class SvcDriver(Driver):
    """One Spectrum Virtualize or InStorage MCS system."""

    def __init__(self, client: SvcClient, options: SvcOptions, variant: Variant) -> None:
        self._client = client
        self._options = options
        self._variant = variant
        self._pools = Pools(client, variant)
        self._kinds = Provisioning(variant, options, self._pools)
        self._volumes = Volumes(client, variant)
        self._mappings = Mappings(client, variant, self._volumes, options.copy_rate)
        self._snapshots = Snapshots(client, variant, self._volumes, self._mappings, self._kinds)
        self._clones = Clones(client, self._volumes, self._mappings, self._kinds)
        self._reverts = Reverts(self._volumes, self._mappings)
        self._guard = threading.Lock()
        self._known: _Parts | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What this system can do at its code level."""
        features = self._parts.features
        return Capabilities(
            protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
            size_step=_SECTOR,
            thick=True,
            extend_with_snapshots=features.grows_in_map,
            relative_extend=True,
            revert=True,
            qos=features.qos,
            manage=True,
            migrate=True,
            group_snapshots=True,
            export_snapshots=True,
            chap=_CHAP,
            max_lun=_MAX_LUN,
        )

    def close(self) -> None:
        """End every session."""
        self._client.close()

    # The array

    def system(self) -> SystemFacts:
        """``lssystem`` and ``lsnode`` (sheet, 3.1)."""
        system, nodes = self._client.read(Ask("lssystem", detail=True), Ask("lsnode"))
        return objects.system_facts(self._variant, one(system), nodes or ())

    def licences(self) -> Mapping[str, bool]:
        """``lslicense``, and ``lsguicapabilities`` (sheet, 3.1): what this backend's volumes need, compression where it is chosen."""
        if not self._options.compression:
            return {}
        licence, gui = self._client.read(Ask("lslicense", detail=True), Ask("lsguicapabilities", detail=True))
        return {"compression": variants.may_compress(self._variant, one(licence), one(gui))}

    def pools(self) -> Sequence[Pool]:
        """``lsmdiskgrp`` (sheet, 3.3)."""
        return self._pools.read()

    def ports(self) -> Sequence[Port]:
        """``lsip`` or ``lsportip``, ``lstargetportfc`` or ``lsportfc``, and the nodes behind them (sheet, 3.2)."""
        return self._parts.ports.read()

    def initiators(self) -> Sequence[InitiatorFacts]:
        """``lshost`` and ``lsfabric`` (sheet, 3.2 and 3.7)."""
        return self._parts.hosts.initiators()

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """``mkvdisk`` (sheet, 3.4)."""
        flags = self._kinds.new(spec.name, spec.pool, spec.size, thin=spec.thin)
        try:
            _, (found,) = self._client.change_and_read(
                Call("mkvdisk", flags=flags, changes=True), self._volumes.detail(spec.name)
            )
        except NotFound as gone:
            self._pools.forget()
            raise StaleReference(f"The array's pool {spec.pool!r} has gone or has another name now.") from gone
        item, *copies = present(found, f"volume {spec.name!r}")
        return objects.volume(item, copies, [], mapped=False)

    def get_volume(self, name: str) -> Volume:
        """``lsvdisk``, its copy mappings and host mappings."""
        return self._volumes.get(name)

    def look_up_volume(self, name: str) -> Volume:
        """``lsvdisk``; ``rmvdisk`` and ``expandvdisksize`` refuse what mappings of either kind forbid."""
        return self._volumes.look_up(name)

    def list_volumes(self) -> Iterable[Volume]:
        """``lsvdisk``, all copy mappings and host mappings."""
        return self._volumes.every(limits=self._parts.features.throttles)

    def extend_volume(self, volume: Volume, size: int) -> None:
        """``expandvdisksize``, which is told the difference."""
        try:
            self._volumes.extend(volume.name, volume.size, size)
        except InUse as refused:
            if self._mappings.tidy(volume.name):
                self._volumes.extend(volume.name, volume.size, size)
                return
            raise refused.explained_as(
                InUse, f"Volume {volume.name!r} cannot grow while it has snapshots or is copied."
            ) from refused

    def delete_volume(self, volume: Volume) -> None:
        """``rmvdisk`` by name, which refuses a volume that something hangs on; limits go with it."""
        try:
            self._client.change("rmvdisk", volume.name)
        except InUse as refused:
            if self._mappings.tidy(volume.name):
                self._client.change("rmvdisk", volume.name)
                return
            blocking = ", ".join(sorted(self._volumes.get(volume.name).dependants)) or "none that are visible"
            raise refused.explained_as(InUse, f"Volume {volume.name!r} has dependants ({blocking}).") from refused

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """``mkfcmap`` with background copy onto a helper, which gets its name when it is whole (sheet, 3.5)."""
        try:
            return self._clones.make(source, spec, temporary)
        except StaleReference:
            self._pools.forget()
            raise

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """``rmvdisk -force`` of the helper, with its mapping."""
        self._clones.abandon(temporary)

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """``mkvdisk``, ``mkfcmap``, ``startfcmap -prep`` (sheet, 3.5)."""
        try:
            return self._snapshots.create(spec)
        except StaleReference:
            self._pools.forget()
            raise

    def get_snapshot(self, name: str) -> Snapshot:
        """``lsvdisk``, the mapping onto it and its host mappings."""
        return self._snapshots.get(name)

    def look_up_snapshot(self, name: str) -> Snapshot:
        """``lsvdisk`` and the mapping onto it."""
        return self._snapshots.look_up(name)

    def look_up_revert(self, volume: str, snapshot: str) -> tuple[Volume, Snapshot]:
        """``lsvdisk`` of both, the mapping onto the snapshot, and which hosts see the volume: the array would revert under them."""
        found, shown = self._snapshots.look_up_with(snapshot, volume)
        return shown, found

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """``lsfcmap``, ``lsvdisk`` and all host mappings."""
        return self._snapshots.every(source)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """``rmvdisk -force``, which takes the mapping along; before, whether a host or a copy reads it."""
        self._snapshots.delete_unused(snapshot.name)

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """``mkfcconsistgrp``, a mapping each, ``startfcconsistgrp -prep``, ``rmfcconsistgrp`` (sheet, 3.9)."""
        return self._snapshots.create_group(specs)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """``mkfcmap`` back, ``startfcmap -prep -restore`` (sheet, 3.5)."""
        self._reverts.run(volume, snapshot)

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """``mkhost`` where it is new, ``mkvdiskhostmap``, and how the host sees the volume (sheet, 3.7)."""
        parts = self._parts
        asks = [Ask("lsfabric", flags={"host": host_name})] if protocol is Protocol.FC else []
        shown = parts.hosts.export(source.name, host, host_name, protocol, *asks)
        try:
            logins = shown.answers[0] if shown.answers else ()
            return self._export(source.name, host_name, protocol, shown.seen, host.wwpns, logins)
        except InvalidRequest:
            parts.hosts.take_back(source.name, host_name, shown)
            raise

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """``rmvdiskhostmap`` by names."""
        self._parts.hosts.unexport(source.name, host_name)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """``lsvdiskhostmap``, and the ports of each host."""
        seen = self._parts.hosts.seen(source.name)
        hosts = {host.text("name"): host for host in self._parts.hosts.details([each.host for each in seen])}
        return [
            export
            for each in seen
            if each.host in hosts
            for export in self._exports_to(source.name, each, protocols_of(hosts[each.host]))
        ]

    def remove_host(self, host_name: str) -> None:
        """``rmhost``, which refuses a host with mappings."""
        self._parts.hosts.remove(host_name)

    # Limits, names, moves

    def set_qos(self, volume: Volume, qos: Qos, name: str) -> None:
        """``mkthrottle`` or ``chvdisk -rate`` (sheet, 3.8)."""
        self._parts.limits.apply(volume, qos)

    def get_qos(self, volume: Volume) -> Qos:
        """``lsvdisk``, which tells the limits."""
        return self._parts.limits.read(volume)

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """``chvdisk -name``; there is no field for a description."""
        self._client.change("chvdisk", volume.name, name=name)
        return replace(volume, name=name, volume_id=None)

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """``chvdisk -name``."""
        self._client.change("chvdisk", snapshot.name, name=name)
        return replace(snapshot, name=name, snapshot_id=None, volume_id=None)

    def migrate_volume(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """``addvdiskcopy``, and the old copy away once both are in step (sheet, 3.10); id and UID stay."""
        try:
            return self._parts.moves.run(volume, spec)
        except StaleReference:
            self._pools.forget()
            raise

    def leftovers(self) -> Iterable[Leftover]:
        """Unfinished clones, snapshots and groups, reverts that were not tidied up: only what bears our names."""
        return self._sweeper.find()

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them, looked up again by name."""
        self._sweeper.remove(leftover)

    # Parts

    @property
    def _parts(self) -> _Parts:
        """What depends on the code level; asked once, it does not change while the driver lives."""
        with self._guard:
            known = self._known
        if known is not None:
            return known
        asks = [Ask("lssystem", detail=True)]
        if self._variant is INSPUR:
            asks.append(Ask("lsguicapabilities", detail=True))
        system, *gui = self._client.read(*asks)
        features = variants.features(self._variant, one(system), one(gui[0]) if gui else None)
        made = _Parts(
            features,
            Hosts(self._client, self._options.portsets[0] if features.ip_table == "lsip" else None),
            Ports(self._client, features, self._options),
            Limits(self._client, self._volumes, features),
            Moves(self._client, self._volumes, self._kinds, features),
        )
        with self._guard:
            self._known = self._known or made
            return self._known

    @property
    def _sweeper(self) -> Sweeper:
        parts = self._parts
        return Sweeper(self._client, self._variant, self._volumes, self._snapshots, self._mappings, self._clones, parts.hosts)

    # Exports

    def _export(
        self,
        volume: str,
        host_name: str,
        protocol: Protocol,
        seen: Seen,
        initiators: Sequence[str],
        logins: Sequence[Section],
    ) -> Export:
        ports = self._parts.ports
        if protocol is Protocol.ISCSI:
            return Export(volume, host_name, protocol, seen.lun, seen.wwn, targets=ports.targets(seen.io_groups))
        paths = ports.reachable(logins, initiators)
        wwpns = tuple(sorted({wwpn for reached in paths.values() for wwpn in reached}))
        if not wwpns:
            raise InvalidRequest(
                f"No FC port of the array is linked to any initiator of host {host_name!r} "
                f"({', '.join(initiators)}); check cabling, zoning and portset, then ask again."
            )
        return Export(volume, host_name, protocol, seen.lun, seen.wwn, wwpns=wwpns, paths=paths)

    def _exports_to(self, volume: str, seen: Seen, ports: Mapping[Protocol, Sequence[str]]) -> Iterable[Export]:
        if Protocol.ISCSI in ports:
            yield self._export(volume, seen.host, Protocol.ISCSI, seen, (), ())
        if Protocol.FC in ports:
            logins = self._client.rows("lsfabric", host=seen.host)
            yield self._export(volume, seen.host, Protocol.FC, seen, ports[Protocol.FC], logins)
