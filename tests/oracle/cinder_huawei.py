"""Runs inside an environment with the cinder package: its own Huawei driver, unmodified, against a simulated array.

Usage: cinder_huawei.py READY_JSON iscsi|fc. Prints one JSON object: what was seen, and the requests of each operation.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from pathlib import Path
from unittest import mock

from lab import CONNECTOR, IQN, POOL, SECOND, Lab, contents, holds, lun

from cinder import objects
from cinder.volume import volume_types
from cinder.volume.drivers.huawei import huawei_driver

XML = """<?xml version="1.0"?>
<config><Storage><Product>{product}</Product><Protocol>{protocol}</Protocol><RestURL>{url}</RestURL>
<UserName>{username}</UserName><UserPassword>{password}</UserPassword></Storage>
<LUN><LUNType>Thin</LUNType><StoragePool>pool_a;pool_b</StoragePool>
<LUNReadyWaitInterval>1</LUNReadyWaitInterval><LUNcopyWaitInterval>1</LUNcopyWaitInterval></LUN>
<iSCSI><DefaultTargetIP>{portal}</DefaultTargetIP>{chap}</iSCSI></config>"""


def driver_of(ready: dict, protocol: str, *, chap: bool = False) -> Lab:
    """Return a driver with a configuration file of its own, which it rewrites."""
    file = Path(tempfile.mkdtemp()) / "huawei.xml"
    file.write_text(
        XML.format(
            product="Dorado" if "V6" in ready["model"] else "V3",
            protocol={"iscsi": "iSCSI", "fc": "FC"}[protocol],
            portal=ready["iscsi"][0]["portal"].partition(":")[0],
            chap=f'<Initiator Name="{IQN}" CHAPinfo="chapuser;chap-secret-12"/>' if chap else "",
            **{key: ready["management"][key] for key in ("url", "username", "password")},
        )
    )
    kind = huawei_driver.HuaweiISCSIDriver if protocol == "iscsi" else huawei_driver.HuaweiFCDriver
    lab = Lab(ready, kind, {"cinder_huawei_conf_file": file})
    lab.seen["pools"] = [pool["pool_name"] for pool in lab.run("stats", lab.driver.get_volume_stats, True)["pools"]]
    return lab


def life(lab: Lab) -> None:
    """Volumes, snapshots, clones."""
    driver = lab.driver
    volume = lab.create("create", driver.create_volume, lab.volume(1))
    lab.run("extend", driver.extend_volume, volume, 2)
    volume.size = 2
    snapshot = lab.create("snapshot", driver.create_snapshot, lab.snapshot(1, volume))
    twin = lab.create("volume from snapshot", driver.create_volume_from_snapshot, lab.volume(2, 2), snapshot)
    larger = lab.create("larger volume from snapshot", driver.create_volume_from_snapshot, lab.volume(3, 4), snapshot)
    clone = lab.create("clone", driver.create_cloned_volume, lab.volume(4, 2), volume)
    connections(lab, volume, twin, snapshot)
    lab.run("delete snapshot", driver.delete_snapshot, snapshot)
    for name, item in (("delete", volume), ("delete copy", twin), ("delete larger", larger), ("delete clone", clone)):
        lab.run(name, driver.delete_volume, item)


def connections(lab: Lab, volume, second, snapshot) -> None:
    """Both connection kinds, two hosts, snapshot attach."""
    driver = lab.driver
    first = lab.run("first attach", driver.initialize_connection, volume, CONNECTOR)
    lab.seen["connection"] = first["data"]
    again = lab.run("attach, known host", driver.initialize_connection, second, CONNECTOR)
    lab.seen["second lun differs"] = lun(first) != lun(again)
    lab.run("second host", driver.initialize_connection, volume, SECOND)
    lab.run("second host detach", driver.terminate_connection, volume, SECOND)
    lab.run("snapshot attach", driver.initialize_connection_snapshot, snapshot, CONNECTOR)
    lab.run("snapshot detach", driver.terminate_connection_snapshot, snapshot, CONNECTOR)
    lab.run("detach", driver.terminate_connection, second, CONNECTOR)
    lab.run("last detach", driver.terminate_connection, volume, CONNECTOR)


def typed(lab: Lab) -> None:
    """QoS through a type, retype in place."""
    specs = {"qos_specs": {"id": "q", "consumer": "back-end", "specs": {"maxIOPS": "1000", "IOType": "2"}}}
    kinds = {
        "gold": {"id": "gold", "extra_specs": {}, "qos_specs_id": "q"},
        "plain": {"id": "plain", "extra_specs": {}, "qos_specs_id": None},
    }
    with (
        mock.patch.object(volume_types, "get_volume_type", lambda _c, i, *_a, **_k: kinds[i]),
        mock.patch.object(
            volume_types, "get_volume_type_qos_specs", lambda i: copy.deepcopy(specs) if i == "gold" else {"qos_specs": None}
        ),
        mock.patch("cinder.volume.qos_specs.get_qos_specs", lambda _c, _i: copy.deepcopy(specs["qos_specs"])),
    ):
        volume = lab.create("create with QoS", lab.driver.create_volume, _with_type(lab, lab.volume(11), "gold"))
        lab.seen["qos"] = lab.state()["qos"]
        none = {"consumer": (None, None), "maxIOPS": ("1000", None), "IOType": ("2", None)}
        diff = {"encryption": {}, "qos_specs": none, "extra_specs": {}}
        host = {"host": f"lab@lab#{POOL}", "capabilities": lab.capabilities(POOL)}
        lab.seen["retyped"] = bool(lab.run("retype in place", lab.driver.retype, lab.context, volume, kinds["plain"], diff, host))
        lab.run("delete retyped", lab.driver.delete_volume, volume)


def _with_type(lab: Lab, volume, kind: str):
    volume.volume_type_id = kind
    volume.volume_type = objects.VolumeType(context=lab.context, id=kind, name=kind, extra_specs={}, qos_specs_id="q")
    return volume


def managed(lab: Lab) -> None:
    """Take over a LUN and a snapshot."""
    driver = lab.driver
    original = lab.create("create to manage", driver.create_volume, lab.volume(21))
    name = next(item["name"] for item in lab.state()["volumes"])
    existing = {"source-name": name}
    lab.seen["managed size"] = driver.manage_existing_get_size(lab.volume(22), existing)
    taken = lab.create("manage", driver.manage_existing, lab.volume(22), existing)
    snapshot = lab.create("snapshot to manage", driver.create_snapshot, lab.snapshot(22, taken))
    names = {"source-name": next(item["name"] for item in lab.state()["snapshots"])}
    other = lab.snapshot(23, taken)
    lab.seen["managed snapshot size"] = driver.manage_existing_snapshot_get_size(other, names)
    lab.create("manage snapshot", driver.manage_existing_snapshot, other, names)
    lab.run("delete managed snapshot", driver.delete_snapshot, other)
    lab.run("delete managed", driver.delete_volume, taken)
    del original, snapshot


def groups(lab: Lab) -> None:
    """Consistent group snapshots, and a group from one."""
    driver = lab.driver
    with mock.patch("cinder.volume.volume_utils.is_group_a_cg_snapshot_type", lambda _group: True):
        group = lab.group()
        members = [lab.create("create member", driver.create_volume, lab.volume(30 + number)) for number in (1, 2)]
        snapshots = [lab.snapshot(30 + number, volume) for number, volume in enumerate(members, 1)]
        group_snapshot = mock.Mock(id="00000000-0000-4000-b000-000000000001", group_id=group.id, group=group)
        _, updates = lab.run("group snapshot", driver.create_group_snapshot, lab.context, group_snapshot, snapshots)
        for snapshot, update in zip(snapshots, updates, strict=True):
            snapshot.provider_location = update.get("provider_location")
        lab.seen["group snapshots active"] = [item["active"] for item in lab.state()["snapshots"]]
        copies = [lab.volume(40 + number) for number in (1, 2)]
        _, made = lab.run(
            "group from snapshot", driver.create_group_from_src, lab.context, group, copies, group_snapshot, snapshots
        )
        for member, update in zip(copies, made, strict=True):
            member.provider_location = update.get("provider_location")
        lab.run("delete group snapshot", driver.delete_group_snapshot, lab.context, group_snapshot, snapshots)
        for item in (*members, *copies):
            driver.delete_volume(item)


def main() -> None:
    ready, protocol = json.loads(sys.argv[1]), sys.argv[2]
    lab = driver_of(ready, protocol)
    for part in (life, typed, managed, groups, *([contents] if protocol == "iscsi" else [])):
        part(lab)
    if protocol == "iscsi":
        with_chap = driver_of(ready, protocol, chap=True)
        volume = with_chap.create("create for CHAP", with_chap.driver.create_volume, with_chap.volume(51))
        data = with_chap.run("attach with CHAP", with_chap.driver.initialize_connection, volume, CONNECTOR)["data"]
        lab.seen["chap user"] = data.get("auth_username")
        without = {key: value for key, value in data.items() if not key.startswith("auth_")}
        lab.seen["chap"] = {"with": holds(data, 0), "without": holds(without, 0)}
        with_chap.run("detach with CHAP", with_chap.driver.terminate_connection, volume, CONNECTOR)
        with_chap.run("delete after CHAP", with_chap.driver.delete_volume, volume)
        lab.trips |= with_chap.trips
    state = lab.state()
    lab.seen["left"] = {kind: state[kind] for kind in ("volumes", "snapshots", "copies", "hosts", "groups", "mappings", "qos")}
    print(json.dumps({"seen": lab.seen, "trips": lab.trips}))


main()
