"""What a bridged Cinder driver is configured with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

ENVIRONMENT = "BLOCKDRIVERS_CINDER_VENV"
"""Environment variable that names the Cinder environment where `python` is not given."""


def default_python() -> Path:
    """Return the interpreter of the environment that `ENVIRONMENT` names, or this one."""
    environment = os.environ.get(ENVIRONMENT)
    return Path(environment) / "bin" / "python" if environment else Path(sys.executable)


class Node(BaseModel):
    """The machine that the driver runs on, as a host of the array."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    """Its name."""
    address: str
    """IP address of its storage network."""
    iqn: str = ""
    wwpns: tuple[str, ...] = ()


class CinderDriverOptions(BaseModel):
    """Options of a backend that is a Cinder volume driver."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    driver: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
    """The class, as ``volume_driver`` of a cinder.conf names it."""
    config: Path
    """A cinder.conf that holds the driver's section. A driver that rewrites files of its own (Huawei's does) does so here, too."""
    section: str | None = None
    """The backend's section; None takes the only one that has a ``volume_driver`` or ``volume_backend_name``."""
    python: Path = Field(default_factory=default_python)
    """Interpreter of the environment that has the cinder package (and the driver, and what the driver needs)."""
    records: Path | None = None
    """Folder for what Cinder would remember. None keeps it for the life of this backend only; name one, on a local disk, where
    several processes work on one array or volumes are to be known again later."""
    overrides: dict[str, SecretStr] = Field(default_factory=dict)
    """Options of the section that are set from here, such as its password, and so can come from the environment or a file."""
    extra_specs: dict[str, str] = Field(default_factory=dict)
    """Extra specs of the volume type that every volume is given, for drivers that take provisioning or copy modes from there."""
    node: Node | None = None
    """What the driver is told when it asks for this machine's initiators, as some do at their start; None lets os-brick look, which
    takes root."""
    model: str = "unknown"
    """The array's model: Cinder drivers do not tell it."""

    @field_validator("config")
    @classmethod
    def _is_there(cls, value: Path) -> Path:
        if not value.is_file():
            raise ValueError(f"{value} is no file")
        return value.resolve()

    @field_validator("python")
    @classmethod
    def _runs(cls, value: Path) -> Path:
        if not os.access(value, os.X_OK):
            raise ValueError(f"{value} is no interpreter; name that of the environment with the cinder package")
        return value.absolute()

    @field_validator("records")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.absolute()
