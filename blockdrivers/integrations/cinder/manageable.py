"""What is on the array and could be taken over, as Cinder lists it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from blockdrivers import checks
from blockdrivers.driver import Capabilities
from blockdrivers.errors import BlockDriversError
from blockdrivers.model import GiB, Snapshot, Volume


def gigabytes(size: int) -> int:
    """Return a size in whole GiB, rounded up."""
    return -(-size // GiB)


def volumes(found: Iterable[Volume], known: Collection[str], capabilities: Capabilities) -> list[dict[str, Any]]:
    """Return entries for volumes; `known` are the ids of those that Cinder has already."""
    return [
        _entry(
            volume.name,
            volume.size,
            volume.volume_id if volume.volume_id in known else None,
            _reason_volume(volume, capabilities),
        )
        for volume in found
    ]


def snapshots(found: Iterable[Snapshot], known: Collection[str]) -> list[dict[str, Any]]:
    """Return entries for snapshots; `known` are the ids of those that Cinder has already."""
    return [
        _entry(
            snapshot.name,
            snapshot.size,
            snapshot.snapshot_id if snapshot.snapshot_id in known else None,
            _reason_snapshot(snapshot),
        )
        | {"source_reference": {"source-name": snapshot.source_name}}
        for snapshot in found
    ]


def _entry(name: str, size: int | None, cinder_id: str | None, reason: str | None) -> dict[str, Any]:
    reason = "already managed" if cinder_id else reason
    return {
        "reference": {"source-name": name},
        "size": gigabytes(size or 0),
        "safe_to_manage": reason is None,
        "reason_not_safe": reason,
        "cinder_id": cinder_id,
        "extra_info": None,
    }


def _reason_volume(volume: Volume, capabilities: Capabilities) -> str | None:
    try:
        checks.manageable(volume, capabilities)
    except BlockDriversError as refused:
        return refused.message
    return None


def _reason_snapshot(snapshot: Snapshot) -> str | None:
    if snapshot.snapshot_id is not None:
        return f"{snapshot.name!r} is managed by this library already."
    if snapshot.size is None:
        return f"The array does not tell the size of {snapshot.name!r}."
    return f"{snapshot.name!r} is exported." if snapshot.exported else None
