"""Hosts, their initiators and what they see. Source: protocol sheet, sections 3.6 to 3.8.

Each host has objects of its own, all under one name: host, and on the classic generations a host group, a LUN group and a
mapping view that joins the two. They are made with the host's first export, in an order in which every prefix is harmless, and
stay for its next one. That the host sees the LUN is taken from the array's answer alone: it proves that the chain stands.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from blockdrivers.deadline import wait_until
from blockdrivers.errors import AlreadyExists, InUse, InvalidRequest, NotFound, StaleReference, VendorError
from blockdrivers.model import Chap, Host, Protocol
from vendors.huawei import objects
from vendors.huawei.client import Object, OceanStorClient
from vendors.huawei.objects import Type

_LINUX = "0"


@dataclass(frozen=True, slots=True)
class Registration:
    """What this process has seen of a host; believed only while the host of that name still has that id."""

    host_id: str
    initiators: frozenset[str] = frozenset()
    """Those that were bound to it."""
    chap: Chap | None = None
    """The credentials that were set."""


@dataclass(frozen=True, slots=True)
class RegisteredHost:
    """A host object that stands, found or made within the present call."""

    id: str
    name: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Target:
    """What is mapped: a LUN or a snapshot, proven by name."""

    id: str
    name: str
    wwn: str | None
    type: Type

    @property
    def resource(self) -> str:
        """Its resource at the wire."""
        return "snapshot" if self.type is Type.SNAPSHOT else "lun"


class Hosts:
    """Host objects and initiators."""

    def __init__(self, client: OceanStorClient) -> None:
        self._client = client
        self._guard = threading.Lock()
        self._seen: dict[str, Registration] = {}

    def find(self, host_name: str) -> Object | None:
        """Return the host object of that name."""
        return self._client.find("host", "NAME", host_name)

    def id_of(self, host_name: str) -> str:
        """Return a host's id, or raise `NotFound`."""
        found = self.find(host_name)
        if found is None:
            raise NotFound(f"The array has no host {host_name!r}.")
        return objects.text(found, "ID")

    def register(self, host: Host, host_name: str, protocol: Protocol, description: str) -> RegisteredHost:
        """Make sure that the host object stands and holds the host's initiators.

        Ids are never taken from memory: another process may have removed the host, and the array gives its id to the next.
        """
        registered = self._host_object(host_name, description)
        seen = self._seen.get(host_name)
        if seen is None or seen.host_id != registered.id:
            seen = Registration(registered.id)
        try:
            seen = self._with_initiators(seen, host, protocol)
        except (InUse, InvalidRequest):
            if registered.is_new:
                self._client.delete(f"host/{registered.id}")
            raise
        with self._guard:
            self._seen[host_name] = seen
        return registered

    def forget(self, host_name: str) -> None:
        """Drop what was seen of a host."""
        with self._guard:
            self._seen.pop(host_name, None)

    def initiators(self, host_id: str, protocol: Protocol) -> list[str]:
        """Return the initiators of one kind that are bound to a host."""
        return [objects.text(item, "ID") for item in self._bound(host_id, protocol)]

    def release(self, host_id: str) -> None:
        """Take every initiator off a host."""
        for protocol, unbind in ((Protocol.ISCSI, self._unbind_iscsi), (Protocol.FC, self._unbind_fc)):
            for initiator in self.initiators(host_id, protocol):
                unbind(initiator)

    def _host_object(self, host_name: str, description: str) -> RegisteredHost:
        if host_name in self._seen and (found := self.find(host_name)) is not None:
            return RegisteredHost(objects.text(found, "ID"), host_name, is_new=False)
        body = {"TYPE": str(int(Type.HOST)), "NAME": host_name, "OPERATIONSYSTEM": _LINUX, "DESCRIPTION": description}
        try:
            return RegisteredHost(objects.text(self._client.post("host", body), "ID"), host_name, is_new=True)
        except AlreadyExists:
            found = self.find(host_name)
            if found is None:
                raise
            return RegisteredHost(objects.text(found, "ID"), host_name, is_new=False)

    def _with_initiators(self, registration: Registration, host: Host, protocol: Protocol) -> Registration:
        if protocol is Protocol.ISCSI and host.iqn:
            if host.iqn not in registration.initiators or host.chap != registration.chap:
                self._bind_iscsi(registration, host.iqn, host.chap)
                registration = replace(registration, initiators=registration.initiators | {host.iqn}, chap=host.chap)
            return registration
        if missing := [wwpn for wwpn in host.wwpns if wwpn not in registration.initiators]:
            bound = self._bind_fc(registration.host_id, host.name, missing)
            registration = replace(registration, initiators=registration.initiators | bound)
        return registration

    def _bind_iscsi(self, registration: Registration, iqn: str, chap: Chap | None) -> None:
        binding = _iscsi_binding(registration.host_id, iqn, chap)
        if iqn not in registration.initiators:
            try:
                made = self._client.post("iscsi_initiator", binding)
            except AlreadyExists:
                made = self._initiator("iscsi_initiator", iqn, registration.host_id)
                if chap is None and _is_bound_to(made, registration.host_id) and not objects.flag(made, "USECHAP"):
                    return
            else:
                # Firmware that ignores the host in the first request shows the initiator as free.
                if _is_bound_to(made, registration.host_id):
                    return
        self._client.put(f"iscsi_initiator/{iqn}", binding)

    def _bind_fc(self, host_id: str, host: str, wwpns: Sequence[str]) -> frozenset[str]:
        free = {objects.text(item, "ID").lower() for item in self._client.listing("fc_initiator", ISFREE="true")}
        bound = {wwpn for wwpn in wwpns if self._bind_one_fc(host_id, wwpn, free=wwpn in free)}
        if not bound:
            raise InvalidRequest(
                f"The array sees none of the FC initiators of host {host!r} ({', '.join(wwpns)}); check cabling and zoning."
            )
        return frozenset(bound)

    def _bind_one_fc(self, host_id: str, wwpn: str, *, free: bool) -> bool:
        if not free:
            try:
                if _is_bound_to(self._initiator("fc_initiator", wwpn, host_id), host_id):
                    return True
            except (NotFound, InvalidRequest):
                return False
        body = {"TYPE": str(int(Type.FC_INITIATOR)), "ID": wwpn, "PARENTTYPE": int(Type.HOST), "PARENTID": host_id}
        self._client.put(f"fc_initiator/{wwpn}", body)
        return True

    def _initiator(self, resource: str, address: str, host_id: str) -> Object:
        item: Object = self._client.read(f"{resource}/{address}")
        if not objects.flag(item, "ISFREE") and not _is_bound_to(item, host_id):
            raise InUse(
                f"Initiator {address} belongs to the array's host {item.get('PARENTNAME') or item.get('PARENTID')!r}; "
                "remove it there first, it is not taken away."
            )
        return item

    def _bound(self, host_id: str, protocol: Protocol) -> Iterator[Object]:
        resource = "fc_initiator" if protocol is Protocol.FC else "iscsi_initiator"
        return self._client.listing(resource, PARENTTYPE=str(int(Type.HOST)), PARENTID=host_id)

    def _unbind_iscsi(self, iqn: str) -> None:
        self._client.put("iscsi_initiator", {"ID": iqn, "USECHAP": "false", "MULTIPATHTYPE": "0"})
        self._unbind("iscsi_initiator/remove_iscsi_from_host", Type.ISCSI_INITIATOR, iqn)

    def _unbind_fc(self, wwpn: str) -> None:
        self._unbind("fc_initiator/remove_fc_from_host", Type.FC_INITIATOR, wwpn)

    def _unbind(self, path: str, kind: Type, address: str) -> None:
        try:
            self._client.put(path, {"TYPE": str(int(kind)), "ID": address})
        except NotFound:
            return


class Mapping(ABC):
    """How a generation lets a host see a LUN."""

    def __init__(self, client: OceanStorClient, hosts: Hosts) -> None:
        self._client = client
        self._hosts = hosts

    def map(self, target: Target, host: RegisteredHost) -> tuple[int, str | None]:
        """Let a host see the target and return the LUN id and the WWN that it sees; mapped already counts as done.

        Raises `StaleReference` when the target's id names something else now; what this call mapped is unmapped again.
        """
        mapped_here = self._join(target, host)
        repaired = False

        def look() -> tuple[int, str | None] | None:
            nonlocal repaired
            seen = self.seen(target, host.id)
            if seen is None and not repaired:
                repaired = True
                self._repair(host)
                seen = self.seen(target, host.id)
            return seen

        try:
            return wait_until(look, what=f"the LUN id of {target.name} on host {host.name}")
        except StaleReference:
            if mapped_here:
                self.unmap(target, host.name)
            raise

    @abstractmethod
    def unmap(self, target: Target, host_name: str) -> None:
        """Take the target away from a host; `NotFound` where it was not mapped to it."""

    @abstractmethod
    def hosts_of(self, target: Target) -> Sequence[tuple[str, str]]:
        """Return id and name of every host that the target is mapped to."""

    @abstractmethod
    def remove(self, host_name: str) -> None:
        """Remove everything around a host that sees nothing, and the host last; `InUse` while it sees something."""

    @abstractmethod
    def unfinished(self) -> Iterator[str]:
        """Yield the names of hosts that stand half: a first export or a removal was cut off."""

    @abstractmethod
    def _join(self, target: Target, host: RegisteredHost) -> bool:
        """Map the target; False where it was mapped already."""

    def _repair(self, host: RegisteredHost) -> None:
        """Complete what an earlier, cut-off call left unfinished between host and LUNs; nothing where they meet directly."""
        return

    def seen(self, target: Target, host_id: str) -> tuple[int, str | None] | None:
        """Return LUN id and WWN under which a host sees the target, or None; `StaleReference` for an id that names another."""
        item = self._visible(target, host_id)
        if item is None:
            return None
        if item.get("NAME") != target.name or (target.wwn and str(item.get("WWN", "")).lower() != target.wwn):
            raise StaleReference(f"The array's id {target.id} names {item.get('NAME')!r}, not {target.name!r}.")
        lun_id = objects.host_lun_id(item)
        return None if lun_id is None else (lun_id, str(item.get("WWN", "")).lower() or None)

    def _visible(self, target: Target, host_id: str) -> Object | None:
        of_host = {"TYPE": str(int(target.type)), "ASSOCIATEOBJTYPE": str(int(Type.HOST)), "ASSOCIATEOBJID": host_id}
        listing = self._client.listing(f"{target.resource}/associate", **of_host)
        return next((item for item in listing if objects.text(item, "ID") == target.id), None)


class DirectMapping(Mapping):
    """LUN to host, without groups (Dorado V6)."""

    def _join(self, target: Target, host: RegisteredHost) -> bool:
        return _unless_there(lambda: self._client.post("mapping", {"hostId": host.id, "lunId": target.id}))

    def unmap(self, target: Target, host_name: str) -> None:
        """Take the target away from a host."""
        self._client.delete("mapping", {"hostId": self._hosts.id_of(host_name), "lunId": target.id})

    def hosts_of(self, target: Target) -> Sequence[tuple[str, str]]:
        """Return id and name of every host that the target is mapped to."""
        mappings = self._client.listing("mapping/associate", ASSOCIATEOBJTYPE=str(int(target.type)), ASSOCIATEOBJID=target.id)
        host_ids = sorted({str(item["hostId"]) for item in mappings if item.get("hostId")}, key=int)
        return [(host_id, objects.text(self._client.read(f"host/{host_id}"), "NAME")) for host_id in host_ids]

    def unfinished(self) -> Iterator[str]:
        """Yield hosts without initiators."""
        for host in self._client.listing("host"):
            if objects.number(host, "INITIATORNUM", 1) == 0:
                yield objects.text(host, "NAME")

    def remove(self, host_name: str) -> None:
        """Remove a host that sees nothing."""
        host_id = self._hosts.id_of(host_name)
        if any(self._client.listing("mapping/associate", ASSOCIATEOBJTYPE=str(int(Type.HOST)), ASSOCIATEOBJID=host_id)):
            raise InUse(f"Host {host_name!r} still has exports; take them away first.")
        self._hosts.release(host_id)
        self._client.delete(f"host/{host_id}")


class MappingViews(Mapping):
    """Host group and LUN group joined by a mapping view (V3, V5, Dorado V3)."""

    def _join(self, target: Target, host: RegisteredHost) -> bool:
        body = {
            "ID": self._lun_group(host),
            "ASSOCIATEOBJTYPE": str(int(target.type)),
            "ASSOCIATEOBJID": target.id,
        }
        return _unless_there(lambda: self._client.post("lungroup/associate", body))

    def _lun_group(self, host: RegisteredHost) -> str:
        """Return the host's LUN group; where there was none, build the whole chain."""
        found = None if host.is_new else self._client.find("lungroup", "NAME", host.name)
        if found is not None:
            return objects.text(found, "ID")
        group_id = self._ensure("lungroup", host.name, {"DESCRIPTION": "", "APPTYPE": "0", "GROUPTYPE": "0"})
        self._build(host.name, host.id, group_id)
        return group_id

    def _repair(self, host: RegisteredHost) -> None:
        found = self._client.find("lungroup", "NAME", host.name)
        if found is not None:
            self._build(host.name, host.id, objects.text(found, "ID"))

    def _build(self, host_name: str, host_id: str, lun_group_id: str) -> None:
        """Make the host group and the view and join them; every step that stands already is passed over."""
        host_group_id = self._ensure("hostgroup", host_name, {"TYPE": str(int(Type.HOST_GROUP))})
        member = {
            "TYPE": str(int(Type.HOST_GROUP)),
            "ID": host_group_id,
            "ASSOCIATEOBJTYPE": str(int(Type.HOST)),
            "ASSOCIATEOBJID": host_id,
        }
        _unless_there(lambda: self._client.post("hostgroup/associate", member))
        view_id = self._ensure("mappingview", host_name, {"TYPE": str(int(Type.MAPPING_VIEW))})
        for kind, group_id in ((Type.HOST_GROUP, host_group_id), (Type.LUN_GROUP, lun_group_id)):
            _unless_there(
                lambda kind=kind, group_id=group_id: self._client.put(  # type: ignore[misc]
                    "mappingview/CREATE_ASSOCIATE", _view_member(view_id, kind, group_id)
                )
            )

    def _ensure(self, resource: str, name: str, attributes: dict[str, str]) -> str:
        try:
            return objects.text(self._client.post(resource, {"NAME": name, **attributes}), "ID")
        except AlreadyExists:
            found = self._client.find(resource, "NAME", name)
            if found is None:
                raise
            return objects.text(found, "ID")

    def unmap(self, target: Target, host_name: str) -> None:
        """Take the target out of the host's LUN group, wherever the rest of the chain stands."""
        group_id = self._group_with(target, host_name)
        try:
            self._client.delete(
                "lungroup/associate", ID=group_id, ASSOCIATEOBJTYPE=str(int(target.type)), ASSOCIATEOBJID=target.id
            )
        except VendorError:
            # The code for "not a member" is not documented; another call may have been quicker.
            self._group_with(target, host_name)
            raise

    def _group_with(self, target: Target, host_name: str) -> str:
        groups = self._client.associated("lungroup", Type.LUN_GROUP, target.type, target.id)
        group = next((item for item in groups if item.get("NAME") == host_name), None)
        if group is None:
            raise NotFound(f"{target.name!r} is not mapped to host {host_name!r}.")
        return objects.text(group, "ID")

    def hosts_of(self, target: Target) -> Sequence[tuple[str, str]]:
        """Return id and name of every host that the target is mapped to, through whosever views."""
        found: dict[str, str] = {}
        for group in self._client.associated("lungroup", Type.LUN_GROUP, target.type, target.id):
            for view in self._client.associated("mappingview", Type.MAPPING_VIEW, Type.LUN_GROUP, objects.text(group, "ID")):
                for host_group in self._client.associated(
                    "hostgroup", Type.HOST_GROUP, Type.MAPPING_VIEW, objects.text(view, "ID")
                ):
                    hosts = self._client.associated("host", Type.HOST, Type.HOST_GROUP, objects.text(host_group, "ID"))
                    found.update({objects.text(host, "ID"): objects.text(host, "NAME") for host in hosts})
        return sorted(found.items())

    def unfinished(self) -> Iterator[str]:
        """Yield the names that only some of host, host group, LUN group and view have."""
        named: list[set[str]] = [
            {objects.text(item, "NAME") for item in self._client.listing(resource)}
            for resource in ("host", "hostgroup", "lungroup", "mappingview")
        ]
        hosts, *others = named
        yield from sorted(hosts.union(*others) - hosts.intersection(*others))

    def remove(self, host_name: str) -> None:
        """Take the chain down, LUN group first; an export that slips in meanwhile stops it and is joined again.

        The host object goes last: while it stands, a repeat finds what a cut-off removal has left.
        """
        host, view = self._hosts.find(host_name), self._client.find("mappingview", "NAME", host_name)
        lun_group = self._client.find("lungroup", "NAME", host_name)
        host_group = self._client.find("hostgroup", "NAME", host_name)
        if host is None and view is None and lun_group is None and host_group is None:
            raise NotFound(f"The array has no host {host_name!r}.")
        if lun_group is not None:
            self._remove_lun_group(host_name, objects.text(lun_group, "ID"), view)
        if view is not None:
            self._remove_view(view, host_group)
        if host_group is not None:
            self._remove_host_group(objects.text(host_group, "ID"), host)
        if host is not None:
            host_id = objects.text(host, "ID")
            self._hosts.release(host_id)
            _gone_is_fine(lambda: self._client.delete(f"host/{host_id}"))

    def _remove_lun_group(self, host_name: str, group_id: str, view: Object | None) -> None:
        busy = InUse(f"Host {host_name!r} still has exports; take them away first.")
        if self._members(group_id):
            raise busy
        if view is not None:
            self._part(view, Type.LUN_GROUP, group_id)
        try:
            _gone_is_fine(lambda: self._client.delete(f"lungroup/{group_id}"))
        except VendorError as refused:
            if view is not None and self._members(group_id):
                self._client.put("mappingview/CREATE_ASSOCIATE", _view_member(objects.text(view, "ID"), Type.LUN_GROUP, group_id))
                raise busy from refused
            raise

    def _remove_view(self, view: Object, host_group: Object | None) -> None:
        view_id = objects.text(view, "ID")
        if host_group is not None:
            self._part(view, Type.HOST_GROUP, objects.text(host_group, "ID"))
        _gone_is_fine(lambda: self._client.delete(f"mappingview/{view_id}"))

    def _remove_host_group(self, group_id: str, host: Object | None) -> None:
        if host is not None:
            host_id = objects.text(host, "ID")
            _gone_is_fine(
                lambda: self._client.delete(
                    "host/associate",
                    TYPE=str(int(Type.HOST_GROUP)),
                    ID=group_id,
                    ASSOCIATEOBJTYPE=str(int(Type.HOST)),
                    ASSOCIATEOBJID=host_id,
                )
            )
        _gone_is_fine(lambda: self._client.delete(f"hostgroup/{group_id}"))

    def _part(self, view: Object, kind: Type, group_id: str) -> None:
        member = _view_member(objects.text(view, "ID"), kind, group_id)
        _gone_is_fine(lambda: self._client.put("mappingview/REMOVE_ASSOCIATE", member))

    def _members(self, group_id: str) -> int:
        of_group = {"ASSOCIATEOBJTYPE": str(int(Type.LUN_GROUP)), "ASSOCIATEOBJID": group_id}
        return sum(
            self._client.count(resource, TYPE=str(int(kind)), **of_group)
            for resource, kind in (("lun", Type.LUN), ("snapshot", Type.SNAPSHOT))
        )


def _iscsi_binding(host_id: str, iqn: str, chap: Chap | None) -> dict[str, str]:
    binding = {
        "TYPE": str(int(Type.ISCSI_INITIATOR)),
        "ID": iqn,
        "USECHAP": "false" if chap is None else "true",
        "PARENTTYPE": str(int(Type.HOST)),
        "PARENTID": host_id,
    }
    return binding if chap is None else binding | {"CHAPNAME": chap.username, "CHAPPASSWORD": chap.secret}


def _is_bound_to(initiator: Object, host_id: str) -> bool:
    return str(initiator.get("PARENTID") or "") == host_id and not objects.flag(initiator, "ISFREE")


def _view_member(view_id: str, kind: Type, group_id: str) -> dict[str, str]:
    return {
        "TYPE": str(int(Type.MAPPING_VIEW)),
        "ID": view_id,
        "ASSOCIATEOBJTYPE": str(int(kind)),
        "ASSOCIATEOBJID": group_id,
    }


def _unless_there(step: Callable[[], object]) -> bool:
    try:
        step()
    except AlreadyExists:
        return False
    return True


def _gone_is_fine(step: Callable[[], object]) -> None:
    try:
        step()
    except NotFound:
        return
