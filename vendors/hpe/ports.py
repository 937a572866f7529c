"""The ports that hosts reach. Source: protocol sheet, section 3.10 and trap 12."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import IscsiTarget, Port, Protocol
from vendors.hpe import objects
from vendors.hpe.client import WsapiClient

_KEPT_SECONDS: Final = 60.0
"""How long ports are believed to be as they were read: a node that restarts takes its portals away and brings them back."""


class Ports:
    """The target ports of an array; read again when they are a minute old, or an answer names one that is not known."""

    def __init__(self, client: WsapiClient, portals: Collection[str] | None) -> None:
        self._client = client
        self._portals = portals
        self._guard = threading.Lock()
        self._known: tuple[Port, ...] = ()
        self._read_at = 0.0

    def read(self) -> Sequence[Port]:
        """Return every port as it is now."""
        begun, found = time.monotonic(), tuple(self._read())
        with self._guard:
            self._known, self._read_at = found, begun
        return found

    def fc(self, named: Collection[str] = ()) -> Mapping[str, str]:
        """Return position -> WWPN of the FC ports that are up; read anew where one of these positions is not known."""
        known = self._fc_of(self._remembered())
        return known if known.keys() >= set(named) else self._fc_of(self.read())

    def iscsi(self, where: Collection[str | None], *, needed: bool) -> tuple[IscsiTarget, ...]:
        """Return the iSCSI portals at some positions, or at all where None is among them; only configured ones.

        Raises `InvalidRequest` where there are none and one is `needed`.
        """
        found = tuple(
            IscsiTarget(port.address, port.iqn or "")
            for port in self._remembered()
            if port.protocol is Protocol.ISCSI and port.up and (None in where or port.id in where) and self._is_wanted(port)
        )
        if needed and not found:
            raise InvalidRequest(
                f"The array has no iSCSI portal{'' if self._portals is None else ' of ' + ', '.join(self._portals)}."
            )
        return found

    def _is_wanted(self, port: Port) -> bool:
        return self._portals is None or port.address.rpartition(":")[0] in self._portals

    def _remembered(self) -> Sequence[Port]:
        with self._guard:
            known = self._known if time.monotonic() - self._read_at < _KEPT_SECONDS else ()
        return known or self.read()

    @staticmethod
    def _fc_of(ports: Sequence[Port]) -> Mapping[str, str]:
        return {port.id: port.address for port in ports if port.protocol is Protocol.FC and port.up}

    def _read(self) -> Iterator[Port]:
        for where, item, protocol in objects.host_ports(self._client.members("ports")):
            if protocol is Protocol.FC:
                yield objects.fc_port(where, item)
                continue
            addresses = [str(item.get("IPAddr", ""))]
            if objects.number(objects.inner(item, "iSCSIPortInfo"), "vlan", 0):
                vlans = objects.entries(self._client.read("ports", where, "iSCSIVlans"), "iSCSIVlans")
                addresses += [objects.text(vlan, "IPAddr") for vlan in vlans]
            for address in addresses:
                if address not in {"", objects.NO_ADDRESS}:
                    yield objects.iscsi_port(where, item, address)
