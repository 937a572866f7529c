"""Volume copies: mirrored, moved and changed in kind on line. Source: IBM sheet, sections 3.4 and 3.10; Inspur sheet, 3.3."""

from __future__ import annotations

from conformance.simulation.engine import Volume
from vendors.svc.simulator import codes
from vendors.svc.simulator.codes import Refusal
from vendors.svc.simulator.shell import Bytes, Command, Created, Detail, Given, Pairs, Table, Value, action, listing
from vendors.svc.simulator.state import Copy, State
from vendors.svc.simulator.storage import Storage

_MOST_COPIES = 2


class Mirrors:
    """The second copies of an array's volumes."""

    def __init__(self, state: State, storage: Storage) -> None:
        self._state = state
        self._storage = storage

    def commands(self) -> dict[str, Command]:
        """Return the verbs."""
        kind = "mdiskgrp rsize warning grainsize easytier intier syncrate"
        switches = "autoexpand compressed deduplicated deduped nofmtdisk"
        if self._state.profile.autodelete_copy:
            switches += " autodelete"
        return {
            "lsvdiskcopy": listing(self._copies, "copy"),
            "lsvdisksyncprogress": listing(self._progress, "copy"),
            "addvdiskcopy": action(self._add, kind, switches),
            "rmvdiskcopy": action(self._remove, "copy", "force"),
            "migratevdisk": action(self._migrate, "mdiskgrp copy vdisk threads", most=0),
            "movevdisk": action(self._move, "iogrp node", "force"),
            "addvdiskaccess": action(self._move, "iogrp"),
            "rmvdiskaccess": action(self._move, "iogrp", "force"),
        }

    def settle(self) -> None:
        """Let copies that are to go, go, once the others are in step."""
        for volume_id, copies in self._state.copies.items():
            leaving = next((copy for copy in copies if copy.auto_delete), None)
            if leaving is not None and all(self._state.now >= copy.synced_at for copy in copies):
                self._drop(self._state.array.volumes[volume_id], leaving)

    def _copies(self, given: Given) -> Table | Detail:
        if "copy" in given:
            copy = self._copy(self._state.volume(given.object), given.text("copy"))
            return Detail([self._row(self._state.volume(given.object), copy, detailed=True)])
        volumes = [self._state.volume(given.object)] if given.objects else list(self._state.array.volumes.values())
        return Table([self._row(volume, copy) for volume in volumes for copy in self._state.copies[volume.id]])

    def _copy(self, volume: Volume, copy_id: str) -> Copy:
        found = next((copy for copy in self._state.copies[volume.id] if copy.id == copy_id), None)
        if found is None:
            raise Refusal(codes.NO_COPY)
        return found

    def _row(self, volume: Volume, copy: Copy, *, detailed: bool = False) -> Pairs:
        tier = self._state.profile.words.tier_field
        kind = copy.kind
        pairs: list[tuple[str, Value]] = [
            ("vdisk_id", volume.id),
            ("vdisk_name", volume.name),
            ("copy_id", copy.id),
            ("status", "online"),
            ("sync", "yes" if self._state.now >= copy.synced_at else "no"),
            ("primary", "yes" if copy.primary else "no"),
            ("mdisk_grp_id", copy.pool_id),
            ("mdisk_grp_name", self._state.array.pools[copy.pool_id].name),
            ("capacity", Bytes(volume.size)),
            ("type", "striped"),
            ("se_copy", "yes" if kind.thin else "no"),
            (tier, "on" if kind.tiered else "off"),
            (f"{tier}_status", "balanced" if kind.tiered else "measured"),
            ("compressed_copy", "yes" if kind.compressed else "no"),
        ]
        if detailed:
            pairs += [
                ("auto_delete", "yes" if copy.auto_delete else "no"),
                ("autoexpand", ("on" if kind.autoexpand else "off") if kind.thin else ""),
                ("warning", kind.warning if kind.thin else ""),
                ("grainsize", kind.grain if kind.thin else ""),
            ]
        return pairs

    def _progress(self, given: Given) -> Table:
        volume = self._state.volume(given.object)
        seconds = self._state.options.copy_seconds
        rows: list[Pairs] = []
        for copy in self._state.copies[volume.id]:
            if given.flags.get("copy") in {None, copy.id}:
                left = max(0.0, copy.synced_at - self._state.now)
                done = 100 if left == 0 or not seconds else min(99, int(100 - 100 * left / seconds))
                rows.append(
                    [
                        ("vdisk_id", volume.id),
                        ("vdisk_name", volume.name),
                        ("copy_id", copy.id),
                        ("progress", done),
                        ("estimated_completion_time", "" if done == 100 else "261128120000"),  # noqa: PLR2004
                    ]
                )
        return Table(rows)

    def _add(self, given: Given) -> Created:
        volume = self._state.volume(given.object, codes.GONE)
        copies = self._state.copies[volume.id]
        pool = self._state.pool(given.text("mdiskgrp"))
        if len(copies) >= _MOST_COPIES:
            raise Refusal(codes.LIMIT)
        kind = self._storage.kind(given, pool)
        need = 0 if kind.thin else volume.size
        if self._state.array.full or self._state.array.free(pool.id) < need:
            raise Refusal(codes.OUT_OF_SPACE)
        new = "1" if copies[0].id == "0" else "0"
        if "autodelete" in given:
            copies[0].auto_delete = True
        synced = self._state.now + self._state.options.copy_seconds
        copies.append(Copy(new, pool.id, kind, synced_at=synced, primary=False))
        return Created(new, f"Vdisk [{volume.id}] copy [{new}] successfully created")

    def _remove(self, given: Given) -> None:
        volume = self._state.volume(given.object, codes.GONE)
        copy = self._copy(volume, given.text("copy"))
        others = [other for other in self._state.copies[volume.id] if other is not copy]
        if not others or any(self._state.now < other.synced_at for other in others):
            raise Refusal(codes.VOLUME_IN_USE)
        self._drop(volume, copy)

    def _drop(self, volume: Volume, copy: Copy) -> None:
        (left,) = (other for other in self._state.copies[volume.id] if other is not copy)
        left.primary, left.auto_delete = True, False
        self._state.copies[volume.id] = [left]
        volume.pool_id, volume.thin = left.pool_id, left.kind.thin

    def _migrate(self, given: Given) -> None:
        volume = self._state.volume(given.text("vdisk"), codes.GONE)
        copy = self._copy(volume, given.text("copy", self._state.copies[volume.id][0].id))
        pool = self._state.pool(given.text("mdiskgrp"))
        if pool.id == copy.pool_id:
            raise Refusal(codes.SAME_POOL)
        if self._state.array.free(pool.id) < (0 if copy.kind.thin else volume.size):
            raise Refusal(codes.OUT_OF_SPACE)
        copy.pool_id = pool.id
        if copy.primary:
            volume.pool_id = pool.id

    def _move(self, given: Given) -> None:
        self._state.volume(given.object, codes.GONE)
        self._state.io_group(given.text("iogrp"))
