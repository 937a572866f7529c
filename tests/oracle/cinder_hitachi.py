"""Runs inside an environment with the cinder package: its own HBSD drivers, unmodified, against a simulated VSP.

Usage: cinder_hitachi.py READY_JSON iscsi|fc. Prints one JSON object: what was seen, and the requests of each operation.
"""

from __future__ import annotations

import json
import sys
from unittest import mock

from lab import CONNECTOR, OTHER, POOL, Lab, contents, holds, lun
from lab import SECOND as OTHER_HOST

from cinder import objects
from cinder.volume import manager, volume_types
from cinder.volume.drivers.hitachi import hbsd_fc, hbsd_iscsi
from oslo_config import cfg

# These drivers name a host's iSCSI targets after its address.
SECOND = OTHER_HOST | {"ip": "127.0.0.2"}
NODE = CONNECTOR | {
    "initiator": "iqn.1994-05.org.example:node",
    "wwpns": ["21000024ff0000f1", "21000024ff0000f2"],
    "ip": "127.0.0.9",
}
"""What os-brick would tell of the machine that runs the driver."""
PLAIN, LIMITED = (f"00000000-0000-4000-c000-00000000000{number}" for number in (1, 2))
"""Volume types."""


def opened(ready: dict, protocol: str) -> Lab:
    """Set the driver up as an administrator who lets it make and remove groups does."""
    management = ready["management"]
    options = {
        "hitachi_storage_id": ready["storage_id"],
        "san_ip": management["host"],
        "san_api_port": management["port"],
        "san_login": management["username"],
        "san_password": management["password"],
        "driver_ssl_cert_verify": "true",
        "driver_ssl_cert_path": management["ca_file"],
        "hitachi_pools": f"{POOL},{OTHER}",
        "hitachi_target_ports": ",".join(ready["ports"][protocol]),
        "hitachi_group_create": "true",
        "hitachi_group_delete": "true",
        "hitachi_copy_check_interval": "1",
        "hitachi_async_copy_check_interval": "1",
    }
    # These drivers also read what cinder's manager declares of a back end.
    cfg.CONF.register_opts(manager.volume_backend_opts, group="lab")
    kind = hbsd_iscsi.HBSDISCSIDriver if protocol == "iscsi" else hbsd_fc.HBSDFCDriver
    with mock.patch("cinder.volume.volume_utils.brick_get_connector_properties", return_value=NODE):
        lab = Lab(ready, kind, options)
    lab.seen["pools"] = [pool["pool_name"] for pool in lab.run("stats", lab.driver.get_volume_stats, True)["pools"]]
    return lab


def typed(lab: Lab, number: int, size: int = 1, kind: str = PLAIN):
    """Return a volume of a type; these drivers take none without."""
    made = objects.VolumeType(context=lab.context, id=kind, name=kind, extra_specs={}, qos_specs_id=None)
    return lab.volume(number, size, volume_type_id=kind, volume_type=made)


def limits(kind: str) -> dict:
    """Return what cinder's database would tell of a type's limits."""
    specs = {"id": "q", "consumer": "back-end", "specs": {"upperIops": "500", "upperTransferRate": "100"}}
    return {"qos_specs": specs if kind == LIMITED else None}


def limited(lab: Lab) -> None:
    """Limits through a type, on the models that have them."""
    volume = lab.create("create with QoS", lab.driver.create_volume, typed(lab, 11, kind=LIMITED))
    lab.seen["qos"] = [item["qos"] for item in lab.state()["volumes"] if item["qos"]]
    lab.run("delete with QoS", lab.driver.delete_volume, volume)


def life(lab: Lab) -> None:
    """Volumes, snapshots, clones, reverts."""
    driver = lab.driver
    volume = lab.create("create", driver.create_volume, typed(lab, 1))
    lab.run("extend", driver.extend_volume, volume, 2)
    volume.size = 2
    snapshot = lab.create("snapshot", driver.create_snapshot, lab.snapshot(1, volume))
    lab.run("revert", driver.revert_to_snapshot, lab.context, volume, snapshot)
    twin = lab.create("volume from snapshot", driver.create_volume_from_snapshot, typed(lab, 2, 2), snapshot)
    clone = lab.create("clone", driver.create_cloned_volume, typed(lab, 4, 2), volume)
    lab.seen["made"] = {item["name"]: item["size"] for item in lab.state()["volumes"]}
    connections(lab, volume, twin)
    lab.run("delete snapshot", driver.delete_snapshot, snapshot)
    for name, item in (("delete", volume), ("delete copy", twin), ("delete clone", clone)):
        lab.run(name, driver.delete_volume, item)
    lab.run("delete, absent", driver.delete_volume, volume)


def connections(lab: Lab, volume, second) -> None:
    """Both connection kinds, two hosts, the last volume with its groups."""
    driver = lab.driver
    first = lab.run("first attach", driver.initialize_connection, volume, CONNECTOR)
    lab.seen["connection"] = first["data"]
    again = lab.run("attach, groups just made", driver.initialize_connection, second, CONNECTOR)
    lab.seen["second lun differs"] = lun(first) != lun(again)
    lab.run("detach", driver.terminate_connection, second, CONNECTOR)
    lab.run("attach, known host", driver.initialize_connection, second, CONNECTOR)
    lab.run("detach again", driver.terminate_connection, second, CONNECTOR)
    lab.run("second host", driver.initialize_connection, volume, SECOND)
    lab.seen["hosts"] = sorted({item["group"] for item in lab.state()["mappings"]})
    lab.run("second host detach", driver.terminate_connection, volume, SECOND)
    lab.run("last detach", driver.terminate_connection, volume, CONNECTOR)


def managed(lab: Lab) -> None:
    """Take over an LDEV by name and by number, give one up, move one to the other pool."""
    driver = lab.driver
    original = lab.create("create to manage", driver.create_volume, typed(lab, 21))
    name = next(item["name"] for item in lab.state()["volumes"] if item["name"] != "command-device")
    lab.seen["managed size"] = driver.manage_existing_get_size(typed(lab, 22), {"source-name": name})
    taken = lab.create("manage", driver.manage_existing, typed(lab, 22), {"source-name": name})
    lab.run("unmanage", driver.unmanage, taken)
    by_number = {"source-id": original.provider_location}
    again = lab.create("manage by number", driver.manage_existing, typed(lab, 23), by_number)
    host = {"host": f"lab@lab#{OTHER}", "capabilities": lab.capabilities(OTHER)}
    moved = lab.run("move to another pool", driver.migrate_volume, lab.context, again, host)
    lab.seen["moved"] = bool(moved[0])
    for key, value in (moved[1] or {}).items():
        setattr(again, key, value)
    lab.seen["pools afterwards"] = [item["pool"] for item in lab.state()["volumes"] if item["name"] != "command-device"]
    driver.delete_volume(again)


def groups(lab: Lab) -> None:
    """Consistent group snapshots, and a group from one."""
    driver = lab.driver
    with mock.patch("cinder.volume.volume_utils.is_group_a_cg_snapshot_type", lambda _group: True):
        group = lab.group()
        members = [lab.create("create member", driver.create_volume, typed(lab, 30 + number)) for number in (1, 2)]
        for member in members:
            member.group = group
        snapshots = [lab.snapshot(30 + number, volume) for number, volume in enumerate(members, 1)]
        taken = mock.Mock(id="00000000-0000-4000-b000-000000000001", group_id=group.id, group=group)
        _, updates = lab.run("group snapshot", driver.create_group_snapshot, lab.context, taken, snapshots)
        for snapshot, update in zip(snapshots, updates, strict=True):
            snapshot.provider_location = update.get("provider_location")
        lab.seen["group"] = [(item["status"], item["assigned"]) for item in lab.state()["snapshots"]]
        copies = [typed(lab, 40 + number) for number in (1, 2)]
        _, made = lab.run("group from snapshot", driver.create_group_from_src, lab.context, group, copies, taken, snapshots)
        for member, update in zip(copies, made, strict=True):
            member.provider_location = update.get("provider_location")
        lab.run("delete group snapshot", driver.delete_group_snapshot, lab.context, taken, snapshots)
        for item in (*members, *copies):
            driver.delete_volume(item)


def written(lab: Lab) -> None:
    """Bytes, also those of a volume that is put back."""

    def reverted(volume, snapshot, data) -> dict[str, bool]:
        lab.driver.revert_to_snapshot(lab.context, volume, snapshot)
        return {"reverted": holds(data, 0x41)}

    contents(lab, volume=lambda number: typed(lab, number), further=reverted)


def main() -> None:
    ready, protocol = json.loads(sys.argv[1]), sys.argv[2]
    lab = opened(ready, protocol)
    parts = [life, managed, groups]
    parts += [written] if protocol == "iscsi" else []
    parts += [limited] if "70" in ready["model"] else []
    with (
        mock.patch.object(volume_types, "get_volume_type_qos_specs", limits),
        mock.patch.object(volume_types, "get_volume_type_extra_specs", lambda *_: {}),
    ):
        for part in parts:
            part(lab)
    state = lab.state()
    kept = {"HBSD-pair00", f"HBSD-{NODE['ip']}", f"HBSD-{NODE['wwpns'][0]}"}
    lab.seen["left"] = {
        "volumes": [item for item in state["volumes"] if item["name"] != "command-device"],
        "mappings": [item for item in state["mappings"] if item["volume"] != "command-device"],
        # Those of its own node, made at its start, it keeps.
        "groups": [item for item in state["groups"] if item["name"] not in kept],
        "snapshots": state["snapshots"],
        "copies": state["copies"],
    }
    print(json.dumps({"seen": lab.seen, "trips": lab.trips}))


main()
