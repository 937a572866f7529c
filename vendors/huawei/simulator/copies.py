"""LUN copies, clone pairs and migrations. Source: protocol sheet, section 3.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.simulation.engine import Array, Job, Volume
from vendors.huawei.simulator import codes, wire
from vendors.huawei.simulator.profiles import Profile
from vendors.huawei.simulator.wire import Attributes, Refusal

if TYPE_CHECKING:
    from vendors.huawei.simulator.snapshots import Snapshots
    from vendors.huawei.simulator.storage import Storage
    from vendors.huawei.simulator.system import System

_CREATED, _COPYING, _COMPLETE = "36", "39", "40"
_MIGRATING, _MIGRATED = "75", "76"
_SPEEDS = range(1, 5)
_STOP = 2


class Copies:
    """The copies of an array, of every kind that its generation has."""

    def __init__(
        self, array: Array, profile: Profile, storage: Storage, snapshots: Snapshots, system: System, *, seconds: float
    ) -> None:
        self._array = array
        self._profile = profile
        self._storage = storage
        self._snapshots = snapshots
        self._system = system
        self._seconds = seconds

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers: clone pairs on V6, LUN copies elsewhere, migrations everywhere."""
        migration: dict[tuple[str, str], Any] = {
            ("POST", "lun_migration"): self._migrate,
            ("GET", "lun_migration"): lambda given, _: self._listed("migration", given),
            ("DELETE", "lun_migration/{id}"): self._delete_migration,
            ("GET", "luncopy/count"): self._count,
        }
        if self._profile.dorado:
            migration["PUT", "lunclone_split_switch"] = self._split
        return migration | (self._clone_pair_routes() if self._profile.v6 else self._lun_copy_routes())

    def state(self) -> list[Attributes]:
        """Return the copies for the state dump."""
        return [
            {"id": job.id, "kind": job.kind, "name": job.name, "source": job.source_id, "target": job.target_id}
            for job in self._array.jobs.values()
        ]

    def settle(self) -> None:
        """Let clones whose split has run to its end stand on their own."""
        for job in self._jobs("split"):
            if self._array.is_done(job):
                clone = self._array.volumes[job.target_id]
                clone.attributes["ISCLONE"] = "false"
                clone.attributes.pop("CLONESOURCEID", None)
                del self._array.jobs[job.id]

    def _jobs(self, kind: str) -> list[Job]:
        return [job for job in self._array.jobs.values() if job.kind == kind]

    def _job(self, kind: str, job_id: str, code: int) -> Job:
        job = self._array.jobs.get(job_id)
        if job is None or job.kind != kind:
            raise Refusal(code)
        return job

    def _listed(self, kind: str, given: Attributes) -> list[Attributes]:
        render = {"luncopy": self._lun_copy, "clonepair": self._clone_pair, "migration": self._migration}[kind]
        return wire.select([render(job) for job in self._jobs(kind)], given, capped=self._profile.v6)

    def _source_size(self, source_id: str) -> int:
        """Return the size of a copy's source: a LUN, or a snapshot that holds a moment."""
        snapshot = self._array.snapshots.get(source_id)
        if snapshot is None:
            return self._storage.usable(source_id).size
        if not snapshot.active:
            raise Refusal(codes.SNAPSHOT_NOT_ACTIVE)
        return snapshot.size

    def _target(self, target_id: str) -> Volume:
        target = self._storage.usable(target_id)
        if self._storage.is_reverting(target) or any(
            target.id in {job.source_id, job.target_id} for job in self._array.jobs.values()
        ):
            raise Refusal(codes.LUN_IN_USE)
        return target

    # Fast clones

    def _split(self, given: Attributes, _: str) -> Attributes:
        clone = self._storage.volume(wire.text(given, "ID"))
        source_id = clone.attributes.get("CLONESOURCEID")
        wire.choice(given, "SPLITSPEED", _SPEEDS, 2)
        if source_id is None:
            raise Refusal(codes.BAD_PARAMETER)
        under_way = next((job for job in self._jobs("split") if job.target_id == clone.id), None)
        if wire.choice(given, "SPLITACTION", (1, 2)) == _STOP:
            if under_way is None:
                raise Refusal(codes.BAD_PARAMETER)
            del self._array.jobs[under_way.id]
        elif under_way is not None:
            raise Refusal(codes.COPY_RUNNING)
        else:
            self._array.start_job(self._array.create_job("split", clone.name, source_id, clone.id, self._seconds))
        return {}

    # LUN copies

    def _count(self, _: Attributes, __: str) -> Attributes:
        """Count LUN copies; V6 has none, but clients ask for the count to learn of full copies at all."""
        self._system.need("HyperClone" if self._profile.v6 else "HyperCopy")
        return {"COUNT": str(len(self._jobs("luncopy")))}

    def _lun_copy_routes(self) -> dict[tuple[str, str], Any]:
        def one(_: Attributes, job_id: str) -> Attributes:
            return self._lun_copy(self._job("luncopy", job_id, codes.NO_LUN_COPY))

        return {
            ("GET", "luncopy"): lambda given, _: self._listed("luncopy", given),
            ("GET", "luncopy/{id}"): one,
            ("POST", "luncopy"): self._create_lun_copy,
            ("PUT", "luncopy/start"): self._start_lun_copy,
            ("PUT", "luncopy/stop"): self._stop_lun_copy,
            ("DELETE", "luncopy/{id}"): self._delete_lun_copy,
        }

    def _lun_copy(self, job: Job) -> Attributes:
        done = self._array.is_done(job)
        return {
            "ID": job.id,
            "NAME": job.name,
            "TYPE": 219,
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": _COMPLETE if done else _CREATED if job.started is None else _COPYING,
            "COPYPROGRESS": str(int(job.progress(self._array.clock()) * 100)),
            "SOURCELUN": f"INVALID;{job.source_id};INVALID;INVALID;INVALID",
            "TARGETLUN": f"INVALID;{job.target_id};INVALID;INVALID;INVALID",
            "LUNCOPYTYPE": "1",
        }

    def _create_lun_copy(self, given: Attributes, _: str) -> Attributes:
        self._system.need("HyperCopy")
        name = wire.checked_name(given, 31, cjk=self._profile.cjk)
        if any(job.name == name for job in self._jobs("luncopy")):
            raise Refusal(codes.NAME_EXISTS)
        source_id, target = _member(given, "SOURCELUN"), self._target(_member(given, "TARGETLUN"))
        wire.choice(given, "COPYSPEED", _SPEEDS, 2)
        if source_id == target.id or target.size < self._source_size(source_id):
            raise Refusal(codes.BAD_PARAMETER)
        return self._lun_copy(self._array.create_job("luncopy", name, source_id, target.id, self._seconds))

    def _start_lun_copy(self, given: Attributes, _: str) -> Attributes:
        job = self._job("luncopy", wire.text(given, "ID"), codes.NO_LUN_COPY)
        if job.started is not None:
            raise Refusal(codes.COPY_COMPLETE if self._array.is_done(job) else codes.COPY_RUNNING)
        self._source_size(job.source_id)
        self._array.start_job(job)
        return {}

    def _stop_lun_copy(self, given: Attributes, _: str) -> Attributes:
        job = self._job("luncopy", wire.text(given, "ID"), codes.NO_LUN_COPY)
        if job.started is None:
            raise Refusal(codes.COPY_STOPPED)
        if self._array.is_done(job):
            raise Refusal(codes.COPY_COMPLETE)
        job.started = None
        return {}

    def _delete_lun_copy(self, _: Attributes, job_id: str) -> None:
        job = self._job("luncopy", job_id, codes.NO_LUN_COPY)
        if job.started is not None and not self._array.is_done(job):
            raise Refusal(codes.COPY_RUNNING)
        del self._array.jobs[job.id]

    # Clone pairs

    def _clone_pair_routes(self) -> dict[tuple[str, str], Any]:
        def one(_: Attributes, job_id: str) -> Attributes:
            return self._clone_pair(self._job("clonepair", job_id, codes.NO_CLONE_PAIR))

        return {
            ("GET", "clonepair"): lambda given, _: self._listed("clonepair", given),
            ("GET", "clonepair/{id}"): one,
            ("POST", "clonepair/relation"): self._create_clone_pair,
            ("PUT", "clonepair/synchronize"): self._synchronise,
            ("DELETE", "clonepair/{id}"): self._delete_clone_pair,
            ("DELETE", "clonepair"): lambda given, _: self._delete_clone_pair(given, wire.text(given, "ID")),
        }

    def _clone_pair(self, job: Job) -> Attributes:
        snapshot = self._array.snapshots.get(job.source_id)
        source = snapshot or self._array.volumes[job.source_id]
        return {
            "ID": job.id,
            "TYPE": "57702",
            "name": job.name,
            "sourceID": job.source_id,
            "sourceName": source.name,
            "sourceType": "1" if snapshot else "0",
            "targetID": job.target_id,
            "targetName": self._array.volumes[job.target_id].name,
            "copyStatus": "0",
            "syncStatus": "2" if self._array.is_done(job) else "1",
            "copyProcess": str(int(job.progress(self._array.clock()) * 100)),
            "syncStartTime": "1700000000",
            "syncEndTime": "1700000060",
            "consistencyGroupID": "4294967295",
            "vstoreId": "0",
        }

    def _create_clone_pair(self, given: Attributes, _: str) -> Attributes:
        self._system.need("HyperClone")
        source_id, target = wire.text(given, "sourceID"), self._target(wire.text(given, "targetID"))
        wire.choice(given, "copyRate", _SPEEDS, 2)
        at_once = wire.choice(given, "isNeedSynchronize", (0, 1), 0) == 1
        if source_id == target.id:
            raise Refusal(codes.BAD_PARAMETER)
        if target.size != self._source_size(source_id):
            raise Refusal(codes.SIZES_DIFFER)
        job = self._array.create_job("clonepair", target.name, source_id, target.id, self._seconds)
        if at_once:
            self._array.start_job(job)
        return {"ID": job.id}

    def _synchronise(self, given: Attributes, _: str) -> Attributes:
        job = self._job("clonepair", wire.text(given, "ID"), codes.NO_CLONE_PAIR)
        stop = wire.choice(given, "copyAction", (0, _STOP)) == _STOP
        if job.started is not None and self._array.is_done(job):
            raise Refusal(codes.SYNCHRONISED)
        if stop:
            if job.started is None:
                raise Refusal(codes.NO_SYNCHRONISATION)
            job.started = None
            return {}
        if job.started is not None:
            raise Refusal(codes.COPY_RUNNING)
        self._source_size(job.source_id)
        self._array.start_job(job)
        return {}

    def _delete_clone_pair(self, given: Attributes, job_id: str) -> None:
        job = self._job("clonepair", job_id, codes.NO_CLONE_PAIR)
        if job.started is not None and not self._array.is_done(job):
            raise Refusal(codes.COPY_RUNNING)
        if wire.text(given, "isDeleteDstLun", "false") == "true":
            target = self._storage.volume(job.target_id)
            self._storage.refuse_if_used(target, but=job)
            self._array.delete_volume(target)
        del self._array.jobs[job.id]

    # Migrations

    def _migration(self, job: Job) -> Attributes:
        return {
            # The source's id: clients name a migration by either (sheet, section 3.5), and both must mean the same one.
            "ID": job.source_id,
            "TYPE": 253,
            "PARENTID": job.source_id,
            "TARGETLUNID": job.target_id,
            "RUNNINGSTATUS": _MIGRATED if self._array.is_done(job) else _MIGRATING,
            "HEALTHSTATUS": "1",
            "SPEED": "2",
        }

    def _migrate(self, given: Attributes, _: str) -> Attributes:
        self._system.need("SmartMigration", codes.NO_MIGRATION_LICENCE)
        source = self._target(wire.text(given, "PARENTID"))
        target = self._target(wire.text(given, "TARGETLUNID"))
        if source is target or source.size != target.size:
            raise Refusal(codes.SIZES_DIFFER)
        job = self._array.create_job("migration", "", source.id, target.id, self._seconds)
        self._array.start_job(job)
        return self._migration(job)

    def _delete_migration(self, _: Attributes, source_id: str) -> Attributes:
        job = next((job for job in self._jobs("migration") if source_id == job.source_id), None)
        if job is None:
            raise Refusal(codes.NO_MIGRATION)
        del self._array.jobs[job.id]
        return {}


def _member(given: Attributes, key: str) -> str:
    fields = wire.text(given, key).split(";")
    if len(fields) != 5 or not fields[1].isdecimal():  # noqa: PLR2004 - the wire's own format
        raise Refusal(codes.BAD_PARAMETER)
    return fields[1]
