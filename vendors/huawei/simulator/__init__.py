"""The OceanStor at the wire, both generations, written from the protocol sheet alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from conformance.simulation.dataplane import DataPlane, NoDataPlane
from vendors.huawei.simulator.array import OceanStor, Options
from vendors.huawei.simulator.profiles import PROFILES

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
    initiator_post_binds: bool = True,
    initialising_seconds: float = 0.0,
    portals: Sequence[str] = ("127.0.0.11", "127.0.0.12"),
    fc_ports: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    data_plane: DataPlane | None = None,
) -> OceanStor:
    """Return a new array.

    Args:
        model: as the compatibility list spells it.
        pools: how many, named ``pool_a`` and so on.
        pool_bytes: size of each.
        fabric: WWPNs of the FC initiators that are logged in.
        copy_seconds: how long a copy, a revert or a migration takes.
        initiator_post_binds: whether a new iSCSI initiator is bound to the host that its first request names.
        initialising_seconds: how long a new LUN is not usable.
        portals: IP addresses of the iSCSI portals.
        fc_ports: WWPNs of the FC ports; four of its own by default.
        clock: seconds.
        data_plane: keeps the bytes; without one there are none.
    """
    options = Options(
        pools={f"pool_{chr(ord('a') + number)}": pool_bytes for number in range(pools)},
        fabric=tuple(wwpn.lower() for wwpn in (DEFAULT_FABRIC if fabric is None else fabric)),
        copy_seconds=copy_seconds,
        initiator_post_binds=initiator_post_binds,
        initialising_seconds=initialising_seconds,
        portals=tuple(portals),
        fc_ports=None if fc_ports is None else tuple(wwpn.lower() for wwpn in fc_ports),
    )
    if model not in PROFILES:
        raise ValueError(f"no such model: {model!r}; there is {', '.join(sorted(PROFILES))}")
    return OceanStor(model, options, data_plane or NoDataPlane(), clock)
