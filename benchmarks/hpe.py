"""Management requests per operation on a simulated 3PAR StoreServ 8440, counted by the simulator.

The last column is the 3PAR driver of the cinder package 29.0 with python-3parclient 4.4 on the same simulator, its session calls left
out (protocol sheet, section 5, and ``make test-oracle``, which counts them again).
"""

from __future__ import annotations

from benchmarks.counted import opened, table
from benchmarks.round_trips import Row
from blockdrivers import Backend, GiB, Host, Protocol, Qos

MODEL = "3PAR StoreServ 8440"
POOL, OTHER = "pool_a", "pool_b"
_MANY = 4
HOSTS = (
    Host("bench-1", iqn="iqn.1994-05.org.example:bench-1"),
    Host("bench-2", wwpns=("21000024ff000001", "21000024ff000002")),
)
LIMITS = Qos(total_iops=500)

_READ = "the array's answers are empty: id and WWN are told to who reads"
_LOOK = "whose a volume is, and whether it is whole, is read before anything is done to it"
_COPIED = "the bytes are waited for, under a label, and the source is held by nothing"
MORE = {
    "create": _READ,
    "create with QoS": f"{_READ}; volume, set and rule are three objects",
    "extend": "what is sent is what is added: a repeat would add it twice",
    "snapshot": _READ,
    "revert": "volume and snapshot are compared before bytes are lost; the task has to end",
    "QoS on": f"{_LOOK}; set and rule are two objects",
    "volume from snapshot": _COPIED,
    "larger volume from snapshot": _COPIED,
    "clone of a volume": _COPIED,
    "group snapshot, 2 volumes": "the array numbers the snapshots of a set: each is renamed, and proven to be of its volume",
    "give up": _LOOK,
    "take over": f"{_LOOK}, and whether it is exported",
    "delete snapshot": _LOOK,
    "delete": _LOOK,
    "delete with QoS": f"{_LOOK}; the set goes only when it is the volume's alone and the volume is not exported",
}
"""Operations that need more than what is aimed at, and why. Aimed at: never more than the other driver, half where that one needs four."""


def rows(hosts: tuple[Host, Host] = HOSTS) -> list[Row]:
    """Return the operations in an order in which each finds what it needs; targets are what may not be exceeded."""
    first, second = hosts
    pair = {"v3": "g3", "v4": "g4"}
    return [
        Row("create", lambda array: array.create_volume("v1", GiB, POOL), 2, "1"),
        Row("create with QoS", lambda array: array.create_volume("v4", GiB, POOL, qos=LIMITS), 4, "5"),
        Row("extend", lambda array: array.extend_volume("v1", 2 * GiB), 2, "1"),
        Row("snapshot", lambda array: array.create_snapshot("s1", "v1"), 2, "1"),
        Row("stats, 2 pools", lambda array: array.pools(), 2, "5"),
        Row("first export, new host, iSCSI", lambda array: array.export("v1", first, Protocol.ISCSI), 3, "16"),
        Row("export, known host, iSCSI", lambda array: array.export("v2", first, Protocol.ISCSI), 4, "14"),
        Row("export again (same)", lambda array: array.export("v2", first, Protocol.ISCSI), 2, "-"),
        Row("unexport", lambda array: array.unexport("v2", first, Protocol.ISCSI), 2, "10"),
        Row("unexport, host's last volume", lambda array: array.unexport("v1", first, Protocol.ISCSI), 2, "10"),
        Row("first export, new host, FC, two WWPNs", lambda array: array.export("v1", second, Protocol.FC), 4, "13"),
        Row("export, known host, FC, two WWPNs", lambda array: array.export("v2", second, Protocol.FC), 4, "10"),
        Row("unexport, FC", lambda array: array.unexport("v2", second, Protocol.FC), 2, "8"),
        Row("unexport, FC, host's last volume", lambda array: array.unexport("v1", second, Protocol.FC), 2, "9"),
        Row("revert", lambda array: array.revert_volume("v3", "s3"), 3, "4"),
        Row("QoS on", lambda array: array.set_qos("v3", LIMITS), 3, "4 at creation"),
        Row("QoS off", lambda array: array.set_qos("v3", None), 3, "3 at deletion"),
        Row("volume from snapshot", lambda array: array.create_volume_from_snapshot("c1", "s3", pool=POOL), 6, "1, linked"),
        Row(
            "larger volume from snapshot",
            lambda array: array.create_volume_from_snapshot("c3", "s3", pool=POOL, size=2 * GiB),
            6,
            "10",
        ),
        Row("clone of a volume", lambda array: array.clone_volume("c2", "v3"), 8, "3, not awaited"),
        Row("group snapshot, 2 volumes", lambda array: array.create_group_snapshot(pair), 7, "5, with its group"),
        Row("move to another pool", lambda array: array.retype_volume("c2", pool=OTHER), 5, "11"),
        Row("give up", lambda array: array.unmanage_volume("c3", "legacy"), 2, "1"),
        Row("take over", lambda array: array.manage_volume("c3", "legacy"), 3, "2"),
        Row("delete snapshot", lambda array: array.delete_snapshot("s1"), 2, "1"),
        Row("delete", lambda array: array.delete_volume("v1"), 2, "1"),
        Row("delete, absent", lambda array: array.delete_volume("v1"), 1, "1"),
        Row("delete with QoS", lambda array: array.delete_volume("v5"), 6, "4"),
    ]


def aim(row: Row) -> int | None:
    """Return what is aimed at: the other driver's requests, half of them from four on; None where it has no such operation."""
    theirs = row.cinder.partition(",")[0].partition(" ")[0]
    if not theirs.isdecimal():
        return None
    return int(theirs) // 2 if int(theirs) >= _MANY else int(theirs)


def warm_up(backend: Backend) -> None:
    """Let a backend know what does not change (build and ports), and have what the rows work on."""
    for name in ("v0", "v2", "v3"):
        backend.create_volume(name, GiB, POOL)
    backend.create_volume("v5", GiB, POOL, qos=LIMITS)
    backend.create_snapshot("s3", "v3")
    backend.export("v0", Host("bench-0", iqn="iqn.1994-05.org.example:bench-0"), Protocol.ISCSI)


def main() -> bool:
    """Print the table; return whether every target holds."""
    with opened(MODEL, pools=2, copy_seconds=0.0) as (array, backend):
        warm_up(backend)
        met = table(f"Round trips per operation, {MODEL}", array, backend, rows())
    print("\nbuild and ports known; copies, reverts and moves end before their first poll, those of cinder before its second")
    return met
