"""ShadowImage pairs, and the Volume Migration that is made of one. Source: protocol sheet, sections 3.5 and 3.7.

Where the sheet is silent: a pair for Volume Migration copies nothing before ``migrate``, and dissolves when the data has moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.simulation.engine import Array, Job
from vendors.hitachi.simulator import codes, wire
from vendors.hitachi.simulator.codes import Failure, Refusal, not_there
from vendors.hitachi.simulator.jobs import Outcome
from vendors.hitachi.simulator.storage import Storage
from vendors.hitachi.simulator.wire import Object

_CREATE = (
    "copyGroupName",
    "copyPairName",
    "replicationType",
    "pvolLdevId",
    "svolLdevId",
    "isNewGroupCreation",
    "pvolDeviceGroupName",
    "svolDeviceGroupName",
    "pvolMuNumber",
    "autoSplit",
    "quickMode",
    "copyMode",
    "copyPace",
    "isConsistencyGroup",
    "isDataReductionForceCopy",
)
_LONGEST = 31
_PACES = range(1, 16)
_MOST_SECONDARIES = 3


@dataclass(slots=True)
class Pair:
    """One local clone pair."""

    group: str
    primary_group: str
    secondary_group: str
    name: str
    pvol: int
    svol: int
    mu: int
    moves: bool
    job: Job | None = None
    split: bool = False

    @property
    def id(self) -> str:
        """Its id at the wire."""
        return f"{self.group},{self.primary_group},{self.secondary_group},{self.name}"


class Copies:
    """The ShadowImage pairs of an array; `seconds` is how long data is copied or moved."""

    def __init__(self, array: Array, storage: Storage, *, seconds: float) -> None:
        self._array = array
        self._storage = storage
        self._seconds = seconds
        self._pairs: dict[str, Pair] = {}

    def reads(self) -> Mapping[str, Callable[..., Any]]:
        """Return the handlers of GET."""
        return {
            "local-clone-copypairs": self._list,
            "local-clone-copypairs/{id}": lambda pair_id, _: self._rendered(self._asked(pair_id)),
            "local-clone-copygroups": lambda _: self._groups(),
        }

    def changes(self) -> Mapping[tuple[str, str], Callable[..., Outcome]]:
        """Return the handlers of jobs."""
        actions = "local-clone-copypairs/{id}/actions"
        return {
            ("POST", "local-clone-copypairs"): self._create,
            ("POST", f"{actions}/migrate/invoke"): self._migrate,
            ("POST", f"{actions}/split/invoke"): self._split,
            ("POST", f"{actions}/resync/invoke"): self._resync,
            ("POST", f"{actions}/restore/invoke"): self._restore,
            ("DELETE", "local-clone-copypairs/{id}"): self._delete,
        }

    def settle(self) -> None:
        """Let moves that have come to their end dissolve."""
        self._array.settle()
        for pair in list(self._pairs.values()):
            if pair.moves and pair.job is not None and self._array.is_done(pair.job):
                self._forget(pair)

    def of(self, ldev_id: int) -> list[Pair]:
        """Return the pairs that an LDEV is in."""
        return [pair for pair in self._pairs.values() if ldev_id in {pair.pvol, pair.svol}]

    def state(self) -> list[Object]:
        """Return the pairs for the state dump."""
        return [{"name": pair.id, "moves": pair.moves, "status": self._status(pair)} for pair in self._pairs.values()]

    def _asked(self, pair_id: str) -> Pair:
        if pair_id not in self._pairs:
            raise Refusal(404, codes.NOT_THERE, "localCloneCopypairId")
        return self._pairs[pair_id]

    def _found(self, pair_id: str) -> Pair:
        if pair_id not in self._pairs:
            raise not_there("EX_ENOOBJ")
        return self._pairs[pair_id]

    def _list(self, query: Mapping[str, str]) -> list[Object]:
        wanted = wire.text(query, "localCloneCopyGroupId")
        return [self._rendered(pair) for pair in self._pairs.values() if pair.id.startswith(f"{wanted},")]

    def _groups(self) -> list[Object]:
        names = sorted({(pair.group, pair.primary_group, pair.secondary_group) for pair in self._pairs.values()})
        return [{"copyGroupName": group, "localCloneCopygroupId": f"{group},{first},{second}"} for group, first, second in names]

    def _status(self, pair: Pair) -> str:
        if pair.job is None:
            return "SMPL" if pair.moves else "PAIR"
        if not self._array.is_done(pair.job):
            return "COPY"
        return "PSUS" if pair.split else "PAIR"

    def _rendered(self, pair: Pair) -> Object:
        status = self._status(pair)
        return {
            "copyGroupName": pair.group,
            "copyPairName": pair.name,
            "localCloneCopypairId": pair.id,
            "replicationType": "SI",
            "pvolLdevId": pair.pvol,
            "pvolMuNumber": pair.mu,
            "pvolStatus": status,
            "svolLdevId": pair.svol,
            "svolStatus": "SSUS" if status == "PSUS" else status,
            "copyProgressRate": int(pair.job.progress(self._array.clock()) * 100) if pair.job else 0,
        }

    def _create(self, given: Object) -> Outcome:
        wire.only(given, *_CREATE)
        group, name = wire.text(given, "copyGroupName"), wire.text(given, "copyPairName")
        first = wire.text(given, "pvolDeviceGroupName", f"{group}P_")
        second = wire.text(given, "svolDeviceGroupName", f"{group}S_")
        if any(not 1 <= len(text) <= _LONGEST for text in (group, name, first, second)):
            raise Refusal(400, codes.BAD_COMBINATION, "copyGroupName")
        wire.choice(given, "replicationType", ("SI",), "SI")
        moves = wire.choice(given, "copyMode", ("NotSynchronized",), "") == "NotSynchronized" if "copyMode" in given else False
        split = wire.flag(given, "autoSplit")
        if wire.number(given, "copyPace", 3) not in _PACES or (wire.flag(given, "quickMode") and not split):
            raise Refusal(400, codes.BAD_COMBINATION, "copyPace or quickMode")
        stands = any(pair.group == group for pair in self._pairs.values())
        if wire.flag(given, "isNewGroupCreation") == stands:
            raise Failure(codes.WRONG_PAIR_STATE)
        pair = self._pair(given, (group, first, second, name), moves=moves, split=split)
        self._pairs[pair.id] = pair
        if moves:
            return Outcome([f"local-clone-copypairs/{pair.id}"])
        pair.job = self._array.create_job("split", name, str(pair.pvol), str(pair.svol), self._seconds)
        self._array.start_job(pair.job)
        self._array.data_plane.copy(self._storage.wwn(pair.pvol), self._storage.wwn(pair.svol))
        self._storage.touch(pair.svol)
        return Outcome([f"local-clone-copypairs/{pair.id}"], self._array.clock() + self._seconds)

    def _pair(self, given: Object, names: tuple[str, str, str, str], *, moves: bool, split: bool) -> Pair:
        pvol, svol = wire.number(given, "pvolLdevId"), wire.number(given, "svolLdevId")
        if self._storage.find(pvol).size != self._storage.find(svol).size or pvol == svol:
            raise Failure(codes.SIZES_DIFFER)
        taken = {pair.mu for pair in self.of(pvol) if pair.pvol == pvol}
        if self.of(svol) or len(taken) >= _MOST_SECONDARIES:
            raise Failure(codes.SVOL_PAIRED)
        mu = wire.number(given, "pvolMuNumber", next(number for number in range(3) if number not in taken))
        if mu in taken:
            raise Failure(codes.MU_TAKEN)
        return Pair(*names, pvol, svol, mu, moves, split=split)

    def _migrate(self, pair_id: str, given: Object) -> Outcome:
        wire.parameters(given)
        pair = self._found(pair_id)
        if not pair.moves or pair.job is not None:
            raise Failure(codes.WRONG_PAIR_STATE)
        target = self._storage.find(pair.svol)
        if self._array.free(target.pool_id) == 0:
            raise Failure(codes.POOL_FULL)
        pair.job = self._array.create_job("migration", pair.name, str(pair.pvol), str(pair.svol), self._seconds)
        self._array.start_job(pair.job)
        self._storage.touch(pair.svol)
        return Outcome([f"local-clone-copypairs/{pair.id}"], self._array.clock() + self._seconds)

    def _split(self, pair_id: str, given: Object) -> Outcome:
        wire.parameters(given, "copyPace", "quickMode")
        pair = self._found(pair_id)
        if pair.moves or self._status(pair) != "PAIR":
            raise Failure(codes.WRONG_PAIR_STATE)
        self._array.data_plane.copy(self._storage.wwn(pair.pvol), self._storage.wwn(pair.svol))
        pair.split = True
        return Outcome([f"local-clone-copypairs/{pair.id}"])

    def _resync(self, pair_id: str, given: Object) -> Outcome:
        return self._again(pair_id, given, backwards=False)

    def _restore(self, pair_id: str, given: Object) -> Outcome:
        return self._again(pair_id, given, backwards=True)

    def _again(self, pair_id: str, given: Object, *, backwards: bool) -> Outcome:
        wire.parameters(given, "copyPace", "quickMode")
        pair = self._found(pair_id)
        if pair.moves or self._status(pair) != "PSUS" or pair.job is None:
            raise Failure(codes.WRONG_PAIR_STATE)
        ends = (self._storage.wwn(pair.pvol), self._storage.wwn(pair.svol))
        self._array.data_plane.copy(*(reversed(ends) if backwards else ends))
        pair.split = False
        self._array.start_job(pair.job)
        return Outcome([f"local-clone-copypairs/{pair.id}"], self._array.clock() + self._seconds)

    def _delete(self, pair_id: str, given: Object) -> Outcome:
        wire.only(given)
        pair = self._found(pair_id)
        if pair.moves and pair.job is not None:
            raise Failure(codes.WRONG_PAIR_STATE)
        self._forget(pair)
        return Outcome([f"local-clone-copypairs/{pair_id}"])

    def _forget(self, pair: Pair) -> None:
        if pair.job is not None:
            del self._array.jobs[pair.job.id]
        del self._pairs[pair.id]
