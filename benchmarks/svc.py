"""Round trips and commands per operation on a simulated FlashSystem 9100 and AS5500 G2, counted by the simulator.

A round trip is one exec request over SSH, which may hold several commands. The last column is the Storwize or InStorage driver of the
cinder package 29.0 on the same simulator, one command a round trip (protocol sheets, section 5, and ``make test-oracle``).
"""

from __future__ import annotations

from benchmarks.netapp import opened
from benchmarks.round_trips import Row
from blockdrivers import Backend, GiB, Host, Protocol, Qos
from conformance.simulation.server import SimulatedArray

MODELS = ("FlashSystem 9100", "AS5500 G2")
POOL, OTHER = "pool_a", "pool_b"
HOSTS = (
    Host("bench-1", iqn="iqn.1994-05.org.example:bench-1"),
    Host("bench-2", wwpns=("21000024ff000001", "21000024ff000002")),
)
_COPY_SECONDS = 0.0
"""Copies are done at the first look: the cinder drivers' counts hold no waiting for them either."""


def rows(model: str, hosts: tuple[Host, Host] = HOSTS) -> list[Row]:
    """Return the operations in an order in which each finds what it needs; targets are what may not be exceeded."""
    first, second = hosts
    ibm = model == MODELS[0]

    def cinder(of_ibm: str, of_inspur: str) -> str:
        return of_ibm if ibm else of_inspur

    return [
        Row("create", lambda array: array.create_volume("v1", GiB, POOL), 1, "2"),
        Row("create with QoS", lambda array: array.create_volume("v5", GiB, POOL, qos=Qos(total_iops=500)), 2, cinder("4", "3")),
        Row("extend", lambda array: array.extend_volume("v1", 2 * GiB), 2, cinder("3-4", "3")),
        Row("snapshot", lambda array: array.create_snapshot("s1", "v1"), 2, cinder("8-9", "7")),
        Row("stats, 4 pools", lambda array: array.pools(), 1, "4"),
        Row("first export, new host, iSCSI", lambda array: array.export("v1", first, Protocol.ISCSI), 2, cinder("8-9", "14")),
        Row("export, known host, iSCSI", lambda array: array.export("v2", first, Protocol.ISCSI), 1, cinder("8", "7")),
        Row("export again (same)", lambda array: array.export("v2", first, Protocol.ISCSI), 1, "-"),
        Row("unexport", lambda array: array.unexport("v2", first, Protocol.ISCSI), 1, cinder("5", "4")),
        Row("unexport, host's last volume", lambda array: array.unexport("v1", first, Protocol.ISCSI), 1, cinder("6", "5")),
        Row(
            "first export, new host, FC, two WWPNs", lambda array: array.export("v1", second, Protocol.FC), 2, cinder("7-8", "12")
        ),
        Row("export, known host, FC, two WWPNs", lambda array: array.export("v2", second, Protocol.FC), 1, "6"),
        Row("unexport, FC", lambda array: array.unexport("v2", second, Protocol.FC), 1, cinder("5", "4")),
        Row("revert", lambda array: array.revert_volume("v3", "s3"), 3, cinder("7, not waited for", "cannot")),
        Row("QoS on", lambda array: array.set_qos("v3", Qos(total_iops=500)), 2, "2 at creation"),
        Row("QoS off", lambda array: array.set_qos("v3", None), 3, "3 in a retype"),
        Row(
            "volume from snapshot",
            lambda array: array.create_volume_from_snapshot("c1", "s3", pool=POOL),
            3,
            cinder("8, not waited for", "7, not waited for"),
        ),
        Row(
            "clone of a volume", lambda array: array.clone_volume("c2", "v3"), 3, cinder("8, not waited for", "7, not waited for")
        ),
        Row("clone, larger", lambda array: array.clone_volume("c3", "v3", size=2 * GiB), 5, cinder("11", "12")),
        Row(
            "group snapshot, two volumes",
            lambda array: array.create_group_snapshot({"v3": "g3", "v4": "g4"}),
            5,
            cinder("11-12", "11-12"),
        ),
        Row(
            "move to another pool",
            lambda array: array.retype_volume("c2", pool=OTHER),
            2 if ibm else 3,
            cinder("4", "2, and 3 in a task afterwards"),
        ),
        Row("give up", lambda array: array.unmanage_volume("c3", "legacy"), 2, "-"),
        Row("take over", lambda array: array.manage_volume("c3", "legacy"), 2, cinder("10", "8")),
        Row("delete snapshot", lambda array: array.delete_snapshot("s1"), 3, cinder("11", "9")),
        Row("delete, exported, forced", lambda array: array.delete_volume("v1", force=True), 7, "-"),
        Row("delete, not exported", lambda array: array.delete_volume("c1"), 2, cinder("4", "3")),
        Row("delete, absent", lambda array: array.delete_volume("c1"), 1, "1"),
    ]


def warm_up(backend: Backend) -> None:
    """Let a backend know what does not change (code level, pools, ports), and have what the rows work on."""
    for name in ("v0", "v2", "v3", "v4"):
        backend.create_volume(name, GiB, POOL)
    backend.create_snapshot("s3", "v3")
    backend.export("v0", Host("bench-0", iqn="iqn.1994-05.org.example:bench-0"), Protocol.ISCSI)
    backend.pools()
    backend.ports()


def counted(array: SimulatedArray, backend: Backend, row: Row) -> tuple[int, int]:
    """Run an operation; return its round trips and the commands in them."""
    array.counters.clear()
    row.run(backend)
    found = array.counters.as_dict()["by_operation"]
    lines = {name: count for name, count in found.items() if name != "login"}
    return sum(lines.values()), sum(count * (name.count("+") + 1) for name, count in lines.items())


def main() -> bool:
    """Print the tables; return whether every target holds."""
    met = [_table(model) for model in MODELS]
    return all(met)


def _table(model: str) -> bool:
    print(f"\n## Round trips per operation, {model}\n")
    print("| operation | round trips | commands in them | target | cinder 29.0 |\n|---|--:|--:|--:|--:|")
    met = True
    with opened(model, copy_seconds=_COPY_SECONDS) as (array, backend):
        warm_up(backend)
        for row in rows(model):
            sent, commands = counted(array, backend, row)
            kept = row.target is None or sent <= row.target
            met = met and kept
            target = "-" if row.target is None else row.target
            print(f"| {row.title} | {sent}{'' if kept else ' (!)'} | {commands} | {target} | {row.cinder} |")
    print("\ncode level, pools and ports known; a copy that takes its time is looked at besides, each time by one inquiry")
    return met
