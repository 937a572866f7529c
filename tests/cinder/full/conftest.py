"""One simulated array with its bytes, and a cloud on it whose services are processes; ``make test-cinder-full`` builds what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from blockdrivers import Backend, open_backend
from blockdrivers.naming import Kind, array_name
from blockdrivers.plugins import find_model
from conformance.simulation.opening import BACKEND, open_array, write_config
from conformance.simulation.server import SimulatedArray
from tests.cinder.lab.api import Api
from tests.cinder.lab.cloud import MODEL, POOL_BYTES
from tests.cinder.lab.configuration import Configuration
from tests.cinder.lab.processes import Processes

_LATENCY_MS = 20.0
_COPY_SECONDS = 1.0
_DRIVER = "blockdrivers.integrations.cinder.driver.ISCSIDriver"


@dataclass(frozen=True)
class Site:
    """The services, the array under them, and the same array as this library's users see it."""

    services: Processes
    array: SimulatedArray
    backend: Backend

    def api(self) -> Api:
        """Return a client of one's own."""
        return Api(self.services.root)

    def on_array(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the array's own records of a kind by name."""
        return {item["name"]: item for item in self.array.family.state()[kind]}


def volume_name(identifier: str) -> str:
    """Return what a Cinder volume is called on the array."""
    return array_name(Kind.VOLUME, identifier, 31)


@pytest.fixture
def site(cinder_python: Path, tmp_path: Path) -> Iterator[Site]:
    """Return a cloud; a type of volumes is there, and is the default."""
    adapter = find_model(MODEL)
    with ExitStack() as stack:
        opened = open_array(adapter, MODEL, copy_seconds=_COPY_SECONDS, latency_ms=_LATENCY_MS, pools=1, pool_bytes=POOL_BYTES)
        array = stack.enter_context(opened)
        config = write_config(tmp_path, adapter, array.ready, timeouts={"default": 40})
        backend = stack.enter_context(open_backend(config))
        (tmp_path / "cinder").mkdir()
        ours = {"volume_driver": _DRIVER, "blockdrivers_config": config, "blockdrivers_backend": BACKEND}
        told = Configuration(
            python=cinder_python,
            folder=tmp_path / "cinder",
            backends={"iscsi": ours},
            defaults={"service_down_time": 12, "default_volume_type": "iscsi", "backup_use_same_host": False},
        )
        services = stack.enter_context(Processes(told))
        kind = {"name": "iscsi", "extra_specs": {"volume_backend_name": "iscsi"}}
        Api(services.root).post("/types", {"volume_type": kind})
        yield Site(services, array, backend)
