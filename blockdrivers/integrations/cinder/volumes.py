"""Cinder's calls for volumes, snapshots and connections in terms of `Backend`, and nothing else.

What Cinder calls a volume is on the array what `Backend` calls by the same id (``volume.name_id``, which differs from
``volume.id`` after a migration with a copy). Nothing is kept in Cinder's database but what Cinder keeps itself, so that every
member of a cluster of services, and one that was killed in the middle of a call, finds the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cinder import coordination, exception
from cinder.volume import driver, volume_utils

import blockdrivers
from blockdrivers.errors import NotFound, NotSupported
from blockdrivers.integrations.cinder import connections, kinds, stats
from blockdrivers.integrations.cinder.connections import Connection, Connector
from blockdrivers.integrations.cinder.detaching import Detachments
from blockdrivers.integrations.cinder.failures import as_cinder, busy_snapshot, busy_volume
from blockdrivers.integrations.cinder.options import OPTIONS
from blockdrivers.locks import LockProvider, ToozLocks
from blockdrivers.model import Chap, Export, GiB, Host, Protocol, SystemFacts
from blockdrivers.model import Volume as Present

_log = logging.getLogger(__name__)

Update = dict[str, Any]


class Volumes(driver.VolumeDriver):
    """The part that every back end of Cinder has."""

    VERSION = blockdrivers.__version__
    SUPPORTS_ACTIVE_ACTIVE = True
    PROTOCOL: ClassVar[Protocol]
    STORAGE_PROTOCOL: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(self.get_driver_options())
        self._backend: blockdrivers.Backend
        self._facts: SystemFacts
        self._detachments = Detachments()

    @staticmethod
    def get_driver_options() -> list[Any]:
        """Return the options of a backend's section."""
        return OPTIONS

    # Start and reports

    @as_cinder()
    def do_setup(self, context: Any) -> None:
        """Read the configuration; nothing is sent to the array."""
        path = self.configuration.blockdrivers_config
        if not path:
            raise exception.InvalidConfigurationValue(option="blockdrivers_config", value=path)
        self._backend = blockdrivers.open_backend(path, self.configuration.blockdrivers_backend, locks=self._lock_provider())

    def _lock_provider(self) -> LockProvider | None:
        """Share locks with the other services of a cluster; one service by itself has its own."""
        return ToozLocks(coordination.COORDINATOR.coordinator) if self.cluster_name else None

    @as_cinder()
    def check_for_setup_error(self) -> None:
        """Log in, and compare what the array has with what is asked of it."""
        self._facts = self._backend.system()
        if self.PROTOCOL not in self._backend.capabilities.protocols:
            raise NotSupported(f"{self._backend.name} does not serve {self.PROTOCOL.label}; use another driver of this module.")
        if missing := set(self.configuration.blockdrivers_pools) - {pool.name for pool in self._backend.pools()}:
            raise exception.InvalidConfigurationValue(option="blockdrivers_pools", value=", ".join(sorted(missing)))
        if self.configuration.use_chap_auth and not (self.configuration.chap_username and self.configuration.chap_password):
            raise exception.InvalidConfigurationValue(option="chap_password", value="***")

    def _update_volume_stats(self) -> None:
        try:
            with as_cinder():
                self._stats = self._current_stats()
        except exception.VolumeBackendAPIException as error:
            if not self._stats:
                raise
            _log.warning("%s gives no capacities, and is reported as down: %s", self._backend.name, error)
            down = {"backend_state": "down"}
            self._stats = self._stats | down | {"pools": [pool | down for pool in self._stats["pools"]]}

    def _current_stats(self) -> dict[str, Any]:
        common = {
            "location_info": stats.location(self._facts, self.PROTOCOL),
            "reserved_percentage": self.configuration.reserved_percentage,
            "max_over_subscription_ratio": self.configuration.max_over_subscription_ratio,
            "filter_function": self.get_filter_function(),
            "goodness_function": self.get_goodness_function(),
        }
        pools = [pool for pool in self._backend.pools() if self.uses(pool.name)]
        reports = [stats.of_pool(pool, self._backend.capabilities, common) for pool in pools]
        name = self.configuration.safe_get("volume_backend_name") or self._backend.name
        own = {"volume_backend_name": name, "driver_version": self.VERSION, "storage_protocol": self.STORAGE_PROTOCOL}
        return stats.of_backend(self._facts, reports, common | own)

    def uses(self, pool: str) -> bool:
        """Tell whether this backend's section of cinder.conf lets it use a pool."""
        return not self.configuration.blockdrivers_pools or pool in self.configuration.blockdrivers_pools

    def _init_vendor_properties(self) -> tuple[dict[str, Any], str]:
        return kinds.describe(self._backend.capabilities), kinds.PREFIX

    def get_pool(self, volume: Any) -> str:
        """Return the name of the pool that a volume is in, as the array tells."""
        with as_cinder():
            return self._backend.get_volume(volume.name_id).pool

    # Volumes

    @as_cinder()
    def create_volume(self, volume: Any) -> None:
        """Make an empty volume, with the provisioning and limits of its type."""
        self._backend.create_volume(
            volume.name_id, volume.size * GiB, pool_of(volume.host), thin=thin_of(volume), qos=kinds.limits(volume.volume_type_id)
        )

    @as_cinder()
    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        """Make an independent copy of a volume."""
        size, pool = volume.size * GiB, pool_of(volume.host)
        self._backend.clone_volume(volume.name_id, src_vref.name_id, size=size, pool=pool, thin=thin_of(volume))
        self.limit_new(volume)

    @as_cinder()
    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        """Make an independent volume with the bytes of a snapshot."""
        size, pool = volume.size * GiB, pool_of(volume.host)
        self._backend.create_volume_from_snapshot(
            volume.name_id, snapshot.id, size=size, pool=pool, thin=thin_of(volume), of_volume=snapshot.volume.name_id
        )
        self.limit_new(volume)

    def limit_new(self, volume: Any) -> None:
        """Put the limits of its type on a volume that has none yet."""
        if (qos := kinds.limits(volume.volume_type_id)) is not None:
            self._backend.set_qos(volume.name_id, qos)

    @as_cinder()
    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Grow a volume, attached or not."""
        self._backend.extend_volume(volume.name_id, new_size * GiB)

    @as_cinder()
    def delete_volume(self, volume: Any) -> None:
        """Delete a volume; one that is exported on the array, whatever Cinder knows of it, is busy and stays."""
        with busy_volume(volume.name):
            self._backend.delete_volume(volume.name_id)

    @as_cinder()
    def create_snapshot(self, snapshot: Any) -> None:
        """Take a snapshot of a volume, attached or not."""
        self._backend.create_snapshot(snapshot.id, snapshot.volume.name_id)

    @as_cinder()
    def delete_snapshot(self, snapshot: Any) -> None:
        """Delete a snapshot."""
        with busy_snapshot(snapshot.name):
            self._backend.delete_snapshot(snapshot.id, of_volume=snapshot.volume.name_id)

    @as_cinder()
    def revert_to_snapshot(self, context: Any, volume: Any, snapshot: Any) -> None:
        """Put a volume back to a snapshot on the array; where that cannot, Cinder copies the bytes itself."""
        if not self._backend.capabilities.revert:
            raise NotImplementedError
        self._backend.revert_volume(volume.name_id, snapshot.id)

    def snapshot_revert_use_temp_snapshot(self) -> bool:
        """Tell whether Cinder may take a snapshot before it reverts: an array may revert to the newest one only."""
        with as_cinder():
            capabilities = self._backend.capabilities
        return not capabilities.revert or capabilities.revert_to_any

    # Moves

    @as_cinder()
    def retype(self, context: Any, volume: Any, new_type: Any, diff: Mapping[str, Any], host: Mapping[str, Any]) -> bool:
        """Give a volume another type in place: pool, provisioning and limits; False lets Cinder make a new volume and copy."""
        specs = diff.get("extra_specs") or {}
        if specs.get("replication_enabled"):
            return False
        pool = pool_of(host["host"])
        thin = kinds.thin(new_type.extra_specs or {}) if kinds.PROVISIONING in specs else None
        present = self._backend.get_volume(volume.name_id)
        if (pool, present.thin if thin is None else thin) != (present.pool, present.thin):
            if not self._moves(present, pool):
                return False
            self._backend.retype_volume(volume.name_id, pool=pool, thin=thin)
        qos = kinds.limits(new_type.id)
        if diff.get("qos_specs") and (qos is not None or self._backend.capabilities.qos is not None):
            self._backend.set_qos(volume.name_id, qos)
        return True

    @as_cinder()
    def migrate_volume(self, context: Any, volume: Any, host: Mapping[str, Any]) -> tuple[bool, Update | None]:
        """Let the array move a volume to another of its pools; False lets Cinder copy."""
        there = host["capabilities"].get("location_info")
        pool = pool_of(host["host"])
        if there != stats.location(self._facts, self.PROTOCOL) or not self._moves(self._backend.get_volume(volume.name_id), pool):
            return False, None
        self._backend.retype_volume(volume.name_id, pool=pool)
        return True, None

    def _moves(self, present: Present, pool: str) -> bool:
        """Tell whether the array moves a volume as it is now: some can only while nothing hangs on it."""
        capabilities = self._backend.capabilities
        free = capabilities.migrate_in_use or pool == present.pool or not present.dependants
        return capabilities.migrate and free

    def update_migrated_volume(self, context: Any, volume: Any, new_volume: Any, original_volume_status: str) -> Update:
        """Go on under the array-side name of the copy: from then on `name_id` says which one it is."""
        return {"_name_id": new_volume.name_id, "provider_location": None}

    # Connections

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Do nothing: the array keeps its exports by itself."""

    def create_export(self, context: Any, volume: Any, connector: Connector) -> None:
        """Do nothing: `initialize_connection` exports."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """Do nothing: `terminate_connection` takes the volume away."""

    def create_export_snapshot(self, context: Any, snapshot: Any, connector: Connector) -> None:
        """Do nothing: `initialize_connection_snapshot` exports."""

    def remove_export_snapshot(self, context: Any, snapshot: Any) -> None:
        """Do nothing: `terminate_connection_snapshot` takes the snapshot away."""

    def validate_connector(self, connector: Connector) -> None:
        """Refuse a connector without what this protocol needs."""
        for needed in ("host", connections.MISSING.get(self.PROTOCOL)):
            if needed and not connector.get(needed):
                raise exception.InvalidConnectorException(missing=needed)

    @as_cinder()
    def initialize_connection(self, volume: Any, connector: Connector, **_: Any) -> Connection:
        """Export a volume to a host."""
        return self._connect(volume.name_id, volume.id, connector, snapshot=False)

    @as_cinder()
    def initialize_connection_snapshot(self, snapshot: Any, connector: Connector, **_: Any) -> Connection:
        """Export a snapshot to a host."""
        return self._connect(snapshot.id, snapshot.id, connector, snapshot=True)

    @as_cinder()
    def terminate_connection(self, volume: Any, connector: Connector | None, **_: Any) -> bool:
        """Take a volume away from a host, or from all; True where another attachment of that host still needs it."""
        if connector is not None and not self._detachments.is_last(volume.id, connector["host"]):
            return True
        hosts = self._users(volume) if connector is None else [connections.host_of(connector)]
        self._disconnect(volume.name_id, hosts, snapshot=False)
        return False

    @as_cinder()
    def terminate_connection_snapshot(self, snapshot: Any, connector: Connector | None, **_: Any) -> None:
        """Take a snapshot away from a host, or from all."""
        hosts = self._exported_to(snapshot.id, snapshot=True) if connector is None else [connections.host_of(connector)]
        self._disconnect(snapshot.id, hosts, snapshot=True)

    def _connect(self, identifier: str, cinder_id: str, connector: Connector, *, snapshot: bool) -> Connection:
        self.validate_connector(connector)
        host = connections.host_of(connector, self._chap())
        connection = self._connection(self._backend.export(identifier, host, self.PROTOCOL, snapshot=snapshot))
        connection["data"]["volume_id"] = cinder_id
        return connection

    def _disconnect(self, identifier: str, hosts: Sequence[Host], *, snapshot: bool) -> None:
        for host in hosts:
            self._backend.unexport(identifier, host, self.PROTOCOL, snapshot=snapshot)

    def _users(self, volume: Any) -> list[Host]:
        """Return every host that uses a volume, as the array tells it, or where it cannot, as Cinder has recorded it."""
        if self._backend.capabilities.list_exports:
            return self._exported_to(volume.name_id, snapshot=False)
        recorded = (attachment.connector for attachment in volume.volume_attachment or ())
        return [connections.host_of(connector) for connector in recorded if connector]

    def _exported_to(self, identifier: str, *, snapshot: bool) -> list[Host]:
        try:
            exports = self._backend.list_exports(identifier, snapshot=snapshot)
        except NotFound:
            return []
        return [Host(name) for name in dict.fromkeys(export.host for export in exports if export.protocol is self.PROTOCOL)]

    def _connection(self, export: Export) -> Connection:
        raise NotImplementedError

    def _chap(self) -> Chap | None:
        return None


def pool_of(host: str) -> str:
    """Return the pool in ``host@backend#pool``."""
    return str(volume_utils.extract_host(host, "pool"))


def thin_of(volume: Any) -> bool | None:
    """Return the provisioning that a volume's type asks for; None leaves it to the array."""
    kind = volume.volume_type
    return kinds.thin((kind.extra_specs if kind else None) or {})
