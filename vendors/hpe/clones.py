"""Clones: an off-line physical copy onto a volume that was made for it. Source: protocol sheet, section 3.7.

Such a volume carries its label from the first request on, whereas the destination of an on-line copy can be given one only afterwards.
What a cut-off call left is found by its names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from blockdrivers.driver import Source, VolumeSpec
from blockdrivers.errors import (
    AlreadyExists,
    Busy,
    InvalidRequest,
    LicenceMissing,
    NotFound,
    OutOfSpace,
    VendorError,
)
from blockdrivers.model import SnapshotRef, VolumeRef
from vendors.hpe import objects
from vendors.hpe.client import WsapiClient
from vendors.hpe.copies import Copies
from vendors.hpe.volumes import Volumes

_REFUSALS = (VendorError, LicenceMissing, NotFound, OutOfSpace, InvalidRequest)


class Clones:
    """Makes independent volumes with the bytes of others."""

    def __init__(self, client: WsapiClient, volumes: Volumes, copies: Copies) -> None:
        self._client = client
        self._volumes = volumes
        self._copies = copies

    def make(self, source: Source, spec: VolumeSpec, temporary: str) -> None:
        """Make a clone, and return when all bytes are there and nothing else is left."""
        resumed = self._target(spec)
        with self._undoing_refused(spec, temporary):
            helped = self._copy(source, spec, temporary)
        if helped or resumed:
            self._copies.drop(temporary)
        # The comment is the commit: until it changes, every repeat goes through the steps above again.
        self._client.put("volumes", spec.name, body={"comment": spec.description})

    def _target(self, spec: VolumeSpec) -> bool:
        """Make the volume to copy onto; True where an earlier call for the same clone has made it."""
        try:
            self._volumes.create(spec, spec.unfinished_description)
        except AlreadyExists:
            found = objects.volume(self._volumes.base(spec.name))
            wanted = (spec.unfinished_description, spec.pool, spec.thin, spec.size)
            if (found.description, found.pool, found.thin, found.size) != wanted:
                raise
            return True
        return False

    def _copy(self, source: Source, spec: VolumeSpec, temporary: str) -> bool:
        """Copy the source's bytes; True where that took a helper snapshot."""
        if isinstance(source, SnapshotRef):
            try:
                self._copies.copy(source.name, spec.name)
            except Busy:
                # The snapshot is being copied from already; of a snapshot of it only this call copies.
                pass
            else:
                return False
        read_only = isinstance(source, VolumeRef)
        helper = self._copies.helper(source.name, temporary, read_only=read_only, comment=spec.unfinished_description)
        self._copies.copy(helper, spec.name)
        return True

    @contextmanager
    def _undoing_refused(self, spec: VolumeSpec, temporary: str) -> Iterator[None]:
        """Where the array will not copy at all, remove the target and what was made for it."""
        try:
            yield
        except _REFUSALS as refused:
            if self._is_complete(spec):
                # A call of another process for the same clone has ended, and taken its helper away.
                raise Busy(f"The clone {spec.name!r} was completed by another call meanwhile.") from refused
            self._copies.abandon(spec.name)
            self._copies.drop(spec.name)
            self._copies.drop(temporary)
            raise

    def _is_complete(self, spec: VolumeSpec) -> bool:
        try:
            return objects.volume(self._volumes.base(spec.name)).description != spec.unfinished_description
        except NotFound:
            return False
