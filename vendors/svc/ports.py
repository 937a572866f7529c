"""Target ports and the ways to them. Source: IBM sheet, section 3.2; Inspur sheet, 3.1."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import IscsiTarget, Port, Protocol
from vendors.svc.client import SvcClient
from vendors.svc.grammar import Ask, Section
from vendors.svc.options import SvcOptions
from vendors.svc.variants import Features

ISCSI_PORT = 3260

_INTERNAL = frozenset(f"172.16.2.{last}" for last in (32, 33, 42, 43, 52, 53))
"""Addresses of a NAS cluster inside InStorage systems, which are no portals (Inspur sheet, section 3.1)."""
_LINKED = frozenset({"configured", "online"})


@dataclass(frozen=True, slots=True)
class Portal:
    """An iSCSI address and the node behind it."""

    target: IscsiTarget
    io_group: str
    node: str
    up: bool


@dataclass(frozen=True, slots=True)
class _Facts:
    portals: tuple[Portal, ...]
    fc: tuple[Port, ...]


class Ports:
    """The target ports of an array; they are remembered, since they hardly ever change, and read again by `read`."""

    def __init__(self, client: SvcClient, features: Features, options: SvcOptions) -> None:
        self._client = client
        self._features = features
        self._portals = options.portals
        self._portset, self._fc_portset = options.portsets
        self._guard = threading.Lock()
        self._known: _Facts | None = None

    def read(self) -> list[Port]:
        """Return every target port as it is now."""
        facts = self._read()
        iscsi = [
            Port(f"{portal.node}/{portal.target.portal}", Protocol.ISCSI, portal.target.portal, portal.target.iqn, portal.up)
            for portal in facts.portals
        ]
        return [*iscsi, *facts.fc]

    def targets(self, io_groups: frozenset[str]) -> tuple[IscsiTarget, ...]:
        """Return the portals of the nodes that show a LUN: those of its I/O groups (Inspur sheet, trap 8)."""
        wanted = self._portals
        found = tuple(
            portal.target
            for portal in self._facts().portals
            if portal.up
            and (not io_groups or portal.io_group in io_groups)
            and (wanted is None or portal.target.portal.rpartition(":")[0].strip("[]") in wanted)
        )
        if not found:
            said = "" if wanted is None else f" of {', '.join(wanted)}"
            raise InvalidRequest(
                f"The array has no iSCSI portal{said} that shows this volume; configure one, or check the portset."
            )
        return found

    def reachable(self, rows: Sequence[Section], initiators: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the target ports that each FC initiator is logged in to, from rows of ``lsfabric``."""
        usable = {port.address for port in self._facts().fc}
        paths: dict[str, set[str]] = {initiator: set() for initiator in initiators}
        for row in rows:
            remote, local = row.text("remote_wwpn").lower(), row.text("local_wwpn").lower()
            if remote in paths and (local in usable or not usable):
                paths[remote].add(local)
        return {initiator: tuple(sorted(ports)) for initiator, ports in paths.items()}

    def _facts(self) -> _Facts:
        with self._guard:
            known = self._known
        return known or self._read()

    def _read(self) -> _Facts:
        flags = {"filtervalue": f"portset_name={self._portset}"} if self._features.ip_table == "lsip" else {}
        asks = [Ask("lsnode"), Ask(self._features.ip_table, flags=dict(flags)), Ask(self._features.target_ports)]
        if self._features.fc_portsets:
            asks.append(Ask("lsfcportsetmember"))
        nodes, addresses, ports, *members = self._client.read(*asks)
        facts = _Facts(
            tuple(self._iscsi(nodes or (), addresses or ())), tuple(self._fc(ports or (), members[0] if members else None))
        )
        with self._guard:
            self._known = facts
        return facts

    def _iscsi(self, nodes: Sequence[Section], addresses: Sequence[Section]) -> Iterator[Portal]:
        online = {node.text("id"): node for node in nodes if node.get("status") == "online"}
        for row in addresses:
            node = online.get(row.text("node_id"))
            if node is None:
                continue
            for address in _host_addresses(row):
                shown = f"[{address}]" if ":" in address else address
                target = IscsiTarget(f"{shown}:{ISCSI_PORT}", node.text("iscsi_name"))
                yield Portal(target, node.get("IO_group_id"), node.get("name"), _is_linked(row))

    def _fc(self, rows: Sequence[Section], members: Sequence[Section] | None) -> Iterator[Port]:
        allowed = None
        if members is not None:
            allowed = {row.text("fc_io_port_id") for row in members if row.get("portset_name") == self._fc_portset}
        for row in rows:
            virtual = self._features.target_ports == "lstargetportfc"
            if row.get("host_io_permitted") != "yes" if virtual else row.get("type") != "fc":
                continue
            if allowed is not None and row.get("fc_io_port_id") not in allowed:
                continue
            node = row.get("current_node_id") or row.get("node_id")
            up = virtual or row.get("status") == "active"
            yield Port(row.text("id"), Protocol.FC, row.text("WWPN").lower(), up=up, controller=node or None)


def _host_addresses(row: Section) -> Iterator[str]:
    """Yield a port's addresses that hosts may use; only some levels say which, for either kind in a field of its own."""
    for field, permitted in (("IP_address", "host"), ("IP_address_6", "host_6")):
        address = row.get(field)
        if address and address not in _INTERNAL and (permitted not in row or row.get(permitted) == "yes"):
            yield address


def _is_linked(row: Section) -> bool:
    """Tell whether a port is up; the newer table lists no state."""
    if "state" not in row:
        return True
    return row.get("state") in _LINKED and row.get("link_state") in {"", "active"}
