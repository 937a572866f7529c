"""Runs inside an environment with the cinder package: its own compliance tests of volume drivers, with ours among them.

Those tests ask only whether a class has the class methods of an interface; the second half compares every method of every
interface with ours, by name and arguments. Prints one JSON object: the tests' ids and outcomes, and what differs.
"""

from __future__ import annotations

import inspect
import json
import sys
import unittest

from cinder import interface, objects

objects.register_all()
from cinder.interface import (
    volume_driver,
    volume_group_driver,
    volume_manageable_driver,
    volume_snapshot_revert,
    volume_snapshotmanagement_driver,
)

from blockdrivers.integrations.cinder import driver

DRIVERS = (driver.ISCSIDriver, driver.FCDriver, driver.NFSDriver)
INTERFACES = (
    volume_driver.VolumeDriverCore,
    volume_group_driver.VolumeGroupDriver,
    volume_manageable_driver.VolumeListManageableDriver,
    volume_snapshot_revert.VolumeSnapshotRevertDriver,
    volume_snapshotmanagement_driver.VolumeSnapshotManagementDriver,
)
LEFT_TO_CINDER = {
    "clone_image",
    "copy_image_to_volume",
    "copy_volume_to_image",
    "before_volume_copy",
    "after_volume_copy",
    "set_initialized",
    "initialized",
    "supported",
    "set_throttle",
    "init_capabilities",
    "update_provider_info",
    "get_volume_stats",
}
"""What Cinder's base class does for every driver: images through os-brick, throttling, bookkeeping."""


def differences(kind: type, wanted: type) -> list[str]:
    found = []
    for name, method in inspect.getmembers(wanted, inspect.isfunction):
        if name.startswith("_"):
            continue
        ours = getattr(kind, name, None)
        if ours is None:
            found.append(f"{kind.__name__} has no {name}")
        elif name in LEFT_TO_CINDER:
            continue
        elif not inspect.getmodule(inspect.unwrap(ours)).__name__.startswith("blockdrivers."):
            found.append(f"{kind.__name__}.{name} is not its own")
        elif missing := _arguments(method) - _arguments(ours):
            found.append(f"{kind.__name__}.{name} does not take {sorted(missing)}")
    return found


def _arguments(method) -> set[str]:
    taken = inspect.signature(method).parameters
    if any(one.kind is one.VAR_KEYWORD for one in taken.values()):
        # What Cinder gives by name may then be anything; of its interfaces only initiator_data is.
        return set(taken) | {"initiator_data"}
    return set(taken)


def main() -> None:
    assert [kind for kind in interface._volume_register if kind in DRIVERS] == list(DRIVERS)
    from cinder.tests.compliance import test_volume_drivers

    suite = unittest.defaultTestLoader.loadTestsFromModule(test_volume_drivers)
    names = [test.id() for test in _flat(suite)]
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
    wrong = [text for kind in DRIVERS for wanted in INTERFACES for text in differences(kind, wanted)]
    failed = [test.id() for test, _ in (*result.failures, *result.errors)]
    print(json.dumps({"ran": names, "failed": failed, "skipped": len(result.skipped), "differences": wrong}))


def _flat(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _flat(item)
        else:
            yield item


main()
