"""What abandoned operations left on a VSP, found by the names that this library gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from blockdrivers.driver import Driver
from blockdrivers.errors import InUse, NotFound
from blockdrivers.model import Dependant, Leftover, VolumeState
from blockdrivers.naming import Kind, kind_of
from vendors.hitachi import objects
from vendors.hitachi.client import Object
from vendors.hitachi.facts import Facts
from vendors.hitachi.hosts import Hosts
from vendors.hitachi.ldevs import Ldevs, may_be_remnant


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finds leftovers and removes them one by one."""

    driver: Driver
    ldevs: Ldevs
    hosts: Hosts
    facts: Facts
    own_ids: tuple[int, int] | None
    """LDEV ids that the configuration gives to this library; None where it shares all of them."""

    def find(self) -> Iterator[Leftover]:
        """Yield what is left, in an order in which it can be removed."""
        yield from self._snapshots()
        yield from self._ldevs()
        yield from self._hosts()

    def remove(self, leftover: Leftover) -> None:
        """Remove a leftover; one that has gone, or is in use again, is left alone."""
        removers: Mapping[str, Callable[[Leftover], None]] = {
            "volume": self._remove_volume,
            "snapshot": self._remove_snapshot,
            "host": self._remove_host,
            "unnamed": self._remove_unnamed,
        }
        try:
            removers[leftover.kind](leftover)
        except (NotFound, InUse):
            return

    def _ldevs(self) -> Iterator[Leftover]:
        for ldev in self.ldevs.all():
            name, ldev_id = objects.name(ldev), str(objects.number(ldev, "ldevId"))
            kind = kind_of(name)
            if kind is Kind.TEMPORARY:
                yield Leftover("volume", ldev_id, name, "A helper LDEV of a move that was not completed.")
            elif kind is Kind.VOLUME and objects.is_unfinished(ldev):
                yield Leftover("volume", ldev_id, name, "A clone that was not completed.")
            elif kind is Kind.SNAPSHOT and not objects.is_paired(ldev):
                yield Leftover("snapshot", ldev_id, name, "A secondary volume without its snapshot.")
            elif self._is_unnamed(ldev):
                yield Leftover("unnamed", ldev_id, name, "An LDEV that was made and never labelled, nor used.")

    def _is_unnamed(self, ldev: Object) -> bool:
        if self.own_ids is None or not may_be_remnant(ldev):
            return False
        return self.own_ids[0] <= objects.number(ldev, "ldevId") <= self.own_ids[1]

    def _snapshots(self) -> Iterator[Leftover]:
        for snapshot in self.driver.list_snapshots():
            if kind_of(snapshot.name) is Kind.SNAPSHOT and not snapshot.ready:
                yield Leftover("snapshot", snapshot.id, snapshot.name, "A snapshot of a group that was never split.")

    def _hosts(self) -> Iterator[Leftover]:
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for port in self.facts.ports():
            for group in self.hosts.listed(port.id):
                name = str(objects.field(group, "hostGroupName"))
                if kind_of(name) is Kind.HOST:
                    found[name][port.id] = objects.number(group, "hostGroupNumber")
        for name, numbers in found.items():
            if self.hosts.is_unfinished(numbers):
                yield Leftover("host", name, name, "A host whose first export or removal was not completed.")

    def _remove_volume(self, leftover: Leftover) -> None:
        volume = self.driver.get_volume(leftover.name)
        if volume.state is VolumeState.COPYING:
            self.driver.abandon_clone(volume, "")
        elif kind_of(volume.name) is not Kind.TEMPORARY or Dependant.COPY in volume.dependants:
            return
        self.driver.delete_volume(volume)

    def _remove_snapshot(self, leftover: Leftover) -> None:
        snapshot = self.driver.get_snapshot(leftover.name)
        if not snapshot.ready:
            self.driver.delete_snapshot(snapshot)

    def _remove_unnamed(self, leftover: Leftover) -> None:
        if self._is_unnamed(self.ldevs.get(int(leftover.id))):
            self.ldevs.delete(int(leftover.id))

    def _remove_host(self, leftover: Leftover) -> None:
        self.driver.remove_host(leftover.name)
