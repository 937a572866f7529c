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

_FIRST_LOOK = 0.05
"""Seconds after which a mapping is looked at that was not there yet when it was made."""
_SNAPSHOT_RATE = 0
_NAME_BYTES = 8


@dataclass(frozen=True, slots=True)
class Begun:
    """A mapping that holds its moment, or why there is none.

    Attributes:
        made: the mapping, as it was seen first.
        answers: what was asked for besides.
        refused: which of the changes was refused.
    """

    made: CopyMap | None = None
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
        refused, answers = self._client.carry_out(calls, self._volumes.maps(target_vdisk_name=target), *also)
        if refused is not None:
            return Begun(refused=refused)
        rows, *others = answers
        made = next(iter(objects.copy_maps(rows)), None)
        if made is None:
            raise Busy(f"The copy mapping onto {target!r} was removed while it was made.")
        self._await_moment(made)
        return Begun(made, others)

    def _starting(self, reference: str, *, restore: bool, prepared: bool = False) -> Call:
        return Call(f"start{self._stem}map", reference, {"prep": not prepared, "restore": restore}, changes=True)

    def _await_moment(self, made: CopyMap) -> None:
        if not made.holds_moment:
            note(f"the copy mapping {made.name} is being prepared")
            wait_until(lambda: self._moment(made.name), what=f"copy mapping {made.name} to hold its moment", delay=_FIRST_LOOK)

    def start(self, found: CopyMap, *, restore: bool = False) -> Section:
        """Start a mapping that an earlier call has made; one that has begun already is left alone. Return its target's section."""
        asks = (self._volumes.detail(found.target), self.named(found.name))
        try:
            call = self._starting(found.name, restore=restore, prepared=found.status == "prepared")
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
            raise Busy(f"The copy mapping {found.name} was removed while it was started.")
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
            wait_until(lambda: self._group_moment(group), what=f"consistency group {group} to hold its moment", delay=_FIRST_LOOK)
        return answers

    def named(self, name: str) -> Ask:
        """Ask for one mapping; its absence is an empty table."""
        return self._volumes.maps(name=name)

    def complete(self, begun: CopyMap) -> CopyMap:
        """Wait until every byte has been copied, and return the mapping as it is then."""
        if begun.is_complete and begun.holds_moment:
            return begun
        note(f"the copy onto {begun.target} is under way")
        return wait_until(lambda: self._copied(begun.name, begun.target), what=f"the copy onto {begun.target}", delay=_FIRST_LOOK)

    def take_down(self, found: CopyMap) -> None:
        """Remove a mapping whose bytes are all copied; one that others keep ``copying`` is stopped first (sheet, trap 7)."""
        if found.status == "copying":
            self._client.change(f"stop{self._stem}map", found.name, split=True)
            wait_until(lambda: self._at_rest(found.name), what=f"copy mapping {found.name} to stop")
        self._remove(found, force=found.status == "copying")

    def removing(self, found: CopyMap) -> Call:
        """Return the call that removes a complete mapping which nothing holds."""
        return Call(f"rm{self._stem}map", found.name, changes=True)

    def tidy(self, name: str) -> bool:
        """Take down the complete copies that a volume is still part of; tell whether there was one."""
        asks = (self._volumes.maps(source_vdisk_name=name), self._volumes.maps(target_vdisk_name=name))
        maps = [found for rows in self._client.read(*asks) for found in objects.copy_maps(rows)]
        over = [found for found in maps if found.is_complete and not (found.source == name and found.is_snapshot)]
        for found in over:
            self.take_down(found)
        return bool(over)

    def discard(self, name: str) -> None:
        """Remove a mapping that was never started; an absent one counts as removed."""
        with suppress(NotFound):
            self._client.change(f"rm{self._stem}map", name, force=True)

    def _remove(self, found: CopyMap, *, force: bool) -> None:
        """Remove a complete mapping. The bytes are there: an answer that was lost must not have them all copied again."""
        try:
            self._client.change(f"rm{self._stem}map", found.name, force=force)
        except NotFound:
            return
        except Ambiguous:
            if self._client.read(self.named(found.name))[0]:
                raise

    def _moment(self, name: str) -> bool | None:
        found = objects.copy_maps(self._client.read(self.named(name))[0])
        if not found:
            raise NotFound(f"The copy mapping {name} was removed before it held its moment.")
        if found[0].status == "stopped":
            raise VendorError(f"The copy mapping {name} was stopped; look for the array's alarms.")
        return True if found[0].holds_moment else None

    def _group_moment(self, group: str) -> bool | None:
        found = objects.copy_maps(self._client.read(self._volumes.maps(group_name=group))[0])
        if not found or any(each.status == "stopped" for each in found):
            raise VendorError(f"The consistency group {group} was stopped; look for the array's alarms.")
        return True if all(each.holds_moment for each in found) else None

    def _copied(self, name: str, target: str) -> CopyMap | None:
        found = objects.copy_maps(self._client.read(self.named(name))[0])
        if not found or found[0].target != target:
            raise Busy(f"The copy onto {target} was taken away before it was seen to be complete; it begins anew.")
        if found[0].status in {"stopping", "stopped"}:
            raise VendorError(f"The copy onto {target} was stopped; look for the array's alarms.")
        return found[0] if found[0].is_complete else None

    def _at_rest(self, name: str) -> bool | None:
        found = objects.copy_maps(self._client.read(self.named(name))[0])
        return True if not found or found[0].status in {"stopped", "idle_or_copied"} else None


def _all_begun(found: list[CopyMap]) -> bool:
    """Tell whether mappings hold their moment, or are about to."""
    return bool(found) and all(each.holds_moment or each.status in {"preparing", "prepared"} for each in found)
