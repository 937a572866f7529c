"""Turns of the processes of this machine at one object of it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blockdrivers import deadline

RUN = Path("/run/blockdrivers")
"""What this machine keeps until it is booted."""


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Hold an object of this machine for a block; wait for whoever has it no longer than the current deadline.

    The kernel ends a turn with the process that has it.
    """
    folder = RUN / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / digest(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline.wait_until(lambda: _locked(descriptor), what=f"another process to be done with {name} on this machine")
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return True


def digest(text: str) -> str:
    """Return a name for a file that stands for a text of any length and script."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
