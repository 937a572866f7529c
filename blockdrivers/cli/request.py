"""``blockdrivers request``: the evaluation or integration request, ready to be sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blockdrivers.cli.base import Command, State, pass_state
from blockdrivers.cli.models import matrix_option
from blockdrivers.errors import ConfigurationError

if TYPE_CHECKING:
    from blockdrivers.cli.mail import Array, Project, Request

_FILE = click.Path(path_type=Path)


@click.command(cls=Command)
@click.option("--kind", type=click.Choice(["evaluation", "integration"]), default="integration", show_default=True)
@click.option("--project", "project_file", type=_FILE, metavar="FILE", help="The project's facts as YAML; see --template.")
@click.option("--facts", type=_FILE, metavar="FILE", help="What `collect` wrote, as YAML.")
@click.option(
    "--certificate", "certificates", type=_FILE, multiple=True, metavar="FILE", help="A certificate to attach; may be repeated."
)
@click.option("--format", "form", type=click.Choice(["eml", "text"]), default="eml", show_default=True)
@click.option("--output", type=_FILE, metavar="FILE", help="Where to write it; standard output without.")
@click.option("--template", is_flag=True, help="Print an empty project file and stop.")
@matrix_option
@pass_state
def request(
    state: State,
    *,
    kind: str,
    project_file: Path | None,
    facts: Path | None,
    certificates: Sequence[Path],
    form: str,
    output: Path | None,
    template: bool,
    matrix_file: Path | None,
) -> None:
    """Render the e-mail that asks for an evaluation or an integration; what is missing is marked and listed."""
    from blockdrivers.cli import mail  # noqa: PLC0415 - the e-mail package is not small

    if template:
        click.echo(mail.TEMPLATE, nl=False)
        return
    if project_file is None:
        raise click.UsageError("Give the project's facts: --project FILE (--template prints an empty one).")
    project = mail.read_project(project_file)
    composed = mail.compose(
        mail.Kind(kind),
        project,
        _array(project, facts, matrix_file),
        facts=facts,
        certificates=[_certificate(path) for path in certificates],
        today=datetime.now().astimezone().date(),
    )
    rendered = composed.message().as_bytes() if form == "eml" else composed.text().encode()
    if output is not None:
        _write(output, rendered)
    state.answer(_plain(composed, output), lambda: _show(composed, rendered, output))
    if composed.missing:
        click.echo(f"still to be filled in: {', '.join(composed.missing)}", err=True)


def _array(project: Project, facts: Path | None, matrix_file: Path | None) -> Array:
    from blockdrivers import matrix  # noqa: PLC0415
    from blockdrivers.cli.mail import Array  # noqa: PLC0415

    collected = {} if facts is None else _collected(facts)
    vendor = project.texts.get("vendor") or collected.get("vendor")
    model = project.texts.get("model") or collected.get("model")
    if model is None:
        return Array(vendor, None, None)
    classes: dict[str, str] = {}
    for row in matrix.load(matrix_file).find(model):
        classes.update({protocol.label: granted.value for protocol, granted in row.classes.items()})
    granted = ", ".join(f"{label} {letter}" for label, letter in classes.items())
    return Array(vendor, model, bool(classes), granted or None)


def _collected(path: Path) -> dict[str, str]:
    from blockdrivers.nodes import read  # noqa: PLC0415

    root = read(path, ConfigurationError).entries()
    if "array" not in root:
        raise ConfigurationError(f"{path} is not what `blockdrivers collect` writes: it has no field 'array'.")
    array = root["array"].entries()
    return {name: array[name].text() for name in ("vendor", "model") if name in array}


def _certificate(path: Path) -> Path:
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as trouble:
        raise ConfigurationError(f"{path} cannot be read: {trouble.strerror}.") from None
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("format") != "blockdrivers-certificate":
        raise ConfigurationError(f"{path} is not a certificate.")
    return path


def _plain(composed: Request, output: Path | None) -> dict[str, object]:
    return {
        "subject": composed.subject,
        "from": composed.sender,
        "to": list(composed.to),
        "cc": list(composed.cc),
        "body": dict(composed.table),
        "attachments": [{"title": title, "file": path and str(path)} for title, path in composed.attachments],
        "missing": list(composed.missing),
        "output": output and str(output),
    }


def _show(composed: Request, rendered: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(rendered)
    else:
        click.echo(f"{output}: {composed.subject}")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as trouble:
        raise ConfigurationError(f"{path} cannot be written: {trouble.strerror}.") from None
