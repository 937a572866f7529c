"""Real Cinder services as one child process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import requests

from tests.cinder.lab import children
from tests.cinder.lab.api import Api
from tests.cinder.lab.configuration import HOST, Configuration
from tests.leftovers import own_folder

INSIDE = Path(__file__).parents[1] / "inside"
_START_SECONDS = 90.0


class Services:
    """API, scheduler, volume and backup services in one process; nothing of them outlives this object or this process."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()
        self.root = f"http://127.0.0.1:{configuration.port}"

    def __enter__(self) -> Services:
        try:
            self._configuration = replace(self._configuration, temporary=self._stack.enter_context(own_folder()))
            self._configuration.prepare()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> str:
        """Return what the services have logged."""
        return (self._configuration.folder / "services.log").read_text(errors="replace")

    def memory_kib(self) -> int:
        """Return the memory that the services hold, shared pages in proportion."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    def _start(self) -> None:
        told = self._configuration
        command = [told.python, INSIDE / "services.py", "--config-file", told.folder / "cinder.conf"]
        self._process = children.start(command, told.folder / "services.log", told.environment())
        wanted, ends = {f"{HOST}@{name}" for name in told.backends}, time.monotonic() + _START_SECONDS
        while not ready(Api(self.root), wanted):
            assert self._process.poll() is None, f"the services have ended: {self.log()[-4000:]}"
            assert time.monotonic() < ends, f"the services are not ready: {self.log()[-4000:]}"
            time.sleep(0.2)

    def stop(self) -> None:
        """End the services and whatever they have started."""
        if self._process is not None:
            children.end(self._process)
            self._process = None
        self._stack.close()


def ready(api: Api, hosts: Collection[str], pools: Collection[str] | None = None) -> bool:
    """Tell whether the volume services of these hosts, the scheduler and the backup service are up, and these hosts' pools known."""
    try:
        services = [service for service in api.get("/os-services")["services"] if service["state"] == "up"]
        known = {pool["name"].partition("#")[0] for pool in api.get("/scheduler-stats/get_pools")["pools"]}
    except (requests.RequestException, AssertionError):
        return False
    up = {service["host"] for service in services}
    others = {"cinder-scheduler", "cinder-backup"} <= {service["binary"] for service in services}
    return others and set(hosts) <= up and set(hosts if pools is None else pools) <= known
