"""What stands in for os-brick's iSCSI connector where the kernel has no initiator: the library's own, in user space.

One path, no multipath; a LUN becomes a loop device, which is what Cinder's image and backup code takes for a disk.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from os_brick import exception
from os_brick.initiator import connector as registry
from os_brick.initiator.connectors import base

from blockdrivers.errors import BlockDriversError
from blockdrivers.host import userspace
from blockdrivers.model import Chap, IscsiTarget

INITIATOR = "iqn.1994-05.org.example:cinder"
_open: dict[tuple[str, int], tuple[ExitStack, Path]] = {}


class UserspaceConnector(base.BaseLinuxConnector):
    """Attaches a volume to this process."""

    @staticmethod
    def get_connector_properties(root_helper, *args, **kwargs):
        return {"initiator": INITIATOR}

    def get_search_path(self):
        return "/dev"

    def get_volume_paths(self, connection_properties):
        found = _open.get(_key(connection_properties))
        return [str(found[1])] if found else []

    def connect_volume(self, connection_properties):
        key = _key(connection_properties)
        if key not in _open:
            target = IscsiTarget(connection_properties["target_portal"], key[0])
            user = connection_properties.get("auth_username")
            chap = Chap(user, connection_properties["auth_password"]) if user else None
            with ExitStack() as stack:
                try:
                    device = stack.enter_context(userspace.lun_as_device(target, key[1], INITIATOR, chap))
                except BlockDriversError as error:
                    raise exception.VolumeDeviceNotFound(device=str(error)) from error
                _open[key] = stack.pop_all(), device
        return {"type": "block", "path": str(_open[key][1])}

    def disconnect_volume(
        self, connection_properties, device_info=None, force=False, ignore_errors=False, is_disconnect_call=False
    ):
        found = _open.pop(_key(connection_properties), None)
        if found:
            found[0].close()

    def extend_volume(self, connection_properties):
        raise NotImplementedError


def _key(properties: dict) -> tuple[str, int]:
    return properties["target_iqn"], properties["target_lun"]


def install() -> None:
    """Put it in the place of os-brick's in this process."""
    ours = f"{__name__}.{UserspaceConnector.__name__}"
    registry._connector_mapping_linux["ISCSI"] = ours
    registry.unix_connector_list[:] = [
        ours if name.endswith("iscsi.ISCSIConnector") else name for name in registry.unix_connector_list
    ]
