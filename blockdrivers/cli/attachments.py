"""``blockdrivers attach``, ``detach`` and ``refresh``: volumes on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from blockdrivers.cli.base import PROTOCOL_METAVAR, Command, State, pass_state, print_facts, protocol_argument, timeout_option
from blockdrivers.cli.exports import chap_of, chap_options
from blockdrivers.cli.plain import plain
from blockdrivers.cli.sizes import format_size
from blockdrivers.cli.volumes import done
from blockdrivers.model import Attachment, Host, Protocol


def attachment_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every command on an attachment takes."""
    options = (
        click.argument("volume_id", metavar="ID"),
        click.option(
            "--protocol", type=protocol_argument, metavar=PROTOCOL_METAVAR, required=True, help="How the volume is reached."
        ),
        click.option("--host", "name", metavar="NAME", help="What the array is to call this machine; its host name otherwise."),
        click.option("--multipath/--no-multipath", default=None, help="Use every path; by default where multipathd answers."),
        timeout_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=Command)
@attachment_options
@click.option("--iqn", help="This machine's iSCSI qualified name; its own otherwise.")
@click.option("--wwpn", "wwpns", multiple=True, help="Use these FC ports of this machine only; may stand several times.")
@click.option("--address", "addresses", multiple=True, help="Addresses of this machine for NFS; its own otherwise.")
@chap_options
@click.option("--snapshot", is_flag=True, help="ID is a snapshot's.")
@pass_state
def attach(
    state: State,
    *,
    volume_id: str,
    protocol: Protocol,
    name: str | None,
    multipath: bool | None,
    iqn: str | None,
    wwpns: Sequence[str],
    addresses: Sequence[str],
    chap_user: str | None,
    chap_secret_file: Path | None,
    snapshot: bool,
    timeout: float | None,
) -> None:
    """Export volume ID to this machine, connect it, and show its device once that is proven to be the volume. Needs root."""
    from blockdrivers.host import facts  # noqa: PLC0415 - only who attaches pays for it

    own = facts.this_host(name).host
    host = Host(
        own.name,
        iqn=iqn or own.iqn,
        wwpns=tuple(wwpns) or own.wwpns,
        nqn=own.nqn,
        addresses=tuple(addresses) or own.addresses,
        chap=chap_of(chap_user, chap_secret_file),
    )
    with state.open() as backend:
        made = backend.attach(volume_id, protocol, host, multipath=multipath, snapshot=snapshot, timeout=timeout)
    state.answer(plain(made), lambda: _show(made))


@click.command(cls=Command)
@attachment_options
@click.option("--snapshot", is_flag=True, help="ID is a snapshot's.")
@click.option("--force", is_flag=True, help="For dead paths: what cannot be written is lost.")
@pass_state
def detach(
    state: State,
    *,
    volume_id: str,
    protocol: Protocol,
    name: str | None,
    multipath: bool | None,
    snapshot: bool,
    force: bool,
    timeout: float | None,
) -> None:
    """Write out and remove the devices of volume ID, then unexport it; refused while somebody uses it. Needs root."""
    with state.open() as backend:
        backend.detach(volume_id, protocol, name, multipath=multipath, snapshot=snapshot, force=force, timeout=timeout)
    done(state, volume_id, "detached")


@click.command(cls=Command)
@attachment_options
@pass_state
def refresh(
    state: State, *, volume_id: str, protocol: Protocol, name: str | None, multipath: bool | None, timeout: float | None
) -> None:
    """Let this machine see the present size of the attached volume ID, without interrupting its use. Needs root."""
    with state.open() as backend:
        made = backend.refresh_attachment(volume_id, protocol, name, multipath=multipath, timeout=timeout)
    state.answer(plain(made), lambda: _show(made))


def _show(made: Attachment) -> None:
    facts: list[tuple[str, object]] = [("path", made.path), ("size", format_size(made.size)), ("protocol", made.protocol)]
    facts += [("wwn", made.wwn)] if made.wwn else []
    for way in made.paths:
        at = f" at {way.address}" if way.address else ""
        facts.append(("by way of", f"{way.device}: LUN {way.lun} of {way.target}{at}"))
    facts += [("seconds", ", ".join(f"{part} {seconds:.2f}" for part, seconds in made.seconds.items()))] if made.seconds else []
    print_facts(facts)
