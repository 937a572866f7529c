"""Options and distribution of the oracle tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the choice of the longer runs."""
    parser.addoption("--full", action="store_true", help="all that the suite can ask of other people's drivers")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a script's tests in one worker, where they share its run; cases of the suite are runs of their own."""
    for item in items:
        if "bridge" not in item.path.name:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
