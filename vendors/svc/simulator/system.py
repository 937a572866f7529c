"""The system itself: facts, licences, nodes and target ports. Source: IBM sheet, sections 3.1 and 3.2; Inspur sheet, 3.1."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from conformance.simulation.dataplane import Identity
from conformance.simulation.engine import Initiator
from vendors.svc.simulator.shell import Bytes, Command, Detail, Given, Pairs, Table, Value, action, listing
from vendors.svc.simulator.state import IO_GROUP, IO_GROUP_NAME, State

_ISCSI_PORT = 3260
_FC_PORTS = 4
_NODES = ("1", "2")
_PORTSET, _FC_PORTSET = ("0", "portset0"), ("64", "portset64")
_IO_GROUPS = ("io_grp0", "io_grp1", "io_grp2", "io_grp3", "recovery_io_grp")


class System:
    """The array as a whole and the ports that hosts reach it at."""

    def __init__(self, state: State, serial: int) -> None:
        self._state = state
        self._profile = state.profile
        self._serial = serial
        self._identifier = f"0000020{serial % 16**9:09X}"
        self._portals = state.options.portals
        own = tuple(f"500507680b2{number + 1}{serial % 16**4:04x}" for number in range(_FC_PORTS))
        self._fc_ports = state.options.fc_ports or own
        targets = {ip: self.iqn(_node(number)) for number, ip in enumerate(self._portals)}
        words = self._profile.words
        state.array.data_plane.identify(Identity(words.vendor, "2145" if words.vendor == "IBM" else "MCS", targets))

    @property
    def name(self) -> str:
        """What the system is called."""
        return f"simulated-{self._serial % 16**4:04x}"

    def commands(self) -> dict[str, Command]:
        """Return the verbs."""
        found = {
            "lssystem": listing(self._system, most=0),
            "lslicense": listing(self._licence, most=0),
            "lsguicapabilities": listing(self._capabilities, most=0),
            "lsiogrp": listing(self._io_groups),
            "lsnode": listing(self._nodes),
            "lsnodecanister": listing(self._nodes),
            "lsenclosure": listing(self._enclosures),
            "lsportfc": listing(self._physical_ports),
            "lsfabric": listing(self._fabric, "host", "wwpn", most=0),
            "lspartnership": listing(lambda _: Table([])),
            "lspartnershipcandidate": listing(lambda _: Table([])),
            "lsrcrelationship": listing(lambda _: Table([])),
            self._profile.ip_table: listing(self._ips if self._profile.ip_table == "lsip" else self._port_ips),
        }
        if self._profile.npiv:
            found["lstargetportfc"] = listing(self._target_ports)
        if self._profile.fc_portsets:
            found["lsfcportsetmember"] = listing(self._portset_members)
            found["lscloudcallhome"] = listing(lambda _: Detail([[("status", "disabled"), ("connection", "")]]), most=0)
            found["registerplugin"] = action(lambda _: None, "name version uniquekey metadata", most=0)
        return found

    def iqn(self, node: str) -> str:
        """Return a node's iSCSI name."""
        return self._profile.words.iqn.format(system=self.name, node=node)

    def portals(self) -> list[dict[str, str]]:
        """Return portal addresses and IQNs."""
        return [{"portal": f"{ip}:{_ISCSI_PORT}", "iqn": self.iqn(_node(number))} for number, ip in enumerate(self._portals)]

    def target_wwpns(self) -> list[str]:
        """Return the WWPNs that hosts reach."""
        return list(self._fc_ports)

    # Facts

    def _system(self, _: Given) -> Detail:
        pools = self._state.array.pools.values()
        total = sum(pool.total for pool in pools)
        free = sum(self._state.array.free(pool.id) for pool in pools)
        pairs: list[tuple[str, Value]] = [
            ("id", self._identifier),
            ("name", self.name),
            ("location", "local"),
            ("total_mdisk_capacity", Bytes(total)),
            ("space_in_mdisk_grps", Bytes(total)),
            ("total_free_space", Bytes(free)),
            ("total_vdisk_capacity", Bytes(sum(volume.size for volume in self._state.array.volumes.values()))),
            ("code_level", self._profile.code_level),
            ("topology", "standard" if self._profile.ip_table == "lsip" else ""),
        ]
        if self._profile.title:
            pairs += [("product_name", self._profile.title), ("tier", "tier0_flash"), ("tier_capacity", Bytes(total))]
        return Detail([pairs])

    def _licence(self, _: Given) -> Detail:
        enclosures = int(self._state.licences["compression"])
        return Detail(
            [
                [
                    ("used_compression_capacity", "0.00"),
                    ("license_compression_capacity", 0),
                    ("license_compression_enclosures", enclosures),
                ]
            ]
        )

    def _capabilities(self, _: Given) -> Detail:
        key = self._profile.product_key
        pairs: list[tuple[str, Value]] = [("license_scheme", key), ("product_key", key)]
        if self._profile.words.vendor != "IBM":
            compression = "yes" if self._state.licences["compression"] else "no"
            pairs += [("compression", compression), ("deduplication", "yes" if self._profile.reduces else "no")]
        if self._profile.words.vendor != "IBM" and self._profile.grows_in_map:
            pairs.append(("license_type_localcopy", 7))
        return Detail([pairs])

    def _io_groups(self, _: Given) -> Table:
        return Table(
            [
                [
                    ("id", str(number)),
                    ("name", name),
                    ("node_count", 0 if number else len(_NODES)),
                    ("vdisk_count", 0 if number else len(self._state.array.volumes)),
                    ("host_count", len(self._state.array.hosts) if number < len(_IO_GROUPS) - 1 else 0),
                ]
                for number, name in enumerate(_IO_GROUPS)
            ]
        )

    def _nodes(self, _: Given) -> Table:
        return Table([self._node(node) for node in _NODES])

    def _node(self, node: str) -> Pairs:
        pairs: list[tuple[str, Value]] = [
            ("id", node),
            ("name", f"node{node}"),
            ("UPS_serial_number", ""),
            ("WWNN", f"500507680B00{self._serial % 16**3:03X}{node}"),
            ("status", "online"),
            ("IO_group_id", IO_GROUP),
            ("IO_group_name", IO_GROUP_NAME),
            ("config_node", "yes" if node == _NODES[0] else "no"),
            ("UPS_unique_id", ""),
            ("hardware", "AF8" if self._profile.words.vendor == "IBM" else "MCS"),
            ("iscsi_name", self.iqn(node)),
            ("iscsi_alias", ""),
            ("panel_name", f"01-{node}"),
            ("enclosure_id", "1"),
            ("canister_id", node),
            ("enclosure_serial_number", self._enclosure_serial),
        ]
        return pairs + ([("site_id", ""), ("site_name", "")] if self._profile.level >= (6,) else [])

    @property
    def _enclosure_serial(self) -> str:
        return f"78F{self._serial % 10**4:04d}"

    def _enclosures(self, _: Given) -> Table:
        return Table(
            [
                [
                    ("id", "1"),
                    ("status", "online"),
                    ("type", "control"),
                    ("managed", "yes"),
                    ("IO_group_id", IO_GROUP),
                    ("IO_group_name", IO_GROUP_NAME),
                    ("product_MTM", f"{self._profile.product_key}-AF8"),
                    ("serial_number", self._enclosure_serial),
                ]
            ]
        )

    # iSCSI

    def _ips(self, _: Given) -> Table:
        return Table(
            [
                [
                    ("id", str(number)),
                    ("node_id", _node(number)),
                    ("node_name", f"node{_node(number)}"),
                    ("port_id", str(1 + number // len(_NODES))),
                    ("portset_id", _PORTSET[0]),
                    ("portset_name", _PORTSET[1]),
                    ("IP_address", ip),
                    ("prefix", 24),
                    ("vlan", ""),
                    ("gateway", ""),
                    ("owner_id", ""),
                    ("owner_name", ""),
                ]
                for number, ip in enumerate(self._portals)
            ]
        )

    def _port_ips(self, _: Given) -> Table:
        """Return a row for each address, and its partner's for the case that the node fails."""
        rows = []
        for number, ip in enumerate(self._portals):
            port = str(1 + number // len(_NODES))
            rows.append(self._port_ip(port, _node(number), ip, failover=False))
            rows.append(self._port_ip(port, _node(number + 1), "", failover=True))
        return Table(rows)

    def _port_ip(self, port: str, node: str, ip: str, *, failover: bool) -> Pairs:
        pairs: list[tuple[str, Value]] = [
            ("id", port),
            ("node_id", node),
            ("node_name", f"node{node}"),
            ("IP_address", ip),
            ("mask", "255.255.255.0" if ip else ""),
            ("gateway", ""),
            ("IP_address_6", ""),
            ("prefix_6", ""),
            ("gateway_6", ""),
            ("MAC", f"02:00:00:00:0{port}:0{node}"),
            ("duplex", "Full"),
            ("state", "configured" if ip else "unconfigured"),
            ("speed", "10Gb/s"),
            ("failover", "yes" if failover else "no"),
            ("link_state", "active"),
        ]
        if self._profile.port_host:
            pairs += [("host", "yes" if ip else ""), ("remote_copy", "0"), ("host_6", ""), ("remote_copy_6", "0")]
        return pairs

    # FC

    def _physical_ports(self, _: Given) -> Table:
        return Table(
            [
                [
                    ("id", str(number)),
                    ("fc_io_port_id", str(number + 1)),
                    ("port_id", str(1 + number // len(_NODES))),
                    ("type", "fc"),
                    ("port_speed", "16Gb"),
                    ("node_id", _node(number)),
                    ("node_name", f"node{_node(number)}"),
                    ("WWPN", (_physical(wwpn) if self._profile.npiv else wwpn).upper()),
                    ("nportid", f"0{number}0000"),
                    ("status", "active"),
                    ("attachment", "switch"),
                ]
                for number, wwpn in enumerate(self._fc_ports)
            ]
        )

    def _target_ports(self, _: Given) -> Table:
        """Return two rows a port: its own, which hosts may not use, and the virtual one that they reach."""
        both = itertools.chain.from_iterable(
            ((number, _physical(wwpn), "no"), (number, wwpn, "yes")) for number, wwpn in enumerate(self._fc_ports)
        )
        return Table(
            [
                [
                    ("id", str(place + 1)),
                    ("WWPN", wwpn.upper()),
                    ("WWNN", f"500507680B00{self._serial % 16**3:03X}{_node(number)}"),
                    ("port_id", str(1 + number // len(_NODES))),
                    ("owning_node_id", _node(number)),
                    ("current_node_id", _node(number)),
                    ("nportid", f"0{number}0000"),
                    ("host_io_permitted", virtual),
                    ("virtualized", virtual),
                    ("fc_io_port_id", str(number + 1)),
                ]
                for place, (number, wwpn, virtual) in enumerate(both)
            ]
        )

    def _portset_members(self, _: Given) -> Table:
        return Table(
            [
                [
                    ("id", str(number)),
                    ("fc_io_port_id", str(number + 1)),
                    ("portset_id", _FC_PORTSET[0]),
                    ("portset_name", _FC_PORTSET[1]),
                    ("owner_id", ""),
                    ("owner_name", ""),
                ]
                for number, _ in enumerate(self._fc_ports)
            ]
        )

    def _fabric(self, given: Given) -> Table:
        wanted = self._logged_in()
        if "host" in given:
            host = self._state.host(given.text("host"))
            wanted = [port for port in wanted if port.host_id == host.id]
        if "wwpn" in given:
            wanted = [port for port in wanted if port.address == given.text("wwpn").lower()]
        names = {host.id: host.name for host in self._state.array.hosts.values()}
        return Table(
            [
                [
                    ("remote_wwpn", port.address.upper()),
                    ("remote_nportid", f"01{place:02x}00"),
                    ("id", _node(number)),
                    ("node_name", f"node{_node(number)}"),
                    ("local_wwpn", wwpn.upper()),
                    ("local_port", str(1 + number // len(_NODES))),
                    ("local_nportid", f"0{number}0000"),
                    ("state", "active" if port.host_id else "inactive"),
                    ("name", names.get(port.host_id or "", "")),
                    ("cluster_name", ""),
                    ("type", "host" if port.host_id else "unknown"),
                ]
                for place, port in enumerate(wanted)
                for number, wwpn in enumerate(self._fc_ports)
            ]
        )

    def _logged_in(self) -> Sequence[Initiator]:
        return [port for port in self._state.array.initiators.values() if port.kind == "fc" and port.online]


def _node(number: int) -> str:
    """Return the node that a port is at: they take turns."""
    return _NODES[number % len(_NODES)]


def _physical(wwpn: str) -> str:
    """Return the WWPN of the port behind a virtual one."""
    return f"{wwpn[:-5]}{(int(wwpn[-5], 16) + 8) % 16:x}{wwpn[-4:]}"
