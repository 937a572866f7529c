"""Pools and the RAID sets in them. Source: protocol sheet, sections 2 and 3.1.

A thick LUN or a snapshot resource takes its bytes of the RAID sets that the client names; a thin LUN takes of the pool as it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conformance.simulation.engine import Array, Volume
from vendors.macrosan.simulator import wire
from vendors.macrosan.simulator.wire import GB, Arguments, Refusal, Routes

_FIRST_SET = 3 / 4
"""The part of a pool that its first RAID set has; the second one has the rest."""


class Pools:
    """The pools of an array."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self._sets: dict[str, dict[str, int]] = {}
        self._taken: dict[str, dict[str, int]] = {}
        for number, pool in enumerate(array.pools.values()):
            first = int(pool.total * _FIRST_SET) // GB * GB
            self._sets[pool.id] = {f"RAID-{2 * number + 1}": first, f"RAID-{2 * number + 2}": pool.total - first}

    def routes(self) -> Routes:
        """Return the handlers."""
        return {("GET", "pool", ""): self._capacity, ("GET", "raid_list", ""): self._raid_list}

    def id_of(self, given: Arguments) -> str:
        """Return the id of the pool that is named."""
        named = wire.text(given, "pool")
        for pool in self._array.pools.values():
            if pool.name == named:
                return pool.id
        raise Refusal(wire.NOT_FOUND, "pool does not exist")

    def name_of(self, volume: Volume) -> str:
        """Return the name of a volume's pool."""
        return self._array.pools[volume.pool_id].name

    def room(self, pool_id: str, names: Sequence[str], size: int) -> Mapping[str, int]:
        """Return what each of the named RAID sets gives to something of that size; refuse what they cannot hold."""
        shares: dict[str, int] = {}
        for name in names:
            if name not in self._sets[pool_id]:
                raise Refusal(wire.NOT_FOUND, "RAID does not exist")
            share = min(self._free(pool_id, name), size - sum(shares.values()))
            if share > 0:
                shares[name] = share
        if sum(shares.values()) < size:
            raise Refusal(wire.NO_SPACE)
        return shares

    def take(self, volume: Volume, shares: Mapping[str, int]) -> None:
        """Let a volume have those shares besides what it has."""
        of_volume = self._taken.setdefault(volume.id, {})
        for name, share in shares.items():
            of_volume[name] = of_volume.get(name, 0) + share

    def give_back(self, volume: Volume) -> None:
        """Take back what a volume had."""
        self._taken.pop(volume.id, None)

    def state(self) -> list[Mapping[str, Any]]:
        """Return pools and what is free in them."""
        return [{"name": pool.name, "free": self._array.free(pool.id)} for pool in self._array.pools.values()]

    def _free(self, pool_id: str, name: str) -> int:
        if self._array.full:
            return 0
        return self._sets[pool_id][name] - sum(shares.get(name, 0) for shares in self._taken.values())

    def _capacity(self, given: Arguments) -> list[int | float]:
        pool_id = self.id_of(given)
        return [wire.gigabytes(self._array.pools[pool_id].total), wire.gigabytes(self._array.free(pool_id)), 0]

    def _raid_list(self, given: Arguments) -> list[Mapping[str, Any]]:
        pool_id = self.id_of(given)
        return [{"name": name, "free_cap": self._free(pool_id, name) // GB} for name in self._sets[pool_id]]
