"""Pools. Source: IBM sheet, section 3.3; Inspur sheet, 3.2."""

from __future__ import annotations

from conformance.simulation.engine import Pool
from vendors.svc.simulator.shell import Bytes, Command, Detail, Given, Pairs, Table, Value, listing
from vendors.svc.simulator.state import State

_EXTENT_MB = 1024


class Pools:
    """The pools of an array."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._array = state.array
        self._profile = state.profile

    def commands(self) -> dict[str, Command]:
        """Return the verbs."""
        return {"lsmdiskgrp": listing(self._pools)}

    def dump(self) -> list[dict[str, object]]:
        """Return the pools for the state dump."""
        return [
            {"id": pool.id, "name": pool.name, "total": pool.total, "free": self._array.free(pool.id)}
            for pool in self._array.pools.values()
        ]

    def _pools(self, given: Given) -> Table | Detail:
        if given.objects:
            return Detail([self._pool(self._state.pool(given.object))])
        return Table([self._pool(pool) for pool in self._array.pools.values()])

    def _pool(self, pool: Pool) -> Pairs:
        words = self._profile.words
        provisioned = self._array.provisioned(pool.id)
        used = min(pool.total, self._array.used(pool.id))
        members = [volume for volume in self._array.volumes.values() if volume.pool_id == pool.id]
        pairs: list[tuple[str, Value]] = [
            ("id", pool.id),
            ("name", pool.name),
            ("status", "online"),
            ("mdisk_count", 1),
            ("vdisk_count", len(members)),
            ("capacity", Bytes(pool.total)),
            ("extent_size", _EXTENT_MB),
            ("free_capacity", Bytes(self._array.free(pool.id))),
            ("virtual_capacity", Bytes(provisioned)),
            ("used_capacity", Bytes(used)),
            ("real_capacity", Bytes(used)),
            ("overallocation", provisioned * 100 // pool.total),
            ("warning", 80),
            (words.tier_field, "auto"),
            (f"{words.tier_field}_status", "balanced"),
        ]
        if words.vendor == "IBM":
            pairs += [
                ("parent_mdisk_grp_id", pool.id),
                ("parent_mdisk_grp_name", pool.name),
                ("child_mdisk_grp_count", 0),
                ("type", "parent"),
                ("encrypt", "no"),
                ("site_id", ""),
                ("site_name", ""),
            ]
        if self._profile.reduces:
            reduces = self._state.reduces(pool.id)
            pairs.append(("data_reduction", "yes" if reduces else "no") if words.vendor == "IBM" else _category(reduces))
        return pairs


def _category(reduces: bool) -> tuple[str, Value]:
    """Return Inspur's word for pools that reduce data."""
    return "category", "ssa" if reduces else ""
