"""Real Cinder services as in production: a process each, a message broker, a database server, and two volume services in a cluster."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.cinder.lab import children
from tests.cinder.lab.api import Api
from tests.cinder.lab.configuration import HOST, Configuration
from tests.cinder.lab.servers import Broker, Database
from tests.cinder.lab.services import INSIDE, ready
from tests.leftovers import own_folder

CLUSTER = "lab"
VOLUME_SERVICES = ("volume-1", "volume-2")
SERVICES = ("api", "scheduler", *VOLUME_SERVICES, "backup")
_START_SECONDS = 120.0


class Processes:
    """The services of one cloud, each of which can be killed and started again. Used by the thread that made it only."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()
        self.root = f"http://127.0.0.1:{configuration.port}"

    def __enter__(self) -> Processes:
        try:
            folder, temporary = self._configuration.folder, self._stack.enter_context(own_folder())
            broker, database = self._stack.enter_context(Broker(folder / "broker")), self._stack.enter_context(Database())
            self._configuration = replace(self._configuration, temporary=temporary, transport=broker.url, database=database.url)
            self._configuration.prepare()
            for name in SERVICES:
                self.start(name)
            self.settle()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all of them, broker and database too, and what those that were killed have left on this machine."""
        while self._running:
            children.end(self._running.popitem()[1])
        self._stack.close()

    def start(self, name: str) -> None:
        """Start a service; it is not ready yet when this returns."""
        told, kind = self._configuration, name.partition("-")[0]
        own = {"host": name, "cluster": CLUSTER} if kind == "volume" else {"host": HOST}
        inside = [told.python, INSIDE / "service.py", kind] if kind in {"volume", "backup"} else [told.bin / f"cinder-{kind}"]
        command = [*inside, "--config-file", told.file(name, **own)]
        self._running[name] = children.start(command, told.folder / f"{name}.log", told.environment())

    def kill(self, name: str) -> None:
        """Kill a service at once, with all of its processes."""
        children.kill(self._running.pop(name))

    def settle(self) -> None:
        """Return once every service is up and the scheduler knows the pools of every back end."""
        ends, api = time.monotonic() + _START_SECONDS, Api(self.root)
        backends = self._configuration.backends
        hosts = {f"{name}@{backend}" for name in VOLUME_SERVICES for backend in backends}
        pools = {f"{CLUSTER}@{backend}" for backend in backends}
        while not ready(api, hosts, pools):
            ended = {name: process.returncode for name, process in self._running.items() if process.poll() is not None}
            assert not ended, f"services have ended: {ended}"
            assert time.monotonic() < ends, f"the services are not ready; their logs are in {self._configuration.folder}"
            time.sleep(0.2)

    def log(self, name: str) -> str:
        """Return what a service has logged."""
        return Path(self._configuration.folder / f"{name}.log").read_text(errors="replace")
