"""The ``blockdrivers`` command: global options, commands found when needed, and errors as one clear line."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from blockdrivers.cli.base import CONFIG_VARIABLE, Group, State, common_options, print_json
from blockdrivers.errors import BlockDriversError

PLUGIN_GROUP = "blockdrivers.commands"
"""Entry points of this group are called with the root group, to add commands to it."""

EXIT_USAGE = 2
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141

_COMMANDS: Mapping[str, str] = {
    "models": "blockdrivers.cli.models:models",
    "volume": "blockdrivers.cli.volumes:volume",
    "snapshot": "blockdrivers.cli.snapshots:snapshot",
    "export": "blockdrivers.cli.exports:export",
    "attach": "blockdrivers.cli.attachments:attach",
    "detach": "blockdrivers.cli.attachments:detach",
    "refresh": "blockdrivers.cli.attachments:refresh",
    "image": "blockdrivers.cli.images:image",
    "sweep": "blockdrivers.cli.sweep:sweep",
    "doctor": "blockdrivers.cli.doctor:doctor",
    "collect": "blockdrivers.cli.collect:collect",
    "request": "blockdrivers.cli.request:request",
}


class Root(Group):
    """The root group: loads a command's module when it is asked for, and other distributions' commands after its own."""

    _complete = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command's name, this library's own first."""
        self._load_plugins()
        return [*_COMMANDS, *sorted(self.commands.keys() - _COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        if cmd_name not in self.commands:
            if cmd_name in _COMMANDS:
                module, _, attribute = _COMMANDS[cmd_name].partition(":")
                self.add_command(getattr(importlib.import_module(module), attribute), cmd_name)
            else:
                self._load_plugins()
        return super().get_command(ctx, cmd_name)

    def _load_plugins(self) -> None:
        if self._complete:
            return
        self._complete = True
        for point in importlib.metadata.entry_points(group=PLUGIN_GROUP):
            try:
                point.load()(self)
            except Exception as trouble:  # noqa: BLE001 - one broken distribution must not take the others' commands away
                click.echo(f"warning: the commands of {point.value} cannot be loaded: {_one_line(trouble)}", err=True)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None})
@click.version_option(package_name="blockdrivers")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What is logged on standard error.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def cli(context: click.Context, log_level: str, log_format: str) -> None:
    """Drive, diagnose and certify commercial storage arrays."""
    state = context.ensure_object(State)
    if state.config is None and (configured := os.environ.get(CONFIG_VARIABLE)):
        state.config = Path(configured)
    _log_to_stderr(log_level, log_format)


cli.params.extend(common_options())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    state = State()
    try:
        returned = cli.main(given, prog_name="blockdrivers", obj=state, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as trouble:
        return _usage_error(trouble, state.json or "--json" in given)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except Exception as trouble:  # noqa: BLE001 - the last resort: a line, not a traceback
        return _failed(trouble, state)
    return returned if isinstance(returned, int) else 0


def _usage_error(trouble: click.ClickException, as_json: bool) -> int:
    message = _one_line(trouble.format_message())
    if isinstance(trouble, click.UsageError) and trouble.ctx is not None:
        message += f" (see '{trouble.ctx.command_path} --help')"
    if as_json:
        print_json({"error": "Usage", "message": message, "exit_code": EXIT_USAGE})
    click.echo(f"error: {message}", err=True)
    return EXIT_USAGE


def _failed(trouble: Exception, state: State) -> int:
    if state.debug:
        traceback.print_exception(trouble)
    if isinstance(trouble, BlockDriversError):
        code, plain = trouble.exit_code, dict(trouble.as_dict())
        message = _one_line(trouble)
    else:
        code = EXIT_INTERNAL
        message = f"internal error: {type(trouble).__name__}: {_one_line(trouble)} (--debug shows the traceback)"
        plain = {"error": "InternalError", "message": message}
    if state.json:
        print_json({**plain, "exit_code": code})
    click.echo(f"error: {message}", err=True)
    return code


def _one_line(said: object) -> str:
    return " ".join(str(said).split())


class _JsonFormatter(logging.Formatter):
    """One JSON object a line, with whatever a record carries beside its message."""

    _OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in record.__dict__.items() if key not in self._OWN},
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _log_to_stderr(level: str, form: str) -> None:
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


if __name__ == "__main__":
    sys.exit(main())
