"""Clones: a volume copied onto a target of type BACKUP, one at a time per source. Source: protocol sheet, section 3.6.

Where the sheet is silent:

* ``clone_snap`` is shown from the start of the copying on, and the relation until ``delete_clone``;
* a source that has a relation, or a target that is in one, takes no second one (keys 1 and 305);
* a relation is not deleted while bytes are being copied, and starting it again afterwards copies again;
* a target that is made an ordinary volume by ``set_volume`` leaves its relation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from conformance.simulation.engine import Array, Job, Volume
from vendors.toyou.simulator import keys
from vendors.toyou.simulator.keys import Refusal
from vendors.toyou.simulator.snapshots import Snapshots
from vendors.toyou.simulator.storage import BACKUP, RAID, Storage
from vendors.toyou.simulator.wire import Call

_QUEUED_PART: Final = 0.1
"""Part of a copy's time for which its source is Queued."""


@dataclass(slots=True)
class _Relation:
    target_id: str
    snapshot: str = ""
    job: Job | None = None


class Copies:
    """Clone relations, by the id of their source."""

    def __init__(self, array: Array, storage: Storage, snapshots: Snapshots, *, seconds: float) -> None:
        self._array = array
        self._storage = storage
        self._snapshots = snapshots
        self._seconds = seconds
        self._relations: dict[str, _Relation] = {}
        snapshots.guard(self._is_copied)

    def verbs(self) -> dict[str, Any]:
        """Return the handlers."""
        return {"create_clone": self._create, "start_clone": self._start, "delete_clone": self._delete}

    def blocks(self, volume: Volume) -> bool:
        """Tell whether a volume takes part in a clone."""
        return volume.id in self._relations or self._source_of(volume) is not None

    def shown(self, volume: Volume) -> dict[str, Any]:
        """Return what a volume shows of the clone that is made of it, its status included."""
        relation = self._relations.get(volume.id)
        if relation is None:
            return {"has_clone": 0, "clone": "N/A", "clone_snap": "N/A", "r": "", "status": "Online"}
        progress = 1.0 if relation.job is None else relation.job.progress(self._array.clock())
        running = progress < 1.0
        return {
            "has_clone": 1,
            "clone": self._array.volumes[relation.target_id].name,
            "clone_snap": relation.snapshot or "N/A",
            "r": str(int(progress * 100)) if running else "",
            "status": ("Queued" if progress < _QUEUED_PART else "Cloning") if running else "Online",
        }

    def forget_target(self, volume: Volume) -> None:
        """End the relation that a volume is the target of."""
        source = self._source_of(volume)
        if source is not None:
            self._end(source)

    def state(self) -> list[dict[str, Any]]:
        """Return the relations."""
        volumes = self._array.volumes
        return [
            {"source": volumes[source].name, "target": volumes[relation.target_id].name, "started": relation.job is not None}
            for source, relation in self._relations.items()
        ]

    def _create(self, call: Call) -> None:
        source, target = self._storage.find(call.one("--volume")), self._storage.find(call.one("--clone"))
        if source is None or source.attributes["type"] != RAID:
            raise Refusal(keys.NO_CLONE_SOURCE)
        if target is None or target.attributes["type"] != BACKUP or self._source_of(target) is not None:
            raise Refusal(keys.NO_CLONE_TARGET)
        if source.size > target.size:
            raise Refusal(keys.SOURCE_LARGER)
        if source.id in self._relations:
            raise Refusal(keys.UNKNOWN, "the source has a clone")
        self._relations[source.id] = _Relation(target.id)

    def _start(self, call: Call) -> None:
        source, relation = self._related(call)
        name = call.given("--snapshot")
        copied = self._snapshots.named(source, name).id if name else source.id
        if self._runs(relation) or self._snapshots.is_reverting(source):
            raise Refusal(keys.UNKNOWN, "the source is busy")
        if relation.job is not None:
            del self._array.jobs[relation.job.id]
        relation.snapshot = name or f"clone_{relation.target_id}"
        relation.job = self._array.create_job("clone", relation.snapshot, copied, relation.target_id, self._seconds)
        self._array.start_job(relation.job)

    def _delete(self, call: Call) -> None:
        source, relation = self._related(call)
        if self._runs(relation):
            raise Refusal(keys.UNKNOWN, "the source is busy")
        self._array.volumes[relation.target_id].attributes["type"] = RAID
        self._end(source.id)

    def _related(self, call: Call) -> tuple[Volume, _Relation]:
        source = self._storage.named(call.one("--volume"))
        relation = self._relations.get(source.id)
        if relation is None:
            raise Refusal(keys.UNKNOWN, "the volume has no clone")
        return source, relation

    def _end(self, source_id: str) -> None:
        relation = self._relations.pop(source_id)
        if relation.job is not None:
            del self._array.jobs[relation.job.id]

    def _runs(self, relation: _Relation) -> bool:
        return relation.job is not None and not self._array.is_done(relation.job)

    def _source_of(self, target: Volume) -> str | None:
        return next((source for source, relation in self._relations.items() if relation.target_id == target.id), None)

    def _is_copied(self, object_id: str) -> bool:
        return any(
            relation.job is not None and object_id in {relation.job.source_id, source} and self._runs(relation)
            for source, relation in self._relations.items()
        )
