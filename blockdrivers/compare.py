"""What is asked for beside what is there: the differences that make a repeated call an `AlreadyExists`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from blockdrivers.driver import SnapshotSpec, VolumeSpec
from blockdrivers.model import Snapshot, Volume, VolumeState
from blockdrivers.naming import Label

Differences = Mapping[str, tuple[object, object]]
"""Field -> (asked for, found)."""


def volume(spec: VolumeSpec, wanted: Label, volume_id: str, found: Volume) -> Differences:
    """Compare a volume with its specification and its label (id and, for a clone, source)."""
    label = Label.parse(found.description)
    if found.state is VolumeState.COPYING and not found.size:
        # Somebody is making it, and has not told what.
        return _other_id(volume_id, label)
    pairs: dict[str, tuple[object, object]] = {
        "size": (spec.size, found.size),
        "pool": (spec.pool, found.pool),
        "thin": (spec.thin, found.thin),
    }
    if spec.description and found.description:
        pairs["source"] = (wanted.source, label.source)
    return _unequal(pairs) | _other_id(volume_id, label)


def snapshot(spec: SnapshotSpec, snapshot_id: str, found: Snapshot) -> Differences:
    """Compare a snapshot with its specification."""
    return _unequal({"source": (spec.source.name, found.source_name)}) | _other_id(snapshot_id, Label.parse(found.description))


def snapshots(specs: Sequence[SnapshotSpec], snapshot_ids: Sequence[str], found: Sequence[Snapshot]) -> Differences:
    """Compare the members of a group snapshot, one by one."""
    return {
        f"{snapshot_id}.{name}": pair
        for spec, snapshot_id, member in zip(specs, snapshot_ids, found, strict=True)
        for name, pair in snapshot(spec, snapshot_id, member).items()
    }


def _unequal(pairs: Mapping[str, tuple[object, object]]) -> dict[str, tuple[object, object]]:
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _other_id(identifier: str, label: Label) -> dict[str, tuple[object, object]]:
    return {"id": (identifier, label.id or label.digest)} if label.names_other_than(identifier) else {}
