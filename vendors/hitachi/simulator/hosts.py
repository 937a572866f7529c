"""Ports, host groups and iSCSI targets, initiators, CHAP users. Source: protocol sheet, sections 2 and 3.8 to 3.10."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vendors.hitachi.simulator import codes, wire
from vendors.hitachi.simulator.codes import Failure, Refusal, not_there
from vendors.hitachi.simulator.jobs import Outcome
from vendors.hitachi.simulator.wire import Object

_NUMBERS = range(1, 255)
_MODES = frozenset(("HP-UX", "SOLARIS", "AIX", "WIN", "LINUX/IRIX", "TRU64", "OVMS", "NETWARE", "VMWARE", "VMWARE_EX", "WIN_EX"))
_GROUP_NAME = re.compile(r"[A-Za-z0-9.@_:][A-Za-z0-9.@_:-]*")
_WWN = re.compile(r"[0-9a-f]{16}")
_ISCSI_NAME = re.compile(r"(iqn\.[a-z0-9.:-]+|eui\.[0-9A-Fa-f]{16})")
_ISCSI_NAME_LENGTH = range(5, 224)
_SECRET_LENGTH = range(12, 33)
ISCSI_TCP_PORT = 3260


@dataclass(frozen=True, slots=True)
class Port:
    """A target port; `address` is its WWN or its IP address."""

    id: str
    iscsi: bool
    address: str


@dataclass(slots=True)
class Group:
    """A host group, or an iSCSI target."""

    port: Port
    number: int
    name: str
    iqn: str = ""
    mode: str = "LINUX/IRIX"
    options: list[int] = field(default_factory=list)
    authentication: str = "BOTH"
    direction: str = "S"
    initiators: list[str] = field(default_factory=list)
    nicknames: dict[str, str] = field(default_factory=dict)
    chap: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    """(way, user name) -> secret, empty before it is set."""
    luns: dict[int, int] = field(default_factory=dict)
    """LUN -> LDEV id."""

    @property
    def id(self) -> str:
        """Its id at the wire."""
        return f"{self.port.id},{self.number}"


class Hosts:
    """The ports of an array and the groups behind them.

    Args:
        ports: every target port.
        serial: last digits of the targets' IQNs.
        changed: called when who may reach what has changed.
    """

    def __init__(self, ports: Collection[Port], serial: str, changed: Callable[[], None]) -> None:
        self.ports = {port.id: port for port in ports}
        self._serial = serial
        self._changed = changed
        self.groups: dict[str, dict[int, Group]] = {port.id: {0: self._factory(port)} for port in ports}

    def reads(self) -> Mapping[str, Callable[..., Any]]:
        """Return the handlers of GET."""
        return {
            "ports": self._ports,
            "ports/{id}": lambda port_id, _: self._port(self._asked_port(port_id), alone=True),
            "host-groups": self._list,
            "host-groups/{id}": lambda group_id, _: self._group(self._asked(group_id), detailed=True),
            "host-wwns": lambda query: self._initiators(query, iscsi=False),
            "host-iscsis": lambda query: self._initiators(query, iscsi=True),
            "chap-users": self._chap_users,
            "supported-host-modes/instance": lambda _: {
                "supportedHostModes": [{"hostModeName": name} for name in sorted(_MODES)]
            },
        }

    def changes(self) -> Mapping[tuple[str, str], Callable[..., Outcome]]:
        """Return the handlers of jobs."""
        return {
            ("POST", "host-groups"): self._create,
            ("PATCH", "host-groups/{id}"): self._change,
            ("DELETE", "host-groups/{id}"): self._delete,
            ("POST", "host-wwns"): lambda given: self._register(given, iscsi=False),
            ("POST", "host-iscsis"): lambda given: self._register(given, iscsi=True),
            ("PATCH", "host-wwns/{id}"): lambda initiator_id, given: self._nickname(initiator_id, given, iscsi=False),
            ("PATCH", "host-iscsis/{id}"): lambda initiator_id, given: self._nickname(initiator_id, given, iscsi=True),
            ("DELETE", "host-wwns/{id}"): self._unregister,
            ("DELETE", "host-iscsis/{id}"): self._unregister,
            ("POST", "chap-users"): self._add_chap_user,
            ("PATCH", "chap-users/{id}"): self._set_secret,
            ("DELETE", "chap-users/{id}"): self._remove_chap_user,
        }

    def every(self) -> Iterator[Group]:
        """Yield every group."""
        for groups in self.groups.values():
            yield from groups.values()

    def group(self, port_id: str, number: int) -> Group:
        """Return a group, or fail for one that is not there."""
        group = self.groups.get(port_id[:5], {}).get(number)
        if group is None:
            raise not_there()
        return group

    def asked_group(self, given: Mapping[str, Any]) -> Group:
        """Return the group that a query names by port and number, or refuse."""
        port = self._asked_port(wire.text(given, "portId"))
        number = wire.number(given, "hostGroupNumber")
        if number not in self.groups[port.id]:
            raise Refusal(404, codes.NOT_THERE, "hostGroupNumber")
        return self.groups[port.id][number]

    def group_state(self) -> list[Object]:
        """Return the groups for the state dump, but for those of the factory."""
        return [
            {
                "id": group.id,
                "name": group.name,
                "port": group.port.id,
                "options": sorted(group.options),
                "authentication": group.authentication,
            }
            for group in self.every()
            if group.number
        ]

    def initiator_state(self) -> list[Object]:
        """Return the initiators for the state dump, each with its ports, without secrets."""
        found: dict[tuple[str, str], Object] = {}
        for group in self.every():
            users = [name for (way, name), secret in group.chap.items() if way == "INI" and secret]
            demanded = users[0] if users and group.authentication == "CHAP" else None
            for address in group.initiators:
                kind = "iscsi" if group.port.iscsi else "fc"
                entry = {"id": address, "kind": kind, "host": group.name, "online": False, "chap_user": demanded, "ports": []}
                found.setdefault((address, group.name), entry)["ports"].append(group.port.id)
        return list(found.values())

    # Ports

    def _factory(self, port: Port) -> Group:
        name = f"{port.id[2:].replace('-', '')}-G00"
        return Group(port, 0, name, self._iqn(port, 0) if port.iscsi else "")

    def _iqn(self, port: Port, number: int) -> str:
        return f"iqn.1994-04.jp.co.hitachi:rsd.h8m.t.{self._serial}.{port.id[2:].replace('-', '').lower()}{number:03x}"

    def _asked_port(self, port_id: str) -> Port:
        port = self.ports.get(port_id)
        if port is None:
            raise Refusal(404, codes.NOT_THERE, "portId")
        return port

    def _ports(self, query: Mapping[str, str]) -> list[Object]:
        kind, attribute, wanted = query.get("portType"), query.get("portAttributes"), query.get("portId")
        if wanted is not None and (kind is not None or attribute is not None):
            raise Refusal(400, codes.BAD_COMBINATION, "portId")
        found = [self._port(port, alone=False) for port in self.ports.values() if wanted in {None, port.id}]
        return [
            port
            for port in found
            if kind in {None, port["portType"]} and (attribute is None or attribute in port["portAttributes"])
        ]

    @staticmethod
    def _port(port: Port, *, alone: bool) -> Object:
        found: Object = {
            "portId": port.id,
            "portType": "ISCSI" if port.iscsi else "FIBRE",
            "portAttributes": ["TAR", "MCU", "RCU", "ELUN"],
            "portSpeed": "10G" if port.iscsi else "AUT",
            "loopId": "00" if port.iscsi else "EF",
            "fabricMode": not port.iscsi,
            "lunSecuritySetting": True,
        }
        if not port.iscsi:
            return found | {"portConnection": "PtoP", "wwn": port.address}
        if alone:
            found |= {
                "tcpOption": {"ipv6Mode": False, "selectiveAckMode": True, "delayedAckMode": True, "isnsService": False},
                "tcpMtu": 1500,
                "iscsiWindowSize": "64KB",
                "keepAliveTimer": 60,
                "tcpPort": str(ISCSI_TCP_PORT),
                "ipv4Address": port.address,
                "ipv4Subnetmask": "255.0.0.0",
                "ipv4GatewayAddress": "0.0.0.0",  # noqa: S104 - how the array spells that there is none
            }
        return found

    # Groups

    def _asked(self, group_id: str) -> Group:
        port_id, _, number = group_id.partition(",")
        return self.asked_group({"portId": port_id, "hostGroupNumber": number})

    def _found(self, group_id: str) -> Group:
        port_id, _, number = group_id.partition(",")
        return self.group(port_id, wire.number({"number": number}, "number"))

    def _group(self, group: Group, *, detailed: bool) -> Object:
        found: Object = {
            "hostGroupId": group.id,
            "portId": group.port.id,
            "hostGroupNumber": group.number,
            "hostGroupName": group.name,
            "hostMode": group.mode,
        }
        if detailed:
            found["hostModeOptions"] = group.options
            if group.port.iscsi:
                found |= {
                    "iscsiName": group.iqn,
                    "authenticationMode": group.authentication,
                    "iscsiTargetDirection": group.direction,
                }
        return found

    def _list(self, query: Mapping[str, str]) -> list[Object]:
        if "portId" not in query:
            return [self._group(group, detailed=False) for group in self.every()]
        port = self._asked_port(query["portId"])
        return [self._group(group, detailed=True) for group in self.groups[port.id].values()]

    def _create(self, given: Object) -> Outcome:
        wire.only(given, "portId", "hostGroupName", "hostGroupNumber", "hostMode", "hostModeOptions", "iscsiName")
        port = self._asked_port(wire.text(given, "portId"))
        name = wire.text(given, "hostGroupName")
        if not 1 <= len(name) <= (32 if port.iscsi else 64) or _GROUP_NAME.fullmatch(name) is None:
            raise Refusal(400, codes.BAD_COMBINATION, "hostGroupName")
        if "iscsiName" in given and not port.iscsi:
            raise Refusal(400, codes.UNKNOWN_ATTRIBUTE, "iscsiName")
        groups = self.groups[port.id]
        if any(group.name == name for group in groups.values()):
            raise Failure(codes.GROUP_DEFINED)
        number = self._free_number(given, groups)
        iqn = _iscsi_name(given, "iscsiName", self._iqn(port, number)) if port.iscsi else ""
        if iqn and any(group.iqn == iqn for group in groups.values()):
            raise Failure(codes.GROUP_DEFINED)
        group = Group(port, number, name, iqn)
        self._set_mode(group, given)
        groups[number] = group
        return Outcome([f"host-groups/{group.id}"])

    @staticmethod
    def _free_number(given: Object, groups: Mapping[int, Group]) -> int:
        wanted = wire.optional_number(given, "hostGroupNumber")
        if wanted is None:
            free = next((number for number in _NUMBERS if number not in groups), None)
            if free is None:
                raise Failure(codes.GROUP_FULL)
            return free
        if not 0 <= wanted < _NUMBERS.stop:
            raise Refusal(400, codes.OUT_OF_RANGE, "hostGroupNumber")
        if wanted in groups:
            raise Failure(codes.GROUP_DEFINED)
        return wanted

    @staticmethod
    def _set_mode(group: Group, given: Object) -> None:
        mode = wire.choice(given, "hostMode", _MODES, group.mode)
        options = given.get("hostModeOptions", group.options)
        if not isinstance(options, list) or not all(isinstance(option, int) and option >= -1 for option in options):
            raise Refusal(400, codes.BAD_COMBINATION, "hostModeOptions")
        group.mode, group.options = mode, [] if options == [-1] else list(options)

    def _change(self, group_id: str, given: Object) -> Outcome:
        wire.only(given, "hostMode", "hostModeOptions", "authenticationMode", "iscsiTargetDirection", "iscsiName")
        wire.text(given, "hostMode")
        group = self._found(group_id)
        authentication = wire.choice(given, "authenticationMode", ("CHAP", "NONE", "BOTH"), group.authentication)
        direction = wire.choice(given, "iscsiTargetDirection", ("S", "D"), group.direction)
        self._set_mode(group, given)
        group.authentication, group.direction = authentication, direction
        self._changed()
        return Outcome([f"host-groups/{group.id}"])

    def _delete(self, group_id: str, given: Object) -> Outcome:
        wire.only(given)
        group = self._found(group_id)
        if group.luns or group.number == 0:
            raise Failure(codes.GROUP_IN_USE)
        del self.groups[group.port.id][group.number]
        self._changed()
        return Outcome([f"host-groups/{group.id}"])

    # Initiators

    def _initiators(self, query: Mapping[str, str], *, iscsi: bool) -> list[Object]:
        port = self._asked_port(wire.text(query, "portId"))
        numbers = query.get("hostGroupNumberList")
        wanted = {int(text) for text in numbers.split(",") if text.isdecimal()} if numbers is not None else None
        if number := query.get("hostGroupNumber"):
            wanted = {wire.number({"number": number}, "number")}
        name = query.get("hostGroupName")
        if (wanted is None) == (name is None):
            raise Refusal(400, codes.MISSING, "hostGroupNumber")
        if port.iscsi != iscsi:
            return []
        groups = [group for group in self.groups[port.id].values() if name == group.name or group.number in (wanted or ())]
        return [self._initiator(group, address) for group in groups for address in group.initiators]

    @staticmethod
    def _initiator(group: Group, address: str) -> Object:
        kind = "Iscsi" if group.port.iscsi else "Wwn"
        return {
            f"host{kind}Id": f"{group.id},{address}",
            "portId": group.port.id,
            "hostGroupNumber": group.number,
            "hostGroupName": group.name,
            "iscsiName" if group.port.iscsi else "hostWwn": address,
            f"{kind.lower()}Nickname": group.nicknames.get(address, "-"),
        }

    def _register(self, given: Object, *, iscsi: bool) -> Outcome:
        key = "iscsiName" if iscsi else "hostWwn"
        wire.only(given, key, "portId", "hostGroupNumber")
        address = _iscsi_name(given, key) if iscsi else _wwn(given, key)
        port = self._asked_port(wire.text(given, "portId"))
        group = self.group(port.id, wire.number(given, "hostGroupNumber"))
        if port.iscsi != iscsi:
            raise Refusal(400, codes.BAD_COMBINATION, "portId")
        if any(address in other.initiators for other in self.groups[port.id].values()):
            raise Failure(codes.INITIATOR_REGISTERED)
        group.initiators.append(address)
        self._changed()
        return Outcome([f"host-{'iscsis' if iscsi else 'wwns'}/{group.id},{address}"])

    def _member(self, initiator_id: str) -> tuple[Group, str]:
        port_id, number, address = (*initiator_id.split(",", 2), "", "")[:3]
        group = self._found(f"{port_id},{number}")
        if address not in group.initiators:
            raise not_there("EX_ENOOBJ")
        return group, address

    def _nickname(self, initiator_id: str, given: Object, *, iscsi: bool) -> Outcome:
        key = "iscsiNickname" if iscsi else "wwnNickname"
        wire.only(given, key)
        group, address = self._member(initiator_id)
        group.nicknames[address] = wire.text(given, key)
        return Outcome([f"host-{'iscsis' if iscsi else 'wwns'}/{initiator_id}"])

    def _unregister(self, initiator_id: str, given: Object) -> Outcome:
        wire.only(given)
        group, address = self._member(initiator_id)
        group.initiators.remove(address)
        self._changed()
        return Outcome([f"host-{'iscsis' if group.port.iscsi else 'wwns'}/{initiator_id}"])

    # CHAP

    def _chap_users(self, query: Mapping[str, str]) -> list[Object]:
        group = self.asked_group(query)
        return [
            {
                "chapUserId": f"{group.id},{way},{name}",
                "portId": group.port.id,
                "hostGroupNumber": group.number,
                "hostGroupName": group.name,
                "wayOfChapUser": way,
                "chapUserName": name,
            }
            for way, name in group.chap
        ]

    def _add_chap_user(self, given: Object) -> Outcome:
        wire.only(given, "chapUserName", "portId", "hostGroupNumber", "wayOfChapUser")
        name, way = wire.text(given, "chapUserName"), wire.choice(given, "wayOfChapUser", ("INI", "TAR"))
        group = self.group(self._asked_port(wire.text(given, "portId")).id, wire.number(given, "hostGroupNumber"))
        if not group.port.iscsi or not 1 <= len(name) <= _ISCSI_NAME_LENGTH.stop:
            raise Refusal(400, codes.BAD_COMBINATION, "chapUserName")
        if (way, name) in group.chap:
            raise Failure(codes.CHAP_USER_DEFINED)
        group.chap[way, name] = ""
        return Outcome([f"chap-users/{group.id},{way},{name}"])

    def _chap_user(self, user_id: str) -> tuple[Group, tuple[str, str]]:
        port_id, number, way, name = (*user_id.split(",", 3), "", "", "")[:4]
        group = self._found(f"{port_id},{number}")
        if (way, name) not in group.chap:
            raise not_there("EX_ENOOBJ")
        return group, (way, name)

    def _set_secret(self, user_id: str, given: Object) -> Outcome:
        wire.only(given, "chapPassword")
        secret = wire.text(given, "chapPassword")
        if len(secret) not in _SECRET_LENGTH:
            raise Refusal(400, codes.BAD_COMBINATION, "chapPassword")
        group, key = self._chap_user(user_id)
        group.chap[key] = secret
        self._changed()
        return Outcome([f"chap-users/{user_id}"])

    def _remove_chap_user(self, user_id: str, given: Object) -> Outcome:
        wire.only(given)
        group, key = self._chap_user(user_id)
        del group.chap[key]
        self._changed()
        return Outcome([f"chap-users/{user_id}"])


def _wwn(given: Mapping[str, Any], key: str) -> str:
    address = wire.text(given, key).replace(":", "").lower()
    if _WWN.fullmatch(address) is None:
        raise Refusal(400, codes.BAD_COMBINATION, key)
    return address


def _iscsi_name(given: Mapping[str, Any], key: str, default: str | None = None) -> str:
    name = wire.text(given, key, default)
    if len(name) not in _ISCSI_NAME_LENGTH or _ISCSI_NAME.fullmatch(name) is None:
        raise Refusal(400, codes.BAD_COMBINATION, key)
    return name
