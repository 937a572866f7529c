"""Management requests per operation on a simulated OceanStor 5500 V5, counted by the simulator.

The second column is the Huawei driver of the cinder package 29.0 on the same simulator (protocol sheet, section 5, and
``make test-oracle``, which counts them again).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.simulated import Simulated, simulated
from blockdrivers import Backend, GiB, Host, Protocol, Qos

MODEL = "OceanStor 5500 V5"
POOL = "pool_a"


@dataclass(frozen=True)
class Row:
    """One operation: what it is, what it may cost, what the other driver needs."""

    title: str
    run: Callable[[Backend], object]
    target: int | None
    cinder: str


def rows(hosts: tuple[Host, Host]) -> list[Row]:
    """Return the operations in an order in which each finds what it needs."""
    first, second = hosts
    return [
        Row("create", lambda array: array.create_volume("v1", GiB, POOL), 1, "2"),
        Row("create again (same)", lambda array: array.create_volume("v1", GiB, POOL), None, "-"),
        Row("extend", lambda array: array.extend_volume("v1", 2 * GiB), 2, "3"),
        Row("snapshot", lambda array: array.create_snapshot("s1", "v1"), 2, "4"),
        Row("stats, 4 pools", lambda array: array.pools(), 2, "11 for two pools"),
        Row("first export, new host, iSCSI", lambda array: array.export("v1", first, Protocol.ISCSI), 10, "21-24"),
        Row("export, known host, iSCSI", lambda array: array.export("v2", first, Protocol.ISCSI), 4, "14-17"),
        Row("export again (same)", lambda array: array.export("v2", first, Protocol.ISCSI), 4, "13"),
        Row("unexport", lambda array: array.unexport("v2", first, Protocol.ISCSI), 4, "8"),
        Row("unexport, host's last volume", lambda array: array.unexport("v1", first, Protocol.ISCSI), 4, "21-24"),
        Row("first export, new host, FC, two WWPNs", lambda array: array.export("v1", second, Protocol.FC), None, "24"),
        Row("export, known host, FC, two WWPNs", lambda array: array.export("v2", second, Protocol.FC), None, "17"),
        Row("unexport, FC", lambda array: array.unexport("v2", second, Protocol.FC), 4, "8"),
        Row("unexport, FC, host's last volume", lambda array: array.unexport("v1", second, Protocol.FC), 4, "24"),
        Row("revert", lambda array: array.revert_volume("v3", "s3"), None, "cannot"),
        Row("QoS on", lambda array: array.set_qos("v3", Qos(total_iops=500)), None, "2 at creation"),
        Row("QoS off", lambda array: array.set_qos("v3", None), None, "3"),
        Row("volume from snapshot", lambda array: array.create_volume_from_snapshot("c1", "s3", pool=POOL), None, "10"),
        Row("clone of a volume", lambda array: array.clone_volume("c2", "v3"), None, "18"),
        Row("move to another pool", lambda array: array.retype_volume("c2", pool="pool_b"), None, "broken"),
        Row("delete snapshot", lambda array: array.delete_snapshot("s1"), 3, "3"),
        Row("delete", lambda array: array.delete_volume("v1"), 2, "5"),
        Row("delete, absent", lambda array: array.delete_volume("v1"), None, "3"),
    ]


def main() -> bool:
    """Print the table; return whether every target holds."""
    print(f"\n## Round trips per operation, {MODEL}\n\n| operation | ours | target | cinder 29.0 |\n|---|--:|--:|--:|")
    with simulated(MODEL) as array, array.open() as backend:
        hosts = (
            Host("bench-1", iqn="iqn.1994-05.org.example:bench-1"),
            Host("bench-2", wwpns=("21000024ff000001", "21000024ff000002")),
        )
        _warm_up(backend)
        met = [_count(array, backend, row) for row in rows(hosts)]
    print("\npool and port ids known; copies polled until done, so their counts vary with the copy's length")
    return all(met)


def _warm_up(backend: Backend) -> None:
    for name in ("v0", "v2", "v3"):
        backend.create_volume(name, GiB, POOL)
    backend.create_snapshot("s3", "v3")
    host = Host("bench-0", iqn="iqn.1994-05.org.example:bench-0")
    backend.export("v0", host, Protocol.ISCSI)


def _count(array: Simulated, backend: Backend, row: Row) -> bool:
    array.clear()
    row.run(backend)
    sent = array.requests_sent()
    met = row.target is None or sent <= row.target
    print(f"| {row.title} | {sent}{'' if met else ' (!)'} | {'-' if row.target is None else row.target} | {row.cinder} |")
    return met
