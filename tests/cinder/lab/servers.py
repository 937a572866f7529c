"""A message broker and a database server of a cloud's own: RabbitMQ and PostgreSQL, at loopback addresses."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from blockdrivers.host.programs import TIED
from tests.cinder.lab import children
from tests.cinder.lab.children import free_port

_START_SECONDS = 60.0
_RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server itself: what stands in the search path goes through su."""
_AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
"""The database server refuses to run as root."""


class Broker:
    """RabbitMQ, with a port mapper of its own in the foreground: else it leaves one behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._port, self._mapper, self._distribution = free_port(), free_port(), free_port()
        self.url = f"rabbit://guest:guest@127.0.0.1:{self._port}/"

    def __enter__(self) -> Broker:
        folder = self._folder
        folder.mkdir()
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self._port}",
            "log.console": "true",
            "log.file": "false",
            "vm_memory_high_watermark.absolute": "512MB",
            "disk_free_limit.absolute": "50MB",
        }
        (folder / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        (folder / "enabled_plugins").write_text("[].\n")
        try:
            self._start(["epmd", "-address", "127.0.0.1", "-port", str(self._mapper)])
            self._start([_RABBIT])
            _await(lambda: "Server startup complete" in self._log().read_text(errors="replace"), self._processes[-1], self._log())
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End both."""
        while self._processes:
            children.end(self._processes.pop())

    def _log(self) -> Path:
        return self._folder / "broker.log"

    def _start(self, command: list[str | Path]) -> None:
        folder = self._folder
        own = {
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper),
            "RABBITMQ_NODENAME": f"lab{self._port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
        }
        self._processes.append(children.start(command, self._log(), os.environ | own))


class Database:
    """PostgreSQL, in a folder of its own that only its own user can read."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="blockdrivers-database-")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self.url = f"postgresql+psycopg2://cinder@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Database:
        folder, programs = Path(self._folder.name), max(Path("/usr/lib/postgresql").iterdir()) / "bin"
        shutil.chown(folder, "postgres", "postgres")
        data, log = folder / "data", folder / "database.log"
        made = [programs / "initdb", "-D", data, "-A", "trust", "-U", "cinder", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run([*_AS_POSTGRES, *made], check=True, capture_output=True, timeout=_START_SECONDS, cwd=folder)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 200,
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        # Who becomes another user is not tied any more, and has to be tied again.
        command = [*_AS_POSTGRES, *TIED, programs / "postgres", "-D", data, *options]
        self._process = children.start(command, log, os.environ)
        asked = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        try:
            _await(lambda: subprocess.run(asked, check=False).returncode == 0, self._process, log)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; nothing of it is left."""
        if self._process is not None:
            children.end(self._process)
            self._process = None
        self._folder.cleanup()


def _await(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + _START_SECONDS
    while not ready():
        assert process.poll() is None, f"it has ended: {log.read_text(errors='replace')[-2000:]}"
        assert time.monotonic() < ends, f"it does not start: {log.read_text(errors='replace')[-2000:]}"
        time.sleep(0.2)
