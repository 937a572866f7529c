"""What a check works with: the array, ids of its own, and short ways to make what most checks need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blockdrivers.backend import Backend
from blockdrivers.driver import Capabilities
from blockdrivers.errors import BlockDriversError, NotFound
from blockdrivers.model import Attachment, Chap, Export, GiB, Host, Leftover, Protocol, Snapshot, Volume
from conformance.suite import expect, ids
from conformance.suite.cleaning import Cleaner
from conformance.suite.control import Control
from conformance.suite.nursery import Nursery
from conformance.suite.run import Run


@dataclass(frozen=True, slots=True)
class Watched:
    """A volume as a host and the array see it, for comparison with later."""

    volume: Volume
    exports: frozenset[tuple[str, int | None, str | None]]
    snapshots: frozenset[tuple[str, int | None]]


class Rig:
    """One check's room on the array; everything made here is removed when the check ends."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._tracked: set[str] = set(run.uncleaned)
        self._attached: set[str] = set()
        self._hosts: set[str] = set()
        self._foreign: set[str] = set()
        self._closing = ExitStack()

    # What is there

    @property
    def backend(self) -> Backend:
        """The backend under test, which earlier checks have used."""
        return self.run.backend

    @property
    def capabilities(self) -> Capabilities:
        """What the array declares."""
        return self.run.capabilities

    @property
    def control(self) -> Control:
        """The simulator's control API; only for checks that need ``fault_control``."""
        assert self.run.control is not None, "This check has to declare that it needs fault_control."
        return self.run.control

    @property
    def nursery(self) -> Nursery:
        """Where child processes come from."""
        return self.run.nursery

    @property
    def folder(self) -> Path:
        """A private folder."""
        return self.run.folder

    @property
    def pool(self) -> str:
        """Name of the pool to use."""
        return self.run.target.pool

    @property
    def other_pool(self) -> str:
        """Name of the second pool; only for checks that need ``two_pools``."""
        assert self.run.target.other_pool is not None, "This check has to declare that it needs two_pools."
        return self.run.target.other_pool

    @property
    def protocol(self) -> Protocol:
        """How volumes are exported in this run."""
        return self.run.target.protocol

    @property
    def host(self) -> Host:
        """The first host, without CHAP."""
        return replace(self.run.target.hosts[0], chap=None)

    @property
    def other_host(self) -> Host:
        """The second host, without CHAP; only for checks that need ``two_hosts``."""
        return replace(self.run.target.hosts[1], chap=None)

    def with_chap(self, secret: str, *, username: str = "ctest-user") -> Host:
        """Return the first host with CHAP credentials; under its IQN where the array knows no other user name."""
        rules = self.capabilities.chap
        named = username if rules is None or rules.free_username else self.host.iqn
        return replace(self.host, chap=Chap(named or username, secret))

    # Making

    def id(self, tag: str) -> str:
        """Return an id of this run; the same tag gives the same id."""
        return self.track(f"{self.run.prefix}{tag}")

    def track(self, identifier: str) -> str:
        """Have the object of that id removed at the end, if there is one."""
        self._tracked.add(identifier)
        return identifier

    def foreign(self, name: str) -> str:
        """Have the volume of that name on the array, which is nobody's id, removed at the end, if there is one."""
        self._foreign.add(name)
        return name

    def track_host(self, host: Host) -> Host:
        """Have that host object removed at the end, if there is one."""
        self._hosts.add(host.name)
        return host

    def volume(self, tag: str = "v", size: int = GiB, **options: Any) -> Volume:
        """Make a volume in the run's pool, small unless told otherwise."""
        return self.backend.create_volume(self.id(tag), size, options.pop("pool", self.pool), **options)

    def snapshot(self, tag: str, volume_tag: str = "v") -> Snapshot:
        """Take a snapshot of a volume of this check."""
        return self.backend.create_snapshot(self.id(tag), self.id(volume_tag))

    def export(self, volume_tag: str = "v", host: Host | None = None) -> Export:
        """Export a volume of this check to the first host, or another one."""
        return self.backend.export(self.id(volume_tag), host or self.host, self.protocol)

    def another_backend(self) -> Backend:
        """Return a second backend on the same array, which knows nothing of what the first remembers."""
        return self._closing.enter_context(self.run.settings.open())

    def closing(self, backend: Backend) -> Backend:
        """Have a backend closed at the end."""
        return self._closing.enter_context(backend)

    # This machine as a host; only for checks that need ``attaching``

    def attach(self, tag: str = "v", host: Host | None = None, **options: Any) -> Attachment:
        """Attach a volume of this check to this machine."""
        self._attached.add(tag)
        return self.backend.attach(self.id(tag), self.protocol, self.track_host(host or self.host), **options)

    def detach(self, tag: str = "v", host: Host | None = None, **options: Any) -> None:
        """Detach a volume of this check from this machine."""
        self.backend.detach(self.id(tag), self.protocol, host or self.host, **options)
        self._attached.discard(tag)

    def _detach_all(self) -> None:
        for tag in sorted(self._attached):
            self.detach(tag, force=True)

    # Looking

    def volumes(self) -> dict[str, Volume]:
        """Return this run's volumes as the array lists them."""
        return {
            volume.volume_id: volume
            for volume in self.backend.list_volumes()
            if volume.volume_id and ids.is_suites_own(volume.volume_id)
        }

    def snapshots(self, volume_id: str | None = None) -> dict[str, Snapshot]:
        """Return this run's snapshots as the array lists them."""
        return {
            snapshot.snapshot_id: snapshot
            for snapshot in self.backend.list_snapshots(volume_id)
            if snapshot.snapshot_id and ids.is_suites_own(snapshot.snapshot_id)
        }

    def present(self) -> set[str]:
        """Return the ids of this run's volumes and snapshots."""
        return {*self.volumes(), *self.snapshots()}

    def holds_only(self, expected: set[str], *, what: str) -> None:
        """Insist that of this run's objects exactly these are there; where none are listed, each id that was used is looked for.

        There, what is no volume has to be a snapshot: one that is found, or else one of as many as a simulator tells of. Nothing
        else may be inside; a snapshot that can be looked up may be kept as a volume as well, or instead.
        """
        if self.capabilities.list_objects:
            expect.only(self.present(), expected, what=what)
            return
        volumes = {identifier for identifier in self._tracked if self._is_volume(identifier)}
        assert volumes <= expected, f"{what}: expected {sorted(expected)}, found the volumes {sorted(volumes)}"
        inside = self._inside()
        others = expected - volumes
        if self.capabilities.find_snapshots:
            for identifier in sorted(others):
                self.backend.get_snapshot(identifier)
        elif inside:
            assert inside["snapshots"] == len(others), f"{what}: expected {sorted(expected)}, and there are {inside}"
        if inside:
            most = len(expected) + (len(others) if self.capabilities.find_snapshots else 0)
            assert len(expected) <= sum(inside.values()) <= most, f"{what}: expected {sorted(expected)}, and there are {inside}"

    def swept(self) -> Sequence[Leftover]:
        """Return what abandoned operations left; nothing where the array lists nothing, and its inside has to be looked at."""
        return self.backend.sweep() if self.capabilities.list_objects else ()

    def shown_to(self, hosts: Sequence[Host], volume_tag: str = "v", *, what: str) -> None:
        """Insist that a volume of this check is exported to exactly these hosts, where the array tells."""
        if self.capabilities.list_exports:
            found = sorted(export.host for export in self.backend.list_exports(self.id(volume_tag)))
            assert found == sorted(host.name for host in hosts), f"{what}: {volume_tag} is exported to {found}"

    def drop_snapshot(self, tag: str, volume_tag: str = "v", backend: Backend | None = None) -> None:
        """Delete a snapshot of this check's volume."""
        (backend or self.backend).delete_snapshot(self.id(tag), of_volume=self.id(volume_tag))

    def expect_snapshot(self, taken: Snapshot, tag: str, *, what: str) -> None:
        """Insist that a snapshot of this check is there and the same, where the array can look it up."""
        if self.capabilities.find_snapshots:
            expect.same_object(self.backend.get_snapshot(self.id(tag)), taken, what=what)

    def _inside(self) -> dict[str, int]:
        """Return how many volumes and snapshots more than at first there are inside a simulated array that does not list them."""
        return {} if self.capabilities.list_objects else self.run.grown()

    def _is_volume(self, identifier: str) -> bool:
        try:
            self.backend.get_volume(identifier)
        except NotFound:
            return False
        return True

    def watch(self, volume_id: str) -> Watched:
        """Return everything that the array tells about a volume."""
        volume = self.backend.get_volume(volume_id)
        shown = self.backend.list_exports(volume_id) if self.capabilities.list_exports else ()
        exports = frozenset((export.host, export.lun, export.wwn) for export in shown)
        listed = self.snapshots(volume_id) if self.capabilities.list_objects else {}
        return Watched(volume, exports, frozenset((name, snapshot.size) for name, snapshot in listed.items()))

    @contextmanager
    def unchanged(self, *volume_ids: str) -> Iterator[None]:
        """Prove that the enclosed block neither changes these volumes nor makes or removes anything."""
        before = {volume_id: self.watch(volume_id) for volume_id in volume_ids}
        present = self.present() if self.capabilities.list_objects else set()
        inside = self._inside()
        yield
        for volume_id, was in before.items():
            now = self.watch(volume_id)
            assert now == was, f"volume {volume_id} was changed: before {was}, after {now}"
        after = self.present() if self.capabilities.list_objects else set()
        assert after == present, f"there were {sorted(present)} before and {sorted(after)} afterwards"
        assert self._inside() == inside, f"there were {inside} before and {self._inside()} afterwards"

    # Ending

    @property
    def _cleaner(self) -> Cleaner:
        prefix = self.run.prefix
        return Cleaner(
            self.backend,
            self.run.settings,
            lambda identifier: identifier.startswith(prefix) or identifier in self._tracked,
            self._tracked,
            self._hosts,
            self._foreign,
        )

    def clean(self) -> None:
        """Remove all that this check has made so far."""
        self._cleaner.clean()

    def close(self) -> None:
        """Take away faults, remove what was made, and close what was opened."""
        try:
            if self.run.control is not None:
                self.run.control.clear()
                self.run.control.heal_paths()
            self._detach_all()
            try:
                self.clean()
            except AssertionError:
                # A first attempt may meet what a fault has left of sessions; the second one counts.
                self.run.uncleaned |= self._tracked
                self.clean()
            self.run.uncleaned.clear()
        finally:
            self._closing.close()


def told(error: BlockDriversError) -> str:
    """Return an error as a check's detail shows it."""
    return f"{type(error).__name__}: {error}"
