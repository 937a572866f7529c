"""Runs inside an environment with the cinder package: what needs a fabric or a share to happen for real, on a stand-in for `Backend`.

Prints one JSON object of what was asked of the back end and of Cinder's zone manager.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from unittest import mock

from cinder import objects

objects.register_all()
from cinder.volume import configuration
from cinder.volume import driver as base
from oslo_config import cfg

from blockdrivers.errors import NotSupported
from blockdrivers.integrations.cinder import driver
from blockdrivers.model import Export, Port, Protocol

CONNECTOR = {"host": "cmp01", "ip": "192.0.2.7", "wwpns": ["21000024ff000001"], "initiator": "iqn.1994-05.org.example:cmp01"}
FC_EXPORT = Export("v", "cmp01", Protocol.FC, 3, wwpns=("50000000000000aa",), paths={"21000024ff000001": ("50000000000000aa",)})
NFS_EXPORT = Export("v", "cmp01", Protocol.NFS, location="192.0.2.9:/share/bdvu-x")


def opened(kind, export, **options):
    cfg.CONF([], project="cinder")
    made = kind(configuration=configuration.Configuration(base.volume_opts, config_group="one"), host="lab@one")
    for name, value in options.items():
        cfg.CONF.set_override(name, value, group="one")
    made._backend = mock.Mock()
    made._backend.export.return_value = export
    made._backend.list_exports.return_value = [export]
    return made


def reticent(made):
    """Let the stand-in be an array that tells no exports."""
    made._backend.capabilities.list_exports = False
    made._backend.list_exports.side_effect = NotSupported("This array does not tell.")
    made._backend.ports.return_value = [
        Port("0", Protocol.FC, "50000000000000aa"),
        Port("1", Protocol.ISCSI, "192.0.2.1:3260"),
    ]
    return made


def volume(host="lab@one#pool", attachments=()):
    return SimpleNamespace(id="u", name_id="n", host=host, cluster_name=None, volume_attachment=list(attachments))


def zoned(others: list, tells=lambda made: made) -> dict:
    """Attach and detach over FC where Cinder knows these attachments of the host."""
    made, asked = tells(opened(driver.FCDriver, FC_EXPORT)), {}
    manager = mock.Mock()
    known = [SimpleNamespace(volume=each) for each in others]
    with (
        mock.patch("cinder.zonemanager.utils.create_zone_manager", return_value=manager),
        mock.patch("cinder.objects.VolumeAttachmentList.get_all_by_host", return_value=known),
        mock.patch("cinder.objects.VolumeAttachmentList.get_all_by_volume_id", return_value=[]),
    ):
        made.initialize_connection(volume(), CONNECTOR)
        asked["added"] = [call.args[0]["data"]["initiator_target_map"] for call in manager.add_connection.call_args_list]
        made.terminate_connection(volume(), CONNECTOR)
        asked["removed"] = [call.args[0]["data"]["initiator_target_map"] for call in manager.delete_connection.call_args_list]
    asked["unexported"] = unexported(made)
    return asked


def unexported(made) -> list:
    """Return from which hosts, with which IQNs and WWPNs, a volume was taken away."""
    hosts = [call.args[1] for call in made._backend.unexport.call_args_list]
    return [[host.name, host.iqn, list(host.wwpns)] for host in hosts]


def forced() -> list:
    made = opened(driver.ISCSIDriver, FC_EXPORT)
    made._backend.list_exports.return_value = [Export("v", name, Protocol.ISCSI) for name in ("cmp01", "cmp02")]
    made.terminate_connection(volume(), None)
    return unexported(made)


def forced_unseen() -> list:
    """Force a volume off where only Cinder knows who has it; one of its attachments is of nobody yet."""
    made = reticent(opened(driver.ISCSIDriver, FC_EXPORT))
    made.terminate_connection(volume(attachments=[SimpleNamespace(connector=each) for each in (CONNECTOR, None)]), None)
    return unexported(made)


def plain() -> list:
    """Return the keyword arguments with which a volume without a type is made: arrays without QoS refuse any limits."""
    made = opened(driver.ISCSIDriver, FC_EXPORT)
    wanted = volume()
    wanted.size, wanted.volume_type, wanted.volume_type_id = 1, None, None
    made.create_volume(wanted)
    (call,) = made._backend.create_volume.call_args_list
    return [list(call.args), call.kwargs]


def main() -> None:
    nfs = opened(driver.NFSDriver, NFS_EXPORT, blockdrivers_mount_options="vers=4.1", blockdrivers_mount_point_base="/mnt/base")
    print(
        json.dumps(
            {
                "last": zoned([volume()]),
                "not last": zoned([volume(), volume()]),
                "elsewhere": zoned([volume(), volume("lab@two#pool")]),
                "untold": zoned([volume()], reticent),
                "untold, not last": zoned([volume(), volume()], reticent),
                "forced": forced(),
                "forced, untold": forced_unseen(),
                "plain": plain(),
                "nfs": nfs.initialize_connection(volume(), CONNECTOR),
            }
        )
    )


main()
