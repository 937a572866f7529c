"""The driver contract in terms of the OceanStor REST interface.

Source of every request: the protocol sheet huawei-oceanstor, sections 3.1 to 3.11. Where the sheet is silent: reverting to a snapshot
of another size is taken as impossible; see also `vendors.huawei.refusals` and `vendors.huawei.exports`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from blockdrivers.driver import Capabilities, ChapRules, Driver, SnapshotSpec, Source, VolumeSpec
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
from vendors.huawei import objects
from vendors.huawei.client import OceanStorClient
from vendors.huawei.clones import Clones
from vendors.huawei.exports import Exports
from vendors.huawei.facts import Facts
from vendors.huawei.generations import Generation
from vendors.huawei.luns import Luns
from vendors.huawei.options import OceanStorOptions
from vendors.huawei.qos import Policies
from vendors.huawei.snapshots import Snapshots
from vendors.huawei.sweeper import Sweeper

_MAX_HOST_LUN_ID = 511


def open_driver(options: OceanStorOptions, name: str) -> OceanStorDriver:
    """Return a driver; nothing is sent before the first operation."""
    return OceanStorDriver(OceanStorClient(options, name), options)


class OceanStorDriver(Driver):
    """One OceanStor array."""

    def __init__(self, client: OceanStorClient, options: OceanStorOptions) -> None:
        self._client = client
        self._facts = Facts(client)
        self._policies = Policies(client, self._facts)
        self._luns = Luns(client, self._facts, self._policies)
        self._snapshots = Snapshots(client, self._facts, self._luns, options)
        self._clones = Clones(client, self._facts, self._luns, self._snapshots, options)
        self._exports = Exports(client, self._facts, self._luns, self._snapshots, options)

    @property
    def generation(self) -> Generation:
        """The array's generation; asked once."""
        return self._facts.generation

    @property
    def capabilities(self) -> Capabilities:
        """What this generation can do."""
        generation = self.generation
        return Capabilities(
            protocols=frozenset({Protocol.FC, Protocol.ISCSI}),
            description_bytes=objects.DESCRIPTION_LENGTH,
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
        return self._facts.licences()

    def pools(self) -> Sequence[Pool]:
        """GET storagepool (sheet, 3.2)."""
        return self._facts.read_pools()

    def ports(self) -> Sequence[Port]:
        """GET iscsi_tgt_port and fc_port (sheet, 3.6, targets)."""
        return [*self._facts.read_iscsi_ports(), *self._facts.read_fc_ports()]

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
        return self._luns.create(spec, spec.size, spec.description)

    def get_volume(self, name: str) -> Volume:
        """GET lun by name."""
        return self._luns.get(name)

    def list_volumes(self) -> Iterable[Volume]:
        """GET lun, page by page."""
        return self._luns.every()

    def extend_volume(self, volume: Volume, size: int) -> None:
        """PUT lun/expand (sheet, 3.3)."""
        self._luns.extend(volume, size)

    def delete_volume(self, volume: Volume) -> None:
        """DELETE lun, after its QoS policy (sheet, 3.3 and trap 14)."""
        self._luns.delete(volume)

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Full copy from a snapshot, made for the purpose where the source is a LUN (sheet, 3.5)."""
        return self._clones.clone(source, spec, temporary)

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Stop the copy onto a LUN and remove what was made for it."""
        self._clones.abandon(volume, temporary)

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """POST snapshot, POST snapshot/activate (sheet, 3.4)."""
        return self._snapshots.create(spec)

    def get_snapshot(self, name: str) -> Snapshot:
        """GET snapshot by name."""
        return self._snapshots.get(name)

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """GET snapshot, page by page."""
        return self._snapshots.every(source)

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """PUT snapshot/stop, DELETE snapshot (sheet, 3.4)."""
        self._snapshots.delete(snapshot)

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """One POST snapshot each and one activation of them all: one point in time (sheet, 3.4)."""
        return self._snapshots.create_group(specs)

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """PUT snapshot/rollback and wait until the snapshot is active again (sheet, 3.4)."""
        self._snapshots.revert(volume, snapshot)

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Host, initiators, mapping, and the LUN id as the host sees it (sheet, 3.6 to 3.8)."""
        return self._exports.export(source, host, host_name, protocol)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """Take the LUN, looked up by name, out of what the host sees."""
        self._exports.unexport(source, host_name)

    def list_exports(self, source: Source) -> Sequence[Export]:
        """Every host that sees the LUN, with its LUN id there."""
        return self._exports.of(source)

    def remove_host(self, host_name: str) -> None:
        """Remove the host object and the groups and view around it."""
        self._exports.remove_host(host_name)

    # QoS, names, moves

    def set_qos(self, volume: Volume, qos: Qos, name: str) -> None:
        """POST ioclass: a policy of the volume's own (sheet, 3.9)."""
        self._policies.apply(volume, qos, name)

    def get_qos(self, volume: Volume) -> Qos:
        """GET ioclass by the LUN's IOCLASSID."""
        return self._policies.read(volume)

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """PUT lun (sheet, 3.3)."""
        return self._luns.rename(volume, name, description)

    def rename_snapshot(self, snapshot: Snapshot, name: str, description: str) -> Snapshot:
        """PUT snapshot (sheet, 3.4), and activate one that holds no point in time yet."""
        return self._snapshots.rename(snapshot, name, description)

    def migrate_volume(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """LUN migration onto a helper LUN in the new pool (sheet, 3.5); the LUN's id and WWN stay."""
        return self._clones.migrate(volume, spec, temporary)

    def leftovers(self) -> Iterable[Leftover]:
        """Helpers, unfinished clones, inactive snapshots, hosts and policies without use: only what bears our names."""
        return self._sweeper.find()

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them, looked up again by name."""
        self._sweeper.remove(leftover)

    @property
    def _sweeper(self) -> Sweeper:
        return Sweeper(self, self._exports.mapping, self._clones.copies, self._clones.migration, self._policies)
