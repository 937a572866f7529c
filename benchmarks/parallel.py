"""100 volumes created, exported, unexported and deleted with 20 ms latency per request: eight threads beside one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.simulated import simulated
from blockdrivers import Backend, GiB, Host, Protocol

MODELS = ("OceanStor 5500 V5", "3PAR StoreServ 8440")
VOLUMES = 100
THREADS = 8
LATENCY_MS = 20
HOST = Host("bench", iqn="iqn.1994-05.org.example:bench")

PHASES: dict[str, Callable[[Backend, str], object]] = {
    "create": lambda array, name: array.create_volume(name, GiB, "pool_a"),
    "export": lambda array, name: array.export(name, HOST, Protocol.ISCSI),
    "unexport": lambda array, name: array.unexport(name, HOST, Protocol.ISCSI),
    "delete": lambda array, name: array.delete_volume(name),
}


def main() -> bool:
    """Print a table per model; return whether eight threads are at least four times as quick."""
    met = [_measured(model) for model in MODELS]
    return all(met)


def _measured(model: str) -> bool:
    print(f"\n## {VOLUMES} volumes, {LATENCY_MS} ms per request, one host, {model}\n")
    print(f"| phase | requests | 1 thread, s | {THREADS} threads, s | ratio |\n|---|--:|--:|--:|--:|")
    with simulated(model) as array, array.open() as backend:
        backend.create_volume("first", GiB, "pool_a")
        backend.export("first", HOST, Protocol.ISCSI)
        array.latency(LATENCY_MS)
        sums = [0.0, 0.0]
        measured: dict[str, list[float]] = {phase: [] for phase in PHASES}
        counted: dict[str, int] = {}
        for index, threads in enumerate((1, THREADS)):
            for phase, run in PHASES.items():
                array.clear()
                seconds = _time(backend, run, threads)
                counted[phase] = array.requests_sent()
                measured[phase].append(seconds)
                sums[index] += seconds
    for phase, (alone, together) in measured.items():
        print(f"| {phase} | {counted[phase]} | {alone:.2f} | {together:.2f} | {alone / together:.1f} |")
    print(f"| sum | {sum(counted.values())} | {sums[0]:.2f} | {sums[1]:.2f} | {sums[0] / sums[1]:.1f} |")
    return sums[0] / sums[1] >= THREADS / 2


def _time(backend: Backend, run: Callable[[Backend, str], object], threads: int) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda number: run(backend, f"volume-{number}"), range(VOLUMES)))
    return time.perf_counter() - started
