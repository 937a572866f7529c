"""What the scripts that run cinder's own drivers against a simulated array share; imported inside an environment with cinder.

A script makes a `Lab` with an unmodified driver, runs operations through `Lab.run`, which counts their requests, and prints what it
has seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from unittest import mock

for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(name, None)

from cinder import context, coordination, objects

objects.register_all()
from cinder.db import api as db_api
from cinder.db import models
from cinder.objects import fields as states
from cinder.volume import configuration
from cinder.volume import driver as base_driver
from oslo_config import cfg

IQN = "iqn.1994-05.org.example:cmp01"
CONNECTOR = {
    "initiator": IQN,
    "wwpns": ["21000024ff000001", "21000024ff000002"],
    "wwnns": ["20000024ff000001"],
    "host": "cmp01",
    "ip": "127.0.0.1",
    "multipath": True,
    "os_type": "linux",
}
SECOND = CONNECTOR | {
    "initiator": "iqn.1994-05.org.example:cmp02",
    "wwpns": ["21000024ff000003", "21000024ff000004"],
    "host": "cmp02",
}
POOL, OTHER = "pool_a", "pool_b"
ASIDE = ("login", "lscloudcallhome", "registerplugin")
"""What drivers send in the background, or once a connection: it falls into whatever step comes next."""


class Lab:
    """A driver of cinder's, and the simulator's counters.

    Args:
        ready: the simulator's ready line.
        kind: the driver's class.
        options: of its backend section.
        known_hosts: lines for SSH; then, as on a volume service in production, no other host key is taken.
    """

    def __init__(self, ready: dict, kind, options: dict, known_hosts: str = "") -> None:
        self.ready = ready
        self.trips: dict[str, int] = {}
        self.verbs: dict[str, dict[str, int]] = {}
        self.seen: dict[str, object] = {}
        self.context = context.get_admin_context()
        folder = Path(tempfile.mkdtemp())
        (folder / "known_hosts").write_text(known_hosts)
        section = "".join(f"{name} = {value}\n" for name, value in {"volume_backend_name": "lab", **options}.items())
        (folder / "cinder.conf").write_text(
            f"[DEFAULT]\nssh_hosts_key_file = {folder}/known_hosts\nstrict_ssh_host_key_policy = {bool(known_hosts)}\n[lab]\n{section}"
            f"[coordination]\nbackend_url = file://{folder}/tooz\n[oslo_concurrency]\nlock_path = {folder}/locks\n"
        )
        with (folder / "cinder.conf").open("a") as file:
            file.write(f"[database]\nconnection = sqlite:///{folder}/cinder.db\n")
        cfg.CONF(["--config-file", str(folder / "cinder.conf")], project="cinder")
        config = configuration.Configuration(base_driver.volume_opts, config_group="lab")
        if coordination.COORDINATOR.coordinator is None:
            coordination.COORDINATOR.start()
        # Some drivers ask cinder's database what it knows of their volumes: nothing.
        models.BASE.metadata.create_all(db_api.get_engine())
        self.volumes: dict[str, objects.Volume] = {}
        database = mock.Mock()
        database.volume_get.side_effect = lambda _context, identifier: self.volumes[identifier]
        database.volume_metadata_get.side_effect = lambda *_: {}
        self.driver = kind(configuration=config, db=database, host="lab@lab")
        self.driver.db = database
        self.run("do_setup", self.driver.do_setup, self.context)
        self.run("check_for_setup_error", self.driver.check_for_setup_error)

    def run(self, title: str, step, *arguments):
        """Run one step; keep how many requests the array had from it."""
        self._control("counters", "DELETE")
        answer = step(*arguments)
        counted = json.loads(self._control("counters"))["by_operation"]
        self.verbs[title] = {operation: number for operation, number in counted.items() if operation not in ASIDE}
        self.trips[title] = sum(self.verbs[title].values())
        return answer

    def create(self, title: str, step, item, *rest):
        """Run a step that makes a volume or snapshot, and keep on it what the driver returns."""
        for key, value in (self.run(title, step, item, *rest) or {}).items():
            setattr(item, key, value)
        return item

    def state(self) -> dict:
        """Return the array's objects."""
        return json.loads(self._control("state"))

    def log(self) -> list[str]:
        """Return the operations since the last count, in order."""
        return [entry["operation"] for entry in json.loads(self._control("log"))]

    def _control(self, path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(f"{self.ready['control']}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def volume(self, number: int, size: int = 1, pool: str = POOL, **more):
        """Return a volume as cinder's manager has it before its creation."""
        fields = {
            "context": self.context,
            "id": f"00000000-0000-4000-8000-{number:012d}",
            "_name_id": None,
            "size": size,
            "host": f"lab@lab#{pool}",
            "status": "available",
            "volume_type_id": None,
            "volume_type": None,
            "metadata": {},
            "admin_metadata": {},
            "provider_location": None,
            "provider_auth": None,
            "multiattach": False,
            "group_id": None,
            "group": None,
            "consistencygroup_id": None,
            "encryption_key_id": None,
            "replication_driver_data": None,
            "replication_status": None,
            "migration_status": None,
            "previous_status": None,
            "volume_attachment": objects.VolumeAttachmentList(objects=[]),
            "display_name": "",
            "project_id": "p",
            **more,
        }
        made = self.volumes[fields["id"]] = objects.Volume(**fields)
        return made

    def snapshot(self, number: int, volume):
        """Return a snapshot as cinder's manager has it before its creation."""
        return objects.Snapshot(
            context=self.context,
            id=f"00000000-0000-4000-9000-{number:012d}",
            volume_id=volume.id,
            volume_size=volume.size,
            volume=volume,
            provider_location=None,
            metadata={},
            status="available",
            display_name="",
            project_id="p",
            group_snapshot_id=None,
            volume_type_id=None,
        )

    def group(self, number: int = 1, **more):
        """Return a group as cinder's manager has it."""
        fields = {
            "context": self.context,
            "id": f"00000000-0000-4000-a000-{number:012d}",
            "status": states.GroupStatus.AVAILABLE,
            "host": "lab@lab",
            "volumes": objects.VolumeList(objects=[]),
            "volume_types": objects.VolumeTypeList(objects=[]),
            **more,
        }
        return objects.Group(**fields)

    def capabilities(self, pool: str) -> dict:
        """Return what the driver tells cinder's scheduler of a pool."""
        return next(each for each in self.driver.get_volume_stats(True)["pools"] if each["pool_name"] == pool)


def lun(connection: dict) -> object:
    """Return the LUN id, or ids, of a connection."""
    data = connection["data"]
    return data.get("target_lun", data.get("target_luns"))


def io(data: dict, command: str, initiator: str = IQN) -> subprocess.CompletedProcess:
    """Run one qemu-io command on what a connection describes."""
    one = {key: data.get(f"target_{key}s", [data.get(f"target_{key}")])[0] for key in ("portal", "iqn", "lun")}
    options = f"driver=iscsi,transport=tcp,portal={one['portal']},target={one['iqn']},lun={one['lun']},initiator-name={initiator}"
    if data.get("auth_username"):
        options += f",user={data['auth_username']},password={data['auth_password']}"
    return subprocess.run(
        ["qemu-io", "--image-opts", options, "-c", command, "-c", "flush"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def holds(data: dict, pattern: int, **more: str) -> bool:
    """Tell whether the first mebibyte behind a connection can be read and is full of one byte."""
    ended = io(data, f"read -P {pattern} 0 1M", **more)
    return ended.returncode == 0 and "read 1048576" in ended.stdout and "failed" not in ended.stdout


def contents(
    lab: Lab,
    *,
    volume: Callable[[int], object] | None = None,
    snapshot: Callable[[int, object], object] | None = None,
    attach: Callable[[str, object, dict], dict] | None = None,
    connector: dict = CONNECTOR,
    settle: Callable[[], object] = lambda: None,
    further: Callable[[object, object, dict], dict[str, bool]] = lambda _volume, _snapshot, _data: {},
) -> None:
    """See the bytes behind what a driver maps: written, kept in a snapshot, copied out of it, and out of reach after a detach.

    Args:
        lab: with the driver.
        volume: a volume of a number, as the driver wants it.
        snapshot: a snapshot of a number and a volume.
        attach: what cinder's manager does of a title, a volume and a connector.
        connector: of the host.
        settle: waits for copies that the driver does not wait for.
        further: what else is seen of the volume, its snapshot and where it is.
    """
    volume, snapshot = volume or lab.volume, snapshot or lab.snapshot
    driver = lab.driver
    attach = attach or (lambda title, item, host: lab.run(title, driver.initialize_connection, item, host))
    source = lab.create("create for bytes", driver.create_volume, volume(61))
    data = attach("attach for bytes", source, connector)["data"]
    io(data, "write -P 0x41 0 1M")
    taken = lab.create("snapshot of bytes", driver.create_snapshot, snapshot(61, source))
    io(data, "write -P 0x42 0 1M")
    twin = lab.create("volume of bytes", driver.create_volume_from_snapshot, volume(62), taken)
    settle()
    copied = attach("attach copy", twin, connector)["data"]
    seen = {
        "volume": holds(data, 0x42),
        "copy": holds(copied, 0x41),
        "wrong": holds(copied, 0x42),
        "stranger": holds(copied, 0x41, initiator=SECOND["initiator"]),
    }
    driver.terminate_connection(twin, connector)
    seen["detached"] = holds(copied, 0x41)
    lab.seen["bytes"] = seen | further(source, taken, data)
    driver.terminate_connection(source, connector)
    driver.delete_volume(twin)
    driver.delete_snapshot(taken)
    driver.delete_volume(source)
