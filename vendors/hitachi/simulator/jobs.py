"""Asynchronous jobs: begun at once, finished later, kept for a while. Source: protocol sheet, section 1.4."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from conformance.simulation.family import Request
from vendors.hitachi.simulator import codes
from vendors.hitachi.simulator.codes import Fault, Refusal
from vendors.hitachi.simulator.wire import Object

_KEPT = 3000
_POLL = 0.01


@dataclass(slots=True)
class Outcome:
    """What a request has set in motion.

    Attributes:
        affected: resources, relative to the storage system: ``ldevs/1042``.
        until: when the array has done it, by the clock; None for at once.
    """

    affected: Sequence[str] = ()
    until: float | None = None


@dataclass(slots=True)
class Job:
    """One job record."""

    id: int
    controller: str
    user: str
    base: str
    method: str
    url: str
    body: str
    affected: tuple[str, ...]
    fault: Fault | None
    begins: float
    ends: float
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


class Jobs:
    """The job records of an array's REST servers; each server knows its own.

    Args:
        clock: seconds.
        seconds: how long a job lasts that has nothing to wait for.
    """

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._guard = threading.Lock()
        self._jobs: dict[str, OrderedDict[int, Job]] = defaultdict(OrderedDict)
        self._last: dict[str, int] = defaultdict(int)

    def begin(self, request: Request, base: str, user: str, outcome: Outcome, fault: Fault | None) -> Job:
        """Make the record of what a request has set in motion, or of its refusal by the array."""
        now = self._clock()
        with self._guard:
            self._last[request.controller] += 1
            kept = self._jobs[request.controller]
            job = Job(
                self._last[request.controller],
                request.controller,
                user,
                base,
                request.method,
                request.path,
                request.body.decode("utf-8", "replace"),
                tuple(outcome.affected),
                fault,
                now,
                max(now + self._seconds, outcome.until or now),
            )
            kept[job.id] = job
            while len(kept) > _KEPT:
                kept.popitem(last=False)
        return job

    def find(self, text: str, controller: str) -> Job:
        """Return a job, or refuse an id that this server does not know."""
        job = self._jobs[controller].get(int(text)) if text.isascii() and text.isdecimal() else None
        if job is None:
            raise Refusal(404, codes.NOT_THERE, "jobId")
        return job

    def listed(self, controller: str) -> list[Object]:
        """Return every job of one server."""
        with self._guard:
            jobs = list(self._jobs[controller].values())
        return [self.rendered(job) for job in jobs]

    def wait(self, job: Job, headers: Mapping[str, str]) -> None:
        """Hold the answer as long as the request's headers ask for."""
        wanted = [status for status in headers.get("response-job-status", "").split(";") if status]
        longest = headers.get("response-max-wait", "0")
        if "Completed" not in wanted or not longest.isdecimal():
            return
        ends = time.monotonic() + float(longest)
        while (left := job.ends - self._clock()) > 0 and time.monotonic() < ends:
            time.sleep(min(max(left, 0.0005), _POLL))

    def rendered(self, job: Job) -> Object:
        """Return a job as it is now."""
        now = self._clock()
        done = now >= job.ends
        status = "Completed" if done else "Running" if now > job.begins + self._seconds / 2 else "Initializing"
        state = ("Failed" if job.fault else "Succeeded") if done else "Started" if status == "Running" else "Queued"
        stamp = job.created.strftime("%Y-%m-%dT%H:%M:%SZ")
        found: Object = {
            "jobId": job.id,
            "self": f"{job.base}/jobs/{job.id}",
            "userId": job.user,
            "status": status,
            "state": state,
            "createdTime": stamp,
            "updatedTime": stamp,
            "request": {"requestUrl": job.url, "requestMethod": job.method, "requestBody": job.body},
        }
        if done:
            found["completedTime"] = stamp
            if job.fault:
                found["error"] = job.fault.rendered(job.url)
            else:
                found["affectedResources"] = [f"{job.base}/{resource}" for resource in job.affected]
        return found
