"""The guest's image: built once from Debian's packages and this project's requirements, and kept.

``python -m tests.host.lab.image`` builds it: that needs the machine's network, which the tests do without.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.host.lab.processes import LabError

ROOT = Path(__file__).parents[3]
CACHE_VARIABLE = "BLOCKDRIVERS_LAB_CACHE"

_RECIPE = Path(__file__).with_name("image")
_SUITE = "bookworm"
_EXTRAS = ("host", "conformance")
_TEST_REQUIREMENTS = ("pytest-timeout",)
_BUILD_SECONDS = 900
_LAST_LINES = 4000


@dataclass(frozen=True, slots=True)
class Image:
    """What a guest boots from."""

    folder: Path

    @property
    def kernel(self) -> Path:
        """An ELF kernel."""
        return self.folder / "vmlinux"

    @property
    def initrd(self) -> Path:
        """First file system."""
        return self.folder / "initrd.img"

    @property
    def disk(self) -> Path:
        """Root file system; never written to."""
        return self.folder / "root.img"

    @property
    def key(self) -> Path:
        """SSH key of the guest's root."""
        return self.folder / "id_lab"


def image() -> Image:
    """Return the image of this recipe and these requirements."""
    wanted = _cache() / _digest()
    if not wanted.exists():
        raise LabError("The guest's image has not been built: run `make test-host`.")
    return Image(wanted)


def build() -> None:
    """Build the image where it is not there yet; those of other recipes are removed."""
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / _digest()
    with _locked(cache / "lock"):
        if wanted.exists():
            return
        for other in cache.iterdir():
            if other.is_dir():
                shutil.rmtree(other)
        _build(wanted)


def requirements() -> list[str]:
    """Return what the guest's Python needs beside this project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for extra in _EXTRAS for name in project["optional-dependencies"][extra]]
    return sorted([*project["dependencies"], *extras, *_TEST_REQUIREMENTS])


def _cache() -> Path:
    return Path(os.environ.get(CACHE_VARIABLE, ROOT / ".cache" / "lab"))


def _digest() -> str:
    digest = hashlib.sha256("\n".join(requirements()).encode())
    for file in sorted(_RECIPE.iterdir()):
        if file.is_file():
            digest.update(f"\n{file.name}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _build(wanted: Path) -> None:
    if os.geteuid() != 0:
        raise LabError("Building the guest's image needs root: run `make test-host` as root.")
    with tempfile.TemporaryDirectory(prefix="building-", dir=wanted.parent) as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("\n".join(requirements()) + "\n", encoding="utf-8")
        result = Path(folder) / "image"
        result.mkdir()
        command = ["sh", *map(str, (_RECIPE / "build.sh", result, sys.executable, listed, *_package_sources()))]
        ended = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_BUILD_SECONDS, check=False
        )
        if ended.returncode:
            raise LabError(f"The guest's image could not be built:\n{ended.stdout[-_LAST_LINES:]}")
        result.rename(wanted)


def _package_sources() -> list[Path]:
    """Return the files in which this machine names sources of the guest's packages."""
    apt = Path("/etc/apt")
    files = [
        apt / "sources.list",
        *sorted((apt / "sources.list.d").glob("*.list")),
        *sorted(apt.glob("sources.list.d/*.sources")),
    ]
    found = [file for file in files if file.exists() and _names_suite(file.read_text(encoding="utf-8"))]
    if not found:
        raise LabError(f"No file under {apt} names a package source of Debian {_SUITE}, which the guest is made of.")
    return found


def _names_suite(text: str) -> bool:
    return re.search(rf"^[^#\n]*\b{_SUITE}\b", text, re.MULTILINE) is not None


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let one build run at a time; the lock ends with its process."""
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    build()
