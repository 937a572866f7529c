"""A folder for what programs put under ``TMPDIR``, that ends whole even where one of them was killed in the middle of something."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 30.0
_MOUNTS = Path("/proc/self/mountinfo")
_BLOCK_DEVICES = Path("/sys/block")


@contextmanager
def own_folder() -> Iterator[Path]:
    """Yield a folder with a short path, as the sockets in it need (107 bytes).

    At the end, which comes after that of the programs that use it, loop devices on its files and mounts in it are ended first: a
    killed program leaves them, and they would outlast the folder. Nothing that lies elsewhere is touched.
    """
    with tempfile.TemporaryDirectory(prefix="bd-") as name:
        folder = Path(name).resolve()
        try:
            yield folder
        finally:
            for device in loop_devices(folder):
                subprocess.run(["losetup", "--detach", device], check=True, timeout=_SECONDS)
            # What lies in a mount goes before it.
            for place in sorted(mounts(folder), reverse=True):
                subprocess.run(["umount", "--lazy", place], check=True, timeout=_SECONDS)


def loop_devices(folder: Path) -> list[str]:
    """Return the loop devices whose file is in a folder, whether it can be read still or not."""
    found = {}
    for told in _BLOCK_DEVICES.glob("loop*/loop/backing_file"):
        try:
            found[f"/dev/{told.parents[1].name}"] = told.read_text().rstrip("\n")
        except OSError:
            # It was detached meanwhile.
            continue
    return sorted(device for device, file in found.items() if file.startswith(f"{folder}/"))


def mounts(folder: Path) -> list[str]:
    """Return where something is mounted in a folder."""
    places = [line.split()[4].encode().decode("unicode_escape") for line in _MOUNTS.read_text().splitlines()]
    return [place for place in places if place.startswith(f"{folder}/")]
