"""Who sees a LUN. Source: protocol sheet, section 3.4.

LUNs are mapped in pairs of an initiator and a target (IT), under one LUN id in all pairs of a host. Initiators are put into a client
named after the host, for whoever looks at the array; what is mapped does not depend on it. Clients cannot be deleted here, and pairs
and initiators stay for the host's next export.

The pairs of a host are gone through in one order, so that two calls which choose the same LUN id meet at the first: the array gives
it to one of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from blockdrivers.errors import Busy, InvalidRequest, LimitReached, NotFound, StaleReference, VendorError
from blockdrivers.model import Host, Protocol
from vendors.macrosan import objects
from vendors.macrosan.client import REFUSALS, DevopClient
from vendors.macrosan.luns import Luns
from vendors.macrosan.objects import TargetPort
from vendors.macrosan.ports import Ports

_log = logging.getLogger(__name__)

MAX_LUN: Final = 510


@dataclass(frozen=True, slots=True)
class Pair:
    """An initiator, as the array spells it, and a port whose target it may use."""

    initiator: str
    port: TargetPort

    @property
    def wire(self) -> dict[str, str]:
        """What names it in a request."""
        return {"initr_wwn": self.initiator, "tgt_port_name": self.port.target}


class LunMapping:
    """What initiators see."""

    def __init__(self, client: DevopClient, luns: Luns, ports: Ports) -> None:
        self._client = client
        self._luns = luns
        self._ports = ports
        self._guard = threading.Lock()
        self._known: dict[tuple[str, Protocol, tuple[str, ...]], tuple[Pair, ...]] = {}

    def map(self, lun: str, host: Host, client_name: str, protocol: Protocol) -> tuple[int, Sequence[Pair]]:
        """Let a host see a LUN; return the LUN id, and the pairs that it is mapped in. Mapped already counts as done."""
        key = (client_name, protocol, tuple(_initiators(host, protocol)))
        with self._guard:
            known = self._known.get(key)
        if known is None and not self._luns.exists(lun):
            raise NotFound(f"The array has no LUN {lun!r}.")
        pairs = known or self._register(host, client_name, protocol)
        try:
            seen = self._show(lun, pairs, protocol)
        except REFUSALS as refused:
            with self._guard:
                self._known.pop(key, None)
            if not self._luns.exists(lun):
                raise NotFound(f"The array has no LUN {lun!r}.") from refused
            if known is None:
                raise
            self._ports.forget()
            raise StaleReference(f"What host {host.name!r} had on the array has changed: {refused.message}") from refused
        with self._guard:
            self._known[key] = pairs
        return seen, pairs

    def unmap(self, lun: str, host: Host, protocol: Protocol) -> None:
        """Take a LUN away from a host's initiators; `NotFound` where none of them sees it."""
        own = {initiator.lower() for initiator in _initiators(host, protocol)}
        with self._luns.absent_is_told(lun):
            found = [(initiator, target) for initiator, target in self.of(lun) if initiator.lower() in own]
        if not found:
            raise NotFound(f"{lun!r} is not exported to host {host.name!r}.")
        for initiator, target in found:
            self.take_away(lun, initiator, target)

    def of(self, lun: str) -> list[tuple[str, str]]:
        """Return initiator and target of every pair in which a LUN is mapped."""
        found = self._client.records("itl", "getitl", name=lun)
        return [(objects.text(item, "initiator"), objects.text(item, "port")) for item in found]

    def take_away(self, lun: str, initiator: str, target: str) -> None:
        """Unmap a LUN in one pair; not mapped counts as done."""
        try:
            self._client.delete("itl", attr="unmaplun", lun_name=lun, initr_wwn=initiator, tgt_port_name=target)
        except REFUSALS:
            with suppress(NotFound), self._luns.absent_is_told(lun):
                if (initiator, target) in self.of(lun):
                    raise

    # Hosts

    def _register(self, host: Host, client_name: str, protocol: Protocol) -> tuple[Pair, ...]:
        """Make sure that a host's initiators are known and paired with the targets that they reach."""
        pairs = self._reachable(host, protocol)
        self._make_client(client_name)
        for initiator in dict.fromkeys(pair.initiator for pair in pairs):
            self._make_initiator(initiator, client_name, protocol)
        for pair in pairs:
            self._client.post("itl", attr="maptarget", **pair.wire)
        return pairs

    def _reachable(self, host: Host, protocol: Protocol) -> tuple[Pair, ...]:
        ports = self._ports.with_targets(protocol)
        if protocol is Protocol.ISCSI:
            return tuple(Pair(initiator, port) for initiator in _initiators(host, protocol) for port in ports)
        pairs = []
        for wwpn in host.wwpns:
            straight = [port for port in ports if port.peer == wwpn]
            pairs += [Pair(objects.colons(wwpn), port) for port in straight or [port for port in ports if not port.peer]]
        if not pairs:
            raise InvalidRequest(
                f"No FC port of the array that is online may see any initiator of host {host.name!r} "
                f"({', '.join(host.wwpns)}); check cabling and zoning, then ask again."
            )
        return tuple(pairs)

    def _make_client(self, name: str) -> None:
        try:
            self._client.post("client", name=name)
        except REFUSALS:
            if not self._client.get("client", name=name):
                raise

    def _make_initiator(self, initiator: str, client_name: str, protocol: Protocol) -> None:
        alias = client_name if protocol is Protocol.ISCSI else initiator
        try:
            self._client.post("initiator", initr_wwn=initiator, alias=alias, type=str(protocol))
        except REFUSALS:
            if self._client.flag("initiator", "list", initr_wwn=initiator, client_name=client_name):
                return
            if not self._client.flag("initiator", "existence", initr_wwn=initiator):
                raise
        try:
            self._client.put("client", "mapinitiator", initr_wwn=initiator, client_name=client_name)
        except REFUSALS as refused:
            # It is in a client of another name, where it may stay: nothing is mapped by client.
            _log.debug("initiator %s stays outside of the array's client %s: %s", initiator, client_name, refused)

    # LUN ids

    def _show(self, lun: str, pairs: Sequence[Pair], protocol: Protocol) -> int:
        mapped = {(initiator.lower(), target) for initiator, target in self.of(lun)}
        there = [pair for pair in pairs if (pair.initiator.lower(), pair.port.target) in mapped]
        number = self._common(lun, there) if there else self._free(pairs, protocol)
        made: list[Pair] = []
        for pair in pairs:
            if pair not in there:
                number = self._map(lun, pair, number, made, protocol, fixed=bool(there))
        return number

    def _map(self, lun: str, pair: Pair, number: int, made: list[Pair], protocol: Protocol, *, fixed: bool) -> int:
        """Map a LUN in one pair under a LUN id; return the id, which is another where somebody was quicker at the first pair."""
        try:
            was_mapped = self._client.post("itl", attr="maplun", lun_name=lun, **pair.wire, lun_id=number)
        except REFUSALS as refused:
            self._undo(lun, made)
            if number in self._unused(pair, protocol):
                raise
            if fixed:
                raise VendorError(
                    f"LUN {lun!r} is mapped to {pair.initiator} under the id {number}, which another LUN has at "
                    f"{pair.port.target}; unexport it from that host, then export it again.",
                    request=refused.request,
                    vendor_code=refused.vendor_code,
                ) from refused
            raise Busy(f"The LUN id {number} of {pair.initiator} was given away meanwhile.") from refused
        if not was_mapped:
            made.append(pair)
            return number
        actual = self._lun_id(lun, pair)
        if actual != number and (made or fixed):
            self._undo(lun, made)
            raise Busy(f"LUN {lun!r} was mapped to {pair.initiator} under another id meanwhile.")
        return actual

    def _undo(self, lun: str, made: Sequence[Pair]) -> None:
        for pair in made:
            self.take_away(lun, pair.initiator, pair.port.target)

    def _common(self, lun: str, pairs: Sequence[Pair]) -> int:
        numbers = {self._lun_id(lun, pair) for pair in pairs}
        if len(numbers) > 1:
            raise VendorError(
                f"LUN {lun!r} is mapped to one host under the ids {sorted(numbers)}; unexport it there, then export it again."
            )
        return numbers.pop()

    def _free(self, pairs: Sequence[Pair], protocol: Protocol) -> int:
        common = set(range(MAX_LUN + 1))
        for pair in pairs:
            common &= self._unused(pair, protocol)
        if not common:
            raise LimitReached(f"No LUN id up to {MAX_LUN} is free at every port for {pairs[0].initiator}.")
        return min(common)

    def _unused(self, pair: Pair, protocol: Protocol) -> set[int]:
        found = self._client.get("initiator", "it_unused_id_list", it_type=str(protocol), **pair.wire)
        return {int(number) for number in found}

    def _lun_id(self, lun: str, pair: Pair) -> int:
        return self._client.number("lun", "lun_id", lun_name=lun, **pair.wire)


def _initiators(host: Host, protocol: Protocol) -> list[str]:
    """Return a host's initiators as the array spells them."""
    if protocol is Protocol.ISCSI:
        return [host.iqn] if host.iqn else []
    return [objects.colons(wwpn) for wwpn in host.wwpns]
