"""``blockdrivers sweep``: what abandoned operations left on the array."""

from __future__ import annotations

import click

from blockdrivers.cli.base import Command, State, pass_state, print_table, timeout_option, working
from blockdrivers.cli.plain import plain


@click.command(cls=Command)
@click.option("--remove", is_flag=True, help="Remove them; only while no other process works on this array.")
@timeout_option
@pass_state
def sweep(state: State, remove: bool, timeout: float | None) -> None:
    """List what abandoned operations left on the array, and with --remove remove it."""
    with state.open() as backend, working("Removing leftovers" if remove else "Looking for leftovers"):
        found = backend.sweep(remove=remove, timeout=timeout)

    def show() -> None:
        if found:
            print_table(["kind", "array id", "name", "why"], [[item.kind, item.id, item.name, item.reason] for item in found])
        verb = "were removed" if remove else "were found"
        click.echo(f"{len(found)} leftovers {verb}.")

    state.answer({"removed": remove, "leftovers": plain(list(found))}, show)
