"""The StoreServ and its sisters at the wire, written from the protocol sheet alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from conformance.simulation.dataplane import DataPlane, NoDataPlane
from vendors.hpe.simulator.array import Options, StoreServ
from vendors.hpe.simulator.profiles import PROFILES

DEFAULT_FABRIC = ("21000024ff000001", "21000024ff000002", "21000024ff000003", "21000024ff000004")
"""The FC ports of two test hosts, two each."""

TiB = 1024**4
_IDLE_SECONDS = 15 * 60.0
_MANY_SESSIONS = 4096
"""More than any model has: a run of the conformance suite kills hundreds of clients, and each leaves its key behind."""


def build(
    model: str,
    *,
    pools: int = 4,
    pool_bytes: int = 100 * TiB,
    limited: bool = True,
    fabric: Sequence[str] | None = None,
    copy_seconds: float = 0.15,
    portals: Sequence[str] = ("127.0.0.11", "127.0.0.12"),
    fc_ports: Sequence[str] | None = None,
    tagged: bool = False,
    first_lun: int = 1,
    last_lun: int = 16383,
    max_volumes: int = 32768,
    session_seconds: float = _IDLE_SECONDS,
    max_sessions: int = _MANY_SESSIONS,
    closes: bool = False,
    rules_hold_sets: bool = False,
    queries: bool = True,
    clock: Callable[[], float] = time.monotonic,
    data_plane: DataPlane | None = None,
) -> StoreServ:
    """Return a new array.

    Args:
        model: as the compatibility list spells it.
        pools: how many CPGs, named ``pool_a`` and so on.
        pool_bytes: size of each.
        limited: whether the CPGs have a growth limit, which is their size then.
        fabric: WWPNs of the FC initiators that are logged in.
        copy_seconds: how long a copy, a promote or a tune takes.
        portals: IP addresses of the iSCSI ports.
        fc_ports: WWPNs of the FC ports; four of its own by default.
        tagged: whether the portals are VLANs of their ports.
        first_lun: lowest LUN id that the array chooses and serves; the user-space iSCSI target keeps 0 to itself.
        last_lun: highest LUN id that it chooses.
        max_volumes: how many volumes and snapshots there may be.
        session_seconds: how long a key lives without being used.
        max_sessions: keys at the same time; the models' own numbers are in their profiles.
        closes: whether every answer ends its connection, as the real interface has it.
        rules_hold_sets: whether a volume set with a QoS rule cannot be deleted, as the guide has it; clients rely on the contrary.
        queries: whether a query selects; builds before 30201292 answer with every row.
        clock: seconds.
        data_plane: keeps the bytes; without one there are none.
    """
    options = Options(
        pools={f"pool_{chr(ord('a') + number)}": pool_bytes for number in range(pools)},
        fabric=tuple(wwpn.lower() for wwpn in (DEFAULT_FABRIC if fabric is None else fabric)),
        copy_seconds=copy_seconds,
        portals=tuple(portals),
        fc_ports=None if fc_ports is None else tuple(wwpn.lower() for wwpn in fc_ports),
        limited=limited,
        tagged=tagged,
        first_lun=first_lun,
        last_lun=last_lun,
        max_volumes=max_volumes,
        session_seconds=session_seconds,
        max_sessions=max_sessions,
        closes=closes,
        rules_hold_sets=rules_hold_sets,
        queries=queries,
    )
    if model not in PROFILES:
        raise ValueError(f"no such model: {model!r}; there is {', '.join(sorted(PROFILES))}")
    return StoreServ(model, options, data_plane or NoDataPlane(), clock)
