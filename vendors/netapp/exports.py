"""LUN maps, and the LIFs through which hosts reach what is mapped. Source: protocol sheet, sections 3.5 and 3.6.

The array shows a map at its reporting nodes only, a LUN's own node and that one's partner: where the SVM has LIFs on more nodes than
two, an export names those of the reporting nodes.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from blockdrivers.driver import Source
from blockdrivers.errors import AlreadyExists, InvalidRequest, NotFound, StaleReference
from blockdrivers.model import Export, Host, IscsiTarget, Port, Protocol, SnapshotRef, VolumeRef
from vendors.netapp import codes, hosts, names, objects
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.hosts import Hosts
from vendors.netapp.luns import Luns
from vendors.netapp.names import Base
from vendors.netapp.options import OntapOptions

MAPS: Final = "protocols/san/lun-maps"
_MAP_FIELDS: Final = "logical_unit_number,lun.name,lun.uuid,igroup.name,igroup.uuid,igroup.initiators,reporting_nodes.name"
_PAIR: Final = 2
"""Nodes that see each other's LUNs whatever the map's reporting nodes are."""


class Lifs:
    """The LIFs of one SVM that serve LUNs; read once, and again for whoever asks for ports."""

    def __init__(self, client: OntapClient, options: OntapOptions) -> None:
        self._client = client
        self._options = options
        self._guard = threading.Lock()
        self._known: dict[Protocol, tuple[Port, ...]] = {}
        self._of_portset: frozenset[str] | None = None

    def read(self, protocol: Protocol) -> tuple[Port, ...]:
        """Return the LIFs of a protocol as they are now."""
        found = tuple(self._iscsi() if protocol is Protocol.ISCSI else self._fc())
        with self._guard:
            self._known[protocol] = found
        return found

    def usable(self, protocol: Protocol) -> tuple[Port, ...]:
        """Return the LIFs that hosts may be sent to; `InvalidRequest` where there is none."""
        wanted = self._options.iscsi_portals if protocol is Protocol.ISCSI else None
        portset = self._portset()

        def chosen(ports: tuple[Port, ...]) -> tuple[Port, ...]:
            return tuple(
                port
                for port in ports
                if port.up
                and (wanted is None or _ip(port) in wanted)
                and (portset is None or (_ip(port) if protocol is Protocol.ISCSI else port.address) in portset)
            )

        found = chosen(self._known.get(protocol) or ()) or chosen(self.read(protocol))
        if not found:
            raise InvalidRequest(
                f"The SVM {self._client.svm!r} has no {protocol.label} LIF that is up"
                f"{' and in portset ' + repr(self._options.portset) if portset is not None else ''}; check its LIFs."
            )
        return found

    def _iscsi(self) -> Iterator[Port]:
        services = self._client.own("protocols/san/iscsi/services", fields="enabled,target.name")
        iqn = next((str(objects.value(item, "target.name", "")) for item in services), "")
        lifs = self._client.own(
            "network/ip/interfaces", services="data_iscsi", fields="uuid,ip.address,enabled,state,location.node.name"
        )
        return (objects.iscsi_port(item, iqn) for item in lifs if iqn)

    def _fc(self) -> Iterator[Port]:
        lifs = self._client.own("network/fc/interfaces", fields="uuid,wwpn,enabled,state,data_protocol,location.node.name")
        return (objects.fc_port(item) for item in lifs if objects.value(item, "data_protocol", "fcp") == "fcp")

    def _portset(self) -> frozenset[str] | None:
        """Return the addresses and WWPNs of the configured portset; asked once."""
        if self._options.portset is None or self._of_portset is not None:
            return self._of_portset
        fields = "name,interfaces.ip.ip.address,interfaces.fc.wwpn"
        for portset in self._client.own("protocols/san/portsets", name=self._options.portset, fields=fields):
            members = objects.value(portset, "interfaces", [])
            addresses = {str(objects.value(item, "ip.ip.address", "")) for item in members}
            wwpns = {objects.wwpn(str(objects.value(item, "fc.wwpn", ""))) for item in members}
            self._of_portset = frozenset((addresses | wwpns) - {""})
            return self._of_portset
        raise InvalidRequest(f"The SVM {self._client.svm!r} has no portset {self._options.portset!r}; check the configuration.")


class Exports:
    """Who may use which LUN."""

    def __init__(self, client: OntapClient, luns: Luns, registered: Hosts, lifs: Lifs) -> None:
        self._client = client
        self._luns = luns
        self._hosts = registered
        self._lifs = lifs

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Map a LUN to a host's igroup; mapped already counts as done."""
        record, wwn = self._target(source)
        # What is wrong with the SVM's LIFs is to be told before anything is made.
        self._lifs.usable(protocol)
        paths = self._fc_paths(host.wwpns) if protocol is Protocol.FC else {}
        if protocol is Protocol.FC and not any(paths.values()):
            raise InvalidRequest(
                f"The array sees none of the FC initiators of host {host.name!r} ({', '.join(host.wwpns)}); "
                "check cabling and zoning."
            )
        seen = self._hosts.register(host, host_name, protocol)
        mapped = self._mapped(source, record, host_name)
        if objects.text(mapped, "igroup.uuid") != seen.uuid:
            self._hosts.forget(host_name)
            raise StaleReference(f"The igroup {host_name!r} is another one than before.")
        return self._export(mapped, source.name, host_name, protocol, wwn, paths)

    def unexport(self, source: Source, host_name: str) -> None:
        """Remove a map, by name; `NotFound` where there is none."""
        if names.holds_range(source.name):
            there = self._luns.snapshot(source.name) if isinstance(source, SnapshotRef) else self._luns.volume(source.name)
            query = {"lun.uuid": there.id}
        else:
            snapshot = isinstance(source, SnapshotRef)
            query = {"lun.name": (names.snapshot_pattern if snapshot else names.volume_pattern)(source.name)}
        if not self._client.change_own("DELETE", MAPS, None, **query, **{"igroup.name": host_name}):
            raise NotFound(f"{source.name!r} is not mapped to igroup {host_name!r}.")

    def listed(self, source: Source) -> list[Export]:
        """Return every export of a volume or snapshot, one for each protocol that the host's igroup has initiators of."""
        there = self._luns.snapshot(source.name) if isinstance(source, SnapshotRef) else self._luns.volume(source.name)
        return [
            self._export(
                mapped, source.name, objects.text(mapped, "igroup.name"), protocol, there.wwn, self._paths_of(mapped, protocol)
            )
            for mapped in self._client.own(MAPS, **{"lun.uuid": there.id, "fields": _MAP_FIELDS})
            for protocol in (Protocol.ISCSI, Protocol.FC)
            if any(hosts.is_of(name, protocol) for name in objects.value(mapped, "igroup.initiators", []))
        ]

    def logged_in(self) -> list[tuple[str, Protocol]]:
        """Return the initiators that have a session with the SVM."""
        fc = [
            (objects.wwpn(objects.text(item, "initiator.wwpn")), Protocol.FC)
            for item in self._client.own("network/fc/logins", fields="initiator.wwpn")
        ]
        sessions = self._client.own("protocols/san/iscsi/sessions", fields="initiator.name")
        return fc + [(objects.text(item, "initiator.name"), Protocol.ISCSI) for item in sessions]

    def _target(self, source: Source) -> tuple[Record, str | None]:
        """Return what to map, by its remembered name where there is one, which the map's answer proves; and its WWN."""
        if isinstance(source, VolumeRef):
            if source.wwn is not None:
                return self._luns.located(source), source.wwn
            volume = self._luns.volume(source.name)
            return {"uuid": volume.id, "name": names.path(volume.pool, Base(volume.name))}, volume.wwn
        snapshot = self._luns.snapshot(source.name)
        return {"uuid": snapshot.id, "name": self._luns.places.of(snapshot.id)}, snapshot.wwn

    def _mapped(self, source: Source, record: Record, host_name: str) -> Record:
        lun = {key: record[key] for key in ("uuid", "name")}
        try:
            return self._client.make(MAPS, {"lun": lun, "igroup": {"name": host_name}})
        except AlreadyExists:
            query = {"lun.uuid": str(lun["uuid"]), "igroup.name": host_name, "fields": _MAP_FIELDS}
            found = next(iter(self._client.own(MAPS, **query)), None)
            if found is None:
                raise StaleReference(f"{source.name!r} was mapped to {host_name!r} a moment ago and is not now.") from None
            return found
        except (NotFound, InvalidRequest) as refused:
            if refused.vendor_code in codes.NO_IGROUP:
                self._hosts.forget(host_name)
                raise StaleReference(f"The igroup {host_name!r} has gone.") from refused
            if isinstance(source, VolumeRef):
                raise self._luns.moved(source, refused) from refused
            raise

    def _export(
        self,
        mapped: Record,
        name: str,
        host_name: str,
        protocol: Protocol,
        wwn: str | None,
        paths: Mapping[str, tuple[str, ...]],
    ) -> Export:
        lun = objects.number(mapped, "logical_unit_number")
        reported = self._reported(mapped, self._lifs.usable(protocol))
        if protocol is Protocol.ISCSI:
            return Export(
                name, host_name, protocol, lun, wwn, targets=tuple(IscsiTarget(port.address, port.iqn or "") for port in reported)
            )
        shown = {port.address for port in reported}
        paths = {initiator: tuple(target for target in targets if target in shown) for initiator, targets in paths.items()}
        wwpns = tuple(sorted({target for targets in paths.values() for target in targets}))
        return Export(name, host_name, protocol, lun, wwn, wwpns=wwpns, paths=paths)

    def _reported(self, mapped: Record, ports: Sequence[Port]) -> tuple[Port, ...]:
        """Return the LIFs at which the array shows a map."""
        if len({port.controller for port in ports}) <= _PAIR:
            return tuple(ports)
        if objects.value(mapped, "reporting_nodes") is None:
            uuids = f"{objects.text(mapped, 'lun.uuid')}/{objects.text(mapped, 'igroup.uuid')}"
            mapped = self._client.get(f"{MAPS}/{uuids}", fields="reporting_nodes.name")
        nodes = {objects.text(node, "name") for node in objects.value(mapped, "reporting_nodes", [])}
        return tuple(port for port in ports if port.controller in nodes)

    def _paths_of(self, mapped: Record, protocol: Protocol) -> Mapping[str, tuple[str, ...]]:
        if protocol is Protocol.ISCSI:
            return {}
        members = objects.value(mapped, "igroup.initiators", [])
        return self._fc_paths([objects.wwpn(name) for name in members if hosts.is_of(name, Protocol.FC)])

    def _fc_paths(self, wwpns: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """Return initiator -> the FC LIFs of the SVM that it is logged in to."""
        wanted = "|".join(map(objects.with_colons, sorted(wwpns)))
        found: dict[str, set[str]] = {wwpn: set() for wwpn in wwpns}
        for login in self._client.own(
            "network/fc/logins", **{"initiator.wwpn": wanted, "fields": "initiator.wwpn,interface.wwpn"}
        ):
            initiator = objects.wwpn(objects.text(login, "initiator.wwpn"))
            found.setdefault(initiator, set()).add(objects.wwpn(objects.text(login, "interface.wwpn")))
        return {initiator: tuple(sorted(targets)) for initiator, targets in found.items()}


def _ip(port: Port) -> str:
    return port.address.rpartition(":")[0].strip("[]")
