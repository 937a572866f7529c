"""Why an array has refused something, read from its state where its codes do not tell.

The array's codes for a full pool and for "in use" are not documented, and a missing licence is not told apart from other refusals.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from blockdrivers.errors import BlockDriversError, InUse, LicenceMissing, OutOfSpace, VendorError
from vendors.huawei.facts import Facts

SNAPSHOTS: Final = "HyperSnap"
QOS: Final = "SmartQoS"
"""Features that need a licence."""


class Refusals:
    """Explains the refusals of one array."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    @contextmanager
    def explaining_space(self, pool: str, needed: int) -> Iterator[None]:
        """Raise `OutOfSpace` where a pool cannot hold `needed` bytes more, in place of a refusal."""
        try:
            yield
        except VendorError as refused:
            raise self.without_space(refused, pool, needed) from refused

    def without_space(self, refused: VendorError, pool_name: str, needed: int) -> BlockDriversError:
        """Return `OutOfSpace` where the pool cannot hold what was asked for, and the refusal itself otherwise."""
        pool = next((pool for pool in self._facts.read_pools() if pool.name == pool_name), None)
        if pool is None or pool.free_bytes >= needed:
            return refused
        return OutOfSpace(
            f"Pool {pool_name!r} has {pool.free_bytes} bytes free and {needed} are needed; free some or use another pool.",
            request=refused.request,
            vendor_code=refused.vendor_code,
            vendor_text=refused.vendor_text,
        )

    def without_licence(self, refused: VendorError, feature: str) -> BlockDriversError:
        """Return `LicenceMissing` where the array says that the feature is not usable, and the refusal itself otherwise."""
        if self._facts.licences().get(feature, True):
            return refused
        return LicenceMissing(
            f"The array has no licence for {feature}; install one to use this.",
            request=refused.request,
            vendor_code=refused.vendor_code,
            vendor_text=refused.vendor_text,
        )


def in_use(message: str, refused: VendorError) -> InUse:
    """Return a refusal as what it is, with the array's code."""
    return InUse(message, request=refused.request, vendor_code=refused.vendor_code, vendor_text=refused.vendor_text)
