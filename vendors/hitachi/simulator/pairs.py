"""Thin Image: snapshots with and without a secondary volume, clones, groups. Source: protocol sheet, sections 2, 3.6 and 3.14."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from conformance.simulation.engine import Array
from vendors.hitachi.simulator import codes, wire
from vendors.hitachi.simulator.codes import Failure, Refusal, not_there
from vendors.hitachi.simulator.jobs import Outcome
from vendors.hitachi.simulator.storage import V_VOL_POOL, Storage
from vendors.hitachi.simulator.wire import Object

FEATURE = "Thin Image"
_MUS = range(1024)
_SPEEDS = ("slower", "medium", "faster")
_CREATE = (
    "snapshotGroupName",
    "snapshotPoolId",
    "pvolLdevId",
    "svolLdevId",
    "autoSplit",
    "isConsistencyGroup",
    "canCascade",
    "isClone",
    "clonesAutomation",
    "copySpeed",
    "isDataReductionForceCopy",
    "muNumber",
)
_SPLIT = frozenset({"PSUS", "PFUS"})


@dataclass(slots=True)
class Pair:
    """A Thin Image pair; `steps` are the states to come, each with the moment from which it holds."""

    group: str
    pvol: int
    mu: int
    svol: int | None
    pool: int
    clone: bool
    consistent: bool
    cascade: bool
    status: str
    steps: list[tuple[float, str]]
    bytes_of: str
    """WWN under which the data plane keeps what was stored; empty where nothing is."""
    split_at: str = ""

    @property
    def id(self) -> str:
        """Its id at the wire."""
        return f"{self.pvol},{self.mu}"


class Pairs:
    """The Thin Image pairs of an array.

    Args:
        array: the state.
        storage: the LDEVs.
        licensed: whether the program product is installed.
        settle: seconds from one pair state to the next.
        seconds: how long data is copied, for a clone or a restore.
    """

    def __init__(self, array: Array, storage: Storage, licensed: Callable[[], bool], *, settle: float, seconds: float) -> None:
        self._array = array
        self._storage = storage
        self._licensed = licensed
        self._settle = settle
        self._seconds = seconds
        self._pairs: dict[tuple[int, int], Pair] = {}

    def reads(self) -> Mapping[str, Callable[..., Any]]:
        """Return the handlers of GET."""
        return {
            "snapshots": self._list,
            "snapshots/{id}": lambda pair_id, _: self._rendered(self._asked(pair_id), secondary=False),
            "snapshot-replications": lambda _: self._all(),
            "snapshot-groups": lambda _: [self._group_head(name) for name in sorted({pair.group for pair in self._live()})],
            "snapshot-groups/{id}": lambda name, _: self._group(name),
        }

    def changes(self) -> Mapping[tuple[str, str], Callable[..., Outcome]]:
        """Return the handlers of jobs."""
        return {
            ("POST", "snapshots"): self._create,
            ("DELETE", "snapshots/{id}"): lambda pair_id, given: self._delete([self._found(pair_id)], given),
            ("POST", "snapshots/{id}/actions/split/invoke"): lambda pair_id, given: self._split(
                lambda: [self._found(pair_id)], given
            ),
            ("POST", "snapshots/{id}/actions/resync/invoke"): self._resync,
            ("POST", "snapshots/{id}/actions/restore/invoke"): self._restore,
            ("POST", "snapshots/{id}/actions/clone/invoke"): self._clone,
            ("POST", "snapshots/{id}/actions/assign-volume/invoke"): self._assign,
            ("POST", "snapshots/{id}/actions/unassign-volume/invoke"): self._unassign,
            ("POST", "snapshot-groups/{id}/actions/split/invoke"): lambda name, given: self._split(
                lambda: self._members(name), given
            ),
            ("DELETE", "snapshot-groups/{id}"): lambda name, given: self._delete(self._members(name), given),
        }

    def settle(self) -> None:
        """Let the pairs be in the states that their time has come for."""
        now = self._array.clock()
        for pair in [pair for pair in self._pairs.values() if pair.steps]:
            while pair.steps and now >= pair.steps[0][0]:
                pair.status = pair.steps.pop(0)[1]
            if pair.status == "SMPL":
                self._forget(pair)

    def of(self, ldev_id: int) -> list[Pair]:
        """Return the pairs that an LDEV is in."""
        return [pair for pair in self._pairs.values() if ldev_id in {pair.pvol, pair.svol}]

    def snapshot_pool_of(self, ldev_id: int) -> int | None:
        """Return the pool of the pair whose S-VOL an LDEV is."""
        return next((pair.pool for pair in self._pairs.values() if pair.svol == ldev_id), None)

    def may_grow(self, ldev_id: int) -> bool:
        """Tell whether every pair of an LDEV is split."""
        return all(pair.status in _SPLIT for pair in self.of(ldev_id))

    def state(self) -> list[Object]:
        """Return the pairs for the state dump."""
        return [
            {
                "mu_id": pair.mu,
                "name": pair.group,
                "volume": self._label(pair.pvol),
                "secondary": None if pair.svol is None else self._label(pair.svol),
                "assigned": pair.svol is not None,
                "status": pair.status,
                "clone": pair.clone,
            }
            for pair in self._pairs.values()
        ]

    def clear(self) -> None:
        """Forget every byte that was stored without a secondary volume."""
        for pair in self._pairs.values():
            self._drop_bytes(pair)

    # Reading

    def _label(self, ldev_id: int) -> str:
        return self._storage.find(ldev_id).name

    def _live(self) -> Iterable[Pair]:
        return list(self._pairs.values())

    def _asked(self, pair_id: str) -> Pair:
        pair = self._pairs.get(_key(pair_id))
        if pair is None:
            raise Refusal(404, codes.NOT_THERE, "snapshotId")
        return pair

    def _found(self, pair_id: str) -> Pair:
        pair = self._pairs.get(_key(pair_id))
        if pair is None:
            raise not_there("EX_ENOOBJ")
        return pair

    def _members(self, name: str) -> list[Pair]:
        found = [pair for pair in self._live() if pair.group == name]
        if not found:
            raise not_there("EX_ENOOBJ")
        return found

    def _list(self, query: Mapping[str, str]) -> list[Object]:
        pvol, svol = wire.optional_number(query, "pvolLdevId"), wire.optional_number(query, "svolLdevId")
        mu, group = wire.optional_number(query, "muNumber"), query.get("snapshotGroupName")
        if pvol is None and svol is None and group is None:
            raise Refusal(400, codes.MISSING, "pvolLdevId")
        wanted = {"pvol": pvol, "svol": svol, "mu": mu, "group": group}
        return [
            self._rendered(pair, secondary=svol is not None)
            for pair in sorted(self._live(), key=lambda pair: (pair.pvol, pair.mu))
            if all(value is None or getattr(pair, key) == value for key, value in wanted.items())
        ]

    def _all(self) -> list[Object]:
        return [self._rendered(pair, secondary=False) | {"snapshotReplicationId": pair.id} for pair in self._live()]

    def _group_head(self, name: str) -> Object:
        return {"snapshotGroupName": name, "snapshotGroupId": name}

    def _group(self, name: str) -> Object:
        members = [self._rendered(pair, secondary=False) for pair in self._live() if pair.group == name]
        if not members:
            raise Refusal(404, codes.NOT_THERE, "snapshotGroupId")
        return self._group_head(name) | {"snapshots": members}

    def _rendered(self, pair: Pair, *, secondary: bool) -> Object:
        found: Object = {
            "snapshotGroupName": pair.group,
            "primaryOrSecondary": "S-VOL" if secondary else "P-VOL",
            "status": pair.status,
            "pvolLdevId": pair.pvol,
            "muNumber": pair.mu,
            "snapshotPoolId": pair.pool,
            "concordanceRate": 100,
            "isConsistencyGroup": pair.consistent,
            "isWrittenInSvol": False,
            "isClone": pair.clone,
            "canCascade": pair.cascade,
            "snapshotId": pair.id,
        }
        if pair.svol is not None:
            found["svolLdevId"] = pair.svol
        if pair.steps:
            found["progressRate"] = 0
        if pair.split_at and pair.status in _SPLIT:
            found["splitTime"] = pair.split_at
        return found

    # Making

    def _create(self, given: Object) -> Outcome:
        wire.only(given, *_CREATE)
        group = wire.text(given, "snapshotGroupName")
        if not 1 <= len(group) <= 32:  # noqa: PLR2004 - the wire's own limit
            raise Refusal(400, codes.BAD_COMBINATION, "snapshotGroupName")
        clone, split = wire.flag(given, "isClone"), wire.flag(given, "autoSplit")
        consistent, cascade = wire.flag(given, "isConsistencyGroup"), wire.flag(given, "canCascade", clone)
        wire.choice(given, "copySpeed", _SPEEDS, "medium")
        pool = wire.number(given, "snapshotPoolId")
        pvol, svol = wire.number(given, "pvolLdevId"), wire.optional_number(given, "svolLdevId")
        if (split and (clone or consistent)) or (clone and svol is None):
            raise Refusal(400, codes.BAD_COMBINATION, "autoSplit or isClone")
        self._may_pair(group, consistent=consistent)
        self._storage.pool_number({"pool": pool}, "pool")
        self._storage.find(pvol)
        if svol is not None:
            self._check_svol(pvol, svol, cascade=cascade)
        mu = self._free_mu(pvol, wire.optional_number(given, "muNumber"))
        if self._array.free(str(pool)) == 0:
            raise Failure(codes.POOL_FULL)
        pair = Pair(group, pvol, mu, svol, pool, clone, consistent, cascade, "COPY", [], "")
        self._pairs[pvol, mu] = pair
        ends = self._begin(pair, split=split, automatic=clone and wire.flag(given, "clonesAutomation"))
        return Outcome([f"snapshots/{pair.id}"], ends)

    def _begin(self, pair: Pair, *, split: bool, automatic: bool) -> float:
        settled = self._array.clock() + self._settle
        if automatic and pair.svol is not None:
            return self._copy_out(pair, pair.svol, settled)
        pair.steps = [(settled, "PAIR")]
        if split:
            self._store([pair])
            pair.steps = [(settled, "PSUS")]
        return settled

    def _copy_out(self, pair: Pair, svol: int, settled: float) -> float:
        """Copy a clone's data; the pair dissolves by itself when that is done."""
        self._array.data_plane.copy(self._storage.wwn(pair.pvol), self._storage.wwn(svol))
        self._storage.touch(svol)
        ends = settled + self._seconds
        pair.steps = [(settled, "PAIR"), (settled, "PSUP"), (ends, "SMPP"), (ends, "SMPL")]
        return ends

    def _may_pair(self, group: str, *, consistent: bool) -> None:
        if not self._licensed():
            raise Failure(codes.NO_LICENCE)
        if any(pair.group == group and pair.consistent != consistent for pair in self._live()):
            raise Failure(codes.WRONG_PAIR_STATE)

    def _check_svol(self, pvol: int, svol: int, *, cascade: bool) -> None:
        first, second = self._storage.find(pvol), self._storage.find(svol)
        if self.snapshot_pool_of(svol) is not None:
            raise Failure(codes.SVOL_PAIRED)
        if pvol == svol or first.size != second.size:
            raise Failure(codes.SIZES_DIFFER)
        if second.pool_id == str(V_VOL_POOL) and cascade:
            raise Failure(codes.WRONG_PAIR_STATE)

    def _free_mu(self, pvol: int, wanted: int | None) -> int:
        taken = {mu for of, mu in self._pairs if of == pvol}
        if wanted is None:
            free = next((mu for mu in _MUS if mu not in taken), None)
            if free is None:
                raise Failure(codes.MU_TAKEN)
            return free
        if wanted not in _MUS:
            raise Refusal(400, codes.OUT_OF_RANGE, "muNumber")
        if wanted in taken:
            raise Failure(codes.MU_TAKEN)
        return wanted

    # Changing

    def _store(self, pairs: list[Pair]) -> None:
        """Keep the data of several pairs at one moment."""
        for pair in pairs:
            self._drop_bytes(pair)
            pair.bytes_of = self._array.next_wwn()
            pair.split_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._array.data_plane.snapshot([(self._storage.wwn(pair.pvol), pair.bytes_of) for pair in pairs])
        for pair in pairs:
            if pair.svol is not None:
                self._array.data_plane.copy(pair.bytes_of, self._storage.wwn(pair.svol))

    def _drop_bytes(self, pair: Pair) -> None:
        if pair.bytes_of:
            self._array.data_plane.delete(pair.bytes_of)
            pair.bytes_of = ""

    def _forget(self, pair: Pair) -> None:
        self._drop_bytes(pair)
        del self._pairs[pair.pvol, pair.mu]

    def _split(self, found: Callable[[], list[Pair]], given: Object) -> Outcome:
        wire.parameters(given)
        pairs = found()
        if len({pair.pvol for pair in pairs}) != len(pairs):
            raise Failure(codes.SAME_PVOL_TWICE)
        if any(pair.status != "PAIR" or pair.clone for pair in pairs):
            raise Failure(codes.WRONG_PAIR_STATE)
        self._store(pairs)
        settled = self._array.clock() + self._settle
        for pair in pairs:
            pair.steps = [(settled, "PSUS")]
        return Outcome([f"snapshots/{pair.id}" for pair in pairs], settled)

    def _resync(self, pair_id: str, given: Object) -> Outcome:
        found = wire.parameters(given, "autoSplit")
        split, pair = wire.flag(found, "autoSplit"), self._found(pair_id)
        if pair.status not in _SPLIT or self._read_from(pair):
            raise Failure(codes.WRONG_PAIR_STATE)
        return Outcome([f"snapshots/{pair.id}"], self._begin(pair, split=split, automatic=False))

    def _restore(self, pair_id: str, given: Object) -> Outcome:
        if "parameters" not in given:
            raise Refusal(400, codes.BAD_COMBINATION, "parameters")
        split, pair = wire.flag(wire.parameters(given, "autoSplit"), "autoSplit"), self._found(pair_id)
        others = [other for other in self.of(pair.pvol) if other is not pair and other.status not in _SPLIT]
        if pair.status not in _SPLIT or others:
            raise Failure(codes.WRONG_PAIR_STATE)
        source = self._storage.wwn(pair.svol) if pair.svol is not None else pair.bytes_of
        if pair.svol is not None and self._storage.find(pair.svol).size != self._storage.find(pair.pvol).size:
            raise Failure(codes.SIZES_DIFFER)
        self._array.data_plane.copy(source, self._storage.wwn(pair.pvol))
        ends = self._array.clock() + self._seconds
        pair.status, pair.steps = "RCPY", [(ends, "PSUS" if split else "PAIR")]
        return Outcome([f"snapshots/{pair.id}"], ends)

    def _clone(self, pair_id: str, given: Object) -> Outcome:
        wire.choice(wire.parameters(given, "copySpeed"), "copySpeed", _SPEEDS, "medium")
        pair = self._found(pair_id)
        if not pair.clone or pair.svol is None or pair.status != "PAIR":
            raise Refusal(412, codes.BAD_COMBINATION, "status")
        return Outcome([f"snapshots/{pair.id}"], self._copy_out(pair, pair.svol, self._array.clock() + self._settle))

    def _assign(self, pair_id: str, given: Object) -> Outcome:
        svol = wire.number(wire.parameters(given, "svolLdevId"), "svolLdevId")
        pair = self._found(pair_id)
        if pair.svol is not None:
            raise Failure(codes.ALREADY_ASSIGNED)
        self._check_svol(pair.pvol, svol, cascade=pair.cascade)
        pair.svol = svol
        if pair.bytes_of:
            self._array.data_plane.copy(pair.bytes_of, self._storage.wwn(svol))
        return Outcome([f"snapshots/{pair.id}"])

    def _unassign(self, pair_id: str, given: Object) -> Outcome:
        wire.parameters(given)
        pair = self._found(pair_id)
        # Of DP volumes in a cascade a real array refuses this, and clients go on (sheet, trap 7).
        if pair.svol is None or pair.cascade:
            raise Failure(codes.WRONG_PAIR_STATE)
        pair.svol = None
        return Outcome([f"snapshots/{pair.id}"])

    def _delete(self, pairs: list[Pair], given: Object) -> Outcome:
        wire.only(given)
        if any(pair.status == "SMPP" or self._read_from(pair) for pair in pairs):
            raise Failure(codes.WRONG_PAIR_STATE)
        ends = self._array.clock() + self._settle
        for pair in pairs:
            pair.status, pair.steps = "SMPP", [(ends, "SMPL")]
        return Outcome([f"snapshots/{pair.id}" for pair in pairs], ends)

    def _read_from(self, pair: Pair) -> bool:
        """Tell whether other pairs hang on the S-VOL."""
        return pair.svol is not None and any(other.pvol == pair.svol for other in self._live())


def _key(pair_id: str) -> tuple[int, int]:
    first, _, second = pair_id.partition(",")
    if not (first.isascii() and first.isdecimal() and second.isascii() and second.isdecimal()):
        raise Refusal(400, codes.BAD_COMBINATION, "snapshotId")
    return int(first), int(second)
