"""Groups of volumes whose snapshots are taken at one moment; Cinder itself does what concerns all others, one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from cinder import exception
from cinder.volume import volume_utils

from blockdrivers.integrations.cinder.failures import as_cinder
from blockdrivers.integrations.cinder.volumes import Update, Volumes, pool_of, thin_of
from blockdrivers.model import GiB

_log = logging.getLogger(__name__)

Pair = tuple[Update | None, list[Update] | None]


class Groups(Volumes):
    """The part for generic volume groups."""

    def create_group(self, context: Any, group: Any) -> Update | None:
        """Accept a group: the array needs none to take snapshots of several volumes at one moment."""
        _require_consistent(group)
        return None

    def update_group(
        self, context: Any, group: Any, add_volumes: Any = None, remove_volumes: Any = None
    ) -> tuple[None, None, None]:
        """Accept a group's new members."""
        _require_consistent(group)
        return None, None, None

    @as_cinder()
    def delete_group(self, context: Any, group: Any, volumes: Sequence[Any]) -> Pair:
        """Delete a group's volumes; where some stay, their states say so."""
        _require_consistent(group)
        return _outcomes(volumes, self.delete_volume, done="deleted", failed="error_deleting")

    @as_cinder()
    def create_group_snapshot(self, context: Any, group_snapshot: Any, snapshots: Sequence[Any]) -> Pair:
        """Take snapshots of a group's volumes at one moment."""
        _require_consistent(group_snapshot)
        self._backend.create_group_snapshot({snapshot.volume.name_id: snapshot.id for snapshot in snapshots})
        return None, None

    @as_cinder()
    def delete_group_snapshot(self, context: Any, group_snapshot: Any, snapshots: Sequence[Any]) -> Pair:
        """Delete the snapshots of a group snapshot; where some stay, their states say so."""
        _require_consistent(group_snapshot)
        return _outcomes(snapshots, self.delete_snapshot, done="deleted", failed="error_deleting")

    @as_cinder()
    def create_group_from_src(
        self,
        context: Any,
        group: Any,
        volumes: Sequence[Any],
        group_snapshot: Any = None,
        snapshots: Sequence[Any] | None = None,
        source_group: Any = None,
        source_vols: Sequence[Any] | None = None,
    ) -> Pair:
        """Make a group's volumes from a group snapshot, or from another group's volumes as they are at one moment."""
        _require_consistent(group)
        if snapshots:
            for volume, snapshot in zip(volumes, snapshots, strict=True):
                self.create_volume_from_snapshot(volume, snapshot)
        else:
            self._clone_group(list(zip(volumes, source_vols or (), strict=True)))
        return None, None

    def _clone_group(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        # Each helper snapshot has its target's id: a repeat finds it.
        self._backend.create_group_snapshot({source.name_id: volume.name_id for volume, source in pairs})
        for volume, source in pairs:
            size, pool = volume.size * GiB, pool_of(volume.host)
            self._backend.create_volume_from_snapshot(
                volume.name_id, volume.name_id, size=size, pool=pool, thin=thin_of(volume), of_volume=source.name_id
            )
            self.limit_new(volume)
        for volume, source in pairs:
            self._backend.delete_snapshot(volume.name_id, of_volume=source.name_id)


def _require_consistent(group: Any) -> None:
    """Leave groups without snapshots at one moment to Cinder, which takes their volumes one by one."""
    if not volume_utils.is_group_a_cg_snapshot_type(group):
        raise NotImplementedError


def _outcomes(items: Sequence[Any], step: Callable[[Any], None], *, done: str, failed: str) -> tuple[Update, list[Update]]:
    """Do a step for each item, whatever happens to the others; return Cinder's states of the whole and of each."""
    states = []
    for item in items:
        try:
            step(item)
        except exception.CinderException:
            _log.exception("%s of a group stays on the array", item.id)
            states.append({"id": item.id, "status": failed})
        else:
            states.append({"id": item.id, "status": done})
    return {"status": failed if any(state["status"] == failed for state in states) else done}, states
