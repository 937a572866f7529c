"""Files as members of a group that gets snapshots of one moment. Source: protocol sheet, sections 3.3 and 3.10."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import NotFound
from blockdrivers.files.store import Entry, hanging, is_snapshot, parts
from blockdrivers.model import Snapshot
from vendors.netapp.groups import Members
from vendors.netapp.shares import OntapShares


@dataclass(frozen=True, slots=True)
class FileMembers(Members[Entry]):
    """Files, by their entries; `take` makes a snapshot's file of a clone that settles its id, `snapshot` the noun of one."""

    shares: OntapShares
    take: Callable[[str, SnapshotSpec, Callable[[str], None]], Entry]
    snapshot: Callable[[Entry], Snapshot]

    def look(self, specs: Sequence[SnapshotSpec]) -> tuple[Mapping[str, Entry], Mapping[str, Entry]]:
        """GET the files of each FlexVol."""
        wanted = {spec.source.name for spec in specs}
        found = self._found([*wanted, *(hanging(spec.name, "*") for spec in specs)])
        sources = {entry.name: entry for entry in found if entry.target is None and entry.name in wanted}
        return sources, {parts(entry)[0]: entry for entry in found if is_snapshot(entry)}

    def pool(self, member: Entry) -> str:
        """Return the FlexVol of the file."""
        return member.pool

    def source(self, snapshot: Entry) -> str | None:
        """Return what stands in the braces of its name."""
        return parts(snapshot)[1]

    def clone(self, moment: str, source: Entry, spec: SnapshotSpec) -> Entry:
        """POST storage/file/clone out of ``.snapshot``."""

        def clone(draft: str) -> None:
            self.shares.clone(source.pool, f"./.snapshot/{moment}/{source.name}", draft, overwrite=True)

        return self.take(source.pool, spec, clone)

    def remove(self, snapshot: Entry) -> None:
        """DELETE the file."""
        with suppress(NotFound):
            self.shares.delete(snapshot.pool, snapshot.name)

    def told(self, specs: Sequence[SnapshotSpec], made: Mapping[str, Entry]) -> Sequence[Snapshot]:
        """Return them: each one's id was settled when it was made."""
        return [self.snapshot(made[spec.name]) for spec in specs]

    def _found(self, patterns: Sequence[str]) -> list[Entry]:
        return [entry for pool in self.shares.pools() for entry in self.shares.entries(pool, patterns)]
