"""Hosts, initiators and target ports. Source: protocol sheet, section 3.6 and trap 24."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from conformance.simulation.dataplane import Identity
from conformance.simulation.engine import Array, Host, Initiator, lowest_free
from vendors.huawei.simulator import codes, wire
from vendors.huawei.simulator.profiles import Profile
from vendors.huawei.simulator.wire import Attributes, Refusal

if TYPE_CHECKING:
    from vendors.huawei.simulator.array import Options

_PREFIX = "iqn.2006-08.com.huawei:oceanstor:2100{serial}:"
_ISCSI_PORT = 3260
_FC_PORTS = 4
_MULTIPATH = {"MULTIPATHTYPE": range(2), "FAILOVERMODE": range(4), "SPECIALMODETYPE": range(4), "PATHTYPE": range(2)}
_CHAP_SECRET = range(12, 17)
_SYSTEMS = range(12)
_HOST = "21"


class Hosts:
    """Hosts and initiators of an array, and the ports that they reach."""

    def __init__(self, array: Array, profile: Profile, options: Options) -> None:
        self._array = array
        self._profile = profile
        self._portals = options.portals
        self._post_binds = options.initiator_post_binds
        self._serial = array.next_wwn()[-16:-4]
        own = tuple(f"20{number:02x}{self._serial}" for number in range(_FC_PORTS))
        self._fc_ports = own if options.fc_ports is None else options.fc_ports
        self.groups_of: dict[str, set[str]] = {}
        """Host id -> ids of its host groups; kept by the mappings."""
        self.set_fabric(options.fabric)
        targets = {ip: self._iqn(number, ip) for number, ip in enumerate(self._portals)}
        array.data_plane.identify(Identity("HUAWEI", "XSG1", targets))

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        routes: dict[tuple[str, str], Any] = {
            ("GET", "host"): lambda given, _: self._listed([self.host(item) for item in self._array.hosts.values()], given),
            ("GET", "host/{id}"): lambda _, host_id: self.host(self.find(host_id)),
            ("POST", "host"): self._create_host,
            ("PUT", "host/{id}"): self._change_host,
            ("DELETE", "host/{id}"): self._delete_host,
            ("GET", "host_link"): self._links,
            ("GET", "iscsi_tgt_port"): lambda _, __: self._target_ports(),
            ("GET", "eth_port"): lambda _, __: self.eth_ports(),
            ("GET", "lif"): lambda _, __: self._lifs(),
            ("GET", "fc_port"): lambda _, __: self.fc_ports(),
            ("GET", "iscsidevicename"): lambda _, __: [{"CMO_ISCSI_DEVICE_NAME": self._prefix}],
            ("PUT", "iscsi_initiator"): lambda given, _: self._change_iscsi(given, wire.text(given, "ID")),
            ("PUT", "iscsi_initiator/{id}"): self._change_iscsi,
        }
        for kind, resource in (("iscsi", "iscsi_initiator"), ("fc", "fc_initiator")):
            routes |= self._initiator_routes(kind, resource)
        return routes

    def find(self, host_id: str) -> Host:
        """Return a host, or refuse an unknown id."""
        try:
            return self._array.hosts[host_id]
        except KeyError:
            raise Refusal(codes.NO_HOST) from None

    def host(self, host: Host) -> Attributes:
        """Render a host."""
        bound = [item for item in self._array.initiators.values() if item.host_id == host.id]
        rendered: Attributes = {
            "ID": host.id,
            "NAME": host.name,
            "TYPE": 21,
            "OPERATIONSYSTEM": "0",
            "IP": "",
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": "1",
            "INITIATORNUM": str(len(bound)),
            "ISADD2HOSTGROUP": wire.flag(bool(self.groups_of.get(host.id))),
            "PARENTID": "",
            "PARENTNAME": "",
            "DESCRIPTION": host.description,
        }
        return rendered | ({"accessMode": "0"} if self._profile.v6 else {}) | host.attributes

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Let exactly these FC initiators be logged in; a new one shows up free."""
        for address in wwpns:
            self._array.initiators.setdefault(address, Initiator(address, "fc"))
        for initiator in self._array.initiators.values():
            if initiator.kind == "fc":
                initiator.online = initiator.address in wwpns

    def portals(self) -> list[Attributes]:
        """Return portal addresses and IQNs."""
        return [{"portal": f"{ip}:{_ISCSI_PORT}", "iqn": self._iqn(number, ip)} for number, ip in enumerate(self._portals)]

    def target_wwpns(self) -> list[str]:
        """Return the WWPNs of the FC ports."""
        return [str(port["WWN"]) for port in self.fc_ports()]

    def fc_ports(self) -> list[Attributes]:
        """Render the FC ports, half on each controller."""
        return [
            {
                "ID": str(1000 + number),
                "NAME": f"P{number}",
                "TYPE": 212,
                "WWN": wwpn,
                "HEALTHSTATUS": "1",
                "RUNNINGSTATUS": "10",
                "PARENTID": f"0{'AB'[number % 2]}.1",
                "PARENTTYPE": 209,
                "LOCATION": f"CTE0.{'AB'[number % 2]}.IOM1.P{number}",
                "RUNSPEED": "16000",
                "FCRUNMODE": "0",
                "LOGICTYPE": "0",
            }
            for number, wwpn in enumerate(self._fc_ports)
        ]

    def eth_port(self, number: int) -> Attributes:
        """Render the Ethernet port behind a portal."""
        return {
            "ID": str(2000 + number),
            "NAME": f"P{number}",
            "TYPE": 213,
            "IPV4ADDR": self._portals[number],
            "IPV4MASK": "255.0.0.0",
            "LOCATION": f"CTE0.{'AB'[number % 2]}.IOM1.P{number}",
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": "10",
            "LOGICTYPE": "0",
            "SPEED": "10000",
            "MACADDRESS": f"02:00:00:00:00:{number:02x}",
        }

    def host_state(self) -> list[Attributes]:
        """Return the hosts for the state dump."""
        return [{"id": host.id, "name": host.name, "description": host.description} for host in self._array.hosts.values()]

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

    # Hosts

    def _listed(self, items: list[Attributes], given: Attributes) -> list[Attributes]:
        return wire.select(items, given, capped=self._profile.v6)

    def _name(self, given: Attributes, but: Host | None = None) -> str:
        name = wire.checked_name(given, 31, cjk=self._profile.cjk)
        if any(host.name == name and host is not but for host in self._array.hosts.values()):
            raise Refusal(codes.NAME_EXISTS)
        return name

    def _create_host(self, given: Attributes, _: str) -> Attributes:
        name = self._name(given)
        host = Host(lowest_free(self._array.hosts), name, wire.description(given), self._attributes(given))
        self._array.hosts[host.id] = host
        return self.host(host)

    def _change_host(self, given: Attributes, host_id: str) -> Attributes:
        host = self.find(host_id)
        attributes, description = self._attributes(given), wire.description(given, host.description)
        if "NAME" in given:
            host.name = self._name(given, host)
        host.description = description
        host.attributes |= attributes
        return self.host(host)

    def _attributes(self, given: Attributes) -> dict[str, str]:
        found = {"OPERATIONSYSTEM": str(wire.choice(given, "OPERATIONSYSTEM", _SYSTEMS))} if "OPERATIONSYSTEM" in given else {}
        if "accessMode" in given and self._profile.v6:
            found["accessMode"] = str(wire.choice(given, "accessMode", (0, 1)))
        return found

    def _delete_host(self, _: Attributes, host_id: str) -> None:
        host = self.find(host_id)
        bound = any(item.host_id == host.id for item in self._array.initiators.values())
        if bound or self.groups_of.get(host.id) or self._array.visible.get(host.id):
            raise Refusal(codes.OBJECT_IN_USE)
        del self._array.hosts[host.id]

    # Initiators

    def _initiator_routes(self, kind: str, resource: str) -> dict[tuple[str, str], Any]:
        suffix = "fc" if kind == "fc" else "iscsi"

        def every() -> list[Attributes]:
            return [self._rendered(item) for item in self._array.initiators.values() if item.kind == kind]

        routes: dict[tuple[str, str], Any] = {
            ("GET", resource): lambda given, _: self._listed(every(), given),
            ("GET", f"{resource}/count"): lambda given, _: {"COUNT": str(len(wire.select(every(), given, capped=False)))},
            ("GET", f"{resource}/{{id}}"): lambda _, address: self._rendered(self._initiator(kind, address)),
            ("POST", resource): lambda given, _: self._add(kind, given),
            ("PUT", f"{resource}/remove_{suffix}_from_host"): lambda given, _: self._unbind(kind, given),
            ("DELETE", f"{resource}/{{id}}"): lambda _, address: self._remove(kind, address),
        }
        if kind == "fc":
            routes["PUT", f"{resource}/{{id}}"] = self._change_fc
        return routes

    def _initiator(self, kind: str, address: str) -> Initiator:
        initiator = self._array.initiators.get(address)
        if initiator is None or initiator.kind != kind:
            raise Refusal(codes.NO_OBJECT)
        return initiator

    def _rendered(self, item: Initiator) -> Attributes:
        rendered: Attributes = {
            "ID": item.address,
            "NAME": "",
            "TYPE": 223 if item.kind == "fc" else 222,
            "ISFREE": wire.flag(item.host_id is None),
            "RUNNINGSTATUS": "27" if item.online else "28",
            "HEALTHSTATUS": "1",
            "MULTIPATHTYPE": "0",
            **item.attributes,
        }
        if item.kind == "iscsi":
            rendered |= {"USECHAP": wire.flag(item.chap is not None), "CHAPNAME": item.chap[0] if item.chap else ""}
        if item.host_id is not None:
            host = self._array.hosts[item.host_id]
            rendered |= {"PARENTTYPE": 21, "PARENTID": host.id, "PARENTNAME": host.name}
        return rendered

    def _add(self, kind: str, given: Attributes) -> Attributes:
        address = wire.text(given, "ID")
        if address in self._array.initiators:
            raise Refusal(codes.ID_EXISTS)
        valid = address.startswith(("iqn.", "eui.", "naa.")) if kind == "iscsi" else _is_wwpn(address)
        if not valid or len(address) > 223:  # noqa: PLR2004 - the longest iSCSI name
            raise Refusal(codes.BAD_PARAMETER)
        initiator = Initiator(address, kind)
        if kind == "iscsi":
            initiator.chap = _chap(given)
        if self._post_binds and kind == "iscsi" and "PARENTID" in given:
            self._bind(initiator, given)
        self._array.initiators[address] = initiator
        self._array.serve()
        return self._rendered(initiator)

    def _bind(self, initiator: Initiator, given: Attributes) -> None:
        host = self.find(wire.text(given, "PARENTID"))
        if wire.text(given, "PARENTTYPE", _HOST) != _HOST:
            raise Refusal(codes.BAD_PARAMETER)
        if initiator.host_id not in {None, host.id}:
            raise Refusal(codes.INITIATOR_BOUND)
        initiator.host_id = host.id

    def _change_iscsi(self, given: Attributes, address: str) -> Attributes:
        initiator = self._initiator("iscsi", address)
        chap = _chap(given) if "USECHAP" in given else initiator.chap
        if "PARENTID" in given:
            self._bind(initiator, given)
        initiator.chap = chap
        return self._multipath(initiator, given)

    def _change_fc(self, given: Attributes, address: str) -> Attributes:
        initiator = self._array.initiators.get(address)
        if initiator is None or initiator.kind != "fc":
            raise Refusal(codes.BAD_PARAMETER)
        if "PARENTID" in given:
            self._bind(initiator, given)
        return self._multipath(initiator, given)

    def _multipath(self, initiator: Initiator, given: Attributes) -> Attributes:
        for key, allowed in _MULTIPATH.items():
            if key in given:
                initiator.attributes[key] = str(wire.choice(given, key, allowed))
        self._array.serve()
        return self._rendered(initiator)

    def _unbind(self, kind: str, given: Attributes) -> Attributes:
        initiator = self._initiator(kind, wire.text(given, "ID"))
        if initiator.host_id is None:
            raise Refusal(codes.INITIATOR_NOT_BOUND)
        initiator.host_id = None
        self._array.serve()
        return {}

    def _remove(self, kind: str, address: str) -> None:
        initiator = self._initiator(kind, address)
        if initiator.host_id is not None:
            raise Refusal(codes.OBJECT_IN_USE)
        # An FC port that is logged in shows up again by itself (sheet, section 3.6).
        if not initiator.online:
            del self._array.initiators[initiator.address]

    # Ports

    @property
    def _prefix(self) -> str:
        return _PREFIX.format(serial=self._serial)

    def _iqn(self, number: int, ip: str) -> str:
        return f"{self._prefix}:{number % 2}020{number:02d}:{ip}"

    def _target_ports(self) -> list[Attributes]:
        return [
            {
                "ID": f"0+{self._iqn(number, ip)},t,0x{number + 1:04x}",
                "TYPE": 249,
                "ETHPORTID": str(2000 + number),
                "TPGT": str(number + 1),
            }
            for number, ip in enumerate(self._portals)
        ]

    def eth_ports(self) -> list[Attributes]:
        """Render the Ethernet ports."""
        return [self.eth_port(number) for number in range(len(self._portals))]

    def _lifs(self) -> list[Attributes]:
        if not self._profile.v6:
            raise Refusal(codes.NOT_SUPPORTED)
        return [
            {"ID": str(number), "TYPE": 279, "IPV4ADDR": ip, "RUNNINGSTATUS": "10", "HOMEPORTID": str(2000 + number)}
            for number, ip in enumerate(self._portals)
        ]

    def _links(self, given: Attributes, _: str) -> list[Attributes]:
        """Every initiator that is logged in has a link to every FC port."""
        if wire.text(given, "INITIATOR_TYPE", "223") != "223":
            return []
        wwpn, host_id = given.get("INITIATOR_PORT_WWN"), given.get("PARENTID")
        seen = [
            item
            for item in self._array.initiators.values()
            if item.kind == "fc"
            and item.online
            and wwpn in {None, item.address}
            and (host_id is None or item.host_id == str(host_id))
        ]
        return [
            {
                "ID": f"{item.address}-{port['WWN']}",
                "TYPE": 255,
                "INITIATOR_TYPE": "223",
                "INITIATOR_PORT_WWN": item.address,
                "TARGET_PORT_WWN": port["WWN"],
                "RUNNINGSTATUS": "27",
                "HEALTHSTATUS": "1",
                "PARENTID": item.host_id or "",
            }
            for item in seen
            for port in self.fc_ports()
        ]


def _is_wwpn(address: str) -> bool:
    return len(address) == 16 and all(char in "0123456789abcdef" for char in address)  # noqa: PLR2004 - digits of a WWPN


def _chap(given: Attributes) -> tuple[str, str] | None:
    if wire.text(given, "USECHAP", "false") != "true":
        return None
    user, secret = wire.text(given, "CHAPNAME", ""), wire.text(given, "CHAPPASSWORD", "")
    if not user or len(secret) not in _CHAP_SECRET:
        raise Refusal(codes.BAD_PARAMETER)
    return user, secret
