"""Remote copy groups: what this array says of them; there is no second array. Source: protocol sheet, section 3.16."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.wire import Answer, Attributes, Call, Handler, Refusal

if TYPE_CHECKING:
    from vendors.hpe.simulator.system import System
    from vendors.hpe.simulator.volumes import Volumes

FEATURE = "Remote Copy"
_ADMIT, _DISMISS, _START, _STOP, _SYNC = range(1, 6)
_STARTED, _STOPPED = 3, 5
_SYNCED = 3
_MODES = (1, 2, 3, 4)
_PERIODS = range(300, 31_622_401)
_FAILOVER, _REVERSE = 7, 6


@dataclass(slots=True)
class Group:
    """One remote copy group."""

    id: int
    name: str
    targets: list[Attributes]
    state: int = _STOPPED
    reversed: bool = False
    members: dict[str, str] = field(default_factory=dict)
    """Volume id -> name of the peer's volume."""


class RemoteCopy:
    """The remote copy groups of an array."""

    def __init__(self, volumes: Volumes, system: System) -> None:
        self._volumes = volumes
        self._system = system
        self._groups: dict[str, Group] = {}

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {
            ("GET", "remotecopy"): lambda _: {"status": _STARTED, "asyncEnabled": False},
            ("GET", "remotecopygroups"): lambda _: wire.listed([self._rendered(group) for group in self._groups.values()]),
            ("GET", "remotecopygroups/{}"): lambda call: self._rendered(self._find(call)),
            ("GET", "remotecopygroups/{}/volumes"): lambda call: wire.listed(self._members(self._find(call))),
            ("GET", "remotecopygroups/{}/volumes/{}"): self._member,
            ("POST", "remotecopygroups"): self._create,
            ("PUT", "remotecopygroups/{}"): self._change,
            ("POST", "remotecopygroups/{}"): self._recover,
            ("DELETE", "remotecopygroups/{}"): self._delete,
            ("DELETE", "remotecopygroups/{}/volumes/{}"): lambda call: self._dismiss(self._find(call), call.names[1]),
        }

    def group_of(self, volume_id: str) -> str:
        """Return the name of the group that a volume is in, or nothing."""
        return next((group.name for group in self._groups.values() if volume_id in group.members), "")

    def state(self) -> list[Attributes]:
        """Return the groups for the state dump."""
        return [self._rendered(group) for group in self._groups.values()]

    def _find(self, call: Call) -> Group:
        group = self._groups.get(call.names[0])
        if group is None:
            raise Refusal(codes.NO_GROUP)
        return group

    def _rendered(self, group: Group) -> Attributes:
        return {
            "id": group.id,
            "name": group.name,
            "role": 1,
            "targets": [target | {"state": group.state, "roleReversed": group.reversed} for target in group.targets],
            "volumes": self._members(group),
        }

    def _members(self, group: Group) -> list[Attributes]:
        return [self._shown(group, volume_id) for volume_id in group.members]

    def _shown(self, group: Group, volume_id: str) -> Attributes:
        remote = [
            {
                "targetName": target["targetName"],
                "remoteVolumeName": group.members[volume_id],
                "syncStatus": _SYNCED if group.state == _STARTED else 1,
            }
            for target in group.targets
        ]
        return {"localVolumeName": self._volumes.by_id(volume_id).name, "remoteVolumes": remote}

    def _member(self, call: Call) -> Attributes:
        group, volume = self._find(call), self._volumes.find(call.names[1])
        if volume.id not in group.members:
            raise Refusal(codes.NO_VOLUME)
        return self._shown(group, volume.id)

    def _create(self, call: Call) -> Answer:
        self._system.need(FEATURE)
        name = wire.name(call.body, "name", wire.GROUP_NAME)
        if name in self._groups:
            raise Refusal(codes.GROUP_EXISTS)
        targets = [_target(target) for target in _list(call.body, "targets")]
        self._groups[name] = Group(len(self._groups) + 1, name, targets)
        return wire.created(f"/api/v1/remotecopygroups/{name}")

    def _change(self, call: Call) -> None:
        group = self._find(call)
        if "action" not in call.body:
            for target in _list(call.body, "targets"):
                if target.get("syncPeriod") is not None:
                    wire.choice(target, "syncPeriod", _PERIODS)
            return
        action = wire.choice(call.body, "action", range(_ADMIT, _SYNC + 1))
        steps: dict[int, Callable[[], None]] = {
            _ADMIT: lambda: self._admit(group, call.body),
            _DISMISS: lambda: self._dismiss(group, wire.text(call.body, "volumeName")),
            _START: lambda: self._set_state(group, _STARTED),
            _STOP: lambda: self._set_state(group, _STOPPED),
            _SYNC: lambda: None,
        }
        steps[action]()

    def _admit(self, group: Group, given: Attributes) -> None:
        volume = self._volumes.base(wire.text(given, "volumeName"))
        if self.group_of(volume.id):
            raise Refusal(codes.IN_REMOTE_COPY)
        names = [wire.name(target, "secVolumeName") for target in _list(given, "targets")]
        group.members[volume.id] = names[0] if names else volume.name

    def _dismiss(self, group: Group, name: str) -> None:
        volume = self._volumes.find(name)
        if volume.id not in group.members:
            raise Refusal(codes.NO_VOLUME)
        del group.members[volume.id]

    @staticmethod
    def _set_state(group: Group, state: int) -> None:
        group.state = state

    def _recover(self, call: Call) -> None:
        group = self._find(call)
        if wire.choice(call.body, "action", range(_REVERSE, 12)) in {_FAILOVER, _REVERSE}:
            group.reversed = not group.reversed

    def _delete(self, call: Call) -> None:
        group = self._find(call)
        if group.state == _STARTED:
            raise Refusal(codes.BAD_INPUT, text="the remote copy group is started")
        del self._groups[group.name]


def _list(given: Attributes, key: str) -> list[Attributes]:
    value: Any = given.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Refusal(codes.WRONG_TYPE, ref=key)
    return value


def _target(given: Attributes) -> Attributes:
    return {"targetName": wire.text(given, "targetName"), "mode": wire.choice(given, "mode", _MODES)}
