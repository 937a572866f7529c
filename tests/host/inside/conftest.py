"""Tests that run inside the guest, as root of a machine whose devices are theirs to change.

`tests/host/test_inside.py` brings them there and reports each of them. ``HOST_TESTS`` in the environment holds what they are told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from blockdrivers import Backend, GiB, Host, Protocol, open_backend
from blockdrivers.host import facts
from conformance.suite import machine
from conformance.suite.control import Control


@pytest.fixture(scope="session")
def told() -> dict[str, Any]:
    """What the simulated array tells clients."""
    found: dict[str, Any] = json.loads(os.environ["HOST_TESTS"])
    return found


@pytest.fixture(scope="session")
def backend(told: dict[str, Any]) -> Iterator[Backend]:
    with open_backend(told["config"]) as opened:
        yield opened


@pytest.fixture(scope="session")
def control(told: dict[str, Any]) -> Control:
    return Control(told["control"])


@pytest.fixture(scope="session")
def host(told: dict[str, Any]) -> Host:
    """This machine, with the FC ports that are its own initiators."""
    found = facts.this_host("guest").host
    return Host("guest", iqn=found.iqn, wwpns=tuple(told["wwpns"]), addresses=found.addresses)


@pytest.fixture
def volume(backend: Backend, told: dict[str, Any], host: Host) -> Iterator[Callable[[str], str]]:
    """Make volumes; they are detached and deleted afterwards, and the machine is then as it was before."""
    before = machine.remains()
    made: list[str] = []

    def make(name: str) -> str:
        backend.create_volume(name, GiB, told["pool"])
        made.append(name)
        return name

    yield make
    for name in made:
        for protocol in (Protocol.ISCSI, Protocol.FC):
            backend.detach(name, protocol, host, force=True)
        backend.delete_volume(name, force=True)
    left = machine.remains() - before
    assert not left, f"this machine has more than before: {sorted(left)}"
