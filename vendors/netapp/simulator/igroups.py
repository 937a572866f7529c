"""Igroups, initiators, CHAP credentials, portsets and LUN maps. Source: protocol sheet, sections 3.4 and 3.6."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from conformance.simulation.engine import OutOfLuns, Volume
from conformance.simulation.family import Response
from vendors.netapp.simulator import wire
from vendors.netapp.simulator.luns import NO_LICENCE
from vendors.netapp.simulator.state import Igroup, State, is_wwpn, named, new_uuid, with_colons
from vendors.netapp.simulator.wire import Call, Record, Refusal

GROUPS = "protocols/san/igroups"
MAPS = "protocols/san/lun-maps"
CREDENTIALS = "protocols/san/iscsi/credentials"
PORTSETS = "protocols/san/portsets"
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,96}")
_WWPN = re.compile(r"([0-9a-f]{2}:){7}[0-9a-f]{2}|[0-9a-f]{16}", re.IGNORECASE)
_ISCSI = re.compile(r"iqn\.\d{4}-\d{2}\..+|eui\.[0-9a-fA-F]{16}")
_SYSTEMS = ("aix", "hpux", "hyper_v", "linux", "netware", "openvms", "solaris", "vmware", "windows", "xen")
_SECRETS = range(12, 129)
_EXPENSIVE = ("lun_maps",)


class Igroups:
    """Who may reach what."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.portsets: dict[str, Record] = {}
        self.licensed: Callable[[str], bool] = lambda _: True

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        member = f"{GROUPS}/{{uuid}}/initiators"
        return {
            ("GET", GROUPS): lambda call: wire.listed(
                call, GROUPS, map(self._group, self._sorted()), ("uuid", "name", "svm"), _EXPENSIVE
            ),
            ("POST", GROUPS): self._create,
            ("GET", f"{GROUPS}/{{uuid}}"): lambda call: wire.one(call, GROUPS, self._group(self._find(call.ids[0])), _EXPENSIVE),
            ("PATCH", f"{GROUPS}/{{uuid}}"): self._rename,
            ("DELETE", f"{GROUPS}/{{uuid}}"): self._delete,
            ("POST", member): self._add,
            ("GET", member): lambda call: wire.listed(
                call, member, [{"name": name} for name in self._find(call.ids[0]).initiators], ("name",)
            ),
            ("DELETE", f"{member}/{{name}}"): self._remove,
            ("GET", MAPS): lambda call: wire.listed(
                call, MAPS, self.map_records(), ("igroup.uuid", "igroup.name", "lun.uuid", "lun.name", "svm")
            ),
            ("POST", MAPS): self._map,
            ("DELETE", MAPS): self._unmap_many,
            ("GET", f"{MAPS}/{{lun}}/{{igroup}}"): self._one_map,
            ("DELETE", f"{MAPS}/{{lun}}/{{igroup}}"): self._unmap_one,
            ("GET", CREDENTIALS): lambda call: wire.listed(call, CREDENTIALS, self._credential_records(), ("initiator", "svm")),
            ("POST", CREDENTIALS): self._create_credentials,
            ("PATCH", CREDENTIALS): self._change_credentials,
            ("DELETE", CREDENTIALS): self._delete_credentials,
            ("PATCH", f"{CREDENTIALS}/{{svm}}/{{initiator}}"): lambda call: self._set_credentials(call.ids[1], call.body),
            ("DELETE", f"{CREDENTIALS}/{{svm}}/{{initiator}}"): self._drop_credentials,
            ("GET", PORTSETS): lambda call: wire.listed(call, PORTSETS, self.portsets.values(), ("uuid", "name")),
        }

    def host_dump(self) -> list[Record]:
        """Return the igroups for the state dump."""
        return [
            {
                "uuid": group.uuid,
                "name": group.name,
                "protocol": group.protocol,
                "comment": group.comment,
                "initiators": group.initiators,
            }
            for group in self._state.igroups.values()
        ]

    def initiator_dump(self) -> list[Record]:
        """Return every initiator for the state dump, without secrets; one of nobody is there for its login or credentials."""
        hosts = {name: group.name for group in self._state.igroups.values() for name in group.initiators}
        online = {with_colons(wwpn) for wwpn in self._state.logged_in}
        everybody = sorted({*hosts, *online, *self._state.chap})
        return [
            {
                "id": name.replace(":", "") if is_wwpn(name) else name,
                "kind": "fc" if is_wwpn(name) else "iscsi",
                "host": hosts.get(name) or ("credentials without an igroup" if name in self._state.chap else None),
                "online": name in online,
                "chap_user": self._state.chap[name][1] if name in self._state.chap else None,
            }
            for name in everybody
        ]

    def map_dump(self) -> list[Record]:
        """Return the maps for the state dump."""
        return [
            {"lun": record["lun"]["name"], "igroup": record["igroup"]["name"], "number": record["logical_unit_number"]}
            for record in self.map_records()
        ]

    def map_records(self) -> list[Record]:
        """Render every map."""
        state = self._state
        return [
            {
                "logical_unit_number": number,
                "lun": {**named(state.volumes[lun].name, lun), "node": named(state.flexvol_of(state.volumes[lun]).node, "")},
                "igroup": {
                    **named(state.igroups[group].name, group),
                    "initiators": list(state.igroups[group].initiators),
                    "os_type": state.igroups[group].os_type,
                    "protocol": state.igroups[group].protocol,
                },
                "reporting_nodes": [named(node, state.nodes[node]) for node in state.reporting_nodes(state.volumes[lun])],
                "svm": named(state.svm_name, state.svm_uuid),
            }
            for group, luns in state.visible.items()
            for lun, number in luns.items()
        ]

    # Igroups

    def _sorted(self) -> list[Igroup]:
        return sorted(self._state.igroups.values(), key=lambda group: group.name)

    def _group(self, group: Igroup) -> Record:
        record: Record = {
            "uuid": group.uuid,
            "name": group.name,
            "svm": named(self._state.svm_name, self._state.svm_uuid),
            "protocol": group.protocol,
            "os_type": group.os_type,
            "comment": group.comment,
            "delete_on_unmap": group.delete_on_unmap,
        }
        if group.initiators:
            record["initiators"] = [{"name": name} for name in group.initiators]
        if group.portset:
            record["portset"] = {"name": group.portset, "uuid": self.portsets[group.portset]["uuid"]}
        if luns := self._state.visible.get(group.uuid):
            record["lun_maps"] = [
                {"logical_unit_number": number, "lun": named(self._state.volumes[lun].name, lun)} for lun, number in luns.items()
            ]
        return record

    def _find(self, identifier: str) -> Igroup:
        if identifier not in self._state.igroups:
            raise Refusal(5374852, "The initiator group was not found.", 404, "uuid")
        return self._state.igroups[identifier]

    def _create(self, call: Call) -> Response:
        body = call.body
        wire.only(body, "svm", "name", "protocol", "os_type", "initiators", "delete_on_unmap", "comment", "portset")
        name, system, protocol = wire.text(body, "name"), wire.text(body, "os_type"), wire.text(body, "protocol", "mixed")
        if not _NAME.fullmatch(name):
            raise Refusal(5373958, "The initiator group name is not valid.", target="name")
        if system not in _SYSTEMS or protocol not in {"fcp", "iscsi", "mixed"}:
            raise Refusal(262197, "The value is invalid for os_type or protocol.")
        if self._state.igroup_named(name) is not None:
            raise Refusal(5374023, "The initiator group exists.", 409, "name")
        group = Igroup(new_uuid(), name, protocol, system, wire.text(body, "comment", ""))
        group.delete_on_unmap = wire.flag(body, "delete_on_unmap")
        group.portset = wire.text(body, "portset.name", "")
        if group.portset and group.portset not in self.portsets:
            raise Refusal(4, f'The portset "{group.portset}" was not found.', 404, "portset.name")
        members = [self._member(group, wire.text(item, "name")) for item in body.get("initiators", [])]
        group.initiators = list(dict.fromkeys(members))
        self._state.igroups[group.uuid] = group
        content: Record = {"num_records": 1} | ({"records": [self._group(group)]} if call.wants_records else {})
        return wire.respond(content, 201, (("Location", f"/api/{GROUPS}/{group.uuid}"),))

    def _member(self, group: Igroup, name: str) -> str:
        """Return an initiator as the array writes it."""
        if _WWPN.fullmatch(name) and group.protocol != "iscsi":
            return with_colons(name.replace(":", "").lower())
        if _ISCSI.fullmatch(name) and group.protocol != "fcp":
            return name
        raise Refusal(5373969, f'The initiator name "{name}" is not valid for the group.', target="initiators.name")

    def _rename(self, call: Call) -> Response:
        wire.only(call.body, "name", "comment", "os_type", "delete_on_unmap")
        group = self._find(call.ids[0])
        name = wire.text(call.body, "name", group.name)
        if name != group.name and self._state.igroup_named(name) is not None:
            raise Refusal(5374023, "The initiator group exists.", 409, "name")
        group.name, group.comment = name, wire.text(call.body, "comment", group.comment)
        return wire.respond({})

    def _delete(self, call: Call) -> Response:
        group = self._find(call.ids[0])
        if self._state.visible.get(group.uuid):
            if call.query.get("allow_delete_while_mapped") != "true":
                raise Refusal(1254213, "The initiator group is mapped.", 409, "uuid")
            for lun in list(self._state.visible[group.uuid]):
                self._state.unmap_lun(lun, group.uuid)
        del self._state.igroups[group.uuid]
        return wire.respond({})

    def _add(self, call: Call) -> Response:
        group = self._find(call.ids[0])
        wire.only(call.body, "name", "records", "comment")
        given = call.body.get("records") or [{"name": wire.text(call.body, "name")}]
        members = [self._member(group, wire.text(item, "name")) for item in given]
        if any(name in group.initiators for name in members):
            raise Refusal(5374035, "The initiator is in the group already.", 409, "name")
        others = {
            lun
            for other in self._state.igroups.values()
            if set(other.initiators) & set(members)
            for lun in self._state.visible.get(other.uuid, {})
        }
        if others & set(self._state.visible.get(group.uuid, {})):
            raise Refusal(1254193, "The initiator would see a LUN twice.", 409, "name")
        group.initiators += members
        self._state.serve()
        return wire.respond({"num_records": len(members)}, 201)

    def _remove(self, call: Call) -> Response:
        group = self._find(call.ids[0])
        if call.ids[1] not in group.initiators:
            raise Refusal(5374034, "The initiator is not in the group.", 404, "name")
        if self._state.visible.get(group.uuid) and call.query.get("allow_delete_while_mapped") != "true":
            raise Refusal(1254213, "The initiator group is mapped.", 409, "name")
        group.initiators.remove(call.ids[1])
        self._state.serve()
        return wire.respond({})

    # Maps

    def _map(self, call: Call) -> Response:
        wire.only(call.body, "svm", "lun", "igroup", "logical_unit_number")
        lun, group = self._lun_of(call.body), self._group_of(call.body)
        kinds = {"fcp" if is_wwpn(name) else "iscsi" for name in group.initiators}
        for kind in kinds:
            if not self.licensed(kind):
                raise Refusal(NO_LICENCE, f"The {kind} service is not licensed in the cluster.")
        if lun.id in self._state.visible.get(group.uuid, {}):
            raise Refusal(1254207, "The LUN is already mapped to this group.", 409)
        for other in self._state.igroups.values():
            if set(other.initiators) & set(group.initiators) and lun.id in self._state.visible.get(other.uuid, {}):
                raise Refusal(1254193, "An initiator of the group sees the LUN already.", 409)
        try:
            number = self._state.map_lun(lun, group, wire.number(call.body, "logical_unit_number"))
        except OutOfLuns:
            raise Refusal(1254324, "No LUN number is free.", 409, "logical_unit_number") from None
        record = next(
            item for item in self.map_records() if (item["lun"]["uuid"], item["igroup"]["uuid"]) == (lun.id, group.uuid)
        )
        shown = wire.project(record, ("logical_unit_number", "lun.name", "lun.uuid", "igroup.name", "igroup.uuid", "svm"), ())
        content: Record = {"num_records": 1} | ({"records": [shown]} if call.wants_records else {})
        assert number == record["logical_unit_number"]  # noqa: S101 - the record is of this very map
        return wire.respond(content, 201, (("Location", f"/api/{MAPS}/{lun.id}/{group.uuid}"),))

    def _lun_of(self, body: Record) -> Volume:
        name, identifier = wire.at(body, "lun.name"), wire.at(body, "lun.uuid")
        found = self._state.lun_at(str(name)) if name is not None else self._state.volumes.get(str(identifier))
        if found is None or (identifier is not None and found.id != identifier):
            raise Refusal(1254201, "The LUN was not found.", 404, "lun")
        return found

    def _group_of(self, body: Record) -> Igroup:
        name, identifier = wire.at(body, "igroup.name"), wire.at(body, "igroup.uuid")
        found = self._state.igroup_named(str(name)) if name is not None else self._state.igroups.get(str(identifier))
        if found is None or (identifier is not None and found.uuid != identifier):
            raise Refusal(5374878, "The initiator group was not found.", 404, "igroup")
        return found

    def _one_map(self, call: Call) -> Response:
        for record in self.map_records():
            if (record["lun"]["uuid"], record["igroup"]["uuid"]) == call.ids:
                return wire.one(call, MAPS, record)
        raise Refusal(5374922, "The LUN map does not exist.", 404)

    def _unmap_one(self, call: Call) -> Response:
        lun, group = call.ids
        if lun not in self._state.visible.get(group, {}):
            raise Refusal(5374922, "The LUN map does not exist.", 404)
        self._unmap(lun, group)
        return wire.respond({})

    def _unmap_many(self, call: Call) -> Response:
        found = wire.matching(self.map_records(), call.conditions)
        for record in found:
            self._unmap(str(record["lun"]["uuid"]), str(record["igroup"]["uuid"]))
        return wire.respond({"num_records": len(found)})

    def _unmap(self, lun: str, group: str) -> None:
        self._state.unmap_lun(lun, group)
        there = self._state.igroups[group]
        if there.delete_on_unmap and not self._state.visible.get(group):
            del self._state.igroups[group]

    # CHAP

    def _credential_records(self) -> list[Record]:
        return [
            {
                "initiator": initiator,
                "authentication_type": kind,
                "svm": named(self._state.svm_name, self._state.svm_uuid),
                **({"chap": {"inbound": {"user": user}}} if kind == "chap" else {}),
            }
            for initiator, (kind, user, _) in self._state.chap.items()
        ]

    def _create_credentials(self, call: Call) -> Response:
        wire.only(call.body, "svm", "initiator", "authentication_type", "chap")
        initiator = wire.text(call.body, "initiator")
        if initiator in self._state.chap:
            raise Refusal(5374142, "The credentials exist.", 409, "initiator")
        self._set(initiator, call.body)
        content: Record = {"num_records": 1}
        if call.wants_records:
            content["records"] = [record for record in self._credential_records() if record["initiator"] == initiator]
        return wire.respond(content, 201)

    def _change_credentials(self, call: Call) -> Response:
        found = wire.matching(self._credential_records(), call.conditions)
        for record in found:
            self._set(str(record["initiator"]), call.body)
        return wire.respond({"num_records": len(found)})

    def _set_credentials(self, initiator: str, body: Record) -> Response:
        if initiator not in self._state.chap:
            raise Refusal(5374895, "The credentials do not exist.", 404)
        self._set(initiator, body)
        return wire.respond({})

    def _set(self, initiator: str, body: Record) -> None:
        kind = wire.text(body, "authentication_type", "chap")
        user, secret = wire.text(body, "chap.inbound.user", ""), wire.text(body, "chap.inbound.password", "")
        if kind == "chap" and (not user or len(secret) not in _SECRETS):
            raise Refusal(5374145, "The CHAP password has a wrong length.", target="chap.inbound.password")
        self._state.chap[initiator] = (kind, user, secret)
        self._state.serve()

    def _delete_credentials(self, call: Call) -> Response:
        found = wire.matching(self._credential_records(), call.conditions)
        for record in found:
            del self._state.chap[str(record["initiator"])]
        self._state.serve()
        return wire.respond({"num_records": len(found)})

    def _drop_credentials(self, call: Call) -> Response:
        if self._state.chap.pop(call.ids[1], None) is None:
            raise Refusal(5374895, "The credentials do not exist.", 404)
        self._state.serve()
        return wire.respond({})
