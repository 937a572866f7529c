"""``blockdrivers doctor``: what stands between this machine and working volumes, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from blockdrivers.cli.base import Command, State, pass_state, printable, working
from blockdrivers.cli.reach import Finding, Status

_MARKS = {Status.OK: "ok     ", Status.WARN: "warn   ", Status.FAIL: "FAIL   ", Status.UNKNOWN: "unknown"}


@click.command(cls=Command)
@pass_state
def doctor(state: State) -> int:
    """Look at reachability, TLS, credentials, health, licences, pools, ports and initiators of a backend.

    Each finding says what was seen and what to do. Exit status 1 when something fails.
    """
    with working("Looking"):
        findings = list(_examine(state))

    def show() -> None:
        for finding in findings:
            click.echo(f"{_MARKS[finding.status]}  {finding.check}: {printable(finding.subject)}: {printable(finding.saw)}")
            if finding.advice and finding.status is not Status.OK:
                click.echo(f"         -> {finding.advice}")
        failed = sum(finding.status is Status.FAIL for finding in findings)
        click.echo(f"{len(findings)} findings, {failed} failed.")

    plain = [
        {
            "check": finding.check,
            "subject": finding.subject,
            "status": finding.status.value,
            "saw": finding.saw,
            "advice": finding.advice,
        }
        for finding in findings
    ]
    state.answer(plain, show)
    return 1 if any(finding.status is Status.FAIL for finding in findings) else 0


def _examine(state: State) -> Iterator[Finding]:
    from blockdrivers.cli import diagnosis, reach  # noqa: PLC0415 - help needs no TLS
    from blockdrivers.config import load, open_backend  # noqa: PLC0415

    configuration = load(state.config_file)
    config = configuration.backend(state.backend)
    options = config.options.model_dump(mode="json")
    for endpoint in reach.endpoints(options):
        yield from reach.look(endpoint, reach.trust(options))
    with open_backend(configuration, config.name) as backend:
        yield from diagnosis.examine(backend)
