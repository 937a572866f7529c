"""The commands that need simulators and the suite: simulate, certify, grade, checks."""

from __future__ import annotations

import click


def register(root: click.Group) -> None:
    """Add the commands to the ``blockdrivers`` command."""
    from conformance.cli import certify, checks, grade, simulate  # noqa: PLC0415 - loaded when the root asks for commands

    for command in (simulate.simulate, certify.certify, grade.grade, checks.checks):
        root.add_command(command)
