"""ONTAP at the wire, written from the protocol sheet."""

from __future__ import annotations

import atexit
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from conformance.simulation.dataplane import DataPlane, NoDataPlane
from vendors.netapp.simulator.array import Ontap
from vendors.netapp.simulator.profiles import PROFILES
from vendors.netapp.simulator.state import Options

DEFAULT_FABRIC = ("21000024ff000001", "21000024ff000002", "21000024ff000003", "21000024ff000004")
"""The FC ports of two test hosts, two each."""

TiB = 1024**4


def build(
    model: str,
    *,
    pools: int = 4,
    pool_bytes: int = 100 * TiB,
    fabric: Sequence[str] | None = None,
    copy_seconds: float = 0.15,
    job_seconds: float = 0.0,
    portals: Sequence[str] = ("127.0.0.11", "127.0.0.12"),
    fc_ports: Sequence[str] | None = None,
    nodes: int = 2,
    release: tuple[int, int, int] | None = None,
    files: Path | None = None,
    nfs: str | None = None,
    nfs_clients: Sequence[str] = ("0.0.0.0/0",),
    clock: Callable[[], float] = time.monotonic,
    data_plane: DataPlane | None = None,
) -> Ontap:
    """Return a new array: a cluster with one SVM, ``svm1``.

    Args:
        model: as the compatibility list spells it.
        pools: how many FlexVols, named ``pool_a`` and so on.
        pool_bytes: size of each.
        fabric: WWPNs of the FC initiators that are logged in.
        copy_seconds: how long a copy or a move takes.
        job_seconds: how long what is a job takes.
        portals: IP addresses of the data LIFs, on the nodes in turn.
        fc_ports: WWPNs of the FC LIFs; four of its own, or as many as there are nodes, by default.
        nodes: how many; each two are partners.
        release: of ONTAP; the model's own by default. From 9.16.1 on, making a LUN is a job.
        files: where the files of FlexVols are, a folder for each; a temporary folder by default.
        nfs: address of the NFS server that serves that folder; the first portal's by default, where nobody may be listening.
        nfs_clients: whom the export policy of every FlexVol lets in from the start, as an administrator has set it up; ONTAP's own
            has no rule, which lets nobody in.
        clock: seconds.
        data_plane: keeps the bytes; without one there are none.
    """
    if model not in PROFILES:
        raise ValueError(f"no such model: {model!r}; there is {', '.join(sorted(PROFILES))}")
    options = Options(
        pools={f"pool_{chr(ord('a') + number)}": pool_bytes for number in range(pools)},
        fabric=tuple(wwpn.lower() for wwpn in (DEFAULT_FABRIC if fabric is None else fabric)),
        copy_seconds=copy_seconds,
        job_seconds=job_seconds,
        portals=tuple(portals),
        fc_ports=None if fc_ports is None else tuple(wwpn.lower() for wwpn in fc_ports),
        nodes=nodes,
        release=release,
        files=files or Path(_temporary().name),
        nfs=nfs,
        nfs_clients=tuple(nfs_clients),
    )
    return Ontap(model, options, data_plane or NoDataPlane(), clock)


def _temporary() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that goes with this process."""
    folder = tempfile.TemporaryDirectory(prefix="blockdrivers-files-")
    atexit.register(folder.cleanup)
    return folder
