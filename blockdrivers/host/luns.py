"""LUNs on this machine: connected through os-brick, proven by their own answers, and taken away without a trace."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from blockdrivers.errors import AttachError, InUse
from blockdrivers.host import events, multipath, removal, scsi
from blockdrivers.host.events import Events
from blockdrivers.host.multipath import Map
from blockdrivers.host.parts import Parts
from blockdrivers.host.place import Found, Place
from blockdrivers.host.scsi import Disk
from blockdrivers.model import Attachment, DevicePath, Export, Protocol

_log = logging.getLogger(__name__)

_APPEAR_SECONDS = 15.0
_LOOK_SECONDS = 5.0
_VANISH_SECONDS = 15.0
_GROW_SECONDS = 15.0
_CLAIMED = "DM_MULTIPATH_DEVICE_PATH"


class Lun:
    """One exported LUN, as this machine's business.

    Args:
        export: where it is, and its identity (`Export.wwn`).
        multipath: use every path, through a map; False takes one path, True needs multipathd.
    """

    def __init__(self, export: Export, *, multipath: bool) -> None:
        self._place = Place(export, multipath=multipath)

    def detach(self, *, force: bool) -> None:
        """See `removal.detach`."""
        removal.detach(self._place, force=force)

    def undo(self) -> bool:
        """See `removal.undo`."""
        return removal.undo(self._place)

    def attach(self, volume_id: str) -> Attachment:
        """Connect and return a device only after every path of it has proven to be this LUN.

        Raises `AttachError` where that cannot be had, `InUse` where a stale device at its place is in use.
        """
        parts = Parts()
        with events.listening() as heard:
            with parts.identity:
                self._drop_stale(heard)
                present = self._place.disks()
            with parts.host:
                for disk in present:
                    # It may have grown since it was connected.
                    scsi.rescan(disk)
                if not self._is_complete(present):
                    self._look(heard)
                    self._place.call("connect")
            with parts.identity:
                proven = self._proven(heard)
                top = self._top(proven, heard)
        return self._attachment(volume_id, proven, top, parts.seconds)

    def _attachment(
        self, volume_id: str, proven: Sequence[Disk], top: Disk | Map, seconds: Mapping[str, float] = MappingProxyType({})
    ) -> Attachment:
        return Attachment(
            volume_id=volume_id,
            protocol=self._place.export.protocol,
            path=top.device,
            size=scsi.size(top.device),
            wwn=self._place.wwn,
            map=top.device if isinstance(top, Map) else None,
            paths=tuple(DevicePath(disk.device, disk.target or "", disk.lun, disk.portal) for disk in proven),
            seconds=dict(seconds),
        )

    def _look(self, heard: Events) -> None:
        """Have FC ports find the LUN, so that os-brick need not scan and wait in steps of seconds; without success it does."""
        if self._place.export.protocol is Protocol.FC and scsi.scan_fc(self._place.export.wwpns, self._place.number):
            heard.until(self._has_settled, _LOOK_SECONDS)

    def _has_settled(self) -> bool | None:
        names = [disk.name for disk in self._place.disks()]
        return (bool(names) and events.has_settled(names)) or None

    def _drop_stale(self, heard: Events) -> None:
        """Remove devices at this LUN's place that are not this LUN, or that the kernel took for another one when it found them.

        Nothing of what they still hold in memory is written: it would go to whatever LUN is there now.
        """
        stale = [disk for disk in self._place.disks() if not self._place.holds(disk)]
        if not stale:
            return
        names = {disk.name for disk in stale}
        emptied = tuple(found for found in multipath.holding(names) if names.issuperset(found.paths))
        used = self._place.users(Found(tuple(stale), emptied))
        if used:
            raise InUse(
                f"{', '.join(disk.device for disk in stale)} at LUN {self._place.number} does not answer as {self._place.wwn}, and is in use: "
                f"{'; '.join(used)}. End that use: what it writes reaches no volume, or the wrong one."
            )
        _log.warning(
            "stale devices %s at LUN %s are removed without writing",
            sorted(names),
            self._place.number,
            extra={"wwn": self._place.wwn},
        )
        removal.sever(Found(tuple(stale), emptied), discard=True)
        if heard.until(lambda: names.isdisjoint(disk.name for disk in scsi.disks()) or None, _VANISH_SECONDS) is None:
            raise AttachError(f"The stale devices {', '.join(sorted(names))} at LUN {self._place.number} cannot be removed.")

    def _is_this(self, disk: Disk) -> bool:
        """Tell whether a disk answers as this LUN, and was that, too, when the kernel found it."""
        try:
            answered = scsi.identities(disk.device)
        except (scsi.NoLun, scsi.NoAnswer) as trouble:
            _log.debug("%s", trouble)
            return False
        return self._place.wwn in answered and disk.wwn in {None, *answered}

    def _is_complete(self, present: Sequence[Disk]) -> bool:
        """Tell whether this LUN is there by every path that the array named, so that there is nothing to connect."""
        if self._place.export.protocol is not Protocol.ISCSI:
            return False
        wanted = {target.portal for target in self._place.export.targets}
        reached = {disk.portal for disk in present if disk.state == "running"}
        return wanted <= reached if self._place.multipath else bool(wanted & reached)

    def _proven(self, heard: Events) -> list[Disk]:
        """Return this LUN's disks, each of which has answered with its identity."""
        found = heard.until(lambda: self._place.disks() or None, _APPEAR_SECONDS)
        if not found:
            raise AttachError(
                f"LUN {self._place.number} did not appear on this machine; check that its initiator reaches "
                f"{', '.join(self._place.targets)}."
            )
        proven, silent = [], []
        for disk in found:
            try:
                answered = scsi.identities(disk.device)
            except (scsi.NoLun, scsi.NoAnswer) as trouble:
                _log.warning("%s cannot be proven to be %s and is removed: %s", disk.device, self._place.wwn, trouble)
                silent.append(disk)
                continue
            if self._place.wwn not in answered:
                raise AttachError(
                    f"{disk.device} at LUN {self._place.number} answers as {', '.join(sorted(answered)) or 'nobody'}, not as {self._place.wwn}: "
                    "it is another volume, and is not handed out."
                )
            proven.append(disk)
        for disk in silent:
            multipath.forget_path(disk.name)
        scsi.drop(silent)
        if not proven:
            raise AttachError(f"No path to LUN {self._place.number} answers with its identity {self._place.wwn}.")
        return proven

    def _top(self, proven: Sequence[Disk], heard: Events) -> Disk | Map:
        """Return what is to be used: the map that holds the disks, or the only disk."""
        names = {disk.name for disk in proven}
        if not self._place.multipath and not self._is_claimed(names, heard):
            return proven[0]
        found = self._await_map(names, heard)
        if found is None:
            raise AttachError(
                f"multipathd made no map of {', '.join(sorted(names))} ({self._place.wwn}); see what multipath -ll says, and its "
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
                raise AttachError(f"{device} does not prove to be {self._place.wwn}: {trouble}") from None
            if self._place.wwn not in answered or found.wwn not in answered:
                raise AttachError(
                    f"{device} of the map {found.name} answers as {', '.join(sorted(answered))}, not as {self._place.wwn}: it is not handed out."
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
