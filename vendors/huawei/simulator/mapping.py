"""Groups, mapping views and direct mappings: which host sees which LUN. Source: protocol sheet, sections 3.7 and 3.8."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.simulation.engine import Array, lowest_free
from vendors.huawei.simulator import codes, wire
from vendors.huawei.simulator.profiles import Profile
from vendors.huawei.simulator.wire import Attributes, Refusal

if TYPE_CHECKING:
    from vendors.huawei.simulator.hosts import Hosts

LUN, HOST_GROUP, HOST, SNAPSHOT, FC_PORT, ETH_PORT = "11", "14", "21", "27", "212", "213"
VIEW, LUN_GROUP, PORT_GROUP = "245", "256", "257"
_KINDS = frozenset({LUN, HOST_GROUP, HOST, SNAPSHOT, FC_PORT, ETH_PORT, VIEW, LUN_GROUP, PORT_GROUP})
_RESOURCES = {
    "lun": LUN,
    "hostgroup": HOST_GROUP,
    "host": HOST,
    "snapshot": SNAPSHOT,
    "fc_port": FC_PORT,
    "eth_port": ETH_PORT,
    "mappingview": VIEW,
    "lungroup": LUN_GROUP,
    "portgroup": PORT_GROUP,
}
_GROUPS = {"hostgroup": HOST_GROUP, "lungroup": LUN_GROUP, "portgroup": PORT_GROUP}
_MISSING = {
    HOST_GROUP: codes.NO_HOST_GROUP,
    LUN_GROUP: codes.NO_LUN_GROUP,
    PORT_GROUP: codes.NO_PORT_GROUP,
    VIEW: codes.NO_VIEW,
}
_MEMBERS = {HOST_GROUP: {HOST}, LUN_GROUP: {LUN, SNAPSHOT}, PORT_GROUP: {FC_PORT, ETH_PORT}, VIEW: set(_MISSING) - {VIEW}}
_ALREADY = {HOST_GROUP: codes.HOST_IN_GROUP, LUN_GROUP: codes.LUN_IN_GROUP, PORT_GROUP: codes.PORT_IN_GROUP}
_NOT_IN = {HOST_GROUP: codes.HOST_NOT_IN_GROUP, LUN_GROUP: codes.LUN_NOT_IN_GROUP, PORT_GROUP: codes.PORT_NOT_IN_GROUP}
_MAX_LUN_ID = 511


@dataclass(slots=True)
class Group:
    """A host, LUN or port group, or a view, whose members are groups: (kind, id)."""

    kind: str
    id: str
    name: str
    description: str = ""
    members: set[tuple[str, str]] = field(default_factory=set)


class Mappings:
    """Everything between hosts and LUNs."""

    def __init__(self, array: Array, profile: Profile, hosts: Hosts) -> None:
        self._array = array
        self._profile = profile
        self._hosts = hosts
        self._groups: dict[str, dict[str, Group]] = {kind: {} for kind in _MISSING}
        self._direct: set[tuple[str, str]] = set()

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        routes: dict[tuple[str, str], Any] = {
            ("GET", "mappingview"): lambda given, _: self._list(VIEW, given),
            ("GET", "mappingview/{id}"): lambda _, view_id: self._rendered(self._group(VIEW, view_id)),
            ("POST", "mappingview"): lambda given, _: self._create(VIEW, given),
            ("PUT", "mappingview"): lambda given, _: self._set_lun_id(given, wire.text(given, "ID")),
            ("PUT", "mappingview/create_associate"): self._join,
            ("PUT", "mappingview/remove_associate"): self._part,
            ("PUT", "mappingview/{id}"): self._set_lun_id,
            ("DELETE", "mappingview/{id}"): lambda _, view_id: self._delete(VIEW, view_id),
            ("POST", "port/associate/portgroup"): lambda given, _: self._add(PORT_GROUP, given),
            ("DELETE", "port/associate/portgroup"): lambda given, _: self._take(PORT_GROUP, given),
            ("DELETE", "host/associate"): lambda given, _: self._take(HOST_GROUP, given),
            ("GET", "hostluninfo"): self._host_lun_info,
        }
        for resource, kind in _GROUPS.items():
            routes |= self._group_routes(resource, kind)
        for resource, kind in _RESOURCES.items():
            routes["GET", f"{resource}/associate"] = self._association(kind)
            for other, named in _RESOURCES.items():
                # The older spelling: the TYPE argument, or else the first resource, tells what is returned.
                routes["GET", f"{resource}/associate/{other}"] = self._association(named if other == "lungroup" else kind)
        if self._profile.v6:
            routes |= {
                ("POST", "mapping"): self._map,
                ("DELETE", "mapping"): self._unmap,
                ("GET", "mapping"): self._get_mapping,
                ("GET", "mapping/associate"): self._mappings_of,
            }
        return routes

    def in_a_group(self, object_id: str) -> bool:
        """Tell whether a LUN or snapshot is in a LUN group."""
        return any((kind, object_id) in group.members for group in self._groups[LUN_GROUP].values() for kind in (LUN, SNAPSHOT))

    def associated(self, kind: str, given: Attributes) -> list[str]:
        """Return the ids of the objects of a kind that are linked to the object that a query names."""
        other_kind = wire.text(given, "ASSOCIATEOBJTYPE")
        other = (other_kind, wire.text(given, "ASSOCIATEOBJID"))
        if kind not in _KINDS or other_kind not in _KINDS:
            raise Refusal(codes.BAD_PARAMETER)
        if kind in {LUN, SNAPSHOT} and other_kind == HOST:
            seen = self._array.visible.get(other[1], {})
            mine = self._array.volumes if kind == LUN else self._array.snapshots
            return [object_id for object_id in seen if object_id in mine]
        if kind in _MISSING:
            holding = [group.id for group in self._groups[kind].values() if other in group.members]
            if holding or other_kind not in _MISSING:
                return holding
        group = self._groups[other_kind].get(other[1]) if other_kind in _MISSING else None
        return [member for member_kind, member in sorted(group.members) if member_kind == kind] if group else []

    def group_state(self) -> list[Attributes]:
        """Return groups and views for the state dump."""
        return [
            {"kind": kind, "id": group.id, "name": group.name, "members": sorted(group.members)}
            for kind, groups in self._groups.items()
            for group in groups.values()
        ]

    def mapping_state(self) -> list[Attributes]:
        """Return who sees what for the state dump."""
        return [
            {
                "host": self._array.hosts[host_id].name,
                "object": (self._array.volumes.get(object_id) or self._array.snapshots[object_id]).name,
                "wwn": self._array.wwn_of(object_id),
                "lun": lun,
            }
            for host_id, objects in self._array.visible.items()
            for object_id, lun in objects.items()
        ]

    # Groups and views

    def _group_routes(self, resource: str, kind: str) -> dict[tuple[str, str], Any]:
        return {
            ("GET", resource): lambda given, _: self._list(kind, given),
            ("GET", f"{resource}/count"): lambda _, __: {"COUNT": str(len(self._groups[kind]))},
            ("GET", f"{resource}/{{id}}"): lambda _, group_id: self._rendered(self._group(kind, group_id)),
            ("POST", resource): lambda given, _: self._create(kind, given),
            ("PUT", f"{resource}/{{id}}"): lambda given, group_id: self._change(self._group(kind, group_id), given),
            ("DELETE", f"{resource}/{{id}}"): lambda _, group_id: self._delete(kind, group_id),
            ("POST", f"{resource}/associate"): lambda given, _: self._add(kind, given),
            ("DELETE", f"{resource}/associate"): lambda given, _: self._take(kind, given),
        }

    def _group(self, kind: str, group_id: str) -> Group:
        try:
            return self._groups[kind][group_id]
        except KeyError:
            raise Refusal(_MISSING[kind]) from None

    def _rendered(self, group: Group) -> Attributes:
        rendered: Attributes = {"ID": group.id, "NAME": group.name, "TYPE": int(group.kind), "DESCRIPTION": group.description}
        if group.kind == VIEW:
            rendered["AVAILABLEHOSTLUNIDLIST"] = json.dumps(self._free_lun_ids(group))
            if self._profile.v6:
                named = {HOST_GROUP: "hostGroupId", LUN_GROUP: "lunGroupId", PORT_GROUP: "portGroupId"}
                rendered |= {named[kind]: member for kind, member in group.members}
        else:
            rendered["ISADD2MAPPINGVIEW"] = wire.flag(self._in_a_view(group))
        return rendered

    def _list(self, kind: str, given: Attributes) -> list[Attributes]:
        return wire.select([self._rendered(group) for group in self._groups[kind].values()], given, capped=self._profile.v6)

    def _create(self, kind: str, given: Attributes) -> Attributes:
        name = self._free_name(kind, given)
        group = Group(kind, lowest_free(self._groups[kind]), name, wire.description(given))
        self._groups[kind][group.id] = group
        return self._rendered(group)

    def _change(self, group: Group, given: Attributes) -> Attributes:
        description = wire.description(given, group.description)
        if "NAME" in given:
            group.name = self._free_name(group.kind, given, group)
        group.description = description
        return self._rendered(group)

    def _free_name(self, kind: str, given: Attributes, but: Group | None = None) -> str:
        name = wire.checked_name(given, 31, cjk=self._profile.cjk)
        if any(group.name == name and group is not but for group in self._groups[kind].values()):
            raise Refusal(codes.NAME_EXISTS)
        return name

    def _delete(self, kind: str, group_id: str) -> None:
        group = self._group(kind, group_id)
        ports_only = kind == PORT_GROUP
        if (group.members and not ports_only) or self._in_a_view(group):
            raise Refusal(codes.OBJECT_IN_USE)
        del self._groups[kind][group_id]

    def _in_a_view(self, group: Group) -> bool:
        return any((group.kind, group.id) in view.members for view in self._groups[VIEW].values())

    def _add(self, kind: str, given: Attributes) -> None:
        group, member = self._group(kind, wire.text(given, "ID")), self._member(kind, given)
        if member in group.members:
            raise Refusal(_ALREADY[kind])
        group.members.add(member)
        self._try_to_show(lambda: group.members.discard(member))

    def _take(self, kind: str, given: Attributes) -> None:
        group = self._group(kind, wire.text(given, "ID"))
        member = (wire.text(given, "ASSOCIATEOBJTYPE"), wire.text(given, "ASSOCIATEOBJID"))
        if member not in group.members:
            raise Refusal(_NOT_IN[kind])
        group.members.discard(member)
        self._show()

    def _member(self, kind: str, given: Attributes) -> tuple[str, str]:
        member_kind, member_id = wire.text(given, "ASSOCIATEOBJTYPE"), wire.text(given, "ASSOCIATEOBJID")
        if member_kind not in _MEMBERS[kind]:
            raise Refusal(codes.BAD_PARAMETER)
        known: dict[str, tuple[Collection[str], int]] = {
            HOST: (self._array.hosts, codes.NO_HOST),
            LUN: (self._array.volumes, codes.NO_LUN),
            SNAPSHOT: (self._array.snapshots, codes.NO_SNAPSHOT),
            FC_PORT: ([port["ID"] for port in self._hosts.fc_ports()], codes.NO_OBJECT),
            ETH_PORT: ([port["ID"] for port in self._hosts.eth_ports()], codes.NO_OBJECT),
        }
        objects, code = known[member_kind]
        if member_id not in objects:
            raise Refusal(code)
        if member_kind == LUN and self._array.clock() < self._array.volumes[member_id].online_at:
            raise Refusal(codes.LUN_INITIALISING)
        if member_kind == SNAPSHOT and not self._array.snapshots[member_id].active:
            raise Refusal(codes.SNAPSHOT_NOT_ACTIVE)
        return member_kind, member_id

    def _join(self, given: Attributes, _: str) -> None:
        view, member = self._group(VIEW, wire.text(given, "ID")), self._view_member(given)
        if member in view.members:
            raise Refusal(codes.IN_VIEW[member[0]])
        if any(kind == member[0] for kind, _ in view.members):
            raise Refusal(codes.BAD_PARAMETER)
        view.members.add(member)
        self._try_to_show(lambda: view.members.discard(member))

    def _part(self, given: Attributes, _: str) -> None:
        view, member = self._group(VIEW, wire.text(given, "ID")), self._view_member(given)
        if member not in view.members:
            raise Refusal(codes.NOT_IN_VIEW[member[0]])
        view.members.discard(member)
        self._show()

    def _view_member(self, given: Attributes) -> tuple[str, str]:
        kind = wire.text(given, "ASSOCIATEOBJTYPE")
        if kind not in _MEMBERS[VIEW]:
            raise Refusal(codes.BAD_PARAMETER)
        return kind, self._group(kind, wire.text(given, "ASSOCIATEOBJID")).id

    # Associations

    def _association(self, default: str) -> Callable[[Attributes, str], list[Attributes]]:
        def answer(given: Attributes, _: str) -> list[Attributes]:
            asked = wire.text(given, "TYPE", default)
            # An old client asks for the FC ports of a group with the type of Ethernet ports.
            kind = default if default == FC_PORT else asked
            rendered = [self._render(kind, object_id, given) for object_id in self.associated(kind, given)]
            return wire.select(rendered, {"range": given["range"]} if "range" in given else {}, capped=self._profile.v6)

        return answer

    def _render(self, kind: str, object_id: str, given: Attributes) -> Attributes:
        renderers: dict[str, Callable[[], Attributes]] = {
            HOST: lambda: self._hosts.host(self._array.hosts[object_id]),
            LUN: lambda: self._lun_renderer(object_id),
            SNAPSHOT: lambda: self._snapshot_renderer(object_id),
            FC_PORT: lambda: next(port for port in self._hosts.fc_ports() if port["ID"] == object_id),
            ETH_PORT: lambda: self._hosts.eth_port(int(object_id) - 2000),
        }
        rendered = renderers[kind]() if kind in renderers else self._rendered(self._groups[kind][object_id])
        if kind in {LUN, SNAPSHOT} and given.get("ASSOCIATEOBJTYPE") is not None and str(given["ASSOCIATEOBJTYPE"]) == HOST:
            lun_id = self._array.visible[wire.text(given, "ASSOCIATEOBJID")][object_id]
            rendered = rendered | {"ASSOCIATEMETADATA": json.dumps({"HostLUNID": lun_id})}
        return rendered

    def use_renderers(self, lun: Callable[[str], Attributes], snapshot: Callable[[str], Attributes]) -> None:
        """Take how LUNs and snapshots are rendered; they are rendered with what is known here."""
        self._lun_renderer = lun
        self._snapshot_renderer = snapshot

    # What hosts see

    def _show(self) -> None:
        wanted: dict[str, list[str]] = {}
        for view in self._groups[VIEW].values():
            parts = dict(view.members)
            if HOST_GROUP in parts and LUN_GROUP in parts:
                luns = sorted((member for _, member in self._groups[LUN_GROUP][parts[LUN_GROUP]].members), key=int)
                for _, host_id in self._groups[HOST_GROUP][parts[HOST_GROUP]].members:
                    wanted.setdefault(host_id, []).extend(luns)
        for host_id, lun_id in sorted(self._direct):
            wanted.setdefault(host_id, []).append(lun_id)
        if any(len(set(objects)) < len(objects) for objects in wanted.values()):
            raise Refusal(codes.LUN_MAPPED)
        self._array.show(wanted)
        self._hosts.groups_of.clear()
        for group in self._groups[HOST_GROUP].values():
            for _, host_id in group.members:
                self._hosts.groups_of.setdefault(host_id, set()).add(group.id)

    def _try_to_show(self, undo: Callable[[], None]) -> None:
        try:
            self._show()
        except Exception:
            undo()
            raise

    def _free_lun_ids(self, view: Group) -> list[int]:
        parts = dict(view.members)
        hosts = self._groups[HOST_GROUP][parts[HOST_GROUP]].members if HOST_GROUP in parts else set()
        taken = {lun for _, host_id in hosts for lun in self._array.visible.get(host_id, {}).values()}
        return [lun for lun in range(_MAX_LUN_ID + 1) if lun not in taken]

    def _set_lun_id(self, given: Attributes, view_id: str) -> None:
        view = self._group(VIEW, view_id)
        metadata = given.get("ASSOCIATEMETADATA")
        parts = dict(view.members)
        if not isinstance(metadata, list) or len(metadata) != 1 or not isinstance(metadata[0], dict) or HOST_GROUP not in parts:
            raise Refusal(codes.BAD_PARAMETER)
        object_id, lun = wire.text(metadata[0], "LUNID"), wire.choice(metadata[0], "hostLUNId", range(_MAX_LUN_ID + 1))
        seeing = [self._array.visible.get(host_id, {}) for _, host_id in self._groups[HOST_GROUP][parts[HOST_GROUP]].members]
        if any(object_id not in seen or lun in seen.values() for seen in seeing):
            raise Refusal(codes.BAD_PARAMETER)
        for seen in seeing:
            seen[object_id] = lun
        self._array.serve()

    # Direct mappings

    def _pair(self, given: Attributes) -> tuple[str, str]:
        host_id, lun_id = self._hosts.find(wire.text(given, "hostId")).id, wire.text(given, "lunId")
        if lun_id not in self._array.volumes and lun_id not in self._array.snapshots:
            raise Refusal(codes.NO_LUN)
        return host_id, lun_id

    def _map(self, given: Attributes, _: str) -> Attributes:
        pair = self._pair(given)
        if pair in self._direct or pair[1] in self._array.visible.get(pair[0], {}):
            raise Refusal(codes.MAPPING_EXISTS)
        if pair[1] in self._array.volumes and self._array.clock() < self._array.volumes[pair[1]].online_at:
            raise Refusal(codes.LUN_INITIALISING)
        self._direct.add(pair)
        self._try_to_show(lambda: self._direct.discard(pair))
        return {"hostId": pair[0], "lunId": pair[1]}

    def _unmap(self, given: Attributes, _: str) -> None:
        pair = self._pair(given)
        if pair not in self._direct:
            raise Refusal(codes.NO_MAPPING)
        self._direct.discard(pair)
        self._show()

    def _get_mapping(self, given: Attributes, _: str) -> Attributes:
        pair = self._pair(given)
        if pair not in self._direct:
            raise Refusal(codes.NO_MAPPING)
        return {"hostId": pair[0], "lunId": pair[1]}

    def _mappings_of(self, given: Attributes, _: str) -> list[Attributes]:
        kind, object_id = wire.text(given, "ASSOCIATEOBJTYPE"), wire.text(given, "ASSOCIATEOBJID")
        position = 0 if kind == HOST else 1
        found = [
            {"hostId": pair[0], "lunId": pair[1], "ID": "-".join(pair)}
            for pair in sorted(self._direct)
            if pair[position] == object_id
        ]
        return wire.select(found, {"range": given["range"]} if "range" in given else {}, capped=True)

    def _host_lun_info(self, given: Attributes, _: str) -> list[Attributes]:
        seen = self._array.visible.get(wire.text(given, "hostId"), {})
        lun_id = wire.text(given, "lunId")
        return [{"hostId": wire.text(given, "hostId"), "lunId": lun_id, "hostLunId": str(seen[lun_id])}] if lun_id in seen else []
