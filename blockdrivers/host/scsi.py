"""The SCSI disks of this machine: where they lead, and which LUN answers when it is asked.

The kernel keeps what a disk said of itself when it was found. An array may have put another LUN behind the same number since: only
an answer of now proves an identity (CVE-2023-2088). Sources: SPC-4 (INQUIRY, page 83h), the kernel's sysfs and SG_IO interfaces.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blockdrivers.host.bounded import bounded

_log = logging.getLogger(__name__)

SYS: Final = Path("/sys")
_SECTOR: Final = 512

_SG_IO: Final = 0x2285
_FROM_DEVICE: Final = -3
_INQUIRY: Final = 0x12
_PAGE_83: Final = 0x83
_LENGTH: Final = 1024
_HEADER: Final = 4
_SENSE_LENGTH: Final = 64
_ILLEGAL_REQUEST: Final = 0x05
_NO_SUCH_LUN: Final = 0x25
_ASK_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 2.0
_WRITE_SECONDS: Final = 10.0

_NAA, _EUI64 = 3, 2
_FLAT_ADDRESSING: Final = 0x4000


class NoLun(Exception):
    """The target answered that there is no LUN behind this number."""


class NoAnswer(Exception):
    """The device did not answer: the path is dead, or too slow."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A SCSI disk as sysfs shows it; nothing was asked over the wire."""

    name: str
    """``sdb``."""
    address: str
    """``host:channel:target:lun`` of the kernel."""
    target: str | None
    """IQN or, of an FC port, WWPN in 16 hexadecimal digits; None for a disk of another kind."""
    portal: str | None
    """``ip:port``, iSCSI only."""
    lun: int
    state: str
    """``running``, ``blocked``, ``offline``, ``transport-offline``, ..."""
    wwn: str | None
    """The identity that it had when the kernel found it: hexadecimal digits; None where it had none of NAA or EUI-64."""
    session: str | None = None
    """iSCSI only: number of the session."""

    @property
    def device(self) -> str:
        """Return ``/dev/sdb``."""
        return f"/dev/{self.name}"

    @property
    def folder(self) -> Path:
        """Return its folder in sysfs."""
        return SYS / "class/scsi_device" / self.address / "device"


def disks() -> list[Disk]:
    """Return every SCSI disk that the kernel has."""
    return list(_disks())


def _disks() -> Iterator[Disk]:
    for entry in sorted((SYS / "class/scsi_device").glob("*")):
        # A disk may go away while it is read: then it is not there.
        try:
            names = [item.name for item in (entry / "device/block").iterdir()]
            if names:
                yield _disk(names[0], entry)
        except OSError:
            continue


def _disk(name: str, entry: Path) -> Disk:
    device = (entry / "device").resolve(strict=True)
    session = next((part.removeprefix("session") for part in device.parts if part.startswith("session")), None)
    lun = int(entry.name.rsplit(":", 1)[1])
    wwid = read(device / "wwid") or ""
    return Disk(
        name=name,
        address=entry.name,
        target=_iqn(session) if session else _wwpn(device),
        portal=_portal(session) if session else None,
        lun=lun - _FLAT_ADDRESSING if lun >= _FLAT_ADDRESSING else lun,
        state=read(device / "state") or "unknown",
        wwn=wwid[len("naa.") :].lower() if wwid.startswith(("naa.", "eui.")) else None,
        session=session,
    )


def _iqn(session: str) -> str | None:
    return read(SYS / "class/iscsi_session" / f"session{session}" / "targetname")


def _portal(session: str) -> str | None:
    connection = SYS / "class/iscsi_connection" / f"connection{session}:0"
    address, port = read(connection / "persistent_address"), read(connection / "persistent_port")
    return f"{address}:{port}" if address and port else None


def _wwpn(device: Path) -> str | None:
    name = read(SYS / "class/fc_transport" / device.parent.name / "port_name")
    return name.removeprefix("0x").lower() if name else None


def read(file: Path) -> str | None:
    """Return what a file of sysfs says, without white space around it; None where it is not there or says nothing."""
    try:
        return file.read_text(errors="replace").strip() or None
    except OSError:
        return None


def size(device: str) -> int:
    """Return a block device's size in bytes as the kernel has it; 0 where there is no such device."""
    return int(read(SYS / "class/block" / Path(device).name / "size") or 0) * _SECTOR


def holders(device: str) -> list[str]:
    """Return the names of the devices that are built on one (``dm-0``)."""
    return _names(SYS / "class/block" / Path(device).name / "holders")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(item.name for item in folder.iterdir())
    except OSError:
        return []


def partitions(device: str) -> list[str]:
    """Return the names of a disk's partitions (``sdb1``)."""
    folder = SYS / "class/block" / Path(device).name
    return sorted(item.parent.name for item in folder.glob("*/partition"))


def identities(device: str) -> frozenset[str]:
    """Ask a device which LUN it is, over the wire and now; return every identity that it gives, in hexadecimal digits.

    Args:
        device: a SCSI disk, or a multipath map, which passes the question on.

    Raises:
        NoLun: nothing is behind that number any more.
        NoAnswer: no answer came within a few seconds, or the device has gone.
    """
    try:
        return bounded(lambda: parse_page_83(_ask(device)), _ASK_SECONDS + _GRACE_SECONDS)
    except OSError as trouble:
        raise NoAnswer(f"{device}: {trouble.strerror or trouble}") from None


def _ask(device: str) -> bytes:
    """Send INQUIRY for page 83h and return the page."""
    command = struct.pack(">BBBHB", _INQUIRY, 1, _PAGE_83, _LENGTH, 0)
    cdb, answer, sense = (ctypes.create_string_buffer(size) for size in (len(command), _LENGTH, _SENSE_LENGTH))
    cdb.raw = command
    header = _Header(
        interface_id=ord("S"),
        direction=_FROM_DEVICE,
        cmd_len=len(command),
        mx_sb_len=_SENSE_LENGTH,
        dxfer_len=_LENGTH,
        dxferp=ctypes.addressof(answer),
        cmdp=ctypes.addressof(cdb),
        sbp=ctypes.addressof(sense),
        timeout=int(_ASK_SECONDS * 1000),
    )
    descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _SG_IO, header)
    finally:
        os.close(descriptor)
    if header.host_status:
        raise NoAnswer(f"{device}: the path failed (host status {header.host_status})")
    if header.status:
        key, code = _sense(sense.raw)
        if (key, code) == (_ILLEGAL_REQUEST, _NO_SUCH_LUN):
            raise NoLun(f"{device}: the target has no such LUN")
        raise NoAnswer(f"{device}: INQUIRY ended with status {header.status:#x}, sense {key:x}/{code:02x}")
    return answer.raw[: _LENGTH - max(header.resid, 0)]


class _Header(ctypes.Structure):
    """``struct sg_io_hdr`` of <scsi/sg.h>."""

    _fields_ = (
        ("interface_id", ctypes.c_int),
        ("direction", ctypes.c_int),
        ("cmd_len", ctypes.c_ubyte),
        ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("dxfer_len", ctypes.c_uint),
        ("dxferp", ctypes.c_void_p),
        ("cmdp", ctypes.c_void_p),
        ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("usr_ptr", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("msg_status", ctypes.c_ubyte),
        ("sb_len_wr", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("resid", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    )


def _sense(sense: bytes) -> tuple[int, int]:
    """Return sense key and additional sense code, of either format."""
    if sense[0] & 0x7F in {0x72, 0x73}:
        return sense[1] & 0x0F, sense[2]
    return sense[2] & 0x0F, sense[12]


def parse_page_83(page: bytes) -> frozenset[str]:
    """Return the identities of the logical unit in a device identification page; raise `NoLun` or `NoAnswer` for another answer."""
    if len(page) < _HEADER:
        raise NoAnswer(f"an identification page of {len(page)} bytes")
    if page[0] >> 5:
        raise NoLun("the target answers for the number, and says that no LUN is behind it")
    if page[1] != _PAGE_83:
        raise NoAnswer(f"asked for page 83h, answered with page {page[1]:02x}h")
    found = set()
    at, end = _HEADER, min(_HEADER + int.from_bytes(page[2:4]), len(page))
    while at + _HEADER <= end:
        kind, association, length = page[at + 1] & 0x0F, page[at + 1] >> 4 & 0x03, page[at + 3]
        identifier = page[at + _HEADER : at + _HEADER + length]
        if association == 0 and kind in {_NAA, _EUI64} and len(identifier) == length:
            found.add(identifier.hex())
        at += _HEADER + length
    return frozenset(found)


def scan_fc(wwpns: Collection[str], lun: int) -> bool:
    """Have every FC port of this machine that reaches one of these target ports look for a LUN; tell whether any does."""
    reached = False
    for port in (SYS / "class/fc_remote_ports").glob("rport-*"):
        name, number = read(port / "port_name"), read(port / "scsi_target_id")
        if name is None or name.removeprefix("0x").lower() not in wwpns or number in {None, "-1"}:
            continue
        host, channel = port.name.removeprefix("rport-").split("-")[0].split(":")
        write(SYS / "class/scsi_host" / f"host{host}" / "scan", f"{channel} {number} {lun}")
        reached = True
    return reached


def rescan(disk: Disk) -> None:
    """Have the kernel read a disk's capacity and pages again."""
    write(disk.folder / "rescan", "1")


def take_off_line(found: Iterable[Disk]) -> None:
    """Let every request to these disks fail from now on."""
    for disk in found:
        write(disk.folder / "state", "offline")


def drop(found: Iterable[Disk]) -> None:
    """Remove disks from the kernel; nothing that is still to be written reaches them any more."""
    found = list(found)
    # Removal writes out what is in the page cache, and the LUN behind may be another one by now.
    take_off_line(found)
    for disk in found:
        _log.debug("removing %s (%s)", disk.device, disk.address)
        write(disk.folder / "delete", "1")


def write(file: Path, text: str) -> None:
    """Write to a file of sysfs, for a few seconds at most; whether it did what it should shows in sysfs."""
    try:
        bounded(lambda: file.write_text(text), _WRITE_SECONDS)
    except OSError as trouble:
        _log.debug("%s: %s", file, trouble)
