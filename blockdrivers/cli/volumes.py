"""``blockdrivers volume``: volumes on an array."""

from __future__ import annotations

from collections.abc import Sequence

import click

from blockdrivers.cli.base import Group, State, pass_state, print_facts, print_table, timeout_option, working
from blockdrivers.cli.plain import plain
from blockdrivers.cli.sizes import format_size, size_argument
from blockdrivers.model import QOS_KEYS, Qos, Volume

thin_option = click.option("--thin/--thick", default=None, help="Provisioning; by default the source's, or thin.")
of_volume_option = click.option(
    "--of-volume", metavar="ID", help="The snapshot's volume; needed where the array cannot look snapshots up."
)
pool_option = click.option("--pool", metavar="POOL", help="Pool by name.")


def limit_argument(text: str) -> tuple[str, int]:
    """Convert one limit, such as ``total_iops=2000``, to its name and number."""
    key, _, number = text.partition("=")
    if key not in QOS_KEYS or not (number.isascii() and number.isdigit()):
        raise click.BadParameter(f"{text!r} is not a limit; write NAME=NUMBER with a name of {', '.join(QOS_KEYS)}.")
    return key, int(number)


@click.group(cls=Group)
def volume() -> None:
    """Create, list, extend, clone, revert, limit, move and delete volumes."""


@volume.command()
@click.argument("volume_id", metavar="ID")
@click.option("--size", type=size_argument, metavar="SIZE", required=True, help="Such as 10GiB.")
@click.option("--pool", required=True, metavar="POOL", help="Pool by name.")
@thin_option
@click.option("--qos", "limits", type=limit_argument, multiple=True, metavar="NAME=NUMBER", help="A limit; may be repeated.")
@timeout_option
@pass_state
def create(
    state: State,
    *,
    volume_id: str,
    size: int,
    pool: str,
    thin: bool | None,
    limits: Sequence[tuple[str, int]],
    timeout: float | None,
) -> None:
    """Make an empty volume; asked again, the same one is shown."""
    qos = Qos(**dict(limits)) if limits else None
    with state.open() as backend:
        show_volume(state, backend.create_volume(volume_id, size, pool, thin=thin, qos=qos, timeout=timeout))


@volume.command()
@click.argument("volume_id", metavar="ID")
@timeout_option
@pass_state
def show(state: State, volume_id: str, timeout: float | None) -> None:
    """Show a volume as it is now."""
    with state.open() as backend:
        show_volume(state, backend.get_volume(volume_id, timeout=timeout))


@volume.command("list")
@click.option("--foreign", is_flag=True, help="Also volumes that this library did not name.")
@timeout_option
@pass_state
def list_(state: State, foreign: bool, timeout: float | None) -> None:
    """List volumes."""
    with state.open() as backend:
        found = backend.list_volumes(foreign=foreign, timeout=timeout)
    state.answer(
        plain(list(found)),
        lambda: print_table(
            ["id", "name", "size", "pool", "state", "health", "wwn"],
            [[item.volume_id, item.name, format_size(item.size), item.pool, item.state, item.health, item.wwn] for item in found],
            right=["size"],
        ),
    )


@volume.command()
@click.argument("volume_id", metavar="ID")
@click.option("--size", type=size_argument, metavar="SIZE", required=True, help="The new size in all, such as 20GiB.")
@timeout_option
@pass_state
def extend(state: State, volume_id: str, size: int, timeout: float | None) -> None:
    """Grow a volume on line."""
    with state.open() as backend:
        show_volume(state, backend.extend_volume(volume_id, size, timeout=timeout))


@volume.command()
@click.argument("volume_id", metavar="ID")
@click.option("--force", is_flag=True, help="Take it away from every host first; snapshots are never deleted with it.")
@timeout_option
@pass_state
def delete(state: State, volume_id: str, force: bool, timeout: float | None) -> None:
    """Delete a volume; an absent one counts as deleted."""
    with state.open() as backend:
        backend.delete_volume(volume_id, force=force, timeout=timeout)
    done(state, volume_id, "deleted")


@volume.command()
@click.argument("volume_id", metavar="ID")
@click.option("--source", required=True, metavar="ID", help="The volume to copy.")
@click.option("--size", type=size_argument, metavar="SIZE", help="By default the source's.")
@pool_option
@thin_option
@timeout_option
@pass_state
def clone(
    state: State, *, volume_id: str, source: str, size: int | None, pool: str | None, thin: bool | None, timeout: float | None
) -> None:
    """Make an independent copy of a volume; a repeat completes a cut-off one."""
    with state.open() as backend, working(f"Copying {source}"):
        made = backend.clone_volume(volume_id, source, size=size, pool=pool, thin=thin, timeout=timeout)
    show_volume(state, made)


@volume.command("from-snapshot")
@click.argument("volume_id", metavar="ID")
@click.option("--snapshot", "source", required=True, metavar="ID", help="The snapshot to copy.")
@click.option("--size", type=size_argument, metavar="SIZE", help="By default the snapshot's.")
@click.option("--pool", required=True, metavar="POOL", help="Pool by name.")
@thin_option
@of_volume_option
@timeout_option
@pass_state
def from_snapshot(
    state: State,
    *,
    volume_id: str,
    source: str,
    size: int | None,
    pool: str,
    thin: bool | None,
    of_volume: str | None,
    timeout: float | None,
) -> None:
    """Make an independent volume with the bytes of a snapshot."""
    with state.open() as backend, working(f"Copying {source}"):
        made = backend.create_volume_from_snapshot(
            volume_id, source, size=size, pool=pool, thin=thin, of_volume=of_volume, timeout=timeout
        )
    show_volume(state, made)


@volume.command()
@click.argument("volume_id", metavar="ID")
@click.option("--snapshot", "source", required=True, metavar="ID", help="One of the volume's snapshots.")
@click.option("--force", is_flag=True, help="Although it is exported: its hosts have let go of it.")
@timeout_option
@pass_state
def revert(state: State, volume_id: str, source: str, force: bool, timeout: float | None) -> None:
    """Put a volume back to one of its snapshots."""
    with state.open() as backend, working(f"Reverting {volume_id}"):
        reverted = backend.revert_volume(volume_id, source, force=force, timeout=timeout)
    show_volume(state, reverted)


@volume.command()
@click.argument("volume_id", metavar="ID")
@click.argument("limits", type=limit_argument, nargs=-1, metavar="[NAME=NUMBER]...")
@click.option("--none", "remove", is_flag=True, help="Take every limit away.")
@timeout_option
@pass_state
def qos(state: State, volume_id: str, limits: Sequence[tuple[str, int]], remove: bool, timeout: float | None) -> None:
    """Put exactly these limits on a volume; without any, show those that it has."""
    if remove and limits:
        raise click.UsageError("--none takes every limit away; give no limits with it.")
    with state.open() as backend:
        if limits or remove:
            backend.set_qos(volume_id, Qos(**dict(limits)), timeout=timeout)
            current = Qos(**dict(limits))
        else:
            current = backend.get_qos(volume_id, timeout=timeout)
    state.answer(current.as_dict(), lambda: print_facts(list(current.as_dict().items()) or [("limits", "none")]))


@volume.command()
@click.argument("volume_id", metavar="ID")
@pool_option
@thin_option
@timeout_option
@pass_state
def retype(state: State, volume_id: str, pool: str | None, thin: bool | None, timeout: float | None) -> None:
    """Move a volume to another pool or provisioning, on line where the array can."""
    if pool is None and thin is None:
        raise click.UsageError("Say where to: --pool, --thin or --thick.")
    with state.open() as backend, working(f"Moving {volume_id}"):
        moved = backend.retype_volume(volume_id, pool=pool, thin=thin, timeout=timeout)
    show_volume(state, moved)


@volume.command()
@click.argument("volume_id", metavar="ID")
@click.option("--name", required=True, metavar="NAME", help="Its present name on the array.")
@timeout_option
@pass_state
def manage(state: State, volume_id: str, name: str, timeout: float | None) -> None:
    """Take over a volume that exists on the array under another name."""
    with state.open() as backend:
        show_volume(state, backend.manage_volume(volume_id, name, timeout=timeout))


@volume.command()
@click.argument("volume_id", metavar="ID")
@click.option("--name", required=True, metavar="NAME", help="Its name on the array from now on.")
@timeout_option
@pass_state
def unmanage(state: State, volume_id: str, name: str, timeout: float | None) -> None:
    """Give a volume up under another name; its bytes and exports stay."""
    with state.open() as backend:
        show_volume(state, backend.unmanage_volume(volume_id, name, timeout=timeout))


def done(state: State, subject: str, what: str) -> None:
    """Say that something was done that leaves nothing to show."""
    state.answer({"id": subject, "result": what}, lambda: print_facts([(subject, what)]))


def show_volume(state: State, item: Volume) -> None:
    """Answer with a volume."""
    state.answer(
        plain(item),
        lambda: print_facts(
            [
                ("id", item.volume_id),
                ("name on the array", item.name),
                ("array id", item.id),
                ("size", f"{format_size(item.size)} ({item.size} bytes)"),
                ("pool", item.pool),
                ("provisioning", "thin" if item.thin else "thick"),
                ("state", item.state),
                ("health", item.health),
                ("wwn", item.wwn),
                ("dependants", ", ".join(sorted(item.dependants))),
            ]
        ),
    )
