"""Backend configuration: a YAML file, validated against each adapter's own options, with secrets from elsewhere.

```yaml
backends:
  hall-3:
    adapter: huawei-oceanstor
    timeouts: {default: 120, copy: 86400, unreachable: 10}     # seconds
    options:                                  # the adapter's own: see its documentation
      password: {env: HALL3_PASSWORD}         # or {file: /etc/...}, or the text itself
```
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from blockdrivers.backend import Backend
from blockdrivers.driver import Driver
from blockdrivers.errors import ConfigurationError
from blockdrivers.locks import LockProvider
from blockdrivers.operations import OperationRecord, Timeouts
from blockdrivers.plugins import Adapter, find_adapter
from blockdrivers.transport.sshoptions import HostKeyOptions, SshOptions
from blockdrivers.transport.tls import TlsOptions

__all__ = ["BackendConfig", "Configuration", "HostKeyOptions", "SshOptions", "TlsOptions", "load", "open_backend", "open_driver"]

_log = logging.getLogger(__name__)


class _Timeouts(BaseModel):
    model_config = ConfigDict(extra="forbid")
    default: float = Field(Timeouts().default, gt=0)
    copy_: float = Field(Timeouts().copy, gt=0, alias="copy")
    unreachable: float = Field(Timeouts().unreachable, ge=0)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    adapter: str
    timeouts: _Timeouts = Field(default_factory=_Timeouts)
    options: dict[str, Any] = Field(default_factory=dict)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    backends: dict[str, _Entry] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """One backend, validated; `options` is an instance of the adapter's own model."""

    name: str
    adapter: Adapter
    options: BaseModel
    timeouts: Timeouts


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a configuration file says."""

    path: Path
    backends: Mapping[str, BackendConfig]

    def backend(self, name: str | None = None) -> BackendConfig:
        """Return the backend of that name; None takes the only one."""
        if name is None and len(self.backends) == 1:
            return next(iter(self.backends.values()))
        if name is None or name not in self.backends:
            asked = "Name a backend" if name is None else f"There is no backend {name!r} in {self.path}"
            raise ConfigurationError(f"{asked}; it holds {', '.join(self.backends)}.")
        return self.backends[name]


def load(path: Path | str) -> Configuration:
    """Read and validate a configuration file; nothing is sent to any array.

    Raises `ConfigurationError` that names file, line, field and value; never a secret's value.
    """
    source = _Source.read(Path(path))
    file = source.validated(_File, source.data, ())
    return Configuration(source.path, {name: _backend(source, name, entry) for name, entry in file.backends.items()})


def open_driver(config: BackendConfig) -> Driver:
    """Return a driver of the backend's adapter; nothing is sent yet."""
    driver: Driver = config.adapter.load_driver()(config.options, config.name)
    return driver


def open_backend(
    configuration: Configuration | Path | str,
    name: str | None = None,
    *,
    observer: Callable[[OperationRecord], None] | None = None,
    locks: LockProvider | None = None,
) -> Backend:
    """Return a backend of a configuration (or of the file at that path); nothing is sent before its first operation.

    Args:
        configuration: what `load` returned, or a path.
        name: of the backend; None takes the only one.
        observer, locks: see `Backend`.
    """
    loaded = configuration if isinstance(configuration, Configuration) else load(configuration)
    config = loaded.backend(name)
    return Backend(open_driver(config), config.name, timeouts=config.timeouts, observer=observer, locks=locks)


def _backend(source: _Source, name: str, entry: _Entry) -> BackendConfig:
    where = ("backends", name)
    try:
        adapter = find_adapter(entry.adapter)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source.place((*where, 'adapter'))}: {error.message}") from error
    given = {key: _resolved(source, value, (*where, "options", key)) for key, value in entry.options.items()}
    options = source.validated(adapter.load_config(), given, (*where, "options"))
    return BackendConfig(
        name, adapter, options, Timeouts(entry.timeouts.default, entry.timeouts.copy_, entry.timeouts.unreachable)
    )


def _resolved(source: _Source, value: Any, where: tuple[str | int, ...]) -> Any:
    if not isinstance(value, dict):
        return value
    match value:
        case {"env": str(name)} if len(value) == 1:
            if name not in os.environ:
                raise ConfigurationError(f"{source.place(where)}: the environment variable {name} is not set.")
            return os.environ[name]
        case {"file": str(name)} if len(value) == 1:
            return _secret_file(source, Path(name), where)
    return {key: _resolved(source, inner, (*where, key)) for key, inner in value.items()}


def _secret_file(source: _Source, path: Path, where: tuple[str | int, ...]) -> str:
    try:
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            _log.warning("%s holds a secret and others can read it; chmod 600 it", path)
        return path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{source.place(where)}: the secret's file {path} cannot be read: {error}.") from error


@dataclass(frozen=True, slots=True)
class _Source:
    """A YAML file with its places."""

    path: Path
    data: Any
    root: yaml.Node

    @classmethod
    def read(cls, path: Path) -> _Source:
        try:
            text = path.read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            data = yaml.safe_load(text)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            raise ConfigurationError(f"{path}{line}: is not YAML: {getattr(error, 'problem', None) or error}.") from error
        if root is None or not isinstance(data, dict):
            raise ConfigurationError(f"{path}, line 1: must hold a mapping with the field 'backends'.")
        return cls(path, data, root)

    def validated(self, model: type[Any], data: Any, where: tuple[str | int, ...]) -> Any:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            inner = tuple(first["loc"])
            secret = _is_secret(model, inner)
            # A rule of ours says itself what is wrong with several fields together, or names the value.
            ours, shown, said = first["type"] == "value_error", _shown(first["input"]), first["msg"].removeprefix("Value error, ")
            untold = secret or first["type"] == "missing" or (ours and (isinstance(first["input"], dict | list) or shown in said))
            got = "" if untold else f"; got {shown}"
            raise ConfigurationError(f"{self.place((*where, *inner))}: {said}{got}.") from None

    def place(self, where: Sequence[str | int]) -> str:
        """Return file, line and field of a path of keys; the nearest line that exists for a missing field."""
        node, line = self.root, self.root.start_mark.line + 1
        for step in where:
            child = _child(node, step)
            if child is None:
                break
            node, line = child
        return f"{self.path}, line {line}, {'.'.join(str(step) for step in where) or 'the document'}"


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((value, key.start_mark.line + 1) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    return None


def _is_secret(model: type[BaseModel], inner: tuple[str | int, ...]) -> bool:
    field = model.model_fields.get(str(inner[0])) if inner else None
    return field is not None and field.annotation is not None and SecretStr.__name__ in str(field.annotation)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | bool) or value is None else f"a {type(value).__name__}"
