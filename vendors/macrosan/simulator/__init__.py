"""The MacroSAN MS series at the wire, written from the protocol sheet alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from conformance.simulation.dataplane import DataPlane, NoDataPlane
from vendors.macrosan.simulator.array import MODELS, MacroSan, Options

DEFAULT_FABRIC = ("21000024ff000001", "21000024ff000002", "21000024ff000003", "21000024ff000004")
"""The FC ports of two test hosts, two each."""

TiB = 1024**4


def build(
    model: str,
    *,
    pools: int = 4,
    pool_bytes: int = 100 * TiB,
    fabric: Sequence[str] | None = None,
    switched: bool = False,
    copy_seconds: float = 0.15,
    portals: Sequence[str] = ("127.0.0.11", "127.0.0.12"),
    fc_ports: Sequence[str] | None = None,
    targets_made: bool = True,
    states: tuple[str, str] = ("double", "double"),
    first_lun: int = 1,
    clock: Callable[[], float] = time.monotonic,
    data_plane: DataPlane | None = None,
) -> MacroSan:
    """Return a new array.

    Args:
        model: as the compatibility list spells it.
        pools: how many, named ``pool_a`` and so on, of two RAID sets each.
        pool_bytes: size of each.
        fabric: WWPNs of the FC initiators that are logged in; the first is plugged into the first port, and so on.
        switched: whether they come through a switch instead: then the ports do not tell whom they see.
        copy_seconds: how long a copy takes.
        portals: IP addresses of the iSCSI ports.
        fc_ports: WWPNs of the FC ports; four of its own by default.
        targets_made: whether the ports have targets; as delivered, they have not.
        states: HA state of SP1 and SP2.
        first_lun: lowest LUN id that is offered; the user-space iSCSI target keeps 0 to itself.
        clock: seconds.
        data_plane: keeps the bytes; without one there are none.
    """
    options = Options(
        pools={f"pool_{chr(ord('a') + number)}": pool_bytes for number in range(pools)},
        fabric=tuple(wwpn.lower() for wwpn in (DEFAULT_FABRIC if fabric is None else fabric)),
        switched=switched,
        copy_seconds=copy_seconds,
        portals=tuple(portals),
        fc_ports=None if fc_ports is None else tuple(wwpn.lower() for wwpn in fc_ports),
        targets_made=targets_made,
        states=states,
        first_lun=first_lun,
    )
    if model not in MODELS:
        raise ValueError(f"no such model: {model!r}; there is {', '.join(MODELS)}")
    return MacroSan(model, options, data_plane or NoDataPlane(), clock)
