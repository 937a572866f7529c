"""The programs that this machine's side is made of: whether they are there, how they end, and what they said."""

from __future__ import annotations

import shutil

from blockdrivers.errors import ConfigurationError

TIED = ("setpriv", "--pdeathsig", "KILL")
"""Put before a command: its process ends with the thread that started it, however that ends."""

_SAID = 400
_PACKAGES = {
    "qemu-img": "qemu-utils",
    "qemu-storage-daemon": "qemu-system-common",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "losetup": "mount",
    "tgtd": "tgt",
    "tgtadm": "tgt",
}


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
