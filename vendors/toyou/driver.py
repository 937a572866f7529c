"""The driver contract in terms of the ACS5000's commands.

Source of every command: the protocol sheet toyou-acs5000-cli, sections 3.2 to 3.7. Volumes and snapshots are addressed by name, and a
name is all the identity that they have. What no command tells (snapshots, maps, LUN identities, what is in the pool) is declared in
`Acs5000Driver.capabilities`. Where the sheet is silent:

* The keys for "in use" and "busy" are not documented: a refusal with an undocumented key is explained by the volume's state, read then.
* A volume's deletion is taken as refused while it is mapped, has snapshots or takes part in a clone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import Capabilities, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import Busy, InUse, InvalidRequest, NotFound, NotSupported, ProtocolError, VendorError
from blockdrivers.model import (
    Dependant,
    Export,
    GiB,
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
from vendors.toyou import codes, objects
from vendors.toyou.client import Acs5000Client, Object, as_object
from vendors.toyou.copies import Copies, Copy, Pace
from vendors.toyou.options import Acs5000Options
from vendors.toyou.volumes import Volumes

_WIRE: Final[Mapping[Protocol, str]] = {Protocol.ISCSI: "iSCSI", Protocol.FC: "FC"}
_VENDOR: Final = "TOYOU"
_EVERY_HOST: Final = "-1"
_HIGHEST_LUN: Final = 16383
"""The array's own limit is unknown; this is the highest that hosts can address."""
_FIRST_LOOK: Final = 0.3
"""Seconds after which a revert is looked at again: the array may not tell how far it is."""


def open_driver(options: Acs5000Options, name: str) -> Acs5000Driver:
    """Return a driver; nothing is sent before the first operation."""
    return Acs5000Driver(Acs5000Client(options, name), options)


class Acs5000Driver(Driver):
    """One ACS5000."""

    def __init__(self, client: Acs5000Client, options: Acs5000Options) -> None:
        self._client = client
        self._options = options
        self._volumes = Volumes(client, options.pools)
        self._copies = Copies(client, self._volumes)

    @property
    def capabilities(self) -> Capabilities:
        """What this protocol can do and tell; the pools are asked once whether they are thin."""
        thin = self._volumes.thin_pools
        return Capabilities(
            protocols=frozenset(_WIRE),
            thin=bool(thin),
            thick=not thin,
            thin_pools=thin,
            revert=True,
            revert_to_any=False,
            manage=True,
            max_lun=_HIGHEST_LUN,
            list_objects=False,
            find_snapshots=False,
            list_exports=False,
            host_objects=False,
            tells_wwn=False,
            serial_clones=True,
            notes=(
                "The array lists nothing: keep your own record of volumes, of snapshots with their volumes, and of exports.",
                "Nothing but the array's own refusal, which is not documented, protects a mapped volume from deletion.",
            ),
        )

    def close(self) -> None:
        """End every connection."""
        self._client.close()

    # The array

    def system(self) -> SystemFacts:
        """get_system, and ls_controller for the health (sheet, 3.2); only what calls itself TOYOU's is taken for one (sheet, 9)."""
        system = self._client.object("get_system")
        if objects.text(system, "vendor") != _VENDOR:
            raise ProtocolError(
                f"This array calls itself {system['vendor']!r}; this adapter is for {_VENDOR}'s ACS5000 protocol."
            )
        return objects.system_facts(system, self._client.objects("ls_controller"))

    def licences(self) -> Mapping[str, bool]:
        """Return nothing: the array does not tell."""
        return {}

    def pools(self) -> Sequence[Pool]:
        """get_pool for each configured pool (sheet, 3.3)."""
        return self._volumes.pools()

    def ports(self) -> Sequence[Port]:
        """ls_iscsi with ls_controller for the IQNs, and ls_fc (sheet, 3.2)."""
        return [*self._iscsi_ports(), *self._fc_ports()]

    def initiators(self) -> Sequence[InitiatorFacts]:
        """Return nothing: the array does not tell which it sees."""
        return ()

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """create_volume of type 0 (sheet, 3.4)."""
        return self._volumes.create(spec)

    def get_volume(self, name: str) -> Volume:
        """get_volume (sheet, 3.4)."""
        return self._volumes.get(name)

    def list_volumes(self) -> Iterable[Volume]:
        """Refuse: no such command is known."""
        raise NotSupported("This array cannot list volumes.")

    def extend_volume(self, volume: Volume, size: int) -> None:
        """extend_volume; the size sent is the new total (sheet, 3.4)."""
        try:
            self._client.change("extend_volume", "--volume", volume.name, "--size", str(size // GiB))
        except InvalidRequest as refused:
            # Another call was quicker.
            if refused.vendor_code != str(codes.SAME_SIZE):
                raise

    def delete_volume(self, volume: Volume) -> None:
        """delete_volume (sheet, 3.4)."""
        self.delete_named(volume.name, _aside(volume.name), force=False)

    def delete_named(self, name: str, temporary: str, *, force: bool) -> None:
        """delete_volume, once more after delete_lun_map for every host where `force` says so (sheet, 3.4 and 3.7)."""
        try:
            self._volumes.delete(name)
        except VendorError as refused:
            found = self.get_volume(name)
            if found.state is VolumeState.COPYING:
                self._give_up(name, _aside(temporary), force=force)
                return
            if Dependant.COPY in found.dependants or not force:
                raise _kept(found, refused) from refused
            self._unmap_everywhere(name)
            self._delete_unmapped(found)

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """create_volume of type 10, create_clone, start_clone, get_volume until it is done, delete_clone (sheet, 3.6)."""
        if isinstance(source, VolumeRef):
            copy = Copy(source.name, spec.name)
        elif source.volume is None:
            raise InvalidRequest(f"This array has to be told of which volume {source.name!r} is.")
        else:
            copy = Copy(source.volume, spec.name, source.name)
        self._copies.run(copy, spec, _aside(temporary))
        return Volume(spec.name, spec.name, spec.size, spec.pool, None, spec.thin)

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Do nothing: `delete_named` gives up an unfinished clone in one step with its name."""

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """create_snapshot (sheet, 3.5); it holds its moment at once."""
        with self._complete(spec.source.name):
            self._client.change("create_snapshot", "--volume", spec.source.name, "--snapshot", spec.name)
        return Snapshot(spec.name, spec.name, None, spec.source.name, spec.source.name)

    def get_snapshot(self, name: str) -> Snapshot:
        """Refuse: no such command is known."""
        raise NotSupported("This array cannot look up a snapshot.")

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """Refuse: no such command is known."""
        raise NotSupported("This array cannot list snapshots.")

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """delete_snapshot (sheet, 3.5)."""
        try:
            self._client.change("delete_snapshot", "--volume", snapshot.source_name, "--snapshot", snapshot.name)
        except VendorError as refused:
            raise refused.explained_as(
                InUse,
                f"The array keeps snapshot {snapshot.snapshot_id or snapshot.name!r}: it is copied from or reverted to.",
            ) from refused

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """rollback_snapshot, and get_volume until the volume is itself again (sheet, 3.5).

        What becomes of a volume that has grown since the snapshot is not documented: one that has shrunk is grown again.
        """
        try:
            self._client.change("rollback_snapshot", "--snapshot", snapshot.name, "--volume", volume.name)
        except VendorError as refused:
            shown = self._shown(volume.name)
            if objects.is_copied(shown):
                raise refused.explained_as(
                    InUse,
                    f"Volume {volume.name!r} is being cloned onto {objects.clone_of(shown)!r}; wait until that has ended.",
                ) from refused
            if not objects.is_reverting(shown):
                raise
            raise Busy(f"Volume {volume.name!r} is being reverted by an earlier call.") from refused
        note(f"volume {volume.name} is being reverted to {snapshot.name}")
        pace = Pace()

        def ended() -> Object | None:
            found = self._shown(volume.name)
            pace.see(found)
            return None if objects.is_reverting(found) else found

        what = f"volume {volume.name} to be reverted to {snapshot.name}"
        reverted = wait_until(ended, what=what, first=_FIRST_LOOK, delay=_FIRST_LOOK, expected=pace.expected)
        if self._volumes.seen(reverted).size < volume.size:
            self.extend_volume(volume, volume.size)

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """create_lun_map, after ls_fc for FC (sheet, 3.7): mapping an initiator again answers alike."""
        wwpns = self._wwpns_up(host) if protocol is Protocol.FC else ()
        with self._complete(source.name):
            content = self._client.change("create_lun_map", *_map(source, protocol, _initiators(host, protocol)))
        answer = as_object(content, "create_lun_map")
        lun = objects.lun(answer)
        if protocol is Protocol.ISCSI:
            return Export(source.name, host_name, protocol, lun, targets=self._portals(objects.targets(answer)))
        paths = dict.fromkeys(host.wwpns, wwpns)
        return Export(source.name, host_name, protocol, lun, wwpns=wwpns, paths=paths)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """Refuse: the array knows initiators only."""
        raise NotSupported("This array knows no hosts; initiators have to be named.")

    def unexport_initiators(self, source: Source, host: Host, protocol: Protocol) -> None:
        """delete_lun_map (sheet, 3.7), one initiator at a time where the array does not know all of them."""
        initiators = _initiators(host, protocol)
        try:
            self._unmap(source, protocol, initiators)
        except NotFound as gone:
            if gone.vendor_code != str(codes.NO_MAP) or len(initiators) == 1:
                raise
            known = [initiator for initiator in initiators if self._unmapped(source, protocol, initiator)]
            if not known:
                raise

    def list_exports(self, source: Source) -> Sequence[Export]:
        """Refuse: no such command is known."""
        raise NotSupported("This array cannot tell what a volume is exported to.")

    # Names

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """set_volume with a new name (sheet, 3.4)."""
        self._volumes.rename(volume.name, name)
        return replace(volume, id=name, name=name, volume_id=None)

    # Parts

    @contextmanager
    def _complete(self, name: str) -> Iterator[None]:
        """Explain an undocumented refusal of what cannot be done with a clone that is not complete."""
        try:
            yield
        except VendorError as refused:
            shown = self._volumes.find(name).get(name)
            if shown is None or shown["type"] != objects.BACKUP:
                raise
            raise refused.explained_as(
                InUse,
                f"Volume {name!r} is a clone that is not complete; ask for that clone again first.",
            ) from refused

    def _give_up(self, name: str, aside: str, *, force: bool) -> None:
        """Delete an unfinished clone, with `force` after it was taken away from every host."""
        try:
            self._copies.discard(name, aside)
        except InUse:
            if not force:
                raise
            self._unmap_everywhere(aside)
            self._copies.discard(name, aside)

    def _iscsi_ports(self) -> list[Port]:
        return objects.iscsi_ports(self._client.objects("ls_iscsi"), self._client.objects("ls_controller"))

    def _fc_ports(self) -> list[Port]:
        return objects.fc_ports(self._client.objects("ls_fc"))

    def _wwpns_up(self, host: Host) -> tuple[str, ...]:
        """Return the FC ports that are up; which of them an initiator reaches, the array does not tell."""
        found = tuple(sorted(port.address for port in self._fc_ports() if port.up))
        if not found:
            raise InvalidRequest(f"No FC port of the array is up for host {host.name!r}; check cabling, then ask again.")
        return found

    def _portals(self, named: Sequence[IscsiTarget]) -> tuple[IscsiTarget, ...]:
        if not named:
            named = [IscsiTarget(port.address, port.iqn or "") for port in self._iscsi_ports() if port.up]
        wanted = self._options.iscsi_portals
        found = tuple(target for target in named if wanted is None or target.portal.rpartition(":")[0] in wanted)
        if not found:
            raise InvalidRequest(f"The array has no iSCSI portal up{'' if wanted is None else ' of ' + ', '.join(wanted)}.")
        return found

    def _unmap(self, source: Source, protocol: Protocol, initiators: Sequence[str]) -> None:
        self._client.change("delete_lun_map", *_map(source, protocol, initiators))

    def _unmapped(self, source: Source, protocol: Protocol, initiator: str) -> bool:
        try:
            self._unmap(source, protocol, [initiator])
        except NotFound as gone:
            if gone.vendor_code != str(codes.NO_MAP):
                raise
            return False
        return True

    def _unmap_everywhere(self, name: str) -> None:
        for protocol in _WIRE:
            self._unmapped(VolumeRef(name), protocol, _EVERY_HOST)

    def _delete_unmapped(self, volume: Volume) -> None:
        try:
            self._volumes.delete(volume.name)
        except VendorError as refused:
            raise _kept(volume, refused) from refused

    def _shown(self, name: str) -> Object:
        found = self._volumes.find(name).get(name)
        if found is None:
            raise NotFound(f"The array has no volume {name!r}.")
        return found


def _initiators(host: Host, protocol: Protocol) -> tuple[str, ...]:
    if protocol is Protocol.FC:
        return host.wwpns
    if host.iqn is None:
        raise InvalidRequest(f"Host {host.name!r} has no iSCSI name.")
    return (host.iqn,)


def _map(source: Source, protocol: Protocol, initiators: Sequence[str]) -> tuple[str, ...]:
    if isinstance(source, SnapshotRef):
        raise NotSupported("This array cannot export a snapshot.")
    hosts = (part for initiator in initiators for part in ("--host", initiator))
    return ("--volume", source.name, "--protocol", _WIRE[protocol], *hosts)


def _aside(name: str) -> str:
    """Return the name of an unfinished clone that is given up; nothing else bears it."""
    return f"{name}-x"


def _kept(volume: Volume, refused: VendorError) -> InUse:
    why = (
        "it is being cloned" if Dependant.COPY in volume.dependants else "it is exported or has snapshots, the array does not say"
    )
    return refused.explained_as(
        InUse,
        f"The array keeps volume {volume.name!r}: {why}.",
    )
