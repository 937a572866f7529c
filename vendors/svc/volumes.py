"""Pools and volumes: what is asked of them, and which parameters make a volume of a kind.

Source: IBM sheet, sections 3.3, 3.4 and 3.10; Inspur sheet, 3.2 and 3.3.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final

from blockdrivers.deadline import deadline, note, wait_until
from blockdrivers.errors import Ambiguous, Busy, DeadlineExceeded, InvalidRequest, TransportError
from blockdrivers.model import Pool, Volume
from blockdrivers.naming import Kind, kind_of
from vendors.svc import objects
from vendors.svc.client import BYTES, SvcClient, present
from vendors.svc.grammar import Ask, Flag, Section
from vendors.svc.objects import CopyMap
from vendors.svc.options import SvcOptions
from vendors.svc.variants import Variant

Flags = dict[str, Flag]

_SETTLING_SECONDS: Final = 1.0
_REAL_SIZE: Final = "2%"
_GRAIN: Final = 256
_SMALL_GRAIN, _REDUCED_GRAIN = 32, 8
"""Grains in Inspur's data-reduction pools: the smaller one where bytes are compressed or deduplicated."""


def helper_of(name: str) -> str | None:
    """Return what a clone is called while it is copied; None where a volume was not named by this library."""
    if kind_of(name) is not Kind.VOLUME:
        return None
    return f"bd{Kind.TEMPORARY}{name[3:]}"


def clone_of(helper: str) -> str:
    """Return what the volume that is copied under this name will be called."""
    return f"bd{Kind.VOLUME}{helper[3:]}"


class Pools:
    """The array's pools; whether one reduces data never changes, so that is remembered."""

    def __init__(self, client: SvcClient, variant: Variant) -> None:
        self._client = client
        self._variant = variant
        self._guard = threading.Lock()
        self._reducing: dict[str, bool] = {}

    def read(self) -> list[Pool]:
        """Return every pool as it is now (``lsmdiskgrp``)."""
        rows = self._client.rows("lsmdiskgrp", **BYTES)
        field, value = self._variant.reducing
        with self._guard:
            self._reducing = {row.text("name"): row.get(field) == value for row in rows}
        return [objects.pool(row) for row in rows]

    def reduces(self, name: str) -> bool:
        """Tell whether a pool reduces data, or raise `InvalidRequest` for one that is not there."""
        with self._guard:
            known = self._reducing.get(name)
        if known is not None:
            return known
        names = sorted(pool.name for pool in self.read())
        with self._guard:
            if name in self._reducing:
                return self._reducing[name]
        raise InvalidRequest(f"The array has no pool {name!r}; it has {', '.join(names) or 'none'}.")

    def forget(self) -> None:
        """Drop what is remembered: an answer contradicted it."""
        with self._guard:
            self._reducing = {}


class Provisioning:
    """Which parameters make a volume of a kind in a pool."""

    def __init__(self, variant: Variant, options: SvcOptions, pools: Pools) -> None:
        self._variant = variant
        self._options = options
        self._pools = pools

    def flags(self, pool: str, *, thin: bool, plain: bool = False) -> Flags:
        """Return the parameters that follow name, pool and size.

        Args:
            pool: where the bytes are to be.
            thin: else fully allocated.
            plain: leave compression and deduplication out, whatever is configured.
        """
        reduces = self._pools.reduces(pool)
        if not thin:
            if reduces and not self._variant.thick_in_reducing:
                raise InvalidRequest(f"Pool {pool!r} reduces data and holds thin volumes only.")
            return {self._variant.tier: self._tier}
        squeezed: Flags = {}
        if not plain:
            squeezed = {"compressed": self._options.compression, self._variant.deduplicated: self._options.deduplication}
        shared: Flags = {"rsize": _REAL_SIZE, "autoexpand": True}
        if not reduces:
            grain: Flags = {} if squeezed.get("compressed") else {"grainsize": _GRAIN}
            return {**shared, "warning": "0%", **grain, **squeezed, self._variant.tier: self._tier}
        if self._variant.thick_in_reducing:
            return {**shared, **squeezed}
        return {**shared, "warning": "80%", "grainsize": _REDUCED_GRAIN if any(squeezed.values()) else _SMALL_GRAIN, **squeezed}

    @property
    def _tier(self) -> str:
        return "on" if self._options.tiering else "off"

    def new(self, name: str, pool: str, size: int, *, thin: bool, plain: bool = False) -> Flags:
        """Return the parameters of ``mkvdisk``; the size is in bytes."""
        kind = self.flags(pool, thin=thin, plain=plain)
        return {"name": name, "mdiskgrp": pool, "iogrp": self._options.io_group, "size": size, "unit": "b", **kind}


class Volumes:
    """What the array says of its volumes."""

    def __init__(self, client: SvcClient, variant: Variant) -> None:
        self._client = client
        self._stem = variant.stem

    def detail(self, name: str) -> Ask:
        """Ask for a volume with its copies."""
        return Ask("lsvdisk", name, BYTES, detail=True)

    def maps(self, **conditions: str) -> Ask:
        """Ask for the copy mappings that meet every condition, or for all."""
        joined = ":".join(f"{field}={value}" for field, value in conditions.items())
        return Ask(f"ls{self._stem}map", flags={"filtervalue": joined} if joined else {})

    def get(self, name: str) -> Volume:
        """Return a volume with all that hangs on it; a clone that has only its helper's name yet counts, too.

        What few volumes have (copy mappings) is asked for only where there is some: each command takes the array its time.
        """
        found, mappings = self._read(name, Ask("lsvdiskhostmap", name))
        if found is None:
            return self._unfinished(name, mappings)
        return objects.volume(found[0], found[1:], self._maps_of(found[0]), mapped=bool(mappings))

    def look_up(self, name: str) -> Volume:
        """Return the same without mappings of either kind."""
        found, unfinished = self._read(name)
        return self._unfinished(name, unfinished) if found is None else objects.volume(found[0], found[1:], [], mapped=False)

    def shown(self, name: str, found: Sequence[Section] | None, mappings: Sequence[Section] | None) -> Volume:
        """Return a volume from what was read of it and of the hosts that see it; one that is absent may be an unfinished clone."""
        return objects.volume(found[0], found[1:], [], mapped=bool(mappings)) if found else self.look_up(name)

    def _read(self, name: str, *ask: Ask) -> tuple[Sequence[Section] | None, Sequence[Section] | None]:
        """Return a volume's sections and what was asked for besides; of one that is absent, None and its helper's."""
        helper = [self.detail(found) for found in (helper_of(name),) if found]
        if not self._client.joins:
            # Where every inquiry is a round trip, the answers so far make some of them needless.
            found = self._client.read(self.detail(name))[0]
            others = [self._client.read(each)[0] for each in (ask if found else helper)]
            return found or None, next(iter(others), None)
        found, *others = self._client.read(self.detail(name), *ask, *helper)
        return (found, next(iter(others[: len(ask)]), None)) if found else (None, next(iter(others[len(ask) :]), None))

    def _unfinished(self, name: str, sections: Sequence[Section] | None) -> Volume:
        item, *copies = present(sections, f"volume {name!r}")
        return objects.volume(item, copies, [], mapped=False, name=name)

    def _maps_of(self, item: Section) -> list[CopyMap]:
        if not objects.map_count(item):
            return []
        name = item.text("name")
        answers = self._client.read(self.maps(source_vdisk_name=name), self.maps(target_vdisk_name=name))
        return [found for rows in answers for found in objects.copy_maps(rows)]

    def section(self, name: str) -> Section:
        """Return a volume's own section, or raise `NotFound`."""
        return present(self._client.read(self.detail(name))[0], f"volume {name!r}")[0]

    def every(self, *, limits: bool) -> Iterator[Volume]:
        """Yield every volume that is no snapshot; with `limits`, throttles are objects of their own."""
        asks = [Ask("lsvdisk", flags=BYTES), self.maps(), Ask("lshostvdiskmap")]
        if limits:
            asks.append(Ask("lsthrottle", flags={"filtervalue": "throttle_type=vdisk"}))
        rows, mapped_rows, mappings, *throttles = self._client.read(*asks)
        maps = objects.copy_maps(mapped_rows)
        seen = {row.text("vdisk_id") for row in mappings or ()}
        limited = {row.text("object_id"): row.text("id") for row in (throttles[0] or () if throttles else ())}
        names = {row.text("name") for row in rows or ()}
        snapshots = {each.target_id for each in maps if each.is_snapshot}
        maps_of: dict[str, list[CopyMap]] = {}
        for each in maps:
            for volume_id in (each.source_id, each.target_id):
                maps_of.setdefault(volume_id, []).append(each)
        for row in rows or ():
            name, identifier = row.text("name"), row.text("id")
            kind = kind_of(name)
            if kind is Kind.SNAPSHOT or (kind is None and identifier in snapshots):
                continue
            if kind is Kind.TEMPORARY:
                if clone_of(name) not in names:
                    yield objects.volume(row, self._copies(row), [], mapped=False, name=clone_of(name))
                continue
            yield objects.volume(
                row,
                self._copies(row),
                maps_of.get(identifier, []),
                mapped=identifier in seen,
                limited=limited.get(identifier),
            )

    def _copies(self, row: Section) -> Sequence[Section]:
        """Return a volume's copies where its row does not tell its pool: it is on its way to another one."""
        if not objects.lies_in_two_pools(row):
            return ()
        found = self._client.read(self.detail(row.text("name")))[0]
        return found[1:] if found else ()

    def extend(self, name: str, size: int, new_size: int) -> None:
        """Grow a volume from `size` to `new_size` bytes (``expandvdisksize``, which is told the difference).

        Where the answer is lost, the array is asked for a moment whether it has grown: what was sent may be under way still, and
        whoever sent it again too early would add it twice.
        """
        try:
            self._client.change("expandvdisksize", name, size=new_size - size, unit="b")
        except Ambiguous:
            try:
                with deadline(_SETTLING_SECONDS, f"see whether {name} has grown"):
                    wait_until(lambda: self._has_size(name, new_size), what=f"volume {name} to grow")
            except (DeadlineExceeded, TransportError, Busy):
                note(f"volume {name} had not grown shortly after it was told to")
            else:
                return
            raise

    def _has_size(self, name: str, size: int) -> bool | None:
        return True if self.section(name).number("capacity") >= size else None

    def maps_of_target(self, name: str) -> list[CopyMap]:
        """Return the mapping that a volume is the target of, if there is one."""
        return objects.copy_maps(self._client.read(self.maps(target_vdisk_name=name))[0])
