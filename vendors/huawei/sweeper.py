"""What abandoned operations left on an OceanStor, found by the names that this library gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blockdrivers.driver import Driver
from blockdrivers.errors import InUse, NotFound
from blockdrivers.model import Leftover, VolumeState
from blockdrivers.naming import Kind, kind_of
from vendors.huawei import objects
from vendors.huawei.copies import FullCopy, Migration
from vendors.huawei.mapping import Mapping
from vendors.huawei.qos import Policies


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finds leftovers, copies before what they hold on to, and removes them one by one."""

    driver: Driver
    mapping: Mapping
    copies: FullCopy
    migration: Migration
    policies: Policies

    def find(self) -> Iterator[Leftover]:
        """Yield what is left, in an order in which it can be removed."""
        yield from self._volumes_and_copies()
        yield from self._snapshots()
        yield from self._policies()
        yield from self._hosts()

    def remove(self, leftover: Leftover) -> None:
        """Remove a leftover; one that has gone, or is in use again, is left alone."""
        removers: dict[str, Callable[[Leftover], None]] = {
            "copy": lambda item: self.copies.remove(item.id),
            "migration": lambda item: self.migration.remove(item.id),
            "volume": self._remove_volume,
            "snapshot": self._remove_snapshot,
            "qos": lambda item: self.policies.delete(item.id),
            "host": self._remove_host,
        }
        try:
            removers[leftover.kind](leftover)
        except (NotFound, InUse):
            return

    def _volumes_and_copies(self) -> Iterator[Leftover]:
        volumes = {volume.id: volume for volume in self.driver.list_volumes()}
        ours = {volume.id: volume.name for volume in volumes.values() if kind_of(volume.name) in {Kind.VOLUME, Kind.TEMPORARY}}
        for copy_id, target_id in self.copies.orphans():
            if target_id in ours:
                yield Leftover("copy", copy_id, ours[target_id], f"The copy onto {ours[target_id]} was not completed.")
        for source_id in self.migration.ended():
            if source_id in ours:
                yield Leftover("migration", source_id, ours[source_id], f"The move of {ours[source_id]} was not tidied up.")
        for volume in volumes.values():
            if kind_of(volume.name) is Kind.TEMPORARY:
                yield Leftover("volume", volume.id, volume.name, "A helper LUN of a move that was not completed.")
            elif volume.id in ours and volume.state is VolumeState.COPYING:
                yield Leftover("volume", volume.id, volume.name, "A clone that was not completed.")

    def _snapshots(self) -> Iterator[Leftover]:
        for snapshot in self.driver.list_snapshots():
            kind = kind_of(snapshot.name)
            if kind is Kind.TEMPORARY:
                yield Leftover("snapshot", snapshot.id, snapshot.name, "A helper snapshot of a clone that was not completed.")
            elif kind is Kind.SNAPSHOT and not snapshot.ready:
                yield Leftover("snapshot", snapshot.id, snapshot.name, "A snapshot that was never activated.")

    def _policies(self) -> Iterator[Leftover]:
        for policy in self.policies.empty():
            name = objects.text(policy, "NAME")
            if kind_of(name) is Kind.VOLUME:
                yield Leftover("qos", objects.text(policy, "ID"), name, "A QoS policy without a volume.")

    def _hosts(self) -> Iterator[Leftover]:
        for name in self.mapping.unfinished():
            if kind_of(name) is Kind.HOST:
                yield Leftover("host", name, name, "A host whose first export or removal was not completed.")

    def _remove_volume(self, leftover: Leftover) -> None:
        volume = self.driver.get_volume(leftover.name)
        if kind_of(volume.name) is Kind.TEMPORARY or volume.state is VolumeState.COPYING:
            self.driver.delete_volume(volume)

    def _remove_snapshot(self, leftover: Leftover) -> None:
        snapshot = self.driver.get_snapshot(leftover.name)
        if kind_of(snapshot.name) is Kind.TEMPORARY or not snapshot.ready:
            self.driver.delete_snapshot(snapshot)

    def _remove_host(self, leftover: Leftover) -> None:
        self.mapping.remove(leftover.name)
