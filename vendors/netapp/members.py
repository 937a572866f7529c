"""LUNs and files as members of a group that gets snapshots of one moment. Source: protocol sheet, sections 3.3 and 3.10."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from blockdrivers.driver import SnapshotSpec
from blockdrivers.errors import AlreadyExists, NotFound
from blockdrivers.files.store import Entry, hanging, is_snapshot, parts
from blockdrivers.model import Snapshot
from vendors.netapp import names, objects
from vendors.netapp.claims import LUNS
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.groups import Members
from vendors.netapp.luns import Luns
from vendors.netapp.names import Base
from vendors.netapp.shares import OntapShares


@dataclass(frozen=True, slots=True)
class LunMembers(Members[Record]):
    """LUNs, by their records."""

    client: OntapClient
    luns: Luns

    def look(self, specs: Sequence[SnapshotSpec]) -> tuple[Mapping[str, Record], Mapping[str, Record]]:
        """GET storage/luns, one query for all."""
        patterns = [names.volume_pattern(spec.source.name) for spec in specs]
        patterns += [names.snapshot_pattern(spec.name) for spec in specs]
        found = [
            self.luns.places.remember(record)
            for record in self.client.own(LUNS, name="|".join(patterns), fields=objects.LUN_FIELDS)
        ]
        sources = {str(objects.base(record)): record for record in found if objects.base(record).source is None}
        return sources, {objects.base(record).name: record for record in found if objects.is_snapshot(record)}

    def pool(self, member: Record) -> str:
        """Return the FlexVol of the LUN's path."""
        return objects.pool_of(member)

    def source(self, snapshot: Record) -> str | None:
        """Return what stands in the braces of its name."""
        return objects.base(snapshot).source

    def clone(self, moment: str, source: Record, spec: SnapshotSpec) -> Record:
        """POST storage/luns with ``clone`` out of ``.snapshot``."""
        pool, uuid = objects.pool_of(source), objects.text(source, "uuid")
        body = {
            "name": names.path(pool, Base(spec.name, spec.source.name)),
            "comment": objects.snapshot_comment(uuid, spec.description),
            "clone": {"source": {"name": f"/vol/{pool}/.snapshot/{moment}/{objects.base(source)}"}},
            "space": {"guarantee": {"requested": False}},
        }
        return self.luns.made(body, pool, 0)

    def remove(self, snapshot: Record) -> None:
        """DELETE storage/luns/{uuid}."""
        self.luns.remove(objects.text(snapshot, "uuid"))

    def told(self, specs: Sequence[SnapshotSpec], made: Mapping[str, Record]) -> Sequence[Snapshot]:
        """GET storage/luns, one query for all names."""
        mine = {objects.text(record, "uuid") for record in made.values()}
        pattern = "|".join(names.snapshot_pattern(spec.name) for spec in specs)
        for record in self.client.own(LUNS, name=pattern, fields="name,uuid,location.logical_unit"):
            if objects.base(record).name in made and objects.text(record, "uuid") not in mine:
                for own in made.values():
                    self.remove(own)
                raise AlreadyExists(f"The array has a LUN {objects.text(record, 'name')!r}.")
        return [objects.snapshot(made[spec.name]) for spec in specs]


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
