"""What cinder.conf names: one driver per protocol, for any array that this library drives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cinder import context as contexts
from cinder import interface, objects
from cinder.common import constants
from cinder.volume import volume_utils
from cinder.zonemanager import utils as zones

from blockdrivers.errors import NotFound
from blockdrivers.integrations.cinder import connections
from blockdrivers.integrations.cinder.connections import Connection, Connector
from blockdrivers.integrations.cinder.managing import Managing
from blockdrivers.integrations.cinder.options import NFS_OPTIONS, OPTIONS
from blockdrivers.model import Chap, Export, Host, Protocol


@interface.volumedriver
class ISCSIDriver(Managing):
    """Volumes over iSCSI, with every portal of the array and, where the section has use_chap_auth, with CHAP."""

    PROTOCOL = Protocol.ISCSI
    STORAGE_PROTOCOL = constants.ISCSI

    def _connection(self, export: Export) -> Connection:
        return connections.iscsi(export)

    def _chap(self) -> Chap | None:
        if not self.configuration.use_chap_auth:
            return None
        return Chap(self.configuration.chap_username, self.configuration.chap_password)


@interface.volumedriver
class FCDriver(Managing):
    """Volumes over Fibre Channel; with ``zoning_mode = fabric`` Cinder's zone manager makes and removes zones."""

    PROTOCOL = Protocol.FC
    STORAGE_PROTOCOL = constants.FC

    def _connect(self, identifier: str, cinder_id: str, connector: Connector, *, snapshot: bool) -> Connection:
        connection = super()._connect(identifier, cinder_id, connector, snapshot=snapshot)
        zones.add_fc_zone(connection)
        return connection

    def _connection(self, export: Export) -> Connection:
        return connections.fc(export)

    def _disconnect(self, identifier: str, hosts: Sequence[Host], *, snapshot: bool) -> None:
        zoned = self._zoned(identifier, hosts, snapshot=snapshot)
        super()._disconnect(identifier, hosts, snapshot=snapshot)
        for connection in zoned:
            zones.remove_fc_zone(connection)

    def _zoned(self, identifier: str, hosts: Sequence[Host], *, snapshot: bool) -> list[Connection]:
        """Return the connections whose zones nobody needs once these exports are gone."""
        if zones.create_zone_manager() is None:
            return []
        leaving = {host.name for host in hosts if self._attachments_at(host.name) <= 1}
        exports = self._paths(identifier, hosts, snapshot=snapshot)
        return [connections.fc(export) for export in exports if export.host in leaving]

    def _paths(self, identifier: str, hosts: Sequence[Host], *, snapshot: bool) -> Sequence[Export]:
        if not self._backend.capabilities.list_exports:
            return self._on_every_port(identifier, hosts)
        try:
            return self._backend.list_exports(identifier, snapshot=snapshot)
        except NotFound:
            return []

    def _on_every_port(self, identifier: str, hosts: Sequence[Host]) -> list[Export]:
        """Return exports as an array makes them that does not tell them: on each of its ports."""
        ports = tuple(port.address for port in self._backend.ports() if port.protocol is Protocol.FC)
        return [Export(identifier, host.name, Protocol.FC, wwpns=ports, paths=dict.fromkeys(host.wwpns, ports)) for host in hosts]

    def _attachments_at(self, host: str) -> int:
        """Return how many attachments of a host Cinder knows on this backend."""
        attachments = objects.VolumeAttachmentList.get_all_by_host(contexts.get_admin_context(), host)
        return sum(_service_of(attachment.volume) == (self.cluster_name or self.host) for attachment in attachments)


@interface.volumedriver
class NFSDriver(Managing):
    """Volumes as files of the array's NFS shares."""

    PROTOCOL = Protocol.NFS
    STORAGE_PROTOCOL = constants.NFS

    @staticmethod
    def get_driver_options() -> list[Any]:
        """Return the options of a backend's section."""
        return OPTIONS + NFS_OPTIONS

    def _connection(self, export: Export) -> Connection:
        settings = self.configuration
        return connections.nfs(export, settings.blockdrivers_mount_point_base, settings.blockdrivers_mount_options)


def _service_of(volume: Any) -> str:
    """Return the service, or cluster of services, that a volume belongs to."""
    return str(volume_utils.extract_host(volume.cluster_name or volume.host, "backend"))
