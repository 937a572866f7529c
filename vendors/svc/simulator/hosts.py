"""Hosts, their ports, CHAP secrets and mappings. Source: IBM sheet, section 3.7; Inspur sheet, 3.5."""

from __future__ import annotations

import re
from collections.abc import Sequence

from conformance.simulation.engine import Host, Initiator, Volume, lowest_free
from vendors.svc.simulator import codes
from vendors.svc.simulator.codes import Refusal
from vendors.svc.simulator.engine import LUNS
from vendors.svc.simulator.shell import Command, Created, Detail, Given, Pairs, Table, Value, action, checked_name, listing
from vendors.svc.simulator.state import IO_GROUP, IO_GROUP_NAME, State

_WWPN = re.compile(r"[0-9A-Fa-f]{16}")
_IQN = re.compile(r"(iqn\.|eui\.|naa\.)[!-~]{1,219}")
_CHAP_SECRET = range(1, 80)
_PORT_VALUES = "iscsiname hbawwpn fcwwpn"
_IO_GROUPS = 4


class Hosts:
    """The hosts of an array and what they see."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._array = state.array
        self._ibm = state.profile.words.vendor == "IBM"
        self.set_fabric(state.options.fabric)

    def commands(self) -> dict[str, Command]:
        """Return the verbs."""
        make = f"name type iogrp site {_PORT_VALUES}" + (" portset protocol" if self._ibm else " protocol nqn nvmetransport")
        return {
            "lshost": listing(self._hosts),
            "mkhost": action(self._create, make, "force", most=0),
            "addhostport": action(self._add_ports, _PORT_VALUES, "force"),
            "rmhostport": action(self._remove_ports, _PORT_VALUES, "force"),
            "chhost": action(self._change, "name type site chapsecret", "nochapsecret"),
            "rmhost": action(self._remove, "", "force"),
            "lsiscsiauth": listing(self._secrets),
            "mkvdiskhostmap": action(self._map, "host scsi", "force"),
            "rmvdiskhostmap": action(self._unmap, "host"),
            "lsvdiskhostmap": listing(self._maps_of_volume),
            "lshostvdiskmap": listing(self._maps_of_host),
        }

    def set_fabric(self, wwpns: Sequence[str]) -> None:
        """Let exactly these FC initiators be logged in."""
        for address in wwpns:
            self._array.initiators.setdefault(address, Initiator(address, "fc"))
        for initiator in self._array.initiators.values():
            if initiator.kind == "fc":
                initiator.online = initiator.address in wwpns

    # Hosts

    def ports(self, host: Host) -> list[Initiator]:
        """Return a host's ports."""
        return [port for port in self._array.initiators.values() if port.host_id == host.id]

    def _hosts(self, given: Given) -> Table | Detail:
        if given.objects:
            host = self._state.host(given.object)
            return Detail([self._section(host)], ("nodes", 3))
        return Table([self._row(host) for host in self._array.hosts.values()])

    def _row(self, host: Host) -> Pairs:
        ports = self.ports(host)
        pairs: list[tuple[str, Value]] = [
            ("id", host.id),
            ("name", host.name),
            ("port_count", len(ports)),
            ("iogrp_count", _IO_GROUPS),
            ("status", self._status(ports)),
        ]
        if self._ibm:
            pairs += [
                ("site_id", ""),
                ("site_name", ""),
                ("host_cluster_id", ""),
                ("host_cluster_name", ""),
                ("protocol", "scsi"),
            ]
        return pairs

    def _section(self, host: Host) -> Pairs:
        ports = self.ports(host)
        pairs: list[tuple[str, Value]] = [
            ("id", host.id),
            ("name", host.name),
            ("port_count", len(ports)),
            ("type", "generic"),
            ("mask", "1" * 64),
            ("iogrp_count", _IO_GROUPS),
            ("status", self._status(ports)),
        ]
        if self._ibm:
            pairs += [
                ("site_id", ""),
                ("site_name", ""),
                ("host_cluster_id", ""),
                ("host_cluster_name", ""),
                ("protocol", "scsi"),
            ]
        for port in ports:
            name, shown = ("WWPN", port.address.upper()) if port.kind == "fc" else ("iscsi_name", port.address)
            pairs += [(name, shown), ("node_logged_in_count", 2 if port.online else 0), ("state", self._port_state(port))]
        return pairs

    @staticmethod
    def _status(ports: Sequence[Initiator]) -> str:
        online = [port.online for port in ports]
        return "online" if online and all(online) else "degraded" if any(online) else "offline"

    def _port_state(self, port: Initiator) -> str:
        if not port.online:
            return "offline"
        return "active" if self._array.visible.get(port.host_id or "") else "inactive"

    def _create(self, given: Given) -> Created:
        ports = self._wanted(given)
        if not ports:
            raise Refusal(codes.PARAMETER_MISSING)
        identifier = lowest_free(self._array.hosts)
        name = checked_name(given.text("name", f"host{identifier}"))
        if any(host.name == name for host in self._array.hosts.values()):
            raise Refusal(codes.EXISTS)
        self._check_free(ports, given)
        self._array.hosts[identifier] = Host(identifier, name)
        self._bind(ports, identifier)
        return Created(identifier, f"Host, id [{identifier}], successfully created")

    def _wanted(self, given: Given) -> list[tuple[str, str]]:
        """Return kind and address of the ports that a command names: IQNs with commas, WWPNs with colons in between."""
        found: list[tuple[str, str]] = []
        if "iscsiname" in given:
            found += [("iscsi", name) for name in given.text("iscsiname").split(",")]
        for flag in ("hbawwpn", "fcwwpn"):
            if flag in given:
                found += [("fc", wwpn.lower()) for wwpn in given.text(flag).split(":")]
        for kind, address in found:
            if not (_WWPN if kind == "fc" else _IQN).fullmatch(address):
                raise Refusal(codes.WWPN_INVALID if kind == "fc" else self._state.profile.words.iqn_taken)
        return found

    def _check_free(self, ports: Sequence[tuple[str, str]], given: Given) -> None:
        for kind, address in ports:
            known = self._array.initiators.get(address)
            if known is not None and known.host_id is not None:
                raise Refusal(codes.EXISTS if kind == "fc" else self._state.profile.words.iqn_taken)
            if kind == "fc" and "force" not in given and (known is None or not known.online):
                raise Refusal(codes.WWPN_INVALID)

    def _bind(self, ports: Sequence[tuple[str, str]], host_id: str) -> None:
        secret = self._array.hosts[host_id].attributes.get("chap")
        for kind, address in ports:
            initiator = self._array.initiators.setdefault(address, Initiator(address, kind))
            initiator.host_id = host_id
            initiator.chap = (address, secret) if secret and kind == "iscsi" else None
        self._array.serve()

    def _add_ports(self, given: Given) -> None:
        host = self._state.host(given.object, codes.GONE)
        ports = self._wanted(given)
        if not ports:
            raise Refusal(codes.PARAMETER_MISSING)
        self._check_free(ports, given)
        self._bind(ports, host.id)

    def _remove_ports(self, given: Given) -> None:
        host = self._state.host(given.object, codes.GONE)
        own = {port.address for port in self.ports(host)}
        wanted = [address for _, address in self._wanted(given)]
        if not set(wanted) <= own:
            raise Refusal(codes.GONE)
        for address in wanted:
            self._free(self._array.initiators[address])
        self._array.serve()

    def _free(self, port: Initiator) -> None:
        port.host_id, port.chap = None, None
        if port.kind == "iscsi" or not port.online:
            del self._array.initiators[port.address]

    def _change(self, given: Given) -> None:
        host = self._state.host(given.object, codes.GONE)
        if "chapsecret" in given and "nochapsecret" in given:
            raise Refusal(codes.EXCLUSIVE)
        if "name" in given:
            name = checked_name(given.text("name"))
            if any(other.name == name and other is not host for other in self._array.hosts.values()):
                raise Refusal(codes.EXISTS)
            host.name = name
        if "nochapsecret" in given:
            host.attributes.pop("chap", None)
            self._bind([("iscsi", port.address) for port in self.ports(host) if port.kind == "iscsi"], host.id)
        if "chapsecret" in given:
            secret = given.text("chapsecret")
            if len(secret) not in _CHAP_SECRET:
                raise Refusal(codes.TOO_LONG)
            host.attributes["chap"] = secret
            self._bind([("iscsi", port.address) for port in self.ports(host) if port.kind == "iscsi"], host.id)

    def _remove(self, given: Given) -> None:
        host = self._state.host(given.object, codes.GONE)
        if self._array.visible.get(host.id):
            if "force" not in given:
                raise Refusal(codes.HOST_IN_USE)
            del self._array.visible[host.id]
        for port in self.ports(host):
            self._free(port)
        del self._array.hosts[host.id]
        self._array.serve()

    def _secrets(self, _: Given) -> Table:
        rows: list[Pairs] = [
            [("type", "cluster"), ("id", ""), ("name", ""), ("iscsi_auth_method", "none"), ("iscsi_chap_secret", "")]
        ]
        for host in self._array.hosts.values():
            secret = host.attributes.get("chap", "")
            rows.append(
                [
                    ("type", "host"),
                    ("id", host.id),
                    ("name", host.name),
                    ("iscsi_auth_method", "chap" if secret else "none"),
                    ("iscsi_chap_secret", secret),
                ]
            )
        return Table(rows)

    # Mappings

    def _map(self, given: Given) -> Created:
        host, volume = self._state.host(given.text("host")), self._state.volume(given.object)
        seen = self._array.visible.get(host.id, {})
        if volume.id in seen:
            raise Refusal(codes.MAPPED_ALREADY)
        if self._array.seen_by(volume.id) and "force" not in given:
            raise Refusal(codes.MAPPED_ELSEWHERE)
        lun = given.number("scsi", self._array.lowest_lun(seen.values()), among=LUNS)
        if lun in seen.values():
            raise Refusal(codes.LUN_TAKEN)
        self._array.visible.setdefault(host.id, {})[volume.id] = lun
        self._array.serve()
        return Created(str(lun), f"Virtual Disk to Host map, id [{lun}], successfully created")

    def _unmap(self, given: Given) -> None:
        host, volume = self._state.host(given.text("host"), codes.GONE), self._state.volume(given.object, codes.GONE)
        if volume.id not in self._array.visible.get(host.id, {}):
            raise Refusal(codes.NOT_MAPPED)
        del self._array.visible[host.id][volume.id]
        if not self._array.visible[host.id]:
            del self._array.visible[host.id]
        self._array.serve()

    def _maps_of_volume(self, given: Given) -> Table:
        volumes = [self._state.volume(given.object)] if given.objects else list(self._array.volumes.values())
        rows: list[Pairs] = []
        for volume in volumes:
            for host_id in self._array.seen_by(volume.id):
                host, lun = self._array.hosts[host_id], self._array.visible[host_id][volume.id]
                pairs: list[tuple[str, Value]] = [
                    ("id", volume.id),
                    ("name", volume.name),
                    ("SCSI_id", lun),
                    ("host_id", host.id),
                    ("host_name", host.name),
                    ("vdisk_UID", volume.wwn.upper()),
                    ("IO_group_id", IO_GROUP),
                    ("IO_group_name", IO_GROUP_NAME),
                ]
                rows.append(pairs + self._mapping_type())
        return Table(rows)

    def _maps_of_host(self, given: Given) -> Table:
        hosts = [self._state.host(given.object)] if given.objects else list(self._array.hosts.values())
        rows: list[Pairs] = []
        for host in hosts:
            for volume_id, lun in self._array.visible.get(host.id, {}).items():
                volume: Volume = self._array.volumes[volume_id]
                pairs: list[tuple[str, Value]] = [
                    ("id", host.id),
                    ("name", host.name),
                    ("SCSI_id", lun),
                    ("vdisk_id", volume.id),
                    ("vdisk_name", volume.name),
                    ("vdisk_UID", volume.wwn.upper()),
                ]
                if self._ibm:
                    pairs += [("IO_group_id", IO_GROUP), ("IO_group_name", IO_GROUP_NAME), *self._mapping_type()]
                rows.append(pairs)
        return Table(rows)

    def _mapping_type(self) -> list[tuple[str, Value]]:
        if not self._ibm:
            return []
        return [("mapping_type", "private"), ("host_cluster_id", ""), ("host_cluster_name", ""), ("protocol", "scsi")]

    # For the state dump

    def dump(self) -> list[dict[str, object]]:
        """Return the hosts."""
        return [{"id": host.id, "name": host.name} for host in self._array.hosts.values()]

    def initiator_dump(self) -> list[dict[str, object]]:
        """Return the initiators, without secrets."""
        names = {host.id: host.name for host in self._array.hosts.values()}
        return [
            {
                "id": port.address,
                "kind": port.kind,
                "host": names.get(port.host_id or ""),
                "online": port.online,
                "chap_user": port.chap[0] if port.chap else None,
            }
            for port in self._array.initiators.values()
        ]

    def mapping_dump(self) -> list[dict[str, object]]:
        """Return who sees what."""
        return [
            {"host": self._array.hosts[host_id].name, "volume": self._array.volumes[volume_id].name, "lun": lun}
            for host_id, seen in self._array.visible.items()
            for volume_id, lun in seen.items()
        ]
