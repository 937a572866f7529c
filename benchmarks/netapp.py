"""Management requests per operation on a simulated AFF A300, counted by the simulator.

The last column is the NetApp driver of the cinder package 29.0 on the same simulator (protocol sheet, section 5, and
``make test-oracle``, which counts them again).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.round_trips import Row
from blockdrivers import Backend, GiB, Host, Protocol, Qos, open_backend
from blockdrivers.plugins import find_model
from conformance.simulation.opening import BACKEND, open_array, write_config
from conformance.simulation.server import SimulatedArray

MODEL = "AFF A300"
POOL, OTHER = "pool_a", "pool_b"
HOSTS = (
    Host("bench-1", iqn="iqn.1994-05.org.example:bench-1"),
    Host("bench-2", wwpns=("21000024ff000001", "21000024ff000002")),
)


def rows(hosts: tuple[Host, Host] = HOSTS) -> list[Row]:
    """Return the operations on LUNs in an order in which each finds what it needs; targets are what may not be exceeded."""
    first, second = hosts
    pair = {"v3": "g3", "v4": "g4"}
    return [
        Row("create", lambda array: array.create_volume("v1", GiB, POOL), 2, "1"),
        Row("create with QoS", lambda array: array.create_volume("v4", GiB, OTHER, qos=Qos(total_iops=500)), 4, "3"),
        Row("extend", lambda array: array.extend_volume("v1", 2 * GiB), 2, "2"),
        Row("snapshot", lambda array: array.create_snapshot("s1", "v1"), 2, "2"),
        Row("stats, 2 pools", lambda array: array.pools(), 2, "6"),
        Row("first export, new host, iSCSI", lambda array: array.export("v1", first, Protocol.ISCSI), 3, "8"),
        Row("export, known host, iSCSI", lambda array: array.export("v2", first, Protocol.ISCSI), 1, "5"),
        Row("export again (same)", lambda array: array.export("v2", first, Protocol.ISCSI), 2, "7"),
        Row("unexport", lambda array: array.unexport("v2", first, Protocol.ISCSI), 1, "4"),
        Row("unexport, host's last volume", lambda array: array.unexport("v1", first, Protocol.ISCSI), 1, "4"),
        Row("first export, new host, FC, two WWPNs", lambda array: array.export("v1", second, Protocol.FC), 4, "8"),
        Row("export, known host, FC, two WWPNs", lambda array: array.export("v2", second, Protocol.FC), 2, "3"),
        Row("unexport, FC", lambda array: array.unexport("v2", second, Protocol.FC), 1, "5"),
        Row("unexport, FC, host's last volume", lambda array: array.unexport("v1", second, Protocol.FC), 1, "6"),
        Row("revert", lambda array: array.revert_volume("v3", "s3"), 2, "6"),
        Row("QoS on", lambda array: array.set_qos("v3", Qos(total_iops=500)), None, "2 at creation"),
        Row("QoS off", lambda array: array.set_qos("v3", None), None, "1 at deletion"),
        Row("volume from snapshot", lambda array: array.create_volume_from_snapshot("c1", "s3", pool=POOL), 2, "2"),
        Row("clone of a volume", lambda array: array.clone_volume("c2", "v3"), 3, "2"),
        Row("clone of a volume, larger", lambda array: array.clone_volume("c3", "v3", size=2 * GiB), 4, "4"),
        Row("group snapshot, 2 volumes in 2 FlexVols", lambda array: array.create_group_snapshot(pair), 10, "20"),
        Row("move to another FlexVol", lambda array: array.retype_volume("c2", pool=OTHER), None, "2 and polls"),
        Row("give up", lambda array: array.unmanage_volume("c3", "legacy"), 3, "1, and keeps the name"),
        Row("take over", lambda array: array.manage_volume("c3", "legacy"), 3, "3"),
        Row("delete snapshot", lambda array: array.delete_snapshot("s1"), 1, "1"),
        Row("delete", lambda array: array.delete_volume("v1"), 2, "2"),
        Row("delete with QoS", lambda array: array.delete_volume("v5"), 4, "3"),
    ]


def file_rows() -> list[Row]:
    """Return the operations on files, so, too. The other driver makes and grows them on a mount, which no one counts here."""
    host = Host("bench-1", addresses=("192.0.2.1",))
    pair = {"v3": "g3", "v5": "g5"}
    return [
        Row("create", lambda array: array.create_volume("v1", GiB, POOL), 4, "0, on the mount"),
        Row("extend", lambda array: array.extend_volume("v1", 2 * GiB), 2, "0, on the mount"),
        Row("snapshot", lambda array: array.create_snapshot("s1", "v1"), 5, "5"),
        Row("stats, 2 pools", lambda array: array.pools(), 3, "4"),
        Row("first export, new host", lambda array: array.export("v1", host, Protocol.NFS), 4, "0, access is arranged before"),
        Row("export, known host", lambda array: array.export("v2", host, Protocol.NFS), 2, "0"),
        Row("unexport", lambda array: array.unexport("v2", host, Protocol.NFS), 1, "0"),
        Row("revert", lambda array: array.revert_volume("v3", "s3"), 3, "13"),
        Row("volume from snapshot", lambda array: array.create_volume_from_snapshot("c1", "s3", pool=POOL), 4, "5"),
        Row("clone of a volume", lambda array: array.clone_volume("c2", "v3"), 5, "5"),
        Row("clone of a volume, larger", lambda array: array.clone_volume("c3", "v3", size=2 * GiB), 5, "5, and the mount"),
        Row("group snapshot, 2 volumes in 2 FlexVols", lambda array: array.create_group_snapshot(pair), 17, "24 and polls"),
        Row("move to another FlexVol", lambda array: array.retype_volume("c1", pool=OTHER), 24, "not counted"),
        Row("delete snapshot", lambda array: array.delete_snapshot("s1"), 1, "4"),
        Row("delete", lambda array: array.delete_volume("c2"), 4, "5"),
        Row("delete with QoS", lambda array: array.delete_volume("v6"), 6, "6"),
    ]


@contextmanager
def opened(
    model: str = MODEL, protocol: Protocol = Protocol.ISCSI, **options: object
) -> Iterator[tuple[SimulatedArray, Backend]]:
    """Serve an array, and open a backend on it."""
    adapter = find_model(model)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_array(adapter, model, data=False, **options) as array,
        open_backend(write_config(Path(folder), adapter, array.ready, protocol=protocol), BACKEND) as backend,
    ):
        yield array, backend


def warm_up(backend: Backend) -> None:
    """Let a backend know what does not change (release, nodes, pools, LIFs), and have what the rows work on."""
    for name in ("v0", "v2", "v3"):
        backend.create_volume(name, GiB, POOL)
    backend.create_volume("v5", GiB, POOL, qos=Qos(total_iops=500))
    backend.create_snapshot("s3", "v3")
    backend.pools()
    backend.export("v0", Host("bench-0", iqn="iqn.1994-05.org.example:bench-0"), Protocol.ISCSI)
    backend.export("v0", Host("bench-9", wwpns=("21000024ff000003",)), Protocol.FC)


def warm_up_files(backend: Backend) -> None:
    """Do so for files."""
    for name in ("v0", "v2", "v3"):
        backend.create_volume(name, GiB, POOL)
    backend.create_volume("v5", GiB, OTHER)
    backend.create_volume("v6", GiB, POOL, qos=Qos(total_iops=500))
    backend.create_snapshot("s3", "v3")
    backend.pools()
    backend.export("v0", Host("bench-0", addresses=("192.0.2.9",)), Protocol.NFS)


def counted(array: SimulatedArray, backend: Backend, row: Row) -> int:
    """Run an operation and return how many requests it took."""
    array.counters.clear()
    row.run(backend)
    return int(array.counters.as_dict()["requests"])


def main() -> bool:
    """Print the tables; return whether every target holds."""
    with opened(pools=2) as (array, backend):
        warm_up(backend)
        luns = _table("LUNs", array, backend, rows())
    print("\npools, nodes and LIFs known; where the SVM has one FlexVol only, what makes a volume takes one request less")
    with opened("FAS2750", Protocol.NFS, pools=2) as (array, backend):
        warm_up_files(backend)
        files = _table("files", array, backend, file_rows())
    print("\nwhere the SVM has one FlexVol only, what makes something takes one request less")
    return luns and files


def _table(what: str, array: SimulatedArray, backend: Backend, wanted: list[Row]) -> bool:
    head = "| operation | ours | target | cinder 29.0 |\n|---|--:|--:|--:|"
    print(f"\n## Round trips per operation, {array.family.model}, {what}\n\n{head}")
    met = True
    for row in wanted:
        sent = counted(array, backend, row)
        kept = row.target is None or sent <= row.target
        met = met and kept
        print(f"| {row.title} | {sent}{'' if kept else ' (!)'} | {'-' if row.target is None else row.target} | {row.cinder} |")
    return met
