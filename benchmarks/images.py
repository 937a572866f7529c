"""Image copies through the library beside ``qemu-img convert`` alone, on the same files and LUNs of a simulated array."""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.simulated import simulated
from blockdrivers import Backend, Export, GiB, Host, MiB, Protocol

MODEL = "OceanStor 5500 V5"
HOST = Host("bench-images", iqn="iqn.1994-05.org.example:bench-images")
SIZE = 2 * GiB
DATA = 768 * MiB
ROUNDS = 6
TARGET = 0.9


@dataclass(frozen=True)
class Case:
    """One direction and format: ours, and what it is held against."""

    title: str
    ours: Callable[[], object]
    alone: Callable[[], object]


def main() -> bool:
    """Print the table; return whether every target holds."""
    print(f"\n## Images of {SIZE // GiB} GiB with {DATA // MiB} MiB of data, {MODEL}\n")
    print("| copy | ours, MiB/s | qemu-img alone, MiB/s | ratio | target |\n|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as name, simulated(MODEL, data=True) as array, array.open() as backend:
        folder = Path(name)
        backend.create_volume("ours", SIZE, "pool_a")
        backend.create_volume("alone", SIZE, "pool_a")
        # The other program's LUN stays exported; ours is exported and taken away in every copy, and that counts.
        other = backend.export("alone", HOST, Protocol.ISCSI)
        met = [_measure(case) for case in _cases(backend, other, folder)]
    print("\nmedian of paired runs, ours and the other in turn; ours looks the image over, exports and unexports as well")
    return all(met)


def _cases(backend: Backend, other: Export, folder: Path) -> list[Case]:
    lun = (
        f"driver=iscsi,transport=tcp,portal={other.targets[0].portal},target={other.targets[0].iqn},lun={other.lun},"
        f"initiator-name={HOST.iqn}"
    )
    numbers = itertools.count()
    raw, qcow2 = folder / "disk.raw", folder / "disk.qcow2"
    _make(raw)
    _qemu_img("-f", "raw", "-O", "qcow2", raw, qcow2)
    return (
        [
            Case(
                f"{image.suffix[1:]} into a volume",
                lambda image=image: backend.copy_image_to_volume("ours", image, HOST, format=image.suffix[1:]),  # type: ignore[misc]
                lambda image=image: _qemu_img("-n", "-f", image.suffix[1:], "--target-image-opts", image, lun),  # type: ignore[misc]
            )
            for image in (raw, qcow2)
        ]
        + [
            Case(
                "a volume into qcow2",
                # A new file each time: to replace one costs a flush, which is the file system's and comes after the copy.
                lambda: backend.copy_volume_to_image("ours", folder / f"ours-{next(numbers)}.qcow2", HOST),
                lambda: _qemu_img("--image-opts", "-O", "qcow2", lun, folder / f"alone-{next(numbers)}.qcow2"),
            )
        ]
    )


def _make(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(DATA // MiB):
            file.write(os.urandom(MiB))
        file.truncate(SIZE)


def _qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", "convert", *map(str, arguments)], check=True)


def _measure(case: Case) -> bool:
    case.ours()
    case.alone()
    pairs = [_pair(case, ours_first=number % 2 == 0) for number in range(ROUNDS)]
    ours, alone = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    met = ratio >= TARGET
    speed = SIZE / MiB
    print(f"| {case.title} | {speed / ours:.0f} | {speed / alone:.0f} | {ratio:.2f}{'' if met else ' (!)'} | {TARGET} |")
    return met


def _pair(case: Case, *, ours_first: bool) -> tuple[float, float]:
    """Time both, in an order that favours neither over all rounds: each finds the disk busy with what the other left."""
    if ours_first:
        mine = _seconds(case.ours)
        return mine, _seconds(case.alone)
    theirs = _seconds(case.alone)
    return _seconds(case.ours), theirs


def _seconds(step: Callable[[], object]) -> float:
    os.sync()
    started = time.monotonic()
    step()
    return time.monotonic() - started
