"""What this machine has of arrays' volumes that nothing needs, or that has lost its volume; each finding with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blockdrivers.errors import BlockDriversError
from blockdrivers.findings import Finding, Status
from blockdrivers.host import brick, multipath, scsi, shares, users
from blockdrivers.host.multipath import Map
from blockdrivers.host.scsi import SYS, Disk, read
from blockdrivers.model import Dependant, Export, Protocol, Volume

if TYPE_CHECKING:
    from blockdrivers.backend import Backend

_AT_ONCE = 16
"""Devices asked at the same time: those on dead paths take seconds each."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A disk of an array, and what it answered."""

    disk: Disk
    is_right: bool
    is_dead: bool
    saw: str


def machine() -> Iterator[Finding]:
    """Look at every LUN, map, session and share of this machine; raise `ConfigurationError` where this is not root."""
    brick.require_root()
    disks = [disk for disk in scsi.disks() if disk.target]
    with ThreadPoolExecutor(_AT_ONCE) as asking:
        asked = {item.disk.name: item for item in asking.map(_ask, disks)}
    yield from _all_or(_devices(asked.values()), "devices", f"{len(disks)} devices of arrays, each of which answers as itself")
    yield from _all_or(_maps(asked), "maps", f"{len(multipath.maps())} multipath maps, each with a LUN behind")
    yield from _all_or(_sessions(disks), "sessions", "every iSCSI session has a LUN")
    yield from _all_or(_shares(), "shares", "every mounted share has a volume")


def exports(backend: Backend, host: str) -> Iterator[Finding]:
    """Look for volumes that the array exports to this machine and of which it has no device.

    Args:
        backend: the array.
        host: what the array calls this machine.
    """
    yield from _all_or(_exports(backend, host), "exports", f"every export of {backend.name} to {host} has its device")


def _all_or(found: Iterable[Finding], check: str, saw: str) -> list[Finding]:
    findings = list(found)
    return findings or [Finding(check, "this machine", Status.OK, saw)]


def _ask(disk: Disk) -> _Asked:
    try:
        answered = scsi.identities(disk.device)
    except scsi.NoLun:
        return _Asked(disk, False, False, "the target has no LUN behind this number any more")
    except scsi.NoAnswer as trouble:
        return _Asked(disk, False, True, f"the path is dead ({disk.state}): {trouble}")
    if disk.wwn in answered:
        return _Asked(disk, True, False, "")
    return _Asked(
        disk, False, False, f"it was {disk.wwn or 'unknown'}, and answers as {', '.join(sorted(answered)) or 'nobody'} now"
    )


def _devices(asked: Iterable[_Asked]) -> Iterator[Finding]:
    for item in asked:
        if item.is_right:
            continue
        disk = item.disk
        maps = [found.kernel_name for found in multipath.holding([disk.name])]
        used = users.of_device(disk.device, but=maps)
        removal = f"multipathd del path {disk.name}; echo offline > {disk.folder}/state; echo 1 > {disk.folder}/delete"
        where = f"LUN {disk.lun} of {disk.target}" + (f" at {disk.portal}" if disk.portal else "")
        if used:
            advice = f"It is in use ({'; '.join(used)}); end that first. Then: {removal}"
        elif item.is_dead:
            advice = f"Mend the way to the array; where the LUN is not to come back: {removal}"
        else:
            advice = removal
        status = Status.WARN if item.is_dead else Status.FAIL
        yield Finding("dead path" if item.is_dead else "stale device", disk.device, status, f"{where}: {item.saw}", advice)


def _maps(asked: Mapping[str, _Asked]) -> Iterator[Finding]:
    for found in multipath.maps():
        behind = [asked[name] for name in found.paths if name in asked]
        if found.paths and (len(behind) < len(found.paths) or any(item.is_right for item in behind)):
            # A path of another kind of disk is none of an array's.
            continue
        yield _empty_map(found)


def _empty_map(found: Map) -> Finding:
    used = users.of_device(found.device)
    removal = f"dmsetup message {found.name} 0 fail_if_no_path; multipath -f {found.name}"
    saw = f"map {found.name}: " + (f"none of its paths {', '.join(found.paths)} has its LUN" if found.paths else "it has no path")
    advice = (
        f"It is in use ({'; '.join(used)}); where its LUN is not to come back, end that, then: {removal}" if used else removal
    )
    return Finding("map without a LUN", found.device, Status.FAIL, saw, advice)


def _sessions(disks: Iterable[Disk]) -> Iterator[Finding]:
    needed = {disk.session for disk in disks}
    for folder in sorted((SYS / "class/iscsi_session").glob("session*")):
        number = folder.name.removeprefix("session")
        if number not in needed:
            saw = f"session {number} is {read(folder / 'state') or 'unknown'}, and no LUN is behind it"
            target = read(folder / "targetname") or folder.name
            yield Finding("session without a LUN", target, Status.WARN, saw, f"iscsiadm -m session -r {number} -u")


def _shares() -> Iterator[Finding]:
    mounted = {mount.share: mount for mount in shares.mounts()}
    marked = shares.marked()
    for share in sorted(mounted.keys() - marked.keys()):
        folder = mounted[share].folder
        yield Finding(
            "share without a volume",
            share,
            Status.WARN,
            f"mounted at {folder}, and no volume of it is attached",
            f"umount {folder}",
        )
    for share in sorted(marked.keys() - mounted.keys()):
        saw = f"{', '.join(marked[share])} of it were being attached, and it is not mounted"
        yield Finding("volume without its share", share, Status.WARN, saw, "Attach these volumes again, or detach them.")


def _exports(backend: Backend, host: str) -> Iterator[Finding]:
    disks, mounted = scsi.disks(), {mount.share for mount in shares.mounts()}
    wwns = {disk.wwn for disk in disks}
    for volume in backend.list_volumes():
        if Dependant.EXPORT not in volume.dependants or volume.volume_id is None:
            continue
        try:
            of_host = [export for export in backend.list_exports(volume.volume_id) if export.host == host]
        except BlockDriversError as trouble:
            yield Finding("export without a device", volume.volume_id, Status.UNKNOWN, " ".join(str(trouble).split()))
            continue
        for export in of_host:
            if not _is_here(export, wwns, mounted):
                yield _without_device(backend, volume, export)


def _is_here(export: Export, wwns: set[str | None], mounted: set[str]) -> bool:
    if export.protocol is Protocol.NFS:
        return (export.location or "").rpartition("/")[0] in mounted
    if export.protocol is Protocol.RBD:
        images = {f"{read(item / 'pool')}/{read(item / 'name')}" for item in (SYS / "bus/rbd/devices").glob("*")}
        return export.location in images
    return export.wwn in wwns


def _without_device(backend: Backend, volume: Volume, export: Export) -> Finding:
    saw = f"exported to {export.host} over {export.protocol.label}" + (f" as LUN {export.lun}" if export.lun is not None else "")
    again = f"blockdrivers --backend {backend.name} attach {volume.volume_id} --protocol {export.protocol}"
    away = f"blockdrivers --backend {backend.name} detach {volume.volume_id} --protocol {export.protocol}"
    return Finding(
        "export without a device", str(volume.volume_id), Status.WARN, f"{saw}, and no device here", f"{away}  (or: {again})"
    )
