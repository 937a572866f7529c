"""Volume sets, host sets and the QoS rules that hang on volume sets. Source: protocol sheet, sections 3.11 and 3.13."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conformance.simulation.engine import lowest_free
from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.wire import Answer, Attributes, Call, Handler, Refusal

if TYPE_CHECKING:
    from vendors.hpe.simulator.system import System
    from vendors.hpe.simulator.volumes import Volumes

OPTIMIZATION = "Priority Optimization"
_ADD, _REMOVE = 1, 2
_GLOB = re.compile(r"[*?\[]")
_COUNT, _VOLUME = "@count@", "@vvname@"
_VOLUME_SET, _SYSTEM = 1, 2
_ENABLED, _DISABLED = 1, 2
_GOALS = (("ioMinGoal", "ioMaxLimit"), ("bwMinGoalKB", "bwMaxLimitKB"))
_LATENCIES = ("latencyGoal", "latencyGoaluSecs")
_OPERATIONS = ("ioMinGoalOP", "ioMaxLimitOP", "bwMinGoalOP", "bwMaxLimitOP")
_PRIORITIES = (1, 2, 3)


@dataclass(slots=True)
class Set:
    """A set; its members are ids, in the order in which they were added."""

    id: str
    name: str
    comment: str
    members: list[str] = field(default_factory=list)
    flash_cache: int = _DISABLED


class Sets:
    """All sets of one kind.

    Args:
        resource: ``volumesets`` or ``hostsets``.
        id_of: from a member's name to its id; refuses an unknown one.
        name_of: from a member's id to its name.
    """

    def __init__(self, resource: str, id_of: Callable[[str], str], name_of: Callable[[str], str]) -> None:
        self._resource = resource
        self._id_of = id_of
        self._name_of = name_of
        self._sets: dict[str, Set] = {}
        self._exported: Callable[[str], bool] = lambda _: False
        self._ruled: Callable[[str], bool] = lambda _: False
        self._changed: Callable[[], None] = lambda: None
        self._removed: Callable[[Set], None] = lambda _: None

    def use(
        self,
        *,
        exported: Callable[[str], bool],
        changed: Callable[[], None],
        ruled: Callable[[str], bool] = lambda _: False,
        removed: Callable[[Set], None] = lambda _: None,
    ) -> None:
        """Take how to find out whether a set, by id, is exported or kept by a rule, and what follows a change and a removal."""
        self._exported, self._ruled, self._changed, self._removed = exported, ruled, changed, removed

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        resource = self._resource
        return {
            ("GET", resource): lambda call: wire.listed(
                wire.select([self._rendered(item) for item in self._sets.values()], call.query)
            ),
            ("GET", f"{resource}/{{}}"): lambda call: self._rendered(self.find(call.names[0])),
            ("POST", resource): self._create,
            ("PUT", f"{resource}/{{}}"): self._change,
            ("DELETE", f"{resource}/{{}}"): self._delete,
        }

    def find(self, name: str) -> Set:
        """Return the set of that name, or refuse."""
        found = next((item for item in self._sets.values() if item.name == name), None)
        if found is None:
            raise Refusal(codes.NO_SET)
        return found

    def by_id(self, set_id: str) -> Set:
        """Return the set of that id, which is there."""
        return self._sets[set_id]

    def member_ids(self, set_id: str) -> list[str]:
        """Return the members of a set."""
        return list(self._sets[set_id].members)

    def holding(self, member_id: str) -> str:
        """Return the name of a set that holds a member, or nothing."""
        return next((item.name for item in self._sets.values() if member_id in item.members), "")

    def state(self) -> list[Attributes]:
        """Return the sets for the state dump."""
        return [
            {"kind": self._resource, "id": item.id, "name": item.name, "members": [self._name_of(one) for one in item.members]}
            for item in self._sets.values()
        ]

    def _rendered(self, item: Set) -> Attributes:
        shown: Attributes = {"id": int(item.id), "uuid": f"00000000-0000-4000-a000-{int(item.id):012d}", "name": item.name}
        if item.comment:
            shown["comment"] = item.comment
        if item.members:
            shown["setmembers"] = [self._name_of(member) for member in item.members]
        return shown | ({"flashCachePolicy": item.flash_cache} if self._resource == "volumesets" else {})

    def _members(self, given: Attributes) -> list[str]:
        names = wire.texts(given, "setmembers")
        if any(_GLOB.search(name) for name in names):
            raise Refusal(codes.BAD_CHARACTER, ref="setmembers")
        return [self._id_of(name) for name in dict.fromkeys(names)]

    def _free_name(self, name: str) -> str:
        if any(item.name == name for item in self._sets.values()):
            raise Refusal(codes.SET_EXISTS)
        return name

    def _create(self, call: Call) -> Answer:
        name = self._free_name(wire.name(call.body, "name", wire.SET_NAME))
        if wire.text(call.body, "domain", ""):
            raise Refusal(codes.NO_DOMAIN)
        made = Set(lowest_free(self._sets), name, wire.comment(call.body), self._members(call.body))
        self._sets[made.id] = made
        return wire.created(f"/api/v1/{self._resource}/{name}")

    def _change(self, call: Call) -> Answer:
        item, given = self.find(call.names[0]), call.body
        if "action" in given:
            operation, members = wire.choice(given, "action", (_ADD, _REMOVE)), self._members(given)
            if operation == _ADD and any(member in item.members for member in members):
                raise Refusal(codes.IN_SET)
            if operation == _REMOVE and any(member not in item.members for member in members):
                raise Refusal(codes.NOT_IN_SET)
            kept = [member for member in item.members if member not in members]
            item.members = kept + members if operation == _ADD else kept
        if given.get("flashCachePolicy") is not None:
            item.flash_cache = wire.choice(given, "flashCachePolicy", (_ENABLED, _DISABLED))
        if given.get("newName") is not None:
            new_name = wire.name(given, "newName", wire.SET_NAME)
            item.name = item.name if new_name == item.name else self._free_name(new_name)
        item.comment = wire.comment(given, item.comment)
        self._changed()
        return Answer(location=f"/api/v1/{self._resource}/{item.name}")

    def _delete(self, call: Call) -> None:
        item = self.find(call.names[0])
        if self._exported(item.id):
            raise Refusal(codes.EXPORTED)
        if self._ruled(item.id):
            raise Refusal(codes.SET_HAS_RULE)
        del self._sets[item.id]
        self._removed(item)


class GroupSnapshots:
    """Snapshots of the members of a volume set, taken at one moment."""

    def __init__(self, sets: Sets, volumes: Volumes) -> None:
        self._sets = sets
        self._volumes = volumes

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {("POST", "volumesets/{}"): self._post}

    def _post(self, call: Call) -> Answer:
        item = self._sets.find(call.names[0])
        if wire.text(call.body, "action") != "createSnapshot":
            raise Refusal(codes.BAD_ENUM, ref="action")
        given = wire.part(call.body, "parameters")
        pattern = wire.text(given, "name")
        members = [self._volumes.by_id(member) for member in item.members]
        if not members:
            raise Refusal(codes.BAD_INPUT, text="the set is empty")
        if _COUNT not in pattern and _VOLUME not in pattern:
            raise Refusal(codes.BAD_INPUT, ref="name")
        wanted = [
            wire.name({"name": pattern.replace(_COUNT, str(number)).replace(_VOLUME, member.name)}, "name")
            for number, member in enumerate(members)
        ]
        self._volumes.snapshots(members, given, wanted)
        return wire.created(f"/api/v1/volumesets/{item.name}")


class Rules:
    """QoS rules, one a volume set."""

    def __init__(self, sets: Sets, system: System) -> None:
        self._sets = sets
        self._system = system
        self._rules: dict[str, Attributes] = {}

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {
            ("GET", "qos"): lambda call: wire.listed(wire.select([self._rendered(key) for key in self._rules], call.query)),
            ("GET", "qos/{}"): lambda call: self._rendered(self._key(call)),
            ("POST", "qos"): self._create,
            ("PUT", "qos/{}"): self._change,
            ("DELETE", "qos/{}"): lambda call: self._rules.pop(self._key(call)) and None,
        }

    def hang_on(self, set_id: str) -> bool:
        """Tell whether a set has a rule."""
        return set_id in self._rules

    def drop(self, removed: Set) -> None:
        """Forget the rule of a set that goes."""
        self._rules.pop(removed.id, None)

    def state(self) -> list[Attributes]:
        """Return the rules for the state dump."""
        return [self._rendered(key) for key in self._rules]

    def _rendered(self, key: str) -> Attributes:
        target = {"name": self._sets.by_id(key).name, "type": _VOLUME_SET} if key else {"name": "all_others", "type": _SYSTEM}
        return {"id": int(key or 0), **target, **self._rules[key]}

    def _key(self, call: Call) -> str:
        kind, _, name = call.names[0].partition(":")
        key = "" if (kind, name) == ("sys", "all_others") else self._sets.find(name).id if kind == "vvset" else None
        if key is None or key not in self._rules:
            raise Refusal(codes.NO_QOS)
        return key

    def _create(self, call: Call) -> Answer:
        self._system.need(OPTIMIZATION)
        system_wide = wire.choice(call.body, "type", (_VOLUME_SET, _SYSTEM)) == _SYSTEM
        key = "" if system_wide else self._sets.find(wire.text(call.body, "name")).id
        if key in self._rules:
            raise Refusal(codes.QOS_EXISTS)
        self._rules[key] = self._checked(call.body, {"enabled": True, "priority": 2})
        return Answer(status=201)

    def _change(self, call: Call) -> None:
        self._system.need(OPTIMIZATION)
        key = self._key(call)
        self._rules[key] = self._checked(call.body, self._rules[key])

    def _checked(self, given: Attributes, before: Attributes) -> Attributes:
        rule = dict(before)
        for key in (*(goal for pair in _GOALS for goal in pair), *_LATENCIES):
            if given.get(key) is not None:
                rule[key] = wire.number(given, key)
        for key in _OPERATIONS:
            if given.get(key) is not None:
                wire.choice(given, key, (1, 2))
                limit = key.removesuffix("OP")
                rule.pop(limit if limit in rule else f"{limit}KB", None)
        if given.get("enable") is not None:
            rule["enabled"] = wire.flag(given, "enable")
        if given.get("priority") is not None:
            rule["priority"] = wire.choice(given, "priority", _PRIORITIES)
        for least, most in _GOALS:
            if least in rule and rule.get(most, -1) < rule[least]:
                raise Refusal(codes.BAD_INPUT, ref=least)
        return rule
