"""What Cinder's services are told: their configuration files, and a database that is ready for them."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cinder.lab.children import free_port

HOST = "labhost"
_HIDDEN = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

Sections = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The configuration of all services of one cloud.

    Attributes:
        python: the interpreter of an environment with cinder and what the back ends need.
        folder: empty; everything is kept there, logs too.
        temporary: for the services' temporary files; the system's folder where None.
        backends: section -> options.
        images: URL of an image service.
        quiet: report capacities only at the start, so that an array's requests are those of the work alone.
        transport: URL of the services' messages.
        database: URL; a file in the folder where None.
        defaults: more options of the section DEFAULT.
        port: of the API.
    """

    python: Path
    folder: Path
    temporary: Path | None = None
    backends: Sections
    images: str = "http://127.0.0.1:9"
    quiet: bool = False
    transport: str = "fake:/"
    database: str | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def bin(self) -> Path:
        """Where the environment's programs are."""
        return self.python.parent

    def prepare(self) -> None:
        """Make folders, files and the database's tables."""
        for name in ("state", "backup", "locks"):
            (self.folder / name).mkdir()
        shipped = self.bin.parent / "etc" / "cinder"
        shutil.copy(shipped / "resource_filters.json", self.folder)
        # Cinder has left /v2 away; its v3 answers there as version 3.0 once the plain URL map lets it.
        paste = (shipped / "api-paste.ini").read_text()
        paste = paste.replace("use = call:cinder.api:root_app_factory", "use = call:paste.urlmap:urlmap_factory")
        paste = paste.replace("/v3: openstack_volume_api_v3", "/v3: openstack_volume_api_v3\n/v2: openstack_volume_api_v3")
        (self.folder / "api-paste.ini").write_text(paste)
        command = [self.bin / "cinder-manage", "--config-file", self.file(), "db", "sync"]
        with (self.folder / "sync.log").open("wb") as log:
            subprocess.run(command, env=self.environment(), stdout=log, stderr=log, check=True, timeout=120)

    def file(self, name: str = "cinder", **own: object) -> Path:
        """Write a configuration file and return where; `own` are options of DEFAULT for one service only."""
        sections = self._sections()
        sections["DEFAULT"] = {**sections["DEFAULT"], **own}
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_dict({section: {key: str(value) for key, value in options.items()} for section, options in sections.items()})
        written = self.folder / f"{name}.conf"
        with written.open("w") as file:
            parser.write(file)
        return written

    def environment(self) -> dict[str, str]:
        """Return the environment that the services run in."""
        kept = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
        own = {"PATH": f"{self.bin}{os.pathsep}{kept['PATH']}", "PYTHONWARNINGS": "ignore"}
        return kept | own | ({"TMPDIR": str(self.temporary)} if self.temporary else {})

    def _sections(self) -> dict[str, Mapping[str, object]]:
        folder, often = self.folder, 3600 if self.quiet else 5
        helper = {"helper_command": f"{self.bin}/privsep-helper --config-file {folder}/cinder.conf"}
        default = {
            "debug": True,
            "host": HOST,
            "my_ip": "127.0.0.1",
            "auth_strategy": "noauth",
            "api_paste_config": folder / "api-paste.ini",
            "resource_query_filters_file": folder / "resource_filters.json",
            "state_path": folder / "state",
            "osapi_volume_listen": "127.0.0.1",
            "osapi_volume_listen_port": self.port,
            "osapi_volume_workers": 1,
            "transport_url": self.transport,
            "rpc_response_timeout": 60,
            "enabled_backends": ",".join(self.backends),
            "default_volume_type": "__DEFAULT__",
            "backup_driver": "cinder.backup.drivers.posix.PosixBackupDriver",
            "backup_posix_path": folder / "backup",
            "backup_use_same_host": True,
            "backup_compression_algorithm": "none",
            "backup_file_size": 64 * 1024**2,
            "glance_api_servers": self.images,
            "report_interval": 2,
            "service_down_time": 30,
            "periodic_interval": often,
            "periodic_fuzzy_delay": 0,
            "backend_stats_polling_interval": often,
            "volume_clear": "none",
            **{f"quota_{what}": -1 for what in ("volumes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "groups")},
            **self.defaults,
        }
        return {
            "DEFAULT": default,
            "database": {"connection": self.database or f"sqlite:///{folder}/state/cinder.db"},
            "oslo_concurrency": {"lock_path": folder / "locks"},
            "coordination": {"backend_url": f"file://{folder}/state/tooz"},
            "privsep_osbrick": helper,
            "cinder_sys_admin": helper,
            **{name: {"volume_backend_name": name, **options} for name, options in self.backends.items()},
        }
