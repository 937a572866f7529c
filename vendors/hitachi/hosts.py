"""Hosts: a host group, or an iSCSI target, on every port. Source: protocol sheet, sections 3.9, 3.10 and traps 10, 12.

A host's groups bear its name on every port, and the same number where that is free, so that one request can name the ports of a
LU path. Their numbers are remembered, and believed only as far as an answer shows the host's name beside them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote

from blockdrivers.errors import AlreadyExists, BlockDriversError, Busy, InUse, InvalidRequest, LimitReached, NotFound, VendorError
from blockdrivers.model import Chap, Host, InitiatorFacts, Port, Protocol
from vendors.hitachi import objects
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.facts import Facts
from vendors.hitachi.options import VspOptions

_HOST_SIDE = "INI"
_NUMBERS_PER_QUERY = 50


@dataclass(frozen=True, slots=True)
class Registered:
    """What is known of a host's groups on the ports of one protocol."""

    numbers: Mapping[str, int]
    """Port id -> number of the host's group there."""
    initiators: frozenset[str]
    chap: Chap | None


@dataclass(slots=True)
class _Group:
    """One group while a host is being registered."""

    port: Port
    number: int
    is_new: bool
    initiators: set[str] = field(default_factory=set)


class Hosts:
    """The host groups of an array; shared by threads."""

    def __init__(self, client: VspClient, facts: Facts, options: VspOptions) -> None:
        self._client = client
        self._facts = facts
        self._options = options
        self._guard = threading.Lock()
        self._seen: dict[tuple[str, Protocol], Registered] = {}

    def register(self, host: Host, host_name: str, protocol: Protocol) -> Registered:
        """Make sure that the host has a group with its initiators on every port."""
        wanted = _initiators(host, protocol)
        seen = self._seen.get((host_name, protocol))
        if seen is not None and wanted <= seen.initiators and (protocol is Protocol.FC or seen.chap == host.chap):
            return seen
        ports = self._facts.ports_of(protocol)
        if not ports:
            raise InvalidRequest(f"The array has no {protocol.label} port for hosts, or none of those in the option ports.")
        groups = self._build(host, host_name, ports, wanted)
        numbers = {port_id: group.number for port_id, group in groups.items()}
        registered = Registered(numbers, wanted | (seen.initiators if seen else frozenset()), host.chap)
        with self._guard:
            self._seen[host_name, protocol] = registered
        return registered

    def forget(self, host_name: str) -> None:
        """Drop what is known of a host."""
        with self._guard:
            for protocol in Protocol:
                self._seen.pop((host_name, protocol), None)

    def target(self, host_name: str) -> str:
        """Return the IQN of a host's targets: one of its own, the same on every port."""
        plain = host_name if "_" not in host_name else f"x-{hashlib.sha256(host_name.encode()).hexdigest()[:26]}"
        return f"iqn.1994-04.jp.co.hitachi:bd.{self._options.storage_id}.{plain}"

    def listed(self, port_id: str) -> list[Object]:
        """Return the groups of a port."""
        return self._client.items("host-groups", portId=port_id)

    def numbers(self, host_name: str) -> dict[str, int]:
        """Return the numbers of a host's groups, on whatever port; asked now."""
        found = {}
        for port in self._facts.ports():
            for group in self.listed(port.id):
                if group.get("hostGroupName") == host_name:
                    found[port.id] = objects.number(group, "hostGroupNumber")
        return found

    def initiators_of(self, port: Port, number: int) -> list[str]:
        """Return the initiators that are registered in a group."""
        return [_address(item, port.protocol) for item in self._client.items(_resource(port), **_in_group(port, number))]

    def every_initiator(self) -> list[InitiatorFacts]:
        """Return every registered initiator; whether it is logged in is not told here."""
        found: dict[tuple[str, str], InitiatorFacts] = {}
        for port in self._facts.ports():
            numbers = [str(objects.number(group, "hostGroupNumber")) for group in self.listed(port.id)]
            for start in range(0, len(numbers), _NUMBERS_PER_QUERY):
                chosen = ",".join(numbers[start : start + _NUMBERS_PER_QUERY])
                for item in self._client.items(_resource(port), portId=port.id, hostGroupNumberList=chosen):
                    address, host = _address(item, port.protocol), str(objects.field(item, "hostGroupName"))
                    found[address, host] = InitiatorFacts(address, port.protocol, online=False, host=host)
        return list(found.values())

    # Building

    def _build(self, host: Host, host_name: str, ports: Collection[Port], wanted: Collection[str]) -> dict[str, _Group]:
        groups: dict[str, _Group] = {}
        number: int | None = None
        stands = False
        try:
            for port in ports:
                # An iSCSI target's CHAP mode has to be read of those that stand; so a look comes first there.
                look = stands or (port.protocol is Protocol.ISCSI and not groups)
                group = (self._known(port, host_name) if look else None) or self._make(port, host_name, number)
                groups[port.id] = group
                number, stands = number or group.number, stands or not group.is_new
                self._complete(group, host, host_name, wanted)
        except (InUse, InvalidRequest, LimitReached, VendorError):
            for group in groups.values():
                if group.is_new:
                    # One that another call has used meanwhile stays.
                    with suppress(VendorError, NotFound, Busy):
                        self._client.delete(f"host-groups/{group.port.id},{group.number}")
            raise
        return groups

    def _known(self, port: Port, host_name: str) -> _Group | None:
        """Return a host's group that has initiators: the array tells both in one answer."""
        items = self._client.items(_resource(port), portId=port.id, hostGroupName=host_name)
        if not items:
            return None
        number = objects.number(items[0], "hostGroupNumber")
        return _Group(port, number, is_new=False, initiators={_address(item, port.protocol) for item in items})

    def _make(self, port: Port, host_name: str, number: int | None) -> _Group:
        """Make a host's group, under that number if it can be; adopt the one of that name."""
        body: dict[str, object] = {"portId": port.id, "hostGroupName": host_name, **self._mode}
        if port.protocol is Protocol.ISCSI:
            body["iscsiName"] = self.target(host_name)
        for wanted in (number, None) if number is not None else (None,):
            chosen = body if wanted is None else body | {"hostGroupNumber": wanted}
            try:
                made = self._client.create("host-groups", chosen)
            except AlreadyExists:
                if (group := self._known(port, host_name) or self._empty(port, host_name)) is not None:
                    return group
            else:
                return _Group(port, int(made.rpartition(",")[2]), is_new=True)
        raise Busy(f"Another process is making or removing the host group {host_name!r} on port {port.id}.")

    def _empty(self, port: Port, host_name: str) -> _Group | None:
        for group in self.listed(port.id):
            if group.get("hostGroupName") == host_name:
                return _Group(port, objects.number(group, "hostGroupNumber"), is_new=False)
        return None

    @property
    def _mode(self) -> dict[str, object]:
        return {"hostMode": self._options.host_mode, "hostModeOptions": list(self._options.host_mode_options)}

    def _complete(self, group: _Group, host: Host, host_name: str, wanted: Collection[str]) -> None:
        for address in sorted(set(wanted) - group.initiators):
            self._add(group, address, host.name)
        if group.port.protocol is Protocol.ISCSI:
            self._set_chap(group, host_name, host.chap)

    def _add(self, group: _Group, address: str, host: str) -> None:
        port = group.port
        key = "iscsiName" if port.protocol is Protocol.ISCSI else "hostWwn"
        try:
            self._client.create(_resource(port), {key: address, **_in_group(port, group.number)})
        except NotFound as gone:
            raise Busy(f"The host group {group.number} of port {port.id} has just gone.") from gone
        except (VendorError, AlreadyExists) as refused:
            if address in self.initiators_of(port, group.number):
                return
            if not self._is_elsewhere(port, address):
                raise
            raise refused.explained_as(
                InUse,
                f"Initiator {address} of host {host!r} is in another host group of port {port.id}; remove it there first, it is "
                "not taken away.",
            ) from refused

    def _is_elsewhere(self, port: Port, address: str) -> bool:
        numbers = [objects.number(group, "hostGroupNumber") for group in self.listed(port.id)]
        return any(address in self.initiators_of(port, number) for number in numbers)

    # CHAP

    def _set_chap(self, group: _Group, host_name: str, chap: Chap | None) -> None:
        where = f"{group.port.id},{group.number}"
        present = {} if group.is_new else self._client.read(f"host-groups/{where}")
        if not group.is_new and present.get("hostGroupName") != host_name:
            raise Busy(f"The host group {where} has just become another host's.")
        demanded = present.get("authenticationMode") == "CHAP"
        if chap is None and not demanded:
            return
        users = set() if group.is_new else self._chap_users(group)
        if chap is not None:
            self._set_chap_user(group, chap, users)
        mode = "NONE" if chap is None else "CHAP"
        direction = {"authenticationMode": mode, "iscsiTargetDirection": "S"}
        self._client.change(f"host-groups/{where}", {**self._mode, **direction})
        for user in users - ({chap.username} if chap else set()):
            self._client.delete(f"chap-users/{where},{_HOST_SIDE},{quote(user, safe='')}")

    def _chap_users(self, group: _Group) -> set[str]:
        items = self._client.items("chap-users", **_in_group(group.port, group.number))
        return {str(item["chapUserName"]) for item in items if item.get("wayOfChapUser") == _HOST_SIDE}

    def _set_chap_user(self, group: _Group, chap: Chap, users: Collection[str]) -> None:
        if chap.username not in users:
            body = {"chapUserName": chap.username, "wayOfChapUser": _HOST_SIDE, **_in_group(group.port, group.number)}
            try:
                self._client.create("chap-users", body)
            except (VendorError, AlreadyExists):
                # Another process may have been quicker, or an answer was lost.
                if chap.username not in self._chap_users(group):
                    raise
        where = f"chap-users/{group.port.id},{group.number},{_HOST_SIDE},{quote(chap.username, safe='')}"
        self._client.change(where, {"chapPassword": chap.secret})

    # Removing

    def remove(self, host_name: str) -> None:
        """Remove a host's groups; `InUse` while one of them has LU paths, `NotFound` where there are none."""
        self.forget(host_name)
        numbers = self.numbers(host_name)
        if not numbers:
            raise NotFound(f"The array has no host group {host_name!r}.")
        for port_id, number in numbers.items():
            self._refuse_used(host_name, port_id, number)
        for port_id, number in numbers.items():
            try:
                self._client.delete(f"host-groups/{port_id},{number}")
            except NotFound:
                continue
            except VendorError as refused:
                self._refuse_used(host_name, port_id, number, refused)
                raise

    def luns(self, port_id: str, number: int) -> set[int]:
        """Return the LUNs that a group uses."""
        listed = self._client.items("luns", portId=port_id, hostGroupNumber=number, isBasicLunInformation="true")
        return {objects.number(item, "lun") for item in listed}

    def _refuse_used(self, host_name: str, port_id: str, number: int, cause: BlockDriversError | None = None) -> None:
        if self.luns(port_id, number):
            raise InUse(f"Host {host_name!r} still has exports; take them away first.") from cause

    def is_unfinished(self, numbers: Mapping[str, int]) -> bool:
        """Tell whether a host's groups are what a cut-off first export, or removal, has left: without initiators, or on some ports only."""
        ports = {port.id: port for port in self._facts.ports()}
        if any(not self.initiators_of(ports[port_id], number) for port_id, number in numbers.items()):
            return True
        for protocol in (Protocol.ISCSI, Protocol.FC):
            there = [port_id for port_id in numbers if ports[port_id].protocol is protocol]
            if there and len(there) < len(self._facts.ports_of(protocol)):
                return not any(self.luns(port_id, numbers[port_id]) for port_id in there)
        return False


def _initiators(host: Host, protocol: Protocol) -> frozenset[str]:
    # The array spells initiators in lower case (sheet, section 2).
    return frozenset((str(host.iqn).lower(),)) if protocol is Protocol.ISCSI else frozenset(host.wwpns)


def _resource(port: Port) -> str:
    return "host-iscsis" if port.protocol is Protocol.ISCSI else "host-wwns"


def _address(item: Object, protocol: Protocol) -> str:
    return str(objects.field(item, "iscsiName" if protocol is Protocol.ISCSI else "hostWwn")).lower()


def _in_group(port: Port, number: int) -> dict[str, object]:
    return {"portId": port.id, "hostGroupNumber": number}
