"""``blockdrivers collect``: an array's integration facts, for the people who have to integrate it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from blockdrivers.cli.base import Command, State, pass_state, printable, working
from blockdrivers.cli.models import matrix_option
from blockdrivers.cli.plain import plain
from blockdrivers.errors import ConfigurationError

if TYPE_CHECKING:
    from blockdrivers.backend import Backend
    from blockdrivers.config import BackendConfig

_SECTIONS = (
    ("array", "存储阵列", "Array"),
    ("management", "管理接口", "Management"),
    ("listed", "兼容性列表", "Compatibility list"),
    ("licences", "许可", "Licences"),
    ("pools", "存储池", "Pools"),
    ("ports", "主机端口", "Host ports"),
    ("initiators", "启动器", "Initiators"),
    ("capabilities", "能力", "Capabilities"),
)


@click.command(cls=Command)
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Write facts.yaml and facts.md here."
)
@click.option("--model", help="The array's model as the compatibility list spells it; what the array says otherwise.")
@matrix_option
@pass_state
def collect(state: State, output: Path | None, model: str | None, matrix_file: Path | None) -> None:
    """Collect the facts that an integration needs: array, pools, ports, initiators, licences, capabilities. No secrets."""
    from blockdrivers.config import load, open_backend  # noqa: PLC0415 - help needs no configuration

    configuration = load(state.config_file)
    config = configuration.backend(state.backend)
    with working("Collecting"), open_backend(configuration, config.name) as backend:
        facts = _facts(backend, config, model, matrix_file)
    as_yaml = yaml.safe_dump(facts, allow_unicode=True, sort_keys=False)
    written = [] if output is None else _write(output, {"facts.yaml": as_yaml, "facts.md": markdown(facts)})

    def show() -> None:
        click.echo("\n".join(str(path) for path in written) if written else as_yaml, nl=bool(written))

    state.answer(facts | ({"files": [str(path) for path in written]} if written else {}), show)


def markdown(facts: Mapping[str, Any]) -> str:
    """Return the facts as a Markdown document with Chinese and English headings."""
    lines = [f"# {facts['array']['vendor']} {facts['array']['model']}", "", f"{facts['collected']}", ""]
    for key, chinese, english in _SECTIONS:
        lines += [f"## {chinese} / {english}", "", *_section(facts[key]), ""]
    return "\n".join(lines)


def _facts(backend: Backend, config: BackendConfig, model: str | None, matrix_file: Path | None) -> dict[str, Any]:
    from blockdrivers import matrix  # noqa: PLC0415
    from blockdrivers.cli import reach  # noqa: PLC0415

    system = backend.system()
    named = model or system.model
    rows = matrix.load(matrix_file).find(named)
    array = asdict(system) | {"details": dict(system.details), "model": named}
    facts = {
        "collected": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "array": array,
        "management": {
            "adapter": config.adapter.name,
            "addresses": [str(endpoint) for endpoint in reach.endpoints(config.options.model_dump(mode="json"))],
        },
        "listed": [
            {"row": row.row, "model": row.model, "classes": {item.label: granted.value for item, granted in row.classes.items()}}
            for row in rows
        ]
        or "not in the list",
        "licences": dict(backend.licences()) or "unknown",
        "pools": list(backend.pools()),
        "ports": list(backend.ports()),
        "initiators": list(backend.initiators()),
        "capabilities": backend.capabilities,
    }
    result = plain(facts)
    if not isinstance(result, dict):
        raise TypeError("facts are a mapping")
    return result


def _section(content: Any) -> Iterator[str]:
    if isinstance(content, list) and content and isinstance(content[0], dict):
        yield from _table(content)
    elif isinstance(content, dict):
        for key, value in content.items():
            yield f"- {key}: {_inline(value)}"
    else:
        yield _inline(content)


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    columns = list(rows[0])
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(_inline(row.get(column)) for column in columns)} |"


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_inline, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_inline(inner)}" for key, inner in value.items()) or "-"
    return printable(value).replace("|", "\\|")


def _write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as trouble:
        raise ConfigurationError(f"{folder} cannot be written to: {trouble.strerror}.") from None
    return [folder / name for name in files]
