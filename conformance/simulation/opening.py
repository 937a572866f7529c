"""A simulated array of an adapter's model, with its bytes where this machine can keep and serve them."""

from __future__ import annotations

from typing import Any

from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter
from conformance.simulation.iscsi import plane
from conformance.simulation.server import SimulatedArray


def open_array(
    adapter: Adapter,
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: bool = True,
    latency_ms: float = 0.0,
    data: bool = True,
    **options: Any,
) -> SimulatedArray:
    """Return an array that is to be started.

    Args:
        adapter: whose simulator it is.
        model: in any spelling of the adapter's models.
        host, port, tls, latency_ms: see `SimulatedArray`.
        data: False leaves the bytes away.
        options: for the simulator.
    """
    build = adapter.load_simulator()
    serves = data and Protocol.ISCSI in adapter.protocols and plane.missing() is None
    bytes_of = plane.IscsiPlane() if serves else None
    if bytes_of is not None:
        options |= {"data_plane": bytes_of, "portals": bytes_of.addresses}
    try:
        family = build(_spelled(model, adapter.models), **options)
        return SimulatedArray(family, host=host, port=port, tls=tls, latency_ms=latency_ms, plane=bytes_of)
    except BaseException:
        if bytes_of is not None:
            bytes_of.close()
        raise


def _spelled(model: str, models: tuple[str, ...]) -> str:
    """Return the model as the compatibility list spells it."""
    folded = "".join(model.split()).casefold()
    return next(known for known in models if "".join(known.split()).casefold() == folded)
