"""What tests of each family ask for: its usual array, and a backend on that. Each family's folder says which array `lab` starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def started(lab: Callable[..., Any]) -> Any:
    return lab()


@pytest.fixture
def backend(started: Any) -> Any:
    return started.open()
