"""The programs that this machine's side is made of: whether they are there, how they end, and what they said."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from blockdrivers.errors import ConfigurationError

TIED = ("setpriv", "--pdeathsig", "KILL")
"""Put before a command: its process ends with the thread that started it, however that ends."""

_SAID = 400
_KILLED_SECONDS = 1.0
_PACKAGES = {
    "qemu-img": "qemu-utils",
    "qemu-storage-daemon": "qemu-system-common",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "losetup": "mount",
    "tgtd": "tgt",
    "tgtadm": "tgt",
    "iscsiadm": "open-iscsi",
    "multipath": "multipath-tools",
    "multipathd": "multipath-tools",
    "dmsetup": "dmsetup",
    "blockdev": "util-linux",
    "sync": "coreutils",
    "umount": "mount",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    status: int | None
    """Its exit status; negative for a signal; None where its time was up."""
    said: str
    """The end of what it printed, on one line."""

    @property
    def succeeded(self) -> bool:
        """Whether it ended with status 0."""
        return self.status == 0


def run(seconds: float, *command: str) -> Ended:
    """Run a program for so long at most; one that even a kill does not end at once, since the kernel holds it, is left behind."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except FileNotFoundError:
        return Ended(127, lacking(command[0]) or f"{command[0]} cannot be found.")
    try:
        said, _ = process.communicate(timeout=seconds)
        return Ended(process.returncode, last_words(said))
    except subprocess.TimeoutExpired:
        process.kill()
    try:
        said, _ = process.communicate(timeout=_KILLED_SECONDS)
    except subprocess.TimeoutExpired:
        said = b""
    return Ended(None, f"it did not end within {seconds:g} s {last_words(said)}".strip())


def lacking(*programs: str) -> str | None:
    """Return which of these programs are missing and what to install (Debian's names), as a sentence; None where none is."""
    absent = [program for program in programs if shutil.which(program) is None]
    if not absent:
        return None
    packages = sorted({_PACKAGES.get(program, program) for program in absent})
    return f"{', '.join(absent)} cannot be found; install Debian's {' and '.join(packages)}."


def require(*programs: str) -> None:
    """Raise `ConfigurationError` where one of these programs is missing."""
    if reason := lacking(*programs):
        raise ConfigurationError(reason)


def last_words(said: str | bytes) -> str:
    """Return the end of what a program printed, on one line."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[-_SAID:]


def qemu_value(value: object) -> str:
    """Return a value of QEMU's options that ends where it ends: they are split at commas."""
    return str(value).replace(",", ",,")
