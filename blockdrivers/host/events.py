"""What the kernel and udev tell about block devices, awaited instead of polled for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from blockdrivers.deadline import remaining
from blockdrivers.errors import ConfigurationError

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LONGEST_SILENCE = 2.0
"""Seconds after which a wait looks again without an event: some changes have none, and events can be lost in a storm."""


class Events:
    """The block device events since this was opened."""

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor

    def until(self, probe: Callable[[], T | None], seconds: float) -> T | None:
        """Call `probe` now and after every event until it returns something; None when it did not within `seconds`.

        Raises `DeadlineExceeded` where the current deadline passes first.
        """
        end = time.monotonic() + seconds
        while (found := probe()) is None:
            left = min(end - time.monotonic(), remaining(seconds))
            if left <= 0:
                return None
            device = self._monitor.poll(min(left, _LONGEST_SILENCE))
            if device is not None:
                _log.debug("udev: %s %s", device.action, device.sys_name)
        return found


def has_settled(names: Collection[str]) -> bool:
    """Tell whether udev has looked at all these block devices."""
    return all(device is not None and device.is_initialized for device in map(_device, names))


def says(names: Collection[str], key: str, value: str) -> bool:
    """Tell whether udev says that of any of these block devices."""
    return any(device is not None and device.properties.get(key) == value for device in map(_device, names))


def _device(name: str) -> Any:
    import pyudev  # noqa: PLC0415

    try:
        return pyudev.Devices.from_name(pyudev.Context(), "block", name)
    except pyudev.DeviceNotFoundError:
        return None


@contextmanager
def listening() -> Iterator[Events]:
    """Listen from now on, for the length of a block."""
    try:
        import pyudev  # noqa: PLC0415 - only who attaches pays for it
    except ImportError:
        raise ConfigurationError("pyudev is missing; install blockdrivers[host].") from None
    monitor = pyudev.Monitor.from_netlink(pyudev.Context())
    monitor.filter_by("block")
    monitor.start()
    yield Events(monitor)
