"""``blockdrivers image``: image files into volumes and volumes into image files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from blockdrivers.cli.base import Group, State, console, pass_state, print_facts, timeout_option
from blockdrivers.cli.exports import chap_of, chap_options
from blockdrivers.cli.plain import plain
from blockdrivers.cli.sizes import format_size, size_argument
from blockdrivers.cli.volumes import show_volume
from blockdrivers.model import Host


def copy_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what both directions take: the volume, the file, its format, and whom the volume is exported to meanwhile."""
    options = (
        click.argument("volume_id", metavar="ID"),
        click.argument("file", type=click.Path(path_type=Path), metavar="FILE"),
        click.option("--format", "format_", metavar="raw|qcow2|vmdk|vhd", required=True, help="What the image is, or is to be."),
        click.option(
            "--iqn", required=True, metavar="IQN", help="Initiator name for the copy; one that is used for nothing else."
        ),
        click.option("--host", "name", default="image-copy", show_default=True, help="What the array is to call it."),
        chap_options,
        timeout_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Group)
def image() -> None:
    """Copy image files into volumes and volumes into image files, over iSCSI and without root."""


@image.command()
@copy_options
@click.option("--sha256", metavar="DIGEST", help="Of the file; it is checked before anything is written.")
@pass_state
def write(
    state: State,
    *,
    volume_id: str,
    file: Path,
    format_: str,
    iqn: str,
    name: str,
    chap_user: str | None,
    chap_secret_file: Path | None,
    sha256: str | None,
    timeout: float | None,
) -> None:
    """Write an image FILE over volume ID; a repeat writes all of it again."""
    host = Host(name, iqn=iqn, chap=chap_of(chap_user, chap_secret_file))
    with state.open() as backend, _bar(state, f"{file.name} into {volume_id}") as progress:
        volume = backend.copy_image_to_volume(
            volume_id, file, host, format=format_, sha256=sha256, progress=progress, timeout=timeout
        )
    show_volume(state, volume)


@image.command()
@copy_options
@click.option(
    "--max-size", type=size_argument, metavar="SIZE", default="300GiB", show_default=True, help="A larger volume is refused."
)
@pass_state
def read(
    state: State,
    *,
    volume_id: str,
    file: Path,
    format_: str,
    iqn: str,
    name: str,
    chap_user: str | None,
    chap_secret_file: Path | None,
    max_size: int,
    timeout: float | None,
) -> None:
    """Make an image FILE of volume ID; the file is there whole or not at all."""
    host = Host(name, iqn=iqn, chap=chap_of(chap_user, chap_secret_file))
    with state.open() as backend, _bar(state, f"{volume_id} into {file.name}") as progress:
        made = backend.copy_volume_to_image(
            volume_id, file, host, format=format_, max_size=max_size, digest=True, progress=progress, timeout=timeout
        )
    facts = [
        ("file", made.path),
        ("format", made.format),
        ("size", format_size(made.size)),
        ("disk size", format_size(made.virtual_size)),
        ("sha256", made.sha256),
    ]
    state.answer(plain(made), lambda: print_facts(facts))


@contextmanager
def _bar(state: State, what: str) -> Iterator[Callable[[float], None]]:
    """Show on a terminal how far a copy is."""
    from rich.progress import Progress  # noqa: PLC0415 - only who copies images pays for it

    shown = console(stderr=True)
    with Progress(console=shown, disable=state.json or not shown.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda done: bar.update(task, completed=done)
