"""What a Cinder driver raised, as one of this library's errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    BlockDriversError,
    ConfigurationError,
    InUse,
    InvalidRequest,
    NotFound,
    NotSupported,
    VendorError,
)

_KINDS: Mapping[str, type[BlockDriversError]] = {
    # The bridge's own.
    "SetupFailed": ConfigurationError,
    "NotRecorded": NotFound,
    "Taken": AlreadyExists,
    "InTheWay": InUse,
    "NoPool": InvalidRequest,
    # Cinder's, by the most general class that still says something.
    "VolumeIsBusy": InUse,
    "SnapshotIsBusy": InUse,
    "InvalidConnectorException": InvalidRequest,
    "InvalidConfigurationValue": ConfigurationError,
    "NotImplementedError": NotSupported,
    # The way to the array broke, and nobody knows what it has done.
    "ConnectionError": Ambiguous,
    "Timeout": Ambiguous,
    "SSHException": Ambiguous,
}


def error_of(kinds: Sequence[str], text: str, *, array: str, request: str) -> BlockDriversError:
    """Return the typed error for an exception.

    Args:
        kinds: names of its class and of the classes that it derives from, the most special first.
        text: its message.
        array, request: see `BlockDriversError`.

    A Cinder driver's own exceptions mostly say only that something failed (VolumeBackendAPIException): they are `VendorError`.
    """
    kind = next((_KINDS[name] for name in kinds if name in _KINDS), VendorError)
    own = kinds[0] if kinds else "unknown"
    details: dict[str, Any] = {"array": array, "request": request}
    if own in {"SetupFailed", "NotRecorded", "Taken", "InTheWay", "NoPool"}:
        return kind(text, **details)
    return kind(f"The Cinder driver failed: {text or own}", vendor_code=own, **details)
