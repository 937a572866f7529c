"""SmartQoS policies and the cache partitions that clients count. Source: protocol sheet, sections 3.9 and 3.10."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.simulation.engine import Array, lowest_free
from vendors.huawei.simulator import codes, wire
from vendors.huawei.simulator.profiles import Profile
from vendors.huawei.simulator.wire import Attributes, Refusal

if TYPE_CHECKING:
    from vendors.huawei.simulator.system import System

_UPPER = ("MAXIOPS", "MAXBANDWIDTH")
_LOWER = ("MINIOPS", "MINBANDWIDTH", "LATENCY")
_MAX_LUNS = 64
_IOPS_OF_V6 = range(100, 10**9)
_LATENCIES_OF_V6 = (500, 1500)
_SCHEDULE = ("CLASSTYPE", "SCHEDULEPOLICY", "SCHEDULESTARTTIME", "STARTTIME", "DURATION", "CYCLESET")
_ONCE = 0
_ACTIVE, _INACTIVE = "2", "45"


@dataclass(slots=True)
class Policy:
    """One QoS policy."""

    id: str
    name: str
    io_type: str
    limits: dict[str, str]
    luns: list[str]
    active: bool = False
    attributes: dict[str, str] = field(default_factory=dict)


class Policies:
    """The QoS policies of an array."""

    def __init__(self, array: Array, profile: Profile, system: System) -> None:
        self._array = array
        self._profile = profile
        self._system = system
        self._policies: dict[str, Policy] = {}

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", "ioclass"): self._list,
            ("GET", "ioclass/count"): self._count,
            ("GET", "ioclass/{id}"): lambda _, policy_id: self._rendered(self._policy(policy_id)),
            ("POST", "ioclass"): self._create,
            ("PUT", "ioclass/active"): lambda given, _: self._activate(given, wire.text(given, "ID")),
            ("PUT", "ioclass/active/{id}"): self._activate,
            ("PUT", "ioclass/{id}"): self._change,
            ("PUT", "ioclass/create_associate"): lambda given, _: self._associate(given, add=True),
            ("PUT", "ioclass/remove_associate"): lambda given, _: self._associate(given, add=False),
            ("DELETE", "ioclass/{id}"): self._delete,
        } | ({} if self._profile.dorado else self._cache_routes())

    def _cache_routes(self) -> dict[tuple[str, str], Any]:
        """Return what V3 and V5 have besides, none made: cache partitions (sheet, section 6)."""

        def count(feature: str) -> Any:
            def answer(_: Attributes, __: str) -> Attributes:
                self._system.need(feature)
                return {"COUNT": "0"}

            return answer

        return {
            ("GET", "cachepartition"): lambda _, __: [],
            ("GET", "smartcachepartition"): lambda _, __: [],
            ("GET", "smartcachepartition/count"): count("SmartPartition"),
            ("GET", "smartcachepool/count"): count("SmartCache"),
        }

    def of_lun(self, lun_id: str) -> str:
        """Return the id of a LUN's policy, or nothing."""
        return next((policy.id for policy in self._policies.values() if lun_id in policy.luns), "")

    def state(self) -> list[Attributes]:
        """Return the policies for the state dump, with the names of their LUNs."""
        return [
            {
                "id": policy.id,
                "name": policy.name,
                "volumes": [self._array.volumes[lun].name for lun in policy.luns],
                "active": policy.active,
                "io_type": policy.io_type,
                "limits": policy.limits,
            }
            for policy in self._policies.values()
        ]

    def _policy(self, policy_id: str) -> Policy:
        try:
            return self._policies[policy_id]
        except KeyError:
            raise Refusal(codes.NO_OBJECT) from None

    def _rendered(self, policy: Policy) -> Attributes:
        return {
            "ID": policy.id,
            "NAME": policy.name,
            "TYPE": 230,
            "LUNLIST": json.dumps(policy.luns or [""]),
            "FSLIST": json.dumps([""]),
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": _ACTIVE if policy.active else _INACTIVE,
            "ENABLESTATUS": wire.flag(policy.active),
            "IOTYPE": policy.io_type,
            **dict.fromkeys((*_UPPER, *_LOWER), "0"),
            **policy.attributes,
            **policy.limits,
        }

    def _list(self, given: Attributes, _: str) -> list[Attributes]:
        items = [self._rendered(policy) for policy in self._policies.values()]
        return wire.select(items, given, capped=self._profile.v6)

    def _count(self, _: Attributes, __: str) -> Attributes:
        self._system.need("SmartQoS")
        return {"COUNT": str(len(self._policies))}

    def _create(self, given: Attributes, _: str) -> Attributes:
        self._system.need("SmartQoS")
        name = wire.checked_name(given, 31, cjk=self._profile.cjk)
        if any(policy.name == name for policy in self._policies.values()):
            raise Refusal(codes.NAME_EXISTS)
        io_types = (2, 3) if self._profile.v6 else (2,) if self._profile.dorado else (0, 1, 2)
        io_type, limits = str(wire.choice(given, "IOTYPE", io_types, 2)), self._limits(given)
        once = wire.choice(given, "SCHEDULEPOLICY", range(3), 1) == _ONCE
        if once and wire.number(given, "SCHEDULESTARTTIME", 0) < time.time():
            raise Refusal(codes.QOS_IN_THE_PAST)
        luns = self._free_luns(wire.texts(given, "LUNLIST") if "LUNLIST" in given else [], None)
        if any(limit in limits for limit in _LOWER) and any(
            self._array.volumes[lun].attributes.get("IOPRIORITY") != "3" for lun in luns
        ):
            raise Refusal(codes.BAD_PARAMETER)
        attributes = {key: wire.text(given, key) for key in _SCHEDULE if key in given}
        policy = Policy(lowest_free(self._policies), name, io_type, limits, luns, attributes=attributes)
        self._policies[policy.id] = policy
        return self._rendered(policy)

    def _limits(self, given: Attributes) -> dict[str, str]:
        """Return the limits that are set; 0 is none."""
        numbers = {key: wire.number(given, key) for key in (*_UPPER, *_LOWER) if given.get(key, "") != ""}
        limits = {key: value for key, value in numbers.items() if value != 0}
        upper, lower = limits.keys() & set(_UPPER), limits.keys() & set(_LOWER)
        if not limits or min(limits.values()) < 0 or (upper and lower and not self._profile.v6):
            raise Refusal(codes.BAD_PARAMETER)
        if self._profile.v6:
            iops = [limits[key] for key in ("MAXIOPS", "MINIOPS") if key in limits]
            if any(value not in _IOPS_OF_V6 for value in iops) or limits.get("LATENCY", 500) not in _LATENCIES_OF_V6:
                raise Refusal(codes.BAD_PARAMETER)
        return {key: str(value) for key, value in limits.items()}

    def _free_luns(self, luns: list[str], policy: Policy | None) -> list[str]:
        for lun in luns:
            if lun not in self._array.volumes:
                raise Refusal(codes.NO_LUN)
            if self.of_lun(lun) not in {"", policy.id if policy else ""}:
                raise Refusal(codes.LUN_IN_POLICY)
        if len(luns) > _MAX_LUNS:
            raise Refusal(codes.BAD_PARAMETER)
        return luns

    def _activate(self, given: Attributes, policy_id: str) -> Attributes:
        policy = self._policy(policy_id)
        policy.active = wire.text(given, "ENABLESTATUS", "true") == "true"
        return {}

    def _change(self, given: Attributes, policy_id: str) -> Attributes:
        policy = self._policy(policy_id)
        if any(key in given for key in (*_UPPER, *_LOWER, "IOTYPE", *_SCHEDULE)):
            # No source shows limits changed in place; a client that relied on it would be proven by nothing.
            raise Refusal(codes.BAD_PARAMETER)
        if "LUNLIST" in given:
            policy.luns = self._free_luns(wire.texts(given, "LUNLIST"), policy)
        return self._rendered(policy)

    def _associate(self, given: Attributes, *, add: bool) -> Attributes:
        policy = self._policy(wire.text(given, "ID"))
        if wire.text(given, "ASSOCIATEOBJTYPE", "11") != "11":
            raise Refusal(codes.BAD_PARAMETER)
        named = wire.texts(given, "ASSOCIATEOBJIDLIST")
        kept = [lun for lun in policy.luns if lun not in named]
        policy.luns = self._free_luns(kept + named if add else kept, policy)
        return {}

    def _delete(self, _: Attributes, policy_id: str) -> None:
        policy = self._policy(policy_id)
        if policy.active:
            raise Refusal(codes.POLICY_ACTIVE)
        del self._policies[policy_id]
