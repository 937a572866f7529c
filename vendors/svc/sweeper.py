"""What abandoned operations left on an array of this family, found by the names that this library gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from blockdrivers.errors import InUse, NotFound
from blockdrivers.model import Leftover
from blockdrivers.naming import Kind, kind_of
from vendors.svc import objects
from vendors.svc.client import SvcClient
from vendors.svc.copies import Clones
from vendors.svc.grammar import Ask, Section
from vendors.svc.hosts import Hosts
from vendors.svc.mappings import Mappings
from vendors.svc.objects import CopyMap
from vendors.svc.snapshots import Snapshots
from vendors.svc.variants import Variant
from vendors.svc.volumes import Volumes


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finds leftovers, copies before what they hold on to, and removes them one by one."""

    client: SvcClient
    variant: Variant
    volumes: Volumes
    snapshots: Snapshots
    mappings: Mappings
    clones: Clones
    hosts: Hosts

    def find(self) -> Iterator[Leftover]:
        """Yield what is left, in an order in which it can be removed."""
        asks = (
            Ask("lsvdisk"),
            self.volumes.maps(),
            Ask(f"ls{self.variant.stem}consistgrp"),
            Ask("lshost"),
        )
        rows, mapped, groups, hosts = self.client.read(*asks)
        maps = objects.copy_maps(mapped)
        for row in _ours(groups or (), Kind.GROUP):
            yield Leftover("group", row.text("id"), row.text("name"), "A group snapshot that was not completed.")
        for found in maps:
            if kind_of(found.target) is Kind.VOLUME and kind_of(found.source) is not None and _is_over(found):
                yield Leftover("copy", found.id, found.target, "A revert that was not started, or not tidied up.")
        taken = {found.target: found for found in maps}
        for row in _ours(rows or (), Kind.SNAPSHOT):
            found_map = taken.get(row.text("name"))
            if found_map is None or not found_map.holds_moment:
                yield Leftover("snapshot", row.text("id"), row.text("name"), "A snapshot that was never started.")
        for row in _ours(rows or (), Kind.TEMPORARY):
            yield Leftover("volume", row.text("id"), row.text("name"), "A clone that was not completed.")
        for row in _ours(hosts or (), Kind.HOST):
            if row.number("port_count", 1) == 0:
                yield Leftover("host", row.text("id"), row.text("name"), "A host without initiators.")

    def remove(self, leftover: Leftover) -> None:
        """Remove a leftover; one that has gone, or is in use again, is left alone."""
        removers: dict[str, Callable[[str], None]] = {
            "group": self.snapshots.remove_group,
            "copy": self._remove_copy,
            "snapshot": self._remove_snapshot,
            "volume": self.clones.abandon,
            "host": self._remove_host,
        }
        with suppress(NotFound, InUse):
            removers[leftover.kind](leftover.name)

    def _remove_copy(self, target: str) -> None:
        for found in self.volumes.maps_of_target(target):
            if found.is_complete:
                self.mappings.take_down(found)
            elif _is_over(found):
                self.mappings.discard(found.name)

    def _remove_snapshot(self, name: str) -> None:
        if not self.snapshots.get(name).ready:
            self.snapshots.delete(name)

    def _remove_host(self, name: str) -> None:
        if any(not list(host.entries("WWPN", "iscsi_name")) for host in self.hosts.details([name])):
            self.hosts.remove(name)


def _ours(rows: Iterable[Section], kind: Kind) -> Iterator[Section]:
    for row in rows:
        if kind_of(row.text("name")) is kind:
            yield row


def _is_over(found: CopyMap) -> bool:
    return found.is_complete or found.waits or found.status == "stopped"
