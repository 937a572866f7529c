"""Removal of what checks made, by the form of its ids; nothing else on the array is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from blockdrivers.backend import Backend
from blockdrivers.errors import BlockDriversError, InUse, NotFound, NotSupported
from blockdrivers.model import Dependant, Snapshot, Volume
from blockdrivers.naming import Kind, array_name, identifier_of
from conformance.suite import ids
from conformance.suite.settings import Settings

_THREADS = 8


@dataclass
class Cleaner:
    """Removes the volumes, snapshots and hosts of one check, or of every earlier run.

    Attributes:
        backend: the array.
        settings: says which hosts are the run's.
        mine: whether an id is of those to be removed.
        tracked: ids that were used; the only source on an array that cannot list.
        hosts: names of hosts besides the target's.
        foreign: array-side names of volumes that were given up; needed where the array cannot list.
    """

    backend: Backend
    settings: Settings
    mine: Callable[[str], bool]
    tracked: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    _errors: list[str] = field(default_factory=list)

    def clean(self, *, thorough: bool = False) -> None:
        """Remove everything; raise `AssertionError` with every failure once all has been tried.

        Args:
            thorough: also remove what abandoned operations left; only where nobody else works on the array.
        """
        self._errors = []
        listing = self.backend.capabilities.list_objects
        if thorough and listing:
            self._try("sweep", lambda: self.backend.sweep(remove=True))
        if listing:
            self._clean_listed()
            self._clean_tracked(self._listed_as_nobody_s())
        else:
            self._clean_tracked(self.tracked)
        for name in sorted({host.name for host in self.settings.target.hosts} | self.hosts):
            self._try(f"host {name}", partial(self._remove_host, name))
        if self._errors:
            raise AssertionError("Clean-up failed: " + "; ".join(self._errors))

    def remains(self) -> list[str]:
        """Return what is on the array of the ids in question."""
        if not self.backend.capabilities.list_objects:
            return []
        volumes = [f"volume {volume.volume_id or volume.name}" for volume in self._volumes()]
        snapshots = [f"snapshot {snapshot.snapshot_id or snapshot.name}" for snapshot in self._snapshots()]
        return volumes + snapshots

    def _listed_as_nobody_s(self) -> set[str]:
        """Return the ids that were used whose objects a list shows without them: no name and no description holds them."""
        declared = self.backend.capabilities
        if declared.description_bytes:
            return set()
        length = declared.names.volume
        return {item for item in self.tracked if identifier_of(array_name(Kind.VOLUME, item, length)) is None}

    def _clean_tracked(self, used: Iterable[str]) -> None:
        """Remove what may be there under any of the ids that were used: nothing tells which of them are whose."""
        ids_used = sorted(used)
        if self.backend.capabilities.find_snapshots:
            for identifier in ids_used:
                self._try(f"snapshot {identifier}", partial(self._remove_unlisted, identifier))
        else:
            for volume_id in filter(self._is_volume, ids_used):
                for identifier in ids_used:
                    delete = partial(self.backend.delete_snapshot, identifier, of_volume=volume_id)
                    self._try(f"snapshot {identifier} of {volume_id}", delete)
        for identifier in ids_used:
            self._try(f"volume {identifier}", partial(self.backend.delete_volume, identifier, force=True))
        for name in sorted(self.foreign):
            self._try(f"volume {name}", partial(self._remove_foreign, name))

    def _remove_unlisted(self, identifier: str) -> None:
        try:
            self.backend.delete_snapshot(identifier)
        except InUse:
            if not self.backend.capabilities.export_snapshots:
                raise
            for host in self.settings.target.hosts:
                self.backend.unexport(identifier, host, self.settings.target.protocol, snapshot=True)
            self.backend.delete_snapshot(identifier)

    def _remove_foreign(self, name: str) -> None:
        driver = self.backend.driver
        try:
            driver.delete_volume(driver.get_volume(name))
        except NotFound:
            return

    def _is_volume(self, identifier: str) -> bool:
        try:
            self.backend.get_volume(identifier)
        except NotFound:
            return False
        return True

    def _clean_listed(self) -> None:
        self._each("snapshot", self._snapshots(), self._remove_snapshot)
        volumes = self._volumes()
        self._each("volume", volumes, self._remove_volume)
        if not self.backend.capabilities.description_bytes:
            self._clean_untold()

    def _clean_untold(self) -> None:
        """Remove what was made under ids that no list can tell: too long for a name, on an array without descriptions."""
        longest = self.backend.capabilities.names
        for identifier in sorted(self.tracked):
            if identifier_of(array_name(Kind.SNAPSHOT, identifier, longest.snapshot)) is None:
                self._try(f"snapshot {identifier}", partial(self.backend.delete_snapshot, identifier))
            if identifier_of(array_name(Kind.VOLUME, identifier, longest.volume)) is None:
                self._try(f"volume {identifier}", partial(self.backend.delete_volume, identifier, force=True))

    def _volumes(self) -> list[Volume]:
        return [
            volume
            for volume in self.backend.list_volumes(foreign=True)
            if (volume.volume_id and self.mine(volume.volume_id)) or volume.name.startswith(ids.FOREIGN)
        ]

    def _snapshots(self) -> list[Snapshot]:
        return [
            snapshot
            for snapshot in self.backend.list_snapshots(foreign=True)
            if (snapshot.snapshot_id and self.mine(snapshot.snapshot_id))
            or ((source := identifier_of(snapshot.source_name)) is not None and self.mine(source))
            or snapshot.source_name.startswith(ids.FOREIGN)
        ]

    def _remove_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.snapshot_id is None or not self.mine(snapshot.snapshot_id):
            self.backend.driver.delete_snapshot(snapshot)
            return
        if snapshot.exported:
            for export in self.backend.list_exports(snapshot.snapshot_id, snapshot=True):
                self.backend.unexport(snapshot.snapshot_id, export.host, export.protocol, snapshot=True)
        self.backend.delete_snapshot(snapshot.snapshot_id)

    def _remove_volume(self, volume: Volume) -> None:
        if volume.volume_id is None or not self.mine(volume.volume_id):
            self.backend.driver.delete_volume(volume)
            return
        self.backend.delete_volume(volume.volume_id, force=Dependant.EXPORT in volume.dependants)

    def _remove_host(self, name: str) -> None:
        try:
            self.backend.remove_host(name)
        except (InUse, NotSupported):
            # A real host may have exports of its own; they are none of the suite's business.
            return

    def _each(self, what: str, items: Iterable[Volume] | Iterable[Snapshot], remove: Callable[..., None]) -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            futures = [(item, pool.submit(remove, item)) for item in items]
        for item, future in futures:
            self._try(f"{what} {item.name}", future.result)

    def _try(self, what: str, step: Callable[[], object]) -> None:
        try:
            step()
        except BlockDriversError as error:
            self._errors.append(f"{what}: {type(error).__name__}: {error}")
