"""What abandoned operations left on an array, found by the names that this library gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blockdrivers.driver import Driver
from blockdrivers.errors import InUse, NotFound
from blockdrivers.model import Leftover, VolumeState
from blockdrivers.naming import Kind, kind_of
from vendors.hpe import objects
from vendors.hpe.client import WsapiClient
from vendors.hpe.copies import Copies
from vendors.hpe.qos import Rules


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finds leftovers in an order in which they can be removed, and removes them one by one."""

    client: WsapiClient
    driver: Driver
    copies: Copies
    rules: Rules

    def find(self) -> Iterator[Leftover]:
        """Yield what is left."""
        for item in self.client.members("volumesets"):
            name = objects.text(item, "name")
            if kind_of(name) is Kind.TEMPORARY:
                yield Leftover("group", name, name, "A volume set of a group snapshot that was not completed.")
        for name in self.rules.idle():
            yield Leftover("qos", name, name, "A volume set for limits without a volume or without limits.")
        yield from self._volumes()
        for host in self.client.members("hosts"):
            name = str(host.get("name", ""))
            if kind_of(name) is Kind.HOST and not any(objects.initiators(host)):
                yield Leftover("host", name, name, "A host without initiators.")

    def _volumes(self) -> Iterator[Leftover]:
        found = self.client.members("volumes")
        for item in found:
            if objects.is_snapshot(item) or kind_of(objects.text(item, "name")) is not Kind.VOLUME:
                continue
            volume = objects.volume(item)
            if volume.state is VolumeState.COPYING:
                yield Leftover("volume", volume.id, volume.name, "A clone that was not completed.")
        for item in filter(objects.is_snapshot, found):
            snapshot = objects.snapshot(item)
            if kind_of(snapshot.name) is Kind.TEMPORARY:
                yield Leftover("snapshot", snapshot.id, snapshot.name, "A helper of a clone or group that was not completed.")

    def remove(self, leftover: Leftover) -> None:
        """Remove a leftover; one that has gone, or is in use again, is left alone."""
        removers: dict[str, Callable[[str], None]] = {
            "group": lambda name: self.client.delete("volumesets", name),
            "qos": self._remove_set,
            "snapshot": self._remove_snapshot,
            "volume": self._remove_volume,
            "host": self.driver.remove_host,
        }
        try:
            removers[leftover.kind](leftover.name)
        except (NotFound, InUse):
            return

    def _remove_set(self, name: str) -> None:
        if name in self.rules.idle():
            self.rules.delete_set(name)

    def _remove_snapshot(self, name: str) -> None:
        self.driver.delete_snapshot(self.driver.get_snapshot(name))

    def _remove_volume(self, name: str) -> None:
        volume = self.driver.get_volume(name)
        if volume.state is VolumeState.COPYING:
            self.copies.abandon(name)
            self.driver.delete_volume(volume)
