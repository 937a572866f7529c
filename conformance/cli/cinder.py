"""``--cinder-driver``: a backend configuration for a Cinder volume driver, so that it is certified like any other backend."""

from __future__ import annotations

import configparser
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from blockdrivers.errors import ConfigurationError
from blockdrivers.integrations.cinderbridge import ADAPTER

BACKEND = "cinder"
_TIMEOUTS = {"default": 120, "copy": 3600}
_PASSWORD = re.compile(r"password|secret|token", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CinderDriver:
    """What the options of the command line say.

    Attributes:
        driver: ``module.Class``.
        config: a cinder.conf.
        section: the backend's; None takes the only one.
        python: interpreter of the environment with the cinder package; the bridge's default where None.
    """

    driver: str
    config: Path
    section: str | None = None
    python: Path | None = None


@contextmanager
def configured(wanted: CinderDriver, model: str) -> Iterator[Path]:
    """Write a backend configuration with one backend, `BACKEND`; what Cinder would remember is kept beside it, for this run only.

    The section's passwords stand in it as well, so that the suite knows what to look for in logs and errors, and can falsify them.
    """
    with tempfile.TemporaryDirectory(prefix="certify-cinder-") as folder:
        options = {
            "driver": wanted.driver,
            "config": str(wanted.config.resolve()),
            "records": str(Path(folder) / "records"),
            "overrides": _passwords(wanted),
        }
        if wanted.section:
            options["section"] = wanted.section
        if wanted.python:
            options["python"] = str(wanted.python)
        if model:
            options["model"] = model
        path = Path(folder) / "backends.yaml"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yaml.safe_dump({"backends": {BACKEND: {"adapter": ADAPTER, "timeouts": _TIMEOUTS, "options": options}}}, file)
        yield path


def _passwords(wanted: CinderDriver) -> dict[str, str]:
    """Return the section's options that hold secrets; options that are set in several lines are left where they are."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(wanted.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigurationError(f"{wanted.config} cannot be read as a cinder.conf: {error}") from error
    sections = [wanted.section] if wanted.section else parser.sections()
    if wanted.section and not parser.has_section(wanted.section):
        raise ConfigurationError(f"{wanted.config} has no section {wanted.section!r}; it has {', '.join(parser.sections())}.")
    backends = [name for name in sections if wanted.section or _is_backend(parser, name)]
    if len(backends) != 1:
        named = ", ".join(backends) or "none"
        raise ConfigurationError(f"{wanted.config} has {len(backends)} sections of backends ({named}); say --cinder-section.")
    return {name: value.strip("\"'") for name, value in parser.items(backends[0]) if value and _PASSWORD.search(name)}


def _is_backend(parser: configparser.RawConfigParser, section: str) -> bool:
    return any(parser.has_option(section, name) for name in ("volume_driver", "volume_backend_name"))
