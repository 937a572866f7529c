"""Clones: a local clone of a LUN, or a copy out of a view of a snapshot. Source: protocol sheet, section 3.3.

A clone is made under a helper name and takes its own name last: until then no complete volume bears that. What is found under the
helper name is never gone on with, since nothing tells what it was being copied from: it is removed, and the clone begun again. All
that a clone makes is found by the helper name, and nothing of it by the source's.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import VolumeSpec
from blockdrivers.errors import AlreadyExists, BlockDriversError, Busy, InUse, NotFound
from vendors.macrosan.client import REFUSALS, DevopClient
from vendors.macrosan.luns import Luns
from vendors.macrosan.snapshots import Snapshots

_VIEW_MARK: Final = "bdx"
"""How views' names begin: views and LUNs share the names that can be mapped."""


class Copies:
    """The clones under way on an array."""

    def __init__(self, client: DevopClient, luns: Luns, snapshots: Snapshots) -> None:
        self._client = client
        self._luns = luns
        self._snapshots = snapshots

    def of_lun(self, source: str, spec: VolumeSpec, helper: str) -> None:
        """Copy a LUN's bytes as they are now; the pair needs equal sizes, so the clone grows afterwards."""
        size = spec.source_size or spec.size
        self._target(helper, size, spec)
        try:
            self._pair(source, helper, size, spec.pool)
            if size < spec.size:
                self._luns.extend(helper, spec.pool, spec.size - size, thin=spec.thin)
        except (*REFUSALS, InUse) as refused:
            self._give_up(helper, spec.name, refused)
            raise
        self._commit(helper, spec.name)

    def of_snapshot(self, lun: str, snapshot: str, spec: VolumeSpec, helper: str) -> None:
        """Copy a snapshot's bytes; the clone may be larger."""
        point = self._snapshots.point(lun, snapshot)
        if point is None:
            raise NotFound(f"LUN {lun!r} has no snapshot {snapshot!r}.")
        self._target(helper, spec.size, spec)
        view = _view_name(helper)
        try:
            self._client.post("snapshot_view", view_name=view, lun_name=lun, pointid=point)
            self._client.post("copy_volume", attr="from_view", lun_name=helper, view_name=view)
            note(f"the bytes of {snapshot} are being copied to {helper}")
            wait_until(lambda: self._view_copied(helper), what=f"{helper} to have the bytes of {snapshot}")
            self._drop_view(helper)
        except REFUSALS as refused:
            self._give_up(helper, spec.name, refused)
            raise
        self._commit(helper, spec.name)

    def discard(self, helper: str) -> None:
        """Remove an unfinished clone and all that was made for it; `NotFound` where there is none, `Busy` while it is copied to."""
        with self._luns.absent_is_told(helper):
            self._stop(helper)
            if self._snapshots.has_resource(helper):
                self._snapshots.drop_resource(helper)
        try:
            self._luns.delete(helper)
        except InUse as refused:
            raise Busy(f"{helper} cannot be removed yet: {refused.message}") from refused

    def _stop(self, helper: str) -> None:
        if self._client.flag("local_clone", "existence", lun=helper):
            self._client.delete("local_clone", lun=helper)
        try:
            self._drop_view(helper)
        except REFUSALS as refused:
            if self._view_copied(helper) is None:
                raise Busy(f"{helper} is still being copied to, which cannot be stopped.") from refused
            # Either there is no view, or the copy has ended between the two requests.
            with suppress(*REFUSALS):
                self._drop_view(helper)

    def _drop_view(self, helper: str) -> None:
        self._client.delete("snapshot_view", view_name=_view_name(helper))

    def _target(self, helper: str, size: int, spec: VolumeSpec) -> None:
        try:
            self._luns.create(helper, size, spec.pool, thin=spec.thin)
        except AlreadyExists as unfinished:
            # A repeat differs in nothing; a call that does is told so once this is read back.
            found = self._luns.read(helper)
            if (found.pool, found.thin) != (spec.pool, spec.thin) or found.size not in {size, spec.size}:
                raise
            self.discard(helper)
            raise Busy(f"An unfinished clone {helper} was in the way and has been removed.") from unfinished

    def _pair(self, source: str, helper: str, size: int, pool: str) -> None:
        self._snapshots.prepare(source)
        self._snapshots.make_resource(helper, size, pool)
        self._client.post("local_clone", master=source, slave=helper)
        note(f"the bytes of {source} are being copied to {helper}")
        wait_until(lambda: self._cloned(helper), what=f"{helper} to have the bytes of {source}")
        self._client.delete("local_clone", lun=helper)
        self._snapshots.drop_resource(helper)

    def _give_up(self, helper: str, name: str, refused: BlockDriversError) -> None:
        """Discard an unfinished clone; where another call has done so, or has completed it, say that instead of what was refused."""
        gone = False
        try:
            self.discard(helper)
        except NotFound:
            gone = True
        if self._luns.exists(name):
            raise AlreadyExists(f"The array has a LUN {name!r}.") from refused
        if gone:
            raise Busy(f"{helper} was removed by another call meanwhile.") from refused

    def _commit(self, helper: str, name: str) -> None:
        try:
            self._luns.rename(helper, name)
        except (*REFUSALS, AlreadyExists) as refused:
            self._give_up(helper, name, refused)
            raise

    def _cloned(self, helper: str) -> bool | None:
        return True if self._client.flag("local_clone", "completed", lun=helper) else None

    def _view_copied(self, helper: str) -> bool | None:
        return True if self._client.flag("copy_volume", "snapshot_copy_task_completed", lun_name=helper) else None


def _view_name(helper: str) -> str:
    return f"{_VIEW_MARK}{helper[len(_VIEW_MARK) :]}"
