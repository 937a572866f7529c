"""Runs inside an environment with cinder and python-3parclient: the 3PAR drivers, unmodified, against a simulated array.

Usage: cinder_hpe.py READY_JSON iscsi|fc [storm]. Prints one JSON object: what was seen, and the requests of each operation; with
``storm`` how many requests and seconds it takes eight threads to bring 100 volumes through a short life.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest import mock

# The lab readies cinder: it comes first.
from lab import CONNECTOR, OTHER, POOL, SECOND, Lab, contents, holds, lun

from cinder import objects
from cinder.volume import qos_specs, volume_types
from cinder.volume.drivers.hpe import hpe_3par_fc, hpe_3par_iscsi

KINDS = {"iscsi": hpe_3par_iscsi.HPE3PARISCSIDriver, "fc": hpe_3par_fc.HPE3PARFCDriver}
SESSION_CALLS = ("POST /credentials", "DELETE /credentials/{}", "GET /api")


class StoreServLab(Lab):
    """A 3PAR driver; what it asks beside each operation for its sessions is counted apart."""

    def __init__(self, ready: dict, protocol: str, **more: object) -> None:
        management = ready["management"]
        self.sessions: dict[str, int] = {}
        options = {
            "hpe3par_api_url": management["url"],
            "hpe3par_username": management["username"],
            "hpe3par_password": management["password"],
            "hpe3par_cpg": f"{POOL},{OTHER}",
            "san_ip": management["host"],
            "san_login": management["username"],
            "san_password": management["password"],
            "hpe3par_iscsi_ips": ",".join(ready["ports"]["iscsi"]),
            **more,
        }
        super().__init__(ready, KINDS[protocol], options)

    def run(self, title: str, step, *arguments):
        """Run one step; keep its requests without those for sessions, which depend on what ran before."""
        self._control("counters", "DELETE")
        answer = step(*arguments)
        counted = json.loads(self._control("counters"))
        self.sessions[title] = sum(counted["by_operation"].get(operation, 0) for operation in SESSION_CALLS)
        self.trips[title] = counted["requests"] - self.sessions[title]
        return answer

    def volume(self, number: int, size: int = 1, pool: str = POOL, **more: object):
        return super().volume(number, size, pool, display_description="", **more)

    def snapshot(self, number: int, volume):
        made = super().snapshot(number, volume)
        made.display_description = ""
        return made

    def attach(self, title: str, volume, connector: dict) -> dict:
        """Attach as cinder's manager does: first the export, then the connection."""
        driver = self.driver
        if hasattr(driver, "create_export"):
            update = self.run(f"{title}, export", driver.create_export, self.context, volume, connector)
            for key, value in (update or {}).items():
                setattr(volume, key, value)
        return self.run(title, driver.initialize_connection, volume, connector)


def life(lab: Lab) -> None:
    """Volumes, snapshots, clones, revert."""
    driver = lab.driver
    lab.run("first stats", driver.get_volume_stats, True)
    stats = lab.run("stats", driver.get_volume_stats, True)
    lab.seen["pools"] = [(pool["pool_name"], pool["total_capacity_gb"]) for pool in stats["pools"]]
    volume = lab.create("create", driver.create_volume, lab.volume(1))
    lab.run("extend", driver.extend_volume, volume, 2)
    volume.size = 2
    snapshot = lab.create("snapshot", driver.create_snapshot, lab.snapshot(1, volume))
    twin = lab.create("volume from snapshot", driver.create_volume_from_snapshot, lab.volume(2, 2), snapshot)
    larger = lab.create("larger volume from snapshot", driver.create_volume_from_snapshot, lab.volume(3, 4), snapshot)
    clone = lab.create("clone", driver.create_cloned_volume, lab.volume(4, 2), volume)
    big = lab.create("larger clone", driver.create_cloned_volume, lab.volume(5, 3), volume)
    lab.run("revert", driver.revert_to_snapshot, lab.context, volume, snapshot)
    connections(lab, volume, twin)
    # A twin is a writable snapshot of the snapshot: it goes first.
    lab.run("delete linked", driver.delete_volume, twin)
    lab.run("delete snapshot", driver.delete_snapshot, snapshot)
    lab.run("delete with a temporary snapshot", driver.delete_volume, volume)
    for name, item in (("delete larger", larger), ("delete clone", clone), ("delete", big)):
        lab.run(name, driver.delete_volume, item)
    lab.run("delete absent", driver.delete_volume, big)


def connections(lab: StoreServLab, volume, second) -> None:
    """Both connection kinds, two hosts."""
    driver = lab.driver
    first = lab.attach("first attach", volume, CONNECTOR)
    lab.seen["connection"] = first["data"]
    again = lab.attach("attach, known host", second, CONNECTOR)
    lab.seen["second lun differs"] = lun(first) != lun(again)
    lab.attach("second host", volume, SECOND)
    lab.run("second host detach", driver.terminate_connection, volume, SECOND)
    lab.run("detach", driver.terminate_connection, second, CONNECTOR)
    lab.run("last detach", driver.terminate_connection, volume, CONNECTOR)


LIMITS = {"id": "q", "consumer": "back-end", "specs": {"maxIOPS": "1000", "maxBWS": "10", "priority": "normal"}}
KINDS_OF_VOLUMES = {
    "gold": {"id": "gold", "name": "gold", "extra_specs": {}, "qos_specs_id": "q"},
    "plain": {"id": "plain", "name": "plain", "extra_specs": {}, "qos_specs_id": None},
    "thick": {"id": "thick", "name": "thick", "extra_specs": {"hpe3par:provisioning": "full"}, "qos_specs_id": None},
    "member": {
        "id": "member",
        "name": "member",
        "extra_specs": {"consistent_group_snapshot_enabled": "<is> True"},
        "qos_specs_id": None,
    },
}


@contextmanager
def known_types():
    """Let cinder know these volume types, whatever its database holds."""

    def qos_of(kind: str) -> dict:
        return {"qos_specs": copy.deepcopy(LIMITS) if kind == "gold" else None}

    with (
        mock.patch.object(volume_types, "get_volume_type", lambda _c, kind, *_a, **_k: KINDS_OF_VOLUMES[kind]),
        mock.patch.object(volume_types, "get_volume_type_qos_specs", qos_of),
        mock.patch.object(qos_specs, "get_qos_specs", lambda _c, _i: copy.deepcopy(LIMITS)),
    ):
        yield


def typed(lab: StoreServLab) -> None:
    """QoS through a type, retype to another pool."""
    with known_types():
        volume = lab.create("create with QoS", lab.driver.create_volume, with_type(lab, lab.volume(11), "gold"))
        lab.seen["qos"] = lab.state()["qos"]
        pool = next(pool for pool in lab.driver.get_volume_stats(True)["pools"] if pool["pool_name"] == OTHER)
        host = {"host": f"lab@lab#{OTHER}", "capabilities": pool}
        lab.seen["retyped"] = bool(lab.run("retype", lab.driver.retype, lab.context, volume, KINDS_OF_VOLUMES["plain"], {}, host))
        volume.host = f"lab@lab#{OTHER}"
        volume.volume_type_id = "plain"
        lab.seen["moved to"] = lab.state()["volumes"][0]["pool"]
        lab.seen["qos after retype"] = lab.state()["qos"]
        if "22035" not in lab.ready["model"]:
            # There every volume is thin.
            thick = KINDS_OF_VOLUMES["thick"]
            lab.seen["converted"] = bool(lab.run("convert", lab.driver.retype, lab.context, volume, thick, {}, host))
            lab.seen["thin"] = lab.state()["volumes"][0]["thin"]
        lab.run("delete retyped", lab.driver.delete_volume, volume)
        limited = lab.create("create with QoS again", lab.driver.create_volume, with_type(lab, lab.volume(12), "gold"))
        lab.run("delete with QoS", lab.driver.delete_volume, limited)


def with_type(lab: Lab, volume, kind: str):
    volume.volume_type_id = kind
    specs = KINDS_OF_VOLUMES[kind]["extra_specs"]
    volume.volume_type = objects.VolumeType(context=lab.context, id=kind, name=kind, extra_specs=specs, qos_specs_id="q")
    return volume


def managed(lab: Lab) -> None:
    """Give up and take over a volume and a snapshot."""
    driver = lab.driver
    original = lab.create("create to give up", driver.create_volume, lab.volume(21))
    lab.run("unmanage", driver.unmanage, original)
    existing = {"source-name": lab.state()["volumes"][0]["name"]}
    lab.seen["managed size"] = driver.manage_existing_get_size(lab.volume(22), existing)
    taken = lab.create("manage", driver.manage_existing, lab.volume(22), existing)
    snapshot = lab.create("snapshot to give up", driver.create_snapshot, lab.snapshot(22, taken))
    lab.run("unmanage snapshot", driver.unmanage_snapshot, snapshot)
    names = {"source-name": lab.state()["snapshots"][0]["name"]}
    other = lab.snapshot(23, taken)
    lab.seen["managed snapshot size"] = driver.manage_existing_snapshot_get_size(other, names)
    lab.create("manage snapshot", driver.manage_existing_snapshot, other, names)
    lab.run("delete managed snapshot", driver.delete_snapshot, other)
    lab.run("delete managed", driver.delete_volume, taken)


def groups(lab: Lab) -> None:
    """Consistent group snapshots, and a group from one."""
    driver = lab.driver
    with (
        mock.patch("cinder.volume.volume_utils.is_group_a_cg_snapshot_type", lambda _group: True),
        mock.patch("cinder.volume.volume_utils.is_group_a_type", lambda _group, _kind: False),
        known_types(),
    ):
        members = [
            lab.create("create member", driver.create_volume, with_type(lab, lab.volume(30 + number), "member"))
            for number in (1, 2)
        ]
        group, second = (group_of(lab, number) for number in (1, 2))
        lab.run("create group", driver.create_group, lab.context, group)
        lab.run("add members", driver.update_group, lab.context, group, members, [])
        for member in members:
            member.group_id, member.group = group.id, group
        snapshots = [lab.snapshot(30 + number, volume) for number, volume in enumerate(members, 1)]
        taken = mock.Mock(id="00000000-0000-4000-b000-000000000001", group_id=group.id, group=group, description="d")
        taken.get = {"id": taken.id, "description": "d", "group_id": group.id}.get
        _, updates = lab.run("group snapshot", driver.create_group_snapshot, lab.context, taken, snapshots)
        lab.seen["group snapshots"] = sorted(item["volume"] for item in lab.state()["snapshots"])
        del updates
        copies = [with_type(lab, lab.volume(40 + number), "member") for number in (1, 2)]
        for snapshot, item in zip(snapshots, copies, strict=True):
            snapshot.group_snapshot_id = taken.id
            item.snapshot_id = snapshot.id
        lab.run("group from snapshots", driver.create_group_from_src, lab.context, second, copies, taken, snapshots)
        lab.seen["group copies"] = len(lab.state()["volumes"])
        # Nobody waits for these copies, and what they read from is busy until they end.
        while lab.state()["copies"]:
            time.sleep(0.05)
        lab.run("delete group snapshot", driver.delete_group_snapshot, lab.context, taken, snapshots)
        for kept, volumes in ((group, members), (second, copies)):
            lab.run("delete group", driver.delete_group, lab.context, kept, volumes)


def group_of(lab: Lab, number: int):
    return lab.group(
        number,
        name=f"group-{number}",
        description="a group",
        host=f"lab@lab#{POOL}",
        volume_type_ids=[],
        group_type_id="type",
        group_snapshot_id=None,
        source_group_id=None,
        replication_status=None,
    )


def with_chap(lab: StoreServLab, ready: dict) -> None:
    """Credentials that the driver makes up are the ones that the portals ask for."""
    own = StoreServLab(ready, "iscsi", hpe3par_iscsi_chap_enabled=True)
    volume = own.create("create for CHAP", own.driver.create_volume, own.volume(51))
    data = own.attach("attach with CHAP", volume, CONNECTOR)["data"]
    without = {key: value for key, value in data.items() if not key.startswith("auth_")}
    lab.seen["chap"] = {"user": bool(data.get("auth_username")), "with": holds(data, 0), "without": holds(without, 0)}
    own.run("detach with CHAP", own.driver.terminate_connection, volume, CONNECTOR)
    own.run("delete after CHAP", own.driver.delete_volume, volume)
    lab.trips |= own.trips


def refused(lab: Lab) -> None:
    """What the array refuses is what the driver expects to be refused."""
    driver = lab.driver
    volume = lab.create("create to refuse", driver.create_volume, lab.volume(71))
    snapshot = lab.create("snapshot to refuse", driver.create_snapshot, lab.snapshot(71, volume))
    lab.create("child to refuse", driver.create_volume_from_snapshot, lab.volume(72), snapshot)
    lab.seen["refused"] = []
    for title, step, item in (
        ("again", driver.create_volume, lab.volume(71)),
        ("too large", lambda one: driver.extend_volume(one, 10**6), volume),
    ):
        try:
            step(item)
        except Exception as error:  # noqa: BLE001 - some of them are the client's own
            lab.seen["refused"].append((title, type(error).__name__))
    driver.delete_volume(lab.volume(72))
    driver.delete_snapshot(snapshot)
    driver.delete_volume(volume)


def storm(lab: StoreServLab) -> dict[str, tuple[int, float]]:
    """Return requests, those for sessions included, and seconds of each phase."""
    driver = lab.driver
    volumes = [lab.volume(1000 + number) for number in range(int(os.environ.get("STORM_VOLUMES", "100")))]

    def attach(volume) -> None:
        if hasattr(driver, "create_export"):
            driver.create_export(lab.context, volume, CONNECTOR)
        driver.initialize_connection(volume, CONNECTOR)

    phases = {
        "create": driver.create_volume,
        "export": attach,
        "unexport": lambda volume: driver.terminate_connection(volume, CONNECTOR),
        "delete": driver.delete_volume,
    }
    driver.get_volume_stats(True)
    # This driver does not bear several first attachments of a host at once.
    first = lab.create("first", driver.create_volume, lab.volume(999))
    attach(first)
    measured = {}
    with ThreadPoolExecutor(8) as threads:
        for phase, step in phases.items():
            lab._control("counters", "DELETE")
            started = time.perf_counter()
            list(threads.map(step, volumes))
            seconds = time.perf_counter() - started
            measured[phase] = json.loads(lab._control("counters"))["requests"], seconds
    return measured


def main() -> None:
    ready, protocol = json.loads(sys.argv[1]), sys.argv[2]
    lab = StoreServLab(ready, protocol)
    if sys.argv[3:] == ["storm"]:
        print(json.dumps(storm(lab)))
        return
    for part in (
        life,
        typed,
        managed,
        groups,
        refused,
    ):
        part(lab)
    if protocol == "iscsi":
        contents(lab, attach=lab.attach)
        with_chap(lab, ready)
    state = lab.state()
    kinds = ("volumes", "snapshots", "copies", "hosts", "groups", "mappings", "qos")
    lab.seen["left"] = {kind: state[kind] for kind in kinds}
    print(json.dumps({"seen": lab.seen, "trips": lab.trips, "sessions": lab.sessions}))


main()
