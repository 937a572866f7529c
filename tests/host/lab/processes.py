"""Processes of the lab: none outlives the tests, however those end."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from blockdrivers.host import programs

_END_SECONDS = 10.0
# The kernel ends a tied process when the thread that started it ends: this one lives as long as the tests.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="lab")


class LabError(Exception):
    """The lab itself failed, not what is tested in it."""


def spawn(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that ends with this one; `options` are those of `subprocess.Popen`."""
    programs.require("setpriv", command[0])
    return _spawner.submit(_open, [*programs.TIED, *command], options).result()


def _open(command: Sequence[str], options: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, bufsize=0, **options)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process at once."""
    process.kill()
    process.wait(_END_SECONDS)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def first_line(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Wait for the first line that a process prints; raise `LabError` where none comes."""
    assert process.stdout is not None
    ending = time.monotonic() + seconds
    said = b""
    while not said.endswith(b"\n"):
        readable, _, _ = select.select([process.stdout], [], [], max(0.0, ending - time.monotonic()))
        # One byte at a time: what follows the line is another reader's.
        piece = os.read(process.stdout.fileno(), 1) if readable else b""
        if not piece:
            what = "ended" if readable else f"said nothing for {seconds} s"
            raise LabError(f"{process.args!r} {what} before its first line was complete: {said!r}")
        said += piece
    return said.decode("utf-8", "replace").strip()
