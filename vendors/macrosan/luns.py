"""LUNs by name: made, read, grown, renamed, deleted. Source: protocol sheet, section 3.2.

A name is all that addresses a LUN, and each request that changes one carries it: nothing remembered can hit another LUN. An unfinished
clone is a LUN under its helper name; see `vendors.macrosan.copies`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from blockdrivers.errors import (
    AlreadyExists,
    BlockDriversError,
    InUse,
    InvalidRequest,
    NotFound,
    OutOfSpace,
)
from blockdrivers.model import Dependant, Pool, Volume, VolumeState
from blockdrivers.naming import Kind, kind_of
from vendors.macrosan import objects
from vendors.macrosan.client import REFUSALS, DevopClient, Object, again
from vendors.macrosan.raids import RaidSets

_THIN: Final = {"extent-size": 8, "low-watermark": 5, "high-watermark": 20}
"""What the array's known client gives a thin LUN; the units are not documented."""

_KIND_AT: Final = 2


class Luns:
    """The LUNs of an array."""

    def __init__(self, client: DevopClient, raids: RaidSets) -> None:
        self._client = client
        self._raids = raids

    def pool(self, name: str) -> Pool:
        """Return a pool as it is now."""
        return objects.pool(name, self._client.get("pool", pool=name))

    def exists(self, name: str) -> bool:
        """Tell whether there is a LUN of that name."""
        return self._client.flag("lun", "existence", name=name)

    def create(self, name: str, size: int, pool: str, *, thin: bool) -> None:
        """Make an empty LUN; raise `AlreadyExists`, `InvalidRequest` (no such pool) or `OutOfSpace`."""

        def send(raids: list[str]) -> None:
            self._client.post(
                "lun",
                name=name,
                owner=_owner(name),
                pool=pool,
                raids=raids,
                lun_mode=thin,
                size=objects.gigabytes(size),
                lun_params=_THIN if thin else {},
            )

        try:
            if thin:
                send([])
            else:
                self._raids.using(pool, objects.gigabytes(size), send)
        except REFUSALS as refused:
            if self.exists(name):
                raise AlreadyExists(f"The array has a LUN {name!r}.") from refused
            raise again(self._without_space(refused, pool, 1 if thin else size), f"LUN {name!r}") from refused

    def read(self, name: str) -> Volume:
        """Return a LUN without its dependants, or, under the volume's name, its unfinished clone; raise `NotFound`."""
        info = self._base_info(name)
        if info is not None:
            return objects.volume(name, info)
        helper = helper_name(name)
        info = self._base_info(helper) if helper else None
        if info is None:
            raise NotFound(f"The array has no LUN {name!r}.")
        return replace(objects.volume(name, info), state=VolumeState.COPYING)

    def dependants(self, name: str) -> Iterator[Dependant]:
        """Yield what hangs on a LUN."""
        if self._client.records("itl", "getitl", name=name):
            yield Dependant.EXPORT
        if self._client.number("snapshot_point", "number", lun_name=name):
            yield Dependant.SNAPSHOT
        if self.is_replicated(name):
            yield Dependant.REPLICATION

    def is_replicated(self, name: str) -> bool:
        """Tell whether a LUN has a twin on another array (sheet, 3.5)."""
        return self._client.flag("dalun", "existence", lun_name=name) or self._client.flag(
            "replication", "enabled", lun_name=name
        )

    def extend(self, name: str, pool: str, more: int, *, thin: bool) -> None:
        """Add so many bytes to a LUN; what the array is told is the increment."""

        def send(raids: list[str]) -> None:
            self._client.put("lun", "capicity", name=name, raids=raids, size=objects.gigabytes(more))

        try:
            self._raids.using(pool, objects.gigabytes(more), send, exact=not thin)
        except REFUSALS as refused:
            if not self.exists(name):
                raise NotFound(f"The array has no LUN {name!r}.") from refused
            raise self._without_space(refused, pool, 1 if thin else more) from refused

    def rename(self, name: str, new: str) -> None:
        """Rename a LUN; raise `AlreadyExists` or `NotFound`."""
        try:
            self._client.put("lun", "name", old_name=name, new_name=new)
        except REFUSALS as refused:
            if self.exists(new):
                raise AlreadyExists(f"The array has a LUN {new!r}.") from refused
            if not self.exists(name):
                raise NotFound(f"The array has no LUN {name!r}.") from refused
            raise

    def delete(self, name: str) -> None:
        """Delete a LUN on which nothing hangs as far as it can be told; `InUse` where the array refuses all the same."""
        try:
            self._client.delete("lun", name=name)
        except REFUSALS as refused:
            if not self.exists(name):
                raise NotFound(f"The array has no LUN {name!r}.") from refused
            raise refused.explained_as(
                InUse,
                f"The array keeps LUN {name!r}; it may be copied from or to.",
            ) from refused

    @contextmanager
    def absent_is_told(self, name: str) -> Iterator[None]:
        """Take a refusal within the block for `NotFound` where the LUN is not there."""
        try:
            yield
        except REFUSALS as refused:
            if self.exists(name):
                raise
            raise NotFound(f"The array has no LUN {name!r}.") from refused

    def _base_info(self, name: str) -> Object | None:
        try:
            with self.absent_is_told(name):
                return self._client.record("lun", "base_info", name=name)
        except NotFound:
            return None

    def _without_space(self, refused: BlockDriversError, name: str, needed: int) -> BlockDriversError:
        """Return what a refusal means for a pool: it is not there, or full; else the refusal itself."""
        try:
            pool = self.pool(name)
        except REFUSALS:
            return InvalidRequest(f"The array has no pool {name!r}.", request=refused.request, vendor_code=refused.vendor_code)
        if isinstance(refused, OutOfSpace) or pool.free_bytes < needed:
            return refused.explained_as(
                OutOfSpace,
                f"Pool {name!r} has {pool.free_bytes} bytes free, which is not enough; free some or use another pool.",
            )
        return refused


def helper_name(name: str) -> str | None:
    """Return the name under which the clone is made that ends as the volume of that name; None where it is no volume's."""
    if kind_of(name) is not Kind.VOLUME:
        return None
    return f"{name[:_KIND_AT]}{Kind.TEMPORARY}{name[_KIND_AT + 1 :]}"


def _owner(name: str) -> str:
    """Return the service processor that is to own a LUN: either has about half of them."""
    return f"SP{zlib.crc32(name.encode()) % 2 + 1}"
