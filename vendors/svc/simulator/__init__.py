"""IBM Spectrum Virtualize and Inspur InStorage MCS at the wire, written from the protocol sheets alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from conformance.simulation.dataplane import DataPlane, NoDataPlane
from vendors.svc.simulator.array import SvcArray
from vendors.svc.simulator.profiles import PROFILES
from vendors.svc.simulator.state import Options

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
    prepare_seconds: float = 0.0,
    stop_seconds: float = 0.0,
    formatting_seconds: float = 0.0,
    dependants_hold: bool = False,
    joins: bool = True,
    portals: Sequence[str] = ("127.0.0.11", "127.0.0.12"),
    fc_ports: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    data_plane: DataPlane | None = None,
) -> SvcArray:
    """Return a new array.

    Args:
        model: as the compatibility list spells it.
        pools: how many, named ``pool_a`` and so on; the last one reduces data where the model has such pools.
        pool_bytes: size of each.
        fabric: WWPNs of the FC initiators that are logged in.
        copy_seconds: how long a background copy or the synchronisation of a volume copy takes.
        prepare_seconds: how long a copy mapping is ``preparing``.
        stop_seconds: how long one is ``stopping``.
        formatting_seconds: how long a fully allocated volume is formatted.
        dependants_hold: a complete copy stays ``copying`` while others depend on its target.
        joins: whether the shell takes several commands on one line.
        portals: IP addresses of the iSCSI portals; the two nodes take turns.
        fc_ports: WWPNs of the FC ports that hosts reach; four of its own by default.
        clock: seconds.
        data_plane: keeps the bytes; without one there are none.
    """
    options = Options(
        pools={f"pool_{chr(ord('a') + number)}": pool_bytes for number in range(pools)},
        fabric=tuple(wwpn.lower() for wwpn in (DEFAULT_FABRIC if fabric is None else fabric)),
        copy_seconds=copy_seconds,
        prepare_seconds=prepare_seconds,
        stop_seconds=stop_seconds,
        formatting_seconds=formatting_seconds,
        dependants_hold=dependants_hold,
        joins=joins,
        portals=tuple(portals),
        fc_ports=None if fc_ports is None else tuple(wwpn.lower() for wwpn in fc_ports),
    )
    if model not in PROFILES:
        raise ValueError(f"no such model: {model!r}; there is {', '.join(sorted(PROFILES))}")
    return SvcArray(model, options, data_plane or NoDataPlane(), clock)
