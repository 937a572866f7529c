"""Who uses a block device or a file of this machine: mounts, swap, processes, and devices built on it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blockdrivers.host import scsi
from blockdrivers.host.scsi import SYS, read

_PROC = Path("/proc")
_MOST = 6
"""So many users are named; more make a message no clearer."""
_WATCHERS = frozenset({"multipathd", "systemd-udevd"})
"""They, and what they start, look at every device and let go of it by themselves."""
_MOST_ANCESTORS = 8


def of_device(device: str, *, but: Collection[str] = ()) -> list[str]:
    """Return who uses a block device, its partitions, or what is built on them, each as a phrase; empty where nobody does.

    Args:
        device: ``/dev/dm-0``.
        but: names of devices built on it that do not count, such as the multipath map of a path.
    """
    return of_devices([device], but=but)


def of_devices(devices: Sequence[str], *, but: Collection[str] = ()) -> list[str]:
    """Return who uses any of these block devices; see `of_device`."""
    roots = [Path(device).name for device in devices]
    names = list(dict.fromkeys(name for root in roots for name in _stack(root, but)))
    numbers = {number: name for name in names if (number := _number(name)) is not None}
    built = [f"{_title(name)} is built on it" for name in names if name not in roots and not _is_partition(name)]
    found = [*_mounts(numbers), *_swaps(names), *_processes(numbers), *built]
    if not found:
        free = [root for root in roots if set(scsi.holders(root)).isdisjoint(but)]
        found = [f"something in the kernel has claimed /dev/{root}" for root in free if _is_claimed(f"/dev/{root}")]
    return found[:_MOST]


def of_file(file: Path) -> list[str]:
    """Return who has a file open, or has a loop device on it, each as a phrase."""
    name = str(file)
    loops = [folder.parent.parent.name for folder in (SYS / "block").glob("loop*/loop/backing_file") if read(folder) == name]
    opened = [f"{item.owner} has it open" for item in _open_files() if item.leads_to == name]
    return [*dict.fromkeys(opened), *(f"/dev/{loop} is set up on it" for loop in loops)][:_MOST]


def below(folder: Path) -> list[str]:
    """Return who has anything below a mount point open, each as a phrase."""
    prefix = f"{folder}/"
    found = [f"{item.owner} has {item.leads_to} open" for item in _open_files() if item.leads_to.startswith(prefix)]
    return list(dict.fromkeys(found))[:_MOST]


def _stack(name: str, but: Collection[str]) -> list[str]:
    """Return a device, its partitions, and everything that is built on them."""
    found = [name]
    for item in found:
        above = [*scsi.partitions(item), *scsi.holders(item)]
        found += [other for other in above if other not in but and other not in found]
    return found


def _title(name: str) -> str:
    return read(SYS / "class/block" / name / "dm/name") or name


def _is_partition(name: str) -> bool:
    # The partitions of a multipath map are maps themselves (kpartx).
    uuid = read(SYS / "class/block" / name / "dm/uuid") or ""
    return (SYS / "class/block" / name / "partition").exists() or uuid.startswith("part")


def _number(name: str) -> int | None:
    number = read(SYS / "class/block" / name / "dev")
    if number is None:
        return None
    major, minor = number.split(":")
    return os.makedev(int(major), int(minor))


def _mounts(numbers: Mapping[int, str]) -> list[str]:
    """Look in every mount namespace: a container's mounts count as well."""
    found: dict[str, None] = {}
    seen = set()
    for pid in _pids():
        try:
            namespace = (_PROC / pid / "ns/mnt").stat().st_ino
            lines = [] if namespace in seen else (_PROC / pid / "mountinfo").read_text(errors="replace").splitlines()
        except OSError:
            continue
        seen.add(namespace)
        for line in lines:
            _, _, number, _, where, *_ = line.split(" ")
            major, minor = number.split(":")
            if name := numbers.get(os.makedev(int(major), int(minor))):
                found[f"/dev/{name} is mounted at {where}"] = None
    return list(found)


def _swaps(names: Collection[str]) -> list[str]:
    used = [line.split()[0] for line in (_PROC / "swaps").read_text().splitlines()[1:]]
    return [f"/dev/{name} is swapped to" for name in names if f"/dev/{name}" in used]


def _processes(numbers: Mapping[int, str]) -> list[str]:
    found: dict[str, None] = {}
    for item in _open_files():
        # Only what looks like a device is followed: a file of a server that has gone would never be answered for.
        name = numbers.get(item.device_number) if item.leads_to.startswith("/dev/") else None
        if name and not _is_watching(item.pid):
            found[f"{item.owner} has /dev/{name} open"] = None
    return list(found)


@dataclass(frozen=True, slots=True)
class _OpenFile:
    pid: str
    entry: Path
    leads_to: str

    @property
    def owner(self) -> str:
        return f"process {self.pid} ({read(_PROC / self.pid / 'comm') or 'ended'})"

    @property
    def device_number(self) -> int:
        """Number of the block device behind it; -1 for anything else."""
        try:
            status = self.entry.stat()
        except OSError:
            return -1
        return status.st_rdev if stat.S_ISBLK(status.st_mode) else -1


def _open_files() -> Iterator[_OpenFile]:
    for pid in _pids():
        try:
            entries = list((_PROC / pid / "fd").iterdir())
        except OSError:
            continue
        for entry in entries:
            try:
                yield _OpenFile(pid, entry, str(entry.readlink()))
            except OSError:
                continue


def _is_watching(pid: str) -> bool:
    for _ in range(_MOST_ANCESTORS):
        name, after, rest = (read(_PROC / pid / "stat") or "").partition("(")[2].rpartition(")")
        if name in _WATCHERS or not after:
            return name in _WATCHERS
        pid = rest.split()[1]
    return False


def _pids() -> list[str]:
    return [item.name for item in _PROC.iterdir() if item.name.isdigit()]


def _is_claimed(device: str) -> bool:
    """Tell whether the kernel has promised a device to one user alone: a mount, LVM, md, an exported target."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as refusal:
        return refusal.errno == errno.EBUSY
    return False
