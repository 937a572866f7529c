"""Volumes and snapshots, which share one name space. Source: protocol sheet, sections 3.4 and 3.5."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.simulation.engine import EXTENT, Array, Snapshot, Volume
from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.profiles import Profile
from vendors.hpe.simulator.wire import GRANULE, MIB, Answer, Attributes, Call, Handler, Refusal

if TYPE_CHECKING:
    from vendors.hpe.simulator.cpgs import Cpgs
    from vendors.hpe.simulator.system import System

Vv = Volume | Snapshot
"""Whatever is a volume at the wire."""

SNAPSHOTS, COMPRESSION = "Virtual Copy", "Compression"
_FULL, _THIN, _SNAPSHOT, _DEDUP, _REDUCED = 1, 2, 3, 6, 7
_BASE, _COPYING, _VIRTUAL_COPY = 1, 2, 3
_LEAST_COMPRESSED = 16 * 1024**3
_HOUR = 3600
_MOST_HOURS = 43800
_KEY, _VALUE = 31, 511


@dataclass(slots=True)
class Details:
    """What the engine does not keep of a volume or snapshot."""

    snap_cpg: str
    dedup: bool = False
    compression: bool = False
    reduced: bool = False
    read_only: bool = False
    parent_id: str = ""
    """Of a snapshot: id of the volume or snapshot that it was taken of."""
    created: int = 0
    expires: float | None = None
    retained: float | None = None
    metadata: dict[str, tuple[str, int]] = field(default_factory=dict)


class Volumes:
    """The volumes and snapshots of an array."""

    def __init__(self, array: Array, profile: Profile, cpgs: Cpgs, system: System, most: int) -> None:
        self._array = array
        self._profile = profile
        self._cpgs = cpgs
        self._system = system
        self._most = most
        self._details: dict[str, Details] = {}
        self._busy: Callable[[str], bool] = lambda _: False
        self._written: Callable[[str], bool] = lambda _: False
        self._exported: Callable[[str], bool] = lambda _: False
        self._grouped: Callable[[str], bool] = lambda _: False
        self._replicated: Callable[[str], str] = lambda _: ""
        self._copying: Callable[[str], str] = lambda _: ""

    def use(
        self,
        *,
        busy: Callable[[str], bool],
        written: Callable[[str], bool],
        copied_from: Callable[[str], str],
        exported: Callable[[str], bool],
        grouped: Callable[[str], bool],
        replicated: Callable[[str], str],
    ) -> None:
        """Take how to find out what hangs on a volume: each function gets its id."""
        self._busy, self._written, self._copying = busy, written, copied_from
        self._exported, self._grouped, self._replicated = exported, grouped, replicated

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers, but for the actions of copies."""
        return {
            ("GET", "volumes"): lambda call: wire.listed(wire.select([self.rendered(item) for item in self.all()], call.query)),
            ("GET", "volumes/{}"): lambda call: self.rendered(self.find(call.names[0])),
            ("POST", "volumes"): self._create,
            ("DELETE", "volumes/{}"): lambda call: self._delete(self.find(call.names[0])),
            ("GET", "volumes/{}/objectKeyValues"): self._metadata,
            ("POST", "volumes/{}/objectKeyValues"): self._add_key,
            ("GET", "volumes/{}/objectKeyValues/{}"): lambda call: self._key(call)[1],
            ("PUT", "volumes/{}/objectKeyValues/{}"): self._change_key,
            ("DELETE", "volumes/{}/objectKeyValues/{}"): self._delete_key,
        }

    # Finding

    def all(self) -> Iterator[Vv]:
        """Yield volumes and snapshots in the order of their ids."""
        every: dict[str, Vv] = {**self._array.volumes, **self._array.snapshots}
        return iter(sorted(every.values(), key=lambda item: int(item.id)))

    def find(self, name: str) -> Vv:
        """Return the volume of that name, or refuse."""
        found = next((item for item in self.all() if item.name == name), None)
        if found is None:
            raise Refusal(codes.NO_VOLUME)
        return found

    def by_id(self, object_id: str) -> Vv:
        """Return the volume of that id, which is there."""
        return self._array.volumes.get(object_id) or self._array.snapshots[object_id]

    def details(self, item: Vv) -> Details:
        """Return what the engine does not keep."""
        return self._details[item.id]

    def base(self, name: str) -> Volume:
        """Return a base volume, or refuse."""
        found = self.find(name)
        if not isinstance(found, Volume):
            raise Refusal(codes.CANNOT_GROW)
        return found

    def children(self, item: Vv) -> list[Snapshot]:
        """Return the snapshots that were taken of a volume itself."""
        return [snapshot for snapshot in self._array.snapshots.values() if self._details[snapshot.id].parent_id == item.id]

    def parent(self, snapshot: Snapshot) -> Vv:
        """Return what a snapshot was taken of."""
        return self.by_id(self._details[snapshot.id].parent_id)

    def refuse_busy(self, *items: Vv) -> None:
        """Refuse what a task holds."""
        if any(self._busy(item.id) for item in items):
            raise Refusal(codes.BUSY_VOLUME)

    def is_exported(self, item: Vv) -> bool:
        """Tell whether a volume is exported to anybody."""
        return self._exported(item.id)

    def free_name(self, name: str) -> str:
        """Return a name that nothing has."""
        if any(item.name == name for item in self.all()):
            raise Refusal(codes.VOLUME_EXISTS)
        return name

    def _refuse_crowd(self, more: int) -> None:
        if len(self._details) + more > self._most:
            raise Refusal(codes.TOO_MANY_VOLUMES)

    # Rendering

    def rendered(self, item: Vv) -> Attributes:
        """Render a volume or snapshot; what does not apply is absent."""
        details = self._details[item.id]
        shown: Attributes = {
            "id": int(item.id),
            "uuid": f"00000000-0000-4000-8000-{int(item.wwn[-12:], 16):012x}",
            "name": item.name,
            "readOnly": details.read_only,
            "state": 1,
            "failedStates": [],
            "degradedStates": [],
            "additionalStates": [],
            "adminSpace": _space(0, 0),
            "snapshotSpace": _space(0, 0),
            "sizeMiB": item.size // MIB,
            "wwn": item.wwn.upper(),
            "creationTimeSec": details.created,
            "creationTime8601": _iso(details.created),
            "ssSpcAllocWarningPct": 0,
            "ssSpcAllocLimitPct": 0,
            "usrSpcAllocWarningPct": 0,
            "usrSpcAllocLimitPct": 0,
            "policies": {"staleSS": True, "oneHost": False, "zeroDetect": True, "system": False, "caching": True},
        }
        shown |= self._of_snapshot(item, details) if isinstance(item, Snapshot) else self._of_base(item, details)
        if details.snap_cpg and self._profile.snap_cpg:
            shown["snapCPG"] = details.snap_cpg
        if item.description:
            shown["comment"] = item.description
        for child in self.children(item):
            shown.setdefault("roChildId" if self._details[child.id].read_only else "rwChildId", int(child.id))
        if group := self._replicated(item.id):
            shown["rcopyGroup"] = group
        now = self._array.clock()
        for key, until in (("expirationTime", details.expires), ("retentionTime", details.retained)):
            if until is not None:
                ends = int(time.time() + until - now)
                shown |= {f"{key}Sec": ends, f"{key}8601": _iso(ends)}
        return shown

    def _of_base(self, item: Volume, details: Details) -> Attributes:
        used = EXTENT if item.thin else item.size
        copied_from = self._copying(item.id)
        shown: Attributes = {
            "provisioningType": self._provisioning(item, details),
            "copyType": _COPYING if copied_from else _BASE,
            "baseId": int(item.id),
            "userSpace": _space(used, used // 2),
            "userCPG": self._array.pools[item.pool_id].name,
        }
        if copied_from:
            shown["physParentId"] = int(copied_from)
        if self._profile.compression:
            shown |= {"compressionState": 1 if details.compression or details.reduced else 2}
        return shown

    @staticmethod
    def _provisioning(item: Volume, details: Details) -> int:
        if not item.thin:
            return _FULL
        return _REDUCED if details.reduced else _DEDUP if details.dedup else _THIN

    def _of_snapshot(self, item: Snapshot, details: Details) -> Attributes:
        parent = self.parent(item)
        return {
            "provisioningType": _SNAPSHOT,
            "copyType": _VIRTUAL_COPY,
            "baseId": int(item.volume_id),
            "parentId": int(parent.id),
            "copyOf": parent.name,
            "userSpace": _space(0, 0),
        }

    def state(self) -> list[Attributes]:
        """Return the base volumes for the state dump."""
        return [
            {
                "id": item.id,
                "name": item.name,
                "wwn": item.wwn,
                "size": item.size,
                "pool": self._array.pools[item.pool_id].name,
                "thin": item.thin,
                "dedup": self._details[item.id].dedup,
                "compression": self._details[item.id].compression,
                "snapshot pool": self._details[item.id].snap_cpg,
                "description": item.description,
                "keys": sorted(self._details[item.id].metadata),
            }
            for item in self._array.volumes.values()
        ]

    def snapshot_state(self) -> list[Attributes]:
        """Return the snapshots for the state dump."""
        return [
            {
                "id": item.id,
                "name": item.name,
                "wwn": item.wwn,
                "size": item.size,
                "volume": self.parent(item).name,
                "read_only": self._details[item.id].read_only,
                "description": item.description,
            }
            for item in self._array.snapshots.values()
        ]

    # Making

    def _create(self, call: Call) -> Answer:
        given = call.body
        name = self.free_name(wire.name(given, "name"))
        volume = self.make(name, given, wire.number(given, "sizeMiB"), wire.text(given, "cpg"))
        return wire.created(f"/api/v1/volumes/{volume.name}")

    def make(self, name: str, given: Attributes, mebibytes: int, cpg: str) -> Volume:
        """Make a base volume as a creation or an online copy describes it."""
        self._refuse_crowd(1)
        pool_id = self._cpgs.find(cpg).id
        size = self._size(mebibytes)
        details = self._provisioned(given, size)
        comment = wire.comment(given)
        thin = wire.flag(given, "tpvv") or details.dedup or details.reduced
        expires, retained = self._times(given)
        volume = self._array.create_volume(name, pool_id, size, thin=thin, description=comment)
        details.created, details.expires, details.retained = int(time.time()), expires, retained
        self._details[volume.id] = details
        return volume

    def _size(self, mebibytes: int) -> int:
        if mebibytes < GRANULE:
            raise Refusal(codes.BELOW_RANGE, ref="sizeMiB")
        size = wire.rounded(mebibytes)
        if size > self._profile.max_volume:
            raise Refusal(codes.TOO_LARGE, ref="sizeMiB")
        return size

    def _provisioned(self, given: Attributes, size: int) -> Details:
        """Return the provisioning that is asked for, or refuse what the build or the size does not allow."""
        thin, dedup, reduced = (wire.flag(given, key) for key in ("tpvv", "tdvv", "reduce"))
        compression = wire.flag(given, "compression")
        if ("compression" in given and not self._profile.compression) or (reduced and not self._profile.primera):
            raise Refusal(codes.BAD_INPUT)
        if self._profile.primera and not (thin or reduced):
            raise Refusal(codes.ONE_REQUIRED, text="invalid input: one of the parameters is required", ref="tpvv,reduce")
        if (thin and dedup) or (self._profile.primera and (dedup or compression)):
            raise Refusal(codes.CONFLICT, ref="tpvv,tdvv")
        if compression and (size < _LEAST_COMPRESSED or not (thin or dedup)):
            raise Refusal(codes.BELOW_RANGE, ref="compression")
        if compression:
            self._system.need(COMPRESSION)
        snap_cpg = wire.text(given, "snapCPG", "")
        if snap_cpg:
            if not self._profile.snap_cpg:
                raise Refusal(codes.BAD_INPUT, ref="snapCPG")
            self._cpgs.find(snap_cpg)
        return Details(snap_cpg, dedup=dedup, compression=compression, reduced=reduced)

    def _times(self, given: Attributes) -> tuple[float | None, float | None]:
        now = self._array.clock()
        hours = [wire.number(given, key, 0) for key in ("expirationHours", "retentionHours")]
        if any(value > _MOST_HOURS for value in hours):
            raise Refusal(codes.OUT_OF_RANGE)
        expires, retained = (now + value * _HOUR if value else None for value in hours)
        return expires, retained

    def snapshot(self, source: Vv, given: Attributes, name: str) -> Snapshot:
        """Take a snapshot of one volume."""
        return self.snapshots([source], given, [name])[0]

    def snapshots(self, sources: list[Vv], given: Attributes, names: list[str]) -> list[Snapshot]:
        """Take snapshots of several volumes at one moment."""
        self._system.need(SNAPSHOTS)
        read_only, comment = wire.flag(given, "readOnly"), wire.comment(given)
        expires, retained = self._times(given)
        self._refuse_crowd(len(names))
        for name in names:
            self.free_name(name)
        for source in sources:
            if self._written(source.id):
                raise Refusal(codes.BUSY_VOLUME)
            if read_only and self._details[source.id].read_only:
                raise Refusal(codes.READONLY_OF_READONLY)
            if self._profile.snap_cpg and not self._details[source.id].snap_cpg:
                raise Refusal(codes.NO_SNAP_CPG)
        taken = []
        for source, name in zip(sources, names, strict=True):
            if isinstance(source, Volume):
                made = self._array.create_snapshot(name, source, comment)
            else:
                made = self._array.copy_snapshot(name, source, comment)
            details = Details(self._snapshot_cpg(source), read_only=read_only, parent_id=source.id, created=int(time.time()))
            details.expires, details.retained = expires, retained
            self._details[made.id] = details
            taken.append(made)
        self._array.activate(taken)
        return taken

    def _snapshot_cpg(self, source: Vv) -> str:
        own = self._details[source.id].snap_cpg
        if own or not isinstance(source, Volume):
            return own
        return self._array.pools[source.pool_id].name

    # Changing

    def change(self, item: Vv, given: Attributes) -> Answer:
        """Rename a volume, or change its comment or snapshot CPG."""
        new_name = wire.name(given, "newName") if given.get("newName") is not None else item.name
        if new_name != item.name:
            self.free_name(new_name)
        comment = wire.comment(given, item.description)
        details = self._details[item.id]
        if (snap_cpg := wire.text(given, "snapCPG", "")) != "":
            if not self._profile.snap_cpg:
                raise Refusal(codes.BAD_INPUT, ref="snapCPG")
            details.snap_cpg = self._cpgs.find(snap_cpg).name
        item.name, item.description = new_name, comment
        return Answer(location=f"/api/v1/volumes/{new_name}")

    def grow(self, item: Vv, given: Attributes) -> None:
        """Grow a volume by so many MiB."""
        if not isinstance(item, Volume):
            raise Refusal(codes.CANNOT_GROW)
        self.refuse_busy(item)
        added = wire.rounded(wire.number(given, "sizeMiB"))
        if added == 0 or item.size + added > self._profile.max_volume:
            raise Refusal(codes.GROW_SIZE, ref="sizeMiB")
        self._array.extend_volume(item, item.size + added)

    def _delete(self, item: Vv) -> None:
        self.refuse_used(item)
        self.remove(item)

    def refuse_used(self, item: Vv) -> None:
        """Refuse to delete a volume that something hangs on."""
        retained = self._details[item.id].retained
        if retained is not None and self._array.clock() < retained:
            raise Refusal(codes.RETAINED)
        if self._replicated(item.id):
            raise Refusal(codes.IN_REMOTE_COPY)
        self.refuse_busy(item)
        if self.children(item):
            raise Refusal(codes.HAS_CHILD)
        if self._exported(item.id) or self._grouped(item.id):
            raise Refusal(codes.IN_USE)

    def remove(self, item: Vv) -> None:
        """Forget a volume and its bytes."""
        del self._details[item.id]
        if isinstance(item, Volume):
            self._array.delete_volume(item)
        else:
            self._array.delete_snapshot(item)

    def settle(self) -> None:
        """Let snapshots whose time is over go, unless something hangs on them."""
        now = self._array.clock()
        for item in list(self.all()):
            expires = self._details[item.id].expires
            if expires is not None and now >= expires:
                try:
                    self._delete(item)
                except Refusal:
                    continue

    # Metadata

    def _metadata(self, call: Call) -> Attributes:
        kept = self._details[self.find(call.names[0]).id].metadata
        return wire.listed([_shown_key(key, value) for key, value in kept.items()])

    def _add_key(self, call: Call) -> Answer:
        kept = self._details[self.find(call.names[0]).id].metadata
        key, value = wire.text(call.body, "key"), wire.text(call.body, "value")
        if len(key) > _KEY or len(value) > _VALUE:
            raise Refusal(codes.TOO_LONG)
        if key in kept:
            raise Refusal(codes.KEY_EXISTS)
        kept[key] = value, int(time.time())
        return wire.created(f"/api/v1/volumes/{call.names[0]}/objectKeyValues/{key}")

    def _key(self, call: Call) -> tuple[dict[str, tuple[str, int]], Any]:
        kept = self._details[self.find(call.names[0]).id].metadata
        if call.names[1] not in kept:
            raise Refusal(codes.NO_KEY)
        return kept, _shown_key(call.names[1], kept[call.names[1]])

    def _change_key(self, call: Call) -> None:
        kept, _ = self._key(call)
        value = wire.text(call.body, "value")
        if len(value) > _VALUE:
            raise Refusal(codes.TOO_LONG)
        kept[call.names[1]] = value, int(time.time())

    def _delete_key(self, call: Call) -> None:
        kept, _ = self._key(call)
        del kept[call.names[1]]


def _space(reserved: int, used: int) -> Attributes:
    reserved, used = reserved // MIB, used // MIB
    return {"reservedMiB": reserved, "rawReservedMiB": reserved * 4 // 3, "usedMiB": used, "freeMiB": reserved - used}


def _iso(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))


def _shown_key(key: str, value: tuple[str, int]) -> Attributes:
    return {"key": key, "value": value[0], "creationTimeSec": value[1], "creationTime8601": _iso(value[1])}
