"""QoS policies. Source: protocol sheet, section 3.7 and trap 9."""

from __future__ import annotations

from typing import Any

from conformance.simulation.family import Response
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.state import State, named, new_uuid
from vendors.netapp.simulator.wire import Call, Record, Refusal

PATH = "storage/qos/policies"
_UPPER = ("max_throughput_iops", "max_throughput_mbps")
_LOWER = ("min_throughput_iops", "min_throughput_mbps")


class Policies:
    """The QoS policies of the SVM; what is in one is told by its users."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._policies: dict[str, Record] = {}
        self.users: list[Any] = [self._luns_in]
        """Each returns how many objects are in the policy of a name."""

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", PATH): lambda call: wire.listed(call, PATH, map(self._record, self._policies.values()), ("uuid", "name")),
            ("POST", PATH): self._create,
            ("PATCH", PATH): self._change_many,
            ("DELETE", PATH): self._delete_many,
            ("GET", f"{PATH}/{{uuid}}"): lambda call: wire.one(call, PATH, self._record(self._policy(call.ids[0]))),
            ("PATCH", f"{PATH}/{{uuid}}"): self._change_one,
            ("DELETE", f"{PATH}/{{uuid}}"): self._delete_one,
        }

    def uuid_of(self, name: str) -> str:
        """Return a policy's uuid."""
        return next((str(policy["uuid"]) for policy in self._policies.values() if policy["name"] == name), "")

    def usable(self, name: str) -> str:
        """Return the name of a policy to put an object into; nothing takes it out of any."""
        if name in {"", "none"}:
            return ""
        if not self.uuid_of(name):
            raise Refusal(8454243, f'The QoS policy "{name}" was not found.', 404, "qos_policy.name")
        return name

    def dump(self) -> list[Record]:
        """Return the policies for the state dump."""
        return [{**policy, "objects": self._count(policy["name"])} for policy in self._policies.values()]

    def _luns_in(self, name: str) -> int:
        return sum(lun.attributes.get("policy") == name for lun in self._state.volumes.values())

    def _count(self, name: str) -> int:
        return sum(users(name) for users in self.users)

    def _record(self, policy: Record) -> Record:
        owner = {"svm": named(self._state.svm_name, self._state.svm_uuid), "scope": "svm", "policy_class": "user_defined"}
        return {**policy, **owner, "object_count": self._count(policy["name"])}

    def _policy(self, identifier: str) -> Record:
        if identifier not in self._policies:
            raise Refusal(8454243, "The QoS policy was not found.", 404, "uuid")
        return self._policies[identifier]

    def _matching(self, call: Call) -> list[Record]:
        found = wire.matching(map(self._record, self._policies.values()), call.conditions)
        return [self._policies[str(record["uuid"])] for record in found]

    def _create(self, call: Call) -> Response:
        wire.only(call.body, "name", "svm", "fixed", "adaptive", "uuid")
        name = wire.text(call.body, "name")
        if self.uuid_of(name):
            raise Refusal(8454154, f'The QoS policy "{name}" exists.', 409, "name")
        if ("fixed" in call.body) == ("adaptive" in call.body):
            raise Refusal(8454194, "Exactly one of fixed and adaptive is needed.")
        policy: Record = {"uuid": new_uuid(), "name": name} | self._limits(call.body, {})
        self._policies[policy["uuid"]] = policy
        content: Record = {"num_records": 1} | ({"records": [self._record(policy)]} if call.wants_records else {})
        return wire.respond(content, 201, (("Location", f"/api/{PATH}/{policy['uuid']}"),))

    def _limits(self, body: Record, before: Record) -> Record:
        if "adaptive" in body:
            if "fixed" in before:
                raise Refusal(8454327, "The kind of a policy cannot be changed.")
            return {"adaptive": {**before.get("adaptive", {}), **body["adaptive"]}}
        if "fixed" not in body:
            return {}
        if "adaptive" in before:
            raise Refusal(8454328, "The kind of a policy cannot be changed.")
        kept = dict(before.get("fixed") or dict.fromkeys((*_UPPER, *_LOWER), 0))
        for key in (*_UPPER, *_LOWER):
            kept[key] = wire.number(body, f"fixed.{key}", kept[key])
        kept["capacity_shared"] = wire.flag(body, "fixed.capacity_shared", bool(kept.get("capacity_shared")))
        if any(kept[key] for key in _LOWER) and not self._state.profile.all_flash:
            raise Refusal(8454273, "A minimum throughput needs all-flash nodes.", target="fixed.min_throughput_iops")
        for upper, lower in zip(_UPPER, _LOWER, strict=True):
            if kept[upper] and kept[lower] > kept[upper]:
                raise Refusal(8454260, "The minimum is above the maximum.", target=f"fixed.{lower}")
        if not any(kept[key] for key in (*_UPPER, *_LOWER)):
            raise Refusal(8454194, "A policy needs a limit.", target="fixed")
        return {"fixed": kept}

    def _change_one(self, call: Call) -> Response:
        self._change(self._policy(call.ids[0]), call.body)
        return wire.respond({})

    def _change_many(self, call: Call) -> Response:
        found = self._matching(call)
        for policy in found:
            self._change(policy, call.body)
        return wire.respond({"num_records": len(found)})

    def _change(self, policy: Record, body: Record) -> None:
        wire.only(body, "name", "fixed", "adaptive")
        limits, name = self._limits(body, policy), str(body.get("name", policy["name"]))
        if name != policy["name"] and self.uuid_of(name):
            raise Refusal(8454154, f'The QoS policy "{name}" exists.', 409, "name")
        for lun in self._state.volumes.values():
            if lun.attributes.get("policy") == policy["name"]:
                lun.attributes["policy"] = name
        policy |= limits | {"name": name}

    def _delete_one(self, call: Call) -> Response:
        self._delete(self._policy(call.ids[0]))
        return wire.respond({})

    def _delete_many(self, call: Call) -> Response:
        found = self._matching(call)
        for policy in found:
            self._delete(policy)
        return wire.respond({"num_records": len(found)})

    def _delete(self, policy: Record) -> None:
        if self._count(policy["name"]):
            raise Refusal(8, f'The QoS policy "{policy["name"]}" is in use.', 409)
        del self._policies[policy["uuid"]]
