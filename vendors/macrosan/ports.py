"""Target ports, and the targets on them. Source: protocol sheet, section 3.4."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import Protocol
from vendors.macrosan import objects
from vendors.macrosan.client import REFUSALS, DevopClient
from vendors.macrosan.objects import TargetPort
from vendors.macrosan.options import MacroSanOptions


class Ports:
    """The ports of an array's service processors."""

    def __init__(self, client: DevopClient, options: MacroSanOptions) -> None:
        self._client = client
        self._wanted = {Protocol.ISCSI: options.iscsi_ports, Protocol.FC: options.fc_ports}
        self._guard = threading.Lock()
        self._portals: tuple[TargetPort, ...] | None = None

    def read(self, protocol: Protocol) -> list[TargetPort]:
        """Return the ports of a protocol as they are now; iSCSI ports without an address are none."""
        if protocol is Protocol.ISCSI:
            found = [objects.iscsi_port(item) for item in self._client.records("initiator", "iscsi_ports")]
        else:
            found = [objects.fc_port(item) for item in self._client.records("initiator", "fc_ports")]
        return [port for port in found if port.address]

    def forget(self) -> None:
        """Drop what is remembered of the iSCSI ports."""
        with self._guard:
            self._portals = None

    def with_targets(self, protocol: Protocol) -> Sequence[TargetPort]:
        """Return the ports that hosts are to use, with a target each; what iSCSI ports are there is asked once.

        Raises `InvalidRequest` where the array has none of those that are configured.
        """
        with self._guard:
            known = self._portals
        if protocol is Protocol.ISCSI and known is not None:
            return known
        ports = self._usable(protocol)
        bare = [port for port in ports if not port.target]
        for port in bare:
            self._make_target(port)
        if bare:
            ports = self._usable(protocol)
        if protocol is Protocol.ISCSI:
            with self._guard:
                self._portals = tuple(ports)
        return ports

    def _usable(self, protocol: Protocol) -> list[TargetPort]:
        wanted = self._wanted[protocol]
        found = [port for port in self.read(protocol) if wanted is None or port.port in wanted]
        missing = set(wanted or ()) - {port.port for port in found}
        if missing or not found:
            named = f" {', '.join(sorted(missing))}" if missing else ""
            raise InvalidRequest(f"The array has no {protocol.label} port{named} with an address; check its configuration.")
        return sorted((port for port in found if port.online), key=lambda port: port.port)

    def _make_target(self, port: TargetPort) -> None:
        try:
            self._client.post("target", port_name=port.port, type=str(port.protocol))
        except REFUSALS:
            # Another call may have been quicker.
            if not any(found.port == port.port and found.target for found in self.read(port.protocol)):
                raise
