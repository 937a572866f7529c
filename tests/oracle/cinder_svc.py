"""Runs inside an environment with the cinder package: its own Storwize or InStorage driver, unmodified, against a simulated array.

Usage: cinder_svc.py READY_JSON ibm|inspur iscsi|fc [life]. Prints one JSON object: what was seen, and the requests of each operation;
with ``life`` of a volume's life alone.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from unittest import mock

from lab import CONNECTOR, OTHER, POOL, SECOND, Lab, contents, holds, lun

from cinder.volume import qos_specs, volume_types
from cinder.volume.drivers.ibm.storwize_svc import storwize_svc_fc, storwize_svc_iscsi
from cinder.volume.drivers.inspur.instorage import instorage_fc, instorage_iscsi

KINDS = {
    ("ibm", "iscsi"): storwize_svc_iscsi.StorwizeSVCISCSIDriver,
    ("ibm", "fc"): storwize_svc_fc.StorwizeSVCFCDriver,
    ("inspur", "iscsi"): instorage_iscsi.InStorageMCSISCSIDriver,
    ("inspur", "fc"): instorage_fc.InStorageMCSFCDriver,
}


def lab(ready: dict, vendor: str, protocol: str, **more: object) -> Lab:
    """Return a driver on the simulator."""
    management = ready["management"]
    pools = {"ibm": "storwize_svc_volpool_name", "inspur": "instorage_mcs_volpool_name"}[vendor]
    options = {
        "san_ip": management["host"],
        "san_ssh_port": management["port"],
        "san_login": management["username"],
        "san_password": management["password"],
        pools: POOL,
        **more,
    }
    if vendor == "ibm" and protocol == "iscsi":
        options.setdefault("storwize_svc_iscsi_chap_enabled", False)
    options[{"ibm": "storwize_svc_allow_tenant_qos", "inspur": "instorage_mcs_allow_tenant_qos"}[vendor]] = True
    return Lab(ready, KINDS[vendor, protocol], options)


def life(lab: Lab, vendor: str) -> None:
    """Volumes, snapshots, clones, revert."""
    driver = lab.driver
    lab.run("stats", driver.get_volume_stats, True)
    volume = lab.create("create", driver.create_volume, lab.volume(1))
    lab.run("extend", driver.extend_volume, volume, 2)
    volume.size = 2
    snapshot = lab.create("first snapshot", driver.create_snapshot, lab.snapshot(1, volume))
    second = lab.create("snapshot", driver.create_snapshot, lab.snapshot(2, volume))
    twin = lab.create("volume from snapshot", driver.create_volume_from_snapshot, lab.volume(2, 2), snapshot)
    larger = lab.create("larger volume from snapshot", driver.create_volume_from_snapshot, lab.volume(3, 4), snapshot)
    clone = lab.create("clone", driver.create_cloned_volume, lab.volume(4, 2), volume)
    settle(lab)
    connections(lab, volume, twin)
    if vendor == "ibm":
        lab.run("revert", driver.revert_to_snapshot, lab.context, volume, second)
        settle(lab)
    lab.run("delete snapshot", driver.delete_snapshot, snapshot)
    driver.delete_snapshot(second)
    for name, item in (("delete", volume), ("delete copy", twin), ("delete larger", larger), ("delete clone", clone)):
        lab.run(name, driver.delete_volume, item)
    lab.run("delete absent", driver.delete_volume, volume)


def settle(lab: Lab) -> None:
    """Wait until background copies have ended: whoever deletes sooner waits in steps of seconds."""
    ending = time.monotonic() + 30
    while any(copy["rate"] and copy["status"] == "copying" for copy in lab.state()["copies"]):
        if time.monotonic() > ending:
            raise AssertionError(f"copies do not end: {lab.state()['copies']}")
        time.sleep(0.05)


def connections(lab: Lab, volume, second) -> None:
    """Two volumes, two hosts."""
    driver = lab.driver
    first = lab.run("first attach", driver.initialize_connection, volume, CONNECTOR)
    lab.seen["connection"] = first["data"]
    again = lab.run("attach, known host", driver.initialize_connection, second, CONNECTOR)
    lab.seen["second lun differs"] = lun(first) != lun(again)
    lab.run("further host", driver.initialize_connection, volume, SECOND)
    lab.run("further host detach", driver.terminate_connection, volume, SECOND)
    lab.run("detach", driver.terminate_connection, second, CONNECTOR)
    lab.run("last detach", driver.terminate_connection, volume, CONNECTOR)


def typed(lab: Lab, vendor: str) -> None:
    """Limits through a type, and a retype in place."""
    rate = {"qos:IOThrottling": "1000"} | ({"qos:IOThrottling_unit": "iops"} if vendor == "ibm" else {})
    limits = qos_specs.create(lab.context, "limits", {"consumer": "back-end", **rate})
    gold = volume_types.create(lab.context, "gold")
    cold = volume_types.create(lab.context, "cold", {_tier(vendor): "False"})
    qos_specs.associate_qos_with_type(lab.context, limits.id, gold.id)
    volume = lab.volume(11, volume_type_id=gold.id)
    lab.create("create with QoS", lab.driver.create_volume, volume)
    lab.seen["qos"] = lab.state()["qos"]
    diff, _ = volume_types.volume_types_diff(lab.context, gold.id, cold.id)
    pool = next(pool for pool in lab.driver.get_volume_stats(True)["pools"] if pool["pool_name"] == POOL)
    host = {"host": f"lab@lab#{POOL}", "capabilities": pool}
    wanted = volume_types.get_volume_type(lab.context, cold.id)
    lab.seen["retyped"] = bool(lab.run("retype in place", lab.driver.retype, lab.context, volume, wanted, diff, host))
    lab.run("delete retyped", lab.driver.delete_volume, volume)


def _tier(vendor: str) -> str:
    return {"ibm": "drivers:easytier", "inspur": "drivers:intier"}[vendor]


def moved(lab: Lab) -> None:
    """Move a volume to another pool of the same system."""
    driver = lab.driver
    volume = lab.create("create to move", driver.create_volume, lab.volume(12))
    system = next(pool for pool in driver.get_volume_stats(True)["pools"] if pool["pool_name"] == POOL)["location_info"]
    host = {"host": f"lab@lab#{OTHER}", "capabilities": {"pool_name": OTHER, "location_info": system, "extent_size": "1024"}}
    host["capabilities"]["location_info"] = system.rpartition(":")[0] + f":{OTHER}"
    lab.seen["moved"] = bool(lab.run("migrate", driver.migrate_volume, lab.context, volume, host)[0])
    time.sleep(0.3)
    lab.seen["copies after move"] = [copy["pool"] for item in lab.state()["volumes"] for copy in item["copies"]]
    driver.delete_volume(volume)


def managed(lab: Lab) -> None:
    """Take over a volume."""
    driver = lab.driver
    lab.create("create to manage", driver.create_volume, lab.volume(21))
    (name,) = [item["name"] for item in lab.state()["volumes"]]
    existing = {"source-name": name}
    taken = lab.volume(22)
    lab.seen["managed size"] = driver.manage_existing_get_size(taken, existing)
    lab.create("manage", driver.manage_existing, taken, existing)
    lab.seen["managed"] = [item["name"] for item in lab.state()["volumes"]] == [taken.name]
    lab.run("delete managed", driver.delete_volume, taken)


def groups(lab: Lab) -> None:
    """Snapshots of a group at one moment."""
    driver = lab.driver
    with mock.patch("cinder.volume.volume_utils.is_group_a_cg_snapshot_type", lambda _group: True):
        group = lab.group(group_type_id="t", volume_type_ids=[])
        members = [lab.create("create member", driver.create_volume, lab.volume(30 + number)) for number in (1, 2)]
        snapshots = [lab.snapshot(30 + number, volume) for number, volume in enumerate(members, 1)]
        taken = mock.Mock(id="00000000-0000-4000-b000-000000000001", group_id=group.id, group=group, source_group_id=None)
        lab.run("group snapshot", driver.create_group_snapshot, lab.context, taken, snapshots)
        lab.seen["group states"] = sorted(copy["status"] for copy in lab.state()["copies"])
        lab.run("delete group snapshot", driver.delete_group_snapshot, lab.context, taken, snapshots)
        for item in members:
            driver.delete_volume(item)


def with_chap(ready: dict, vendor: str, trips: dict[str, int]) -> dict[str, object]:
    """Attach with CHAP: let in with the secret only."""
    chap = lab(ready, vendor, "iscsi", **({"storwize_svc_iscsi_chap_enabled": True} if vendor == "ibm" else {}))
    filler, volume = (chap.create("create for CHAP", chap.driver.create_volume, chap.volume(50 + number)) for number in (0, 1))
    chap.run("attach with CHAP", chap.driver.initialize_connection, filler, CONNECTOR)
    data = chap.run("attach with CHAP, known host", chap.driver.initialize_connection, volume, CONNECTOR)["data"]
    without = {key: value for key, value in data.items() if not key.startswith("auth_")}
    seen = {"user": data.get("auth_username"), "with": holds(data, 0), "without": holds(without, 0)}
    for item in (volume, filler):
        chap.driver.terminate_connection(item, CONNECTOR)
        chap.driver.delete_volume(item)
    trips |= chap.trips
    return seen


def main() -> None:
    ready, vendor, protocol = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    plain = lab(ready, vendor, protocol, **({"use_chap_auth": False} if vendor == "inspur" else {}))
    life(plain, vendor)
    if "life" not in sys.argv[4:]:
        rest(plain, ready, vendor, protocol)
    state = plain.state()
    plain.seen["left"] = {kind: state[kind] for kind in ("volumes", "copies", "hosts", "groups", "mappings", "qos")}
    print(json.dumps({"seen": plain.seen, "trips": plain.trips}))


def rest(plain: Lab, ready: dict, vendor: str, protocol: str) -> None:
    """Everything but a volume's life."""
    typed(plain, vendor)
    moved(plain)
    managed(plain)
    groups(plain)
    if protocol == "iscsi":
        # The data plane cannot show LUN 0, which some clients choose first.
        first = plain.create("create first", plain.driver.create_volume, plain.volume(60))
        plain.driver.initialize_connection(first, CONNECTOR)
        contents(plain, settle=partial(settle, plain))
        plain.driver.terminate_connection(first, CONNECTOR)
        plain.driver.delete_volume(first)
        plain.seen["chap"] = with_chap(ready, vendor, plain.trips)


main()
