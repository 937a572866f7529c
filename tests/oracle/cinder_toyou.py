"""Runs inside an environment with the cinder package: its own ACS5000 drivers, unmodified, against a simulated array.

Usage: cinder_toyou.py READY_JSON iscsi|fc. Prints one JSON object: what was seen, and the commands of each operation.
"""

from __future__ import annotations

import json
import sys
import time

from lab import CONNECTOR, OTHER, POOL, SECOND, Lab, contents, holds, lun

from cinder.volume.drivers.toyou.acs5000 import acs5000_fc, acs5000_iscsi


def driver_of(ready: dict, protocol: str) -> Lab:
    """Return a driver that knows the array's host key."""
    there = ready["management"]
    options = {
        "san_ip": there["host"],
        "san_ssh_port": there["port"],
        "san_login": there["username"],
        "san_password": there["password"],
        "acs5000_volpool_name": f"{POOL},{OTHER}",
        "acs5000_copy_interval": 3,
        "acs5000_multiattach": "true",
    }
    kind = acs5000_iscsi.Acs5000ISCSIDriver if protocol == "iscsi" else acs5000_fc.Acs5000FCDriver
    lab = Lab(ready, kind, options, f"[{there['host']}]:{there['port']} {there['host_key']}\n")
    lab.seen["pools"] = [pool["pool_name"] for pool in lab.run("stats", lab.driver.get_volume_stats, True)["pools"]]
    return lab


def settle(lab: Lab) -> None:
    """Wait for what a revert leaves the array to do; that driver does not."""
    end = time.monotonic() + 30
    while any(item["reverting"] for item in lab.state()["snapshots"]):
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
    settle(lab)
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
    lab.seen["second lun differs"] = lun(first) != lun(again)
    lab.run("second host", driver.initialize_connection, volume, SECOND)
    lab.seen["maps"] = [(item["initiator"], item["lun"]) for item in lab.state()["mappings"]]
    lab.run("second host detach", driver.terminate_connection, volume, SECOND)
    lab.run("detach", driver.terminate_connection, second, CONNECTOR)
    lab.run("detach from every host", driver.terminate_connection, volume, None)
    lab.seen["maps left"] = lab.state()["mappings"]


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
    host = {"host": f"lab@lab#{OTHER}", "capabilities": lab.capabilities(OTHER)}
    lab.seen["migrated"] = bool(lab.run("move to another pool", driver.migrate_volume, lab.context, taken, host)[0])
    lab.seen["pool afterwards"] = [item["pool"] for item in lab.state()["volumes"]]
    driver.delete_volume(taken)


def written(lab: Lab) -> None:
    """Bytes, also those of a volume that is put back."""

    def reverted(volume, snapshot, data) -> dict[str, bool]:
        lab.driver.revert_to_snapshot(lab.context, volume, snapshot)
        settle(lab)
        return {"reverted": holds(data, 0x41)}

    contents(lab, further=reverted)


def main() -> None:
    ready, protocol = json.loads(sys.argv[1]), sys.argv[2]
    lab = driver_of(ready, protocol)
    for part in (life, managed, *([written] if protocol == "iscsi" else [])):
        part(lab)
    state = lab.state()
    lab.seen["left"] = {kind: state[kind] for kind in ("volumes", "snapshots", "copies", "mappings")}
    print(json.dumps({"seen": lab.seen, "trips": lab.trips, "verbs": lab.verbs}))


main()
