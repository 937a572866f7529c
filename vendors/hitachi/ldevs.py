"""LDEVs by name: found, claimed, labelled. Source: protocol sheet, sections 3.3 to 3.5 and trap 4.

An LDEV is claimed by making it under an id of the name's own (see `placement`), and then labelled. A claim that was cut off in
between leaves an LDEV without a label, pages, paths or pairs. Whoever claims the same name meets it, waits for as long as a
living claimant would take to label it, and then labels it itself.

Few LDEVs are elsewhere than at their names' first ids: those whose first id was taken, and those that were taken over under a
name of ours. These names are learnt once, before the first claim, and from then on as this process sees them.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from blockdrivers.deadline import wait_until
from blockdrivers.errors import AlreadyExists, Busy, InvalidRequest, LimitReached, NotFound, StaleReference
from blockdrivers.model import VolumeRef
from blockdrivers.naming import kind_of
from vendors.hitachi import codes, objects, placement
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.facts import Facts
from vendors.hitachi.options import VspOptions
from vendors.hitachi.recent import Recent

_KEPT = 8192
_LISTINGS = 2
"""How many lists of every name are held at a time: each may be long."""
_CLAIM_SECONDS = 1.5
"""How long an LDEV without a label is taken for one that is about to get it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An LDEV that was made for a name, and has no label yet."""

    ldev_id: int
    adopted: bool
    """Whether an earlier, cut-off call had made it."""


class Ldevs:
    """The LDEVs of an array; remembers where names were, which saves look-ups and decides nothing."""

    def __init__(self, client: VspClient, facts: Facts, options: VspOptions) -> None:
        self._client = client
        self._facts = facts
        self._options = options
        self._guard = threading.Lock()
        self._places: OrderedDict[str, int] = OrderedDict()
        self._displaced: dict[str, int] = {}
        self._learning = threading.Lock()
        self._learnt = False
        self._just_read: Recent[Object] = Recent()
        self._just_listed: Recent[frozenset[str]] = Recent(_LISTINGS)

    # Reading

    def get(self, ldev_id: int) -> Object:
        """Return one LDEV, or what stands for a free id."""
        found = self._client.items("ldevs", headLdevId=ldev_id, count=1, **self._details())
        if len(found) != 1 or objects.number(found[0], "ldevId") != ldev_id:
            raise NotFound(f"The array has no LDEV id {ldev_id}.")
        return found[0]

    def find(self, name: str) -> Object | None:
        """Return the LDEV that bears a name, complete or not: where it was last, in the name's own window, or anywhere.

        Raises `InvalidRequest` where several bear a name that is not ours: labels are not unique.
        """
        if kind_of(name) is None:
            by_address = _ldev_id(name)
            return self._labelled(name) if by_address is None else self._at_address(by_address)
        if (place := self._places.get(name)) is not None:
            ldev = self.get(place)
            if objects.bears(ldev, name):
                return ldev
            self.forget(name)
        for ldev in self._window(next(self._windows(name))).values():
            if objects.bears(ldev, name):
                return self._remembered(name, ldev)
        return next((self._remembered(name, ldev) for ldev in self.all() if objects.bears(ldev, name)), None)

    def named(self, name: str) -> Object:
        """Return the LDEV that bears a name, or raise `NotFound`."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"The array has no LDEV labelled {name!r}.")
        return found

    def proven(self, reference: VolumeRef) -> Object:
        """Return the LDEV of a reference; `StaleReference` where its remembered id does not bear the name any more."""
        if reference.id is None:
            return self.named(reference.name)
        ldev = self.get(int(reference.id))
        if not objects.bears(ldev, reference.name) and objects.name(ldev) != reference.name:
            self.forget(reference.name)
            raise StaleReference(f"LDEV {reference.id} is {objects.name(ldev)!r} now, not {reference.name!r}.")
        return ldev

    def all(self) -> Iterator[Object]:
        """Yield every LDEV of a pool, page by page."""
        return self._client.ldevs(ldevOption="dpVolume", **self._details())

    def keep(self, ldev: Object) -> None:
        """Keep an LDEV that was read just now for the operation that it was read for."""
        self._just_read.keep(str(objects.number(ldev, "ldevId")), ldev)

    def just_read(self, ldev_id: int) -> Object:
        """Return an LDEV as it was read a moment before, or read it."""
        return self._just_read.take(str(ldev_id)) or self.get(ldev_id)

    def changes(self, ldev_id: int) -> None:
        """Drop an LDEV as it was read: it is about to change."""
        self._just_read.drop(str(ldev_id))

    def is_taken(self, name: str, looked_up: str) -> bool:
        """Tell whether an LDEV bears a name; where the look-up of another name has just listed all of them, by that list: it holds names of ours."""
        names = self._just_listed.take(looked_up)
        if names is None or kind_of(name) is None:
            return any(objects.bears(ldev, name) for ldev in self.all())
        return name in names

    def _labelled(self, name: str) -> Object | None:
        found, names = [], set()
        for ldev in self.all():
            if kind_of(objects.name(ldev)) is not None:
                names.add(objects.name(ldev))
            if objects.bears(ldev, name):
                found.append(ldev)
        if len(found) > 1:
            places = ", ".join(objects.address(objects.number(ldev, "ldevId")) for ldev in found)
            raise InvalidRequest(f"Several LDEVs are labelled {name!r}; say which one by its address: {places}.")
        self._just_listed.keep(name, frozenset(names))
        return found[0] if found else None

    def _at_address(self, ldev_id: int) -> Object | None:
        try:
            ldev = self.get(ldev_id)
        except (NotFound, InvalidRequest):
            return None
        return ldev if objects.is_defined(ldev) else None

    def _details(self) -> Mapping[str, str]:
        return {"detailInfoType": "qos"} if self._facts.model.qos else {}

    def _windows(self, name: str) -> Iterator[Sequence[int]]:
        first, last = self._options.ldev_range or (0, self._facts.model.ldevs - 1)
        return placement.windows(name, first, min(last, self._facts.model.ldevs - 1))

    def _window(self, ids: Sequence[int]) -> dict[int, Object]:
        listed = self._client.items("ldevs", headLdevId=min(ids), count=len(ids), **self._details())
        return {objects.number(ldev, "ldevId"): ldev for ldev in listed}

    # Where names are

    def remember(self, name: str, ldev_id: int) -> None:
        """Keep where a name of ours was just now."""
        if kind_of(name) is None:
            return
        with self._guard:
            self._places[name] = ldev_id
            self._places.move_to_end(name)
            if ldev_id != self._first(name):
                self._displaced[name] = ldev_id
            if len(self._places) > _KEPT:
                self._places.popitem(last=False)

    def forget(self, name: str) -> None:
        """Drop where a name was."""
        with self._guard:
            self._places.pop(name, None)
            self._displaced.pop(name, None)

    def _first(self, name: str) -> int:
        return next(self._windows(name))[0]

    def _learn_displaced(self) -> None:
        with self._learning:
            if self._learnt:
                return
            for ldev in self.all():
                name, ldev_id = objects.name(ldev), objects.number(ldev, "ldevId")
                if kind_of(name) is not None and ldev_id != self._first(name):
                    self.remember(name, ldev_id)
            self._learnt = True

    def _remembered(self, name: str, ldev: Object) -> Object:
        self.remember(name, objects.number(ldev, "ldevId"))
        return ldev

    # Making

    def claim(self, name: str, pool_id: int, size: int) -> Claim:
        """Make an LDEV for a name, to be labelled next.

        Raises `AlreadyExists` where an LDEV bears the name, `LimitReached` where no id is free.
        """
        self._refuse_displaced(name)
        for window in self._windows(name):
            listed: Mapping[int, Object] | None = None
            for candidate in window:
                # The first candidate is nearly always free: only when it is not, the others are looked at.
                if listed is None or not objects.is_defined(listed[candidate]):
                    if self._made(candidate, pool_id, size):
                        return Claim(candidate, adopted=False)
                    listed = self._window(window)
                    self._refuse_taken(name, listed.values())
                    if not objects.is_defined(listed[candidate]):
                        raise Busy(f"LDEV {candidate} has just gone.")
                if self._is_own_remnant(name, listed[candidate], pool_id, size):
                    return Claim(candidate, adopted=True)
        raise LimitReached("The array has no LDEV id free in the range of this backend; widen ldev_range or delete volumes.")

    def label(self, claim: Claim, name: str, *, unfinished: bool = False) -> None:
        """Label a claimed LDEV; one that was adopted is read back, since its first claimant may have been alive after all."""
        self.set_label(claim.ldev_id, f"{name}{objects.UNFINISHED}" if unfinished else name)
        if claim.adopted and not objects.bears(self.get(claim.ldev_id), name):
            raise Busy(f"LDEV {claim.ldev_id} was labelled by another process.")
        self.remember(name, claim.ldev_id)

    def set_label(self, ldev_id: int, label: str) -> None:
        """Label an LDEV."""
        self.changes(ldev_id)
        self._client.change(f"ldevs/{ldev_id}", {"label": label})

    def delete(self, ldev_id: int) -> None:
        """Delete an LDEV that was read a moment before."""
        self.changes(ldev_id)
        self._client.delete(f"ldevs/{ldev_id}")

    def _made(self, ldev_id: int, pool_id: int, size: int) -> bool:
        body = {"ldevId": ldev_id, "poolId": pool_id, "blockCapacity": size // objects.BLOCK}
        try:
            self._client.create("ldevs", body)
        except AlreadyExists as taken:
            if taken.vendor_code != codes.LDEV_DEFINED:
                raise
            return False
        return True

    def _refuse_displaced(self, name: str) -> None:
        """Refuse a name whose LDEV is at another id than the name's first: that one may be free by now."""
        if not self._learnt:
            self._learn_displaced()
        place = self._displaced.get(name)
        if place is not None:
            self._refuse_taken(name, [self.get(place)])
            self.forget(name)

    def _refuse_taken(self, name: str, ldevs: Iterable[Object]) -> None:
        for ldev in ldevs:
            if objects.bears(ldev, name):
                self._remembered(name, ldev)
                raise AlreadyExists(f"The array has an LDEV labelled {name!r}.")

    def _is_own_remnant(self, name: str, ldev: Object, pool_id: int, size: int) -> bool:
        """Tell whether an LDEV is what a cut-off claim has left; waits until a living claimant would have labelled it."""
        if not may_be_remnant(ldev):
            return False
        ends = time.monotonic() + _CLAIM_SECONDS
        ldev_id = objects.number(ldev, "ldevId")

        def decided() -> Object | None:
            seen = self.get(ldev_id)
            over = time.monotonic() >= ends and objects.is_usable(seen)
            return seen if over or not may_be_remnant(seen) else None

        ldev = wait_until(decided, what=f"LDEV {ldev_id} to be labelled", first=0.02, longest=0.3)
        self._refuse_taken(name, [ldev])
        if not objects.is_defined(ldev):
            raise Busy(f"LDEV {ldev_id} has just gone.")
        return may_be_remnant(ldev) and int(ldev.get("poolId", -1)) == pool_id and objects.size(ldev) == size


def may_be_remnant(ldev: Object) -> bool:
    """Tell whether an LDEV could be claimed and not labelled: it has no label, and nothing has ever been done with it."""
    if not objects.is_defined(ldev) or objects.label(ldev):
        return False
    plain = objects.attributes(ldev) <= {"CVS", "HDP"}
    return plain and not objects.paths(ldev) and not ldev.get("numOfUsedBlock") and not ldev.get("naaId")


def _ldev_id(name: str) -> int | None:
    """Return the LDEV id that a name such as ``00:04:12`` spells; LDEVs without a label are called so."""
    parts = name.split(":")
    if len(parts) != 3 or any(len(part) != 2 for part in parts):  # noqa: PLR2004 - LDKC, CU and LDEV, two digits each
        return None
    try:
        ldkc, cu, ldev = (int(part, 16) for part in parts)
    except ValueError:
        return None
    return None if ldkc else cu << 8 | ldev
