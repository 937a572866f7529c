"""This machine as a host in a check: what it has of devices, and the bytes of an attached volume."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from blockdrivers.model import Attachment
from conformance.suite.control import wait_for
from conformance.suite.rig import Rig

NEEDS = ("attaching", "san", "tells_wwn")
"""What every check of attached LUNs needs."""
_BREATH_SECONDS = 0.1
PATH_SECONDS = 60.0
"""How long a lost path, or one that came back, may hold up I/O."""


class Device:
    """An attached volume's bytes, read from the array and not from memory; one thread at a time."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes as the array has them."""
        self.flush()
        os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        return os.pread(self._descriptor, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Write to this machine's memory; `flush` brings it to the array."""
        assert os.pwrite(self._descriptor, data, offset) == len(data), f"a short write at {offset}"

    def flush(self) -> None:
        """Bring everything that was written to the array."""
        os.fsync(self._descriptor)


def remains() -> set[str]:
    """Return what this machine has of disks, maps, sessions, their records, and mounted shares."""
    block = {f"/dev/{name}" for name in os.listdir("/sys/block") if name.startswith(("sd", "dm-", "rbd"))}  # noqa: PTH208
    sessions = {str(folder) for folder in Path("/sys/class/iscsi_session").glob("session*")}
    records = {str(item) for home in ("/etc/iscsi/nodes", "/var/lib/iscsi/nodes") for item in Path(home).glob("*/*")}
    mounted = {line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return block | sessions | records | mounted


@contextmanager
def unchanged() -> Iterator[None]:
    """Insist that this machine has after a block what it had before."""
    before = remains()
    yield
    after = remains()
    assert after == before, f"this machine has {sorted(after - before)} more and {sorted(before - after)} less than before"


@contextmanager
def attached(rig: Rig, tag: str = "v") -> Iterator[Attachment]:
    """Attach a volume of this check for the length of a block."""
    made = rig.attach(tag)
    yield made
    rig.detach(tag)


def make_file_system(device: str) -> None:
    """Make an ext4 file system."""
    subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True, capture_output=True, timeout=120)


@contextmanager
def mounted(device: str, folder: Path) -> Iterator[Path]:
    """Mount a device for the length of a block."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", device, str(folder)], check=True, capture_output=True, timeout=60)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True, timeout=60)


class Writer(threading.Thread):
    """Writes and reads all the time; the first error is kept."""

    def __init__(self, path: str) -> None:
        super().__init__(name="writer", daemon=True)
        self._disk = Device(path)
        self._ending = threading.Event()
        self.rounds = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Go on until `end`."""
        try:
            while not self._ending.is_set():
                data = os.urandom(4096)
                self._disk.write(512 * 1024, data)
                assert self._disk.read(512 * 1024, 4096) == data, "other bytes were read than had been written"
                self.rounds += 1
                # Leave the machine time for what is tried meanwhile.
                self._ending.wait(_BREATH_SECONDS)
        except Exception as error:  # noqa: BLE001 - judged by the check
            self.error = error

    def go_on(self, rounds: int) -> None:
        """Wait for so many more rounds."""
        goal = self.rounds + rounds
        wait_for(f"{rounds} more writes", lambda: self.rounds >= goal or self.error, seconds=PATH_SECONDS)
        assert self.error is None, f"I/O failed: {self.error}"

    def end(self) -> None:
        """End it, whatever has become of it."""
        self._ending.set()
        self.join(PATH_SECONDS)
        assert not self.is_alive(), "a write never ended"
        self._disk.__exit__(None, None, None)


@contextmanager
def busy(path: str) -> Iterator[Writer]:
    """Have a device written and read for the length of a block, without any error."""
    writer = Writer(path)
    writer.start()
    try:
        writer.go_on(1)
        yield writer
        writer.go_on(1)
    finally:
        writer.end()


@contextmanager
def writing(path: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process write to a device, for the length of a block that begins when it has the device open."""
    command = ["dd", "if=/dev/zero", f"of={path}", "bs=4096", "count=1", "conv=notrunc,fsync"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for("the process to open the device", lambda: _has_open(process.pid, path) or process.poll() is not None)
        try:
            yield process
        finally:
            process.kill()


def _has_open(pid: int, path: str) -> bool:
    try:
        return any(os.path.realpath(item) == path for item in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def await_paths(made: Attachment, count: int) -> None:
    """Wait until the map uses so many paths."""
    name = Path(made.path).name

    def active() -> bool:
        said = subprocess.run(
            ["multipathd", "show", "paths", "format", "%m %t"], capture_output=True, text=True, timeout=30, check=False
        )
        mine = [line.split() for line in said.stdout.splitlines() if line.split()[:1] == [_map_name(name)]]
        return sum(fields[-1] == "active" for fields in mine) == count

    wait_for(f"{count} active paths of {name}", active, seconds=PATH_SECONDS)


def _map_name(kernel_name: str) -> str:
    return (Path("/sys/block") / kernel_name / "dm/name").read_text().strip()
