"""This project in the guest, and a configuration for the arrays that its commands there drive."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from blockdrivers.plugins import find_model
from conformance.simulation.opening import write_config
from tests.host.lab.guest import Guest
from tests.host.lab.image import ROOT
from tests.host.lab.processes import LabError

CONFIG = "/etc/blockdrivers/backends.yaml"
"""The configuration that `configure` writes; `blockdrivers` in the guest takes it where it is told no other."""

_FOLDER = "/opt/project"
_COMMAND = "/usr/local/bin/blockdrivers"
_SCRIPT = f"""#!/bin/sh
export BLOCKDRIVERS_CONFIG="${{BLOCKDRIVERS_CONFIG:-{CONFIG}}}"
exec python3 -m blockdrivers.cli.main "$@"
"""
_CA = "/etc/blockdrivers/ca.pem"
_INSTALL_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Project:
    """This project as an installer lays it out, with its entry points and without what it depends on."""

    tree: Path

    def install(self, guest: Guest) -> None:
        """Put it into a guest, whose Python then imports it, with `blockdrivers` as a command."""
        guest.put(self.tree, _FOLDER)
        guest.write(_COMMAND, _SCRIPT, mode=0o755)


def built(folder: Path) -> Project:
    """Install this working tree into an empty folder."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
    command += ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder), str(ROOT)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if ended.returncode:
        raise LabError(f"The project could not be installed into a folder: {ended.stderr[-2000:]}")
    # The guest's other users import it too, and pytest's folders are for their owner alone.
    folder.chmod(0o755)
    return Project(folder)


def configure(guest: Guest, ready: Mapping[str, Any], *, timeouts: Mapping[str, float] | None = None) -> str:
    """Let commands in the guest drive a simulated array; return the name of their configuration file.

    The array's control API is made reachable too, at the URL that `ready` names.

    Args:
        guest: a running guest.
        ready: what the array told clients.
        timeouts: see `write_config`.
    """
    management = [ready[name] | {"ca_file": _CA} for name in ("management", "management2")]
    there = dict(ready) | {"management": management[0], "management2": management[1]}
    with tempfile.TemporaryDirectory(prefix="blockdrivers-config-") as folder:
        config = write_config(Path(folder), find_model(ready["model"]), there, timeouts=timeouts)
        guest.put(config, CONFIG)
    guest.put(Path(ready["management"]["ca_file"]), _CA)
    guest.forward(urlsplit(ready["control"]).port or 0)
    return CONFIG
