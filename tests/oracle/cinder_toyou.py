"""Runs inside an environment with the cinder package: its own ACS5000 drivers, unmodified, against a simulated array.

Usage: cinder_toyou.py READY_JSON iscsi|fc. Prints one JSON object: what was seen, and the commands of each operation.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from unittest import mock

from cinder import context, coordination, objects

objects.register_all()
from cinder.volume import configuration
from cinder.volume import driver as base_driver
from cinder.volume.drivers.san import san
from cinder.volume.drivers.toyou.acs5000 import acs5000_common, acs5000_fc, acs5000_iscsi
from oslo_config import cfg

IQN = "iqn.1994-05.org.example:cmp01"
CONNECTOR = {
    "initiator": IQN,
    "wwpns": ["21000024ff000001", "21000024ff000002"],
    "wwnns": ["20000024ff000001"],
    "host": "cmp01",
    "ip": "127.0.0.1",
    "multipath": True,
}
SECOND = CONNECTOR | {
    "initiator": "iqn.1994-05.org.example:cmp02",
    "wwpns": ["21000024ff000003", "21000024ff000004"],
    "host": "cmp02",
}
POOL = "pool_a"
CONF = """[toyou]
volume_backend_name = toyou
san_ip = {host}
san_ssh_port = {port}
san_login = {username}
san_password = {password}
acs5000_volpool_name = pool_a,pool_b
acs5000_copy_interval = 3
acs5000_multiattach = true
[DEFAULT]
ssh_hosts_key_file = {folder}/known_hosts
strict_ssh_host_key_policy = true
[coordination]
backend_url = file://{folder}/tooz
[oslo_concurrency]
lock_path = {folder}/locks
"""


class Lab:
    """The driver and the counters."""

    def __init__(self, ready: dict, protocol: str) -> None:
        self.ready = ready
        self.trips: dict[str, int] = {}
        self.verbs: dict[str, dict[str, int]] = {}
        self.seen: dict[str, object] = {}
        self.context = context.get_admin_context()
        management = ready["management"]
        folder = Path(tempfile.mkdtemp())
        # Its policy is the strict one: the key is known beforehand, as on a volume service in production.
        (folder / "known_hosts").write_text(f"[{management['host']}]:{management['port']} {management['host_key']}\n")
        keys = {key: management[key] for key in ("host", "port", "username", "password")}
        (folder / "cinder.conf").write_text(CONF.format(folder=folder, **keys))
        cfg.CONF(["--config-file", str(folder / "cinder.conf")], project="cinder")
        options = [*base_driver.volume_opts, *san.san_opts, *acs5000_common.acs5000c_opts]
        config = configuration.Configuration(options, config_group="toyou")
        coordination.COORDINATOR.start()
        kind = acs5000_iscsi.Acs5000ISCSIDriver if protocol == "iscsi" else acs5000_fc.Acs5000FCDriver
        self.driver = kind(configuration=config, db=mock.Mock(), host="lab@toyou")
        self.run("do_setup", self.driver.do_setup, self.context)
        self.driver.check_for_setup_error()
        self.seen["pools"] = [pool["pool_name"] for pool in self.run("stats", self.driver.get_volume_stats, True)["pools"]]

    def run(self, title: str, step, *arguments):
        urllib.request.urlopen(urllib.request.Request(f"{self.ready['control']}/counters", method="DELETE"), timeout=10).read()
        answer = step(*arguments)
        with urllib.request.urlopen(f"{self.ready['control']}/counters", timeout=10) as counters:
            counted = json.load(counters)["by_operation"]
        # A login is no command; how many of them there are is the connection pool's affair.
        counted.pop("login", None)
        self.trips[title] = sum(counted.values())
        self.verbs[title] = counted
        return answer

    def volume(self, number: int, size: int = 1):
        return objects.Volume(
            context=self.context,
            id=f"00000000-0000-4000-8000-{number:012d}",
            _name_id=None,
            size=size,
            host=f"lab@toyou#{POOL}",
            status="available",
            volume_type_id=None,
            volume_type=None,
            metadata={},
            admin_metadata={},
            provider_location=None,
            multiattach=False,
            group_id=None,
            group=None,
            consistencygroup_id=None,
            encryption_key_id=None,
            replication_driver_data=None,
            replication_status=None,
            migration_status=None,
            volume_attachment=objects.VolumeAttachmentList(objects=[]),
            display_name="",
            project_id="p",
        )

    def snapshot(self, number: int, volume):
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
        )

    def state(self) -> dict:
        with urllib.request.urlopen(f"{self.ready['control']}/state", timeout=10) as state:
            return json.load(state)

    def settle(self) -> None:
        """Wait for what a revert leaves the array to do; that driver does not."""
        end = time.monotonic() + 30
        while any(item["reverting"] for item in self.state()["snapshots"]):
            assert time.monotonic() < end, "the revert never ended"
            time.sleep(0.05)


def life(lab: Lab) -> None:
    """Volumes, snapshots, clones, reverts."""
    driver = lab.driver
    volume, twin, larger, clone = lab.volume(1), lab.volume(2, 2), lab.volume(3, 4), lab.volume(4, 2)
    lab.run("create", driver.create_volume, volume)
    lab.run("extend", driver.extend_volume, volume, 2)
    volume.size = 2
    snapshot = lab.snapshot(1, volume)
    lab.run("snapshot", driver.create_snapshot, snapshot)
    lab.run("volume from snapshot", driver.create_volume_from_snapshot, twin, snapshot)
    lab.run("larger volume from snapshot", driver.create_volume_from_snapshot, larger, snapshot)
    lab.run("clone", driver.create_cloned_volume, clone, volume)
    lab.seen["made"] = {item["name"]: (item["size"], item["type"]) for item in lab.state()["volumes"]}
    lab.run("revert", driver.revert_to_snapshot, lab.context, volume, snapshot)
    lab.settle()
    connections(lab, volume, twin)
    lab.run("delete snapshot", driver.delete_snapshot, snapshot)
    for name, item in (("delete", volume), ("delete copy", twin), ("delete larger", larger), ("delete clone", clone)):
        lab.run(name, driver.delete_volume, item)
    lab.run("delete, absent", driver.delete_volume, volume)


def connections(lab: Lab, volume, second) -> None:
    """Both connection kinds, two hosts."""
    driver = lab.driver
    first = lab.run("first attach", driver.initialize_connection, volume, CONNECTOR)
    lab.seen["connection"] = first["data"]
    lab.seen["kind"] = first["driver_volume_type"]
    again = lab.run("attach, known host", driver.initialize_connection, second, CONNECTOR)
    lab.seen["second lun differs"] = _lun(first) != _lun(again)
    lab.run("second host", driver.initialize_connection, volume, SECOND)
    lab.seen["maps"] = [(item["initiator"], item["lun"]) for item in lab.state()["mappings"]]
    lab.run("second host detach", driver.terminate_connection, volume, SECOND)
    lab.run("detach", driver.terminate_connection, second, CONNECTOR)
    lab.run("detach from every host", driver.terminate_connection, volume, None)
    lab.seen["maps left"] = lab.state()["mappings"]


def _lun(connection: dict) -> object:
    data = connection["data"]
    return data.get("target_lun", data.get("target_luns"))


def managed(lab: Lab) -> None:
    """Take over a volume, and move one to the other pool."""
    driver = lab.driver
    original = lab.volume(21)
    lab.run("create to manage", driver.create_volume, original)
    name = next(item["name"] for item in lab.state()["volumes"])
    existing = {"source-name": name}
    taken = lab.volume(22)
    lab.seen["managed size"] = driver.manage_existing_get_size(taken, existing)
    lab.run("manage", driver.manage_existing, taken, existing)
    host = {"host": "lab@toyou#pool_b", "capabilities": _capabilities(lab, "pool_b")}
    lab.seen["migrated"] = bool(lab.run("move to another pool", driver.migrate_volume, lab.context, taken, host)[0])
    lab.seen["pool afterwards"] = [item["pool"] for item in lab.state()["volumes"]]
    driver.delete_volume(taken)


def _capabilities(lab: Lab, name: str) -> dict:
    return next(pool for pool in lab.driver.get_volume_stats()["pools"] if pool["pool_name"] == name)


def contents(lab: Lab) -> None:
    """The bytes behind what this driver maps: written, kept in a snapshot, copied out of it, reverted, and out of reach after a detach."""
    driver = lab.driver
    volume, twin = lab.volume(61), lab.volume(62)
    driver.create_volume(volume)
    data = driver.initialize_connection(volume, CONNECTOR)["data"]
    _io(data, "write -P 0x41 0 1M")
    snapshot = lab.snapshot(61, volume)
    driver.create_snapshot(snapshot)
    _io(data, "write -P 0x42 0 1M")
    driver.create_volume_from_snapshot(twin, snapshot)
    copied = driver.initialize_connection(twin, CONNECTOR)["data"]
    lab.seen["bytes"] = {
        "volume": _holds(data, 0x42),
        "copy": _holds(copied, 0x41),
        "wrong": _holds(copied, 0x42),
        "stranger": _holds(copied, 0x41, initiator=SECOND["initiator"]),
    }
    driver.revert_to_snapshot(lab.context, volume, snapshot)
    lab.settle()
    lab.seen["bytes"]["reverted"] = _holds(data, 0x41)
    driver.terminate_connection(twin, CONNECTOR)
    lab.seen["bytes"]["detached"] = _holds(copied, 0x41)
    driver.terminate_connection(volume, CONNECTOR)
    driver.delete_snapshot(snapshot)
    for item in (volume, twin):
        driver.delete_volume(item)


def _io(data: dict, command: str, initiator: str = IQN) -> subprocess.CompletedProcess:
    """Run one qemu-io command on what a connection describes."""
    one = {key: data.get(f"target_{key}s", [data.get(f"target_{key}")])[0] for key in ("portal", "iqn", "lun")}
    options = f"driver=iscsi,transport=tcp,portal={one['portal']},target={one['iqn']},lun={one['lun']},initiator-name={initiator}"
    return subprocess.run(
        ["qemu-io", "--image-opts", options, "-c", command, "-c", "flush"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _holds(data: dict, pattern: int, **more: str) -> bool:
    ended = _io(data, f"read -P {pattern} 0 1M", **more)
    return ended.returncode == 0 and "read 1048576" in ended.stdout and "failed" not in ended.stdout


def main() -> None:
    ready, protocol = json.loads(sys.argv[1]), sys.argv[2]
    lab = Lab(ready, protocol)
    for part in (life, managed, *([contents] if protocol == "iscsi" else [])):
        part(lab)
    state = lab.state()
    lab.seen["left"] = {kind: state[kind] for kind in ("volumes", "snapshots", "copies", "mappings")}
    print(json.dumps({"seen": lab.seen, "trips": lab.trips, "verbs": lab.verbs}))


main()
