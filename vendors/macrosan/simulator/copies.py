"""Copies out of views, and local clones. Source: protocol sheet, section 3.3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.simulation.engine import Array, Job, Volume
from vendors.macrosan.simulator import wire
from vendors.macrosan.simulator.luns import Luns
from vendors.macrosan.simulator.snapshots import Snapshots, View
from vendors.macrosan.simulator.wire import Arguments, Refusal, Routes

_FROM_VIEW, _CLONE = "from_view", "local_clone"


class Copies:
    """What copies bytes from one object to another."""

    def __init__(self, array: Array, luns: Luns, snapshots: Snapshots, seconds: float) -> None:
        self._array = array
        self._luns = luns
        self._snapshots = snapshots
        self._seconds = seconds

    def routes(self) -> Routes:
        """Return the handlers."""
        return {
            ("POST", "copy_volume", "from_view"): self._from_view,
            ("GET", "copy_volume", "snapshot_copy_task_completed"): lambda given: self._onto(given, "lun_name") is None,
            ("POST", "local_clone", ""): self._begin,
            ("GET", "local_clone", "completed"): lambda given: self._array.is_done(self._pair(given)),
            ("GET", "local_clone", "existence"): lambda given: self._onto(given, "lun", _CLONE) is not None,
            ("DELETE", "local_clone", ""): self._stop,
        }

    def settle(self) -> None:
        """Forget copies that have ended; a clone pair stays until it is stopped."""
        for job in list(self._array.jobs.values()):
            if job.kind == _FROM_VIEW and self._array.is_done(job):
                del self._array.jobs[job.id]

    def holds(self, volume: Volume) -> bool:
        """Tell whether a LUN takes part in a copy."""
        return any(volume.id in {job.source_id, job.target_id} for job in self._array.jobs.values())

    def pairs(self, volume: Volume) -> bool:
        """Tell whether a LUN is in a clone pair, which needs its resource."""
        return any(job.kind == _CLONE and volume.id in {job.source_id, job.target_id} for job in self._array.jobs.values())

    def reads(self, view: View) -> bool:
        """Tell whether a copy reads a view."""
        return any(job.source_id == view.snapshot.id for job in self._array.jobs.values())

    def state(self) -> list[Mapping[str, Any]]:
        """Return the copies that are under way, and the pairs."""
        return [
            {"kind": job.kind, "target": self._array.volumes[job.target_id].name, "progress": job.progress(self._array.clock())}
            for job in self._array.jobs.values()
        ]

    def _onto(self, given: Arguments, key: str, kind: str = _FROM_VIEW) -> Job | None:
        target = self._luns.find(given, key)
        return next((job for job in self._array.jobs.values() if job.target_id == target.id and job.kind == kind), None)

    def _from_view(self, given: Arguments) -> bool:
        target, view = self._luns.find(given), self._snapshots.view(given)
        if view.snapshot.size > target.size:
            raise Refusal(wire.BAD_REQUEST, "LUN is smaller than the view")
        self._start(_FROM_VIEW, view.snapshot.id, target)
        return True

    def _begin(self, given: Arguments) -> bool:
        master, slave = self._luns.find(given, "master"), self._luns.find(given, "slave")
        if master is slave or master.size != slave.size:
            raise Refusal(wire.BAD_REQUEST, "LUNs differ in size")
        if not self._snapshots.has_resource(master) or not self._snapshots.has_resource(slave):
            raise Refusal(wire.CONFLICT, "LUN has no snapshot resource")
        self._start(_CLONE, master.id, slave)
        return True

    def _start(self, kind: str, source_id: str, target: Volume) -> None:
        if any(target.id in {job.source_id, job.target_id} for job in self._array.jobs.values()):
            raise Refusal(wire.CONFLICT, "LUN is being copied")
        self._array.start_job(self._array.create_job(kind, target.name, source_id, target.id, self._seconds))

    def _pair(self, given: Arguments) -> Job:
        found = self._onto(given, "lun", _CLONE)
        if found is None:
            raise Refusal(wire.NOT_FOUND, "local clone does not exist")
        return found

    def _stop(self, given: Arguments) -> bool:
        """Part a pair; a slave that had caught up holds what its master holds now."""
        job = self._pair(given)
        if self._array.is_done(job):
            self._array.data_plane.copy(self._array.wwn_of(job.source_id), self._array.wwn_of(job.target_id))
        del self._array.jobs[job.id]
        return True
