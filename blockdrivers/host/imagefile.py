"""What an image file claims to be, and whether it may be opened: judged from its headers before any program opens it.

An image from outside may name other files of this machine as its backing, data or extent file; opening it would read them. Such an
image is refused here. Source: QEMU's docs/interop/qcow2.txt, VMware's Virtual Disk Format 5.0, Microsoft's VHD format 1.0.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from blockdrivers.deadline import remaining
from blockdrivers.errors import InvalidRequest
from blockdrivers.host import programs
from blockdrivers.host.programs import qemu_value

_INFO_SECONDS = 30
_INFO_BYTES = 1024**3
_INFO_OUTPUT = 1024**2
_SECTOR = 512
_VMDK_DESCRIPTOR = 64 * 1024
_VMDK_ACCESS = frozenset({"RW", "RDONLY", "NOACCESS"})
_VMDK_ORPHAN = 0xFFFFFFFF
_QCOW2, _VMDK, _VHD = b"QFI\xfb", b"KDMV", b"conectix"
_VMDK_TEXT = b"# Disk DescriptorFile"
_QCOW2_V3 = 3
_EXTERNAL_DATA = 1 << 2
_VHD_DIFFERENCING = 4
_VMDK_KINDS = frozenset({"monolithicSparse", "streamOptimized"})


class ImageFormat(StrEnum):
    """An image format."""

    RAW = "raw"
    QCOW2 = "qcow2"
    VMDK = "vmdk"
    VHD = "vhd"

    @property
    def driver(self) -> str:
        """What QEMU calls it."""
        return "vpc" if self is ImageFormat.VHD else str(self)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image file that may be opened."""

    path: Path
    format: ImageFormat
    virtual_size: int
    """Bytes that a disk made from it has."""

    @property
    def options(self) -> str:
        """The image as QEMU's options: no name in it is ever taken for another protocol or format."""
        return f"driver={self.format.driver},file.driver=file,file.filename={qemu_value(self.path.absolute())}"


def image_format(name: str) -> ImageFormat:
    """Return the format of that name, or raise `InvalidRequest`."""
    try:
        return ImageFormat(name)
    except ValueError:
        raise InvalidRequest(f"{name!r} is no image format; there is {', '.join(ImageFormat)}.") from None


def inspect(path: Path, claimed: str) -> ImageInfo:
    """Return what an image file is.

    Args:
        path: the file; its content is not trusted, but nobody else may change it from here on.
        claimed: the format that its owner says it has.

    Raises:
        InvalidRequest: there is no such file, it has another format, it refers to other files, or it is broken.
        ConfigurationError: a program is missing on this machine.
    """
    wanted = image_format(claimed)
    if path.exists() and not path.is_file():
        raise InvalidRequest(f"The image {path} is no regular file.")
    try:
        with path.open("rb") as file:
            found = _format_of(file)
            if found is not wanted:
                raise InvalidRequest(f"The image {path.name} is {found}, not {wanted} as was said; say what it is.")
            _REFERENCES[found](file, path.name)
    except OSError as trouble:
        raise InvalidRequest(f"The image {path} cannot be read: {trouble.strerror}.") from trouble
    return ImageInfo(path, found, _virtual_size(ImageInfo(path, found, 0)))


def _format_of(file: IO[bytes]) -> ImageFormat:
    head = _at(file, 0, len(_VMDK_TEXT))
    if head.startswith(_QCOW2):
        return ImageFormat.QCOW2
    if head.startswith(_VMDK) or head == _VMDK_TEXT:
        return ImageFormat.VMDK
    if head.startswith(_VHD) or _vhd_footer(file).startswith(_VHD):
        return ImageFormat.VHD
    return ImageFormat.RAW


def _no_references(file: IO[bytes], name: str) -> None:
    """Find nothing: a raw image is bytes and no more."""


def _qcow2_references(file: IO[bytes], name: str) -> None:
    header = _at(file, 0, 104)
    if int.from_bytes(header[8:16], "big"):
        raise _refers(name, "a backing file")
    if int.from_bytes(header[4:8], "big") >= _QCOW2_V3 and int.from_bytes(header[72:80], "big") & _EXTERNAL_DATA:
        raise _refers(name, "an external data file")


def _vmdk_references(file: IO[bytes], name: str) -> None:
    """Take a disk of one sparse extent, which is this file, and nothing else.

    A header without a capacity makes QEMU follow the extents that the descriptor names, which can be any file of this machine.
    The descriptor is read as far as QEMU reads it, whatever length the header gives.
    """
    header = _at(file, 0, _SECTOR)
    if not header.startswith(_VMDK) or not any(header[12:20]):
        raise _refers(name, "extent files")
    text = _at(file, int.from_bytes(header[28:36], "little") * _SECTOR, _VMDK_DESCRIPTOR).split(b"\0", 1)[0].decode("latin-1")
    extents = [words[2:3] for words in map(str.split, text.splitlines()) if words and words[0] in _VMDK_ACCESS]
    kinds = re.findall(r'createType="([^"]*)"', text)
    if len(kinds) != 1 or kinds[0] not in _VMDK_KINDS or extents != [["SPARSE"]]:
        raise _refers(name, "extent files")
    if "parentFileNameHint" in text or re.findall(r"parentCID=(\w+)", text) not in ([], ["ffffffff"]):
        raise _refers(name, "a parent")


def _vhd_references(file: IO[bytes], name: str) -> None:
    # A growing disk begins with a copy of its footer, and it is the copy that QEMU believes.
    for footer in (_at(file, 0, _SECTOR), _vhd_footer(file)):
        if footer.startswith(_VHD) and int.from_bytes(footer[60:64], "big") == _VHD_DIFFERENCING:
            raise _refers(name, "a parent")


_REFERENCES = {
    ImageFormat.RAW: _no_references,
    ImageFormat.QCOW2: _qcow2_references,
    ImageFormat.VMDK: _vmdk_references,
    ImageFormat.VHD: _vhd_references,
}


def _vhd_footer(file: IO[bytes]) -> bytes:
    """Return what stands where a VHD has its footer, as a whole sector."""
    end = file.seek(0, 2)
    return _at(file, max(0, end - _SECTOR), _SECTOR)


def _refers(name: str, to: str) -> InvalidRequest:
    return InvalidRequest(f"The image {name} refers to {to}; make a self-contained one, with qemu-img convert for instance.")


def _at(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _virtual_size(image: ImageInfo) -> int:
    """Ask qemu-img, bounded in memory and time: the file may be made to cost it a lot."""
    programs.require("qemu-img", "prlimit", "setpriv")
    limits = ["prlimit", f"--as={_INFO_BYTES}", f"--cpu={_INFO_SECONDS}"]
    command = [*limits, *programs.TIED, "qemu-img", "info", "--output=json", "--image-opts", image.options]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=remaining(_INFO_SECONDS), check=False)
    except subprocess.TimeoutExpired:
        remaining(_INFO_SECONDS)
        raise InvalidRequest(f"The image {image.path.name} took qemu-img longer than {_INFO_SECONDS} s to read.") from None
    if ended.returncode or len(ended.stdout) > _INFO_OUTPUT:
        said = programs.last_words(ended.stderr) or "qemu-img gave up"
        raise InvalidRequest(f"The image {image.path.name} cannot be used as {image.format}: {said}.")
    told = json.loads(ended.stdout)
    if _tells_of_others(told, image.path):
        raise _refers(image.path.name, "another file")
    return int(told["virtual-size"])


def _tells_of_others(told: Mapping[str, Any], path: Path) -> bool:
    """Tell whether qemu-img has found a reference that the headers did not show: the second line of defence."""
    details = told.get("format-specific", {}).get("data", {})
    extents = {extent["filename"] for extent in details.get("extents", ())}
    return bool(
        {"backing-filename", "full-backing-filename"} & told.keys()
        or "data-file" in details
        or extents - {str(path.absolute())}
        or details.get("parent-cid", _VMDK_ORPHAN) != _VMDK_ORPHAN
    )
