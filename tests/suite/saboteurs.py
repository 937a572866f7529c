"""Drivers and backends with one deliberate defect each, and the check that has to catch it.

`open_sabotaged` opens a backend like `blockdrivers.config.open_backend`, with the defect that the environment variable names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blockdrivers import naming
from blockdrivers.backend import Backend
from blockdrivers.config import load, open_driver
from blockdrivers.errors import AlreadyExists, Ambiguous, InUse, LoginRefused, NotFound, OutOfSpace
from blockdrivers.model import Dependant, Export, GiB, Qos, Volume
from blockdrivers.naming import Label
from blockdrivers.transport.tls import TlsOptions

VARIABLE = "BLOCKDRIVERS_SABOTEUR"


@dataclass(frozen=True)
class Saboteur:
    """One defect: what it is, which check names it, and what carries it."""

    name: str
    defect: str
    check: str
    driver: Callable[[Any], Any] = lambda driver: driver
    backend: type[Backend] = Backend


SABOTEURS: dict[str, Saboteur] = {}


def saboteur(check: str, **more: Any) -> Callable[[type], type]:
    def register(kind: type) -> type:
        role = {"backend": kind} if issubclass(kind, Backend) else {"driver": kind}
        SABOTEURS[kind.__name__] = Saboteur(kind.__name__, (kind.__doc__ or "").strip(), check, **role, **more)
        return kind

    return register


def open_sabotaged(path: Path, name: str) -> Backend:
    config = load(path).backend(name)
    chosen = SABOTEURS.get(os.environ.get(VARIABLE, ""))
    driver = open_driver(config)
    if chosen is None:
        return Backend(driver, config.name, timeouts=config.timeouts)
    return chosen.backend(chosen.driver(driver), config.name, timeouts=config.timeouts)


class Driver:
    """Passes everything on."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._remembered: dict[str, Volume] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    @property
    def _transport(self) -> Any:
        return self._driver._client._transport


def _fake(spec: Any) -> Volume:
    return Volume("77", spec.name, spec.size, spec.pool, "6" * 32, spec.thin)


# Volumes


@saboteur("volume.create.repeat")
class Twin(Driver):
    """Makes a second volume when the name is taken."""

    def create_volume(self, spec):
        try:
            return self._driver.create_volume(spec)
        except AlreadyExists:
            return self._driver.create_volume(replace(spec, name=f"{spec.name[:-1]}z"))


@saboteur("volume.create.differs")
class Indifferent(Backend):
    """Returns whatever bears the name, whatever was asked for."""

    def create_volume(self, volume_id, size, pool, **more):
        try:
            return super().create_volume(volume_id, size, pool, **more)
        except AlreadyExists:
            return self.get_volume(volume_id)


@saboteur("size.exact")
class RoundsUp(Driver):
    """Makes every volume one GiB larger."""

    def create_volume(self, spec):
        return self._driver.create_volume(replace(spec, size=spec.size + GiB))


@saboteur("volume.thick")
class IgnoresThick(Driver):
    """Makes every volume thin."""

    def create_volume(self, spec):
        return self._driver.create_volume(replace(spec, thin=True))


@saboteur("system.pool.unknown")
class AnyPool(Driver):
    """Takes the first pool where the one asked for does not exist."""

    def create_volume(self, spec):
        names = [pool.name for pool in self._driver.pools()]
        return self._driver.create_volume(spec if spec.pool in names else replace(spec, pool=names[0]))


@saboteur("volume.extend")
class ExtendsNothing(Driver):
    """Says yes to an extension and does nothing."""

    def extend_volume(self, volume, size):
        return None


@saboteur("volume.extend.shrink")
class Shrinks(Backend):
    """Takes a smaller size for a success."""

    def extend_volume(self, volume_id, size, **more):
        volume = self.get_volume(volume_id)
        return volume if size < volume.size else super().extend_volume(volume_id, size, **more)


@saboteur("volume.delete")
class DeletesNothing(Driver):
    """Says yes to a deletion and does nothing."""

    def delete_volume(self, volume):
        return None


@saboteur("volume.delete.repeat")
class DeletesOnce(Backend):
    """Calls the deletion of what is absent an error."""

    def delete_volume(self, volume_id, **more):
        self.get_volume(volume_id)
        super().delete_volume(volume_id, **more)


@saboteur("dependants.snapshots")
class DeletesSnapshotsToo(Driver):
    """Deletes a volume's snapshots with it."""

    def get_volume(self, name):
        volume = self._driver.get_volume(name)
        return replace(volume, dependants=volume.dependants - {Dependant.SNAPSHOT})

    def delete_volume(self, volume):
        for snapshot in list(self._driver.list_snapshots(volume.ref)):
            self._driver.delete_snapshot(snapshot)
        self._driver.delete_volume(volume)


@saboteur("dependants.exports")
class DeletesExportedVolumes(Backend):
    """Takes a volume away from its hosts in order to delete it."""

    def delete_volume(self, volume_id, **more):
        super().delete_volume(volume_id, **(more | {"force": True}))


@saboteur("reuse.change")
class DeletesByRememberedId(Driver):
    """Believes for ever what it once saw of a name."""

    def get_volume(self, name):
        if name not in self._remembered:
            self._remembered[name] = self._driver.get_volume(name)
        return self._remembered[name]

    def create_volume(self, spec):
        self._remembered[spec.name] = made = self._driver.create_volume(spec)
        return made


@saboteur("reuse.snapshot")
class SnapshotsByRememberedId(Driver):
    """Takes snapshots of whatever has the id that the volume once had, and says it was the volume."""

    def create_snapshot(self, spec):
        if spec.source.id is None:
            return self._driver.create_snapshot(spec)
        owner = next((item for item in self._driver.list_volumes() if item.id == spec.source.id), None)
        if owner is None or owner.name == spec.source.name:
            return self._driver.create_snapshot(spec)
        taken = self._driver.create_snapshot(replace(spec, source=owner.ref))
        return replace(taken, source_name=spec.source.name)


@saboteur("volume.list")
class ListsTwice(Driver):
    """Lists every volume twice."""

    def list_volumes(self):
        found = list(self._driver.list_volumes())
        return [*found, *found]


@saboteur("scale.volumes")
class DropsLastPage(Driver):
    """Lists only whole pages of a hundred."""

    def list_volumes(self):
        found = list(self._driver.list_volumes())
        return found[: len(found) // 100 * 100] if len(found) > 100 else found


@saboteur("naming.distinct.tail")
class CutsNames(Backend):
    """Cuts ids, so that long ones collide."""

    def _volume_name(self, volume_id):
        return super()._volume_name(volume_id[:24])


@saboteur("naming.distinct.case")
class FoldsCase(Backend):
    """Does not tell capital letters from small ones."""

    def _volume_name(self, volume_id):
        return super()._volume_name(volume_id.lower())


@saboteur("naming.unicode")
class AsciiOnly(Backend):
    """Refuses ids that are not ASCII."""

    def _volume_name(self, volume_id):
        volume_id.encode("ascii")
        return super()._volume_name(volume_id)


# Snapshots, clones, groups


@saboteur("snapshot.create")
class WrongSource(Driver):
    """Names another volume as the source of a snapshot."""

    def get_snapshot(self, name):
        return replace(self._driver.get_snapshot(name), source_id="999", source_name="bdvl-somebody-else")


@saboteur("snapshot.list")
class ListsEverySnapshot(Driver):
    """Lists every snapshot of the array as one volume's."""

    def list_snapshots(self, source=None):
        return self._driver.list_snapshots(None)


@saboteur("snapshot.delete")
class KeepsSnapshots(Driver):
    """Says yes to a snapshot's deletion and does nothing."""

    def delete_snapshot(self, snapshot):
        return None


@saboteur("clone.independent")
class LinkedClone(Driver):
    """Deletes a clone with its source."""

    def delete_volume(self, volume):
        for other in list(self._driver.list_volumes()):
            if Label.parse(other.description).source == volume.name:
                self._driver.delete_volume(other)
        self._driver.delete_volume(volume)


@saboteur("clone.larger")
class CloneAsSmallAsItsSource(Driver):
    """Makes a clone of its source's size, whatever was asked for."""

    def clone_volume(self, source, spec, temporary):
        return self._driver.clone_volume(source, replace(spec, size=spec.source_size), temporary)


@saboteur("clone.pool")
class CloneInItsSourcesPool(Driver):
    """Makes a clone in its source's pool, whatever was asked for."""

    def clone_volume(self, source, spec, temporary):
        pool = next(item.pool for item in self._driver.list_volumes() if item.name == source.name)
        return self._driver.clone_volume(source, replace(spec, pool=pool), temporary)


@saboteur("clone.leftovers")
class LeavesTemporary(Driver):
    """Leaves the helper snapshot of a clone behind."""

    def clone_volume(self, source, spec, temporary):
        from blockdrivers.driver import SnapshotSpec
        from blockdrivers.model import VolumeRef

        made = self._driver.clone_volume(source, spec, temporary)
        if isinstance(source, VolumeRef):
            self._driver.create_snapshot(SnapshotSpec(source, temporary))
        return made


@saboteur("crash.clone")
class CannotResume(Driver):
    """Takes an unfinished clone for somebody else's volume."""

    def clone_volume(self, source, spec, temporary):
        try:
            self._driver.get_volume(spec.name)
        except NotFound:
            return self._driver.clone_volume(source, spec, temporary)
        raise AlreadyExists(f"{spec.name} exists", differences={"state": ("none", "copying")})


@saboteur("group.create")
class GroupWithAHole(Driver):
    """Leaves the last member of a group out."""

    def create_group_snapshot(self, specs):
        return self._driver.create_group_snapshot(specs[:-1])


@saboteur("group.one_moment")
class GroupOneByOne(Driver):
    """Takes the snapshots of a group one after the other."""

    def create_group_snapshot(self, specs):
        return [self._driver.create_snapshot(spec) for spec in specs]


# Exports


@saboteur("export.list")
class WrongLun(Driver):
    """Returns a LUN id that is one too high."""

    def export(self, source, host, host_name, protocol):
        made = self._driver.export(source, host, host_name, protocol)
        return replace(made, lun=made.lun + 1)


@saboteur("export.create")
class WrongWwn(Driver):
    """Returns another volume's WWN."""

    def export(self, source, host, host_name, protocol):
        return replace(self._driver.export(source, host, host_name, protocol), wwn="6" + "0" * 31)


@saboteur("export.create")
class NoTargets(Driver):
    """Returns no way to the volume."""

    def export(self, source, host, host_name, protocol):
        return replace(self._driver.export(source, host, host_name, protocol), targets=(), wwpns=(), paths={})


@saboteur("unexport")
class LeaksMapping(Driver):
    """Says yes to an unexport and leaves the mapping."""

    def unexport(self, source, host_name, protocol):
        return None


@saboteur("export.hosts")
class UnexportsEverywhere(Driver):
    """Takes a volume away from every host at once."""

    def unexport(self, source, host_name, protocol):
        for export in self._driver.list_exports(source):
            self._driver.unexport(source, export.host, export.protocol)


@saboteur("export.initiator.elsewhere")
class TakesAnyInitiator(Driver):
    """Says that it exported to a host whose initiator is another host's."""

    def export(self, source, host, host_name, protocol):
        try:
            return self._driver.export(source, host, host_name, protocol)
        except InUse:
            return Export(source.name, host_name, protocol, 1)


@saboteur("host.remove")
class KeepsHosts(Driver):
    """Says yes to a host's removal and leaves it."""

    def remove_host(self, host_name):
        return None


@saboteur("chap.set")
class ForgetsChap(Driver):
    """Exports without the CHAP credentials that were given."""

    def export(self, source, host, host_name, protocol):
        return self._driver.export(source, replace(host, chap=None), host_name, protocol)


# QoS, moves, management, capacity


@saboteur("qos.set")
class ForgetsQos(Driver):
    """Says yes to limits and sets none."""

    def set_qos(self, volume, qos, name):
        return None


@saboteur("qos.set")
class KeepsQos(Driver):
    """Does not take limits away."""

    def set_qos(self, volume, qos, name):
        if qos != Qos():
            self._driver.set_qos(volume, qos, name)


@saboteur("retype.pool")
class MovesNothing(Driver):
    """Says that a volume has moved."""

    def migrate_volume(self, volume, spec, temporary):
        return replace(volume, pool=spec.pool)


@saboteur("retype.pool")
class MovesToANewWwn(Driver):
    """Moves a volume and gives it another identity."""

    def migrate_volume(self, volume, spec, temporary):
        return replace(self._driver.migrate_volume(volume, spec, temporary), wwn="6" + "1" * 31)


@saboteur("manage.round_trip")
class ForgetsToRename(Driver):
    """Takes a volume over without renaming it."""

    def rename_volume(self, volume, name, description):
        return replace(volume, name=name, description=description)


@saboteur("manage.round_trip")
class UnmanageDeletes(Driver):
    """Deletes what is given up."""

    def rename_volume(self, volume, name, description):
        if naming.kind_of(name) is None:
            self._driver.delete_volume(volume)
            return replace(volume, name=name)
        return self._driver.rename_volume(volume, name, description)


@saboteur("system.capacity.thick")
class CapacityFromMemory(Driver):
    """Reports the capacity that it once saw."""

    _pools: Any = None

    def pools(self):
        self._pools = self._pools or self._driver.pools()
        return self._pools


# Faults, sessions, deadlines, secrets


@saboteur("fault.pool_full")
class SwallowsOutOfSpace(Driver):
    """Says that a volume was made in a full pool."""

    def create_volume(self, spec):
        try:
            return self._driver.create_volume(spec)
        except OutOfSpace:
            return _fake(spec)


@saboteur("fault.drop_before")
class TakesSilenceForYes(Driver):
    """Takes a lost connection for success."""

    def create_volume(self, spec):
        try:
            return self._driver.create_volume(spec)
        except Ambiguous:
            return _fake(spec)


@saboteur("fault.drop_after")
class RepeatsBlindly(Driver):
    """Makes another volume when an answer is lost."""

    def create_volume(self, spec):
        try:
            return self._driver.create_volume(spec)
        except Ambiguous:
            self._driver.create_volume(replace(spec, name=f"{spec.name[:-1]}z", description=""))
            raise


@saboteur("fault.session_expired")
class NeverLogsInAgain(Driver):
    """Does not notice that the session is over."""

    def __init__(self, driver):
        super().__init__(driver)
        self._transport._authenticator.expired = lambda response: False


@saboteur("fault.failover")
class NeverFailsOver(Driver):
    """Stays with a controller that has gone."""

    def __init__(self, driver):
        super().__init__(driver)
        failover = self._transport._failover
        failover.controllers = failover.controllers[:1]


@saboteur("login.refused")
class LogsInAgainAndAgain(Driver):
    """Sends a refused password again with every call."""

    def __init__(self, driver):
        super().__init__(driver)
        self._transport._refusals.raise_remembered = lambda: None


@saboteur("tls.untrusted")
class TrustsAnybody(Driver):
    """Does not verify certificates."""

    def __init__(self, driver):
        super().__init__(driver)
        self._transport._tls = TlsOptions.model_construct(verify=False, ca_file=None, fingerprint=None, check_hostname=False)


@saboteur("deadline.hanging")
class IgnoresTheDeadline(Backend):
    """Waits as long as the array does."""

    @contextmanager
    def _operation(self, operation: str, subject: str, timeout: float | None, *, copying: bool = False) -> Iterator[Any]:
        with super()._operation(operation, subject, 10.0, copying=copying) as current:
            yield current


@saboteur("secret.logs")
class LogsThePassword(Driver):
    """Logs its own password."""

    def create_volume(self, spec):
        logging.getLogger("careless").debug("with %s", self._driver._options.password.get_secret_value())
        return self._driver.create_volume(spec)


@saboteur("secret.errors")
class ShowsThePassword(Driver):
    """Puts the password into an error."""

    def pools(self):
        try:
            return self._driver.pools()
        except LoginRefused as error:
            raise LoginRefused(f"{error.message} {self._driver._options.password.get_secret_value()}") from error
