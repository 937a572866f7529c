"""Igroups, their initiators and CHAP. Source: protocol sheet, section 3.4.

One igroup per host, of both protocols, under the host's name; it stays for the host's next export. The array lets an initiator be
in several igroups; here one that is in a foreign igroup is refused, since its LUN numbers would meet.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from blockdrivers.errors import AlreadyExists, InUse, NotFound
from blockdrivers.model import Chap, Host, InitiatorFacts, Protocol
from vendors.netapp import objects
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.objects import COMMENT_LENGTH

IGROUPS: Final = "protocols/san/igroups"
_CREDENTIALS: Final = "protocols/san/iscsi/credentials"
_ISCSI_NAMES: Final = ("iqn.", "eui.", "naa.")


@dataclass(frozen=True, slots=True)
class Registration:
    """What this process has seen of a host; believed only while the igroup of that name still has that uuid."""

    uuid: str
    initiators: frozenset[str]
    chap: Chap | None = None
    chap_known: bool = False
    """Whether `chap` is what the array has."""


class Hosts:
    """The igroups of one SVM that are hosts of this library, and everybody's initiators."""

    def __init__(self, client: OntapClient, portset: str | None) -> None:
        self._client = client
        self._portset = portset
        self._guard = threading.Lock()
        self._seen: dict[str, Registration] = {}

    def register(self, host: Host, host_name: str, protocol: Protocol) -> Registration:
        """Make sure that the host's igroup stands and holds its initiators; believe what was seen of it before."""
        wanted = initiators_of(host, protocol)
        seen = self._seen.get(host_name)
        if seen is None or not wanted <= seen.initiators:
            seen = self._registered(host, host_name, wanted)
        if protocol is Protocol.ISCSI and host.iqn and not (seen.chap_known and seen.chap == host.chap):
            self._authenticate(host.iqn, host.chap, seen)
            seen = replace(seen, chap=host.chap, chap_known=True)
        with self._guard:
            self._seen[host_name] = seen
        return seen

    def forget(self, host_name: str) -> None:
        """Drop what was seen of a host."""
        with self._guard:
            self._seen.pop(host_name, None)

    def remove(self, host_name: str) -> None:
        """Remove an igroup without maps, after the credentials of its initiators; `NotFound`, `InUse`."""
        self.forget(host_name)
        group = self._igroup(host_name, "name,uuid,initiators.name,lun_maps.lun.name")
        if group is None:
            raise NotFound(f"The array has no igroup {host_name!r}.")
        if objects.value(group, "lun_maps", []):
            raise InUse(f"Host {host_name!r} still has exports; take them away first.")
        for initiator in sorted(_members(group)):
            if initiator.startswith(_ISCSI_NAMES):
                self._client.change_own("DELETE", _CREDENTIALS, initiator=initiator)
        self._client.change("DELETE", f"{IGROUPS}/{objects.text(group, 'uuid')}")

    def initiators(self, logged_in: Sequence[tuple[str, Protocol]]) -> list[InitiatorFacts]:
        """Return every initiator that is in an igroup or logged in, as (address, protocol) of `logged_in` tells."""
        hosts: dict[tuple[str, Protocol], str] = {}
        for group in self._client.own(IGROUPS, fields="name,initiators.name"):
            for name in _members(group):
                hosts[_address(name)] = objects.text(group, "name")
        online = set(logged_in)
        return [
            InitiatorFacts(address, protocol, (address, protocol) in online, hosts.get((address, protocol)))
            for address, protocol in sorted({*hosts, *online})
        ]

    def bare(self) -> list[str]:
        """Return the names of igroups without initiators."""
        return [
            objects.text(group, "name")
            for group in self._client.own(IGROUPS, fields="name,initiators.name")
            if not _members(group)
        ]

    def _registered(self, host: Host, host_name: str, wanted: frozenset[str]) -> Registration:
        groups = list(
            self._client.own(IGROUPS, **{"initiators.name": "|".join(sorted(wanted)), "fields": "name,uuid,initiators.name"})
        )
        own = next((group for group in groups if group.get("name") == host_name), None)
        for group in groups:
            if group is not own and (theirs := sorted(_members(group) & wanted)):
                raise InUse(
                    f"Initiator {', '.join(theirs)} belongs to the array's igroup {objects.text(group, 'name')!r}; "
                    "remove it there first, it is not taken away."
                )
        if own is None:
            try:
                return Registration(self._make(host, host_name, wanted), wanted, None, chap_known=True)
            except AlreadyExists:
                own = self._igroup(host_name, "name,uuid,initiators.name")
                if own is None:
                    raise
        uuid, members = objects.text(own, "uuid"), _members(own)
        self._add(uuid, wanted - members)
        return Registration(uuid, members | wanted)

    def _make(self, host: Host, host_name: str, wanted: frozenset[str]) -> str:
        body: dict[str, object] = {
            "name": host_name,
            "protocol": "mixed",
            "os_type": "linux",
            "comment": host.name.encode("ascii", "replace").decode()[:COMMENT_LENGTH],
            "initiators": [{"name": name} for name in sorted(wanted)],
        }
        if self._portset is not None:
            body["portset"] = {"name": self._portset}
        return objects.text(self._client.make(IGROUPS, body), "uuid")

    def _add(self, uuid: str, missing: frozenset[str]) -> None:
        for name in sorted(missing):
            try:
                self._client.change("POST", f"{IGROUPS}/{uuid}/initiators", {"name": name})
            except AlreadyExists:
                continue

    def _igroup(self, host_name: str, fields: str) -> Record | None:
        found = self._client.own(IGROUPS, name=host_name, fields=fields)
        return next((group for group in found if group.get("name") == host_name), None)

    def _authenticate(self, iqn: str, chap: Chap | None, seen: Registration) -> None:
        """Let the array demand exactly these credentials of an initiator; it never tells a secret, so one is always set anew."""
        if chap is None:
            if seen.chap_known and seen.chap is None:
                return
            if any(self._client.own(_CREDENTIALS, initiator=iqn, fields="authentication_type")):
                self._client.change_own("DELETE", _CREDENTIALS, initiator=iqn)
            return
        inbound = {"chap": {"inbound": {"user": chap.username, "password": chap.secret}}, "authentication_type": "chap"}
        try:
            self._client.make(_CREDENTIALS, {"initiator": iqn, **inbound})
        except AlreadyExists:
            self._client.change_own("PATCH", _CREDENTIALS, inbound, initiator=iqn)


def initiators_of(host: Host, protocol: Protocol) -> frozenset[str]:
    """Return a host's initiators as the array writes them."""
    if protocol is Protocol.ISCSI:
        return frozenset({str(host.iqn)})
    return frozenset(map(objects.with_colons, host.wwpns))


def is_of(initiator: str, protocol: Protocol) -> bool:
    """Tell whether an initiator, as the array writes it, uses a protocol."""
    return initiator.startswith(_ISCSI_NAMES) == (protocol is Protocol.ISCSI)


def _members(group: Record) -> frozenset[str]:
    return frozenset(objects.text(item, "name") for item in objects.value(group, "initiators", []))


def _address(name: str) -> tuple[str, Protocol]:
    return (name, Protocol.ISCSI) if is_of(name, Protocol.ISCSI) else (objects.wwpn(name), Protocol.FC)
