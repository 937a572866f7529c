"""Why an array has refused something, read from its state where its codes do not tell.

The array's code for a full pool is not documented, and a missing licence is not told apart from other refusals.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from blockdrivers.errors import BlockDriversError, LicenceMissing, OutOfSpace, VendorError
from vendors.huawei.facts import Facts

SNAPSHOTS: Final = "HyperSnap"
QOS: Final = "SmartQoS"
"""Features that need a licence."""


@contextmanager
def explaining_space(facts: Facts, pool: str, needed: int) -> Iterator[None]:
    """Raise `OutOfSpace` where a pool cannot hold `needed` bytes more, in place of a refusal."""
    try:
        yield
    except VendorError as refused:
        raise without_space(facts, refused, pool, needed) from refused


def without_space(facts: Facts, refused: VendorError, pool_name: str, needed: int) -> BlockDriversError:
    """Return `OutOfSpace` where the pool cannot hold `needed` bytes more, and the refusal itself otherwise."""
    pool = next((pool for pool in facts.read_pools() if pool.name == pool_name), None)
    if pool is None or pool.free_bytes >= needed:
        return refused
    return refused.explained_as(
        OutOfSpace,
        f"Pool {pool_name!r} has {pool.free_bytes} bytes free and {needed} are needed; free some or use another pool.",
    )


def without_licence(facts: Facts, refused: VendorError, feature: str) -> BlockDriversError:
    """Return `LicenceMissing` where the array says that the feature is not usable, and the refusal itself otherwise."""
    if facts.licences().get(feature, True):
        return refused
    return refused.explained_as(LicenceMissing, f"The array has no licence for {feature}; install one to use this.")
