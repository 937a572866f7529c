"""Snapshot points, and the resource that they need. Source: protocol sheet, section 3.3.

A LUN's resource is made with its first snapshot and stays until the LUN goes. Deleting it destroys every point of the LUN, and nothing
on the interface would keep another process from taking one just before.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from blockdrivers.errors import AlreadyExists, InUse, NotFound, VendorError
from blockdrivers.model import GiB
from vendors.macrosan.client import REFUSALS, DevopClient, again
from vendors.macrosan.luns import Luns
from vendors.macrosan.raids import RaidSets

_log = logging.getLogger(__name__)

_CLIENT_ERROR: Final = "4"
"""How the statuses begin that say that a request names nothing."""


class Snapshots:
    """The snapshot points of an array."""

    def __init__(self, client: DevopClient, luns: Luns, raids: RaidSets, reserve: float) -> None:
        self._client = client
        self._luns = luns
        self._raids = raids
        self._reserve = reserve

    def point(self, lun: str, name: str) -> int | None:
        """Return the id of a LUN's point, or None."""
        try:
            found = self._client.get("snapshot_point", "point_id", lun_name=lun, snapshot_name=name)
        except NotFound:
            return None
        except VendorError as refused:
            if (refused.vendor_code or "").startswith(_CLIENT_ERROR):
                return None
            raise
        return None if found in {None, ""} else int(found)

    def take(self, lun: str, name: str) -> None:
        """Make a point, and first what it needs; raise `AlreadyExists`.

        The name is asked for first: nothing tells that the array would refuse a second point of one name.
        """
        taken = AlreadyExists(f"LUN {lun!r} has a snapshot {name!r}.")
        if self.point(lun, name) is not None:
            raise taken
        try:
            self._client.post("snapshot_point", lun_name=lun, snapshot_name=name)
        except REFUSALS:
            self.prepare(lun)
        else:
            return
        # Another call may have prepared the LUN meanwhile, or have taken the snapshot.
        try:
            self._client.post("snapshot_point", lun_name=lun, snapshot_name=name)
        except REFUSALS as refused:
            if self.point(lun, name) is not None:
                raise taken from refused
            raise again(refused, f"Snapshot {name!r}") from refused

    def drop(self, lun: str, name: str) -> None:
        """Delete a point; raise `NotFound`, or `InUse` while a volume is made from it."""
        number = self.point(lun, name)
        if number is None:
            raise NotFound(f"LUN {lun!r} has no snapshot {name!r}.")
        try:
            self._client.delete("snapshot_point", lun_name=lun, pointid=str(number))
        except REFUSALS as refused:
            if self.point(lun, name) is None:
                raise NotFound(f"LUN {lun!r} has no snapshot {name!r}.") from refused
            raise refused.explained_as(
                InUse,
                f"The array keeps snapshot {name!r}: a volume is being made from it, or a view of it is shown to a host.",
            ) from refused

    def rename(self, lun: str, name: str, new: str) -> None:
        """Rename a point; raise `NotFound`, or `AlreadyExists`: nothing tells that the array would refuse a second one of that name."""
        number = self.point(lun, name)
        if number is None:
            raise NotFound(f"LUN {lun!r} has no snapshot {name!r}.")
        if self.point(lun, new) is not None:
            raise AlreadyExists(f"LUN {lun!r} has a snapshot {new!r}.")
        try:
            self._client.put("snapshot_point", "name", lun_name=lun, pointid=number, name=new)
        except REFUSALS as refused:
            if self.point(lun, name) is None:
                raise NotFound(f"LUN {lun!r} has no snapshot {name!r}.") from refused
            raise

    def count(self, lun: str) -> int:
        """Return how many points a LUN has."""
        return self._client.number("snapshot_point", "number", lun_name=lun)

    def has_resource(self, lun: str) -> bool:
        """Tell whether a LUN has a resource."""
        return bool(self._client.get("snapshot_resource", lun_name=lun))

    def prepare(self, lun: str) -> None:
        """Make what snapshots of a LUN need: a resource that grows by itself, and snapshots enabled; that comes last."""
        with self._luns.absent_is_told(lun):
            there = self.has_resource(lun)
        if not there:
            volume = self._luns.read(lun)
            self.make_resource(lun, volume.size, volume.pool)
        elif self._client.flag("snapshot", "enable", lun_name=lun):
            return
        try:
            self._client.put("snapshot_resource", "autoexpand", lun_name=lun)
        except REFUSALS as refused:
            _log.warning("the snapshot resource of %s does not grow by itself: %s", lun, refused)
        self._client.put("snapshot", "enable", lun_name=lun)

    def make_resource(self, lun: str, size: int, pool: str) -> None:
        """Make the resource of a LUN of that size; one that another call has made meanwhile is as good."""
        wanted = max(1, int(size * self._reserve) // GiB)
        try:
            self._raids.using(
                pool, wanted, lambda raids: self._client.post("snapshot_resource", lun_name=lun, raids=raids, size=wanted)
            )
        except REFUSALS:
            if not self.has_resource(lun):
                raise

    def drop_resource(self, lun: str) -> None:
        """Delete the resource of a LUN whose snapshots were never enabled."""
        self._client.delete("snapshot_resource", lun_name=lun)

    def end(self, lun: str) -> None:
        """Delete the resource of a LUN that is to be deleted; `InUse` where it has points.

        That destroys points: from when snapshots are disabled on, no other process takes one without enabling them again.
        """
        self._client.put("snapshot", "disable", lun_name=lun)
        try:
            if count := self.count(lun):
                raise InUse(f"LUN {lun!r} has {count} snapshots.")
            self.drop_resource(lun)
        except (InUse, *REFUSALS):
            with suppress(*REFUSALS):
                self._client.put("snapshot", "enable", lun_name=lun)
            raise
