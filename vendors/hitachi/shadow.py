"""ShadowImage: full copies that take no room for snapshot data, and moves between pools. Source: protocol sheet, sections 3.5 and 3.7.

A clone is a pair that the array copies and splits; it is deleted then. A move is a Volume Migration: a pair that copies nothing, and
a request to exchange what is behind its two LDEVs. A pair is alone in a copy group, named after what it is for, so that a repeat
finds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import BlockDriversError, Busy, NotFound, VendorError
from vendors.hitachi import objects
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.ldevs import Ldevs
from vendors.hitachi.options import VspOptions

_FIRST_POLL = 0.25
_COPIED = ("PSUS", "SSUS")
_FAILED = frozenset({"PSUE", "SSUE"})


class _Pairs:
    """Pairs by the name of their copy group."""

    def __init__(self, client: VspClient) -> None:
        self._client = client

    def make(self, pair: str, source: int, target: int, **how: object) -> None:
        """Make a pair in a new group."""
        names = {"copyGroupName": pair, "copyPairName": pair, "isNewGroupCreation": True, "replicationType": "SI"}
        self._client.create("local-clone-copypairs", {**names, "pvolLdevId": source, "svolLdevId": target, **how})

    def stands(self, pair: str) -> bool:
        """Tell whether there is a pair of that name; without `refresh`, those that another server has made are not seen."""
        group = f"{pair},{pair}P_,{pair}S_"
        return bool(self._client.items("local-clone-copypairs", localCloneCopyGroupId=group, refresh="true"))

    def read(self, pair: str) -> Object:
        """Return a pair, or raise `NotFound`."""
        return self._client.read(_path(pair))

    def drop(self, pair: str) -> None:
        """Delete a pair, where there is one."""
        if self.stands(pair):
            self._client.delete(_path(pair))


class ShadowClones:
    """The copies of an array that run for the sake of a clone, by ShadowImage; see `clones.Clones`."""

    def __init__(self, client: VspClient, ldevs: Ldevs, options: VspOptions) -> None:
        self._client = client
        self._pairs = _Pairs(client)
        self._ldevs = ldevs
        self._options = options

    def run(self, origin: int, target: int, name: str) -> Object:
        """Copy one LDEV onto another of its size; return the target when every byte is there and the pair is gone.

        A pair that an earlier call for the clone of that name has made is gone on with.
        """
        pair = _clone(name)
        how = {"autoSplit": True, "copyPace": self._options.copy_pace, "isDataReductionForceCopy": True}
        try:
            self._pairs.make(pair, origin, target, **how)
        except VendorError as refused:
            if not self._pairs.stands(pair):
                self._refuse_taken(origin, refused)
                raise
        note(f"LDEV {origin} is being copied to LDEV {target}")
        wait_until(lambda: self._copied(pair, target), what=f"the copy onto LDEV {target}", first=_FIRST_POLL)
        with suppress(NotFound):
            self._client.delete(_path(pair))
        return self._ldevs.get(target)

    def abandon(self, name: str) -> None:
        """Stop the copy for the clone of that name."""
        self._pairs.drop(_clone(name))

    def _copied(self, pair: str, target: int) -> bool | None:
        try:
            found = self._pairs.read(pair)
        except NotFound:
            # Another controller's server may have answered, which does not know the pair before it is told to look.
            if self._pairs.stands(pair):
                return None
            raise Busy(f"The copy onto LDEV {target} was ended by somebody else.") from None
        states = (str(found.get("pvolStatus")), str(found.get("svolStatus")))
        if _FAILED.intersection(states):
            raise VendorError(f"The copy onto LDEV {target} has failed; look for the array's alarms.", request="GET copy pair")
        return True if states == _COPIED else None

    def _refuse_taken(self, origin: int, refused: VendorError) -> None:
        """Raise `Busy` where the source is in other pairs: it can be that of three."""
        if "MRCF" in objects.attributes(self._ldevs.get(origin)):
            raise refused.explained_as(
                Busy,
                f"LDEV {origin} is in other ShadowImage pairs; it can be copied to three LDEVs at a time.",
            ) from refused


class Moves:
    """Volume Migrations."""

    def __init__(self, client: VspClient, ldevs: Ldevs, options: VspOptions) -> None:
        self._client = client
        self._pairs = _Pairs(client)
        self._ldevs = ldevs
        self._options = options

    def run(self, source: int, helper: int, pool_id: int, name: str) -> Object:
        """Exchange what is behind two LDEVs of one size; return the source when it is in the helper's pool and all is undone.

        A migration that an earlier call of that name has begun is gone on with.
        """
        pair = _move(name)
        steps: tuple[Callable[[], None], ...] = (
            lambda: self._pairs.make(pair, source, helper, copyMode="NotSynchronized", copyPace=self._options.copy_pace),
            lambda: self._client.act(_path(pair), "migrate"),
        )
        for begin in steps:
            try:
                begin()
            except (VendorError, NotFound) as refused:
                # An earlier call may have come further; the migration may even have ended since this one began.
                if not self._pairs.stands(pair):
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
        self._pairs.drop(_move(name))


def _move(name: str) -> str:
    return _short("bdm", name)


def _clone(name: str) -> str:
    return _short("bdc", name)


def _short(kind: str, name: str) -> str:
    """Return a copy group's name: the device groups' names, two characters longer, have at most 31."""
    return f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def _path(pair: str) -> str:
    return f"local-clone-copypairs/{pair},{pair}P_,{pair}S_,{pair}"
