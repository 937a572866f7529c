"""SmartQoS: one policy object per volume. Source: protocol sheet, section 3.9 and trap 14."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from blockdrivers.deadline import wait_until
from blockdrivers.errors import AlreadyExists, Busy, NotFound, VendorError
from blockdrivers.model import MiB, Qos, Volume
from vendors.huawei import objects
from vendors.huawei.client import Object, OceanStorClient
from vendors.huawei.facts import Facts
from vendors.huawei.objects import Running, Type
from vendors.huawei.refusals import QOS, without_licence

_READ, _WRITE, _BOTH = "0", "1", "2"
_IO_TYPE: Final[Mapping[str, str]] = {"read": _READ, "write": _WRITE, "total": _BOTH}
_PREFIX: Final = {io_type: prefix for prefix, io_type in _IO_TYPE.items()}
_LOWER: Final = {"min_iops": "MINIOPS", "min_bytes_sec": "MINBANDWIDTH", "max_latency_us": "LATENCY"}
_HIGH_PRIORITY, _NORMAL_PRIORITY = "3", "1"
_ALWAYS: Final = {
    "CLASSTYPE": "1",
    "SCHEDULEPOLICY": "2",
    "SCHEDULESTARTTIME": "1410969600",
    "STARTTIME": "00:00",
    "DURATION": "86400",
    "CYCLESET": "[1,2,3,4,5,6,0]",
}
"""Every day of the week, round the clock, since a moment that has passed."""


class Policies:
    """The QoS policies of an array."""

    def __init__(self, client: OceanStorClient, facts: Facts) -> None:
        self._client = client
        self._facts = facts

    def read(self, volume: Volume) -> Qos:
        """Return the limits in force on a volume; a policy that is not active limits nothing."""
        policy = self._policy_of(volume)
        if policy is None or objects.running(policy) not in {Running.QOS_RUNNING, Running.QOS_IDLE}:
            return Qos()
        return self._limits(policy)

    def apply(self, volume: Volume, qos: Qos, name: str) -> None:
        """Put exactly these limits on a volume, whatever policy holds it now."""
        policy = self._policy_of(volume)
        if policy is not None and qos != Qos() and self._is_own(policy, volume) and self._limits(policy) == qos:
            self._activate(objects.text(policy, "ID"))
            return
        if policy is not None:
            self._leave(policy, volume)
        if qos != Qos():
            self._create(volume, qos, name)

    def remove(self, volume: Volume) -> None:
        """Take a volume out of its policy; a policy that holds only this volume goes too."""
        policy = self._policy_of(volume)
        if policy is not None:
            self._leave(policy, volume)

    def empty(self) -> list[Object]:
        """Return the policies that hold neither LUNs nor file systems."""
        return [item for item in self._client.listing("ioclass") if not _members(item) and not _members(item, "FSLIST")]

    def delete(self, policy_id: str) -> None:
        """Deactivate and delete a policy; an absent one counts as deleted."""
        try:
            self._activate(policy_id, enable=False)
            wait_until(lambda: self._inactive(policy_id), what=f"QoS policy {policy_id} to be inactive")
            self._client.delete(f"ioclass/{policy_id}", {"TYPE": str(int(Type.QOS_POLICY)), "ID": policy_id})
        except NotFound:
            return

    def _policy_of(self, volume: Volume) -> Object | None:
        if volume.qos_id is None:
            return None
        try:
            policy: Object = self._client.read(f"ioclass/{volume.qos_id}")
        except NotFound:
            return None
        return policy

    def _is_own(self, policy: Object, volume: Volume) -> bool:
        return str(policy.get("NAME")) == volume.name and _members(policy) == [volume.id]

    def _leave(self, policy: Object, volume: Volume) -> None:
        policy_id = objects.text(policy, "ID")
        others = [member for member in _members(policy) if member != volume.id]
        if others or _members(policy, "FSLIST"):
            self._client.put(f"ioclass/{policy_id}", {"ID": policy_id, "LUNLIST": others})
        else:
            self.delete(policy_id)
        if any(objects.number(policy, attribute, 0) for attribute in _LOWER.values()):
            self._prioritise(volume, _NORMAL_PRIORITY)

    def _create(self, volume: Volume, qos: Qos, name: str) -> None:
        limits = self._attributes(qos)
        if limits.keys() & set(_LOWER.values()):
            self._prioritise(volume, _HIGH_PRIORITY)
        body = {"TYPE": str(int(Type.QOS_POLICY)), "NAME": name, "LUNLIST": [volume.id], **_ALWAYS, **limits}
        try:
            made = self._client.post("ioclass", body)
        except AlreadyExists as taken:
            self._clear_the_name(name, volume, taken)
            raise Busy(f"A QoS policy {name!r} was left by an earlier call and has been removed.") from taken
        except VendorError as refused:
            raise without_licence(self._facts, refused, QOS) from refused
        self._activate(objects.text(made, "ID"))

    def _clear_the_name(self, name: str, volume: Volume, taken: AlreadyExists) -> None:
        stray = self._client.find("ioclass", "NAME", name)
        if stray is not None and set(_members(stray)) - {volume.id}:
            raise VendorError(f"The QoS policy {name!r} holds other LUNs; remove it on the array.") from taken
        if stray is not None:
            self.delete(objects.text(stray, "ID"))

    def _activate(self, policy_id: str, *, enable: bool = True) -> None:
        self._client.put(f"ioclass/active/{policy_id}", {"TYPE": int(Type.QOS_POLICY), "ID": policy_id, "ENABLESTATUS": enable})

    def _inactive(self, policy_id: str) -> bool | None:
        return True if objects.running(self._client.read(f"ioclass/{policy_id}")) == Running.INACTIVE else None

    def _prioritise(self, volume: Volume, priority: str) -> None:
        self._client.put(f"lun/{volume.id}", {"TYPE": str(int(Type.LUN)), "ID": volume.id, "IOPRIORITY": priority})

    def _attributes(self, qos: Qos) -> dict[str, str]:
        limits = qos.as_dict()
        prefix = next((key.partition("_")[0] for key in limits if key.partition("_")[0] in _IO_TYPE), "total")
        wire = {"IOTYPE": _IO_TYPE[prefix]}
        for key, value in limits.items():
            if key in _LOWER:
                wire[_LOWER[key]] = str(self._to_wire(key, value))
            else:
                wire["MAXIOPS" if key.endswith("iops") else "MAXBANDWIDTH"] = str(self._to_wire(key, value))
        return wire

    def _limits(self, policy: Object) -> Qos:
        prefix = _PREFIX.get(str(policy.get("IOTYPE", _BOTH)), "total")
        names = {f"{prefix}_iops": "MAXIOPS", f"{prefix}_bytes_sec": "MAXBANDWIDTH", **_LOWER}
        wire = {key: objects.number(policy, attribute, 0) for key, attribute in names.items()}
        return Qos(**{key: value * self._unit(key) for key, value in wire.items() if value})

    def _to_wire(self, key: str, value: int) -> int:
        return value // self._unit(key)

    def _unit(self, key: str) -> int:
        if key.endswith("bytes_sec"):
            return MiB
        return self._facts.generation.qos.latency_step_us if key == "max_latency_us" else 1


def _members(policy: Object, attribute: str = "LUNLIST") -> list[str]:
    packed = policy.get(attribute) or "[]"
    entries = packed if isinstance(packed, list) else json.loads(str(packed))
    return [str(entry) for entry in entries if str(entry)]
