"""Hosts, their ports and what they see. Source: IBM sheet, section 3.7; Inspur sheet, 3.5.

Hosts and volumes are addressed by name throughout, so an id that was reused can never lead to the wrong one. A host is made with its
ports in one command and stays for its next export.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from blockdrivers.errors import AlreadyExists, BlockDriversError, Busy, InUse, NotFound, StaleReference
from blockdrivers.model import Chap, Host, InitiatorFacts, Protocol
from blockdrivers.transport.command import Secret
from vendors.svc import codes
from vendors.svc.client import SvcClient
from vendors.svc.grammar import Ask, Call, Flag, Section

_TOGETHER = 16
"""Hosts that are asked for on one line."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What this process has seen of a host; believed while the host of that name has that id."""

    host_id: str | None = None
    ports: frozenset[str] = frozenset()
    chap: Chap | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """A volume as one host sees it."""

    host: str
    host_id: str
    lun: int
    wwn: str | None
    io_groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """What an export has come to.

    Attributes:
        seen: how the host sees the volume.
        answers: what was asked for besides.
        mapped: whether the mapping is this call's.
        made: whether the host is.
    """

    seen: Seen
    answers: Sequence[Sequence[Section]]
    mapped: bool
    made: bool


class Hosts:
    """The hosts of an array."""

    def __init__(self, client: SvcClient, portset: str | None) -> None:
        self._client = client
        self._portset: Mapping[str, Flag] = {} if portset is None else {"portset": portset}
        self._guard = threading.Lock()
        self._seen: dict[str, Registration] = {}

    # Exports

    def export(self, volume: str, host: Host, name: str, protocol: Protocol, *asks: Ask) -> Shown:
        """Let a host see a volume, making the host on the way; `asks` go along with the last command.

        Raises:
            NotFound: no such volume.
            InUse: a port belongs to another host.
            StaleReference: the host that was remembered has gone, or is another one; a repeat registers it again.
        """
        made = self._register(host, name, protocol)
        call = Call("mkvdiskhostmap", volume, {"force": True, "host": name}, changes=True)
        try:
            mapped, rows, answers = self._mapped(call, volume, *asks)
            seen = next((each for each in _seen(rows) if each.host == name), None)
            if seen is None:
                raise Busy(f"The mapping of {volume!r} to host {name!r} was taken away while it was made.")
            self._confirm(name, seen.host_id)
        except NotFound:
            self._explain_absence(volume, name, made=made)
            raise
        except BlockDriversError as error:
            if made and not isinstance(error, StaleReference):
                self._undo_refused(name, error)
            raise
        return Shown(seen, answers, mapped, made)

    def take_back(self, volume: str, name: str, shown: Shown) -> None:
        """Undo an export as far as it was that call's."""
        if shown.mapped:
            with suppress(NotFound):
                self.unexport(volume, name)
        if shown.made:
            self._remove_unused(name)

    def unexport(self, volume: str, name: str) -> None:
        """Take a volume away from a host; `NotFound` where it was not mapped to it."""
        self._client.change("rmvdiskhostmap", volume, host=name)

    def seen(self, volume: str) -> list[Seen]:
        """Return every host that sees a volume, or raise `NotFound` where there is no such volume."""
        found = self._client.read(Ask("lsvdiskhostmap", volume))[0]
        if found is None:
            raise NotFound(f"The array has no volume {volume!r}.")
        return list(_seen(found))

    def _mapped(self, call: Call, volume: str, *asks: Ask) -> tuple[bool, Sequence[Section], Sequence[Sequence[Section]]]:
        """Map a volume; return whether it was not mapped before, its mappings, and what was asked for besides."""
        refused, (rows, *others) = self._client.try_and_read(call, Ask("lsvdiskhostmap", volume), *asks)
        if refused is not None and refused.vendor_code != codes.MAPPED_ALREADY:
            raise refused
        if rows is None:
            raise NotFound(f"The array has no volume {volume!r}.")
        return refused is None, rows, [found or () for found in others]

    def _confirm(self, name: str, host_id: str) -> None:
        """Keep the id of a host that was registered, or drop what was remembered of one that is another now."""
        with self._guard:
            known = self._seen.get(name, Registration())
            if known.host_id is None:
                self._seen[name] = Registration(host_id, known.ports, known.chap)
                return
            if known.host_id == host_id:
                return
            del self._seen[name]
        raise StaleReference(f"The array's host {name!r} is another one than before.")

    def _explain_absence(self, volume: str, name: str, *, made: bool) -> None:
        """Raise what tells apart a volume that is absent and a host that another process has removed."""
        found, host = self._client.read(Ask("lsvdisk", volume, detail=True), Ask("lshost", name, detail=True))
        if found and not host:
            self.forget(name)
            raise StaleReference(f"The array's host {name!r} has been removed by somebody else.")
        if made and host:
            self._remove_unused(name)

    def _undo_refused(self, name: str, error: BlockDriversError) -> None:
        if not error.retryable:
            self._remove_unused(name)

    def _remove_unused(self, name: str) -> None:
        """Remove a host that was made for an export that is refused; one that is in use by now stays."""
        self.forget(name)
        with suppress(NotFound, InUse):
            self._client.change("rmhost", name)

    # Registration

    def _register(self, host: Host, name: str, protocol: Protocol) -> bool:
        """Make sure that the host stands with its ports and secret; tell whether it was made just now."""
        ports = _ports(host, protocol)
        with self._guard:
            known = self._seen.get(name)
        if known is not None and ports <= known.ports and (protocol is Protocol.FC or known.chap == host.chap):
            return False
        made = known is None and self._make(name, ports, protocol)
        chap = None if made else self._complete(name, ports, host, protocol)
        if protocol is Protocol.ISCSI and host.chap != chap:
            self._set_secret(name, host.chap)
            chap = host.chap
        with self._guard:
            before = self._seen.get(name, Registration())
            self._seen[name] = Registration(before.host_id, before.ports | ports, chap)
        return made

    def _make(self, name: str, ports: frozenset[str], protocol: Protocol) -> bool:
        try:
            self._client.change("mkhost", name=name, force=True, **_port_flags(ports, protocol), **self._portset)
        except AlreadyExists:
            return False
        return True

    def _complete(self, name: str, ports: frozenset[str], host: Host, protocol: Protocol) -> Chap | None:
        """Add the ports that a host lacks; return the credentials that it has."""
        found, secrets = self._client.read(Ask("lshost", name, detail=True), Ask("lsiscsiauth", private=True))
        if not found:
            raise InUse(
                f"An initiator of host {host.name!r} ({', '.join(sorted(ports))}) belongs to another host of the array, from which "
                "it is not taken away; remove it there first."
            )
        if missing := ports - {address for address, _ in _ports_of(found[0])}:
            try:
                self._client.change("addhostport", name, force=True, **_port_flags(frozenset(missing), protocol))
            except AlreadyExists as taken:
                raise InUse(
                    f"An initiator of host {host.name!r} ({', '.join(sorted(missing))}) belongs to another host of the array, from "
                    "which it is not taken away; remove it there first.",
                    vendor_code=taken.vendor_code,
                    vendor_text=taken.vendor_text,
                ) from taken
        row = next((row for row in secrets or () if row.get("type") == "host" and row.get("name") == name), None)
        secret = row.get("iscsi_chap_secret") if row is not None and row.get("iscsi_auth_method") == "chap" else ""
        return Chap(host.iqn or "", secret) if secret else None

    def _set_secret(self, name: str, chap: Chap | None) -> None:
        flags: dict[str, Flag] = {"nochapsecret": True} if chap is None else {"chapsecret": Secret(chap.secret)}
        self._client.change("chhost", name, **flags)

    # Hosts themselves

    def remove(self, name: str) -> None:
        """Remove a host without mappings; `NotFound` when it has gone, `InUse` while it has some."""
        self.forget(name)
        try:
            self._client.change("rmhost", name)
        except InUse as used:
            raise used.explained_as(
                InUse,
                f"Host {name!r} still has exports; take them away first.",
            ) from used

    def forget(self, name: str) -> None:
        """Drop what was seen of a host."""
        with self._guard:
            self._seen.pop(name, None)

    def details(self, names: Sequence[str]) -> Iterator[Section]:
        """Yield hosts by name, some on each line; one that has gone meanwhile is left out."""
        for begin in range(0, len(names), _TOGETHER):
            for found in self._client.read(*(Ask("lshost", name, detail=True) for name in names[begin : begin + _TOGETHER])):
                if found:
                    yield found[0]

    def initiators(self) -> list[InitiatorFacts]:
        """Return the ports of every host, and the FC initiators that are logged in and belong to none."""
        hosts, logins = self._client.read(Ask("lshost"), Ask("lsfabric"))
        names = [row.text("name") for row in hosts or ()]
        found = {
            address: InitiatorFacts(address, protocol, online=online, host=host.text("name"))
            for host in self.details(names)
            for address, protocol, online in _port_states(host)
        }
        for row in logins or ():
            address = row.text("remote_wwpn").lower()
            if row.get("type") not in {"controller", "node"}:
                found.setdefault(address, InitiatorFacts(address, Protocol.FC, online=True))
        return list(found.values())


def protocols_of(host: Section) -> dict[Protocol, list[str]]:
    """Return the initiators of a host by protocol."""
    found: dict[Protocol, list[str]] = {}
    for address, protocol in _ports_of(host):
        found.setdefault(protocol, []).append(address)
    return found


def _ports(host: Host, protocol: Protocol) -> frozenset[str]:
    return frozenset([host.iqn] if protocol is Protocol.ISCSI and host.iqn else host.wwpns)


def _port_flags(ports: frozenset[str], protocol: Protocol) -> dict[str, Flag]:
    if protocol is Protocol.ISCSI:
        return {"iscsiname": ",".join(sorted(ports))}
    return {"hbawwpn": ":".join(sorted(port.upper() for port in ports))}


def _port_states(host: Section) -> Iterator[tuple[str, Protocol, bool]]:
    for port in host.entries("WWPN", "iscsi_name"):
        online = port.get("state") in {"active", "inactive", "online"}
        if "WWPN" in port:
            yield port.text("WWPN").lower(), Protocol.FC, online
        else:
            yield port.text("iscsi_name"), Protocol.ISCSI, online


def _ports_of(host: Section) -> Iterator[tuple[str, Protocol]]:
    for address, protocol, _ in _port_states(host):
        yield address, protocol


def _seen(rows: Sequence[Section]) -> Iterator[Seen]:
    """Gather rows of ``lsvdiskhostmap``: one a host, or one for each of its I/O groups."""
    by_host: dict[str, list[Section]] = {}
    for row in rows:
        by_host.setdefault(row.text("host_name"), []).append(row)
    for name, own in by_host.items():
        first = own[0]
        groups = frozenset(row.get("IO_group_id") for row in own)
        yield Seen(name, first.text("host_id"), first.number("SCSI_id"), first.get("vdisk_UID").lower() or None, groups)
