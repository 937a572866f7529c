"""Where a LUN is on this machine, which devices are it, and how os-brick is asked for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from blockdrivers.errors import AttachError
from blockdrivers.host import brick, multipath, scsi, users
from blockdrivers.host.multipath import Map
from blockdrivers.host.scsi import Disk
from blockdrivers.model import Export, Protocol

_log = logging.getLogger(__name__)

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


class Place:
    """The place of one exported LUN: its targets and its number.

    Args:
        export: where it is, and its identity (`Export.wwn`).
        multipath: use every path.
    """

    def __init__(self, export: Export, *, multipath: bool) -> None:
        if not export.wwn or export.lun is None:
            raise AttachError(
                f"The array does not tell the identity of {export.volume!r}, so no device can be proven to be that volume."
            )
        self.export = export
        self.number = export.lun
        self.wwn = export.wwn.lower()
        self.multipath = multipath
        targets = [target.iqn for target in export.targets] if export.protocol is Protocol.ISCSI else export.wwpns
        self.targets = sorted({target.lower() for target in targets})

    def disks(self) -> list[Disk]:
        """Return the disks at this place, whatever they are."""
        return [disk for disk in scsi.disks() if disk.lun == self.number and (disk.target or "").lower() in self.targets]

    def holds(self, disk: Disk) -> bool:
        """Tell whether a disk answers as this LUN, and was that, too, when the kernel found it."""
        try:
            answered = scsi.identities(disk.device)
        except (scsi.NoLun, scsi.NoAnswer) as trouble:
            _log.debug("%s", trouble)
            return False
        return self.wwn in answered and disk.wwn in {None, *answered}

    def found(self) -> Found:
        """Return every device that is this LUN, by its place or by the identity that it had when the kernel found it."""
        disks = {disk.name: disk for disk in scsi.disks() if disk.wwn == self.wwn}
        disks |= {disk.name: disk for disk in self.disks()}
        held = {item.kernel_name: item for item in multipath.holding(disks) if set(item.paths) <= disks.keys()}
        held |= {item.kernel_name: item for item in multipath.maps() if item.wwn == self.wwn}
        return Found(tuple(disks.values()), tuple(held.values()))

    def users(self, found: Found) -> list[str]:
        """Return who uses any of these devices, each as a phrase."""
        maps = [item.kernel_name for item in multipath.holding([disk.name for disk in found.disks])]
        return users.of_devices([*(item.device for item in found.maps), *(disk.device for disk in found.disks)], but=maps)

    def request(self) -> dict[str, Any]:
        """Return what os-brick is asked with."""
        return {
            "protocol": _CONNECTORS[self.export.protocol],
            "multipath": self.multipath,
            "properties": properties(self.export),
        }

    def call(self, do: str, **more: Any) -> None:
        """Have os-brick ``connect`` or ``disconnect`` it."""
        chap = self.export.chap
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
