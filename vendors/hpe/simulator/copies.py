"""Snapshots by action, physical copies, promotes and tunes. Source: protocol sheet, sections 3.4 to 3.7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.simulation.engine import Array, OutOfSpace, Snapshot, Volume
from vendors.hpe.simulator import codes, tasks, wire
from vendors.hpe.simulator.profiles import Profile
from vendors.hpe.simulator.tasks import Tasks
from vendors.hpe.simulator.volumes import COMPRESSION, Vv
from vendors.hpe.simulator.wire import MIB, Answer, Attributes, Call, Handler, Refusal

if TYPE_CHECKING:
    from vendors.hpe.simulator.cpgs import Cpgs
    from vendors.hpe.simulator.system import System
    from vendors.hpe.simulator.volumes import Volumes

OPTIMISATION = "Dynamic Optimization"
_STOP_COPY, _RESYNC, _GROW, _PROMOTE, _STOP_PROMOTE, _TUNE = range(1, 7)
_USER_CPG, _SNAP_CPG = 1, 2
_TO_THIN, _TO_FULL, _TO_DEDUP, _TO_REDUCED = range(1, 5)
_PRIORITIES = (1, 2, 3)
_ONLY_OFFLINE = ("saveSnapshot",)
_ONLY_ONLINE = ("destCPG", "tpvv", "tdvv", "compression", "reduce", "snapCPG", "comment")
_EXTENT = 64 * MIB
"""What a thin volume takes of the CPG that it moves to."""
_COMMENT_BUILDS = range(40600000, 100000000)


class Copies:
    """What volumes can be told to do."""

    def __init__(
        self, array: Array, profile: Profile, volumes: Volumes, cpgs: Cpgs, running: Tasks, system: System, seconds: float
    ) -> None:
        self._array = array
        self._profile = profile
        self._volumes = volumes
        self._cpgs = cpgs
        self._tasks = running
        self._system = system
        self._seconds = seconds

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {("POST", "volumes/{}"): self._post, ("PUT", "volumes/{}"): self._put}

    def copied_from(self, object_id: str) -> str:
        """Return the id of what is being copied onto a volume, or nothing."""
        copies = self._tasks.active(tasks.VV_COPY, tasks.ONLINE_COPY)
        return next((task.holds[0] for task in copies if task.holds[1] == object_id), "")

    # POST

    def _post(self, call: Call) -> Answer:
        source = self._volumes.find(call.names[0])
        action = wire.text(call.body, "action")
        if action == "createSnapshot":
            given = wire.part(call.body, "parameters")
            made = self._volumes.snapshot(source, given, wire.name(given, "name"))
            return wire.created(f"/api/v1/volumes/{made.name}")
        if action == "createPhysicalCopy":
            given = wire.part(call.body, "parameters")
            return self._online(source, given) if wire.flag(given, "online") else self._offline(source, given)
        raise Refusal(codes.BAD_ENUM, ref="action")

    def _online(self, source: Vv, given: Attributes) -> Answer:
        if any(key in given for key in _ONLY_OFFLINE):
            raise Refusal(codes.CONFLICT)
        if "comment" in given and self._profile.build not in _COMMENT_BUILDS:
            raise Refusal(codes.BAD_INPUT, ref="comment")
        self._volumes.refuse_busy(source)
        name = self._volumes.free_name(wire.name(given, "destVolume"))
        target = self._volumes.make(name, given, source.size // MIB, wire.text(given, "destCPG"))
        return self._copy(tasks.ONLINE_COPY, source, target, given)

    def _offline(self, source: Vv, given: Attributes) -> Answer:
        if any(key in given for key in _ONLY_ONLINE):
            raise Refusal(codes.CONFLICT)
        target = self._volumes.find(wire.name(given, "destVolume"))
        if not isinstance(target, Volume) or target is source:
            raise Refusal(codes.BAD_INPUT, ref="destVolume")
        self._volumes.refuse_busy(source, target)
        if target.size < source.size:
            raise Refusal(codes.BELOW_RANGE, ref="destVolume")
        if self._volumes.is_exported(target):
            raise Refusal(codes.EXPORTED_TARGET)
        if self._volumes.children(target):
            raise Refusal(codes.HAS_CHILD)
        return self._copy(tasks.VV_COPY, source, target, given)

    def _copy(self, kind: int, source: Vv, target: Volume, given: Attributes) -> Answer:
        priority = wire.choice(given, "priority", _PRIORITIES, 2)
        self._array.data_plane.copy(source.wwn, target.wwn)
        task = self._tasks.begin(kind, target.name, (source.id, target.id), self._seconds, priority=priority)
        return Answer({"taskid": task.id}, location=f"/api/v1/volumes/{target.name}")

    # PUT

    def _put(self, call: Call) -> Answer | Attributes | None:
        item, given = self._volumes.find(call.names[0]), call.body
        if "action" not in given:
            return self._volumes.change(item, given)
        action = wire.choice(given, "action", range(_STOP_COPY, _TUNE + 1))
        if action == _PROMOTE:
            return self._promote(item, given)
        if action == _TUNE:
            return self._tune(item, given)
        if action == _GROW:
            self._volumes.grow(item, given)
        else:
            self._stop(item, action)
        return None

    def _stop(self, item: Vv, action: int) -> None:
        if action == _STOP_PROMOTE:
            found = next((task for task in self._tasks.active(tasks.PROMOTE) if item.id in task.holds), None)
            if found is None:
                raise Refusal(codes.NO_PROMOTE)
        else:
            copies = self._tasks.active(tasks.VV_COPY, tasks.ONLINE_COPY)
            found = next((task for task in copies if task.holds[1] == item.id), None)
            if found is None or action == _RESYNC:
                raise Refusal(codes.BAD_INPUT)
        self._tasks.cancel(found)

    def _promote(self, item: Vv, given: Attributes) -> Attributes:
        if not isinstance(item, Snapshot):
            raise Refusal(codes.BAD_INPUT)
        parent = self._volumes.parent(item)
        online = wire.flag(given, "online")
        priority = wire.choice(given, "priority", _PRIORITIES, 2)
        self._volumes.refuse_busy(item, parent)
        if self._volumes.is_exported(parent) and not online:
            raise Refusal(codes.PARENT_EXPORTED)
        self._array.data_plane.copy(item.wwn, parent.wwn)
        task = self._tasks.begin(tasks.PROMOTE, item.name, (item.id, parent.id), self._seconds, priority=priority)
        return {"taskid": task.id}

    def _tune(self, item: Vv, given: Attributes) -> Attributes:
        self._system.need(OPTIMISATION)
        operation = wire.choice(given, "tuneOperation", (_USER_CPG, _SNAP_CPG))
        key = "userCPG" if operation == _USER_CPG else "snapCPG"
        pool = self._cpgs.find(wire.text(given, key))
        if not isinstance(item, Volume):
            raise Refusal(codes.CANNOT_GROW)
        if any(item.id in task.holds for task in self._tasks.active(tasks.MOVE, tasks.CONVERT)):
            raise Refusal(codes.TUNING)
        self._volumes.refuse_busy(item)
        if operation == _SNAP_CPG:
            self._volumes.details(item).snap_cpg = pool.name
            return {"taskid": self._tasks.begin(tasks.MOVE, item.name, (item.id,), self._seconds).id}
        conversion = self._conversion(item, given)
        thin = item.thin if conversion is None else conversion != _TO_FULL
        if self._array.free(pool.id) < (_EXTENT if thin else item.size):
            raise OutOfSpace

        def moved() -> None:
            item.pool_id, item.thin = pool.id, thin
            if conversion is not None:
                details = self._volumes.details(item)
                details.dedup, details.reduced = conversion == _TO_DEDUP, conversion == _TO_REDUCED
                details.compression = wire.flag(given, "compression")

        kind = tasks.MOVE if conversion is None else tasks.CONVERT
        return {"taskid": self._tasks.begin(kind, item.name, (item.id,), self._seconds, ended=moved).id}

    def _conversion(self, item: Volume, given: Attributes) -> int | None:
        if "conversionOperation" not in given:
            return None
        conversion = wire.choice(given, "conversionOperation", range(_TO_THIN, _TO_REDUCED + 1))
        if self._profile.primera != (conversion == _TO_REDUCED) and conversion != _TO_THIN:
            raise Refusal(codes.BAD_INPUT, ref="conversionOperation")
        if wire.flag(given, "compression"):
            self._system.need(COMPRESSION)
            if not self._profile.compression or conversion == _TO_FULL:
                raise Refusal(codes.CONFLICT, ref="compression")
        if self._volumes.children(item):
            raise Refusal(codes.MISSING, text="the volume has snapshots: option keepVV is required", ref="keepVV")
        return conversion
