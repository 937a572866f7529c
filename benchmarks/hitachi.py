"""Management requests per operation on simulated VSPs, counted by the simulator; polls of jobs count.

The last column is the HBSD driver of the cinder package 29.0 on the same simulator, with two pools and two ports a protocol (protocol
sheet, section 5, and ``make test-oracle``, which counts them again).
"""

from __future__ import annotations

from benchmarks.counted import opened, table
from benchmarks.round_trips import Row
from blockdrivers import Backend, GiB, Host, Protocol, Qos

MODELS = ("VSP G370", "VSP G200")
POOL, OTHER = "pool_a", "pool_b"
ISCSI = Host("bench-1", iqn="iqn.1994-05.org.example:bench-1")
FC = Host("bench-2", wwpns=("21000024ff000001", "21000024ff000002"))


def rows(model: str) -> list[Row]:
    """Return the operations in an order in which each finds what it needs; targets are what may not be exceeded."""
    # Older firmware takes one port per LU path.
    more = 0 if model == "VSP G370" else 1
    return [
        Row("create", lambda array: array.create_volume("v1", GiB, POOL), 2, "2"),
        Row("create again (same)", lambda array: array.create_volume("v1", GiB, POOL), 3, "-"),
        Row("extend", lambda array: array.extend_volume("v1", 2 * GiB), 2, "5"),
        Row("snapshot", lambda array: array.create_snapshot("s1", "v1"), 3, "6"),
        Row("stats", lambda array: array.pools(), 1, "1"),
        Row("first export, new host, iSCSI", lambda array: array.export("v1", ISCSI, Protocol.ISCSI), 7 + more, "14-18"),
        Row(
            "export, known host, iSCSI", lambda array: array.export("v2", ISCSI, Protocol.ISCSI), 2 + more, "2, proves nothing; 6"
        ),
        Row("export again (same)", lambda array: array.export("v2", ISCSI, Protocol.ISCSI), 2, "trap 20"),
        Row("unexport, iSCSI", lambda array: array.unexport("v2", ISCSI, Protocol.ISCSI), 3, "3-5"),
        Row("unexport, host's last volume", lambda array: array.unexport("v1", ISCSI, Protocol.ISCSI), 3, "5-11"),
        Row("first export, new host, FC, two WWPNs", lambda array: array.export("v1", FC, Protocol.FC), 8 + more, "16-20"),
        Row("export, known host, FC", lambda array: array.export("v2", FC, Protocol.FC), 2 + more, "2, proves nothing; 6"),
        Row("unexport, FC", lambda array: array.unexport("v2", FC, Protocol.FC), 3, "3-5"),
        Row("revert", lambda array: array.revert_volume("v1", "s1", force=True), 4, "5"),
        Row("first volume from a snapshot", lambda array: array.create_volume_from_snapshot("c1", "s1", pool=POOL), 9, "9"),
        Row("further volume from it", lambda array: array.create_volume_from_snapshot("c2", "s1", pool=POOL), 8, "9"),
        Row("revert, S-VOL", lambda array: array.revert_volume("v1", "s1", force=True), 5, "5"),
        Row("clone of a volume", lambda array: array.clone_volume("c3", "v1"), 6, "9"),
        Row("clone, larger", lambda array: array.clone_volume("c4", "v1", size=4 * GiB), 7, "cannot"),
        Row("delete snapshot", lambda array: array.delete_snapshot("s1"), 7, "14"),
        Row("group snapshot, two volumes", lambda array: array.create_group_snapshot({"v2": "g1", "v3": "g2"}), 12, "13"),
        *([Row("QoS on", lambda array: array.set_qos("v1", Qos(total_iops=500)), 2, "2 at creation")] if not more else []),
        *([Row("QoS off", lambda array: array.set_qos("v1", None), 2, "2")] if not more else []),
        Row("move to another pool", lambda array: array.retype_volume("c3", pool=OTHER), 7, "19"),
        Row("give up", lambda array: array.unmanage_volume("c3", "legacy"), 3, "2, keeps the name"),
        Row("take over, by name", lambda array: array.manage_volume("c3", "legacy"), 2, "4-7"),
        Row("delete", lambda array: array.delete_volume("c4"), 2, "4"),
        Row("delete, absent", lambda array: array.delete_volume("c4"), 2, "3"),
    ]


def warm_up(backend: Backend) -> None:
    """Let a backend know what does not change (pools, ports, displaced names), and have what the rows work on."""
    backend.pools()
    backend.ports()
    for name in ("v2", "v3"):
        backend.create_volume(name, GiB, POOL)


def main() -> bool:
    """Print a table for each generation; return whether every target holds."""
    met = True
    for model in MODELS:
        with opened(model) as (array, backend):
            warm_up(backend)
            met = table(f"Requests per operation, {model}", array, backend, rows(model)) and met
    print("\npools, ports and displaced names known")
    return met
