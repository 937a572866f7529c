"""Real Cinder services as one child process, with a configuration, a database and a folder of their own."""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import requests

from blockdrivers.host import programs
from tests.cinder.lab.api import Api

INSIDE = Path(__file__).parents[1] / "inside"
HOST = "labhost"
_HIDDEN = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_START_SECONDS = 90.0
_STOP_SECONDS = 5.0

Sections = Mapping[str, Mapping[str, object]]


class Services:
    """API, scheduler, volume and backup services in one process; nothing of them outlives this object or this process.

    Args:
        python: the interpreter of an environment with cinder and what the back ends need.
        folder: empty; everything is kept there, logs too.
        backends: section -> options.
        images: URL of an image service.
        quiet: report capacities only at the start, so that an array's requests are those of the work alone.
        defaults: more options of the section DEFAULT.
    """

    def __init__(
        self,
        python: Path,
        folder: Path,
        backends: Sections,
        *,
        images: str = "http://127.0.0.1:9",
        quiet: bool = False,
        defaults: Mapping[str, object] | None = None,
    ) -> None:
        self._bin, self._folder, self._backends = python.parent, folder, backends
        self._port = _free_port()
        self._images, self._quiet, self._defaults = images, quiet, defaults or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.root = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Services:
        try:
            self._prepare()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> str:
        """Return what the services have logged."""
        return (self._folder / "services.log").read_text(errors="replace")

    def memory_kib(self) -> int:
        """Return the memory that the services hold, shared pages in proportion."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    def _prepare(self) -> None:
        for name in ("state", "backup", "locks"):
            (self._folder / name).mkdir()
        shipped = self._bin.parent / "etc" / "cinder"
        shutil.copy(shipped / "resource_filters.json", self._folder)
        # Cinder has left /v2 away; its v3 answers there as version 3.0 once the plain URL map lets it.
        paste = (shipped / "api-paste.ini").read_text()
        paste = paste.replace("use = call:cinder.api:root_app_factory", "use = call:paste.urlmap:urlmap_factory")
        paste = paste.replace("/v3: openstack_volume_api_v3", "/v3: openstack_volume_api_v3\n/v2: openstack_volume_api_v3")
        (self._folder / "api-paste.ini").write_text(paste)
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_dict(
            {section: {key: str(value) for key, value in options.items()} for section, options in self._sections().items()}
        )
        with (self._folder / "cinder.conf").open("w") as file:
            parser.write(file)
        command = [self._bin / "cinder-manage", "--config-file", self._folder / "cinder.conf", "db", "sync"]
        with (self._folder / "sync.log").open("wb") as log:
            subprocess.run(command, env=self._environment(), stdout=log, stderr=log, check=True, timeout=120)

    def _sections(self) -> dict[str, Mapping[str, object]]:
        folder, often = self._folder, 3600 if self._quiet else 5
        helper = {"helper_command": f"{self._bin}/privsep-helper --config-file {folder}/cinder.conf"}
        default = {
            "debug": True,
            "host": HOST,
            "my_ip": "127.0.0.1",
            "auth_strategy": "noauth",
            "api_paste_config": folder / "api-paste.ini",
            "resource_query_filters_file": folder / "resource_filters.json",
            "state_path": folder / "state",
            "osapi_volume_listen": "127.0.0.1",
            "osapi_volume_listen_port": self._port,
            "osapi_volume_workers": 1,
            "transport_url": "fake:/",
            "rpc_response_timeout": 60,
            "enabled_backends": ",".join(self._backends),
            "default_volume_type": "__DEFAULT__",
            "backup_driver": "cinder.backup.drivers.posix.PosixBackupDriver",
            "backup_posix_path": folder / "backup",
            "backup_use_same_host": True,
            "backup_compression_algorithm": "none",
            "backup_file_size": 64 * 1024**2,
            "glance_api_servers": self._images,
            "report_interval": 2,
            "service_down_time": 30,
            "periodic_interval": often,
            "periodic_fuzzy_delay": 0,
            "backend_stats_polling_interval": often,
            "volume_clear": "none",
            **{f"quota_{what}": -1 for what in ("volumes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "groups")},
            **self._defaults,
        }
        return {
            "DEFAULT": default,
            "database": {"connection": f"sqlite:///{folder}/state/cinder.db"},
            "oslo_concurrency": {"lock_path": folder / "locks"},
            "coordination": {"backend_url": f"file://{folder}/state/tooz"},
            "privsep_osbrick": helper,
            "cinder_sys_admin": helper,
            **{name: {"volume_backend_name": name, **options} for name, options in self._backends.items()},
        }

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
        return kept | {"PATH": f"{self._bin}{os.pathsep}{kept['PATH']}", "PYTHONWARNINGS": "ignore"}

    def _start(self) -> None:
        command = [*programs.TIED, self._bin / "python", INSIDE / "services.py", "--config-file", self._folder / "cinder.conf"]
        with (self._folder / "services.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        ends = time.monotonic() + _START_SECONDS
        while not self._ready():
            assert self._process.poll() is None, f"the services have ended: {self.log()[-4000:]}"
            assert time.monotonic() < ends, f"the services are not ready: {self.log()[-4000:]}"
            time.sleep(0.2)

    def _ready(self) -> bool:
        """Tell whether every service is up and the scheduler knows the pools of every back end."""
        api, wanted = Api(self.root), {f"{HOST}@{name}" for name in self._backends}
        try:
            up = {service["host"] for service in api.get("/os-services")["services"] if service["state"] == "up"}
            pools = {pool["name"].partition("#")[0] for pool in api.get("/scheduler-stats/get_pools")["pools"]}
        except (requests.ConnectionError, AssertionError):
            return False
        return wanted <= up & pools

    def stop(self) -> None:
        """End the services and whatever they have started."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
