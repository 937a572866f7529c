"""Tasks: what the array works at in the background. Source: protocol sheet, section 3.8."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from conformance.simulation.engine import Array
from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.wire import Attributes, Call, Handler, Refusal

VV_COPY, MOVE, PROMOTE, ONLINE_COPY, CONVERT = 1, 3, 4, 18, 19
DONE, ACTIVE, CANCELLED, FAILED = 1, 2, 3, 4
_KEPT_SECONDS = 24 * 3600.0
_CANCEL = 1
_STEPS = 4096
_MEDIUM = 2


def _nothing() -> None:
    return


@dataclass(slots=True)
class Task:
    """One task.

    Attributes:
        holds: ids of the volumes that nobody else may change meanwhile.
        ended: carried out when it has run to its end.
    """

    id: int
    type: int
    name: str
    holds: tuple[str, ...]
    seconds: float
    started: float
    priority: int = _MEDIUM
    status: int = ACTIVE
    ended: Callable[[], None] = _nothing
    wall: float = field(default_factory=time.time)

    def progress(self, now: float) -> float:
        """Return 0.0 to 1.0."""
        return 1.0 if self.seconds <= 0 else min(1.0, (now - self.started) / self.seconds)


class Tasks:
    """The tasks of an array, for a day after they have begun."""

    def __init__(self, array: Array, user: str) -> None:
        self._array = array
        self._user = user
        self._tasks: list[Task] = []
        self._last = 800

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {
            ("GET", "tasks"): lambda _: wire.listed([self._rendered(task) for task in reversed(self._tasks)]),
            ("GET", "tasks/{}"): lambda call: self._rendered(self._find(call.names[0])),
            ("PUT", "tasks/{}"): self._cancel,
        }

    def begin(
        self,
        kind: int,
        name: str,
        holds: tuple[str, ...],
        seconds: float,
        *,
        priority: int = _MEDIUM,
        ended: Callable[[], None] = _nothing,
    ) -> Task:
        """Begin a task."""
        self._last += 1
        task = Task(self._last, kind, name, holds, seconds, self._array.clock(), priority, ended=ended)
        self._tasks.append(task)
        return task

    def active(self, *kinds: int) -> list[Task]:
        """Return the tasks that are under way, of some kinds or of all."""
        return [task for task in self._tasks if task.status == ACTIVE and (not kinds or task.type in kinds)]

    def hold(self, object_id: str) -> bool:
        """Tell whether a task holds a volume."""
        return any(object_id in task.holds for task in self.active())

    def write_to(self, object_id: str) -> bool:
        """Tell whether a task is writing a volume's bytes: a copy onto it, or a promote."""
        return any(object_id == task.holds[1] for task in self.active(VV_COPY, ONLINE_COPY, PROMOTE))

    def cancel(self, task: Task) -> None:
        """Stop a task half-way."""
        task.status = CANCELLED

    def fail(self) -> None:
        """Let every task that is under way fail."""
        for task in self.active():
            task.status = FAILED

    def forget(self) -> None:
        """Forget every task."""
        self._tasks.clear()

    def settle(self) -> None:
        """Let what has run to its end take effect; forget what ended long ago."""
        now = self._array.clock()
        for task in self.active():
            if task.progress(now) >= 1.0:
                task.status = DONE
                task.ended()
        self._tasks = [task for task in self._tasks if task.status == ACTIVE or now - task.started < _KEPT_SECONDS]

    def state(self) -> list[Attributes]:
        """Return what is under way for the state dump."""
        return [{"id": task.id, "kind": task.type, "name": task.name} for task in self.active()]

    def _find(self, number: str) -> Task:
        found = next((task for task in self._tasks if str(task.id) == number), None)
        if found is None:
            raise Refusal(codes.NO_TASK)
        return found

    def _cancel(self, call: Call) -> None:
        task = self._find(call.names[0])
        wire.choice(call.body, "action", (_CANCEL,))
        if task.status != ACTIVE:
            raise Refusal(codes.NOT_ACTIVE)
        if task.type == PROMOTE:
            raise Refusal(codes.CANNOT_CANCEL)
        self.cancel(task)

    def _rendered(self, task: Task) -> Attributes:
        progress = 1.0 if task.status == DONE else task.progress(self._array.clock())
        ended = task.status != ACTIVE
        return {
            "id": task.id,
            "type": task.type,
            "name": task.name,
            "status": task.status,
            "completedPhases": 3 if task.status == DONE else 1,
            "totalPhases": 3,
            "completedSteps": int(progress * _STEPS),
            "totalSteps": _STEPS,
            "startTime": _said(task.wall),
            "finishTime": _said(task.wall + task.seconds) if ended else "-",
            "priority": task.priority,
            "user": self._user,
        }


def _said(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
