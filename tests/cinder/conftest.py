"""Needs an environment with the cinder package and this library, named by BLOCKDRIVERS_CINDER_SERVICE; ``make test-cinder`` builds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cinder.lab.cloud import Cloud

INSIDE = Path(__file__).with_name("inside")


@pytest.fixture(scope="session")
def cinder_python() -> Path:
    """Return the interpreter of that environment."""
    return Path(os.environ["BLOCKDRIVERS_CINDER_SERVICE"]) / "bin" / "python"


@pytest.fixture(scope="session")
def cloud(cinder_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return Cinder on a simulated array, for all tests; nothing may be left on the array at the end."""
    made = Cloud(cinder_python, tmp_path_factory.mktemp("cloud"))
    try:
        yield made
        state = made.array.family.state()
    finally:
        made.close()
    left = {kind: state[kind] for kind in ("volumes", "snapshots", "copies", "qos") if state[kind]}
    assert left == {}
