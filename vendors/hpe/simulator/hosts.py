"""Hosts and their paths. Source: protocol sheet, section 3.9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from conformance.simulation.engine import Array, Host, Initiator, lowest_free
from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.wire import Answer, Attributes, Call, Handler, Refusal

if TYPE_CHECKING:
    from vendors.hpe.simulator.ports import Ports

_ADD, _REMOVE = 1, 2
_INITIATOR_MODE, _TARGET_MODE = 1, 2
_PERSONAS = range(1, 12)
_VMWARE = "8"
_CHAP_SECRET = range(12, 17)
_LONGEST_IQN = 223
_WWN_DIGITS = 16
_TARGET_CHAP = "targetChap"


class Hosts:
    """The hosts of an array, and the initiators that it knows or sees."""

    def __init__(self, array: Array, ports: Ports, fabric: Sequence[str]) -> None:
        self._array = array
        self._ports = ports
        self._chap: dict[str, tuple[str, str]] = {}
        self._has_exports: Callable[[str], bool] = lambda _: False
        self._set_of: Callable[[str], str] = lambda _: ""
        self._serve: Callable[[], None] = lambda: None
        self.set_fabric(fabric)

    def use(self, *, has_exports: Callable[[str], bool], set_of: Callable[[str], str], serve: Callable[[], None]) -> None:
        """Take how to find out what hangs on a host, by id, and what follows a change of paths."""
        self._has_exports, self._set_of, self._serve = has_exports, set_of, serve

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {
            ("GET", "hosts"): lambda call: wire.listed(
                wire.select([self._rendered(host) for host in self._array.hosts.values()], call.query)
            ),
            ("GET", "hosts/{}"): lambda call: self._rendered(self.find(call.names[0])),
            ("POST", "hosts"): self._create,
            ("PUT", "hosts/{}"): self._change,
            ("DELETE", "hosts/{}"): self._delete,
        }

    def find(self, name: str) -> Host:
        """Return the host of that name, or refuse."""
        found = next((host for host in self._array.hosts.values() if host.name == name), None)
        if found is None:
            raise Refusal(codes.NO_HOST)
        return found

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Let exactly these FC initiators be logged in."""
        for address in wwpns:
            self._array.initiators.setdefault(address, Initiator(address, "fc"))
        for initiator in self._array.initiators.values():
            if initiator.kind == "fc":
                initiator.online = initiator.address in wwpns

    def of(self, host_id: str) -> list[Initiator]:
        """Return a host's initiators."""
        return [initiator for initiator in self._array.initiators.values() if initiator.host_id == host_id]

    def is_vmware(self, host_id: str) -> bool:
        """Tell whether a host has the persona of VMware."""
        return self._array.hosts[host_id].attributes["persona"] == _VMWARE

    def state(self) -> list[Attributes]:
        """Return the hosts for the state dump."""
        return [
            {"id": host.id, "name": host.name, "description": host.description, "persona": host.attributes["persona"]}
            for host in self._array.hosts.values()
        ]

    def initiator_state(self) -> list[Attributes]:
        """Return the initiators for the state dump, without secrets."""
        return [
            {
                "id": item.address,
                "kind": item.kind,
                "host": self._array.hosts[item.host_id].name if item.host_id else None,
                "online": item.online,
                "chap_user": item.chap[0] if item.chap else None,
            }
            for item in self._array.initiators.values()
        ]

    def _rendered(self, host: Host) -> Attributes:
        fc: list[Attributes] = []
        iscsi: list[Attributes] = []
        for initiator in self.of(host.id):
            if initiator.kind == "iscsi":
                iscsi.append({"name": initiator.address, "ipAddr": "0.0.0.0", "hostSpeed": 0})  # noqa: S104
            else:
                fc += self._fc_paths(initiator)
        descriptors = {"os": host.attributes.get("os", ""), "comment": host.description}
        return {
            "id": int(host.id),
            "name": host.name,
            "persona": int(host.attributes["persona"]),
            "descriptors": {key: value for key, value in descriptors.items() if value},
            "initiatorChapEnabled": host.id in self._chap,
            "targetChapEnabled": _TARGET_CHAP in host.attributes,
            "FCPaths": fc,
            "iSCSIPaths": iscsi,
        }

    def _fc_paths(self, initiator: Initiator) -> list[Attributes]:
        """Return a row per port that an initiator is logged in at, or one without a port."""
        common = {"wwn": initiator.address.upper(), "hostSpeed": 16, "vendor": "", "model": ""}
        common |= {"firmwareVersion": "", "driverVersion": ""}
        if not initiator.online:
            return [common | {"hostSpeed": 0}]
        return [common | {"portPos": position.rendered()} for position in self._ports.fc]

    # Changing

    def _create(self, call: Call) -> Answer:
        given = call.body
        name = self._free_name(wire.name(given, "name"))
        if wire.text(given, "domain", ""):
            raise Refusal(codes.NO_DOMAIN)
        persona = wire.choice(given, "persona", _PERSONAS, 1)
        paths = self._paths(given, None)
        descriptors = wire.part(given, "descriptors") if given.get("descriptors") is not None else {}
        attributes = {"persona": str(persona), "os": wire.text(descriptors, "os", "")}
        host = Host(lowest_free(self._array.hosts), name, wire.comment(descriptors), attributes)
        self._array.hosts[host.id] = host
        self._add(host, paths)
        return wire.created(f"/api/v1/hosts/{name}")

    def _free_name(self, name: str) -> str:
        if any(host.name == name for host in self._array.hosts.values()):
            raise Refusal(codes.HOST_EXISTS)
        return name

    def _paths(self, given: Attributes, host: Host | None) -> list[tuple[str, str]]:
        """Return kind and address of the paths that are named, none of which may be another host's."""
        wwns = [wwn.replace(":", "").lower() for wwn in wire.texts(given, "FCWWNs")]
        iqns = wire.texts(given, "iSCSINames")
        if any(len(wwn) != _WWN_DIGITS or not set(wwn) <= set("0123456789abcdef") for wwn in wwns):
            raise Refusal(codes.BAD_INPUT, ref="FCWWNs")
        if any(not iqn.startswith(("iqn.", "eui.", "naa.")) or len(iqn) > _LONGEST_IQN for iqn in iqns):
            raise Refusal(codes.BAD_INPUT, ref="iSCSINames")
        for address in (*wwns, *iqns):
            known = self._array.initiators.get(address)
            if known is not None and known.host_id is not None and (host is None or known.host_id != host.id):
                owner = self._array.hosts[known.host_id].name
                raise Refusal(codes.PATH_EXISTS, text=f"host path already used by host {owner}")
        return [*(("fc", wwn) for wwn in wwns), *(("iscsi", iqn) for iqn in iqns)]

    def _add(self, host: Host, paths: Sequence[tuple[str, str]]) -> None:
        for kind, address in paths:
            initiator = self._array.initiators.setdefault(address, Initiator(address, kind))
            initiator.host_id = host.id
            if kind == "iscsi":
                initiator.chap = self._chap.get(host.id)
        self._serve()

    def _drop(self, initiator: Initiator) -> None:
        initiator.host_id = initiator.chap = None
        if not initiator.online:
            del self._array.initiators[initiator.address]

    def _change(self, call: Call) -> Answer:
        host, given = self.find(call.names[0]), call.body
        if "pathOperation" in given:
            self._change_paths(host, given)
        if "chapOperation" in given:
            self._change_chap(host, given)
        if given.get("persona") is not None:
            host.attributes["persona"] = str(wire.choice(given, "persona", _PERSONAS))
        if given.get("descriptors") is not None:
            host.description = wire.comment(wire.part(given, "descriptors"), host.description)
        if given.get("newName") is not None:
            new_name = wire.name(given, "newName")
            host.name = host.name if new_name == host.name else self._free_name(new_name)
        return Answer(location=f"/api/v1/hosts/{host.name}")

    def _change_paths(self, host: Host, given: Attributes) -> None:
        operation = wire.choice(given, "pathOperation", (_ADD, _REMOVE))
        paths = self._paths(given, host)
        if operation == _ADD:
            self._add(host, paths)
            return
        own = {initiator.address: initiator for initiator in self.of(host.id)}
        if any(address not in own for _, address in paths):
            raise Refusal(codes.NO_PATH)
        if paths and self._has_exports(host.id) and not wire.flag(given, "forcePathRemoval"):
            raise Refusal(codes.EXPORTED)
        for _, address in paths:
            self._drop(own[address])
        self._serve()

    def _change_chap(self, host: Host, given: Attributes) -> None:
        if wire.choice(given, "chapOperation", (_ADD, _REMOVE)) == _REMOVE:
            host.attributes.pop(_TARGET_CHAP, None)
            if not wire.flag(given, "chapRemoveTargetOnly"):
                self._chap.pop(host.id, None)
        else:
            mode = wire.choice(given, "chapOperationMode", (_INITIATOR_MODE, _TARGET_MODE))
            user, secret = wire.text(given, "chapName", host.name), wire.text(given, "chapSecret")
            if len(secret) not in _CHAP_SECRET and not wire.flag(given, "chapSecretHex"):
                raise Refusal(codes.CHAP_LENGTH, ref="chapSecret")
            if mode == _TARGET_MODE:
                host.attributes[_TARGET_CHAP] = user
            else:
                self._chap[host.id] = user, secret
        for initiator in self.of(host.id):
            if initiator.kind == "iscsi":
                initiator.chap = self._chap.get(host.id)
        self._serve()

    def _delete(self, call: Call) -> None:
        host = self.find(call.names[0])
        if self._has_exports(host.id):
            raise Refusal(codes.EXPORTED)
        if self._set_of(host.id):
            raise Refusal(codes.HOST_IN_SET)
        for initiator in self.of(host.id):
            self._drop(initiator)
        self._chap.pop(host.id, None)
        del self._array.hosts[host.id]
