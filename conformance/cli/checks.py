"""``blockdrivers checks``: what the suite checks."""

from __future__ import annotations

import click

from blockdrivers.cli.base import Command, State, pass_state, print_table


@click.command(cls=Command)
@click.option("--select", metavar="CHECKS", help="Comma-separated ids, leading parts of ids, or levels.")
@pass_state
def checks(state: State, select: str | None) -> None:
    """List every check: id, level, and the promise that it proves."""
    from conformance.runner import all_checks  # noqa: PLC0415 - loads pytest and the suite
    from conformance.suite.declare import selected  # noqa: PLC0415

    found = [check for check in all_checks() if selected(check, select)]
    plain = [
        {
            "id": check.id,
            "level": check.level.value,
            "title": check.title,
            "title_zh": check.title_zh,
            "requirement": check.requirement,
        }
        for check in found
    ]
    rows = [(check.id, check.level.value, check.requirement) for check in found]
    state.answer(plain, lambda: print_table(("check", "level", "proves"), rows))
