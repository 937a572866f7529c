"""Between Cinder's connectors and connection information, which os-brick reads, and this library's hosts and exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import Chap, Export, Host, Protocol

Connector = Mapping[str, Any]
Connection = dict[str, Any]

MISSING = {Protocol.ISCSI: "initiator", Protocol.FC: "wwpns"}
"""What a connector must hold, by protocol."""


def host_of(connector: Connector, chap: Chap | None = None) -> Host:
    """Return the host that a connector describes."""
    address = connector.get("ip")
    return Host(
        connector["host"],
        iqn=connector.get("initiator"),
        wwpns=tuple(connector.get("wwpns") or ()),
        nqn=connector.get("nqn"),
        addresses=(address,) if address else (),
        chap=chap,
    )


def iscsi(export: Export) -> Connection:
    """Return the connection of an iSCSI export: every path, and the first one by itself for who uses one path only."""
    first = export.targets[0]
    data: Connection = {
        "target_discovered": False,
        "target_portal": first.portal,
        "target_iqn": first.iqn,
        "target_lun": export.lun,
        "target_portals": [target.portal for target in export.targets],
        "target_iqns": [target.iqn for target in export.targets],
        "target_luns": [export.lun] * len(export.targets),
    }
    if export.chap is not None:
        data |= {"auth_method": "CHAP", "auth_username": export.chap.username, "auth_password": export.chap.secret}
    return {"driver_volume_type": "iscsi", "data": data}


def fc(export: Export) -> Connection:
    """Return the connection of an FC export, with the map by which Cinder's zone manager makes zones."""
    data: Connection = {
        "target_discovered": True,
        "target_lun": export.lun,
        "target_wwn": list(export.wwpns),
        "initiator_target_map": {initiator: list(targets) for initiator, targets in export.paths.items()},
    }
    return {"driver_volume_type": "fibre_channel", "data": data}


def nfs(export: Export, mount_point_base: str | None, mount_options: str | None) -> Connection:
    """Return the connection of an NFS export: the share, the file in it, and how to mount it."""
    share, _, name = (export.location or "").rpartition("/")
    if ":/" not in f"{share}/" or not name:
        raise InvalidRequest(f"An NFS export is SERVER:/PATH/FILE; the array gave {export.location!r}.")
    data: Connection = {
        "export": share,
        "name": name,
        "format": export.format or "raw",
        "options": f"-o {mount_options}" if mount_options else None,
    }
    return {"driver_volume_type": "nfs", "data": data, "mount_point_base": mount_point_base}
