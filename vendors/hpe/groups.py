"""Snapshots of several volumes at one moment, through a volume set. Source: protocol sheet, section 3.11.

The array names the snapshots of a set after a pattern. So they are taken under names of their own and renamed one by one. Set and
pattern are derived from what is asked for: a repeat finds what a cut-off call left, all of one moment, and goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import AlreadyExists, BlockDriversError, NotFound
from blockdrivers.model import Snapshot
from blockdrivers.naming import Kind, array_name
from vendors.hpe import objects
from vendors.hpe.client import Object, WsapiClient

_LONGEST = 24
"""Characters of a set's name that leave room for the numbers of its snapshots."""


class GroupSnapshots:
    """Takes snapshots of the members of a volume set."""

    def __init__(self, client: WsapiClient) -> None:
        self._client = client

    def take(self, specs: Sequence[SnapshotSpec]) -> list[Snapshot]:
        """Take one snapshot each at one moment, and return them.

        Raises `AlreadyExists` when all are there already, or with the differences when only some are; then nothing is made.
        """
        group = _group(specs)
        helpers = {spec.name: f"{group}-{number}" for number, spec in enumerate(specs)}
        standing = self._snapshots(specs)
        there = [spec for spec in specs if spec.name in standing]
        left = [spec for spec in specs if helpers[spec.name] in standing]
        if len(there) == len(specs):
            raise AlreadyExists("Every snapshot of the group exists.")
        if len({spec.name for spec in (*there, *left)}) == len(specs) == len(there) + len(left):
            # An earlier call has taken them all, and was cut off before or while it renamed them.
            self._rename(left, group, helpers)
        elif there:
            self._drop(group, [helpers[spec.name] for spec in left])
            raise _other_moment(there)
        else:
            self._take(specs, group)
            self._rename(specs, group, helpers)
        taken = self._snapshots(specs)
        return [objects.snapshot(taken[spec.name]) for spec in specs]

    def _snapshots(self, specs: Sequence[SnapshotSpec]) -> dict[str, Object]:
        """Return the snapshots of all members by name."""
        sources = dict.fromkeys(spec.source.name for spec in specs)
        query = " OR ".join(f"copyOf EQ {source}" for source in sources)
        return {objects.text(item, "name"): item for item in self._client.members("volumes", query=query)}

    def _take(self, specs: Sequence[SnapshotSpec], group: str) -> None:
        with suppress(AlreadyExists):
            self._client.post("volumesets", body={"name": group, "setmembers": [spec.source.name for spec in specs]})
        parameters = {"name": f"{group}-@count@", "readOnly": True}
        try:
            self._client.post("volumesets", group, body={"action": "createSnapshot", "parameters": parameters})
        except BlockDriversError as refused:
            if not refused.retryable:
                self._drop(group, [])
            raise

    def _rename(self, specs: Sequence[SnapshotSpec], group: str, helpers: dict[str, str]) -> None:
        # The last renaming completes the group: by then nothing else may be left of its making.
        self._drop(group, [])
        renamed: list[str] = []
        for spec in specs:
            try:
                self._client.put("volumes", helpers[spec.name], body={"newName": spec.name, "comment": spec.description})
            except AlreadyExists as taken:
                self._drop(group, [*renamed, *helpers.values()])
                raise _other_moment([spec]) from taken
            renamed.append(spec.name)

    def _drop(self, group: str, snapshots: Sequence[str]) -> None:
        """Remove the set, and snapshots that are of no use."""
        for name in snapshots:
            with suppress(NotFound):
                self._client.delete("volumes", name)
        with suppress(NotFound):
            self._client.delete("volumesets", group)


def _group(specs: Sequence[SnapshotSpec]) -> str:
    asked = "\n".join(f"{spec.source.name}>{spec.name}" for spec in specs)
    return array_name(Kind.TEMPORARY, asked, _LONGEST)


def _other_moment(there: Sequence[SnapshotSpec]) -> AlreadyExists:
    names = ", ".join(spec.name for spec in there)
    return AlreadyExists(
        f"Snapshots {names} were taken at another moment; use other ids.",
        differences={spec.name: ("taken with the group", "taken before") for spec in there},
    )
