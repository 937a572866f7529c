"""Runs inside an environment with the cinder package: its own NetApp driver, unmodified, against a simulated array.

Usage: cinder_netapp.py READY_JSON iscsi|fc|nfs. Prints one JSON object: what was seen, and the requests of each operation.

For NFS the FlexVols' folders are bound to where that driver mounts shares: this kernel may know no NFS. It mounts what is not there already only.
"""

from __future__ import annotations

import atexit
import copy
import hashlib
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

from lab import CONNECTOR, OTHER, POOL, SECOND, Lab, contents, lun

from cinder import objects, privsep
from cinder.volume import volume_types
from cinder.volume.drivers.netapp import common


def driver_of(ready: dict, protocol: str) -> Lab:
    """Return a driver in its REST mode; over NFS, with its shares in their places already."""
    folder = Path(tempfile.mkdtemp())
    if protocol == "nfs":
        bind(folder, ready)
    there = ready["management"]
    options = {
        "netapp_storage_family": "ontap_cluster",
        "netapp_storage_protocol": protocol,
        "netapp_server_hostname": there["host"],
        "netapp_server_port": there["port"],
        "netapp_transport_type": "https",
        "netapp_ssl_cert_path": there["ca_file"],
        "netapp_login": there["username"],
        "netapp_password": there["password"],
        "netapp_vserver": ready["vserver"],
        "netapp_use_legacy_client": False,
        "netapp_allow_zapi_fallback": False,
        "netapp_pool_name_search_pattern": f"({POOL}|{OTHER})",
        "nfs_shares_config": folder / "shares",
        "nfs_mount_point_base": folder / "mnt",
        "nas_secure_file_operations": "false",
        "nas_secure_file_permissions": "false",
    }
    lab = Lab(ready, common.NetAppDriver, options)
    lab.run("first stats", lab.driver.get_volume_stats, True)
    lab.seen["pools"] = [pool["pool_name"] for pool in lab.run("stats", lab.driver.get_volume_stats, True)["pools"]]
    return lab


def bind(folder: Path, ready: dict) -> None:
    """Let the folders of the pools' shares be mounted where the driver mounts shares."""
    shares = [share for share in ready["nfs"] if share.endswith((f"/{POOL}", f"/{OTHER}"))]
    (folder / "shares").write_text("".join(f"{share}\n" for share in shares))
    for share in shares:
        place = folder / "mnt" / hashlib.md5(share.encode(), usedforsecurity=False).hexdigest()
        place.mkdir(parents=True)
        source = Path(ready["files_folder"]) / share.rpartition("/")[2]
        subprocess.run(["mount", "--bind", str(source), str(place)], check=True)
        atexit.register(subprocess.run, ["umount", "--lazy", str(place)], check=False)


def attach(lab: Lab, title: str, volume, connector: dict) -> dict:
    """Do as the volume manager: the export first, which tells where the volume is."""
    for key, value in (lab.driver.create_export(lab.context, volume, connector) or {}).items():
        setattr(volume, key, value)
    return lab.run(title, lab.driver.initialize_connection, volume, connector)


def life(lab: Lab) -> None:
    """Volumes, snapshots, clones, reverts."""
    driver = lab.driver
    volume = lab.create("create", driver.create_volume, lab.volume(1))
    lab.run("extend", driver.extend_volume, volume, 2)
    volume.size = 2
    snapshot = lab.create("snapshot", driver.create_snapshot, lab.snapshot(1, volume))
    lab.run("revert", driver.revert_to_snapshot, lab.context, volume, snapshot)
    twin = lab.create("volume from snapshot", driver.create_volume_from_snapshot, lab.volume(2, 2), snapshot)
    larger = lab.create("larger volume from snapshot", driver.create_volume_from_snapshot, lab.volume(3, 4), snapshot)
    clone = lab.create("clone", driver.create_cloned_volume, lab.volume(4, 2), volume)
    connections(lab, volume, twin)
    lab.run("delete snapshot", driver.delete_snapshot, snapshot)
    for name, item in (("delete", volume), ("delete copy", twin), ("delete larger", larger), ("delete clone", clone)):
        lab.run(name, driver.delete_volume, item)


def connections(lab: Lab, volume, second) -> None:
    """Both connection kinds, two hosts."""
    driver = lab.driver
    first = attach(lab, "first attach", volume, CONNECTOR)
    lab.seen["connection"] = first["data"]
    again = attach(lab, "attach, known host", second, CONNECTOR)
    lab.seen["second lun differs"] = lun(first) != lun(again)
    attach(lab, "second host", volume, SECOND)
    lab.run("second host detach", driver.terminate_connection, volume, SECOND)
    lab.run("detach", driver.terminate_connection, second, CONNECTOR)
    lab.run("last detach", driver.terminate_connection, volume, CONNECTOR)
    lab.seen["mappings"] = lab.state()["mappings"]


def typed(lab: Lab) -> None:
    """QoS through a type."""
    specs = {"qos_specs": {"id": "q", "consumer": "back-end", "specs": {"maxIOPS": "1000"}}}
    kind = {"id": "gold", "name": "gold", "extra_specs": {}, "qos_specs_id": "q"}
    with (
        mock.patch.object(volume_types, "get_volume_type", lambda _c, _i, *_a, **_k: kind),
        mock.patch.object(volume_types, "get_volume_type_qos_specs", lambda _i: copy.deepcopy(specs)),
        mock.patch("cinder.volume.qos_specs.get_qos_specs", lambda _c, _i: copy.deepcopy(specs["qos_specs"])),
    ):
        volume = lab.volume(11)
        volume.volume_type_id = "gold"
        volume.volume_type = objects.VolumeType(context=lab.context, id="gold", name="gold", extra_specs={}, qos_specs_id="q")
        lab.create("create with QoS", lab.driver.create_volume, volume)
        lab.seen["qos"] = [(policy["fixed"]["max_throughput_iops"], policy["objects"]) for policy in lab.state()["qos"]]
        lab.run("extend with QoS", lab.driver.extend_volume, volume, 2)
        lab.run("delete with QoS", lab.driver.delete_volume, volume)


def managed(lab: Lab) -> None:
    """Take over a LUN and give it up."""
    driver = lab.driver
    lab.create("create to manage", driver.create_volume, lab.volume(21))
    path = next(item["name"] for item in lab.state()["volumes"])
    existing = {"source-name": path}
    lab.seen["managed size"] = driver.manage_existing_get_size(lab.volume(22), existing)
    taken = lab.create("manage", driver.manage_existing, lab.volume(22), existing)
    lab.seen["managed name"] = next(item["name"] for item in lab.state()["volumes"])
    lab.run("unmanage", driver.unmanage, taken)
    lab.run("delete managed", driver.delete_volume, taken)


def migrated(lab: Lab) -> None:
    """Move a volume to another FlexVol of the SVM."""
    volume = lab.create("create to migrate", lab.driver.create_volume, lab.volume(26))
    host = {"host": f"lab@lab#{OTHER}", "capabilities": {}}
    moved, update = lab.run("migrate", lab.driver.migrate_volume, lab.context, volume, host)
    lab.seen["migrated"] = (moved, next(item["name"] for item in lab.state()["volumes"]))
    volume.host = f"lab@lab#{OTHER}"
    for key, value in (update or {}).items():
        setattr(volume, key, value)
    lab.run("delete migrated", lab.driver.delete_volume, volume)


def groups(lab: Lab) -> None:
    """Consistent group snapshots, and a group from one."""
    driver = lab.driver
    with mock.patch("cinder.volume.volume_utils.is_group_a_cg_snapshot_type", lambda _group: True):
        group = lab.group()
        members = [
            lab.create("create member", driver.create_volume, lab.volume(30 + number, pool=pool))
            for number, pool in enumerate((POOL, OTHER), 1)
        ]
        snapshots = [lab.snapshot(30 + number, volume) for number, volume in enumerate(members, 1)]
        group_snapshot = objects.GroupSnapshot(
            context=lab.context, id="00000000-0000-4000-b000-000000000001", group_id=group.id, group=group
        )
        lab.run("group snapshot", driver.create_group_snapshot, lab.context, group_snapshot, snapshots)
        lab.seen["group luns"] = sorted(item["name"] for item in lab.state()["volumes"])
        copies = [lab.volume(40 + number, pool=pool) for number, pool in enumerate((POOL, OTHER), 1)]
        lab.run("group from snapshot", driver.create_group_from_src, lab.context, group, copies, group_snapshot, snapshots)
        lab.run("delete group snapshot", driver.delete_group_snapshot, lab.context, group_snapshot, snapshots)
        for item in (*members, *copies):
            driver.delete_volume(item)


def files(lab: Lab) -> None:
    """Volumes, snapshots and clones as files of a share, and their bytes."""
    driver = lab.driver
    share = next(share for share in lab.ready["nfs"] if share.endswith(f"/{POOL}"))

    def volume(number: int, size: int = 1):
        made = lab.volume(number, size, share)
        made.provider_location = share
        return made

    def path(item) -> Path:
        return Path(lab.ready["files_folder"]) / POOL / item.name

    original = lab.create("create", driver.create_volume, volume(1))
    lab.run("extend", driver.extend_volume, original, 2)
    original.size = 2
    with path(original).open("r+b") as file:
        file.write(b"before")
    snapshot = lab.create("snapshot", driver.create_snapshot, lab.snapshot(1, original))
    with path(original).open("r+b") as file:
        file.write(b"after!")
    twin = lab.create("volume from snapshot", driver.create_volume_from_snapshot, volume(2, 2), snapshot)
    larger = lab.create("larger volume from snapshot", driver.create_volume_from_snapshot, volume(3, 4), snapshot)
    clone = lab.create("clone", driver.create_cloned_volume, volume(4, 2), original)
    lab.seen["sizes"] = [path(item).stat().st_size // 2**30 for item in (original, twin, larger, clone)]
    heads = {
        name: path(item).open("rb").read(6).decode() for name, item in (("twin", twin), ("larger", larger), ("clone", clone))
    }
    lab.run("revert", driver.revert_to_snapshot, lab.context, original, snapshot)
    lab.seen["heads"] = heads | {"reverted": path(original).open("rb").read(6).decode()}
    connection = lab.run("attach", driver.initialize_connection, original, CONNECTOR)
    lab.seen["connection"] = {key: connection["data"][key] for key in ("export", "name")}
    lab.run("detach", driver.terminate_connection, original, CONNECTOR)
    lab.run("delete snapshot", driver.delete_snapshot, snapshot)
    for name, item in (("delete", original), ("delete copy", twin), ("delete larger", larger), ("delete clone", clone)):
        lab.run(name, driver.delete_volume, item)
    lab.seen["left"] = {"files": lab.state()["files"]}


def main() -> None:
    ready, protocol = json.loads(sys.argv[1]), sys.argv[2]
    lab = driver_of(ready, protocol)
    if protocol == "nfs":
        # This process is root's: it needs no helper for what takes root.
        privsep.sys_admin_pctxt.set_client_mode(False)
        # What is known of a volume would go to a database; there is none here.
        with (
            mock.patch.object(objects.Volume, "save"),
            mock.patch.object(objects.Snapshot, "save"),
            mock.patch.object(objects.Volume, "get_by_id", lambda _context, identifier, *_a, **_k: lab.volumes[identifier]),
            mock.patch("cinder.db.api.volume_get", lambda _context, identifier, *_a, **_k: lab.volumes[identifier]),
        ):
            files(lab)
        print(json.dumps({"seen": lab.seen, "trips": lab.trips}))
        return
    for part in (
        life,
        typed,
        managed,
        migrated,
        groups,
    ):
        part(lab)
    if protocol == "iscsi":
        contents(lab, attach=partial(attach, lab))
    state = lab.state()
    lab.seen["left"] = {kind: state[kind] for kind in ("volumes", "snapshots", "groups", "mappings", "qos")}
    print(json.dumps({"seen": lab.seen, "trips": lab.trips}))


main()
