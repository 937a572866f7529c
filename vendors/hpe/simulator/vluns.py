"""VLUNs: who sees which volume under which LUN id. Source: protocol sheet, section 3.12."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.simulation.dataplane import Access
from conformance.simulation.engine import Array
from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.ports import Ports, Position
from vendors.hpe.simulator.wire import Answer, Attributes, Call, Handler, Refusal

if TYPE_CHECKING:
    from vendors.hpe.simulator.hosts import Hosts
    from vendors.hpe.simulator.sets import Sets
    from vendors.hpe.simulator.volumes import Volumes

_PORT, _HOST, _MATCHED, _HOST_SET = 2, 3, 4, 5
_MAX_LUN = 16384
_SET = "set:"
_PROTOCOL_ENDPOINT = 256
"""LUN id that hosts with the persona of VMware keep to themselves."""


@dataclass(frozen=True, slots=True)
class Template:
    """One export as it was made; ids, so that renaming keeps it."""

    volume: str
    """Id of a volume, or ``set:`` and the id of a volume set."""
    lun: int
    host: str = ""
    """Id of a host, or ``set:`` and the id of a host set; empty where a port alone is exported to."""
    port: Position | None = None

    @property
    def type(self) -> int:
        """Its type at the wire."""
        if self.host.startswith(_SET):
            return _HOST_SET
        if self.port is not None:
            return _MATCHED if self.host else _PORT
        return _HOST


@dataclass(frozen=True, slots=True)
class Sight:
    """One volume that one host sees because of a template."""

    template: Template
    volume: str
    host: str
    lun: int


class Vluns:
    """The exports of an array.

    Args:
        array: whose volumes are exported.
        first_lun: where the array begins to look for a free LUN id, and the lowest that is served.
        last_lun: where it ends.
    """

    def __init__(
        self,
        array: Array,
        ports: Ports,
        hosts: Hosts,
        volumes: Volumes,
        volume_sets: Sets,
        host_sets: Sets,
        *,
        first_lun: int,
        last_lun: int,
    ) -> None:
        self._array = array
        self._ports = ports
        self._hosts = hosts
        self._volumes = volumes
        self._volume_sets = volume_sets
        self._host_sets = host_sets
        self._first_lun = first_lun
        self._last_lun = last_lun
        self._templates: list[Template] = []

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {
            ("GET", "vluns"): lambda call: wire.listed(wire.select(list(self._rows()), call.query)),
            ("GET", "vluns/{}"): lambda call: self._template_row(self._find(call.names[0])),
            ("POST", "vluns"): self._create,
            ("DELETE", "vluns/{}"): self._delete,
        }

    def exports(self, volume_id: str) -> bool:
        """Tell whether anybody sees a volume."""
        return any(volume_id in self._members(template.volume) for template in self._templates)

    def host_has_exports(self, host_id: str) -> bool:
        """Tell whether a template names a host itself."""
        return any(template.host == host_id for template in self._templates)

    def set_is_exported(self, kind: str, set_id: str) -> bool:
        """Tell whether a volume set (``volume``) or host set (``host``) is exported as such."""
        named = f"{_SET}{set_id}"
        return any(named == (template.volume if kind == "volume" else template.host) for template in self._templates)

    def serve(self) -> None:
        """Tell the data plane who reaches what."""
        accesses: dict[tuple[str, int], Access] = {}
        for sight in self._sights():
            initiators = self._hosts.of(sight.host)
            chap = next((initiator.chap for initiator in initiators if initiator.chap), None)
            addresses = tuple(initiator.address for initiator in initiators)
            if sight.lun >= self._first_lun:
                wwn = self._volumes.by_id(sight.volume).wwn
                accesses.setdefault((sight.host, sight.lun), Access(sight.host, wwn, sight.lun, addresses, chap))
        self._array.data_plane.serve(list(accesses.values()))

    def state(self) -> list[Attributes]:
        """Return the templates for the state dump."""
        return [
            {
                "object": self._volume_name(template),
                "host": self._host_name(template),
                "lun": template.lun,
                "port": str(template.port or ""),
                "type": template.type,
            }
            for template in self._templates
        ]

    # Who sees what

    def _members(self, volume: str) -> list[str]:
        return self._volume_sets.member_ids(volume.removeprefix(_SET)) if volume.startswith(_SET) else [volume]

    def _seeing(self, host: str) -> list[str]:
        if not host:
            return list(self._array.hosts)
        return self._host_sets.member_ids(host.removeprefix(_SET)) if host.startswith(_SET) else [host]

    def _sights(self) -> Iterator[Sight]:
        for template in self._templates:
            yield from self._sights_of(template)

    def _sights_of(self, template: Template) -> Iterator[Sight]:
        for offset, volume in enumerate(self._members(template.volume)):
            for host in self._seeing(template.host):
                yield Sight(template, volume, host, template.lun + offset)

    # Rendering

    def _volume_name(self, template: Template) -> str:
        if template.volume.startswith(_SET):
            return _SET + self._volume_sets.by_id(template.volume.removeprefix(_SET)).name
        return self._volumes.by_id(template.volume).name

    def _host_name(self, template: Template) -> str:
        if template.host.startswith(_SET):
            return _SET + self._host_sets.by_id(template.host.removeprefix(_SET)).name
        return self._array.hosts[template.host].name if template.host else ""

    def _path(self, template: Template) -> str:
        port = f",{template.port}" if template.port else ""
        return f"{self._volume_name(template)},{template.lun},{self._host_name(template)}{port}"

    def _rows(self) -> Iterator[Attributes]:
        for template in self._templates:
            yield self._template_row(template)
        for sight in self._sights():
            yield from self._active_rows(sight)

    def _template_row(self, template: Template) -> Attributes:
        row: Attributes = {"lun": template.lun, "volumeName": self._volume_name(template)}
        if template.host:
            row["hostname"] = self._host_name(template)
        if template.port:
            row["portPos"] = template.port.rendered()
        if not template.volume.startswith(_SET):
            row["volumeWWN"] = self._volumes.by_id(template.volume).wwn.upper()
        return row | _common(template.type, active=False)

    def _active_rows(self, sight: Sight) -> Iterator[Attributes]:
        """Yield a row per FC path that is logged in; nobody tells the array who is logged in over iSCSI."""
        item = self._volumes.by_id(sight.volume)
        logged_in = [found for found in self._hosts.of(sight.host) if found.kind == "fc" and found.online]
        ports = [port for port in self._ports.fc if sight.template.port in {None, port}]
        for initiator, port in itertools.product(logged_in, ports):
            yield {
                "lun": sight.lun,
                "volumeName": item.name,
                "hostname": self._array.hosts[sight.host].name,
                "remoteName": initiator.address.upper(),
                "portPos": port.rendered(),
                "volumeWWN": item.wwn.upper(),
                **_common(sight.template.type, active=True),
            }

    # Making and taking away

    def _create(self, call: Call) -> Answer:
        given = call.body
        volume, host = self._named_volume(wire.text(given, "volumeName")), self._named_host(wire.text(given, "hostname", ""))
        port = self._ports.find(wire.part(given, "portPos")) if given.get("portPos") is not None else None
        if not host and port is None:
            raise Refusal(codes.NO_EXPORT_INFO)
        if host.startswith(_SET) and port is not None:
            raise Refusal(codes.MATCHED_HOSTSET)
        lun = wire.number(given, "lun", 0)
        if lun >= _MAX_LUN:
            raise Refusal(codes.TOO_LARGE, ref="lun")
        for volume_id in self._members(volume):
            self._volumes.refuse_busy(self._volumes.by_id(volume_id))
        if wire.flag(given, "autoLun"):
            lun = self._free_lun(volume, host, max(lun, self._first_lun), wire.number(given, "maxAutoLun", 0))
        template = Template(volume, lun, host, port)
        self._refuse_taken(template)
        self._templates.append(template)
        self.serve()
        return wire.created(f"/api/v1/vluns/{self._path(template)}")

    def _named_volume(self, name: str) -> str:
        if not name.startswith(_SET):
            return self._volumes.find(name).id
        found = self._volume_sets.find(name.removeprefix(_SET))
        if not found.members:
            raise Refusal(codes.BAD_INPUT, ref="volumeName")
        return _SET + found.id

    def _named_host(self, name: str) -> str:
        if not name:
            return ""
        return _SET + self._host_sets.find(name.removeprefix(_SET)).id if name.startswith(_SET) else self._hosts.find(name).id

    def _free_lun(self, volume: str, host: str, first: int, last: int) -> int:
        hosts, needed = set(self._seeing(host)), len(self._members(volume))
        taken = {sight.lun for sight in self._sights() if sight.host in hosts}
        for lun in range(first, (last or self._last_lun) + 1):
            if not taken.isdisjoint(range(lun, lun + needed)):
                continue
            if lun == _PROTOCOL_ENDPOINT and any(self._hosts.is_vmware(one) for one in hosts):
                raise Refusal(codes.LUN_OF_PERSONA)
            return lun
        raise Refusal(codes.NO_LUN_LEFT)

    def _refuse_taken(self, template: Template) -> None:
        if template in self._templates:
            raise Refusal(codes.VLUN_EXISTS)
        there = {(sight.host, sight.lun): sight for sight in self._sights()}
        for sight in self._sights_of(template):
            taken = there.get((sight.host, sight.lun))
            if taken is not None and taken.volume != sight.volume:
                raise Refusal(codes.VLUN_EXISTS)

    def _find(self, path: str) -> Template:
        found = next((template for template in self._templates if self._path(template) == path), None)
        if found is None:
            raise Refusal(codes.NO_VLUN)
        return found

    def _delete(self, call: Call) -> None:
        self._templates.remove(self._find(call.names[0]))
        self.serve()


def _common(kind: int, *, active: bool) -> Attributes:
    return {
        "type": kind,
        "multipathing": 2 if active else 1,
        "failedPathPol": 1,
        "failedPathInterval": 0,
        "hostDeviceName": "",
        "active": active,
    }
