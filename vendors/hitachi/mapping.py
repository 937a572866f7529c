"""LU paths: one LUN of a host, the same on every port. Source: protocol sheet, section 3.11 and traps 9, 20, 21.

A path is made first, with what is remembered; the LDEV, read afterwards, then shows its label, its paths with the names of the
host groups, and its WWN: all that has to be proven, in one answer. While it has a path, the array keeps the LDEV and its id.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from blockdrivers.errors import AlreadyExists, Busy, InUse, InvalidRequest, LimitReached, NotFound, StaleReference
from blockdrivers.model import Export, Host, IscsiTarget, Port, Protocol
from blockdrivers.naming import Kind, kind_of
from vendors.hitachi import codes, objects
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.facts import Facts
from vendors.hitachi.hosts import Hosts, Registered
from vendors.hitachi.ldevs import Ldevs

MAX_LUN = 2047
_MOST_PORTS = 6
_TRIES = 16


@dataclass(slots=True)
class _Luns:
    """The LUNs that a host is thought to use, and those that calls under way have chosen."""

    used: set[int] = field(default_factory=set)
    chosen: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Target:
    """What is exported: an LDEV, what it is called, and how to tell that it still is that."""

    ldev_id: int
    name: str
    is_meant: Callable[[Object], bool]


class LuPaths:
    """The LU paths of an array; shared by threads."""

    def __init__(self, client: VspClient, ldevs: Ldevs, hosts: Hosts, facts: Facts) -> None:
        self._client = client
        self._ldevs = ldevs
        self._hosts = hosts
        self._facts = facts
        self._guard = threading.Lock()
        self._luns: dict[tuple[str, Protocol], _Luns] = defaultdict(_Luns)
        self._refused_port_ids = False

    # Exporting

    def export(self, target: Target, host: Host, host_name: str, protocol: Protocol) -> Export:
        """Let a host see an LDEV at one LUN of every port."""
        for _ in range(_TRIES):
            registered = self._hosts.register(host, host_name, protocol)
            lun = self._choose(host_name, protocol, registered)
            try:
                ldev = self._mapped(target, host_name, registered, lun)
            finally:
                self._release(host_name, protocol, lun)
            if ldev is not None:
                return self._seen(target, ldev, host_name, protocol, registered, host)
            self._learn(host_name, protocol, registered)
        raise Busy(f"Other exports to host {host_name!r} take every LUN that is tried.")

    def _mapped(self, target: Target, host_name: str, registered: Registered, lun: int) -> Object | None:
        """Make the paths and return the LDEV that has them; None where the LUN is taken by another LDEV."""
        taken = False
        made: set[str] = set()
        try:
            self._make(target.ldev_id, registered.numbers, lun, made)
        except AlreadyExists as there:
            taken = there.vendor_code == codes.LUN_TAKEN
        except NotFound:
            # Either the LDEV or a group is not there any more; which one, the LDEV tells.
            self._hosts.forget(host_name)
        ldev = self._ldevs.get(target.ldev_id)
        ours = {(port_id, number) for port_id, number in registered.numbers.items()}
        wrong = [path for path in objects.paths(ldev) if _place(path) in ours and path.get("hostGroupName") != host_name]
        if wrong or not target.is_meant(ldev):
            self._undo(ldev, ours, made, lun)
            self._hosts.forget(host_name)
            raise StaleReference(f"LDEV {target.ldev_id} or a group of host {host_name!r} is not what was remembered.")
        if objects.is_unfinished(ldev):
            self._undo(ldev, ours, made, lun)
            raise InUse(f"{target.name!r} is a clone that is not complete; ask for that clone again first.")
        own = [path for path in objects.paths(ldev) if _place(path) in ours]
        missing = [port_id for port_id in registered.numbers if port_id not in {objects.port_id(path) for path in own}]
        if not missing:
            return ldev
        if taken:
            self._undo(ldev, ours, made, lun)
        return None if taken or not own else self._completed(target, registered, own, missing)

    def _undo(self, ldev: Object, ours: Collection[tuple[str, int]], made: Collection[str], lun: int) -> None:
        """Remove the paths that the present call has made, and no other."""
        own = [path for path in objects.paths(ldev) if _place(path) in ours and path.get("lun") == lun]
        self._unmake(path for path in own if objects.port_id(path) in made)

    def _make(self, ldev_id: int, numbers: Mapping[str, int], lun: int, made: set[str]) -> None:
        """Make the paths; `made` gets the ports on which that has happened, however it ends."""
        body = {"ldevId": ldev_id, "lun": lun}
        ports = sorted(numbers)
        if self._facts.model.port_ids and not self._refused_port_ids and len(ports) > 1 and len(set(numbers.values())) == 1:
            number = numbers[ports[0]]
            try:
                for start in range(0, len(ports), _MOST_PORTS):
                    chosen = ports[start : start + _MOST_PORTS]
                    self._client.create("luns", body | {"portIds": chosen, "hostGroupNumber": number})
                    made.update(chosen)
            except InvalidRequest as refused:
                # Only newer firmware takes several ports; nothing tells which it is, and the refusal has changed nothing.
                if refused.vendor_code != codes.UNKNOWN_ATTRIBUTE:
                    raise
                self._refused_port_ids = True
            else:
                return
        for port_id in ports:
            self._client.create("luns", body | {"portId": port_id, "hostGroupNumber": numbers[port_id]})
            made.add(port_id)

    def _completed(self, target: Target, registered: Registered, own: Sequence[Object], missing: Sequence[str]) -> Object | None:
        """Add the paths that a cut-off call has not made, at the LUN of those that it has."""
        lun = objects.number(own[0], "lun")
        for port_id in missing:
            try:
                body = {"portId": port_id, "hostGroupNumber": registered.numbers[port_id], "ldevId": target.ldev_id, "lun": lun}
                self._client.create("luns", body)
            except AlreadyExists as there:
                if there.vendor_code == codes.LUN_TAKEN:
                    raise LimitReached(
                        f"LUN {lun} of {target.name!r} is another LDEV's on port {port_id}; unexport it from this host and export it again."
                    ) from there
            except NotFound:
                return None
        return self._ldevs.get(target.ldev_id)

    def _unmake(self, paths: Iterable[Object]) -> None:
        for path in paths:
            port_id, number = _place(path)
            try:
                self._client.delete(f"luns/{port_id},{number},{objects.number(path, 'lun')}")
            except NotFound:
                continue

    # LUNs

    def _choose(self, host_name: str, protocol: Protocol, registered: Registered) -> int:
        """Return the lowest LUN above 0 that the host is not thought to use; the array refuses it where that is wrong."""
        for informed in (False, True):
            with self._guard:
                luns = self._luns[host_name, protocol]
                for lun in range(1, MAX_LUN + 1):
                    if lun not in luns.used and lun not in luns.chosen:
                        luns.chosen.add(lun)
                        return lun
            if not informed:
                self._learn(host_name, protocol, registered)
        raise LimitReached(f"Host {host_name!r} has no LUN left.")

    def _release(self, host_name: str, protocol: Protocol, lun: int) -> None:
        with self._guard:
            self._luns[host_name, protocol].chosen.discard(lun)

    def _learn(self, host_name: str, protocol: Protocol, registered: Registered) -> None:
        used: set[int] = set()
        for port_id, number in registered.numbers.items():
            try:
                used |= self._hosts.luns(port_id, number)
            except NotFound:
                self._hosts.forget(host_name)
        with self._guard:
            self._luns[host_name, protocol].used = used

    def _note(self, host_name: str, protocol: Protocol, lun: int, *, used: bool) -> None:
        with self._guard:
            luns = self._luns[host_name, protocol].used
            (luns.add if used else luns.discard)(lun)

    # Taking away

    def unexport(self, ldev: Object, host_name: str, protocol: Protocol) -> None:
        """Take an LDEV, read by name a moment before, away from a host; `NotFound` where the host does not see it."""
        own = [path for path, of in self._paths(ldev) if of is protocol and path.get("hostGroupName") == host_name]
        if not own:
            raise NotFound(f"{objects.name(ldev)!r} is not exported to host {host_name!r} over {protocol}.")
        self._unmake(own)
        for lun in {objects.number(path, "lun") for path in own}:
            self._note(host_name, protocol, lun, used=False)

    def forget(self, host_name: str) -> None:
        """Drop what is known of a host."""
        self._hosts.forget(host_name)
        with self._guard:
            for protocol in Protocol:
                self._luns.pop((host_name, protocol), None)

    # Telling

    def exports(self, target: Target, ldev: Object) -> list[Export]:
        """Return every export of an LDEV."""
        by_host: dict[tuple[str, Protocol], dict[str, Object]] = defaultdict(dict)
        for path, protocol in self._paths(ldev):
            by_host[str(objects.field(path, "hostGroupName")), protocol][objects.port_id(path)] = path
        return [
            self._told(target, ldev, host_name, protocol, paths, None) for (host_name, protocol), paths in sorted(by_host.items())
        ]

    def _seen(
        self, target: Target, ldev: Object, host_name: str, protocol: Protocol, registered: Registered, host: Host
    ) -> Export:
        paths = {objects.port_id(path): path for path in objects.paths(ldev) if path.get("hostGroupName") == host_name}
        own = {port_id: path for port_id, path in paths.items() if port_id in registered.numbers}
        export = self._told(target, ldev, host_name, protocol, own, host)
        if export.lun is not None:
            self._note(host_name, protocol, export.lun, used=True)
        return export

    def _told(
        self, target: Target, ldev: Object, host_name: str, protocol: Protocol, paths: Mapping[str, Object], host: Host | None
    ) -> Export:
        ports = [port for port in self._facts.ports_of(protocol) if port.id in paths]
        lun = min(objects.number(path, "lun") for path in paths.values())
        wwn = self._facts.wwn(ldev)
        if protocol is Protocol.ISCSI:
            targets = tuple(IscsiTarget(port.address, self._iqn(host_name, port, paths[port.id])) for port in ports)
            return Export(target.name, host_name, protocol, lun, wwn, targets=targets)
        wwpns = tuple(port.address for port in ports)
        initiators = host.wwpns if host is not None else self._initiators(ports, paths)
        # The interface does not tell who is logged in where: every initiator may reach every port of its groups.
        return Export(target.name, host_name, protocol, lun, wwn, wwpns=wwpns, paths=dict.fromkeys(initiators, wwpns))

    def _iqn(self, host_name: str, port: Port, path: Object) -> str:
        if kind_of(host_name) is Kind.HOST:
            return self._hosts.target(host_name)
        number = objects.number(path, "hostGroupNumber")
        return str(objects.field(self._client.read(f"host-groups/{port.id},{number}"), "iscsiName"))

    def _initiators(self, ports: Sequence[Port], paths: Mapping[str, Object]) -> list[str]:
        if not ports:
            return []
        return self._hosts.initiators_of(ports[0], objects.number(paths[ports[0].id], "hostGroupNumber"))

    def _paths(self, ldev: Object) -> list[tuple[Object, Protocol]]:
        protocols = {port.id: port.protocol for port in self._facts.ports()}
        found = [(path, protocols.get(objects.port_id(path))) for path in objects.paths(ldev)]
        return [(path, protocol) for path, protocol in found if protocol is not None]


def _place(path: Object) -> tuple[str, int]:
    return objects.port_id(path), objects.number(path, "hostGroupNumber")
