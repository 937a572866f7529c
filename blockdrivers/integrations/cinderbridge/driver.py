"""The driver contract in terms of a Cinder driver: what Cinder's volume service would ask of it, and what it would remember.

A Cinder driver has no queries: sizes, states, snapshots and exports are told from Cinder's records of the calls that succeeded. What
changes the array is always asked of the driver; only what is recorded as complete is not made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from blockdrivers.driver import Capabilities, Driver, NameRules, SnapshotSpec, Source, VolumeSpec
from blockdrivers.errors import NotSupported
from blockdrivers.integrations.cinderbridge import connections
from blockdrivers.integrations.cinderbridge.options import CinderDriverOptions
from blockdrivers.integrations.cinderbridge.process import DriverProcess
from blockdrivers.model import (
    Dependant,
    Export,
    Health,
    Host,
    InitiatorFacts,
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
from blockdrivers.naming import Kind, array_name, identifier_of

_NAMES = NameRules(volume=63, snapshot=63, host=63)
_DESCRIPTION_BYTES = 255
_MAX_LUN = 16383
_UUID_LENGTH = 36

_NOTES = (
    "Driven through its Cinder driver: sizes, states, snapshots and exports are those that Cinder would have recorded.",
    "Thin or thick provisioning is what the driver's configuration makes of every volume.",
    "How the array's certificate or host key is checked is the driver's own affair, and not known here.",
    "QoS, moves, taking over of existing volumes and group snapshots go through Cinder's types and groups and are not bridged.",
)


def open_driver(options: CinderDriverOptions, name: str) -> CinderDriver:
    """Return the driver of a backend; its process starts with its first call."""
    return CinderDriver(DriverProcess(options, name), options, name)


class CinderDriver(Driver):
    """A Cinder volume driver in its own process."""

    def __init__(self, process: DriverProcess, options: CinderDriverOptions, name: str) -> None:
        self._ask = process.call
        self._process = process
        self._options = options
        self._name = name

    @property
    def capabilities(self) -> Capabilities:
        """What the driver's class and statistics declare."""
        return self._capabilities

    def close(self) -> None:
        """End the driver's process."""
        self._process.close()

    @cached_property
    def _declared(self) -> Mapping[str, Any]:
        return dict(self._ask("capabilities"))

    @cached_property
    def _capabilities(self) -> Capabilities:
        said = self._declared
        protocols = frozenset(Protocol(name) for name in said["protocols"])
        if not protocols:
            raise NotSupported(f"{said['class']} says that it serves {said['protocol_said']!r}; iSCSI and FC can be bridged.")
        return Capabilities(
            protocols=protocols,
            names=_NAMES,
            description_bytes=_DESCRIPTION_BYTES,
            thin=said["thin"],
            thick=not said["thin"],
            online_extend=said["online_extend"],
            multi_attach=said["multi_attach"],
            revert=said["revert"],
            revert_to_any=False,
            export_snapshots=said["export_snapshots"],
            list_objects=False,
            host_objects=False,
            tells_wwn=False,
            tells_ports=False,
            tells_reasons=False,
            own_transport=False,
            parallel_processes=said["active_active"],
            max_lun=_MAX_LUN,
            notes=_NOTES,
        )

    # The array

    def system(self) -> SystemFacts:
        """Return what a Cinder driver tells of its array, which is little: what it does not tell is "unknown"."""
        said = self._ask("system")
        return SystemFacts(
            vendor=said.get("vendor_name", "unknown"),
            model=self._options.model,
            serial="unknown",
            name=said.get("volume_backend_name", self._name),
            firmware="unknown",
            health=Health.UNKNOWN,
            details={
                "cinder_driver": self._declared["class"],
                "cinder_driver_version": self._declared["driver_version"],
                "cinder": self._declared["cinder"],
                "storage_protocol": said.get("storage_protocol", "unknown"),
            },
        )

    def licences(self) -> Mapping[str, bool]:
        """Return nothing: Cinder drivers do not tell."""
        return {}

    def pools(self) -> Sequence[Pool]:
        """Return the pools of the driver's statistics; a capacity that it does not tell is 0."""
        return [
            Pool(pool["name"], pool["name"], pool["total"] or 0, pool["free"] or 0, pool["provisioned"])
            for pool in self._ask("pools")
        ]

    def ports(self) -> Sequence[Port]:
        """Return nothing (capability ``tells_ports``)."""
        return ()

    def initiators(self) -> Sequence[InitiatorFacts]:
        """Return nothing: Cinder drivers do not tell."""
        return ()

    # Volumes

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """See `Driver`; what a call that was cut off has left of it is deleted first, as Cinder's users do with a failed volume."""
        return self._volume(self._ask("create_volume", volume=_named(spec.name), spec=self._spec(spec)))

    def get_volume(self, name: str) -> Volume:
        """See `Driver`."""
        return self._volume(self._ask("get_volume", volume=_named(name)))

    def list_volumes(self) -> Iterable[Volume]:
        """Not supported (capability ``list_objects``)."""
        raise self._unsupported("list of volumes")

    def extend_volume(self, volume: Volume, size: int) -> None:
        """See `Driver`."""
        self._ask("extend_volume", volume=_named(volume.name), size=size)

    def delete_volume(self, volume: Volume) -> None:
        """See `Driver`."""
        self._ask("delete_volume", volume=_named(volume.name))

    def clone_volume(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """See `Driver`; helper objects are the Cinder driver's own affair."""
        method = "clone_snapshot" if isinstance(source, SnapshotRef) else "clone_volume"
        return self._volume(self._ask(method, volume=_named(spec.name), spec=self._spec(spec), source=_named(source.name)))

    def abandon_clone(self, volume: Volume, temporary: str) -> None:
        """Do nothing: the deletion that follows is all that Cinder knows."""

    def revert_volume(self, volume: Volume, snapshot: Snapshot) -> None:
        """See `Driver`; to the newest snapshot only."""
        self._ask("revert_volume", volume=_named(volume.name), snapshot=_named(snapshot.name))

    # Snapshots

    def create_snapshot(self, spec: SnapshotSpec) -> Snapshot:
        """See `Driver`."""
        plain = {"name": spec.name, "description": spec.description}
        return _snapshot(self._ask("create_snapshot", snapshot=_named(spec.name), source=_named(spec.source.name), spec=plain))

    def get_snapshot(self, name: str) -> Snapshot:
        """See `Driver`."""
        return _snapshot(self._ask("get_snapshot", snapshot=_named(name)))

    def list_snapshots(self, source: VolumeRef | None = None) -> Iterable[Snapshot]:
        """Not supported (capability ``list_objects``)."""
        raise self._unsupported("list of snapshots")

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """See `Driver`."""
        self._ask("delete_snapshot", snapshot=_named(snapshot.name))

    # Exports

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """See `Driver`; the driver is asked each time, also for what is exported already."""
        told = self._on(source, "export", host=host_name, connector=connections.connector(host, host_name))
        return connections.export(source.name, host_name, told)

    def unexport(self, source: Source, host_name: str, protocol: Protocol) -> None:
        """See `Driver`; with the connector that the export was made with."""
        self._on(source, "unexport", host=host_name, connector={"host": host_name})

    def unexport_initiators(self, source: Source, host: Host, protocol: Protocol) -> None:
        """See `Driver`."""
        host_name = array_name(Kind.HOST, host.name, _NAMES.host)
        self._on(source, "unexport", host=host_name, connector=connections.connector(host, host_name))

    def list_exports(self, source: Source) -> Sequence[Export]:
        """Return the exports that are recorded; one that was cut off has neither LUN id nor paths."""
        protocol = next(iter(self.capabilities.protocols))
        return [
            Export(source.name, found["host"], protocol)
            if found["connection"] is None
            else connections.export(source.name, found["host"], found["connection"])
            for found in self._on(source, "list_exports")
        ]

    def _on(self, source: Source, method: str, **arguments: Any) -> Any:
        return self._ask(method, source=_named(source.name), snapshot=isinstance(source, SnapshotRef), **arguments)

    # Plain data

    def _spec(self, spec: VolumeSpec) -> dict[str, Any]:
        return {
            "name": spec.name,
            "size": spec.size,
            "pool": spec.pool,
            "description": spec.description,
            "multiattach": self.capabilities.multi_attach,
        }

    def _volume(self, plain: Mapping[str, Any]) -> Volume:
        return Volume(
            id=plain["id"],
            name=plain["name"],
            size=plain["size"],
            pool=plain["pool"],
            wwn=None,
            thin=self.capabilities.thin,
            state=VolumeState(plain["state"]),
            health=Health.UNKNOWN,
            description=plain["description"],
            dependants=frozenset(Dependant(kind) for kind in plain["dependants"]),
        )


def _named(name: str) -> dict[str, str]:
    """Return how the worker addresses an object: by name, and by the caller's id where that is a UUID, as Cinder's ids are."""
    identifier = identifier_of(name) or ""
    is_uuid = name[3:4] == "u" and len(identifier) == _UUID_LENGTH
    return {"name": name, "plain": identifier if is_uuid else ""}


def _snapshot(plain: Mapping[str, Any]) -> Snapshot:
    return Snapshot(**{**plain, "wwn": None})
