"""The installed command, a simulator in a process of its own, and a configuration for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.simulation.opening import reaching

COMMAND = [sys.executable, "-m", "blockdrivers.cli.main"]


@dataclass
class Ran:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*arguments: object, status: int = 0, **environment: str) -> Ran:
    ended = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == status, f"status {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return Ran(ended.returncode, ended.stdout, ended.stderr)


@contextmanager
def simulated(*options: str, model: str = "OceanStor 5500 V5") -> Iterator[dict[str, Any]]:
    """Yield what a simulator in a process of its own says when it is ready."""
    command = [*COMMAND, "simulate", model, "--port", "0", "--json", "--die-with-parent", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(60) == 0


@pytest.fixture(scope="package")
def ready() -> Iterator[dict[str, Any]]:
    with simulated() as said:
        yield said


@pytest.fixture
def config(ready, tmp_path: Path) -> Path:
    entry = {"adapter": "huawei-oceanstor", "options": reaching(ready)}
    file = tmp_path / "backends.yaml"
    file.write_text(yaml.safe_dump({"backends": {"hall": entry}}))
    return file
