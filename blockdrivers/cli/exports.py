"""``blockdrivers export``: which hosts may use which volumes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from blockdrivers.cli.base import (
    PROTOCOL_METAVAR,
    Group,
    State,
    pass_state,
    print_facts,
    print_table,
    protocol_argument,
    timeout_option,
)
from blockdrivers.cli.plain import plain
from blockdrivers.cli.volumes import done
from blockdrivers.errors import ConfigurationError
from blockdrivers.model import Chap, Export, Host, Protocol

CHAP_VARIABLE = "BLOCKDRIVERS_CHAP_SECRET"

protocol_option = click.option(
    "--protocol", type=protocol_argument, metavar=PROTOCOL_METAVAR, required=True, help="How the host reaches it."
)
snapshot_option = click.option("--snapshot", is_flag=True, help="ID is a snapshot's.")


def chap_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name CHAP credentials; `chap_of` reads them."""
    secret = click.option(
        "--chap-secret-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"File with the CHAP secret; by default {CHAP_VARIABLE} holds it. Never an argument: others can read those.",
    )
    return click.option("--chap-user", metavar="NAME", help="CHAP user name of the host.")(secret(command))


@click.group(cls=Group)
def export() -> None:
    """Let hosts use volumes, and take volumes away from them."""


@export.command()
@click.argument("volume_id", metavar="ID")
@click.option("--host", "name", required=True, metavar="NAME", help="What the host is called.")
@protocol_option
@click.option("--iqn", help="The host's iSCSI qualified name.")
@click.option("--wwpn", "wwpns", multiple=True, help="A WWPN of the host; may stand several times.")
@click.option("--address", "addresses", multiple=True, help="An IP address of the host, for NFS; may stand several times.")
@chap_options
@snapshot_option
@timeout_option
@pass_state
def create(
    state: State,
    *,
    volume_id: str,
    name: str,
    protocol: Protocol,
    iqn: str | None,
    wwpns: Sequence[str],
    addresses: Sequence[str],
    chap_user: str | None,
    chap_secret_file: Path | None,
    snapshot: bool,
    timeout: float | None,
) -> None:
    """Let a host use a volume; asked again, the same export is shown."""
    host = Host(name, iqn=iqn, wwpns=tuple(wwpns), addresses=tuple(addresses), chap=chap_of(chap_user, chap_secret_file))
    with state.open() as backend:
        made = backend.export(volume_id, host, protocol, snapshot=snapshot, timeout=timeout)
    state.answer(plain(made), lambda: _show(made))


@export.command("list")
@click.argument("volume_id", metavar="ID")
@snapshot_option
@timeout_option
@pass_state
def list_(state: State, volume_id: str, snapshot: bool, timeout: float | None) -> None:
    """List every export of a volume, to whatever host."""
    with state.open() as backend:
        found = backend.list_exports(volume_id, snapshot=snapshot, timeout=timeout)
    state.answer(
        plain(list(found)),
        lambda: print_table(
            ["host", "protocol", "lun", "wwn", "by way of"],
            [[item.host, item.protocol, item.lun, item.wwn, _ways(item)] for item in found],
            right=["lun"],
        ),
    )


@export.command()
@click.argument("volume_id", metavar="ID")
@click.option("--host", "name", required=True, metavar="NAME", help="What the host is called.")
@protocol_option
@click.option("--iqn", help="The host's iSCSI qualified name, for an array that knows initiators only.")
@click.option("--wwpn", "wwpns", multiple=True, help="So, too: a WWPN of the host; may stand several times.")
@snapshot_option
@timeout_option
@pass_state
def delete(
    state: State,
    *,
    volume_id: str,
    name: str,
    protocol: Protocol,
    iqn: str | None,
    wwpns: Sequence[str],
    snapshot: bool,
    timeout: float | None,
) -> None:
    """Take a volume away from a host; one that was not exported to it counts as taken away."""
    host = Host(name, iqn=iqn, wwpns=tuple(wwpns)) if iqn or wwpns else name
    with state.open() as backend:
        backend.unexport(volume_id, host, protocol, snapshot=snapshot, timeout=timeout)
    done(state, volume_id, f"not exported to {name} over {protocol}")


@export.command("remove-host")
@click.argument("name", metavar="HOST")
@timeout_option
@pass_state
def remove_host(state: State, name: str, timeout: float | None) -> None:
    """Remove a host object that has no exports from the array."""
    with state.open() as backend:
        backend.remove_host(name, timeout=timeout)
    done(state, name, "removed")


def chap_of(user: str | None, secret_file: Path | None) -> Chap | None:
    """Return the credentials that were named, or None; raise `ConfigurationError` where the secret cannot be had."""
    if user is None:
        if secret_file is not None:
            raise click.UsageError("--chap-secret-file needs --chap-user.")
        return None
    if secret_file is None:
        secret = os.environ.get(CHAP_VARIABLE, "")
    else:
        try:
            secret = secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as trouble:
            raise ConfigurationError(f"{secret_file}: the CHAP secret cannot be read: {trouble}.") from None
    if not secret:
        raise ConfigurationError(f"There is no CHAP secret for {user!r}: give --chap-secret-file FILE or set {CHAP_VARIABLE}.")
    return Chap(user, secret)


def _ways(item: Export) -> str:
    targets = [f"{target.iqn} at {target.portal}" for target in item.targets]
    return ", ".join([*targets, *item.wwpns, *([item.location] if item.location else [])])


def _show(item: Export) -> None:
    facts: list[tuple[str, object]] = [
        ("volume on the array", item.volume),
        ("host", item.host),
        ("protocol", item.protocol),
        ("lun", item.lun),
        ("wwn", item.wwn),
    ]
    facts += [("target", f"{target.iqn} at {target.portal}") for target in item.targets]
    facts += [("target port", wwpn) for wwpn in item.wwpns]
    facts += [(f"path from {initiator}", ", ".join(reached)) for initiator, reached in item.paths.items()]
    if item.location:
        facts.append(("location", item.location))
    if item.chap:
        facts.append(("chap user", item.chap.username))
    print_facts(facts)
