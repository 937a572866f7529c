"""LUNs on this machine: connected through os-brick, proven by their own answers, and taken away without a trace."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from blockdrivers import deadline
from blockdrivers.errors import AttachError, BlockDriversError, InUse
from blockdrivers.host import brick, events, multipath, scsi, users
from blockdrivers.host.events import Events
from blockdrivers.host.multipath import Map
from blockdrivers.host.parts import Parts
from blockdrivers.host.scsi import Disk
from blockdrivers.host.writing import write_out
from blockdrivers.model import Attachment, DevicePath, Export, Protocol

_log = logging.getLogger(__name__)

_APPEAR_SECONDS = 15.0
_LOOK_SECONDS = 5.0
_VANISH_SECONDS = 15.0
_FLUSH_SECONDS = 600.0
_FORCED_DISCONNECT_SECONDS = 30.0
_LET_GO_SECONDS = 10.0
_GROW_SECONDS = 15.0
_CLAIMED = "DM_MULTIPATH_DEVICE_PATH"
_CONNECTORS = {Protocol.ISCSI: "ISCSI", Protocol.FC: "FIBRE_CHANNEL"}


@dataclass(frozen=True, slots=True)
class Found:
    """What this machine has of a LUN."""

    disks: tuple[Disk, ...]
    maps: tuple[Map, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether there is no trace of it."""
        return not self.disks and not self.maps

    def __str__(self) -> str:
        return ", ".join([*(item.device for item in self.maps), *(disk.device for disk in self.disks)]) or "nothing"


class Lun:
    """One exported LUN, as this machine's business.

    Args:
        export: where it is, and its identity (`Export.wwn`).
        multipath: use every path, through a map; False takes one path, True needs multipathd.
    """

    def __init__(self, export: Export, *, multipath: bool) -> None:
        if not export.wwn or export.lun is None:
            raise AttachError(
                f"The array does not tell the identity of {export.volume!r}, so no device can be proven to be that volume."
            )
        self._export = export
        self._number = export.lun
        self._wwn = export.wwn.lower()
        self._multipath = multipath
        targets = [target.iqn for target in export.targets] if export.protocol is Protocol.ISCSI else export.wwpns
        self._positions = {(target.lower(), export.lun) for target in targets}

    # Attaching

    def attach(self, volume_id: str) -> Attachment:
        """Connect and return a device only after every path of it has proven to be this LUN.

        Raises `AttachError` where that cannot be had, `InUse` where a stale device at its place is in use.
        """
        parts = Parts()
        with events.listening() as heard:
            with parts.identity:
                self._drop_stale(heard)
                present = self._at_place()
            with parts.host:
                for disk in present:
                    # It may have grown since it was connected.
                    scsi.rescan(disk)
                if not self._is_complete(present):
                    self._look(heard)
                    self._call("connect")
            with parts.identity:
                proven = self._proven(heard)
                top = self._top(proven, heard)
        return self._attachment(volume_id, proven, top, parts.seconds)

    def _attachment(
        self, volume_id: str, proven: Sequence[Disk], top: Disk | Map, seconds: Mapping[str, float] = MappingProxyType({})
    ) -> Attachment:
        return Attachment(
            volume_id=volume_id,
            protocol=self._export.protocol,
            path=top.device,
            size=scsi.size(top.device),
            wwn=self._wwn,
            map=top.device if isinstance(top, Map) else None,
            paths=tuple(DevicePath(disk.device, disk.target or "", disk.lun, disk.portal) for disk in proven),
            seconds=dict(seconds),
        )

    def _look(self, heard: Events) -> None:
        """Have FC ports find the LUN, so that os-brick need not scan and wait in steps of seconds; without success it does."""
        if self._export.protocol is Protocol.FC and scsi.scan_fc(self._export.wwpns, self._number):
            heard.until(self._has_settled, _LOOK_SECONDS)

    def _has_settled(self) -> bool | None:
        names = [disk.name for disk in self._at_place()]
        return (bool(names) and events.has_settled(names)) or None

    def _at_place(self) -> list[Disk]:
        return [disk for disk in scsi.disks() if ((disk.target or "").lower(), disk.lun) in self._positions]

    def _drop_stale(self, heard: Events) -> None:
        """Remove devices at this LUN's place that are not this LUN, or that the kernel took for another one when it found them.

        Nothing of what they still hold in memory is written: it would go to whatever LUN is there now.
        """
        stale = [disk for disk in self._at_place() if not self._is_this(disk)]
        if not stale:
            return
        names = {disk.name for disk in stale}
        emptied = tuple(found for found in multipath.holding(names) if names.issuperset(found.paths))
        used = self._users(Found(tuple(stale), emptied))
        if used:
            raise InUse(
                f"{', '.join(disk.device for disk in stale)} at LUN {self._export.lun} does not answer as {self._wwn}, and is in use: "
                f"{'; '.join(used)}. End that use: what it writes reaches no volume, or the wrong one."
            )
        _log.warning(
            "stale devices %s at LUN %s are removed without writing", sorted(names), self._export.lun, extra={"wwn": self._wwn}
        )
        self._sever(Found(tuple(stale), emptied), discard=True)
        if heard.until(lambda: names.isdisjoint(disk.name for disk in scsi.disks()) or None, _VANISH_SECONDS) is None:
            raise AttachError(f"The stale devices {', '.join(sorted(names))} at LUN {self._export.lun} cannot be removed.")

    def _is_this(self, disk: Disk) -> bool:
        """Tell whether a disk answers as this LUN, and was that, too, when the kernel found it."""
        try:
            answered = scsi.identities(disk.device)
        except (scsi.NoLun, scsi.NoAnswer) as trouble:
            _log.debug("%s", trouble)
            return False
        return self._wwn in answered and disk.wwn in {None, *answered}

    def _is_complete(self, present: Sequence[Disk]) -> bool:
        """Tell whether this LUN is there by every path that the array named, so that there is nothing to connect."""
        if self._export.protocol is not Protocol.ISCSI:
            return False
        wanted = {target.portal for target in self._export.targets}
        reached = {disk.portal for disk in present if disk.state == "running"}
        return wanted <= reached if self._multipath else bool(wanted & reached)

    def _proven(self, heard: Events) -> list[Disk]:
        """Return this LUN's disks, each of which has answered with its identity."""
        found = heard.until(lambda: self._at_place() or None, _APPEAR_SECONDS)
        if not found:
            raise AttachError(
                f"LUN {self._export.lun} did not appear on this machine; check that its initiator reaches "
                f"{', '.join(sorted({target for target, _ in self._positions}))}."
            )
        proven, silent = [], []
        for disk in found:
            try:
                answered = scsi.identities(disk.device)
            except (scsi.NoLun, scsi.NoAnswer) as trouble:
                _log.warning("%s cannot be proven to be %s and is removed: %s", disk.device, self._wwn, trouble)
                silent.append(disk)
                continue
            if self._wwn not in answered:
                raise AttachError(
                    f"{disk.device} at LUN {self._export.lun} answers as {', '.join(sorted(answered)) or 'nobody'}, not as {self._wwn}: "
                    "it is another volume, and is not handed out."
                )
            proven.append(disk)
        for disk in silent:
            multipath.forget_path(disk.name)
        scsi.drop(silent)
        if not proven:
            raise AttachError(f"No path to LUN {self._export.lun} answers with its identity {self._wwn}.")
        return proven

    def _top(self, proven: Sequence[Disk], heard: Events) -> Disk | Map:
        """Return what is to be used: the map that holds the disks, or the only disk."""
        names = {disk.name for disk in proven}
        if not self._multipath and not self._is_claimed(names, heard):
            return proven[0]
        found = self._await_map(names, heard)
        if found is None:
            raise AttachError(
                f"multipathd made no map of {', '.join(sorted(names))} ({self._wwn}); see what multipath -ll says, and its "
                "blacklist."
            )
        # Paths come into a map one after the other; a path that it does not get is no reason to fail.
        heard.until(lambda: any(names <= set(item.paths) for item in self._maps_of(names)) or None, _APPEAR_SECONDS / 3)
        found = next(iter(self._maps_of(names)), found)
        self._check_map(found, names)
        return found

    def _await_map(self, names: Collection[str], heard: Events) -> Map | None:
        """Wait for the map; of disks whose map was removed, by a detach that went no further, multipathd makes none by itself."""
        if not self._maps_of(names) and events.has_settled(names):
            for name in sorted(names):
                multipath.take_path(name)
        return heard.until(lambda: next(iter(self._maps_of(names)), None), _APPEAR_SECONDS)

    def _maps_of(self, names: Collection[str]) -> list[Map]:
        return [item for item in multipath.holding(names) if scsi.size(item.device)]

    def _is_claimed(self, names: Collection[str], heard: Events) -> bool:
        """Tell whether multipathd takes a single path for itself; udev knows once it has looked at the disk."""
        if multipath.holding(names):
            return True
        if not multipath.is_running():
            return False
        heard.until(lambda: events.has_settled(names) or None, _APPEAR_SECONDS)
        return events.says(names, _CLAIMED, "1")

    def _check_map(self, found: Map, names: Collection[str]) -> None:
        others = [disk for disk in scsi.disks() if disk.name in found.paths and disk.name not in names]
        for device in [found.device, *(disk.device for disk in others)]:
            try:
                answered = scsi.identities(device)
            except (scsi.NoLun, scsi.NoAnswer) as trouble:
                raise AttachError(f"{device} does not prove to be {self._wwn}: {trouble}") from None
            if self._wwn not in answered or found.wwn not in answered:
                raise AttachError(
                    f"{device} of the map {found.name} answers as {', '.join(sorted(answered))}, not as {self._wwn}: it is not handed out."
                )

    # Growing

    def refresh(self, volume_id: str) -> Attachment:
        """Let every path and the map take over the LUN's present size, under I/O."""
        with events.listening() as heard:
            proven = self._proven(heard)
            for disk in proven:
                scsi.rescan(disk)
            size = max(scsi.size(disk.device) for disk in proven)
            top = self._top(proven, heard)
            if isinstance(top, Map) and scsi.size(top.device) != size:
                multipath.resize(top)
                heard.until(lambda: scsi.size(top.device) == size or None, _GROW_SECONDS)
            behind = [item.device for item in [*proven, top] if scsi.size(item.device) != size]
            if behind:
                raise AttachError(f"{', '.join(behind)} did not take over the size of {size} bytes; call again.")
        return self._attachment(volume_id, proven, top)

    # Detaching

    def detach(self, *, force: bool) -> None:
        """Write out what is in memory, remove every device of this LUN, and prove that none is left.

        Args:
            force: what cannot be written is lost; for a LUN whose paths are dead.

        Raises:
            InUse: it is mounted or held open; nothing was changed.
            AttachError: writing out failed (without `force`; nothing was removed), or something stays.
        """
        found = self.found()
        with events.listening() as heard:
            if force:
                multipath.stop_queueing(found.maps)
                # Whoever waited for a path is told by now, and may let go.
                heard.until(lambda: not self._users(found) or None, _LET_GO_SECONDS)
            if used := self._users(found):
                if force:
                    multipath.queue_again(found.maps)
                raise InUse(
                    f"{found} of LUN {self._export.lun} is in use: {'; '.join(used)}. End that first; nothing was removed."
                )
            self._flush(found, force=force)
            self._sever(found, discard=force)
            self._disconnect(force=force)
            self._prove_gone(heard)

    def undo(self) -> bool:
        """Take away what a failed `attach` has left; tell whether nothing that uses this LUN is left.

        A stale device in use at its place stays: what is not this LUN's is not to be written to it by a removal, and the sooner
        the array takes the LUN away from there, the better.
        """
        found = self.found()
        own = Found(
            tuple(disk for disk in found.disks if disk.wwn == self._wwn or self._is_this(disk)),
            tuple(item for item in found.maps if item.wwn == self._wwn),
        )
        if self._users(own):
            return False
        with events.listening() as heard:
            self._sever(own, discard=True)
            if self._users(self.found()):
                return True
            self._disconnect(force=True)
            try:
                self._prove_gone(heard)
            except AttachError as trouble:
                _log.warning("%s", trouble)
                return False
        return True

    def found(self) -> Found:
        """Return every device that is this LUN, by its place or by the identity that it had when the kernel found it."""
        disks = {disk.name: disk for disk in scsi.disks() if disk.wwn == self._wwn}
        disks |= {disk.name: disk for disk in self._at_place()}
        held = {item.kernel_name: item for item in multipath.holding(disks) if set(item.paths) <= disks.keys()}
        held |= {item.kernel_name: item for item in multipath.maps() if item.wwn == self._wwn}
        return Found(tuple(disks.values()), tuple(held.values()))

    def _users(self, found: Found) -> list[str]:
        maps = [item.kernel_name for item in multipath.holding([disk.name for disk in found.disks])]
        return users.of_devices([*(item.device for item in found.maps), *(disk.device for disk in found.disks)], but=maps)

    def _flush(self, found: Found, *, force: bool) -> None:
        held = {name for item in found.maps for name in item.paths}
        tops = [item.device for item in found.maps] + [disk.device for disk in found.disks if disk.name not in held]
        for device in tops:
            write_out(device, force=force)
            # What is cached may be read no more.
            write_out(device, force=force, via=("blockdev", "--flushbufs"))

    def _sever(self, found: Found, *, discard: bool) -> None:
        multipath.stop_queueing(found.maps)
        if discard:
            # Off line before its map goes: else what is in memory is written on the way.
            scsi.take_off_line(found.disks)
        for item in found.maps:
            multipath.remove(item)
        scsi.drop(found.disks)

    def _disconnect(self, *, force: bool) -> None:
        """Have os-brick end the sessions that no other LUN needs."""
        seconds = deadline.remaining(_FORCED_DISCONNECT_SECONDS if force else _FLUSH_SECONDS)
        try:
            with deadline.deadline(seconds, "ending the sessions"):
                self._call("disconnect", info={"type": "block", "path": "/dev/none"}, force=force)
        except BlockDriversError as trouble:
            if not force:
                raise
            _log.warning("%s", trouble)

    def _prove_gone(self, heard: Events) -> None:
        if heard.until(lambda: self.found().is_nothing or None, _VANISH_SECONDS) is None:
            raise AttachError(
                f"{self.found()} of LUN {self._export.lun} cannot be removed; blockdrivers doctor --host tells more."
            )

    # os-brick

    def request(self) -> dict[str, Any]:
        """Return what os-brick is asked with."""
        return {
            "protocol": _CONNECTORS[self._export.protocol],
            "multipath": self._multipath,
            "properties": properties(self._export),
        }

    def _call(self, do: str, **more: Any) -> None:
        chap = self._export.chap
        brick.call(do, secret=chap.secret if chap else None, **self.request(), **more)


def properties(export: Export) -> dict[str, Any]:
    """Return an export of a LUN as os-brick's connectors take it."""
    common: dict[str, Any] = {"volume_id": export.volume, "target_lun": export.lun, "discard": False, "encrypted": False}
    if export.protocol is Protocol.FC:
        paths = {initiator: list(targets) for initiator, targets in export.paths.items()}
        return common | {
            "target_discovered": True,
            "target_wwn": list(export.wwpns),
            **({"initiator_target_map": paths} if paths else {}),
        }
    first = export.targets[0]
    found = common | {
        "target_discovered": False,
        "target_portal": first.portal,
        "target_iqn": first.iqn,
        "target_portals": [target.portal for target in export.targets],
        "target_iqns": [target.iqn for target in export.targets],
        "target_luns": [export.lun] * len(export.targets),
    }
    if export.chap:
        found |= {"auth_method": "CHAP", "auth_username": export.chap.username, "auth_password": export.chap.secret}
    return found
