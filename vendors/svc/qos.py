"""Limits of volumes. Source: IBM sheet, section 3.8; Inspur sheet, 3.6."""

from __future__ import annotations

from blockdrivers.errors import AlreadyExists
from blockdrivers.model import MiB, Qos, Volume
from vendors.svc import objects
from vendors.svc.client import SvcClient
from vendors.svc.variants import Features
from vendors.svc.volumes import Volumes


class Limits:
    """The I/O throttling of an array."""

    def __init__(self, client: SvcClient, volumes: Volumes, features: Features) -> None:
        self._client = client
        self._volumes = volumes
        self._together = features.throttles

    def read(self, volume: Volume) -> Qos:
        """Return the limits on a volume."""
        return Qos() if volume.qos_id is None else objects.limits(self._volumes.section(volume.name))

    def apply(self, volume: Volume, wanted: Qos) -> None:
        """Put exactly these limits on a volume.

        A first pair of limits is set by one command: a volume with half of what was asked for at its creation would be taken for
        another one. Later changes are one command a limit, and a repeat completes them.
        """
        current = self.read(volume)
        if current == Qos() and wanted.total_iops and wanted.total_bytes_sec and self._together:
            try:
                megabytes = wanted.total_bytes_sec // MiB
                self._client.change("mkthrottle", type="vdisk", iops=wanted.total_iops, bandwidth=megabytes, vdisk=volume.name)
            except AlreadyExists:
                current = objects.limits(self._volumes.section(volume.name))
            else:
                return
        if current.total_iops != wanted.total_iops:
            self._client.change("chvdisk", volume.name, rate=wanted.total_iops or 0)
        if current.total_bytes_sec != wanted.total_bytes_sec:
            self._client.change("chvdisk", volume.name, rate=(wanted.total_bytes_sec or 0) // MiB, unitmb=True)
