"""What the array does in the background, each a task: physical copies, promotes, tunes. Source: protocol sheet, sections 3.4 to 3.8.

A task that a cut-off call has begun is found by its name, which is that of the volume.
"""

from __future__ import annotations

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import AlreadyExists, Busy, NotFound, VendorError
from vendors.hpe import objects
from vendors.hpe.client import Object, WsapiClient
from vendors.hpe.objects import TaskStatus

_CANCEL = 1
_PROMOTE = 4
_ENDED = frozenset({TaskStatus.CANCELLED, TaskStatus.FAILED})
_WORDS = {TaskStatus.CANCELLED: "was cancelled", TaskStatus.FAILED: "has failed"}


class Copies:
    """What the array copies in the background."""

    def __init__(self, client: WsapiClient, priority: int) -> None:
        self._client = client
        self._priority = priority

    def copy(self, source: str, target: str) -> None:
        """Copy all bytes of a volume or snapshot onto a volume that exists, and return when they are there."""
        body = {"action": "createPhysicalCopy", "parameters": {"destVolume": target, "priority": self._priority}}
        try:
            begun, _ = self._client.posted("volumes", source, body=body)
        except Busy:
            # A cut-off call may have begun it.
            task = self._active(target)
            if task is None:
                raise
        else:
            task = _task(begun)
        self._finish(task, f"the copy of {source} onto {target}")

    def abandon(self, target: str) -> None:
        """Stop the copy onto a volume, if there is one."""
        task = self._active(target)
        if task is None:
            return
        try:
            self._client.put("tasks", task, body={"action": _CANCEL})
        except (VendorError, NotFound):
            if self._active(target) == task:
                raise
        wait_until(lambda: self._active(target) is None or None, what=f"the copy onto {target} to be stopped")

    def promote(self, snapshot: str, volume: str, *, online: bool) -> None:
        """Put a volume back to a snapshot of its own, and return when that is done."""
        body = {"action": _PROMOTE, "online": online, "priority": self._priority}
        try:
            task = _task(self._client.put("volumes", snapshot, body=body))
        except Busy:
            # What a promote's task is called is not known for sure.
            found = self._active(snapshot) or self._active(volume)
            if found is None:
                raise
            task = found
        self._finish(task, f"the revert of {volume} to {snapshot}")

    def tune(self, volume: str, change: Object) -> None:
        """Move or convert a volume, and return when that is done."""
        try:
            task = _task(self._client.put("volumes", volume, body=change))
        except (Busy, VendorError):
            # The number of the refusal for a move that a cut-off call has begun is unknown.
            found = self._active(volume)
            if found is None:
                raise
            task = found
        self._finish(task, f"the move of {volume}")

    def snapshot(self, source: str, name: str, *, read_only: bool, comment: str) -> None:
        """Take a snapshot."""
        parameters: dict[str, object] = {"name": name, "readOnly": read_only}
        if comment:
            parameters["comment"] = comment
        self._client.post("volumes", source, body={"action": "createSnapshot", "parameters": parameters})

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

    def _active(self, name: str) -> str | None:
        """Return the id of the task of that name that is under way."""
        for task in self._client.members("tasks"):
            if task.get("name") == name and objects.number(task, "status") == TaskStatus.ACTIVE:
                return str(objects.number(task, "id"))
        return None

    def _finish(self, task: str, what: str) -> None:
        note(f"{what} is under way (task {task})")
        wait_until(lambda: self._done(task, what), what=f"{what} (task {task})")

    def _done(self, task: str, what: str) -> bool | None:
        try:
            status = objects.number(self._client.read("tasks", task), "status")
        except NotFound:
            # Tasks are forgotten after a day: one that was there has not failed for that.
            return True
        if status in _ENDED:
            raise VendorError(f"{what[0].upper()}{what[1:]} {_WORDS[TaskStatus(status)]}; look for the array's task {task}.")
        return True if status == TaskStatus.DONE else None


def _task(answer: Object) -> str:
    return str(objects.number(answer, "taskid"))
