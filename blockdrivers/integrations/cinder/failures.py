"""This library's errors as Cinder's: the sentence stays, the class is what Cinder decides by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cinder import exception

from blockdrivers.errors import BlockDriversError, ConfigurationError, InUse, NotFound


@contextmanager
def as_cinder() -> Iterator[None]:
    """Turn what the library raises in a block, or in a method that this decorates, into Cinder's exceptions."""
    try:
        yield
    except ConfigurationError as error:
        raise exception.VolumeDriverException(message=str(error)) from error
    except BlockDriversError as error:
        raise exception.VolumeBackendAPIException(data=str(error)) from error


@contextmanager
def busy_volume(name: str) -> Iterator[None]:
    """Tell Cinder that a volume has dependants or exports; it then stays as it is."""
    try:
        yield
    except InUse as error:
        raise exception.VolumeIsBusy(message=f"Volume {name} is busy: {error}") from error


@contextmanager
def busy_snapshot(name: str) -> Iterator[None]:
    """Tell Cinder that a snapshot is used; it then stays as it is."""
    try:
        yield
    except InUse as error:
        raise exception.SnapshotIsBusy(message=f"Snapshot {name} is busy: {error}") from error


@contextmanager
def bad_reference(reference: object) -> Iterator[None]:
    """Tell Cinder that a reference of something to manage names nothing on the array."""
    try:
        yield
    except NotFound as error:
        raise exception.ManageExistingInvalidReference(existing_ref=reference, reason=str(error)) from error
