"""A simulated array of an adapter's model, with its bytes where this machine can keep and serve them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import Protocol
from blockdrivers.plugins import Adapter, served_model, spelled
from conformance.simulation.dataplane import ServedPlane
from conformance.simulation.fc.fabric import Fabric, FcTarget
from conformance.simulation.fc.plane import FcPlane
from conformance.simulation.iscsi import plane
from conformance.simulation.nfs import ganesha
from conformance.simulation.server import SimulatedArray

BACKEND = "simulated"
"""What `write_config` calls its backend."""


def open_array(
    adapter: Adapter,
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: bool = True,
    latency_ms: float = 0.0,
    data: bool = True,
    portals: Sequence[str] | None = None,
    fc: FcTarget | None = None,
    **options: Any,
) -> SimulatedArray:
    """Return an array that is to be started.

    Args:
        adapter: whose simulator it is.
        model: in any spelling of the adapter's models.
        host, port, tls, latency_ms: see `SimulatedArray`.
        data: False leaves the bytes away.
        portals: IPv4 addresses of its iSCSI portals; of its own choice where None.
        fc: serves the LUNs over FC as well; the array's FC ports are those of the target.
        options: for the simulator.
    """
    build = adapter.load_simulator()
    serves = data and Protocol.ISCSI in adapter.protocols and plane.missing() is None
    if fc is not None and not serves:
        raise InvalidRequest(f"LUNs are served over FC only where there are bytes behind them. {plane.missing() or ''}".rstrip())
    bytes_of: ServedPlane | None = None
    if serves:
        iscsi = plane.IscsiPlane(portals, fc.share if fc else None)
        bytes_of = _with_fc(iscsi, fc) if fc else iscsi
        options |= {"data_plane": bytes_of, "portals": iscsi.addresses} | ({"fc_ports": fc.ports} if fc else {})
    elif portals is not None:
        options["portals"] = portals
    serves_files = data and Protocol.NFS in adapter.protocols and ganesha.missing() is None
    if serves_files:
        options["nfs"] = ganesha.free_address()
    nfs: ganesha.NfsServer | None = None
    try:
        family = build(_spelled(model, adapter.models), **options)
        if serves_files:
            nfs = ganesha.NfsServer(family.files_folder, family.nfs_exports, options["nfs"])
            family.enforce(nfs.admit)
        return SimulatedArray(family, host=host, port=port, tls=tls, latency_ms=latency_ms, plane=bytes_of, nfs=nfs)
    except BaseException:
        if nfs is not None:
            nfs.close()
        if bytes_of is not None:
            bytes_of.close()
        raise


def write_config(
    folder: Path,
    adapter: Adapter,
    ready: Mapping[str, Any],
    *,
    timeouts: Mapping[str, float] | None = None,
    protocol: Protocol | None = None,
) -> Path:
    """Write a configuration file with one backend, `BACKEND`, for a simulated array; return where.

    Args:
        folder: where ``backends.yaml`` is made, readable by its owner only.
        adapter: that drives the array.
        ready: what the array tells clients (`SimulatedArray.ready`); its ``options`` are what a backend of the family needs besides.
        timeouts: of the backend, in seconds; its defaults where None.
        protocol: what volumes are to be exported over, where that takes another backend: ``options_for`` of `ready`.
    """
    of_protocol = ready.get("options_for", {}).get(protocol, {})
    entry = {
        "adapter": adapter.name,
        "timeouts": dict(timeouts or {}),
        "options": {**reaching(ready), **ready.get("options", {}), **of_protocol},
    }
    config = folder / "backends.yaml"
    descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump({"backends": {BACKEND: entry}}, file)
    return config


def reaching(ready: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by which a backend reaches a simulated array at its first door, over HTTP(S) or SSH: addresses, login, trust."""
    ways = [ready["management"], ready["management2"]]
    login = {name: ways[0][name] for name in ("username", "password")}
    if ways[0]["protocol"] == "ssh":
        addresses = [f"{way['host']}:{way['port']}" for way in ways]
        return {"addresses": addresses, **login, "host_keys": {"keys": [way["host_key"] for way in ways]}}
    return {"addresses": [way["url"] for way in ways], **login, "tls": {"ca_file": ways[0]["ca_file"]}}


def _with_fc(iscsi: plane.IscsiPlane, target: FcTarget) -> FcPlane:
    try:
        return FcPlane(iscsi, Fabric(target))
    except BaseException:
        iscsi.close()
        raise


def _spelled(model: str, models: tuple[str, ...]) -> str:
    """Return the model as its adapter spells it."""
    return spelled(model, models) or served_model(model)[1]
