"""The driver as the other side asks for it: Cinder's order of calls around each operation, recorded and locked as Cinder does it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from cinder import context, coordination, version
from oslo_config import cfg
from oslo_log import log

from . import declared, opening
from .records import NotRecorded, Records

_GIB = 1024**3
_HALFWAY = frozenset({"attaching", "error_detaching"})
"""States of a connection that could not be made, or not be ended."""
_QUIET = ("eventlet", "stevedore", "oslo", "sqlalchemy", "alembic", "urllib3", "paramiko")

_LOG = logging.getLogger("bridge")

Plain = dict[str, Any]


class Taken(Exception):
    """The name has a complete object already."""


class InTheWay(Exception):
    """Something hangs on the object."""


class NoPool(Exception):
    """The backend has no pool of that name."""


class Bridged:
    """One driver, opened by its first use; methods may be called by many threads."""

    def __init__(self, forwarder: Callable[[Callable[[str], str]], logging.Handler]) -> None:
        self._forwarder = forwarder
        self._opening = threading.Lock()
        self._settings: Plain = {}
        self._secrets: list[str] = []
        self._section = ""
        self._configured = False
        self._driver: Any = None
        self._records: Any = None
        self._stats: Plain = {}

    # Serving

    def call(self, method: str, arguments: Plain) -> Any:
        """Carry out one request."""
        if method == "configure":
            self._settings = arguments
            return None
        # As for each message to a service of Cinder's; drivers ask their thread which request it is about.
        context.RequestContext(is_admin=True, overwrite=True)
        self._open()
        return getattr(self, f"do_{method}")(**arguments)

    def masked(self, text: str) -> str:
        """Return a text without any secret of the configuration."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def end(self) -> None:
        """Give up the locks; what else a driver holds ends with its process."""
        if self._configured:
            coordination.COORDINATOR.stop()

    def _open(self) -> None:
        with self._opening:
            if self._driver is not None:
                return
            if not self._configured:
                self._secrets = opening.secrets(self._settings)
                self._section = opening.configure(self._settings)
                self._log()
                opening.start()
                self._records = Records(self._settings["folder"], self._settings["extra_specs"])
                self._configured = True
            driver = opening.open_driver(self._settings, self._section)
            self._stats = driver.get_volume_stats(refresh=True) or {}
            self._driver = driver

    def _log(self) -> None:
        log.setup(cfg.CONF, "cinder")
        root = logging.getLogger()
        root.handlers[:] = [self._forwarder(self.masked)]
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)

    # The array

    def do_capabilities(self) -> Plain:
        """Return what the driver declares, and who it is."""
        kind = type(self._driver)
        return {
            **declared.capabilities(self._driver, self._stats),
            "class": f"{kind.__module__}.{kind.__name__}",
            "driver_version": str(self._stats.get("driver_version") or self._driver.get_version()),
            "cinder": version.version_string(),
        }

    def do_system(self) -> Plain:
        """Ask the driver for its statistics, and return what they say of the array."""
        self._refresh()
        said = {key: self._stats.get(key) for key in ("vendor_name", "volume_backend_name", "storage_protocol", "driver_version")}
        return {key: str(value) for key, value in said.items() if value}

    def do_pools(self) -> list[Plain]:
        """Return every pool with its capacity in bytes; None where the driver does not tell a number."""
        self._refresh()
        return [
            {
                "name": str(pool["pool_name"]),
                "total": _bytes(pool.get("total_capacity_gb")),
                "free": _bytes(pool.get("free_capacity_gb")),
                "provisioned": _bytes(pool.get("provisioned_capacity_gb")),
            }
            for pool in declared.pools(self._stats)
        ]

    def _refresh(self) -> None:
        self._stats = self._driver.get_volume_stats(refresh=True) or {}

    def _pool(self, name: str) -> Plain:
        for _ in range(2):
            found = next((pool for pool in declared.pools(self._stats) if str(pool["pool_name"]) == name), None)
            if found is not None:
                return found
            self._refresh()
        known = ", ".join(str(pool["pool_name"]) for pool in declared.pools(self._stats))
        raise NoPool(f"There is no pool {name!r}; the backend has {known}.")

    def _host(self, pool: str) -> str:
        self._pool(pool)
        return f"blockdrivers@{self._section}#{pool}"

    # Volumes

    def do_create_volume(self, volume: Plain, spec: Plain) -> Plain:
        """Make an empty volume."""
        with self._alone(volumes=[volume]):
            return self._make(volume, spec, self._driver.create_volume)

    def do_clone_volume(self, volume: Plain, spec: Plain, source: Plain) -> Plain:
        """Make a volume with another one's bytes."""
        with self._alone(volumes=[volume, source]):
            origin = self._volume(source)
            return self._make(
                volume, spec, lambda record: self._driver.create_cloned_volume(record, origin), source_volid=origin.id
            )

    def do_clone_snapshot(self, volume: Plain, spec: Plain, source: Plain) -> Plain:
        """Make a volume with a snapshot's bytes."""
        with self._alone(volumes=[volume], snapshots=[source]):
            origin = self._snapshot(source)
            return self._make(
                volume, spec, lambda record: self._driver.create_volume_from_snapshot(record, origin), snapshot_id=origin.id
            )

    def _make(self, volume: Plain, spec: Plain, make: Callable[[Any], Any], **source: str) -> Plain:
        host = self._host(spec["pool"])
        volume_id = self._records.id_of(**volume)
        self._clear_unfinished_volume(volume_id, spec["name"])
        record = self._records.add_volume(volume_id, spec, host, **source)
        _update(record, make(record))
        _update(record, {"status": "available"})
        return self._plain_volume(record)

    def _clear_unfinished_volume(self, volume_id: str, name: str) -> None:
        """Remove what a call that failed or was cut off has left of a volume, in Cinder's way: it is deleted."""
        try:
            record = self._records.volume(volume_id)
        except NotRecorded:
            return
        if record.status == "available":
            raise Taken(f"There is a volume {name!r}.")
        self._driver.delete_volume(record)
        self._records.drop_volume(volume_id)

    def do_get_volume(self, volume: Plain) -> Plain:
        """Return a volume as it is recorded."""
        return self._plain_volume(self._volume(volume))

    def do_extend_volume(self, volume: Plain, size: int) -> None:
        """Grow a volume."""
        with self._alone(volumes=[volume]):
            record = self._volume(volume)
            gigabytes = size // _GIB
            if record.size < gigabytes:
                self._driver.extend_volume(record, gigabytes)
                _update(record, {"size": gigabytes})

    def do_delete_volume(self, volume: Plain) -> None:
        """Delete a volume."""
        with self._alone(volumes=[volume]):
            record = self._volume(volume)
            self._driver.remove_export(self._records.context, record)
            self._driver.delete_volume(record)
            self._records.drop_volume(record.id)

    def _volume(self, volume: Plain) -> Any:
        try:
            return self._records.volume(self._records.id_of(**volume))
        except NotRecorded:
            raise NotRecorded(f"There is no volume {volume['name']!r}.") from None

    def _plain_volume(self, record: Any) -> Plain:
        hanging = [
            *(["snapshot"] if self._records.snapshots_of(record.id) else []),
            *(["export"] if self._records.attachments(record.id) else []),
        ]
        unfinished = "copying" if record.source_volid or record.snapshot_id else "busy"
        return {
            "id": record.id,
            "name": record.display_name,
            "size": record.size * _GIB,
            "pool": record.host.partition("#")[2],
            "description": record.display_description or "",
            "state": "ready" if record.status == "available" else unfinished,
            "dependants": hanging,
        }

    # Snapshots

    def do_create_snapshot(self, snapshot: Plain, source: Plain, spec: Plain) -> Plain:
        """Take a snapshot."""
        snapshot_id = self._records.id_of(**snapshot)
        with self._alone(volumes=[source], snapshots=[snapshot]):
            origin = self._volume(source)
            self._clear_unfinished_snapshot(snapshot_id, spec["name"])
            record = self._records.add_snapshot(snapshot_id, origin, spec)
            _update(record, self._driver.create_snapshot(record))
            _update(record, {"status": "available", "progress": "100%"})
            return self._plain_snapshot(record)

    def _clear_unfinished_snapshot(self, snapshot_id: str, name: str) -> None:
        try:
            record = self._records.snapshot(snapshot_id)
        except NotRecorded:
            return
        if record.status == "available":
            raise Taken(f"There is a snapshot {name!r}.")
        self._driver.delete_snapshot(record)
        self._records.drop_snapshot(snapshot_id)

    def do_get_snapshot(self, snapshot: Plain) -> Plain:
        """Return a snapshot as it is recorded."""
        return self._plain_snapshot(self._snapshot(snapshot))

    def do_delete_snapshot(self, snapshot: Plain) -> None:
        """Delete a snapshot."""
        with self._alone(snapshots=[snapshot]):
            record = self._snapshot(snapshot)
            self._driver.delete_snapshot(record)
            self._records.drop_snapshot(record.id)

    def do_revert_volume(self, volume: Plain, snapshot: Plain) -> None:
        """Put a volume back to its newest snapshot; Cinder asks no driver for an older one."""
        with self._alone(volumes=[volume]):
            record, origin = self._volume(volume), self._snapshot(snapshot)
            newest = self._records.snapshots_of(record.id)[-1]
            if newest.id != origin.id:
                raise InTheWay(
                    f"{origin.display_name!r} is not the newest snapshot of {record.display_name!r}, and Cinder's drivers revert "
                    f"to no other; delete {newest.display_name!r} first."
                )
            self._driver.revert_to_snapshot(self._records.context, record, origin)

    def _snapshot(self, snapshot: Plain) -> Any:
        try:
            return self._records.snapshot(self._records.id_of(**snapshot))
        except NotRecorded:
            raise NotRecorded(f"There is no snapshot {snapshot['name']!r}.") from None

    def _plain_snapshot(self, record: Any) -> Plain:
        attached = self._records.attached_as(record.id, snapshot=True)
        return {
            "id": record.id,
            "name": record.display_name,
            "size": record.volume_size * _GIB,
            "source_id": record.volume_id,
            "source_name": self._records.volume(record.volume_id).display_name,
            "description": record.display_description or "",
            "ready": record.status == "available",
            "exported": bool(self._records.attachments(attached)),
        }

    # Exports

    def do_export(self, source: Plain, snapshot: bool, host: str, connector: Plain) -> Plain:
        """Connect a host: Cinder's calls around an attachment, and its records before and after."""
        with self._exported(source, snapshot) as (record, attached):
            self._driver.validate_connector(connector)
            attachment = self._records.attach(attached, host)
            # A call that fails is undone with what it was made with.
            attachment.connector = connector
            attachment.save()
            try:
                told = self._connect(record, connector, snapshot=snapshot)
            except NotImplementedError:
                self._records.detach(attachment)
                raise
            connection: Plain = json.loads(json.dumps(told, default=str))
            attachment.connection_info = connection
            attachment.attach_status = "attached"
            attachment.save()
            return connection

    def _connect(self, record: Any, connector: Plain, *, snapshot: bool) -> Any:
        admin = self._records.context
        if snapshot:
            _update(record, self._driver.create_export_snapshot(admin, record, connector))
            return self._driver.initialize_connection_snapshot(record, connector)
        _update(record, self._driver.create_export(admin, record, connector))
        return self._driver.initialize_connection(record, connector)

    def do_unexport(self, source: Plain, snapshot: bool, host: str, connector: Plain) -> None:
        """Disconnect a host."""
        with self._exported(source, snapshot) as (record, attached):
            found = self._records.attachments(attached)
            mine = next((attachment for attachment in found if attachment.attached_host == host), None)
            if mine is None:
                raise NotRecorded(f"{record.display_name!r} is not exported to {host!r}.")
            self._disconnect(record, mine, mine.connector or connector, snapshot=snapshot)
            self._records.detach(mine)
            if len(found) == 1:
                remove = self._driver.remove_export_snapshot if snapshot else self._driver.remove_export
                remove(self._records.context, record)

    def _disconnect(self, record: Any, attachment: Any, connector: Plain, *, snapshot: bool) -> None:
        """Ask the driver to disconnect a host.

        Cinder asks no driver to end a connection that could not be made. Here it is asked, as the array may have part of it; that it has
        nothing of it is no failure then, nor after an end that has failed half-way.
        """
        end = self._driver.terminate_connection_snapshot if snapshot else self._driver.terminate_connection
        try:
            end(record, connector, force=False)
        except Exception as error:
            if attachment.attach_status in _HALFWAY and _says_absent(error):
                _LOG.info("%s was not connected to %s: %s", record.display_name, attachment.attached_host, error)
                return
            if attachment.attach_status == "attached":
                _update(attachment, {"attach_status": "error_detaching"})
            raise

    def do_list_exports(self, source: Plain, snapshot: bool) -> list[Plain]:
        """Return the hosts that were connected, with what the driver said of each; None where that call was cut off."""
        record = self._snapshot(source) if snapshot else self._volume(source)
        attached = self._records.attached_as(record.id, snapshot=snapshot)
        return [
            {"host": attachment.attached_host, "connection": attachment.connection_info or None}
            for attachment in self._records.attachments(attached)
        ]

    @contextmanager
    def _exported(self, source: Plain, snapshot: bool) -> Iterator[Any]:
        with self._alone(**{"snapshots" if snapshot else "volumes": [source]}):
            record = self._snapshot(source) if snapshot else self._volume(source)
            yield record, self._records.attached_as(record.id, snapshot=snapshot)

    # Locks

    @contextmanager
    def _alone(self, **objects: list[Plain]) -> Iterator[None]:
        """Work on some objects alone among the threads and processes of this machine: Cinder's services see to that, not drivers."""
        names = {f"bridge-{kind}-{self._records.id_of(**known)}" for kind, every in objects.items() for known in every}
        with ExitStack() as held:
            for name in sorted(names):
                held.enter_context(coordination.COORDINATOR.get_lock(name))
            yield


def _update(record: Any, update: Plain | None) -> None:
    """Write down what a driver wants remembered of an object."""
    if update:
        record.update(update)
        record.save()


def _says_absent(error: Exception) -> bool:
    """Tell whether an exception says that something is not there: Cinder's own, or one of an array's client library."""
    return any(kind.__name__.endswith("NotFound") for kind in type(error).__mro__)


def _bytes(gigabytes: Any) -> int | None:
    """Return a capacity in bytes; None for Cinder's "unknown" and "infinite"."""
    try:
        return int(float(gigabytes) * _GIB)
    except (TypeError, ValueError, OverflowError):
        return None
