"""What a backend's section of cinder.conf says to this driver; everything about the array stands in the library's own file."""

from __future__ import annotations

from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt(
        "blockdrivers_config", help="Path of the blockdrivers configuration file that holds the array's adapter and options."
    ),
    cfg.StrOpt("blockdrivers_backend", help="Name of the backend in that file; may be left out where it holds only one."),
    cfg.ListOpt(
        "blockdrivers_pools", default=[], help="Report and use only these pools of the array; all that hold volumes where empty."
    ),
]
NFS_OPTIONS = [
    cfg.StrOpt("blockdrivers_mount_point_base", default="$state_path/mnt", help="Where hosts mount the array's NFS shares."),
    cfg.StrOpt(
        "blockdrivers_mount_options", help="Options for mounting the array's NFS shares, as mount.nfs takes them after -o."
    ),
]


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return the options for oslo's configuration generator (``oslo-config-generator --namespace blockdrivers``)."""
    return [("backend_defaults", OPTIONS + NFS_OPTIONS)]
