"""The ACS5000 at the wire, written from the protocol sheet alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from conformance.simulation.dataplane import DataPlane, NoDataPlane
from vendors.toyou.simulator.array import Acs5000, Options

TiB = 1024**4


def build(
    model: str,
    *,
    pools: int = 2,
    pool_bytes: int = 100 * TiB,
    thick_pools: Collection[str] = (),
    fabric: Sequence[str] | None = None,
    copy_seconds: float = 0.15,
    initialising_seconds: float = 0.0,
    targets_are_volumes: bool = False,
    portals: Sequence[str] = ("127.0.0.11", "127.0.0.12"),
    fc_ports: Sequence[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    data_plane: DataPlane | None = None,
) -> Acs5000:
    """Return a new array.

    Args:
        model: ``ACS5000``.
        pools: how many, named ``pool_a`` and so on.
        pool_bytes: size of each.
        thick_pools: names of those that have thin provisioning switched off.
        fabric: taken and not used: this array does not tell which FC initiators it sees.
        copy_seconds: how long a copy or a revert takes.
        initialising_seconds: how long a new volume is Initiating.
        targets_are_volumes: maps and snapshots of a clone's target are made, and not refused.
        portals: IP addresses of the iSCSI ports, of both controllers in turn.
        fc_ports: WWPNs of the FC ports, of both controllers in turn; four of its own by default.
        clock: seconds.
        data_plane: keeps the bytes; without one there are none.
    """
    del fabric
    if model != "ACS5000":
        raise ValueError(f"no such model: {model!r}; there is ACS5000")
    options = Options(
        pools={f"pool_{chr(ord('a') + number)}": pool_bytes for number in range(pools)},
        thick_pools=frozenset(thick_pools),
        copy_seconds=copy_seconds,
        initialising_seconds=initialising_seconds,
        targets_are_volumes=targets_are_volumes,
        portals=tuple(portals),
        fc_ports=None if fc_ports is None else tuple(wwpn.lower() for wwpn in fc_ports),
    )
    return Acs5000(options, data_plane or NoDataPlane(), clock)
