"""What hosts see of a volume or snapshot, from hosts, VLUNs and ports together. Source: protocol sheet, sections 3.9 to 3.12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from blockdrivers.errors import Busy, InUse, InvalidRequest, NotFound
from blockdrivers.model import Export, Host, Protocol
from blockdrivers.naming import Label
from vendors.hpe import codes, objects
from vendors.hpe.client import Object, WsapiClient
from vendors.hpe.mapping import Hosts, Registered, Vlun, Vluns
from vendors.hpe.ports import Ports

_HOST_COMMENT = 255
_NOT_A_HOST = ("set:", "port:")

Paths = Mapping[str, tuple[str, ...]]
"""WWPN of an initiator -> WWPNs of the target ports that it is logged in at."""


class Exports:
    """Lets hosts see volumes, and tells which do."""

    def __init__(self, client: WsapiClient, hosts: Hosts, vluns: Vluns, ports: Ports) -> None:
        self._client = client
        self._hosts = hosts
        self._vluns = vluns
        self._ports = ports

    def make(self, name: str, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Let a host see a volume or snapshot, and return how; a host object that was made in vain is removed."""
        with _host_stays(host_name):
            registered = self._hosts.register(host, host_name, protocol, Label(id=host.name).encode(_HOST_COMMENT))
        try:
            with _host_stays(host_name):
                paths = self._paths_of(registered, host) if protocol is Protocol.FC else {}
                seen = self._vluns.ensure(name, registered)
        except (NotFound, InvalidRequest):
            if registered.is_new:
                with suppress(NotFound, InUse):
                    self._hosts.remove(host_name)
            raise
        if protocol is Protocol.ISCSI:
            return self._over_iscsi(name, host_name, seen, {seen.port}, needed=True)
        return _over_fc(name, host_name, seen, paths)

    def of(self, name: str) -> list[Export]:
        """Return every export of a volume or snapshot, or raise `NotFound`."""
        rows = self._vluns.of_volume(name)
        if not rows:
            # No row is also what an absent volume has.
            self._client.read("volumes", name)
        seen_by = dict.fromkeys(row.seen_by for row in rows)
        return [export for host in seen_by for export in self._to(host, [row for row in rows if row.seen_by == host])]

    def _to(self, host_name: str, rows: Sequence[Vlun]) -> Iterator[Export]:
        templates = [row for row in rows if not row.active] or list(rows)
        seen = min(templates, key=lambda row: row.lun)
        if host_name.startswith(_NOT_A_HOST):
            over_fc = {row.port for row in rows} & self._ports.fc().keys()
            yield Export(seen.volume, host_name, Protocol.FC if over_fc else Protocol.ISCSI, seen.lun, seen.wwn)
            return
        try:
            host = self._hosts.read(host_name)
        except NotFound:
            return
        addresses: dict[Protocol, list[str]] = {}
        for facts in objects.initiators(host):
            addresses.setdefault(facts.protocol, []).append(facts.address)
        where = {row.port for row in templates}
        if Protocol.ISCSI in addresses:
            yield self._over_iscsi(seen.volume, host_name, seen, where, needed=False)
        if Protocol.FC in addresses:
            yield _over_fc(seen.volume, host_name, seen, self._reached(host, addresses[Protocol.FC]))

    def _over_iscsi(self, name: str, host: str, seen: Vlun, where: set[str | None], *, needed: bool) -> Export:
        targets = self._ports.iscsi(where, needed=needed)
        return Export(name, host, Protocol.ISCSI, seen.lun, seen.wwn, targets=targets)

    def _paths_of(self, registered: Registered, host: Host) -> Paths:
        """Return what each of a host's initiators reaches, or refuse a host that the array does not see."""
        paths = self._reached(registered.paths or self._hosts.read(registered.name), host.wwpns)
        if not any(paths.values()):
            raise InvalidRequest(
                f"The array sees none of the FC initiators of host {host.name!r} ({', '.join(paths)}); "
                "check cabling and zoning, then ask again."
            )
        return paths

    def _reached(self, host: Object, initiators: Sequence[str]) -> Paths:
        logins = [
            (objects.text(path, "wwn").replace(":", "").lower(), where)
            for path in objects.entries(host, "FCPaths")
            if (where := objects.position(path)) is not None
        ]
        ports = self._ports.fc([where for _, where in logins])
        return {
            initiator: tuple(sorted({ports[where] for address, where in logins if address == initiator and where in ports}))
            for initiator in initiators
        }


@contextmanager
def _host_stays(host: str) -> Iterator[None]:
    """Tell a host that is removed meanwhile from a volume that does not exist: the host can be made again."""
    try:
        yield
    except NotFound as gone:
        if gone.vendor_code != str(codes.NO_HOST):
            raise
        raise Busy(f"Host {host!r} was removed while it was used.") from gone


def _over_fc(name: str, host: str, seen: Vlun, paths: Paths) -> Export:
    wwpns = tuple(sorted({wwpn for reached in paths.values() for wwpn in reached}))
    return Export(name, host, Protocol.FC, seen.lun, seen.wwn, wwpns=wwpns, paths=paths)
