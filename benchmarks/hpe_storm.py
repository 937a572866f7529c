"""100 volumes created, exported, unexported and deleted by eight threads on one simulated 3PAR StoreServ: by cinder's driver, then by ours.

Needs the environment that BLOCKDRIVERS_CINDER_VENV names (``make test-oracle`` builds it).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.parallel import HOST, LATENCY_MS, PHASES, THREADS, VOLUMES
from benchmarks.simulated import Simulated, simulated
from blockdrivers import GiB, Protocol

MODEL = "3PAR StoreServ 8440"
ENVIRONMENT = "BLOCKDRIVERS_CINDER_VENV"
SCRIPT = Path(__file__).parents[1] / "tests" / "oracle" / "cinder_hpe.py"
TARGET = 2.0
"""How many times fewer requests, and how many times less time, ours may at least be expected to take in all."""

Measured = Mapping[str, tuple[int, float]]
"""Phase -> requests and seconds."""


def main() -> bool:
    """Print the table; return whether the target holds."""
    if ENVIRONMENT not in os.environ:
        print(f"\n## {MODEL} beside cinder's driver: not run; `make test-oracle` builds what {ENVIRONMENT} names")
        return True
    with simulated(MODEL) as array:
        array.latency(LATENCY_MS)
        theirs, ours = _theirs(array), _ours(array)
    print(f"\n## {VOLUMES} volumes by {THREADS} threads, {LATENCY_MS} ms per request, one host over iSCSI, {MODEL}\n")
    print(
        "| phase | requests, cinder's driver | requests, ours | s, cinder's driver | s, ours | ratio |\n|---|--:|--:|--:|--:|--:|"
    )
    for phase in PHASES:
        _row(phase, theirs[phase], ours[phase])
    sums = [(sum(sent for sent, _ in side.values()), sum(seconds for _, seconds in side.values())) for side in (theirs, ours)]
    _row("sum", *sums)
    return all(one / other >= TARGET for one, other in zip(*sums, strict=True))


def _row(title: str, theirs: tuple[int, float], ours: tuple[int, float]) -> None:
    ratio = theirs[1] / ours[1]
    print(f"| {title} | {theirs[0]} | {ours[0]} | {theirs[1]:.1f} | {ours[1]:.1f} | {ratio:.1f} |")


def _theirs(array: Simulated) -> Measured:
    python = Path(os.environ[ENVIRONMENT]) / "bin" / "python"
    command = [str(python), "-W", "ignore", str(SCRIPT), json.dumps(array.ready), "iscsi", "storm"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=1800, check=True, env=os.environ | {"STORM_VOLUMES": str(VOLUMES)}
    )
    return {phase: (int(sent), float(seconds)) for phase, (sent, seconds) in json.loads(ended.stdout).items()}


def _ours(array: Simulated) -> Measured:
    measured = {}
    with array.open() as backend, ThreadPoolExecutor(THREADS) as threads:
        # As there: the array is known, and so is the host.
        backend.create_volume("first", GiB, "pool_a")
        backend.export("first", HOST, Protocol.ISCSI)
        for phase, run in PHASES.items():
            array.clear()
            started = time.perf_counter()
            list(threads.map(lambda number, run=run: run(backend, f"volume-{number}"), range(VOLUMES)))
            seconds = time.perf_counter() - started
            measured[phase] = array.requests_sent(), seconds
    return measured
