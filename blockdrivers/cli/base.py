"""What every command shares: the state of one invocation, the options that may stand anywhere, and the ways to answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blockdrivers.errors import ConfigurationError
from blockdrivers.model import Protocol

if TYPE_CHECKING:
    from rich.console import Console

    from blockdrivers.backend import Backend

CONFIG_VARIABLE = "BLOCKDRIVERS_CONFIG"
_WIDE = 100_000


@dataclass
class State:
    """One invocation of the command line."""

    config: Path | None = None
    backend: str | None = None
    json: bool = False
    debug: bool = False

    @property
    def config_file(self) -> Path:
        """The backend configuration file, or a `ConfigurationError` that says how to name one."""
        if self.config is None:
            raise ConfigurationError(f"No configuration: give --config FILE or set {CONFIG_VARIABLE}.")
        return self.config

    def open(self) -> Backend:
        """Open the chosen backend; the only one of the file where none was named."""
        from blockdrivers.config import open_backend  # noqa: PLC0415 - help and models need no configuration

        return open_backend(self.config_file, self.backend)

    def answer(self, plain: object, show: Callable[[], None]) -> None:
        """Print the answer: as JSON, or by `show` for people."""
        if self.json:
            print_json(plain)
        else:
            show()


pass_state = click.make_pass_decorator(State, ensure=True)


class Command(click.Command):
    """A command that also takes the common options after its name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(common_options())


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


def common_options() -> list[click.Option]:
    """Return the options that every command takes, before or after its name."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            expose_value=False,
            callback=_remember("config"),
            help=f"Backend configuration [env: {CONFIG_VARIABLE}].",
        ),
        click.Option(
            ["--backend"],
            metavar="NAME",
            expose_value=False,
            callback=_remember("backend"),
            help="Backend in that file; by default the only one.",
        ),
        click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_remember("json"), help="Answer as JSON on standard output."
        ),
        click.Option(
            ["--debug"], is_flag=True, expose_value=False, callback=_remember("debug"), help="Show the traceback of an error."
        ),
    ]


def _remember(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def remember(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.ensure_object(State), field, value)

    return remember


def protocol_argument(text: str) -> Protocol:
    """Convert an option's text to a protocol; the library's word and the compatibility list's are both known."""
    for protocol in Protocol:
        if text.casefold() in (protocol.value, protocol.label.casefold()):
            return protocol
    known = ", ".join(f"{protocol.value} ({protocol.label})" for protocol in Protocol)
    raise click.BadParameter(f"{text!r} is not a protocol; use one of {known}.")


PROTOCOL_METAVAR = "|".join(Protocol)

timeout_option = click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Deadline.")


def print_json(plain: object) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """Return a console; one that is no terminal gets lines of any width, so that nothing is cut or wrapped in a pipe."""
    from rich.console import Console  # noqa: PLC0415 - only answers for people need it

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _WIDE)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table for people; columns named in `right` are aligned to the right."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console().print(table)


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one a line."""
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        click.echo(f"{name:<{width}}  {printable(value)}".rstrip())


def printable(value: object) -> str:
    """Return a value as text without control characters: an array's words must not steer a terminal."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value))


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that long work is under way."""
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(f"{what} ..."):
        yield
