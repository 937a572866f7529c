"""FlexVols, their snapshots, and consistency groups of them. Source: protocol sheet, sections 3.1, 3.3 and 3.8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conformance.simulation.family import Response
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.exports import Exports
from vendors.netapp.simulator.luns import no_space
from vendors.netapp.simulator.state import FlexSnapshot, FlexVol, State, named, new_uuid
from vendors.netapp.simulator.wire import Call, Record, Refusal

PATH = "storage/volumes"
GROUPS = "application/consistency-groups"
_SNAPSHOTS = f"{PATH}/{{uuid}}/snapshots"
_GROUP_SNAPSHOTS = f"{GROUPS}/{{uuid}}/snapshots"
_RESERVED_PREFIXES = ("hourly.", "daily.", "weekly.", "snapmirror.")
_EXPENSIVE = ("efficiency", "encryption", "snapshot_directory_access_enabled")


@dataclass(slots=True)
class Group:
    """A consistency group: some FlexVols."""

    uuid: str
    name: str
    flexvols: list[FlexVol]


class FlexVols:
    """The FlexVols of the SVM; each is a pool."""

    def __init__(self, state: State, exports: Exports) -> None:
        self._state = state
        self._exports = exports
        self._groups: dict[str, Group] = {}

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", PATH): lambda call: wire.listed(call, PATH, self._records(), ("uuid", "name"), _EXPENSIVE),
            ("GET", f"{PATH}/{{uuid}}"): lambda call: wire.one(call, PATH, self.record(self.find(call.ids[0])), _EXPENSIVE),
            ("PATCH", f"{PATH}/{{uuid}}"): self._change,
            ("GET", _SNAPSHOTS): self._list_snapshots,
            ("POST", _SNAPSHOTS): self._take,
            ("DELETE", _SNAPSHOTS): self._delete_many,
            ("PATCH", _SNAPSHOTS): self._rename_many,
            ("PATCH", f"{_SNAPSHOTS}/{{snapshot}}"): self._rename_one,
            ("DELETE", f"{_SNAPSHOTS}/{{snapshot}}"): self._delete_one,
            ("GET", GROUPS): lambda call: wire.listed(call, GROUPS, map(self._group, self._groups.values()), ("uuid", "name")),
            ("POST", GROUPS): self._create_group,
            ("DELETE", f"{GROUPS}/{{uuid}}"): self._delete_group,
            ("POST", _GROUP_SNAPSHOTS): self._take_of_group,
        }

    def find(self, identifier: str) -> FlexVol:
        """Return the FlexVol of a uuid."""
        for flexvol in self._state.flexvols.values():
            if flexvol.uuid == identifier:
                return flexvol
        raise Refusal(918235, "A volume with that uuid was not found.", 404, "uuid")

    def record(self, flexvol: FlexVol) -> Record:
        """Render a FlexVol."""
        state, pool = self._state, self._state.pools[flexvol.pool_id]
        free = state.free(flexvol.pool_id)
        return {
            "uuid": flexvol.uuid,
            "name": flexvol.name,
            "style": "flexvol",
            "type": "rw",
            "state": "online",
            "is_svm_root": False,
            "create_time": flexvol.created,
            "svm": named(state.svm_name, state.svm_uuid),
            "aggregates": [named(flexvol.aggregate, "")],
            "space": {
                "size": pool.total,
                "afs_total": pool.total,
                "available": free,
                "used": pool.total - free,
                "snapshot": {"reserve_percent": 0},
            },
            "guarantee": {"type": "none", "honored": True},
            "nas": {"path": f"/{flexvol.name}", "export_policy": self._exports.of(flexvol)},
            "snapshot_policy": {"name": "none"},
            "language": "c.utf_8",
            "efficiency": {"state": "disabled", "compression": "none", "volume_path": f"/vol/{flexvol.name}"},
            "error_state": {"is_inconsistent": False},
            "encryption": {"enabled": False},
            "snapshot_directory_access_enabled": True,
        }

    def snapshot_dump(self) -> list[Record]:
        """Return the FlexVols' snapshots for the state dump."""
        return [
            {"uuid": snapshot.uuid, "name": snapshot.name, "flexvol": flexvol.name, "luns": sorted(snapshot.luns)}
            for flexvol in self._state.flexvols.values()
            for snapshot in flexvol.snapshots.values()
        ]

    def group_dump(self) -> list[Record]:
        """Return the consistency groups for the state dump."""
        return [{"name": group.name, "flexvols": [flexvol.name for flexvol in group.flexvols]} for group in self._groups.values()]

    def pool_dump(self) -> list[Record]:
        """Return the FlexVols for the state dump."""
        return [
            {
                "uuid": flexvol.uuid,
                "name": flexvol.name,
                "total": self._state.pools[flexvol.pool_id].total,
                "free": self._state.free(flexvol.pool_id),
            }
            for flexvol in self._state.flexvols.values()
        ]

    def _records(self) -> list[Record]:
        return [self.record(flexvol) for flexvol in sorted(self._state.flexvols.values(), key=lambda item: item.name)]

    def _change(self, call: Call) -> Response:
        """Put a FlexVol under another export policy."""
        flexvol = self.find(call.ids[0])
        wire.only(call.body, "nas")
        wire.only(wire.at(call.body, "nas", {}), "export_policy")
        wanted = wire.at(call.body, "nas.export_policy")
        if isinstance(wanted, dict):
            self._exports.assign(flexvol, wanted)
        return accepted(self._state, call, f"PATCH /api/{PATH}/{flexvol.uuid}")

    # Snapshots

    def _snapshot_records(self, flexvol: FlexVol) -> list[Record]:
        return [
            {
                "uuid": snapshot.uuid,
                "name": snapshot.name,
                "create_time": snapshot.created,
                "size": 0,
                "state": "valid",
                "volume": named(flexvol.name, flexvol.uuid),
                "svm": named(self._state.svm_name, self._state.svm_uuid),
                **({"owners": list(snapshot.owners)} if snapshot.owners else {}),
            }
            for snapshot in flexvol.snapshots.values()
        ]

    def _list_snapshots(self, call: Call) -> Response:
        flexvol = self.find(call.ids[0])
        return wire.listed(call, f"{PATH}/{flexvol.uuid}/snapshots", self._snapshot_records(flexvol), ("uuid", "name"))

    def _checked(self, name: str, flexvols: list[FlexVol]) -> str:
        if not name or name.startswith(_RESERVED_PREFIXES):
            raise Refusal(262197, "The snapshot name is not valid.", target="name")
        for flexvol in flexvols:
            if any(snapshot.name == name for snapshot in flexvol.snapshots.values()):
                raise Refusal(525059, f'A snapshot "{name}" exists.', 409, "name")
            if self._state.free(flexvol.pool_id) == 0:
                raise no_space(flexvol.name)
        return name

    def _take(self, call: Call) -> Response:
        wire.only(call.body, "name", "comment", "svm")
        flexvol = self.find(call.ids[0])
        (made,) = self._state.take_snapshots(self._checked(wire.text(call.body, "name"), [flexvol]), [flexvol])
        headers = (("Location", f"/api/{PATH}/{flexvol.uuid}/snapshots/{made.uuid}"),)
        return wire.respond({"num_records": 1}, 201, headers)

    def _snapshot(self, call: Call) -> tuple[FlexVol, FlexSnapshot]:
        flexvol = self.find(call.ids[0])
        if call.ids[1] not in flexvol.snapshots:
            raise Refusal(1638600, "The snapshot was not found.", 404, "uuid")
        return flexvol, flexvol.snapshots[call.ids[1]]

    def _rename_one(self, call: Call) -> Response:
        self._rename(call, *self._snapshot(call))
        return wire.respond({})

    def _rename_many(self, call: Call) -> Response:
        flexvol = self.find(call.ids[0])
        found = wire.matching(self._snapshot_records(flexvol), call.conditions)
        for record in found:
            self._rename(call, flexvol, flexvol.snapshots[str(record["uuid"])])
        return wire.respond({"num_records": len(found)})

    def _rename(self, call: Call, flexvol: FlexVol, snapshot: FlexSnapshot) -> None:
        wire.only(call.body, "name", "comment")
        name = wire.text(call.body, "name", snapshot.name)
        if name != snapshot.name:
            snapshot.name = self._checked(name, [flexvol])

    def _delete_one(self, call: Call) -> Response:
        self._delete(*self._snapshot(call))
        return wire.respond({})

    def _delete_many(self, call: Call) -> Response:
        flexvol = self.find(call.ids[0])
        found = wire.matching(self._snapshot_records(flexvol), call.conditions)
        for record in found:
            self._delete(flexvol, flexvol.snapshots[str(record["uuid"])])
        told = [wire.project(record, ["uuid", "name"], ()) for record in found]
        return wire.respond({"num_records": len(found)} | ({"records": told} if call.wants_records else {}))

    def _delete(self, flexvol: FlexVol, snapshot: FlexSnapshot) -> None:
        if snapshot.owners:
            raise Refusal(1638543, f"The snapshot is in use: {', '.join(snapshot.owners)}.", 409)
        self._state.drop_snapshot(flexvol, snapshot)

    # Consistency groups

    def _group(self, group: Group) -> Record:
        return {
            "uuid": group.uuid,
            "name": group.name,
            "svm": named(self._state.svm_name, self._state.svm_uuid),
            "volumes": [named(flexvol.name, flexvol.uuid) for flexvol in group.flexvols],
        }

    def _create_group(self, call: Call) -> Response:
        wire.only(call.body, "svm", "name", "volumes")
        name = wire.text(call.body, "name")
        names = [wire.text(item, "name") for item in call.body.get("volumes", [])]
        if missing := [item for item in names if item not in self._state.flexvols]:
            raise Refusal(917927, f'The volume "{missing[0]}" was not found.', 404, "volumes.name")
        if any(group.name == name for group in self._groups.values()):
            raise Refusal(53411860, f'The consistency group "{name}" exists.', 409, "name")
        held = {flexvol.name for group in self._groups.values() for flexvol in group.flexvols}
        if held & set(names):
            raise Refusal(
                53411865, f'The volume "{sorted(held & set(names))[0]}" is in another consistency group.', 409, "volumes"
            )
        group = Group(new_uuid(), name, [self._state.flexvols[item] for item in names])
        self._groups[group.uuid] = group
        content: Record = {"num_records": 1} | ({"records": [self._group(group)]} if call.wants_records else {})
        return wire.respond(content, 201, (("Location", f"/api/{GROUPS}/{group.uuid}"),))

    def _found_group(self, identifier: str) -> Group:
        if identifier not in self._groups:
            raise Refusal(53411842, "The consistency group was not found.", 404, "uuid")
        return self._groups[identifier]

    def _delete_group(self, call: Call) -> Response:
        del self._groups[self._found_group(call.ids[0]).uuid]
        return wire.respond({})

    def _take_of_group(self, call: Call) -> Response:
        wire.only(call.body, "name", "consistency_type", "svm")
        group = self._found_group(call.ids[0])
        self._state.take_snapshots(self._checked(wire.text(call.body, "name"), group.flexvols), group.flexvols)
        return wire.respond({"num_records": 1}, 201)


def accepted(state: State, call: Call, what: str, seconds: float = 0.0) -> Response:
    """Answer with a job, unless it ends within the time that the request waits."""
    job = state.begin_job(what)
    job.ends += seconds
    waits = float(call.query.get("return_timeout", "0"))
    if waits and job.ends - state.clock() <= 0:
        return wire.respond({}, 200)
    href = f"/api/cluster/jobs/{job.uuid}"
    return wire.respond({"job": {"uuid": job.uuid, "_links": {"self": {"href": href}}}}, 202)
