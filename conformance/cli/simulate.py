"""``blockdrivers simulate``: serve one array to any client until it is ended."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blockdrivers.cli.base import PROTOCOL_METAVAR, Command, protocol_argument
from blockdrivers.errors import InvalidRequest
from blockdrivers.plugins import find_model

if TYPE_CHECKING:
    from conformance.simulation.fc.fabric import FcTarget


@click.command(cls=Command)
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the management interface listens at.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Its port; a free one where 0.")
@click.option("--protocol", metavar=PROTOCOL_METAVAR, help="Refuse to start where the family does not serve this protocol.")
@click.option("--no-tls", is_flag=True, help="Plain HTTP.")
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, metavar="MS", help="What every request takes longer.")
@click.option(
    "--fabric", metavar="WWPN,...", help="FC initiators that the array sees logged in; a default test host's otherwise."
)
@click.option(
    "--portals", metavar="IP,...", help="Addresses of this machine for the iSCSI portals; two of the loopback network otherwise."
)
@click.option("--fc-target", metavar="URL", help="Serve the LUNs over FC as well, by the FC target service there.")
@click.option("--fc-ports", metavar="WWPN,...", help="The service's target ports that are this array's, first of controller A.")
@click.option(
    "--luns-folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Where the bytes are kept: the folder that the FC target service sees too.",
)
@click.option("--no-data", is_flag=True, help="Keep no bytes behind the LUNs and open no iSCSI portals.")
@click.option("--die-with-parent", is_flag=True, help="End when the process that started this one ends.")
def simulate(
    model: str,
    host: str,
    port: int,
    protocol: str | None,
    no_tls: bool,
    latency: float,
    fabric: str | None,
    portals: str | None,
    fc_target: str | None,
    fc_ports: str | None,
    luns_folder: Path | None,
    no_data: bool,
    die_with_parent: bool,
) -> None:
    """Serve the management interface of one simulated array, and its LUNs over iSCSI and FC.

    Prints one JSON line when clients can connect (addresses, credentials, CA, pools, ports, control API) and serves until SIGTERM
    or Ctrl-C. Where Debian's tgt is missing there are no bytes behind the LUNs; the line says so.
    """
    from conformance.simulation.opening import open_array  # noqa: PLC0415 - help needs no simulator
    from conformance.simulation.server import run_forever  # noqa: PLC0415

    adapter = find_model(model)
    if protocol is not None and protocol_argument(protocol) not in adapter.protocols:
        served = ", ".join(sorted(adapter.protocols))
        raise InvalidRequest(f"{model} does not serve {protocol}; it serves {served}.")
    options: dict[str, Any] = {} if fabric is None else {"fabric": _listed(fabric)}
    if portals is not None:
        options["portals"] = _addresses(portals)
    fc = _fc(fc_target, fc_ports, luns_folder)
    array = open_array(
        adapter, model, host=host, port=port, tls=not no_tls, latency_ms=latency, data=not no_data, fc=fc, **options
    )
    run_forever(array, sys.stdout, die_with_parent=die_with_parent)


def _addresses(text: str) -> list[str]:
    try:
        return [str(ipaddress.IPv4Address(one.strip())) for one in text.split(",")]
    except ValueError as malformed:
        raise InvalidRequest(f"--portals takes IPv4 addresses with commas in between: {malformed}.") from None


def _fc(url: str | None, ports: str | None, folder: Path | None) -> FcTarget | None:
    """Return where the LUNs are served over FC; None where nowhere."""
    from conformance.simulation.fc.fabric import FcTarget  # noqa: PLC0415 - help needs no simulator

    if url is None and ports is None and folder is None:
        return None
    if url is None or ports is None or folder is None:
        raise InvalidRequest("--fc-target, --fc-ports and --luns-folder go together: give all three or none.")
    return FcTarget(url, tuple(_listed(ports)), folder)


def _listed(text: str) -> list[str]:
    return [item.lower() for item in text.split(",") if item]
