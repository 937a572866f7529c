"""Volumes from volumes and snapshots, and moves between pools. Source: protocol sheet huawei-oceanstor, section 3.5."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from blockdrivers.driver import Source, VolumeSpec
from blockdrivers.errors import AlreadyExists, Busy, LicenceMissing, NotFound, OutOfSpace, VendorError
from blockdrivers.model import Dependant, SnapshotRef, Volume, VolumeRef
from vendors.huawei import objects
from vendors.huawei.client import OceanStorClient
from vendors.huawei.copies import FullCopy, Migration, full_copy
from vendors.huawei.facts import Facts
from vendors.huawei.luns import Luns
from vendors.huawei.options import OceanStorOptions
from vendors.huawei.refusals import without_licence
from vendors.huawei.snapshots import Snapshots


class Clones:
    """The copies of one array's LUNs."""

    def __init__(
        self,
        client: OceanStorClient,
        facts: Facts,
        luns: Luns,
        snapshots: Snapshots,
        options: OceanStorOptions,
    ) -> None:
        self._client = client
        self._facts = facts
        self._luns = luns
        self._snapshots = snapshots
        self._options = options
        self.migration = Migration(client, options.copy_speed)

    @property
    def copies(self) -> FullCopy:
        """How arrays of this generation copy a LUN."""
        return full_copy(self._facts.generation, self._client, self._options.copy_speed)

    def clone(self, source: Source, spec: VolumeSpec, temporary: str) -> Volume:
        """Full copy from a snapshot, made for the purpose where the source is a LUN."""
        copy = self.copies
        first_size = spec.source_size if copy.exact_size and spec.source_size else spec.size
        target, resume = self._target(spec, first_size)
        # A target that has been extended already had all its bytes before.
        if target.size == first_size:
            with self._undoing_refused(copy, target, temporary):
                copy_from = (
                    source if isinstance(source, SnapshotRef) else self._snapshots.take_helper(source, temporary, reuse=resume)
                )
                copy.run(copy_from.id or self._snapshots.get(copy_from.name).id, target.id, temporary, resume=resume)
        if target.size < spec.size:
            self._luns.extend(target, spec.size)
        if isinstance(source, VolumeRef):
            self._snapshots.drop_helper(temporary)
        # The description is the commit: until it changes, every repeat goes through the steps above again.
        done = self._client.put(f"lun/{target.id}", {"ID": target.id, "DESCRIPTION": spec.description})
        return replace(objects.volume(done), size=spec.size) if done else self._luns.get(spec.name)

    def abandon(self, volume: Volume, temporary: str) -> None:
        """Stop the copy onto a LUN and remove what was made for it."""
        self.copies.abandon(volume.id)
        self._snapshots.drop_helper(temporary)

    def migrate(self, volume: Volume, spec: VolumeSpec, temporary: str) -> Volume:
        """LUN migration onto a helper LUN in the new pool; the LUN's id and WWN stay."""
        if (volume.pool, volume.thin) != (spec.pool, spec.thin):
            helper = self._helper(volume, replace(spec, name=temporary, description=""))
            self.migration.run(volume.id, helper.id, resume=Dependant.MIGRATION in volume.dependants)
        self._drop_helper(volume, temporary)
        return self._luns.get(volume.name)

    def _target(self, spec: VolumeSpec, first_size: int) -> tuple[Volume, bool]:
        """Return the LUN to copy onto, and whether an earlier call for the same clone has made it."""
        try:
            return self._luns.create(spec, first_size, spec.unfinished_description), False
        except AlreadyExists:
            found = self._luns.get(spec.name)
            wanted = (spec.unfinished_description, spec.pool, spec.thin)
            if (found.description, found.pool, found.thin) != wanted or found.size not in {first_size, spec.size}:
                raise
            return found, True

    @contextmanager
    def _undoing_refused(self, copy: FullCopy, target: Volume, temporary: str) -> Iterator[None]:
        """Where the array will not copy at all, remove the target and what was made for it."""
        try:
            yield
        except (VendorError, LicenceMissing, NotFound, OutOfSpace) as refused:
            self.abandon(target, temporary)
            self._luns.delete(target)
            if not isinstance(refused, VendorError):
                raise
            raise without_licence(self._facts, refused, copy.feature) from refused

    def _helper(self, volume: Volume, spec: VolumeSpec) -> Volume:
        try:
            return self._luns.create(spec, volume.size, spec.description)
        except AlreadyExists:
            found = self._luns.get(spec.name)
        if (found.pool, found.thin, found.size) != (spec.pool, spec.thin, volume.size):
            if Dependant.MIGRATION in found.dependants:
                raise Busy(f"The move of {volume.name!r} ended while it was looked at.")
            self._luns.delete(found)
            raise Busy(f"A helper LUN {spec.name!r} of another move was in the way and has been removed.")
        return found

    def _drop_helper(self, volume: Volume, temporary: str) -> None:
        try:
            helper = self._luns.get(temporary)
        except NotFound:
            return
        self.migration.remove(volume.id)
        self._luns.delete(helper)
