"""The driver contract in terms of ONTAP's REST API, for volumes that are LUNs.

Source of every request: the protocol sheet netapp-ontap-rest, sections 3.1 to 3.9. Where the sheet is silent:

* A LUN has a ``comment`` of up to 254 characters, in every request that makes or changes one (the vendor's own client).
* A refusal for want of space, or of a licence, is known by its words alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from blockdrivers.driver import Capabilities, ChapRules, Driver, SnapshotSpec, Source, VolumeSpec
from blockdrivers.model import (
    Export,
    GiB,
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
from vendors.netapp import objects, qos
from vendors.netapp.client import OntapClient
from vendors.netapp.cluster import Cluster
from vendors.netapp.copies import Copies
from vendors.netapp.exports import Exports, Lifs
from vendors.netapp.filedriver import OntapFilesDriver
from vendors.netapp.hosts import Hosts
from vendors.netapp.lungroups import LunGroups
from vendors.netapp.luns import Luns
from vendors.netapp.moments import Moments
from vendors.netapp.names import Base
from vendors.netapp.options import OntapOptions
from vendors.netapp.pools import Pools
from vendors.netapp.qos import Policies
from vendors.netapp.sweeper import Sweeper

_MAX_LUN_SIZE = 17_555_678_822_400 // GiB * GiB
"""The last release that tells a limit takes LUNs of this size (sheet, 6), in whole GiB."""
_MAX_LUN = 4095


def open_driver(options: OntapOptions, name: str) -> OntapDriver | OntapFilesDriver:
    """Return a driver for what volumes are to be; nothing is sent before the first operation."""
    client = OntapClient(options, name)
    return OntapFilesDriver(client, options) if options.volumes == "files" else OntapDriver(client, options)


class OntapDriver(Driver):
    """One SVM of an ONTAP cluster."""

    def __init__(self, client: OntapClient, options: OntapOptions) -> None:
        self._client = client
        self._pools = Pools(client, options)
        self._luns = Luns(client, self._pools)
        self._lifs = Lifs(client, options)
        self._hosts = Hosts(client, options.portset)
        self._exports = Exports(client, self._luns, self._hosts, self._lifs)
        self._copies = Copies(client, self._luns, self._pools)
        self._moments = Moments(client, self._pools)
        self._groups = LunGroups(client, self._luns, self._moments)
        self._cluster = Cluster(client)

    @property
    def capabilities(self) -> Capabilities:
        """What these nodes can do; they are asked once whether they are all flash, which lower limits of QoS need."""
        return Capabilities(
            protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
            description_bytes=objects.DESCRIPTION_LENGTH,
            max_size=_MAX_LUN_SIZE,
            thick=True,
            revert=True,
            qos=qos.support(all_flash=self._cluster.is_all_flash),
            manage=True,
            migrate=True,
            group_snapshots=True,
            export_snapshots=True,
            chap=ChapRules(),
            max_lun=_MAX_LUN,
            notes=("A volume with snapshots is not moved to another FlexVol: they would stay behind.",),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # The array

    def system(self) -> SystemFacts:
        """GET cluster/nodes (sheet, 3.1)."""
        return self._cluster.system()

    def licences(self) -> Mapping[str, bool]:
        """GET cluster/licensing/licenses; an account of the SVM is told none."""
        return self._cluster.licences()

    def pools(self) -> Sequence[Pool]:
        """GET storage/volumes, and storage/luns for what was promised (sheet, 3.1)."""
        return self._pools.read(self._pools.promised_to_luns())

    def ports(self) -> Sequence[Port]:
        """GET network/ip/interfaces and network/fc/interfaces (sheet, 3.5)."""
        return [*self._lifs.read(Protocol.ISCSI), *self._lifs.read(Protocol.FC)]

    def initiators(self) -> Sequence[InitiatorFacts]:
        """GET protocols/san/igroups, and who is logged in (sheet, 3.4 and 3.5)."""
        return self._hosts.initiators(self._exports.logged_in())

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """POST storage/luns (sheet, 3.2)."""
        return self._luns.create(spec)

    def get_volume(self, name: str) -> Volume:
        """GET storage/luns by name."""
        return self._luns.volume(name)

    def list_volumes(self) -> Iterable[Volume]:
        """GET storage/luns, page by page."""
        return self._luns.volumes()

    def extend_volume(self, volume: Volume, size: int) -> None:
        """PATCH storage/luns/{uuid}; the size sent is the new total."""
        self._luns.grow(volume, size)

    def delete_volume(self, volume: Volume) -> None:
        """DELETE storage/luns/{uuid}, which the array refuses while it is mapped; its QoS policy goes first."""
        if volume.qos_id is not None:
            self._policies.release(volume)
        self._luns.remove(volume.id)

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """POST storage/luns with ``clone``, or with ``copy`` into another FlexVol; neither needs a helper (sheet, 3.2 and 3.3)."""
        return self._copies.make(source, spec)

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Nothing is to be done: deleting the target ends its copy (sheet, 3.2)."""

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """POST storage/luns with ``clone`` (sheet, 3.3)."""
        return self._luns.take(spec)

    def get_snapshot(self, name: str) -> Snapshot:
        """GET storage/luns by the beginning of the name."""
        return self._luns.snapshot(name)

    def look_up_revert(self, volume: str, snapshot: str) -> tuple[Volume, Snapshot]:
        """GET storage/luns, one query for both."""
        return self._luns.both(volume, snapshot)

    def recall_snapshot(self, name: str) -> Snapshot:
        """Nothing is sent for a snapshot that was seen before: what follows names it by uuid."""
        return self._luns.recalled(name)

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """GET storage/luns, page by page."""
        return self._luns.snapshots(None if source is None else source.name)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """DELETE storage/luns by uuid and name."""
        self._luns.remove_snapshot(snapshot)

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """Clones out of one moment of the FlexVols (sheet, 3.8)."""
        return self._groups.take(specs)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """PATCH storage/luns/{uuid} with ``clone`` (sheet, 3.3)."""
        self._copies.revert(volume, snapshot)

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """POST protocols/san/lun-maps, after the host's igroup where that is not known (sheet, 3.4 to 3.6)."""
        return self._exports.export(source, host, host_name, protocol)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """DELETE protocols/san/lun-maps, by the names of LUN and igroup."""
        self._exports.unexport(source, host_name)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """GET protocols/san/lun-maps of the LUN, looked up by name."""
        return self._exports.listed(source)

    def remove_host(self, host_name: str) -> None:
        """DELETE protocols/san/igroups/{uuid}, after its initiators' CHAP credentials."""
        self._hosts.remove(host_name)

    # QoS, names, moves

    def set_qos(self, volume: Volume, qos: Qos, name: str) -> None:
        """POST storage/qos/policies, and put the LUN into it (sheet, 3.7)."""
        self._policies.apply(volume, qos, name)

    def get_qos(self, volume: Volume) -> Qos:
        """GET storage/qos/policies by the name that the LUN tells."""
        return self._policies.read(volume)

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """PATCH storage/luns/{uuid} (sheet, 3.2); its snapshots and its policy follow."""
        self._policies.rename(volume, name)
        return self._luns.rename_volume(volume, name, description)

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """PATCH storage/luns/{uuid} (sheet, 3.2)."""
        comment = objects.snapshot_comment(snapshot.source_id, description)
        self._luns.rename(snapshot.id, self._luns.pool_of(snapshot), Base(name, snapshot.source_name), comment)
        return replace(snapshot, name=name, description=description, snapshot_id=None, volume_id=None)

    def migrate_volume(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """PATCH storage/luns/{uuid} with a name in the other FlexVol; no helper is needed (sheet, 3.9)."""
        return self._copies.move(volume, spec)

    def leftovers(self) -> Iterable[Leftover]:
        """Unfinished clones, second LUNs of a name, helpers of group snapshots, policies without use: what bears our names."""
        return self._sweeper.find()

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them, looked up again by name."""
        self._sweeper.remove(leftover)

    # Parts

    @property
    def _policies(self) -> Policies:
        return Policies(self._client, qos.support(all_flash=self._cluster.is_all_flash).keys)

    @property
    def _sweeper(self) -> Sweeper:
        return Sweeper(self._luns, self._hosts, self._moments, self._policies)
