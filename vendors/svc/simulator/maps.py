"""Copy mappings (FlashCopy, LocalCopy) and their groups. Source: IBM sheet, sections 3.5 and 3.9; Inspur sheet, 2 and 3.4."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from conformance.simulation.engine import Volume
from vendors.svc.simulator import codes
from vendors.svc.simulator.codes import Refusal
from vendors.svc.simulator.shell import Command, Created, Detail, Given, Pairs, Table, Value, action, checked_name, listing
from vendors.svc.simulator.state import CopyMap, Group, State, free_id

_IDLE, _PREPARING, _PREPARED = "idle_or_copied", "preparing", "prepared"
_COPYING, _STOPPING, _STOPPED = "copying", "stopping", "stopped"
_MOST_GROUPS = 128
_ALL = 100


class Maps:
    """The copy mappings of an array."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._words = state.profile.words

    def commands(self) -> dict[str, Command]:
        """Return the verbs, by the vendor's stem."""
        stem = self._words.stem
        return {
            f"ls{stem}map": listing(self._maps),
            f"lsvdisk{stem}mappings": listing(self._maps_of),
            "lsrmvdiskdependentmaps": listing(self._maps_of),
            f"mk{stem}map": action(
                self._create, "name source target copyrate cleanrate consistgrp grainsize", "autodelete incremental", most=0
            ),
            f"ch{stem}map": action(self._change, "name copyrate cleanrate autodelete consistgrp", "force"),
            f"rm{stem}map": action(self._remove, "", "force"),
            f"prestart{stem}map": action(self._prestart, "", "restore"),
            f"start{stem}map": action(self._start, "", "prep restore"),
            f"stop{stem}map": action(self._stop, "", "force split"),
            f"ls{stem}consistgrp": listing(self._groups),
            f"mk{stem}consistgrp": action(self._create_group, "name", "autodelete fast", most=0),
            f"rm{stem}consistgrp": action(self._remove_group, "", "force"),
            f"prestart{stem}consistgrp": action(self._prestart_group, "", "restore"),
            f"start{stem}consistgrp": action(self._start_group, "", "prep restore"),
            f"stop{stem}consistgrp": action(self._stop_group, "", "force split"),
        }

    # Time

    def settle(self) -> None:
        """Let every mapping be in the state that it has reached by now."""
        ready = [found for found in self._state.maps.values() if found.status == _PREPARING and self._is_flushed(found)]
        for found in ready:
            found.status, found.since = _PREPARED, self._state.now
        self._begin([found for found in ready if found.starts])
        for found in list(self._state.maps.values()):
            if found.status == _STOPPING and self._state.now >= found.since + self._state.options.stop_seconds:
                found.status = _IDLE if self.progress(found) >= 1 else _STOPPED
            elif found.status == _COPYING and self.progress(found) >= 1 and not self._is_held(found):
                found.status, found.restoring = _IDLE, False
                if found.autodelete:
                    del self._state.maps[found.id]

    def progress(self, found: CopyMap) -> float:
        """Return how much of the background copy is done: 0.0 to 1.0."""
        if found.begun is None or not found.rate:
            return found.copied
        seconds = self._state.options.copy_seconds
        return 1.0 if seconds <= 0 else min(1.0, found.copied + (self._state.now - found.begun) / seconds)

    def _is_flushed(self, found: CopyMap) -> bool:
        return self._state.now >= found.since + self._state.options.prepare_seconds

    def _is_held(self, found: CopyMap) -> bool:
        """Tell whether others depend on the target of a copy that is complete: it then stays ``copying`` (sheet, trap 7)."""
        return self._state.options.dependants_hold and any(
            other.source_id == found.target_id and other.is_active for other in self._state.maps.values() if other is not found
        )

    # Inquiries

    def _maps(self, given: Given) -> Table | Detail:
        if given.objects:
            return Detail([self._row(self._map(given.object))])
        return Table([self._row(found) for found in self._state.maps.values()])

    def _maps_of(self, given: Given) -> Table:
        volume = self._state.volume(given.object)
        return Table([[("id", found.id), ("name", found.name)] for found in self._state.maps_of(volume)])

    def _row(self, found: CopyMap) -> Pairs:
        group = self._state.groups.get(found.group_id or "")
        return [
            ("id", found.id),
            ("name", found.name),
            ("source_vdisk_id", found.source_id),
            ("source_vdisk_name", self._state.array.volumes[found.source_id].name),
            ("target_vdisk_id", found.target_id),
            ("target_vdisk_name", self._state.array.volumes[found.target_id].name),
            ("group_id", group.id if group else ""),
            ("group_name", group.name if group else ""),
            ("status", found.status),
            ("progress", int(self.progress(found) * _ALL)),
            ("copy_rate", found.rate),
            ("clean_progress", _ALL),
            ("incremental", "off"),
            ("partner_FC_id", ""),
            ("partner_FC_name", ""),
            ("restoring", "yes" if found.restoring else "no"),
            ("start_time", found.start_time),
            ("rc_controlled", "no"),
        ]

    def _map(self, reference: str, code: str = codes.GONE) -> CopyMap:
        found = next((item for item in self._state.maps.values() if reference in {item.id, item.name}), None)
        if found is None:
            raise Refusal(code)
        return found

    # One mapping

    def _create(self, given: Given) -> Created:
        source, target = self._state.volume(given.text("source")), self._state.volume(given.text("target"))
        if source is target:
            raise Refusal(codes.SAME_VOLUME)
        if source.size != target.size:
            raise Refusal(codes.SIZES_DIFFER)
        if any(found.target_id == target.id for found in self._state.maps.values()):
            raise Refusal(codes.TARGET_TAKEN)
        group = self._state.group(given.text("consistgrp")) if "consistgrp" in given else None
        identifier = free_id(self._state.maps)
        name = checked_name(given.text("name", f"{self._words.stem}map{identifier}"))
        if any(found.name == name for found in self._state.maps.values()):
            raise Refusal(codes.EXISTS)
        found = CopyMap(
            identifier,
            name,
            source.id,
            target.id,
            self._rate(given, 50),
            given.number("cleanrate", 50, among=range(self._state.profile.fastest_copy + 1)),
            "autodelete" in given,
            group.id if group else None,
        )
        self._state.maps[identifier] = found
        return Created(identifier, f"{self._words.copy} Mapping, id [{identifier}], successfully created")

    def _rate(self, given: Given, default: int) -> int:
        return given.number("copyrate", default, among=range(self._state.profile.fastest_copy + 1))

    def _change(self, given: Given) -> None:
        found = self._map(given.object)
        if "copyrate" in given:
            rate = self._rate(given, found.rate)
            found.copied = self.progress(found)
            found.rate, found.begun = rate, self._state.now if found.status == _COPYING else None
        if "autodelete" in given:
            found.autodelete = given.choice("autodelete", ("on", "off")) == "on"
        if "cleanrate" in given:
            found.clean_rate = given.number("cleanrate", among=range(self._state.profile.fastest_copy + 1))
        if "consistgrp" in given:
            found.group_id = self._state.group(given.text("consistgrp")).id
        if "name" in given:
            found.name = checked_name(given.text("name"))

    def _remove(self, given: Given) -> None:
        found = self._map(given.object)
        if found.is_active or (found.status == _STOPPED and "force" not in given):
            raise Refusal(codes.WRONG_STATE)
        del self._state.maps[found.id]

    def _prestart(self, given: Given) -> None:
        self._prepare([self._loose(given)], restore="restore" in given, start=False)

    def _start(self, given: Given) -> None:
        self._run([self._loose(given)], given)

    def _stop(self, given: Given) -> None:
        self._halt([self._loose(given)], split="split" in given)

    def _loose(self, given: Given) -> CopyMap:
        found = self._map(given.object)
        if found.group_id is not None:
            raise Refusal(codes.WRONG_STATE)
        return found

    # Several at once

    def _prepare(self, chosen: Sequence[CopyMap], *, restore: bool, start: bool) -> None:
        for found in chosen:
            if found.status not in {_IDLE, _STOPPED} or (not restore and self._feeds_others(found)):
                raise Refusal(codes.WRONG_STATE)
        for found in chosen:
            found.status, found.since, found.starts, found.restoring = _PREPARING, self._state.now, start, restore
            found.copied, found.begun = 0.0, None
        self.settle()

    def _feeds_others(self, found: CopyMap) -> bool:
        """Tell whether a mapping's target is the source of active ones: that needs ``-restore``."""
        return any(other.source_id == found.target_id and other.is_active for other in self._state.maps.values())

    def _run(self, chosen: Sequence[CopyMap], given: Given) -> None:
        if "prep" in given:
            self._prepare(chosen, restore="restore" in given, start=True)
            return
        if any(found.status != _PREPARED for found in chosen):
            raise Refusal(codes.WRONG_STATE)
        self._begin(chosen)

    def _begin(self, chosen: Sequence[CopyMap]) -> None:
        """Give several mappings one moment: now."""
        volumes = self._state.array.volumes
        self._take((volumes[found.source_id], volumes[found.target_id]) for found in chosen)
        for found in chosen:
            found.status, found.since, found.starts = _COPYING, self._state.now, False
            found.begun, found.copied = self._state.now, 0.0
            found.start_time = time.strftime("%y%m%d%H%M%S")

    def _take(self, pairs: Iterable[tuple[Volume, Volume]]) -> None:
        plane, visible = self._state.array.data_plane, self._state.array.seen_by
        fresh = []
        for source, target in pairs:
            if visible(target.id):
                plane.copy(source.wwn, target.wwn)
            else:
                plane.delete(target.wwn)
                fresh.append((source.wwn, target.wwn))
        if fresh:
            plane.snapshot(fresh)

    def _halt(self, chosen: Sequence[CopyMap], *, split: bool) -> None:
        for found in chosen:
            if split and self.progress(found) < 1:
                raise Refusal(codes.WRONG_STATE)
            if found.status in {_STOPPING, _STOPPED}:
                raise Refusal(codes.WRONG_STATE)
        for found in chosen:
            if found.status in {_PREPARING, _PREPARED}:
                found.status = _STOPPED
            elif found.status == _COPYING:
                # What has been copied by now stays: the state that follows depends on it.
                found.copied, found.begun = self.progress(found), None
                found.status, found.since = _STOPPING, self._state.now
        self.settle()

    # Groups

    def _create_group(self, given: Given) -> Created:
        identifier = free_id(self._state.groups)
        name = checked_name(given.text("name", f"{self._words.stem}ccg{identifier}"))
        if any(group.name == name for group in self._state.groups.values()):
            raise Refusal(codes.EXISTS)
        if len(self._state.groups) >= _MOST_GROUPS:
            raise Refusal(codes.LIMIT)
        self._state.groups[identifier] = Group(identifier, name)
        message = f"{self._words.copy} Consistency Group, id [{identifier}], successfully created"
        return Created(identifier, message)

    def _members(self, group: Group) -> list[CopyMap]:
        return [found for found in self._state.maps.values() if found.group_id == group.id]

    def _status(self, group: Group) -> str:
        states = {found.status for found in self._members(group)}
        order = (_STOPPED, _STOPPING, _PREPARING, _PREPARED, _COPYING, _IDLE)
        return next((status for status in order if status in states), "empty")

    def _groups(self, given: Given) -> Table | Detail:
        if not given.objects:
            return Table([self._group_row(group) for group in self._state.groups.values()])
        group = self._state.group(given.object)
        pairs: list[tuple[str, Value]] = [*self._group_row(group), ("autodelete", "off"), ("start_time", "")]
        for found in self._members(group):
            pairs += [("FC_mapping_id", found.id), ("FC_mapping_name", found.name)]
        return Detail([pairs])

    def _group_row(self, group: Group) -> Pairs:
        return [("id", group.id), ("name", group.name), ("status", self._status(group))]

    def _remove_group(self, given: Given) -> None:
        group = self._state.group(given.object)
        members = self._members(group)
        if members and "force" not in given:
            raise Refusal(codes.WRONG_STATE)
        for found in members:
            found.group_id = None
        del self._state.groups[group.id]

    def _prestart_group(self, given: Given) -> None:
        self._prepare(self._several(given), restore="restore" in given, start=False)

    def _start_group(self, given: Given) -> None:
        self._run(self._several(given), given)

    def _stop_group(self, given: Given) -> None:
        self._halt(self._several(given), split="split" in given)

    def _several(self, given: Given) -> list[CopyMap]:
        members = self._members(self._state.group(given.object))
        if not members:
            raise Refusal(codes.WRONG_STATE)
        return members

    # For the state dump

    def dump(self) -> list[dict[str, object]]:
        """Return the mappings."""
        names = {volume.id: volume.name for volume in self._state.array.volumes.values()}
        return [
            {
                "id": found.id,
                "source": names[found.source_id],
                "target": names[found.target_id],
                "status": found.status,
                "rate": found.rate,
                "group": self._state.groups[found.group_id].name if found.group_id else None,
            }
            for found in self._state.maps.values()
        ]

    def group_dump(self) -> list[dict[str, object]]:
        """Return the groups."""
        return [{"id": group.id, "name": group.name, "status": self._status(group)} for group in self._state.groups.values()]
