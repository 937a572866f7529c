"""Management requests per operation on a simulated MS7020G2, counted by the simulator; polls of copies count.

The last column is the MacroSAN drivers of the cinder package 29.0 on the same simulator (protocol sheet, section 5, and
``make test-oracle``, which counts them again): each of their requests follows one that asks for the HA status. Copies end before the
first poll. LUNs are thin over iSCSI and thick over FC.
"""

from __future__ import annotations

from benchmarks.counted import opened, table
from benchmarks.round_trips import Row
from blockdrivers import Backend, GiB, Host, Protocol

MODEL = "MS7020G2"
POOL, OTHER = "pool_a", "pool_b"
ISCSI = Host("bench-1", iqn="iqn.1994-05.org.example:bench-1")
FC = Host("bench-2", wwpns=("21000024ff000001", "21000024ff000002"))


def rows() -> list[Row]:
    """Return the operations in an order in which each finds what it needs; targets are what may not be exceeded."""
    return [
        Row("create, thin", lambda array: array.create_volume("v1", GiB, POOL), 2, "4"),
        Row("create, thick", lambda array: array.create_volume("v2", GiB, POOL, thin=False), 3, "6"),
        Row("create again (same)", lambda array: array.create_volume("v1", GiB, POOL), None, "-"),
        Row("extend", lambda array: array.extend_volume("v1", 2 * GiB), 3, "6"),
        Row("stats, a pool", lambda array: array.pools(), 4, "2 a pool"),
        Row("first snapshot", lambda array: array.create_snapshot("s1", "v1"), 9, "18"),
        Row("snapshot", lambda array: array.create_snapshot("s2", "v1"), 6, "12"),
        Row("first export, new host, iSCSI, two ports", lambda array: array.export("v1", ISCSI, Protocol.ISCSI), 15, "30"),
        Row("export, known host, iSCSI", lambda array: array.export("v2", ISCSI, Protocol.ISCSI), 12, "24"),
        Row("export again (same)", lambda array: array.export("v2", ISCSI, Protocol.ISCSI), None, "-"),
        Row("unexport, iSCSI", lambda array: array.unexport("v2", ISCSI, Protocol.ISCSI), 5, "10"),
        Row("first export, new host, FC, two WWPNs", lambda array: array.export("v1", FC, Protocol.FC), 19, "38"),
        Row("export, known host, FC", lambda array: array.export("v2", FC, Protocol.FC), 7, "14"),
        Row("unexport, FC", lambda array: array.unexport("v2", FC, Protocol.FC), 4, "8"),
        Row("volume from a snapshot", _from_snapshot, 9, "18"),
        Row("clone of a volume", lambda array: array.clone_volume("c2", "v1"), 17, "34"),
        Row("clone of a volume without snapshots", lambda array: array.clone_volume("c3", "v2"), 18, "36"),
        Row("clone, larger", lambda array: array.clone_volume("c4", "v1", size=4 * GiB), None, "cannot"),
        Row("clone into another pool, and delete", _moved, None, "44, under the same name"),
        Row("give up", lambda array: array.unmanage_volume("c2", "legacy"), 2, "0, keeps the name"),
        Row("take over", lambda array: array.manage_volume("c2", "legacy"), 6, "12"),
        Row("give up a snapshot", lambda array: array.unmanage_snapshot("s1", "old", of_volume="v1"), 3, "0, keeps the name"),
        Row("take a snapshot over", lambda array: array.manage_snapshot("s1", "v1", "old"), 3, "4"),
        Row("delete snapshot", lambda array: array.delete_snapshot("s1", of_volume="v1"), 4, "8"),
        Row("delete last snapshot", lambda array: array.delete_snapshot("s2", of_volume="v1"), 8, "16"),
        Row("delete", lambda array: array.delete_volume("c1"), 5, "10"),
        Row("delete, absent", lambda array: array.delete_volume("c1"), 3, "4"),
    ]


def _from_snapshot(array: Backend) -> object:
    return array.create_volume_from_snapshot("c1", "s1", pool=POOL, of_volume="v1")


def _moved(array: Backend) -> None:
    array.clone_volume("c5", "c3", pool=OTHER)
    array.delete_volume("c3")


def warm_up(backend: Backend) -> None:
    """Let a backend log in and learn what does not change."""
    backend.system()


def main() -> bool:
    """Print the table; return whether every target holds."""
    with opened(MODEL, copy_seconds=0.0) as (array, backend):
        warm_up(backend)
        return table(f"Requests per operation, {MODEL}", array, backend, rows())
