"""LUNs: made, cloned, copied, moved, overwritten, removed. Source: protocol sheet, sections 3.2, 3.3 and 4."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from conformance.simulation.engine import EXTENT, Volume
from conformance.simulation.family import Response
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.policies import Policies
from vendors.netapp.simulator.state import FlexVol, State, Transfer, named, now_text, serial_of
from vendors.netapp.simulator.wire import Call, Record, Refusal

PATH = "storage/luns"
NO_LICENCE = 14956
"""The number that the older interface has for it; that of REST is not documented."""
_LARGEST = 17_555_678_822_400
_SMALLEST = 4096
_LUN_PATH = re.compile(r"/vol/(?P<flexvol>[^/]+)/(?:\.snapshot/(?P<snapshot>[^/]+)/)?(?:(?P<qtree>[^/]+)/)?(?P<base>[^/]+)")
_BASE = re.compile(r"[A-Za-z0-9._{}-]{1,254}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EXPENSIVE = ("lun_maps", "movement", "copy", "status.mapped")
_LONGEST_COMMENT = 254
_TYPES = "aix, hpux, hyper_v, linux, netware, openvms, solaris, solaris_efi, vmware, windows, windows_2008, windows_gpt, xen"
_POSTABLE = (
    "svm",
    "name",
    "os_type",
    "comment",
    "space",
    "qos_policy",
    "clone",
    "copy",
    "location",
    "class",
    "enabled",
    "auto_delete",
)


class Luns:
    """The LUNs of the SVM."""

    def __init__(self, state: State, policies: Policies) -> None:
        self._state = state
        self._policies = policies
        self.cloning_licensed: Callable[[], bool] = lambda: True

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", PATH): lambda call: wire.listed(call, PATH, self.records(), ("uuid", "name", "svm"), _EXPENSIVE),
            ("POST", PATH): self._create,
            ("PATCH", PATH): self._change_many,
            ("DELETE", PATH): self._delete_many,
            ("GET", f"{PATH}/{{uuid}}"): lambda call: wire.one(call, PATH, self.record(self._lun(call.ids[0])), _EXPENSIVE),
            ("PATCH", f"{PATH}/{{uuid}}"): self._change_one,
            ("DELETE", f"{PATH}/{{uuid}}"): self._delete_one,
        }

    def records(self) -> list[Record]:
        """Render every LUN, in the order of their names."""
        return [self.record(lun) for lun in sorted(self._state.volumes.values(), key=lambda lun: lun.name)]

    def record(self, lun: Volume) -> Record:
        """Render a LUN."""
        state, flexvol = self._state, self._state.flexvol_of(lun)
        kept = lun.attributes
        record: Record = {
            "uuid": lun.id,
            "name": lun.name,
            "svm": named(state.svm_name, state.svm_uuid),
            "location": {
                "logical_unit": lun.name.rpartition("/")[2],
                "volume": named(flexvol.name, flexvol.uuid),
                "node": named(flexvol.node, state.nodes[flexvol.node]),
            },
            "class": "regular",
            "os_type": kept["os_type"],
            "comment": lun.description,
            "enabled": kept["enabled"] == "true",
            "serial_number": serial_of(lun),
            "create_time": kept["created"],
            "space": {
                "size": lun.size,
                "used": EXTENT if lun.thin else lun.size,
                "guarantee": {"requested": not lun.thin, "reserved": not lun.thin},
                "scsi_thin_provisioning_support_enabled": kept["unmap"] == "true",
            },
            "status": {
                "state": "online" if kept["enabled"] == "true" else "offline",
                "container_state": "online",
                "read_only": False,
                "mapped": state.is_mapped(lun.id),
            },
            "lun_maps": [
                {"logical_unit_number": number, "igroup": named(state.igroups[group].name, group)}
                for group, number in state.maps_of(lun.id).items()
            ],
        }
        if kept.get("policy"):
            record["qos_policy"] = named(kept["policy"], self._policies.uuid_of(kept["policy"]))
        return record | self._transfers(lun)

    def of_flexvol(self, flexvol: FlexVol) -> list[Volume]:
        """Return the LUNs of a FlexVol."""
        return [lun for lun in self._state.volumes.values() if lun.pool_id == flexvol.pool_id]

    def state_dump(self) -> list[Record]:
        """Return the LUNs for the state dump; in comments, names stand for uuids, and a dash for those of nothing that is there."""
        return [
            {
                "uuid": lun.id,
                "name": lun.name,
                "size": lun.size,
                "thin": lun.thin,
                "comment": self._readable(lun.description),
                "policy": lun.attributes.get("policy", ""),
                "unmap": lun.attributes["unmap"],
                "os_type": lun.attributes["os_type"],
            }
            for lun in self._state.volumes.values()
        ]

    def _readable(self, comment: str) -> str:
        for lun in self._state.volumes.values():
            comment = comment.replace(lun.id, lun.name)
        return _UUID.sub("-", comment)

    def _transfers(self, lun: Volume) -> Record:
        now, found = self._state.clock(), Record()
        copy = self._state.transfers.get(lun.id)
        if copy is not None and copy.is_told(now):
            found["copy"] = {"source": {"name": copy.source, "progress": _progress(copy, now)}}
        move = self._state.movements.get(lun.id)
        if move is not None and move.is_told(now):
            found["movement"] = {"paths": {"source": move.source, "destination": lun.name}, "progress": _progress(move, now)}
        return found

    # Making

    def _create(self, call: Call) -> Response:
        body = call.body
        wire.only(body, *_POSTABLE)
        self._check_svm(body, call)
        name = self._new_name(wire.text(body, "name", self._located(body)))
        if "clone" in body:
            lun = self._clone(name, body)
        elif "copy" in body:
            lun = self._copy(name, body)
        else:
            lun = self._fresh(name, body)
        self._describe(lun, body)
        job = (
            self._state.begin_job(f"POST /api/{PATH}")
            if self._state.profile.jobs_for_luns or self._state.release >= (9, 16, 1)
            else None
        )
        content: Record = {"num_records": 1}
        if call.wants_records:
            content["records"] = [wire.project(self.record(lun), ["*"], _EXPENSIVE)]
        headers = (("Location", f"/api/{PATH}/{lun.id}"),)
        if job is not None:
            href = f"/api/cluster/jobs/{job.uuid}"
            return wire.respond({"job": {"uuid": job.uuid, "_links": {"self": {"href": href}}}, **content}, 202, headers)
        return wire.respond(content, 201, headers)

    def _fresh(self, name: re.Match[str], body: Record) -> Volume:
        kind = wire.text(body, "os_type")
        if kind not in _TYPES.split(", "):
            raise Refusal(262197, f'The value "{kind}" is invalid for field "os_type".', target="os_type")
        if wire.at(body, "space.size") is None:
            raise Refusal(5374884, "The space.size property is required.", target="space.size")
        wanted = self._size(body)
        thin = not wire.flag(body, "space.guarantee.requested")
        return self._made(name, wanted, thin=thin, os_type=kind, body=body)

    def _made(self, name: re.Match[str], wanted: int, *, thin: bool, os_type: str, body: Record) -> Volume:
        flexvol = self._state.flexvols[name["flexvol"]]
        default = str(self._state.release >= (9, 15, 1) and "clone" not in body).lower()
        lun = self._state.create_volume(name[0], flexvol.pool_id, wanted, thin=thin)
        unmap = wire.at(body, "space.scsi_thin_provisioning_support_enabled", default)
        lun.attributes |= {
            "os_type": os_type,
            "enabled": "true",
            "created": now_text(),
            "unmap": str(unmap).lower(),
            "policy": "",
        }
        return lun

    def _clone(self, name: re.Match[str], body: Record) -> Volume:
        self._need_clones()
        for forbidden in ("os_type", "space.size"):
            if wire.at(body, forbidden) is not None:
                raise Refusal(5374883, f"The property {forbidden} cannot be specified for a clone.", target=forbidden)
        source = self._source(body, "clone")
        if source.pool_id != self._state.flexvols[name["flexvol"]].pool_id:
            raise Refusal(1260121, "A LUN cannot be cloned to a different volume.", target="clone.source.name")
        thin = not wire.flag(body, "space.guarantee.requested")
        lun = self._made(name, source.size, thin=thin, os_type=source.attributes["os_type"], body=body)
        self._state.data_plane.copy(source.wwn, lun.wwn)
        return lun

    def _copy(self, name: re.Match[str], body: Record) -> Volume:
        source = self._source(body, "copy")
        lun = self._made(name, source.size, thin=source.thin, os_type=source.attributes["os_type"], body=body)
        self._state.data_plane.copy(source.wwn, lun.wwn)
        self._state.transfers[lun.id] = Transfer(source.name, self._state.clock(), self._state.options.copy_seconds)
        return lun

    def _source(self, body: Record, kind: str) -> Volume:
        """Return the LUN to clone or copy, by name, uuid, or both, which then have to agree."""
        name, identifier = wire.at(body, f"{kind}.source.name"), wire.at(body, f"{kind}.source.uuid")
        target = f"{kind}.source.name"
        if name is None and identifier is None:
            raise Refusal(5374884, f"{kind}.source.name or {kind}.source.uuid is required.", target=target)
        found = self._state.volumes.get(str(identifier)) if name is None else self._by_path(str(name))
        if found is None or (identifier is not None and found.id != identifier):
            raise Refusal(5374876, "The LUN was not found.", 404, target)
        return found

    def _by_path(self, path: str) -> Volume | None:
        match = _LUN_PATH.fullmatch(path)
        if match is None or match["snapshot"] is None:
            return self._state.lun_at(path)
        flexvol = self._state.flexvols.get(match["flexvol"])
        snapshots = flexvol.snapshots.values() if flexvol else ()
        kept = next((snapshot for snapshot in snapshots if snapshot.name == match["snapshot"]), None)
        return kept.luns.get(match["base"]) if kept else None

    def _located(self, body: Record) -> str | None:
        unit, volume = wire.at(body, "location.logical_unit"), wire.at(body, "location.volume.name")
        return f"/vol/{volume}/{unit}" if unit and volume else None

    def _new_name(self, path: str) -> re.Match[str]:
        match = _LUN_PATH.fullmatch(path)
        if match is None or not _BASE.fullmatch(match["base"]) or match["qtree"]:
            raise Refusal(5374121, f'The LUN name "{path}" is not valid.', target="name")
        if match["snapshot"]:
            raise Refusal(5374238, "LUNs cannot be created in snapshots.", target="name")
        if match["flexvol"] not in self._state.flexvols:
            raise Refusal(917927, f'The volume "{match["flexvol"]}" was not found.', 404, "name")
        if self._state.lun_at(path) is not None:
            raise Refusal(5374242, "A LUN or NVMe namespace already exists at the path.", 409, "name")
        return match

    def _size(self, body: Record) -> int:
        wanted = wire.size(body, "space.size")
        if wanted < _SMALLEST:
            raise Refusal(5374124, "The LUN size is too small.", target="space.size")
        if wanted > _LARGEST:
            raise Refusal(5374125, "The LUN size is too large.", target="space.size")
        return wanted

    def _need_clones(self) -> None:
        if not self.cloning_licensed():
            raise Refusal(NO_LICENCE, "FlexClone is not licensed in the cluster.")

    def _check_svm(self, body: Record, call: Call) -> None:
        header = (call.headers or {}).get("x-dot-svm-name")
        name = wire.at(body, "svm.name", header)
        if name is None and wire.at(body, "svm.uuid") is None:
            raise Refusal(2621707, "No SVM was specified.", target="svm")
        if name is not None and name != self._state.svm_name:
            raise Refusal(2621462, f'The SVM "{name}" does not exist.', 404, "svm.name")

    # Changing

    def _lun(self, identifier: str) -> Volume:
        found = self._state.volumes.get(identifier)
        if found is None:
            raise Refusal(5374875, "The LUN was not found.", 404, "uuid")
        return found

    def _matching(self, call: Call) -> list[Volume]:
        return [self._state.volumes[str(record["uuid"])] for record in wire.matching(self.records(), call.conditions)]

    def _change_one(self, call: Call) -> Response:
        self._change(self._lun(call.ids[0]), call.body)
        return wire.respond({})

    def _change_many(self, call: Call) -> Response:
        found = self._matching(call)
        for lun in found:
            self._change(lun, call.body)
        return wire.respond({"num_records": len(found)})

    def _change(self, lun: Volume, body: Record) -> None:
        wire.only(body, "name", "comment", "space", "qos_policy", "clone", "enabled", "location", "movement", "auto_delete")
        wanted = self._size(body) if wire.at(body, "space.size") is not None else lun.size
        if wire.at(body, "space.size") is not None and "clone" not in body:
            self._check_growth(lun, wanted, renamed=wire.at(body, "name", lun.name) != lun.name)
        if "clone" in body:
            self._overwrite(lun, body)
        if "name" in body and body["name"] != lun.name:
            self._rename(lun, wire.text(body, "name"))
        if wanted > lun.size:
            self._state.extend_volume(lun, wanted)
        self._reserve(lun, body)
        self._describe(lun, body)

    def _check_growth(self, lun: Volume, wanted: int, *, renamed: bool) -> None:
        if wanted < lun.size:
            raise Refusal(5374892, "The LUN cannot be made smaller.", target="space.size")
        if wanted == lun.size and not renamed:
            raise Refusal(1254226, "The new size is the same as the old size.", target="space.size")

    def _overwrite(self, lun: Volume, body: Record) -> None:
        """Put a LUN's blocks in the place of another's, which keeps its uuid, serial number and maps and takes over the rest."""
        self._need_clones()
        source = self._source(body, "clone")
        if source.pool_id != lun.pool_id:
            raise Refusal(1260121, "A LUN cannot be cloned to a different volume.", target="clone.source.name")
        lun.size, lun.thin, lun.description = source.size, source.thin, source.description
        lun.attributes |= {"policy": source.attributes["policy"], "unmap": "false"}
        self._state.data_plane.resize(lun.wwn, lun.size)
        self._state.data_plane.copy(source.wwn, lun.wwn)

    def _rename(self, lun: Volume, path: str) -> None:
        match = _LUN_PATH.fullmatch(path)
        if match is not None and self._state.lun_at(path) is not None:
            raise Refusal(1254196, "A LUN with that name exists.", 409, "name")
        match = self._new_name(path)
        target = self._state.flexvols[match["flexvol"]]
        if target.pool_id != lun.pool_id:
            if (EXTENT if lun.thin else lun.size) > self._state.free(target.pool_id):
                raise no_space(target.name)
            self._state.movements[lun.id] = Transfer(lun.name, self._state.clock(), self._state.options.copy_seconds)
            lun.pool_id = target.pool_id
        lun.name = path

    def _reserve(self, lun: Volume, body: Record) -> None:
        if wire.at(body, "space.guarantee.requested") is not None:
            thin = not wire.flag(body, "space.guarantee.requested")
            if lun.thin and not thin and lun.size - EXTENT > self._state.free(lun.pool_id):
                raise no_space(self._state.flexvol_of(lun).name)
            lun.thin = thin
        if wire.at(body, "space.scsi_thin_provisioning_support_enabled") is not None:
            lun.attributes["unmap"] = str(wire.flag(body, "space.scsi_thin_provisioning_support_enabled")).lower()

    def _describe(self, lun: Volume, body: Record) -> None:
        if "comment" in body:
            if len(wire.text(body, "comment")) > _LONGEST_COMMENT:
                raise Refusal(262197, 'The value is too long for field "comment".', target="comment")
            lun.description = body["comment"]
        if "enabled" in body:
            lun.attributes["enabled"] = str(wire.flag(body, "enabled")).lower()
        if wire.at(body, "qos_policy.name") is not None:
            lun.attributes["policy"] = self._policies.usable(wire.text(body, "qos_policy.name"))

    # Removing

    def _delete_one(self, call: Call) -> Response:
        self._delete(self._lun(call.ids[0]), call)
        return wire.respond({})

    def _delete_many(self, call: Call) -> Response:
        found = self._matching(call)
        for lun in found:
            self._delete(lun, call)
        return wire.respond({"num_records": len(found)})

    def _delete(self, lun: Volume, call: Call) -> None:
        if self._state.is_mapped(lun.id):
            if call.query.get("allow_delete_while_mapped") != "true":
                raise Refusal(1254197, "The LUN is mapped.", 409, "uuid")
            for group in list(self._state.maps_of(lun.id)):
                self._state.unmap_lun(lun.id, group)
        move = self._state.movements.pop(lun.id, None)
        if move is not None and move.progress(self._state.clock())[0] != "complete":
            self._state.movements[lun.id] = move
            raise Refusal(5374316, "The LUN is being moved.", 409, "uuid")
        self._state.transfers.pop(lun.id, None)
        self._state.delete_volume(lun)


def no_space(flexvol: str) -> Refusal:
    """Return the refusal of a full FlexVol; its code is not documented."""
    return Refusal(458755, f'No space left in volume "{flexvol}".')


def _progress(transfer: Transfer, now: float) -> Record:
    state, percent = transfer.progress(now)
    elapsed = int(min(now - transfer.started, transfer.seconds))
    return {"state": state, "percent_complete": percent, "elapsed": elapsed, "volume_snapshot_blocked": False}
