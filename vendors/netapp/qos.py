"""QoS policy groups: one fixed policy per volume, under the volume's name. Source: protocol sheet, section 3.7."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from blockdrivers.driver import QosSupport
from blockdrivers.errors import AlreadyExists
from blockdrivers.model import Qos, Volume
from vendors.netapp import objects
from vendors.netapp.claims import LUNS
from vendors.netapp.client import OntapClient, Record

_POLICIES: Final = "storage/qos/policies"
_MB: Final = 1_000_000
_LIMITS: Final[Mapping[str, str]] = {
    "total_iops": "max_throughput_iops",
    "total_bytes_sec": "max_throughput_mbps",
    "min_iops": "min_throughput_iops",
    "min_bytes_sec": "min_throughput_mbps",
}
_UPPER: Final = frozenset({"total_iops", "total_bytes_sec"})


def support(*, all_flash: bool) -> QosSupport:
    """Return what can be limited: lower limits on all-flash nodes only."""
    keys = frozenset(_LIMITS) if all_flash else _UPPER
    return QosSupport(keys=keys, combinations=(keys,), bytes_step=_MB)


class Policies:
    """The QoS policies of one SVM that hold one volume each.

    Args:
        client: the array.
        keys: the limits that it knows.
        assign: puts a volume into the policy of a name, or with the empty name out of any; a LUN where None.
    """

    def __init__(self, client: OntapClient, keys: frozenset[str], assign: Callable[[Volume, str], None] | None = None) -> None:
        self._client = client
        self._keys = keys
        self._assign = assign or self._assign_lun

    def read(self, volume: Volume) -> Qos:
        """Return the limits of the policy that a LUN is in."""
        policy = self._policy(volume.qos_id)
        limits = {key: objects.number(policy, f"fixed.{field}", 0) for key, field in _LIMITS.items()}
        return Qos(**{key: value * _unit(key) for key, value in limits.items() if value})

    def apply(self, volume: Volume, qos: Qos, name: str) -> None:
        """Put exactly these limits on a LUN, whatever policy it is in now."""
        if qos == Qos():
            self.remove(volume)
            return
        limits = {field: qos.as_dict().get(key, 0) // _unit(key) for key, field in _LIMITS.items() if key in self._keys}
        fixed = {"fixed": {**limits, "capacity_shared": False}}
        if volume.qos_id == name:
            self._client.change_own("PATCH", _POLICIES, fixed, name=name)
            return
        try:
            self._client.make(_POLICIES, {"name": name, **fixed})
        except AlreadyExists:
            self._client.change_own("PATCH", _POLICIES, fixed, name=name)
        self._assign(volume, name)

    def remove(self, volume: Volume) -> None:
        """Take a LUN out of its policy; one of its own goes too, also one that a cut-off call has taken it out of."""
        if volume.qos_id is not None:
            self._assign(volume, "")
        if volume.qos_id in {None, volume.name}:
            self.delete(volume.name)

    def release(self, volume: Volume) -> None:
        """Take a LUN that is to be deleted out of its policy, which goes too.

        That it is out is said in its comment, so that a repeat after a cut knows of the policy.
        """
        released = {"qos_policy": {"name": ""}, "comment": objects.released(volume.description)}
        self._client.change("PATCH", f"{LUNS}/{volume.id}", released)
        if volume.qos_id == volume.name:
            self.delete(volume.name)

    def rename(self, volume: Volume, name: str) -> None:
        """Let a volume's own policy follow a volume that is renamed."""
        if volume.qos_id == volume.name:
            self._client.change_own("PATCH", _POLICIES, {"name": name}, name=volume.name)

    def empty(self) -> list[str]:
        """Return the names of policies that nothing is in."""
        found = self._client.own(_POLICIES, fields="name,object_count", policy_class="user_defined")
        return [objects.text(policy, "name") for policy in found if objects.number(policy, "object_count", 1) == 0]

    def delete(self, name: str) -> None:
        """Delete a policy; an absent one counts as deleted."""
        self._client.change_own("DELETE", _POLICIES, name=name)

    def _assign_lun(self, volume: Volume, policy: str) -> None:
        self._client.change("PATCH", f"{LUNS}/{volume.id}", {"qos_policy": {"name": policy}})

    def _policy(self, name: str | None) -> Record:
        if name is None:
            return {}
        return next(iter(self._client.own(_POLICIES, name=name, fields="name,fixed")), {})


def _unit(key: str) -> int:
    return _MB if key.endswith("bytes_sec") else 1
