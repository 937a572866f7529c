"""What the array does in the background, each a task: physical copies, promotes, tunes. Source: protocol sheet, sections 3.4 to 3.8.

Only a copy onto an unfinished clone is gone on with when a cut-off call has begun it: whatever is copied onto that volume is the clone.
A promote or tune that is under way may be anybody's and have another end, so it is waited for, and asked for again.
"""

from __future__ import annotations

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import AlreadyExists, BlockDriversError, Busy, NotFound, VendorError
from blockdrivers.model import Volume
from vendors.hpe import objects
from vendors.hpe.client import Object, WsapiClient
from vendors.hpe.objects import TaskStatus, TaskType
from vendors.hpe.volumes import Volumes

_CANCEL = 1
_PROMOTE = 4
_ENDED = frozenset({TaskStatus.CANCELLED, TaskStatus.FAILED})
_COPIES = frozenset({TaskType.COPY, TaskType.ONLINE_COPY})
_MOVES = frozenset({TaskType.MOVE, TaskType.CONVERSION})
_WORDS = {TaskStatus.CANCELLED: "was cancelled", TaskStatus.FAILED: "has failed"}


class Copies:
    """What the array copies in the background."""

    def __init__(self, client: WsapiClient, volumes: Volumes, priority: int) -> None:
        self._client = client
        self._volumes = volumes
        self._priority = priority

    def copy(self, source: str, target: str) -> None:
        """Copy all bytes of a volume or snapshot onto a volume that exists, and return when they are there."""
        body = {"action": "createPhysicalCopy", "parameters": {"destVolume": target, "priority": self._priority}}
        try:
            begun, _ = self._client.posted("volumes", source, body=body)
        except Busy:
            task = self._active(target, _COPIES)
            if task is None:
                raise
        else:
            task = _task(begun)
        self._finish(task, f"the copy of {source} onto {target}")

    def abandon(self, target: str) -> None:
        """Stop the copy onto a volume, if there is one."""
        task = self._active(target, _COPIES)
        if task is None:
            return
        try:
            self._client.put("tasks", task, body={"action": _CANCEL})
        except BlockDriversError:
            # The numbers of the refusals for a task that has just ended are unknown.
            if self._active(target, _COPIES) == task:
                raise
        self._await_end(target, _COPIES, f"the copy onto {target} to be stopped")

    def promote(self, snapshot: str, volume: str, *, online: bool) -> None:
        """Put a volume back to a snapshot of its own, and return when that is done."""
        body = {"action": _PROMOTE, "online": online, "priority": self._priority}
        task = _task(self._client.put("volumes", snapshot, body=body))
        self._finish(task, f"the revert of {volume} to {snapshot}")

    def tune(self, volume: Volume, change: Object) -> None:
        """Move or convert a volume, and return when that is done; `Busy` where another move of it had to end first."""
        name = volume.name
        try:
            task = _task(self._client.put("volumes", name, body=change))
        except VendorError as refused:
            # The number of the refusal for a volume that is being moved already is unknown.
            if self._active(name, _MOVES) is not None:
                self._await_end(name, _MOVES, f"another move of {name} to end")
            elif not self._has_moved(volume):
                raise
            raise Busy(f"{name!r} was being moved by another call.") from refused
        self._finish(task, f"the move of {name}")

    def _has_moved(self, volume: Volume) -> bool:
        """Tell whether another move has ended since a volume was read."""
        found = objects.volume(self._volumes.base(volume.name))
        return (found.pool, found.thin) != (volume.pool, volume.thin)

    def snapshot(self, source: str, name: str, *, read_only: bool, comment: str) -> None:
        """Take a snapshot."""
        parameters: dict[str, object] = {"name": name, "readOnly": read_only}
        if comment:
            parameters["comment"] = comment
        body = {"action": "createSnapshot", "parameters": parameters}
        try:
            self._client.post("volumes", source, body=body)
        except VendorError:
            # The number of the refusal for a volume without a CPG for its snapshots is unknown.
            if not self._volumes.allow_snapshots(source):
                raise
            self._client.post("volumes", source, body=body)

    def helper(self, source: str, name: str, *, read_only: bool, comment: str) -> str:
        """Return a snapshot to copy from: the one that an earlier call took, or a new one.

        The array holds what it copies from until the copy is done: a volume could not grow meanwhile, nor be copied again.
        """
        try:
            self.snapshot(source, name, read_only=read_only, comment=comment)
        except AlreadyExists:
            found = self._client.read("volumes", name)
            if found.get("copyOf") != source or found.get("comment") != comment:
                self._client.delete("volumes", name)
                raise Busy(f"A helper snapshot {name!r} of another clone was in the way and has been removed.") from None
        return name

    def drop(self, name: str) -> None:
        """Remove a helper snapshot; an absent one counts as removed."""
        try:
            self._client.delete("volumes", name)
        except NotFound:
            return

    def _active(self, name: str, kinds: frozenset[TaskType]) -> str | None:
        """Return the id of the task of that name and of these kinds that is under way."""
        for task in self._client.members("tasks"):
            if (task.get("name"), objects.number(task, "status")) == (name, TaskStatus.ACTIVE) and task.get("type") in kinds:
                return str(objects.number(task, "id"))
        return None

    def _await_end(self, name: str, kinds: frozenset[TaskType], what: str) -> None:
        wait_until(lambda: self._active(name, kinds) is None or None, what=what)

    def _finish(self, task: str, what: str) -> None:
        note(f"{what} is under way (task {task})")
        wait_until(lambda: self._done(task, what), what=f"{what} (task {task})")

    def _done(self, task: str, what: str) -> bool | None:
        try:
            shown = self._client.read("tasks", task)
        except NotFound as gone:
            # The array forgets tasks after a day, and may with a restart: how this one ended is unknown.
            raise Busy(f"The array has forgotten task {task}, and with it how {what} ended.") from gone
        status = objects.number(shown, "status")
        if status in _ENDED:
            raise VendorError(f"{what[0].upper()}{what[1:]} {_WORDS[TaskStatus(status)]}; look for the array's task {task}.")
        note(f"{what} is under way (task {task}, {objects.progress(shown)})")
        return True if status == TaskStatus.DONE else None


def _task(answer: Object) -> str:
    return str(objects.number(answer, "taskid"))
