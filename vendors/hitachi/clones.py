"""Full copies and moves between pools. Source: protocol sheet, sections 3.5 to 3.7 and traps 5, 19.

A clone is a Thin Image pair with the clone attribute: the array copies and then dissolves it. A move is a Volume Migration: a
ShadowImage pair that copies nothing, and a request to exchange what is behind its two LDEVs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import BlockDriversError, NotFound, VendorError
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


class Moves:
    """Volume Migrations."""

    def __init__(self, client: VspClient, ldevs: Ldevs, options: VspOptions) -> None:
        self._client = client
        self._ldevs = ldevs
        self._options = options

    def run(self, source: int, helper: int, pool_id: int, name: str) -> Object:
        """Exchange what is behind two LDEVs of one size; return the source when it is in the helper's pool and all is undone.

        A migration that an earlier call of that name has begun is gone on with.
        """
        pair = _pair(name)
        for begin in (
            lambda: self._client.create("local-clone-copypairs", self._body(pair, source, helper)),
            lambda: self._client.act(f"local-clone-copypairs/{_pair_id(pair)}", "migrate"),
        ):
            try:
                begin()
            except (VendorError, NotFound) as refused:
                # An earlier call may have come further; the migration may even have ended since this one began.
                if not self._stands(pair):
                    return self._ended(source, pool_id, refused)
        note(f"LDEV {source} is being moved to another pool")
        return wait_until(lambda: self._moved(source, pool_id), what=f"the move of LDEV {source}", first=_FIRST_POLL)

    def _ended(self, source: int, pool_id: int, refused: BlockDriversError) -> Object:
        moved = self._moved(source, pool_id)
        if moved is None:
            raise refused
        return moved

    def _moved(self, source: int, pool_id: int) -> Object | None:
        ldev = self._ldevs.get(source)
        return ldev if ldev.get("poolId") == pool_id and "MRCF" not in objects.attributes(ldev) else None

    def undo(self, name: str) -> None:
        """Remove the pair of a move that the array refused to begin."""
        pair = _pair(name)
        if self._stands(pair):
            self._client.delete(f"local-clone-copypairs/{_pair_id(pair)}")

    def _body(self, pair: str, source: int, helper: int) -> Mapping[str, object]:
        return {
            "copyGroupName": pair,
            "copyPairName": pair,
            "replicationType": "SI",
            "isNewGroupCreation": True,
            "pvolLdevId": source,
            "svolLdevId": helper,
            "copyMode": "NotSynchronized",
            "copyPace": self._options.copy_pace,
        }

    def _stands(self, pair: str) -> bool:
        group = f"{pair},{pair}P_,{pair}S_"
        return bool(self._client.items("local-clone-copypairs", localCloneCopyGroupId=group))


def _pair(name: str) -> str:
    """Return a copy group's name: the device groups' names, two characters longer, have at most 31."""
    return f"bdm-{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def _pair_id(pair: str) -> str:
    return f"{pair},{pair}P_,{pair}S_,{pair}"
