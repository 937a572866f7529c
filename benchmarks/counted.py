"""Operations on a simulated array beside what they may cost: the table that the families' benchmarks print."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.round_trips import Row
from blockdrivers import Backend, open_backend
from blockdrivers.plugins import find_model
from conformance.simulation.opening import BACKEND, open_array, write_config
from conformance.simulation.server import SimulatedArray


@contextmanager
def opened(model: str, **options: object) -> Iterator[tuple[SimulatedArray, Backend]]:
    """Serve an array without bytes, and open a backend on it."""
    adapter = find_model(model)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_array(adapter, model, data=False, **options) as array,
        open_backend(write_config(Path(folder), adapter, array.ready), BACKEND) as backend,
    ):
        yield array, backend


def sent(array: SimulatedArray, backend: Backend, row: Row) -> int:
    """Run an operation and return how many requests it took."""
    array.counters.clear()
    row.run(backend)
    return int(array.counters.as_dict()["requests"])


def table(title: str, array: SimulatedArray, backend: Backend, rows: Sequence[Row]) -> bool:
    """Run the operations and print what each took; return whether every target holds."""
    print(f"\n## {title}\n\n| operation | ours | target | cinder 29.0 |\n|---|--:|--:|--:|")
    met = True
    for row in rows:
        requests = sent(array, backend, row)
        kept = row.target is None or requests <= row.target
        met = met and kept
        target = "-" if row.target is None else row.target
        print(f"| {row.title} | {requests}{'' if kept else ' (!)'} | {target} | {row.cinder} |")
    return met
