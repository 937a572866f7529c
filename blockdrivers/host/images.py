"""Images into volumes and volumes into images, through qemu-img and its iSCSI driver; no root, no kernel initiator."""

from __future__ import annotations

import hashlib
import os
import re
import selectors
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from blockdrivers import deadline
from blockdrivers.deadline import remaining
from blockdrivers.errors import AttachError, InvalidRequest
from blockdrivers.host import programs
from blockdrivers.host.imagefile import ImageFormat, ImageInfo
from blockdrivers.host.userspace import lun_options
from blockdrivers.model import Export, Host

Progress = Callable[[float], None]
"""Called with the part that is done, 0.0 to 1.0."""

_LONGEST = 7 * 86_400.0
_LONGEST_READ = 1.0
_PERCENT = re.compile(rb"\(\s*([\d.]+)/100%\)")
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """An image that was made from a volume."""

    path: Path
    format: ImageFormat
    sha256: str | None
    """Of the file, in hexadecimal; None where it was not asked for."""
    size: int
    """Bytes of the file."""
    virtual_size: int
    """Bytes of the volume."""


def check_sha256(path: Path, expected: str) -> None:
    """Refuse an image file whose SHA-256 is another one."""
    found = _sha256(path)
    if found != expected.lower():
        raise InvalidRequest(f"The image {path.name} has the SHA-256 {found}, not {expected.lower()}: fetch it again.")


def write_image(image: ImageInfo, export: Export, host: Host, progress: Progress | None = None) -> None:
    """Write an image over a LUN, from its first byte; return when the array has all of it.

    Raises `AttachError` when the copy fails half-way; nothing of the LUN can be relied on then, and a repeat writes all of it.
    """
    with tempfile.TemporaryDirectory(prefix="blockdrivers-image-") as folder:
        secret, lun = _lun(Path(folder), export, host)
        _convert(
            [*secret, "-n", "--image-opts", image.options, "--target-image-opts", lun], progress, "write the image to the LUN"
        )


def read_image(
    export: Export,
    host: Host,
    path: Path,
    format: ImageFormat,
    virtual_size: int,
    *,
    digest: bool = False,
    progress: Progress | None = None,
) -> WrittenImage:
    """Make an image file from a LUN; the file is there whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with tempfile.TemporaryDirectory(prefix="blockdrivers-image-") as folder:
            secret, lun = _lun(Path(folder), export, host)
            target = ["-O", format.driver, str(unfinished.absolute())]
            _convert([*secret, "--image-opts", lun, *target], progress, "make an image of the LUN")
        sha256 = _sha256(unfinished) if digest else None
        written = WrittenImage(path, format, sha256, unfinished.stat().st_size, virtual_size)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


def _lun(folder: Path, export: Export, host: Host) -> tuple[Sequence[str], str]:
    if export.lun is None or not export.targets or host.iqn is None:
        raise InvalidRequest("Images are copied over iSCSI: the transfer host needs an IQN, and the array an iSCSI portal.")
    return lun_options(folder, export.targets[0], export.lun, host.iqn, host.chap)


def _convert(arguments: Sequence[str], progress: Progress | None, what: str) -> None:
    programs.require("qemu-img", "setpriv")
    command = [*programs.TIED, "qemu-img", "convert", "-p", *arguments]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as process:
            try:
                _follow(cast("IO[bytes]", process.stdout), progress)
                deadline.wait_until(process.poll, what="qemu-img to end")
            finally:
                process.kill()
        if process.returncode:
            said.seek(0)
            reason = programs.last_words(said.read())
            raise AttachError(f"qemu-img could not {what} ({reason}); what was written is not complete: call again.")


def _follow(output: IO[bytes], progress: Progress | None) -> None:
    """Read the progress that qemu-img prints until it ends, within the current deadline."""
    with output, selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            if not selector.select(min(_LONGEST_READ, remaining(_LONGEST))):
                continue
            piece = os.read(output.fileno(), _CHUNK)
            if not piece:
                return
            told = _PERCENT.findall(piece)
            if told and progress is not None:
                progress(min(1.0, float(told[-1]) / 100))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            remaining(_LONGEST)
        return digest.hexdigest()
