"""Which RAID sets give room to a thick LUN, an extension or a snapshot resource. Source: protocol sheet, sections 3.1 and 3.2.

Their free space is remembered, so that it need not be asked for each time. It may be out of date: what the array refuses is tried
again with what it says then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from blockdrivers.errors import OutOfSpace
from vendors.macrosan import objects
from vendors.macrosan.client import REFUSALS, DevopClient


class RaidSets:
    """The RAID sets of an array's pools."""

    def __init__(self, client: DevopClient) -> None:
        self._client = client
        self._guard = threading.Lock()
        self._free: dict[str, dict[str, int]] = {}

    def using(self, pool: str, size: int, send: Callable[[list[str]], object], *, exact: bool = True) -> None:
        """Send something with the names of RAID sets that hold so many GB, and once more with fresh ones where it is refused.

        Raises `OutOfSpace` where the sets together have less; unless `exact`, all of them are named then, and the array decides.
        """
        with self._guard:
            known = self._free.get(pool)
        chosen = _chosen(known or {}, size)
        if chosen:
            try:
                send(chosen)
            except REFUSALS:
                self._forget(pool)
            else:
                self._took(pool, chosen, size)
                return
        free = self._read(pool)
        chosen = _chosen(free, size)
        if not chosen and exact:
            raise OutOfSpace(
                f"The RAID sets of pool {pool!r} have {sum(free.values())} GB free and {size} are needed; free some."
            )
        send(chosen or sorted(free))
        self._took(pool, chosen, size)

    def _read(self, pool: str) -> Mapping[str, int]:
        found = {
            objects.text(item, "name"): int(float(item.get("free_cap") or 0))
            for item in self._client.records("raid_list", pool=pool)
        }
        with self._guard:
            self._free[pool] = dict(found)
        return found

    def _forget(self, pool: str) -> None:
        with self._guard:
            self._free.pop(pool, None)

    def _took(self, pool: str, chosen: Sequence[str], size: int) -> None:
        with self._guard:
            free = self._free.get(pool, {})
            for name in chosen:
                share = min(size, free.get(name, 0))
                free[name] = free.get(name, 0) - share
                size -= share


def _chosen(free: Mapping[str, int], size: int) -> list[str]:
    """Return the fewest sets that have so much, the emptiest first; none where all together have less."""
    chosen: list[str] = []
    for name in sorted(free, key=lambda name: (-free[name], name)):
        if size <= 0 or free[name] <= 0:
            break
        chosen.append(name)
        size -= free[name]
    return chosen if size <= 0 else []
