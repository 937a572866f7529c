"""Cinder's connectors and connection infos, beside this library's hosts and exports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from blockdrivers.errors import ProtocolError
from blockdrivers.model import Chap, Export, Host, IscsiTarget, Protocol

_KINDS = {"iscsi": Protocol.ISCSI, "fibre_channel": Protocol.FC}


def connector(host: Host, host_name: str) -> dict[str, Any]:
    """Return a host as Nova describes one to Cinder."""
    told: dict[str, Any] = {
        "host": host_name,
        "ip": host.addresses[0] if host.addresses else "",
        "multipath": True,
        "os_type": "linux",
        "platform": "x86_64",
        "do_local_attach": False,
    }
    if host.iqn:
        told["initiator"] = host.iqn
    if host.wwpns:
        # Nobody tells the node names of a host; drivers insist that there be some, and map by port names.
        told |= {"wwpns": list(host.wwpns), "wwnns": list(host.wwpns)}
    return told


def export(volume: str, host: str, connection: Mapping[str, Any]) -> Export:
    """Return what a driver's connection info says.

    Args:
        volume, host: array-side names for the export.
        connection: what ``initialize_connection`` returned.
    """
    kind, data = connection.get("driver_volume_type"), connection.get("data")
    protocol = _KINDS.get(str(kind))
    if protocol is None or not isinstance(data, Mapping):
        raise ProtocolError(f"The Cinder driver returned a connection of the kind {kind!r}; iSCSI and FC are known here.")
    lun = _lun(data)
    if protocol is Protocol.ISCSI:
        return Export(volume, host, protocol, lun=lun, targets=_targets(data), chap=_chap(data))
    paths = {wwpn(ours): _wwpns(theirs) for ours, theirs in (data.get("initiator_target_map") or {}).items()}
    return Export(volume, host, protocol, lun=lun, wwpns=_wwpns(data.get("target_wwn") or data.get("target_wwns")), paths=paths)


def _lun(data: Mapping[str, Any]) -> int:
    found = {int(lun) for lun in _several(data.get("target_luns")) or _several(data.get("target_lun"))}
    if len(found) != 1:
        raise ProtocolError(f"The Cinder driver names {len(found)} LUN ids for one volume ({sorted(found)}); one is needed.")
    return found.pop()


def _targets(data: Mapping[str, Any]) -> tuple[IscsiTarget, ...]:
    portals = _several(data.get("target_portals")) or _several(data.get("target_portal"))
    iqns = _several(data.get("target_iqns")) or _several(data.get("target_iqn"))
    if len(portals) != len(iqns):
        raise ProtocolError(f"The Cinder driver names {len(portals)} portals and {len(iqns)} targets; they belong together.")
    return tuple(IscsiTarget(str(portal), str(iqn)) for portal, iqn in zip(portals, iqns, strict=True))


def _chap(data: Mapping[str, Any]) -> Chap | None:
    if data.get("auth_method") and data.get("auth_username"):
        return Chap(str(data["auth_username"]), str(data.get("auth_password") or ""))
    return None


def wwpn(text: str) -> str:
    """Return a WWPN in this library's form."""
    return str(text).replace(":", "").lower()


def _wwpns(found: Any) -> tuple[str, ...]:
    """Return WWPNs in one order: some drivers keep them in sets, and each process of theirs names them in another."""
    return tuple(sorted(wwpn(text) for text in _several(found)))


def _several(found: Any) -> list[Any]:
    if found is None:
        return []
    return list(found) if isinstance(found, Iterable) and not isinstance(found, str) else [found]
