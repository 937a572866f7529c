"""What hosts see and how they get there. Source: protocol sheet huawei-oceanstor, sections 3.6 to 3.8.

A host's first iSCSI export names the host in the request that makes the initiator; the answer tells whether the array bound it, and
where it did not, a second request does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from blockdrivers.driver import Source
from blockdrivers.errors import InvalidRequest
from blockdrivers.model import Export, Host, IscsiTarget, Protocol, VolumeRef
from blockdrivers.naming import Label
from vendors.huawei import objects
from vendors.huawei.client import OceanStorClient
from vendors.huawei.facts import Facts
from vendors.huawei.luns import Luns
from vendors.huawei.mapping import DirectMapping, Hosts, Mapping, MappingViews, Target
from vendors.huawei.objects import DESCRIPTION_LENGTH, Type
from vendors.huawei.options import OceanStorOptions
from vendors.huawei.snapshots import Snapshots


class Exports:
    """The exports of one array's LUNs and snapshots."""

    def __init__(
        self, client: OceanStorClient, facts: Facts, luns: Luns, snapshots: Snapshots, options: OceanStorOptions
    ) -> None:
        self._client = client
        self._facts = facts
        self._luns = luns
        self._snapshots = snapshots
        self._options = options
        self._hosts = Hosts(client)

    @property
    def mapping(self) -> Mapping:
        """How arrays of this generation map a LUN to a host."""
        return (DirectMapping if self._facts.generation.direct_mapping else MappingViews)(self._client, self._hosts)

    def export(self, source: Source, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Host, initiators, mapping, and the LUN id as the host sees it."""
        target = self._target(source)
        registered = self._hosts.register(host, host_name, protocol, Label(id=host.name).encode(DESCRIPTION_LENGTH))
        seen = self.mapping.map(target, registered)
        return self._export(target, host_name, protocol, seen, host.wwpns)

    def unexport(self, source: Source, host_name: str) -> None:
        """Take the LUN, looked up by name, out of what the host sees."""
        self.mapping.unmap(self._named(source), host_name)

    def of(self, source: Source) -> Sequence[Export]:
        """Return every host that sees the LUN, with its LUN id there."""
        target = self._named(source)
        return [
            export
            for host_id, host_name in self.mapping.hosts_of(target)
            for export in self._exports_to(target, host_id, host_name)
        ]

    def remove_host(self, host_name: str) -> None:
        """Remove the host object and the groups and view around it."""
        self._hosts.forget(host_name)
        self.mapping.remove(host_name)

    def _target(self, source: Source) -> Target:
        """Return what to map, by its remembered id where there is one: what the host sees proves it afterwards."""
        if isinstance(source, VolumeRef) and source.id is not None:
            return Target(source.id, source.name, source.wwn, Type.LUN)
        return self._named(source)

    def _named(self, source: Source) -> Target:
        """Return what to map or unmap, looked up by name."""
        if isinstance(source, VolumeRef):
            volume = self._luns.get(source.name)
            return Target(volume.id, volume.name, volume.wwn, Type.LUN)
        snapshot = self._snapshots.get(source.name)
        return Target(snapshot.id, snapshot.name, snapshot.wwn, Type.SNAPSHOT)

    def _exports_to(self, target: Target, host_id: str, host_name: str) -> Iterator[Export]:
        seen = self.mapping.seen(target, host_id)
        if seen is None:
            return
        for protocol in (Protocol.ISCSI, Protocol.FC):
            if initiators := self._hosts.initiators(host_id, protocol):
                yield self._export(target, host_name, protocol, seen, initiators)

    def _export(
        self, target: Target, host_name: str, protocol: Protocol, seen: tuple[int, str | None], initiators: Sequence[str]
    ) -> Export:
        lun, wwn = seen
        if protocol is Protocol.ISCSI:
            return Export(target.name, host_name, protocol, lun, wwn, targets=self._portals())
        paths = {initiator: self._reachable(initiator) for initiator in initiators}
        wwpns = tuple(sorted({wwpn for reached in paths.values() for wwpn in reached}))
        if not wwpns:
            raise InvalidRequest(
                f"No FC port of the array is linked to any initiator of host {host_name!r} "
                f"({', '.join(initiators)}); check cabling and zoning, then ask again."
            )
        return Export(target.name, host_name, protocol, lun, wwn, wwpns=wwpns, paths=paths)

    def _portals(self) -> tuple[IscsiTarget, ...]:
        wanted = self._options.iscsi_portals
        found = tuple(
            IscsiTarget(port.address, port.iqn or "")
            for port in self._facts.iscsi_ports()
            if wanted is None or port.address.rpartition(":")[0] in wanted
        )
        if not found:
            raise InvalidRequest(f"The array has no iSCSI portal{'' if wanted is None else ' of ' + ', '.join(wanted)}.")
        return found

    def _reachable(self, wwpn: str) -> tuple[str, ...]:
        links = self._client.listing("host_link", INITIATOR_TYPE=str(int(Type.FC_INITIATOR)), INITIATOR_PORT_WWN=wwpn)
        return tuple(sorted({objects.text(link, "TARGET_PORT_WWN").lower() for link in links}))
