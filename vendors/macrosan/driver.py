"""The driver contract in terms of the devop interface.

Source of every request: the protocol sheet macrosan-devop, sections 3.1 to 3.5. LUNs and snapshot points are addressed by name. What
the interface cannot do or tell is declared in `MacroSanDriver.capabilities`. Where the sheet is silent:

* No status but 200 is documented: a refusal is explained by asking what is there afterwards.
* Nothing says that the array refuses to delete a LUN on which something hangs: that is asked before.
* What of a snapshot's size, and of which client an initiator is in, cannot be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from blockdrivers.driver import Capabilities, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import AlreadyExists, InUse, NotFound, NotSupported
from blockdrivers.model import (
    Export,
    Host,
    InitiatorFacts,
    IscsiTarget,
    Pool,
    Port,
    Protocol,
    Snapshot,
    SnapshotRef,
    SystemFacts,
    Volume,
    VolumeRef,
    VolumeState,
)
from vendors.macrosan import objects
from vendors.macrosan.client import REFUSALS, DevopClient
from vendors.macrosan.copies import Copies
from vendors.macrosan.luns import Luns
from vendors.macrosan.mapping import MAX_LUN, LunMapping, Pair
from vendors.macrosan.options import MacroSanOptions
from vendors.macrosan.ports import Ports
from vendors.macrosan.raids import RaidSets
from vendors.macrosan.snapshots import Snapshots

_PROTOCOLS = (Protocol.ISCSI, Protocol.FC)


def open_driver(options: MacroSanOptions, name: str) -> MacroSanDriver:
    """Return a driver; nothing is sent before the first operation."""
    return MacroSanDriver(DevopClient(options, name), options)


class MacroSanDriver(Driver):
    """One MacroSAN array."""

    def __init__(self, client: DevopClient, options: MacroSanOptions) -> None:
        self._client = client
        self._pools = options.pools
        raids = RaidSets(client)
        self._luns = Luns(client, raids)
        self._snapshots = Snapshots(client, self._luns, raids, options.snapshot_reserve)
        self._copies = Copies(client, self._luns, self._snapshots)
        self._ports = Ports(client, options)
        self._mapping = LunMapping(client, self._luns, self._ports)
        self._uuid: str | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What this interface can do and tell; the same for every model."""
        return Capabilities(
            protocols=frozenset(_PROTOCOLS),
            thick=True,
            relative_extend=True,
            manage=True,
            max_lun=MAX_LUN,
            list_objects=False,
            find_snapshots=False,
            find_in_volume=True,
            list_exports=False,
            host_objects=False,
            tells_wwn=False,
            serial_clones=True,
            notes=(
                "The array lists nothing: keep your own record of volumes, of snapshots with their volumes, and of exports.",
                "A volume's first snapshot, or its first use as the source of a clone, reserves space in its pool until it is deleted.",
                "Management is plain HTTP with the password in every request: keep it on a network of its own.",
            ),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # The array

    def system(self) -> SystemFacts:
        """GET ha_status, and once GET device (sheet, 3.1); model and firmware are not told."""
        if self._uuid is None:
            self._uuid = str(self._client.get("device"))
        return objects.system_facts(self._uuid, self._client.record("ha_status"))

    def licences(self) -> Mapping[str, bool]:
        """Return nothing: the array does not tell."""
        return {}

    def pools(self) -> Sequence[Pool]:
        """GET pool for each configured pool (sheet, 3.1)."""
        return [self._luns.pool(name) for name in self._pools]

    def ports(self) -> Sequence[Port]:
        """GET iscsi_ports and fc_ports (sheet, 3.4)."""
        return [port.as_port() for protocol in _PROTOCOLS for port in self._ports.read(protocol)]

    def initiators(self) -> Sequence[InitiatorFacts]:
        """Return the FC initiators that are plugged straight into a port: no others are told."""
        return [objects.plugged(port) for port in self._ports.read(Protocol.FC) if port.peer]

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """POST lun (sheet, 3.2)."""
        self._luns.create(spec.name, spec.size, spec.pool, thin=spec.thin)
        return _as_made(spec)

    def get_volume(self, name: str) -> Volume:
        """GET base_info, and what hangs on the LUN (sheet, 3.2 to 3.5)."""
        volume = self._luns.read(name)
        if volume.state is VolumeState.COPYING:
            return volume
        with self._luns.absent_is_told(name):
            return replace(volume, dependants=frozenset(self._luns.dependants(name)))

    def look_up_volume(self, name: str) -> Volume:
        """GET base_info alone."""
        return self._luns.read(name)

    def list_volumes(self) -> Iterable[Volume]:
        """Raise `NotSupported`: there is no such query."""
        raise self._unsupported("listing")

    def extend_volume(self, volume: Volume, size: int) -> None:
        """PUT capicity with what is to be added (sheet, 3.2)."""
        self._luns.extend(volume.name, volume.pool, size - volume.size, thin=volume.thin)

    def delete_volume(self, volume: Volume) -> None:
        """DELETE lun, once nothing hangs on it."""
        self._delete(volume.name, force=False)

    def delete_named(self, name: str, temporary: str, *, force: bool) -> None:
        """DELETE lun, once nothing hangs on it; where there is none, the unfinished clone that would have become it."""
        try:
            self._delete(name, force=force)
        except NotFound:
            if not self._luns.exists(temporary):
                raise
            self._copies.discard(temporary)

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """POST local_clone for a LUN, or copy_volume out of a view of a snapshot (sheet, 3.3)."""
        if self._luns.exists(spec.name):
            raise AlreadyExists(f"The array has a LUN {spec.name!r}.")
        if isinstance(source, VolumeRef):
            self._copies.of_lun(source.name, spec, temporary)
        else:
            self._copies.of_snapshot(_volume_of(source), source.name, spec, temporary)
        return _as_made(spec)

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Remove an unfinished clone, target included: nothing of it can be kept apart."""
        self._copies.discard(temporary)

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """POST snapshot_point, after what it needs (sheet, 3.3)."""
        self._snapshots.take(spec.source.name, spec.name)
        return Snapshot(spec.name, spec.name, None, spec.source.name, spec.source.name)

    def get_snapshot(self, name: str) -> Snapshot:
        """Raise `NotSupported`: a point is looked up within its LUN only."""
        raise self._unsupported("look-up of snapshots")

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """Raise `NotSupported`: there is no such query."""
        raise self._unsupported("listing")

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """DELETE snapshot_point, by the id that its name has (sheet, 3.3)."""
        self._snapshots.drop(snapshot.source_name, snapshot.name)

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Client, initiators, their pairs with targets, and the LUN in each pair (sheet, 3.4)."""
        lun, pairs = self._mapping.map(_lun_of(source), host, host_name, protocol)
        if protocol is Protocol.ISCSI:
            targets = tuple(IscsiTarget(pair.port.portal, pair.port.iqn) for pair in pairs)
            return Export(source.name, host_name, protocol, lun, targets=targets)
        paths = {wwpn: _ports_of(wwpn, pairs) for wwpn in host.wwpns}
        wwpns = tuple(sorted({port for ports in paths.values() for port in ports}))
        return Export(source.name, host_name, protocol, lun, wwpns=wwpns, paths=paths)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """Raise `NotSupported`: the array does not tell which initiators a client holds."""
        raise self._unsupported("hosts")

    def unexport_initiators(self, source: Source, host: Host, protocol: Protocol) -> None:
        """DELETE itl of each of the host's pairs in which the LUN is mapped (sheet, 3.4)."""
        self._mapping.unmap(_lun_of(source), host, protocol)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """Raise `NotSupported`: initiators are told, and not whose they are."""
        raise self._unsupported("list of exports")

    # Names

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """PUT lun name (sheet, 3.2)."""
        self._luns.rename(volume.name, name)
        return replace(volume, id=name, name=name, volume_id=None)

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """PUT snapshot_point name (sheet, 3.3)."""
        self._snapshots.rename(snapshot.source_name, snapshot.name, name)
        return replace(snapshot, id=name, name=name)

    def has_snapshot(self, snapshot: SnapshotRef) -> bool:
        """GET snapshot_point point_id (sheet, 3.3)."""
        return self._snapshots.point(_volume_of(snapshot), snapshot.name) is not None

    # Parts

    def _delete(self, name: str, *, force: bool) -> None:
        """Delete a LUN unless something hangs on it; nothing is changed before all of that has been asked."""
        with self._luns.absent_is_told(name):
            mapped = self._mapping.of(name)
            if mapped and not force:
                raise InUse(f"LUN {name!r} is exported to {', '.join(sorted({initiator for initiator, _ in mapped}))}.")
            if self._luns.is_replicated(name):
                raise InUse(f"LUN {name!r} is replicated.")
            reserved = self._snapshots.has_resource(name)
            if reserved and (count := self._snapshots.count(name)):
                raise InUse(f"LUN {name!r} has {count} snapshots.")
        for initiator, target in mapped:
            self._mapping.take_away(name, initiator, target)
        if reserved:
            self._end_snapshots(name)
        self._luns.delete(name)

    def _end_snapshots(self, name: str) -> None:
        try:
            self._snapshots.end(name)
        except REFUSALS as refused:
            if not self._snapshots.has_resource(name):
                return
            raise refused.explained_as(
                InUse,
                f"The array keeps the snapshot resource of LUN {name!r}; it may be copied from or to.",
            ) from refused


def _as_made(spec: VolumeSpec) -> Volume:
    return Volume(spec.name, spec.name, spec.size, spec.pool, None, spec.thin)


def _volume_of(snapshot: SnapshotRef) -> str:
    if snapshot.volume is None:
        raise NotSupported(f"The array cannot tell of which volume snapshot {snapshot.name!r} is.")
    return snapshot.volume


def _lun_of(source: Source) -> str:
    if isinstance(source, SnapshotRef):
        raise NotSupported("This array's snapshots are not exported; its capabilities say so.")
    return source.name


def _ports_of(wwpn: str, pairs: Sequence[Pair]) -> tuple[str, ...]:
    return tuple(sorted(pair.port.address for pair in pairs if objects.wwpn(pair.initiator) == wwpn))
