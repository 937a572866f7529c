"""Runs the scripts beside it in the environment that has other people's drivers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.leftovers import own_folder

_SECONDS = 300.0
_SHOWN = 4000


def python() -> Path:
    """Return the interpreter of the environment that has the cinder package."""
    return Path(os.environ["BLOCKDRIVERS_CINDER_VENV"]) / "bin" / "python"


def seen_by(script: Path, ready: Mapping[str, Any], *arguments: str) -> dict[str, Any]:
    """Run a script on a simulated array and return what it has printed.

    Args:
        script: a file of this folder.
        ready: the simulator's ready line.
        arguments: what the script takes after it.

    Whatever the script and the drivers in it keep in temporary files ends with it.
    """
    command = [str(python()), "-W", "ignore", str(script), json.dumps(ready), *arguments]
    with own_folder() as folder:
        ended = subprocess.run(
            command, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    assert ended.returncode == 0, ended.stderr[-_SHOWN:]
    return dict(json.loads(ended.stdout))
