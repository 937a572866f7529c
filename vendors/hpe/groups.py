"""Snapshots of several volumes at one moment, through a volume set. Source: protocol sheet, section 3.11.

The array names the snapshots of a set after a pattern and a number. So they are taken under such names and renamed one by one; which one is
of which volume is what the array says, whatever its numbers are. Set and pattern are derived from what is asked for: a repeat
finds what a cut-off call left, all of one moment, and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import AlreadyExists, BlockDriversError, Busy, NotFound, VendorError
from blockdrivers.model import Snapshot
from blockdrivers.naming import Kind, array_name
from vendors.hpe import objects
from vendors.hpe.client import Object, WsapiClient
from vendors.hpe.volumes import Volumes

_LONGEST = 24
"""Characters of a set's name that leave room for the numbers of its snapshots."""


class GroupSnapshots:
    """Takes snapshots of the members of a volume set."""

    def __init__(self, client: WsapiClient, volumes: Volumes) -> None:
        self._client = client
        self._volumes = volumes

    def take(self, specs: Sequence[SnapshotSpec]) -> list[Snapshot]:
        """Take one snapshot each at one moment, and return them.

        Raises `AlreadyExists` when all are there already, or with the differences when only some are; then nothing is made.
        """
        group, standing = _group(specs), self._snapshots(specs)
        there = [spec for spec in specs if spec.name in standing]
        if len(there) == len(specs):
            raise AlreadyExists("Every snapshot of the group exists.")
        helpers = _helpers(standing, group)
        if not there and not helpers:
            self._take(specs, group)
            standing = self._snapshots(specs)
            helpers = _helpers(standing, group)
        missing = [spec for spec in specs if spec.name not in standing]
        if any(spec.source.name not in helpers for spec in missing):
            self._drop(group, [objects.text(item, "name") for item in helpers.values()])
            if there:
                raise _other_moment(there)
            raise Busy("An earlier call has left some snapshots of the group; they have been removed.")
        # An earlier call may have been cut off before or while it renamed them.
        self._rename(missing, group, helpers)
        renamed = {spec.name: {**helpers[spec.source.name], "name": spec.name, "comment": spec.description} for spec in missing}
        return [objects.snapshot(renamed.get(spec.name) or standing[spec.name]) for spec in specs]

    def _snapshots(self, specs: Sequence[SnapshotSpec]) -> dict[str, Object]:
        """Return the snapshots of all members by name."""
        sources = dict.fromkeys(spec.source.name for spec in specs)
        query = " OR ".join(f"copyOf EQ {source}" for source in sources)
        return {objects.text(item, "name"): item for item in self._client.members("volumes", query=query)}

    def _take(self, specs: Sequence[SnapshotSpec], group: str) -> None:
        sources = [spec.source.name for spec in specs]
        self._gather(sources, group)
        body = {"action": "createSnapshot", "parameters": {"name": f"{group}-@count@", "readOnly": True}}
        try:
            try:
                self._client.post("volumesets", group, body=body)
            except VendorError:
                prepared = [self._volumes.allow_snapshots(source) for source in sources]
                if not any(prepared):
                    raise
                self._client.post("volumesets", group, body=body)
        except BlockDriversError as refused:
            if not refused.retryable:
                self._drop(group, [])
            raise

    def _gather(self, members: Sequence[str], group: str) -> None:
        """Make a set of exactly these volumes; the one that a cut-off call left may have lost some since."""
        try:
            self._client.post("volumesets", body={"name": group, "setmembers": list(members)})
        except AlreadyExists as taken:
            found = self._client.read("volumesets", group).get("setmembers") or []
            if sorted(found) != sorted(members):
                self._drop(group, [])
                raise Busy(f"The volume set {group!r} of an earlier call was in the way and has been removed.") from taken

    def _rename(self, specs: Sequence[SnapshotSpec], group: str, helpers: Mapping[str, Object]) -> None:
        # The last renaming completes the group: by then nothing else may be left of its making.
        self._drop(group, [])
        renamed: list[str] = []
        for spec in specs:
            helper = objects.text(helpers[spec.source.name], "name")
            try:
                self._client.put("volumes", helper, body={"newName": spec.name, "comment": spec.description})
            except AlreadyExists as taken:
                self._drop(group, [*renamed, *(objects.text(item, "name") for item in helpers.values())])
                raise _other_moment([spec]) from taken
            renamed.append(spec.name)

    def _drop(self, group: str, snapshots: Sequence[str]) -> None:
        """Remove the set, and snapshots that are of no use."""
        for name in snapshots:
            with suppress(NotFound):
                self._client.delete("volumes", name)
        with suppress(NotFound):
            self._client.delete("volumesets", group)


def _helpers(standing: Mapping[str, Object], group: str) -> dict[str, Object]:
    """Return volume -> its snapshot that still bears the name that the array gave."""
    return {objects.text(item, "copyOf"): item for name, item in standing.items() if name.startswith(f"{group}-")}


def _group(specs: Sequence[SnapshotSpec]) -> str:
    asked = "\n".join(f"{spec.source.name}>{spec.name}" for spec in specs)
    return array_name(Kind.TEMPORARY, asked, _LONGEST)


def _other_moment(there: Sequence[SnapshotSpec]) -> AlreadyExists:
    names = ", ".join(spec.name for spec in there)
    return AlreadyExists(
        f"Snapshots {names} were taken at another moment; use other ids.",
        differences={spec.name: ("taken with the group", "taken before") for spec in there},
    )
