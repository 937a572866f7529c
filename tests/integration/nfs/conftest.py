"""Shares of a server."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.integration.nfs.lab import Shares


@pytest.fixture
def shares(tmp_path):
    with ExitStack() as stack:
        yield lambda size="64m": Shares(stack, tmp_path, size)
