"""``blockdrivers snapshot``: snapshots on an array."""

from __future__ import annotations

from collections.abc import Sequence

import click

from blockdrivers.cli.base import Group, State, pass_state, print_facts, print_table, timeout_option
from blockdrivers.cli.plain import plain
from blockdrivers.cli.sizes import format_size
from blockdrivers.cli.volumes import done, of_volume_option
from blockdrivers.model import Snapshot


@click.group(cls=Group)
def snapshot() -> None:
    """Take, list and delete snapshots."""


@snapshot.command()
@click.argument("snapshot_id", metavar="ID")
@click.option("--volume", "volume_id", required=True, metavar="ID", help="The volume to take it of.")
@timeout_option
@pass_state
def create(state: State, snapshot_id: str, volume_id: str, timeout: float | None) -> None:
    """Take a snapshot; asked again, the same one is shown."""
    with state.open() as backend:
        _answer(state, backend.create_snapshot(snapshot_id, volume_id, timeout=timeout))


@snapshot.command()
@click.argument("snapshot_id", metavar="ID")
@timeout_option
@pass_state
def show(state: State, snapshot_id: str, timeout: float | None) -> None:
    """Show a snapshot as it is now."""
    with state.open() as backend:
        _answer(state, backend.get_snapshot(snapshot_id, timeout=timeout))


@snapshot.command("list")
@click.option("--volume", "volume_id", metavar="ID", help="Only this volume's.")
@click.option("--foreign", is_flag=True, help="Also snapshots that this library did not name.")
@timeout_option
@pass_state
def list_(state: State, volume_id: str | None, foreign: bool, timeout: float | None) -> None:
    """List snapshots."""
    with state.open() as backend:
        found = backend.list_snapshots(volume_id, foreign=foreign, timeout=timeout)
    _answer_all(state, found)


@snapshot.command()
@click.argument("snapshot_id", metavar="ID")
@of_volume_option
@timeout_option
@pass_state
def delete(state: State, snapshot_id: str, of_volume: str | None, timeout: float | None) -> None:
    """Delete a snapshot; an absent one counts as deleted."""
    with state.open() as backend:
        backend.delete_snapshot(snapshot_id, of_volume=of_volume, timeout=timeout)
    done(state, snapshot_id, "deleted")


@snapshot.command()
@click.argument("members", nargs=-1, required=True, metavar="VOLUME=SNAPSHOT...")
@timeout_option
@pass_state
def group(state: State, members: Sequence[str], timeout: float | None) -> None:
    """Take snapshots of several volumes at one point in time."""
    pairs = [member.partition("=")[::2] for member in members]
    if wrong := next((member for member, pair in zip(members, pairs, strict=True) if not all(pair)), None):
        raise click.UsageError(f"{wrong!r} is not VOLUME=SNAPSHOT, a volume's id and that of its snapshot.")
    if len(dict(pairs)) != len(pairs):
        raise click.UsageError("Each volume may stand there once.")
    with state.open() as backend:
        _answer_all(state, backend.create_group_snapshot(dict(pairs), timeout=timeout))


@snapshot.command()
@click.argument("snapshot_id", metavar="ID")
@click.option("--volume", "volume_id", required=True, metavar="ID", help="The volume that it is of.")
@click.option("--name", required=True, metavar="NAME", help="Its present name on the array.")
@timeout_option
@pass_state
def manage(state: State, snapshot_id: str, volume_id: str, name: str, timeout: float | None) -> None:
    """Take over a snapshot that exists on the array under another name."""
    with state.open() as backend:
        _answer(state, backend.manage_snapshot(snapshot_id, volume_id, name, timeout=timeout))


def _answer(state: State, item: Snapshot) -> None:
    state.answer(
        plain(item),
        lambda: print_facts(
            [
                ("id", item.snapshot_id),
                ("volume", item.volume_id or item.source_name),
                ("name on the array", item.name),
                ("array id", item.id),
                ("size", "unknown" if item.size is None else f"{format_size(item.size)} ({item.size} bytes)"),
                ("ready", item.ready),
                ("exported", item.exported),
                ("wwn", item.wwn),
            ]
        ),
    )


def _answer_all(state: State, found: Sequence[Snapshot]) -> None:
    state.answer(
        plain(list(found)),
        lambda: print_table(
            ["id", "name", "volume", "size", "ready", "exported"],
            [
                [
                    item.snapshot_id,
                    item.name,
                    item.volume_id or item.source_name,
                    "unknown" if item.size is None else format_size(item.size),
                    item.ready,
                    item.exported,
                ]
                for item in found
            ],
            right=["size"],
        ),
    )
