"""What abandoned operations left on an ONTAP array, found by the names that this library gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blockdrivers.errors import InUse, NotFound
from blockdrivers.model import Leftover, VolumeState
from blockdrivers.naming import Kind, kind_of
from vendors.netapp.hosts import Hosts
from vendors.netapp.luns import Luns
from vendors.netapp.moments import Moments
from vendors.netapp.qos import Policies


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Finds leftovers and removes them one by one."""

    luns: Luns
    hosts: Hosts
    moments: Moments
    policies: Policies

    def find(self) -> Iterator[Leftover]:
        """Yield what is left, in an order in which it can be removed."""
        yield from self._luns()
        yield from self.moments.leftovers()
        for name in self.policies.empty():
            if kind_of(name) is Kind.VOLUME:
                yield Leftover("qos", name, name, "A QoS policy without a volume.")
        for name in self.hosts.bare():
            if kind_of(name) is Kind.HOST:
                yield Leftover("host", name, name, "A host without initiators.")

    def _luns(self) -> Iterator[Leftover]:
        for volume in self.luns.volumes():
            if kind_of(volume.name) is Kind.VOLUME and volume.state is VolumeState.COPYING:
                yield Leftover("volume", volume.id, volume.name, "A clone that was not completed.")
        for stray in self.luns.strays():
            if kind_of(stray.name.partition("{")[0]) in {Kind.VOLUME, Kind.SNAPSHOT}:
                why = f"A second LUN of that name, in {stray.pool}; its making was cut off."
                yield Leftover("stray", stray.id, stray.name, why)

    def remove(self, leftover: Leftover) -> None:
        """Remove a leftover; one that has gone, or is in use again, is left alone."""
        removers: dict[str, Callable[[Leftover], None]] = {
            "volume": self._remove_volume,
            "stray": self._remove_stray,
            "group": self.moments.remove,
            "snapshot": self.moments.remove,
            "qos": lambda item: self.policies.delete(item.name),
            "host": lambda item: self.hosts.remove(item.name),
        }
        try:
            removers[leftover.kind](leftover)
        except (NotFound, InUse):
            return

    def _remove_volume(self, leftover: Leftover) -> None:
        volume = self.luns.volume(leftover.name)
        if volume.state is VolumeState.COPYING:
            self.luns.remove(volume.id)

    def _remove_stray(self, leftover: Leftover) -> None:
        if any(stray.id == leftover.id for stray in self.luns.strays()):
            self.luns.remove(leftover.id)
