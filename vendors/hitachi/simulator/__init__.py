"""The VSP at the wire, mid-range models of two generations, written from the protocol sheet alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from conformance.simulation.dataplane import DataPlane, NoDataPlane
from vendors.hitachi.simulator.array import Options, Vsp
from vendors.hitachi.simulator.profiles import PROFILES

TiB = 1024**4


def build(
    model: str,
    *,
    pools: int = 4,
    pool_bytes: int = 100 * TiB,
    fabric: Sequence[str] | None = None,
    job_seconds: float = 0.002,
    settle_seconds: float = 0.005,
    copy_seconds: float = 0.1,
    jobs_wait_for_copies: bool = True,
    portals: Sequence[str] = ("127.0.0.11", "127.0.0.12"),
    fc_ports: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    data_plane: DataPlane | None = None,
) -> Vsp:
    """Return a new array.

    Args:
        model: as the protocol sheet spells it, with or without the maker's prefix.
        pools: how many, named ``pool_a`` and so on.
        pool_bytes: size of each.
        fabric: taken and not used: this interface does not tell which initiators are logged in.
        job_seconds: how long a job lasts that waits for nothing.
        settle_seconds: how long a pair takes from one state to the next.
        copy_seconds: how long a copy, a restore or a migration takes.
        jobs_wait_for_copies: whether a pair operation's job lasts until its data is copied, unless the request says ``NoWait``.
        portals: IP addresses of the iSCSI ports.
        fc_ports: WWNs of the FC ports; two of its own by default.
        clock: seconds.
        data_plane: keeps the bytes; without one there are none.
    """
    options = Options(
        pools={f"pool_{chr(ord('a') + number)}": pool_bytes for number in range(pools)},
        fabric=tuple(fabric or ()),
        portals=tuple(portals),
        fc_ports=None if fc_ports is None else tuple(wwn.lower() for wwn in fc_ports),
        job_seconds=job_seconds,
        settle_seconds=settle_seconds,
        copy_seconds=copy_seconds,
        jobs_wait_for_copies=jobs_wait_for_copies,
    )
    plain = model.removeprefix("HDS ")
    if plain not in PROFILES:
        raise ValueError(f"no such model: {model!r}; there is {', '.join(sorted(PROFILES))}")
    return Vsp(plain, options, data_plane or NoDataPlane(), clock)
