"""Refusals that only the pool explains: the array's code for a full pool is not documented (sheet, section 4.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from blockdrivers.errors import OutOfSpace, VendorError
from blockdrivers.model import MiB
from vendors.hitachi.facts import Facts


@contextmanager
def explaining_space(facts: Facts, pool_id: int, needed: int) -> Iterator[None]:
    """Turn a refusal within the block into `OutOfSpace` where the pool cannot hold so many bytes more, or nothing at all."""
    try:
        yield
    except VendorError as refused:
        pool = next((pool for pool in facts.read_pools() if pool.id == str(pool_id)), None)
        if pool is None or pool.free_bytes >= max(needed, MiB):
            raise
        raise refused.explained_as(
            OutOfSpace,
            f"Pool {pool.name!r} has {pool.free_bytes} bytes free and {needed} are needed; free some or use another pool.",
        ) from refused
