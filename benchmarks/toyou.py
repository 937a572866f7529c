"""SSH commands per operation on a simulated ACS5000, counted by the simulator; logins are none.

The last column is the ACS5000 driver of the cinder package 29.0 on the same simulator (protocol sheet, section 5, and
``make test-oracle``, which counts them again). Where ours needs more, it does what that driver leaves to its caller: an extend returns the
volume, and a revert returns when all bytes are back. Waiting is counted apart: the first table has copies that are done at the first look, the
second one copies that take their time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.round_trips import Row
from blockdrivers import Backend, GiB, Host, Protocol, open_backend
from blockdrivers.plugins import find_model
from conformance.simulation.opening import BACKEND, open_array, write_config
from conformance.simulation.server import SimulatedArray

MODEL = "ACS5000"
POOL, OTHER = "pool_a", "pool_b"
COPY_SECONDS = 4.0
"""Of the second table, as in the sheet's counts of that driver, which polls every three seconds."""
ISCSI = Host("bench-1", iqn="iqn.1994-05.org.example:bench-1")
FC = Host("bench-2", wwpns=("21000024ff000001", "21000024ff000002"))


def rows() -> list[Row]:
    """Return the operations in an order in which each finds what it needs; targets are what may not be exceeded."""
    return [
        Row("create", lambda array: array.create_volume("v1", GiB, POOL), 1, "1"),
        Row("create again (same)", lambda array: array.create_volume("v1", GiB, POOL), 2, "-"),
        Row("extend", lambda array: array.extend_volume("v1", 2 * GiB), 2, "1, returns nothing"),
        Row("snapshot", lambda array: array.create_snapshot("s1", "v1"), 1, "1"),
        Row("stats, 2 pools", lambda array: array.pools(), 2, "2"),
        Row("export, iSCSI", lambda array: array.export("v1", ISCSI, Protocol.ISCSI), 1, "1"),
        Row("export again (same)", lambda array: array.export("v1", ISCSI, Protocol.ISCSI), 1, "1"),
        Row("unexport, iSCSI", lambda array: array.unexport("v1", ISCSI, Protocol.ISCSI), 1, "1"),
        Row("export, FC, two WWPNs", lambda array: array.export("v1", FC, Protocol.FC), 2, "2"),
        Row("unexport, FC, two WWPNs", lambda array: array.unexport("v1", FC, Protocol.FC), 1, "2"),
        Row("volume from snapshot", _from_snapshot, 6, "7"),
        Row("clone of a volume", lambda array: array.clone_volume("c2", "v1"), 6, "7"),
        Row("revert", lambda array: array.revert_volume("v1", "s1"), 3, "1, does not wait"),
        Row("clone into another pool, and delete", _moved, 7, "9, under the same name"),
        Row("give up", lambda array: array.unmanage_volume("c2", "legacy"), 2, "keeps the name"),
        Row("take over", lambda array: array.manage_volume("c2", "legacy"), 2, "2"),
        Row("delete snapshot", lambda array: array.delete_snapshot("s1", of_volume="v1"), 1, "1"),
        Row("delete", lambda array: array.delete_volume("v1"), 1, "1"),
        Row("delete, absent", lambda array: array.delete_volume("v1"), 1, "1"),
    ]


def waiting_rows() -> list[Row]:
    """Return the operations that wait for a copy; here each look at it counts."""
    return [
        Row("volume from snapshot", _from_snapshot, 7, "8"),
        Row("clone of a volume", lambda array: array.clone_volume("c2", "v1"), 7, "8"),
        Row("revert", lambda array: array.revert_volume("v1", "s1"), 9, "1, does not wait"),
        Row("clone into another pool, and delete", _moved, 8, "10, under the same name"),
    ]


def _from_snapshot(array: Backend) -> object:
    return array.create_volume_from_snapshot("c1", "s1", pool=POOL, of_volume="v1")


def _moved(array: Backend) -> None:
    array.clone_volume("c3", "c1", pool=OTHER)
    array.delete_volume("c1")


@contextmanager
def opened(copy_seconds: float = 0.0, **options: object) -> Iterator[tuple[SimulatedArray, Backend]]:
    """Serve an array, and open a backend on it that knows which pools are thin."""
    adapter = find_model(MODEL)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_array(adapter, MODEL, data=False, copy_seconds=copy_seconds, **options) as array,
        open_backend(write_config(Path(folder), adapter, array.ready), BACKEND) as backend,
    ):
        backend.pools()
        yield array, backend


def counted(array: SimulatedArray, backend: Backend, row: Row) -> int:
    """Run an operation and return how many commands it took."""
    array.counters.clear()
    row.run(backend)
    counts = array.counters.as_dict()
    return int(counts["requests"]) - int(counts["by_operation"].get("login", 0))


def table(title: str, array: SimulatedArray, backend: Backend, wanted: Sequence[Row]) -> bool:
    """Run the operations and print what each took; return whether every target holds."""
    print(f"\n## {title}\n\n| operation | ours | target | cinder 29.0 |\n|---|--:|--:|--:|")
    met = True
    for row in wanted:
        sent = counted(array, backend, row)
        holds = row.target is None or sent <= row.target
        met = met and holds
        target = "-" if row.target is None else row.target
        print(f"| {row.title} | {sent}{'' if holds else ' (!)'} | {target} | {row.cinder} |")
    return met


def main() -> bool:
    """Print the tables; return whether every target holds."""
    with opened() as (array, backend):
        met = table(f"SSH commands per operation, {MODEL}", array, backend, rows())
    with opened(COPY_SECONDS) as (array, backend):
        backend.create_volume("v1", GiB, POOL)
        backend.create_snapshot("s1", "v1")
        waited = table(f"The same with copies of {COPY_SECONDS:g} seconds", array, backend, waiting_rows())
    print("\npools known; where the array tells its progress, that says when to look again")
    return met and waited
