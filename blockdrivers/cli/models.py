"""``blockdrivers models``: the compatibility list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from blockdrivers.cli.base import PROTOCOL_METAVAR, Command, State, pass_state, print_table, protocol_argument
from blockdrivers.model import Protocol

if TYPE_CHECKING:
    from blockdrivers.matrix import Row

matrix_option = click.option(
    "--matrix",
    "matrix_file",
    type=click.Path(path_type=Path),
    envvar="BLOCKDRIVERS_MATRIX",
    metavar="FILE",
    help="Another compatibility list [env: BLOCKDRIVERS_MATRIX].",
)


@click.command(cls=Command)
@click.option("--vendor", metavar="NAME", help="Only this vendor's; part of its name will do, in English or Chinese.")
@click.option("--protocol", type=protocol_argument, metavar=PROTOCOL_METAVAR, help="Only those listed over this protocol.")
@click.option("--class", "granted", type=click.Choice(["A", "B", "C"], case_sensitive=False), help="Only those of this class.")
@matrix_option
@pass_state
def models(state: State, vendor: str | None, protocol: Protocol | None, granted: str | None, matrix_file: Path | None) -> None:
    """List the array models: class per protocol, and the adapter that serves them."""
    from blockdrivers import matrix  # noqa: PLC0415 - only here the list is read

    wanted = None if granted is None else matrix.ModelClass(granted.upper())
    rows = matrix.load(matrix_file).select(vendor=vendor, protocol=protocol, granted=wanted)
    state.answer([row.as_dict() for row in rows], lambda: _show(rows))


def _show(rows: Sequence[Row]) -> None:
    columns = [protocol.label for protocol in Protocol]
    print_table(
        ["row", "vendor", "厂商", "model", *columns, "adapter"],
        [
            [
                row.row,
                row.vendor,
                row.vendor_zh,
                row.model,
                *(row.classes[protocol].value if protocol in row.classes else "" for protocol in Protocol),
                row.served_by,
            ]
            for row in rows
        ],
        right=["row"],
    )
