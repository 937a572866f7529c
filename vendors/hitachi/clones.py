"""Full copies by Thin Image: a pair with the clone attribute, which the array copies and then dissolves.

Source: protocol sheet, section 3.6 and traps 5, 19.
"""

from __future__ import annotations

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import VendorError
from vendors.hitachi import objects
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.ldevs import Ldevs
from vendors.hitachi.options import VspOptions

_FIRST_POLL = 0.25
_FAILED = frozenset({"PSUE", "PFUS"})


class Clones:
    """The copies of an array that run for the sake of a clone."""

    def __init__(self, client: VspClient, ldevs: Ldevs, options: VspOptions) -> None:
        self._client = client
        self._ldevs = ldevs
        self._options = options

    def run(self, origin: int, target: int, pool_id: int, group: str, *, resume: bool) -> Object:
        """Copy one LDEV onto another of its size; return the target when every byte is there and the pair is gone.

        With `resume`, go on with the pair that an earlier call has made, if it is there.
        """
        if not (resume and self._pairs(target)):
            body = {
                "snapshotGroupName": group,
                "snapshotPoolId": pool_id,
                "pvolLdevId": origin,
                "svolLdevId": target,
                "isClone": True,
                "clonesAutomation": True,
                "copySpeed": self._options.copy_speed,
                "isDataReductionForceCopy": True,
            }
            self._client.create("snapshots", body)
        note(f"LDEV {origin} is being copied to LDEV {target}")
        return wait_until(lambda: self._copied(target), what=f"the copy onto LDEV {target}", first=_FIRST_POLL)

    def abandon(self, target: int) -> None:
        """Stop the copy onto an LDEV."""
        for pair in self._pairs(target):
            if not objects.is_going(pair):
                self._client.delete(f"snapshots/{objects.pair_id(pair)}")
        wait_until(lambda: None if self._pairs(target) else True, what=f"the copy onto LDEV {target} to be gone")

    def _copied(self, target: int) -> Object | None:
        ldev = self._ldevs.get(target)
        if not objects.is_paired(ldev):
            return ldev
        if any(str(pair.get("status")) in _FAILED for pair in self._pairs(target)):
            raise VendorError(f"The copy onto LDEV {target} has failed; look for the array's alarms.", request="GET snapshots")
        return None

    def _pairs(self, target: int) -> list[Object]:
        return self._client.items("snapshots", svolLdevId=target)
