"""Hosts, their paths, and the VLUNs through which they see volumes. Source: protocol sheet, sections 3.9, 3.10 and 3.12.

A volume is exported as *host sees*: one template, on every port, under a LUN id that the array chooses. Templates of other kinds
(matched sets, ports, host sets, volume sets), made by others, are listed, and taken away where a template names the host itself.
Nothing is remembered of hosts but that they were seen, and that decides only what is tried first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from blockdrivers.errors import AlreadyExists, Busy, InUse, InvalidRequest, LimitReached, NotFound, VendorError
from blockdrivers.model import Chap, Host, Protocol
from vendors.hpe import codes, objects
from vendors.hpe.client import Object, WsapiClient
from vendors.hpe.objects import VlunType

_ADD, _REMOVE = 1, 2
_INITIATOR = 1
_LINUX = "Linux"
MAX_LUN: Final = 16383
_AFTER_PROTOCOL_ENDPOINT: Final = 257
"""The first LUN id above the one that hosts with the persona of VMware keep to themselves (sheet, trap 7)."""


@dataclass(frozen=True, slots=True)
class Vlun:
    """A row of the array's VLUNs: a template as it was made, or a path that is in use because of one."""

    volume: str
    wwn: str | None
    lun: int
    host: str
    """Name of a host, ``set:`` and the name of a host set, or empty where a port alone is exported to."""
    port: str | None
    type: int
    active: bool

    @property
    def path(self) -> str:
        """What the array calls the template."""
        return ",".join([self.volume, str(self.lun), self.host, *([self.port] if self.port else [])])

    @property
    def seen_by(self) -> str:
        """Whom it lets see the volume: a host or host set, or a port as ``port:`` and its position."""
        return self.host or f"port:{self.port}"


@dataclass(frozen=True, slots=True)
class Registered:
    """A host object that stands with all of a host's initiators."""

    name: str
    is_new: bool
    paths: Object
    """The host as the array has it; empty where it was made just now and not read."""


class Hosts:
    """Host objects and their paths."""

    def __init__(self, client: WsapiClient, persona: int) -> None:
        self._client = client
        self._persona = persona
        self._guard = threading.Lock()
        self._seen: set[str] = set()

    def read(self, name: str) -> Object:
        """Return a host, or raise `NotFound`."""
        return self._client.read("hosts", name)

    def register(self, host: Host, name: str, protocol: Protocol, description: str) -> Registered:
        """Make sure that the host object stands and holds the host's initiators and CHAP credentials."""
        registered = self._host_object(host, name, protocol, description)
        if protocol is Protocol.ISCSI:
            self._set_chap(registered, host.chap)
        with self._guard:
            self._seen.add(name)
        return registered

    def remove(self, name: str) -> None:
        """Remove a host without exports; the array refuses where it has some, or is in a host set."""
        with self._guard:
            self._seen.discard(name)
        try:
            self._client.delete("hosts", name)
        except InUse as refused:
            raise refused.explained_as(
                InUse,
                f"Host {name!r} still has exports, or is a member of a host set; take them away first.",
            ) from refused

    def _host_object(self, host: Host, name: str, protocol: Protocol, description: str) -> Registered:
        with self._guard:
            known = name in self._seen
        if known:
            try:
                return self._completed(self.read(name), host, name, protocol)
            except NotFound:
                with self._guard:
                    self._seen.discard(name)
        body = {
            "name": name,
            "persona": self._persona,
            "descriptors": {"os": _LINUX, "comment": description},
            **_paths(host, protocol),
        }
        try:
            self._client.post("hosts", body=body)
        except AlreadyExists as taken:
            return self._completed(self._the_one_in_the_way(name, host, protocol, taken), host, name, protocol)
        return Registered(name, is_new=True, paths={})

    def _the_one_in_the_way(self, name: str, host: Host, protocol: Protocol, taken: AlreadyExists) -> Object:
        """Return the host of that name where the array found the name taken, and not a path."""
        try:
            return self.read(name)
        except NotFound:
            raise self._belongs_elsewhere(host, protocol, taken) from taken

    def _completed(self, found: Object, host: Host, name: str, protocol: Protocol) -> Registered:
        """Add the paths that a host object lacks."""
        there = {facts.address for facts in objects.initiators(found)}
        wanted = [host.iqn] if protocol is Protocol.ISCSI and host.iqn else list(host.wwpns)
        missing = [address for address in wanted if address not in there]
        if not missing:
            return Registered(name, is_new=False, paths=found)
        try:
            self._client.put("hosts", name, body={"pathOperation": _ADD, _member(protocol): _spelled(missing, protocol)})
        except AlreadyExists as taken:
            now = self.read(name)
            if {facts.address for facts in objects.initiators(now)}.issuperset(missing):
                return Registered(name, is_new=False, paths=now)
            raise self._belongs_elsewhere(host, protocol, taken) from taken
        return Registered(name, is_new=False, paths=self.read(name))

    def _belongs_elsewhere(self, host: Host, protocol: Protocol, taken: AlreadyExists) -> InUse:
        wanted = [host.iqn] if protocol is Protocol.ISCSI and host.iqn else list(host.wwpns)
        owners = sorted(
            {
                f"{facts.address} to {facts.host!r}"
                for item in self._client.members("hosts")
                for facts in objects.initiators(item)
                if facts.address in wanted
            }
        )
        return taken.explained_as(
            InUse,
            f"Initiators of host {host.name!r} belong to other hosts of the array ({', '.join(owners) or 'unknown which'}); "
            "remove them there first, they are not taken away.",
        )

    def _set_chap(self, host: Registered, chap: Chap | None) -> None:
        """Put these credentials on a host, or take away those that it has; the array never shows them."""
        if chap is not None:
            body = {
                "chapOperation": _ADD,
                "chapOperationMode": _INITIATOR,
                "chapName": chap.username,
                "chapSecret": chap.secret,
            }
            self._client.put("hosts", host.name, body=body)
        elif host.paths.get("initiatorChapEnabled"):
            self._client.put("hosts", host.name, body={"chapOperation": _REMOVE})


class Vluns:
    """Who sees which volume under which LUN id."""

    def __init__(self, client: WsapiClient) -> None:
        self._client = client

    def of_volume(self, name: str) -> list[Vlun]:
        """Return templates and paths in use of a volume or snapshot; none where it does not exist."""
        return [row for row in self._rows(f"volumeName EQ {name}") if row.volume == name]

    def every(self) -> list[Vlun]:
        """Return every template and path in use of the array."""
        return list(self._rows(""))

    def ensure(self, name: str, host: Registered) -> Vlun:
        """Let a host see a volume and return the template; the one that is there already counts."""
        found = None if host.is_new else self._template(name, host.name)
        if found is not None:
            return found
        made = self._create(name, host.name)
        chosen = self._template(name, host.name)
        if chosen is None:
            raise Busy(f"The export of {name!r} to {host.name!r} was taken away while it was made.")
        if chosen.path != made:
            # Two calls at once made one each, which both see: the one with the higher LUN id gives way.
            self._drop(made)
        return chosen

    def _create(self, name: str, host: str) -> str:
        """Let the array choose a LUN id, and return what it calls the template."""
        try:
            return self._post(name, host, 0)
        except AlreadyExists as taken:
            raise Busy(f"Another call exports {name!r} to {host!r}, or takes the LUN id.") from taken
        except InvalidRequest as refused:
            if refused.vendor_code != str(codes.LUN_OF_PERSONA):
                raise
            return self._post(name, host, _AFTER_PROTOCOL_ENDPOINT)
        except VendorError as refused:
            # The number of the refusal for a host without a free LUN id is unknown.
            if len({row.lun for row in self._rows(f"hostname EQ {host}")}) <= MAX_LUN:
                raise
            raise refused.explained_as(
                LimitReached,
                f"Host {host!r} has no LUN id left; unexport something from it.",
            ) from refused

    def _post(self, name: str, host: str, first: int) -> str:
        body = {"volumeName": name, "lun": first, "autoLun": True, "maxAutoLun": 0, "hostname": host}
        return self._client.post("vluns", body=body)

    def remove(self, name: str, host: str) -> None:
        """Take a volume away from a host; `NotFound` where it was not exported to it."""
        rows = [row for row in self.of_volume(name) if row.seen_by == host]
        templates = [row for row in rows if not row.active]
        if rows and not templates:
            raise InUse(
                f"{name!r} is exported to {host!r} through a set of volumes or of hosts; take it out of that set on the array."
            )
        if not rows:
            raise NotFound(f"{name!r} is not exported to {host!r}.")
        for row in templates:
            self._drop(row.path)

    def _template(self, name: str, host: str) -> Vlun | None:
        return _lowest(self.of_volume(name), host)

    def _drop(self, path: str) -> None:
        try:
            self._client.delete("vluns", path)
        except NotFound:
            return

    def _rows(self, query: str) -> Iterator[Vlun]:
        for item in self._client.members("vluns", query=query):
            yield Vlun(
                volume=objects.text(item, "volumeName"),
                wwn=objects.wwn(item, "volumeWWN"),
                lun=objects.number(item, "lun"),
                host=str(item.get("hostname") or ""),
                port=objects.position(item),
                type=objects.number(item, "type", VlunType.HOST),
                active=bool(item.get("active")),
            )


def _lowest(rows: Sequence[Vlun], host: str) -> Vlun | None:
    """Return the template that lets a host see a volume; of several the one with the lowest LUN id."""
    own = [row for row in rows if not row.active and row.host == host]
    return min(own, key=lambda row: (row.lun, row.port or ""), default=None)


def _paths(host: Host, protocol: Protocol) -> Object:
    if protocol is Protocol.ISCSI:
        return {_member(protocol): [host.iqn]}
    return {_member(protocol): _spelled(host.wwpns, protocol)}


def _member(protocol: Protocol) -> str:
    return "iSCSINames" if protocol is Protocol.ISCSI else "FCWWNs"


def _spelled(addresses: Sequence[str], protocol: Protocol) -> list[str]:
    return [address.upper() if protocol is Protocol.FC else address for address in addresses]
