"""Runs inside an environment with the netapp-ontap package: the vendor's own client, unmodified, against a simulated array.

Usage: sdk_netapp.py READY_JSON. Prints one JSON object: what it read.
"""

from __future__ import annotations

import json
import os
import sys

from netapp_ontap import HostConnection
from netapp_ontap.error import NetAppRestError
from netapp_ontap.resources import ExportPolicy, ExportRule, Igroup, Lun, LunMap, Node, QosPolicy, Svm, Volume


def let_in(svm: dict) -> dict[str, object]:
    """Make an export policy, change its rules, put a volume under it, and take all of that away again."""
    flavours = {"ro_rule": ["sys"], "rw_rule": ["sys"], "superuser": ["sys"]}
    policy = ExportPolicy(name="sdk", svm=svm, rules=[{"clients": [{"match": "192.0.2.0/24"}], **flavours}])
    policy.post(hydrate=True)
    rule = ExportRule(policy.id, clients=[{"match": "192.0.2.9"}, {"match": "198.51.100.0/24"}], **flavours)
    rule.post(hydrate=True)
    rule.rw_rule = ["never"]
    rule.patch(new_index=1)
    listed = [
        [rule.index, [client.match for client in rule.clients], list(rule.rw_rule)]
        for rule in ExportRule.get_collection(policy.id, fields="*")
    ]
    (volume,) = Volume.get_collection(name="pool_a")
    under = []
    for name in ("sdk", "default"):
        volume.nas = {"export_policy": {"name": name}}
        volume.patch()
        volume.get(fields="nas.export_policy")
        under.append(volume.nas.export_policy.name)
    ExportRule(policy.id, index=2).delete()
    policy.get(fields="*")
    left = [rule.index for rule in policy.rules]
    policy.delete()
    return {"listed": listed, "under": under, "left": left, "policies": [policy.name for policy in ExportPolicy.get_collection()]}


def main() -> None:
    ready = json.loads(sys.argv[1])
    management, svm = ready["management"], {"name": ready["vserver"]}
    os.environ["REQUESTS_CA_BUNDLE"] = management["ca_file"]
    seen: dict[str, object] = {}
    with HostConnection(
        management["host"],
        username=management["username"],
        password=management["password"],
        port=management["port"],
        verify=management["ca_file"],
    ):
        seen["nodes"] = [node.model for node in Node.get_collection(fields="model")]
        seen["svms"] = [item.name for item in Svm.get_collection()]
        volumes = list(Volume.get_collection(fields="space,style", **{"svm.name": svm["name"]}))
        seen["volumes"] = {volume.name: volume.style for volume in volumes}
        for number in range(7):
            lun = Lun(name=f"/vol/pool_a/sdk-{number}", os_type="linux", svm=svm, space={"size": 2**30 * (number + 1)})
            lun.post(hydrate=True)
        seen["hydrated"] = [lun.name, lun.space.size, len(lun.serial_number)]
        seen["paged"] = [lun.name for lun in Lun.get_collection(max_records=3, name="/vol/pool_a/sdk-*")]
        seen["sizes"] = [lun.space.size // 2**30 for lun in Lun.get_collection(fields="*", name="/vol/pool_a/sdk-*")]
        group = Igroup(
            name="sdk", svm=svm, protocol="iscsi", os_type="linux", initiators=[{"name": "iqn.1994-05.org.example:sdk"}]
        )
        group.post(hydrate=True)
        seen["igroup"] = [item.name for item in group.initiators]
        mapped = LunMap(svm=svm, lun={"name": lun.name}, igroup={"name": "sdk"})
        mapped.post(hydrate=True)
        maps = list(LunMap.get_collection(fields="logical_unit_number,lun.name", **{"igroup.name": "sdk"}))
        seen["maps"] = [(item.lun.name, item.logical_unit_number) for item in maps]
        policy = QosPolicy(name="sdk", svm=svm, fixed={"max_throughput_iops": 500})
        policy.post(hydrate=True)
        seen["policy"] = policy.fixed.max_throughput_iops
        policy.delete()
        seen["let in"] = let_in(svm)
        for item in maps:
            item.delete()
        group.delete()
        for lun in list(Lun.get_collection(name="/vol/pool_a/sdk-*")):
            lun.delete()
        try:
            lun.delete()
        except NetAppRestError as error:
            seen["absent"] = [error.status_code, str(error.response_body["error"]["code"])]
        seen["left"] = Lun.count_collection()
    print(json.dumps(seen))


main()
