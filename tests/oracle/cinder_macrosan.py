"""Runs inside an environment with the cinder package: its own MacroSAN drivers, unmodified, against a simulated array.

Usage: cinder_macrosan.py READY_JSON iscsi|fc. Prints one JSON object: what was seen, and the requests of each operation. LUNs are thin
over iSCSI and thick over FC.
"""

from __future__ import annotations

import json
import sys
from unittest import mock

from lab import CONNECTOR, OTHER, POOL, SECOND, Lab, contents, holds, lun

from cinder.volume import qos_specs, volume_types
from cinder.volume.drivers.macrosan import driver as macrosan

# The drivers take FC initiators from the one list on attach and from the other on detach (protocol sheet, section 7).
FIRST, OTHER_HOST = (connector | {"wwnns": connector["wwpns"]} for connector in (CONNECTOR, SECOND))


def lab(ready: dict, protocol: str) -> Lab:
    """Return a driver on the simulator; both service processors have one address, since the port is not to be chosen."""
    management = ready["management"]
    first, second = ready["ports"]["iscsi"]
    options = {
        "san_ip": f"{management['host']},{management['host']}",
        "san_login": management["username"],
        "san_password": management["password"],
        "macrosan_pool": POOL,
        "san_thin_provision": str(protocol == "iscsi"),
        "macrosan_client_default": f"{first};{second}",
    }
    kinds = {"iscsi": macrosan.MacroSANISCSIDriver, "fc": macrosan.MacroSANFCDriver}
    return Lab(ready, kinds[protocol], options)


def snapshot(lab: Lab, number: int, volume):
    """Return a snapshot whose id begins with its number: the drivers name a point by the first 23 digits of its id."""
    made = lab.snapshot(number, volume)
    made.id = f"{number:08d}{made.id[8:]}"
    return made


def life(lab: Lab) -> None:
    """Volumes, snapshots, clones, connections."""
    driver = lab.driver
    lab.seen["pools"] = [pool["pool_name"] for pool in lab.run("stats", driver.get_volume_stats, True)["pools"]]
    volume = lab.create("create", driver.create_volume, lab.volume(1))
    lab.run("extend", driver.extend_volume, volume, 2)
    volume.size = 2
    first = lab.create("first snapshot", driver.create_snapshot, snapshot(lab, 10, volume))
    second = lab.create("snapshot", driver.create_snapshot, snapshot(lab, 20, volume))
    twin = lab.create("volume from snapshot", driver.create_volume_from_snapshot, lab.volume(2, 2), first)
    larger = lab.create("larger volume from snapshot", driver.create_volume_from_snapshot, lab.volume(3, 4), first)
    clone = lab.create("clone", driver.create_cloned_volume, lab.volume(4, 2), volume)
    lab.seen["made"] = [(item["size"], item["thin"]) for item in lab.state()["volumes"]]
    connections(lab, volume, twin)
    try:
        driver.revert_to_snapshot(lab.context, volume, second)
    except NotImplementedError as refused:
        lab.seen["revert"] = type(refused).__name__
    lab.run("delete snapshot", driver.delete_snapshot, first)
    lab.run("delete last snapshot", driver.delete_snapshot, second)
    for name, item in (("delete", volume), ("delete copy", twin), ("delete larger", larger), ("delete clone", clone)):
        lab.run(name, driver.delete_volume, item)
    lab.run("delete absent", driver.delete_volume, volume)


def connections(lab: Lab, volume, second) -> None:
    """Attach and detach, two hosts."""
    driver = lab.driver
    first = lab.run("first attach", driver.initialize_connection, volume, FIRST)
    lab.seen["connection"] = first["data"]
    again = lab.run("attach, known host", driver.initialize_connection, second, FIRST)
    lab.seen["second lun differs"] = lun(first) != lun(again)
    lab.run("second host", driver.initialize_connection, volume, OTHER_HOST)
    lab.seen["mapped"] = len(lab.state()["mappings"])
    lab.run("second host detach", driver.terminate_connection, volume, OTHER_HOST)
    lab.run("detach", driver.terminate_connection, second, FIRST)
    lab.run("last detach", driver.terminate_connection, volume, FIRST)
    lab.seen["mapped in the end"] = len(lab.state()["mappings"])


def limited(lab: Lab) -> None:
    """A volume of a type with a QoS strategy that an administrator has made."""
    specs = {"qos_specs": {"id": "q", "consumer": "back-end", "specs": {"qos-strategy": "QoS-gold"}}}
    kind = {"id": "gold", "extra_specs": {}, "qos_specs_id": "q"}
    with (
        mock.patch.object(volume_types, "get_volume_type", lambda *_a, **_k: kind),
        mock.patch.object(volume_types, "get_volume_type_qos_specs", lambda _i: specs),
        mock.patch.object(qos_specs, "get_qos_specs", lambda _c, _i: specs["qos_specs"]),
    ):
        volume = lab.create("create with QoS", lab.driver.create_volume, lab.volume(11, volume_type_id="gold"))
        lab.seen["qos"] = [item["qos"] for item in lab.state()["volumes"]]
        lab.run("delete with QoS", lab.driver.delete_volume, volume)


def managed(lab: Lab) -> None:
    """Take over a LUN and a snapshot, and move the LUN to another pool."""
    driver = lab.driver
    original = lab.create("create to manage", driver.create_volume, lab.volume(21))
    existing = {"source-name": lab.state()["volumes"][0]["name"]}
    lab.seen["managed size"] = driver.manage_existing_get_size(lab.volume(22), existing)
    taken = lab.create("manage", driver.manage_existing, lab.volume(22), existing)
    driver.create_snapshot(snapshot(lab, 220, taken))
    names = {"source-name": lab.state()["snapshots"][0]["name"]}
    other = snapshot(lab, 230, taken)
    lab.seen["managed snapshot size"] = driver.manage_existing_snapshot_get_size(other, names)
    lab.create("manage snapshot", driver.manage_existing_snapshot, other, names)
    driver.delete_snapshot(other)
    pool = next(pool for pool in driver.get_volume_stats(True)["pools"] if pool["pool_name"] == POOL)
    there = {"host": f"lab@lab#{OTHER}", "capabilities": {**pool, "pool_name": OTHER}}
    moved, update = lab.run("move", driver.migrate_volume, lab.context, taken, there)
    for key, value in (update or {}).items():
        setattr(taken, key, value)
    lab.seen["moved"] = (moved, [item["pool"] for item in lab.state()["volumes"]])
    driver.delete_volume(taken)
    del original


def written(lab: Lab) -> None:
    """Bytes, also those of a clone."""

    def cloned(volume, _snapshot, _data) -> dict[str, bool]:
        clone = lab.create("clone of bytes", lab.driver.create_cloned_volume, lab.volume(63), volume)
        there = lab.driver.initialize_connection(clone, FIRST)["data"]
        seen = {"clone": holds(there, 0x42)}
        lab.driver.terminate_connection(clone, FIRST)
        lab.driver.delete_volume(clone)
        return seen

    contents(lab, snapshot=lambda number, volume: snapshot(lab, 10 * number, volume), connector=FIRST, further=cloned)


def main() -> None:
    ready, protocol = json.loads(sys.argv[1]), sys.argv[2]
    made = lab(ready, protocol)
    for part in (life, limited, managed, *([written] if protocol == "iscsi" else [])):
        part(made)
    state = made.state()
    made.seen["left"] = {kind: state[kind] for kind in ("volumes", "snapshots", "resources", "views", "copies", "mappings")}
    print(json.dumps({"seen": made.seen, "trips": made.trips}))


main()
