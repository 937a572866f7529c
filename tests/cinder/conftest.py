"""Needs an environment with the cinder package and this library, named by BLOCKDRIVERS_CINDER_SERVICE; ``make test-cinder`` builds it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

INSIDE = Path(__file__).with_name("inside")


@pytest.fixture(scope="session")
def cinder_python() -> Path:
    """Return the interpreter of that environment."""
    return Path(os.environ["BLOCKDRIVERS_CINDER_SERVICE"]) / "bin" / "python"
