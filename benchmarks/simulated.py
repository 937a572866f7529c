"""A simulated array in a process of its own, and its counters."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from blockdrivers import Backend, open_backend
from blockdrivers.plugins import find_model
from conformance.simulation.opening import BACKEND, write_config


@dataclass(frozen=True)
class Simulated:
    """A running simulator, as its ready line describes it."""

    ready: Mapping[str, Any]
    config: Path

    def open(self) -> Backend:
        """Open a new backend on it."""
        return open_backend(self.config, BACKEND)

    def requests_sent(self) -> int:
        """Return the management requests counted since the counters were cleared."""
        answer = requests.get(f"{self.ready['control']}/counters", timeout=10).json()
        return int(answer["requests"])

    def operations(self) -> Mapping[str, int]:
        """Return the requests by operation."""
        counted: Mapping[str, int] = requests.get(f"{self.ready['control']}/counters", timeout=10).json()["by_operation"]
        return counted

    def clear(self) -> None:
        """Clear the counters."""
        requests.delete(f"{self.ready['control']}/counters", timeout=10).raise_for_status()

    def latency(self, milliseconds: int) -> None:
        """Let every request take that much longer."""
        requests.put(f"{self.ready['control']}/latency", json={"ms": milliseconds}, timeout=10).raise_for_status()


@contextmanager
def simulated(model: str, *, data: bool = False) -> Iterator[Simulated]:
    """Serve one array for the length of a block; its LUNs hold bytes only where these are measured."""
    command = [sys.executable, "-m", "blockdrivers.cli.main", "simulate", model, "--port", "0", "--json"]
    command += [] if data else ["--no-data"]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield Simulated(ready, write_config(Path(folder), find_model(model), ready))
        finally:
            process.terminate()
