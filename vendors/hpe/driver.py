"""The driver contract in terms of the Web Services API.

Source of every request: the protocol sheet hpe-3par-wsapi, sections 3.1 to 3.16. Where the sheet is silent:

* A volume does not say whether it is exported; its VLUNs do, in a request of their own.
* Numbers of several refusals are unknown: a refused deletion or revert is explained by the VLUNs and sets of the volume, read then.
* Whether the array lets one volume have two LUN ids on one host is unknown: what is exported is looked up before it is exported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from blockdrivers.driver import Capabilities, ChapRules, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import InUse, InvalidRequest, VendorError
from blockdrivers.model import (
    Dependant,
    Export,
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
    SystemFacts,
    Volume,
    VolumeRef,
)
from vendors.hpe import codes, objects, remotecopy
from vendors.hpe.client import WsapiClient
from vendors.hpe.clones import Clones
from vendors.hpe.copies import Copies
from vendors.hpe.exports import Exports
from vendors.hpe.groups import GroupSnapshots
from vendors.hpe.mapping import MAX_LUN, Hosts, Vluns
from vendors.hpe.options import WsapiOptions
from vendors.hpe.ports import Ports
from vendors.hpe.qos import Rules
from vendors.hpe.sweeper import Sweeper
from vendors.hpe.volumes import Volumes

_COMMENT = 511
_STEP = 256 * MiB
_GROW = 3


def open_driver(options: WsapiOptions, name: str) -> WsapiDriver:
    """Return a driver; nothing is sent before the first operation."""
    return WsapiDriver(WsapiClient(options, name), options)


class WsapiDriver(Driver):
    """One StoreServ, Primera or ConvergedFabric array."""

    def __init__(self, client: WsapiClient, options: WsapiOptions) -> None:
        self._client = client
        self._hosts = Hosts(client, options.persona)
        self._vluns = Vluns(client)
        self._rules = Rules(client)
        self._volumes = Volumes(client, options)
        self._copies = Copies(client, self._volumes, options.copy_priority)
        self._ports = Ports(client, options.iscsi_portals)
        self._exports = Exports(client, self._hosts, self._vluns, self._ports)

    @property
    def capabilities(self) -> Capabilities:
        """What this generation can do."""
        generation = self._volumes.generation
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
            max_lun=MAX_LUN,
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
        return self._volumes.pools()

    def ports(self) -> Sequence[Port]:
        """GET /ports, and the VLANs of tagged iSCSI ports (sheet, 3.10)."""
        return self._ports.read()

    def initiators(self) -> Sequence[InitiatorFacts]:
        """GET /hosts (sheet, 3.9)."""
        return [facts for host in self._client.members("hosts") for facts in objects.initiators(host)]

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """POST /volumes, and the read that tells id and WWN (sheet, 3.4)."""
        self._volumes.create(spec, spec.description)
        return objects.volume(self._volumes.base(spec.name))

    def get_volume(self, name: str) -> Volume:
        """GET /volumes/NAME, and the VLUNs of that volume."""
        found = self._volumes.base(name)
        return objects.volume(found, exported=bool(self._vluns.of_volume(name)))

    def look_up_volume(self, name: str) -> Volume:
        """GET /volumes/NAME; the array refuses to delete or revert what is exported."""
        return objects.volume(self._volumes.base(name))

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
                raise refused.explained_as(InUse, f"Volume {volume.name!r} has snapshots or is replicated.") from refused
            self._free(volume.name, refused)
            self._client.delete("volumes", volume.name)

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Make an off-line physical copy, of a volume through a snapshot made for the purpose (sheet, 3.7)."""
        Clones(self._client, self._volumes, self._copies).make(source, spec, temporary)
        return objects.volume(self._volumes.base(spec.name))

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Cancel the copy onto a volume and remove what was made for it."""
        self._copies.abandon(volume.name)
        self._copies.drop(temporary)

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """POST /volumes/NAME with the action createSnapshot, and the read that tells id and WWN (sheet, 3.5)."""
        self._copies.snapshot(spec.source.name, spec.name, read_only=True, comment=spec.description)
        return objects.snapshot(self._volumes.snapshot(spec.name))

    def get_snapshot(self, name: str) -> Snapshot:
        """GET /volumes/NAME, and the VLUNs of that snapshot."""
        found = self._volumes.snapshot(name)
        return objects.snapshot(found, exported=bool(self._vluns.of_volume(name)))

    def look_up_snapshot(self, name: str) -> Snapshot:
        """GET /volumes/NAME; the array refuses to delete what is exported."""
        return objects.snapshot(self._volumes.snapshot(name))

    def look_up_revert(self, volume: str, snapshot: str) -> tuple[Volume, Snapshot]:
        """GET /volumes by both names; where that does not find both, each by its own."""
        found = self._volumes.named(volume, snapshot)
        if volume in found and snapshot in found:
            base, copy = found[volume], found[snapshot]
            if objects.is_snapshot(copy) and not objects.is_snapshot(base):
                return objects.volume(base), objects.snapshot(copy)
        return super().look_up_revert(volume, snapshot)

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """GET /volumes and /vluns; the snapshots of one volume by query (sheet, 3.5)."""
        query = "" if source is None else f"copyOf EQ {source.name}"
        found = self._client.members("volumes", query=query)
        exported = {row.volume for row in self._vluns.every()} if found else set()
        for item in found:
            # Older builds take no notice of a query.
            if objects.is_snapshot(item) and (source is None or item.get("copyOf") == source.name):
                yield objects.snapshot(item, exported=str(item.get("name")) in exported)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """DELETE /volumes/NAME."""
        try:
            self._client.delete("volumes", snapshot.name)
        except InUse as refused:
            raise refused.explained_as(
                InUse, f"Snapshot {snapshot.name!r} is exported, has snapshots of its own, or is in a set."
            ) from refused

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """POST /volumesets and its action createSnapshot (sheet, 3.11)."""
        return GroupSnapshots(self._client, self._volumes).take(specs)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """PUT /volumes/SNAPSHOT with the action promote, and wait for its task (sheet, 3.6)."""
        try:
            self._copies.promote(snapshot.name, volume.name, online=Dependant.EXPORT in volume.dependants)
        except VendorError as refused:
            if self._vluns.of_volume(volume.name):
                raise refused.explained_as(InUse, f"Volume {volume.name!r} is exported and was not reverted.") from refused
            raise

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Host, paths, CHAP, VLUN, and what the host sees (sheet, 3.9 and 3.12)."""
        return self._exports.make(source.name, host, host_name, protocol)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """DELETE /vluns/... of every template that names the host."""
        self._vluns.remove(source.name, host_name)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """GET /vluns by volume, and the hosts that it names."""
        return self._exports.of(source.name)

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
            with self._volumes.explaining_pool(spec.pool), _explaining_snapshots(volume.name):
                self._copies.tune(volume, self._volumes.tune(volume, spec))
        found = self._volumes.base(volume.name)
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

    def _free(self, name: str, refused: InUse) -> None:
        """Take a volume that is not exported out of this library's own sets; refuse where others hold it."""
        if rows := self._vluns.of_volume(name):
            seen_by = ", ".join(sorted({row.seen_by for row in rows}))
            raise refused.explained_as(InUse, f"Volume {name!r} is exported to {seen_by}.") from refused
        if not self._rules.remove_own(name) and (others := self._rules.leave_sets(name)):
            raise refused.explained_as(InUse, f"Volume {name!r} is a member of the volume sets {', '.join(others)}.") from refused


@contextmanager
def _explaining_snapshots(volume: str) -> Iterator[None]:
    """Say what stands in the way of a conversion."""
    try:
        yield
    except InvalidRequest as refused:
        if codes.NEEDS_KEEP_VV not in (refused.vendor_text or ""):
            raise
        raise refused.explained_as(
            InUse, f"The provisioning of {volume!r} cannot be converted while it has snapshots."
        ) from refused
