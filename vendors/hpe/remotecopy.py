"""Remote Copy, as far as it is read: the copies of a volume on other arrays. Source: protocol sheet, sections 2 and 3.16."""

from __future__ import annotations

from typing import Final

from blockdrivers.errors import NotFound
from blockdrivers.model import Replication, ReplicationState
from vendors.hpe import objects
from vendors.hpe.client import Object, WsapiClient

_SYNCHRONOUS: Final = 1
_STARTED, _STOPPED = 3, 5
_COMPLETED: Final = 3


def read(client: WsapiClient, volume: str) -> list[Replication]:
    """Return how each copy of a volume stands; none where it has left its group meanwhile."""
    name = client.read("volumes", volume).get("rcopyGroup")
    if not name:
        return []
    try:
        group = client.read("remotecopygroups", str(name))
        member = client.read("remotecopygroups", str(name), "volumes", volume)
    except NotFound:
        return []
    targets = {str(target.get("targetName", "")): target for target in objects.entries(group, "targets")}
    return [_copy(str(name), targets, remote) for remote in objects.entries(member, "remoteVolumes")]


def _copy(group: str, targets: dict[str, Object], remote: Object) -> Replication:
    name = str(remote.get("targetName", ""))
    target = targets.get(name, {})
    mode = target.get("mode")
    return Replication(
        group=group,
        target=name,
        volume=str(remote["remoteVolumeName"]) if "remoteVolumeName" in remote else None,
        synchronous=None if mode is None else mode == _SYNCHRONOUS,
        reversed=bool(target.get("roleReversed")),
        state=_state(target, remote),
    )


def _state(target: Object, remote: Object) -> ReplicationState:
    """Return the state that the group's and the volume's numbers make; only few of them are known."""
    state = objects.number(target, "state", 0)
    if state == _STOPPED:
        return ReplicationState.STOPPED
    if state != _STARTED:
        return ReplicationState.UNKNOWN
    done = objects.number(remote, "syncStatus", 0) == _COMPLETED
    return ReplicationState.SYNCHRONISED if done else ReplicationState.SYNCHRONISING
