"""Copy mappings: made, started, waited for and taken down. Source: IBM sheet, section 3.5; Inspur sheet, 3.4.

A mapping is never one that removes itself when it is complete: that it is still there when all bytes are is the proof that
nobody has taken it away before.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import Ambiguous, Busy, NotFound, VendorError
from vendors.svc import codes, objects
from vendors.svc.client import Refused, SvcClient, present
from vendors.svc.grammar import Ask, Call, Flag, Section
from vendors.svc.objects import CopyMap
from vendors.svc.variants import Variant
from vendors.svc.volumes import Volumes

_SNAPSHOT_RATE = 0
_NAME_BYTES = 8


@dataclass(frozen=True, slots=True)
class Begun:
    """A mapping that holds its moment, or why there is none.

    Attributes:
        map_id: the mapping.
        target: section of its target.
        answers: what was asked for besides.
        refused: which of the changes was refused.
    """

    map_id: str = ""
    target: Section | None = None
    answers: Sequence[Sequence[Section] | None] = ()
    refused: Refused | None = None


class Mappings:
    """The copy mappings of an array."""

    def __init__(self, client: SvcClient, variant: Variant, volumes: Volumes, rate: int) -> None:
        self._client = client
        self._stem = variant.stem
        self._volumes = volumes
        self._rate = rate

    def joining(self, source: str, target: str, *, copies: bool, group: str | None = None, name: str | None = None) -> Call:
        """Return the call that joins two volumes of one size.

        The array refuses it where the target has a mapping already (`AlreadyExists`) and where the sizes differ
        (`InvalidRequest`).

        Args:
            source, target: names.
            copies: every byte is to be copied; else only what changes later.
            group: name of the consistency group that it is to belong to.
            name: of the mapping; the array's choice where None.
        """
        flags: dict[str, Flag] = {"source": source, "target": target, "copyrate": self._rate if copies else _SNAPSHOT_RATE}
        more = {"name": name, "consistgrp": group}
        return Call(f"mk{self._stem}map", flags={**flags, **{flag: text for flag, text in more.items() if text}}, changes=True)

    def begin(
        self,
        source: str,
        target: str,
        *,
        copies: bool,
        restore: bool = False,
        before: Sequence[Call] = (),
        also: Sequence[Ask] = (),
    ) -> Begun:
        """Join two volumes and give the mapping its moment, in one round trip over SSH; return once it has it.

        The mapping bears a name that nothing else has: where it cannot be made, its start starts nothing.

        Args:
            source, target, copies: see `joining`.
            restore: the target is the source of other mappings.
            before: changes that make what is joined.
            also: inquiries.
        """
        name = f"bd{secrets.token_hex(_NAME_BYTES)}"
        calls = [*before, self.joining(source, target, copies=copies, name=name), self._starting(name, restore=restore)]
        asks = (self._volumes.detail(target), self._volumes.maps(target_vdisk_name=target), *also)
        refused, answers = self._client.carry_out(calls, *asks)
        if refused is not None:
            return Begun(refused=refused)
        found, rows, *others = answers
        made = next(iter(objects.copy_maps(rows)), None)
        if made is None or not found:
            raise Busy(f"The copy mapping onto {target!r} was removed while it was made.")
        self._await_moment(made)
        return Begun(made.id, found[0], others)

    def _starting(self, reference: str, *, restore: bool, prepared: bool = False) -> Call:
        return Call(f"start{self._stem}map", reference, {"prep": not prepared, "restore": restore}, changes=True)

    def _await_moment(self, made: CopyMap) -> None:
        if not made.holds_moment:
            note(f"the copy mapping {made.id} is being prepared")
            wait_until(lambda: self._moment(made.id), what=f"copy mapping {made.id} to hold its moment")

    def start(self, found: CopyMap, *, restore: bool = False) -> Section:
        """Start a mapping that an earlier call has made; one that has begun already is left alone. Return its target's section."""
        asks = (self._volumes.detail(found.target), self.by_id(found.id))
        try:
            call = self._starting(found.id, restore=restore, prepared=found.status == "prepared")
            _, (item, rows) = self._client.change_and_read(call, *asks)
        except Busy as refused:
            if refused.vendor_code not in codes.WRONG_STATE:
                raise
            # Another call may have been quicker, or its start is under way.
            item, rows = self._client.read(*asks)
            if not _all_begun(objects.copy_maps(rows)):
                raise
        made = next(iter(objects.copy_maps(rows)), None)
        if made is None:
            raise Busy(f"The copy mapping {found.id} was removed while it was started.")
        self._await_moment(made)
        return present(item, f"volume {found.target!r}")[0]

    def start_group(self, group: str, *asks: Ask) -> list[Sequence[Section] | None]:
        """Give all mappings of a group one moment; return what was asked for besides.

        Where the answer is lost, the mappings tell: whoever looks for the snapshots finds them whole, and the group would stay.
        """
        call = Call(f"start{self._stem}consistgrp", group, {"prep": True}, changes=True)
        members = self._volumes.maps(group_name=group)
        try:
            _, (rows, *answers) = self._client.change_and_read(call, members, *asks)
        except Ambiguous:
            rows, *answers = self._client.read(members, *asks)
            if not _all_begun(objects.copy_maps(rows)):
                raise
        if not all(found.holds_moment for found in objects.copy_maps(rows)):
            wait_until(lambda: self._group_moment(group), what=f"consistency group {group} to hold its moment")
        return answers

    def by_id(self, map_id: str) -> Ask:
        """Ask for one mapping; its absence is an empty table."""
        return self._volumes.maps(id=map_id)

    def follow(self, map_id: str, target: str) -> None:
        """Wait until every byte has been copied, then take the mapping down."""
        note(f"the copy onto {target} is under way")
        done = wait_until(lambda: self._copied(map_id, target), what=f"the copy onto {target}")
        self.take_down(done)

    def take_down(self, found: CopyMap) -> None:
        """Remove a mapping whose bytes are all copied; one that others keep ``copying`` is stopped first (sheet, trap 7)."""
        if found.status == "copying":
            self._client.change(f"stop{self._stem}map", found.id, split=True)
            wait_until(lambda: self._at_rest(found.id), what=f"copy mapping {found.id} to stop")
        self._remove(found, force=found.status == "copying")

    def tidy(self, name: str) -> bool:
        """Take down the complete copies that a volume is still part of; tell whether there was one."""
        asks = (self._volumes.maps(source_vdisk_name=name), self._volumes.maps(target_vdisk_name=name))
        maps = [found for rows in self._client.read(*asks) for found in objects.copy_maps(rows)]
        over = [found for found in maps if found.is_complete and not (found.source == name and found.is_snapshot)]
        for found in over:
            self.take_down(found)
        return bool(over)

    def discard(self, map_id: str) -> None:
        """Remove a mapping that was never started; an absent one counts as removed."""
        with suppress(NotFound):
            self._client.change(f"rm{self._stem}map", map_id, force=True)

    def _remove(self, found: CopyMap, *, force: bool) -> None:
        """Remove a complete mapping. The bytes are there: an answer that was lost must not have them all copied again."""
        try:
            self._client.change(f"rm{self._stem}map", found.id, force=force)
        except NotFound:
            return
        except Ambiguous:
            if self._client.read(self.by_id(found.id))[0]:
                raise

    def _moment(self, map_id: str) -> bool | None:
        found = objects.copy_maps(self._client.read(self.by_id(map_id))[0])
        if not found:
            raise NotFound(f"The copy mapping {map_id} was removed before it held its moment.")
        if found[0].status == "stopped":
            raise VendorError(f"The copy mapping {map_id} was stopped; look for the array's alarms.")
        return True if found[0].holds_moment else None

    def _group_moment(self, group: str) -> bool | None:
        found = objects.copy_maps(self._client.read(self._volumes.maps(group_name=group))[0])
        if not found or any(each.status == "stopped" for each in found):
            raise VendorError(f"The consistency group {group} was stopped; look for the array's alarms.")
        return True if all(each.holds_moment for each in found) else None

    def _copied(self, map_id: str, target: str) -> CopyMap | None:
        found = objects.copy_maps(self._client.read(self.by_id(map_id))[0])
        if not found or found[0].target != target:
            raise Busy(f"The copy onto {target} was taken away before it was seen to be complete; it begins anew.")
        if found[0].status in {"stopping", "stopped"}:
            raise VendorError(f"The copy onto {target} was stopped; look for the array's alarms.")
        return found[0] if found[0].is_complete else None

    def _at_rest(self, map_id: str) -> bool | None:
        found = objects.copy_maps(self._client.read(self.by_id(map_id))[0])
        return True if not found or found[0].status in {"stopped", "idle_or_copied"} else None


def _all_begun(found: list[CopyMap]) -> bool:
    """Tell whether mappings hold their moment, or are about to."""
    return bool(found) and all(each.holds_moment or each.status in {"preparing", "prepared"} for each in found)
