"""``blockdrivers doctor``: what stands between this machine and working volumes, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from blockdrivers.cli.base import Command, State, pass_state, printable, working
from blockdrivers.findings import Finding, Status

_MARKS = {Status.OK: "ok     ", Status.WARN: "warn   ", Status.FAIL: "FAIL   ", Status.UNKNOWN: "unknown"}


@click.command(cls=Command)
@click.option(
    "--host",
    "of_host",
    is_flag=True,
    help="Look at this machine as a host instead: stale devices, dead paths, what is left over.",
)
@click.option("--host-name", metavar="NAME", help="With --host: what the array calls this machine; its host name otherwise.")
@pass_state
def doctor(state: State, *, of_host: bool, host_name: str | None) -> int:
    """Look at reachability, TLS, credentials, health, licences, pools, ports and initiators of a backend.

    With --host, look at this machine's devices, as root: those that are stale or have lost their LUN, dead paths, maps, sessions and mounts
    that nothing needs and, where a configuration is given, exports to this machine without a device.

    Each finding says what was seen and what to do. Exit status 1 when something fails.
    """
    with working("Looking"):
        findings = list(_examine_host(state, host_name) if of_host else _examine(state))

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


def _examine_host(state: State, name: str | None) -> Iterator[Finding]:
    from blockdrivers.host import facts, survey  # noqa: PLC0415 - only who asks for it pays for it

    yield from survey.machine()
    if state.config is None:
        yield Finding("exports", name or facts.name(), Status.UNKNOWN, "not looked at: no configuration is given")
        return
    with state.open() as backend:
        yield from survey.exports(backend, name or facts.name())
