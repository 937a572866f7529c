"""The driver contract in terms of ONTAP's REST API, for volumes that are files over NFS.

Source of every request: the protocol sheet netapp-ontap-rest, sections 3.1, 3.7 and 3.10. How volumes, snapshots and exports are
named in a FlexVol: `blockdrivers.files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from blockdrivers.driver import Capabilities, NameRules, SnapshotSpec
from blockdrivers.errors import NotFound, StaleReference
from blockdrivers.files import FilesDriver
from blockdrivers.model import GiB, Leftover, Pool, Port, Protocol, Qos, Snapshot, SystemFacts, Volume
from blockdrivers.naming import Kind, kind_of
from vendors.netapp import qos
from vendors.netapp.client import OntapClient
from vendors.netapp.cluster import Cluster
from vendors.netapp.filegroups import FileGroups
from vendors.netapp.moments import Moments
from vendors.netapp.options import OntapOptions
from vendors.netapp.pools import Pools
from vendors.netapp.qos import Policies
from vendors.netapp.shares import OntapShares

_NAMES = NameRules(volume=64, snapshot=64, host=64)
"""A file name has room for two of them, and 255 bytes."""
_MAX_FILE_SIZE = 17_555_678_822_400 // GiB * GiB


class OntapFilesDriver(FilesDriver):
    """One SVM of an ONTAP cluster, by its NFS exports."""

    def __init__(self, client: OntapClient, options: OntapOptions) -> None:
        self._client = client
        self._options = options
        self._cluster = Cluster(client)
        self._pools = Pools(client, options)
        self._shares = OntapShares(client, options, self._pools)
        super().__init__(self._shares)
        self._moments = Moments(client, self._pools)
        self._groups = FileGroups(self._moments, self._shares, self._take_snapshot)

    @property
    def capabilities(self) -> Capabilities:
        """What files can do; see `OntapDriver.capabilities` for QoS."""
        return Capabilities(
            protocols=frozenset({Protocol.NFS}),
            names=_NAMES,
            max_size=_MAX_FILE_SIZE,
            thick=True,
            revert=True,
            qos=qos.support(all_flash=self._cluster.is_all_flash),
            manage=True,
            migrate=True,
            migrate_in_use=False,
            group_snapshots=True,
            serial_snapshots=True,
            export_rules=self._options.export_rules,
            file_format="raw",
            notes=(
                "Whoever may mount a FlexVol reaches every file of it: exports say who uses a volume, export rules who may mount.",
                "Volumes whose id is neither a UUID nor plain lower-case text are listed without it: a file has no description.",
            ),
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
        """GET storage/volumes, and each one's files for what was promised."""
        promised = self._shares.promised()
        return [pool for pool in self._pools.read(promised) if pool.name in self._shares.pools()]

    def ports(self) -> Sequence[Port]:
        """GET network/ip/interfaces (sheet, 3.10)."""
        return [Port(ip, Protocol.NFS, ip, controller=node) for ip, node in self._shares.lifs()]

    # What a file of this array can do besides

    def set_qos(self, volume: Volume, qos: Qos, name: str) -> None:
        """POST storage/qos/policies, and put the file into it (sheet, 3.7)."""
        with self._places.there(volume):
            self._policies.apply(volume, qos, name)

    def get_qos(self, volume: Volume) -> Qos:
        """GET storage/qos/policies by the name that the file tells."""
        return self._policies.read(volume)

    def create_group_snapshot(self, specs: Sequence[SnapshotSpec]) -> Sequence[Snapshot]:
        """Clones out of one moment of the FlexVols (sheet, 3.8 and 3.10)."""
        try:
            return [self._snapshot(taken) for taken in self._groups.take(specs)]
        except NotFound as gone:
            # Where a volume has gone for good, the look says which.
            for spec in specs:
                self._places.find(spec.source.name)
            raise StaleReference("A volume of the group was away for a moment.") from gone

    def _before_removal(self, volume: Volume) -> Callable[[], None]:
        """DELETE a policy of the volume's name, also one that a cut-off call has taken the file out of."""
        if volume.qos_id != volume.name:
            return super()._before_removal(volume)
        limits = self._policies.read(volume)
        self._policies.delete(volume.name)

        def undo() -> None:
            try:
                self.set_qos(replace(volume, qos_id=None), limits, volume.name)
            except NotFound:
                self._policies.delete(volume.name)

        return undo

    def rename_volume(self, volume: Volume, name: str, description: str) -> Volume:
        """PATCH the path; a file that is renamed is out of its policy (sheet, trap 9), and is put into it again."""
        self._policies.rename(volume, name)
        renamed = super().rename_volume(volume, name, description)
        if volume.qos_id is None:
            return renamed
        policy = name if volume.qos_id == volume.name else volume.qos_id
        self._shares.assign(renamed.pool, name, policy)
        return replace(renamed, qos_id=policy)

    def leftovers(self) -> Iterable[Leftover]:
        """Add what group snapshots left, and policies without a file."""
        yield from super().leftovers()
        yield from self._moments.leftovers()
        for name in self._policies.empty():
            if kind_of(name) is Kind.VOLUME:
                yield Leftover("qos", name, name, "A QoS policy without a volume.")

    def remove_leftover(self, leftover: Leftover) -> None:
        """Remove one of them where it still is one."""
        if leftover.kind == "qos":
            if leftover.name in self._policies.empty():
                self._policies.delete(leftover.name)
        elif leftover.kind in {"group", "snapshot"}:
            self._moments.remove(leftover)
        else:
            super().remove_leftover(leftover)

    @property
    def _policies(self) -> Policies:
        keys = qos.support(all_flash=self._cluster.is_all_flash).keys
        return Policies(self._client, keys, lambda volume, policy: self._shares.assign(volume.pool, volume.name, policy))
