"""QoS rules, which hang on volume sets: each limited volume has a set of its own. Source: protocol sheet, section 3.13, trap 18."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from blockdrivers.errors import AlreadyExists, Busy, InUse, InvalidRequest, LicenceMissing, NotFound, VendorError
from blockdrivers.model import Qos, Volume
from blockdrivers.naming import Kind, array_name, kind_of
from vendors.hpe import objects
from vendors.hpe.client import Object, WsapiClient
from vendors.hpe.generations import KB

FEATURE: Final = "Priority Optimization"

_VOLUME_SET = 1
_ADD, _REMOVE = 1, 2
_SET_NAME: Final = 27
_WIRE: Final[Mapping[str, tuple[str, int]]] = {
    "min_iops": ("ioMinGoal", 1),
    "total_iops": ("ioMaxLimit", 1),
    "min_bytes_sec": ("bwMinGoalKB", KB),
    "total_bytes_sec": ("bwMaxLimitKB", KB),
    "max_latency_us": ("latencyGoal", 1000),
}
"""Limit -> member of a rule, and how many of the library's units one of its units is."""
_GOALS: Final = (("min_iops", "total_iops"), ("min_bytes_sec", "total_bytes_sec"))


class Rules:
    """The QoS rules of an array."""

    def __init__(self, client: WsapiClient) -> None:
        self._client = client

    def read(self, volume: Volume) -> Qos:
        """Return the limits on a volume, through its own set or through anybody's."""
        for item in self._sets_with(volume.name):
            with suppress(NotFound):
                rule = self._client.read("qos", _target(objects.text(item, "name")))
                if rule.get("enabled", True):
                    return _limits(rule)
        return Qos()

    def apply(self, volume: Volume, qos: Qos) -> None:
        """Put exactly these limits on a volume, through a set of its own."""
        _refuse_bare_goals(qos)
        name = set_name(volume.name)
        if qos == Qos():
            self.remove(volume.name)
            return
        self._make_set(volume.name, name)
        rule = {"name": name, "type": _VOLUME_SET, "enable": True, **_attributes(qos)}
        try:
            self._client.post("qos", body=rule)
        except AlreadyExists:
            self._replace(name, rule, qos)
        except NotFound as gone:
            raise Busy(f"The volume set {name!r} was removed while it was used.") from gone
        except LicenceMissing:
            self.remove(volume.name)
            raise

    def _replace(self, name: str, rule: Object, qos: Qos) -> None:
        """Replace a rule as a whole: no source tells whether a change takes limits away that it does not name."""
        with suppress(NotFound):
            there = self._client.read("qos", _target(name))
            if there.get("enabled", True) and _limits(there) == qos:
                return
            self._client.delete("qos", _target(name))
        try:
            self._client.post("qos", body=rule)
        except (AlreadyExists, NotFound) as changed:
            raise Busy(f"Another call changes the limits of {name!r}.") from changed

    def remove(self, volume: str) -> None:
        """Take a volume's own limits away; there may be none."""
        name = set_name(volume)
        with suppress(NotFound):
            self._client.delete("qos", _target(name))
        with suppress(NotFound):
            self._client.delete("volumesets", name)

    def remove_own(self, volume: str) -> bool:
        """Remove the set of a volume's own, rule included; False where there is none, or others are in it."""
        name = set_name(volume)
        try:
            if self._client.read("volumesets", name).get("setmembers") != [volume]:
                return False
            self._client.delete("volumesets", name)
        except NotFound:
            return False
        except (VendorError, InUse):
            # By its guide the array keeps a set that has a rule; clients are seen that rely on the contrary.
            self.remove(volume)
        return True

    def leave_sets(self, volume: str) -> list[str]:
        """Take a volume out of the sets that this library made; return the names of the other sets with it."""
        others = []
        for item in self._sets_with(volume):
            name = objects.text(item, "name")
            if kind_of(name) is None:
                others.append(name)
            else:
                self._client.put("volumesets", name, body={"action": _REMOVE, "setmembers": [volume]})
        return others

    def idle(self) -> list[str]:
        """Return the names of this library's sets without a member or without a rule."""
        ruled = {objects.text(rule, "name") for rule in self._client.members("qos") if "name" in rule}
        return [
            name
            for item in self._client.members("volumesets")
            if kind_of(name := objects.text(item, "name")) is Kind.GROUP and (not item.get("setmembers") or name not in ruled)
        ]

    def delete_set(self, name: str) -> None:
        """Remove a set and its rule."""
        with suppress(NotFound):
            self._client.delete("qos", _target(name))
        self._client.delete("volumesets", name)

    def _make_set(self, volume: str, name: str) -> None:
        try:
            self._client.post("volumesets", body={"name": name, "setmembers": [volume]})
        except AlreadyExists:
            try:
                self._join_set(volume, name)
            except NotFound as gone:
                raise Busy(f"The volume set {name!r} was removed while it was used.") from gone

    def _join_set(self, volume: str, name: str) -> None:
        members = self._client.read("volumesets", name).get("setmembers") or []
        if members == [volume]:
            return
        if members:
            raise InvalidRequest(
                f"The volume set {name!r} holds {', '.join(map(str, members))} beside or in place of {volume!r}; mend it on the array."
            )
        try:
            self._client.put("volumesets", name, body={"action": _ADD, "setmembers": [volume]})
        except VendorError as refused:
            # The number of the refusal for a volume that another call has put into the set is unknown.
            raise Busy(f"The volume set {name!r} was changed while it was used.") from refused

    def _sets_with(self, volume: str) -> list[Object]:
        return [item for item in self._client.members("volumesets") if volume in (item.get("setmembers") or [])]


def set_name(volume: str) -> str:
    """Return the name of the set of a volume's own."""
    return array_name(Kind.GROUP, volume, _SET_NAME)


def _target(name: str) -> str:
    return f"vvset:{name}"


def _refuse_bare_goals(qos: Qos) -> None:
    for least, most in _GOALS:
        goal, limit = getattr(qos, least), getattr(qos, most)
        if goal is not None and (limit is None or limit < goal):
            raise InvalidRequest(f"{least} of {goal} needs a {most} of at least that; got {limit}.")


def _attributes(qos: Qos) -> dict[str, int]:
    return {_WIRE[key][0]: value // _WIRE[key][1] for key, value in qos.as_dict().items()}


def _limits(rule: Object) -> Qos:
    found = {key: objects.number(rule, member, 0) * unit for key, (member, unit) in _WIRE.items()}
    latency = objects.number(rule, "latencyGoaluSecs", 0)
    if latency and not found["max_latency_us"]:
        found["max_latency_us"] = latency
    return Qos(**{key: value for key, value in found.items() if value})
