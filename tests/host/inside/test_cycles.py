"""Many attachments one after the other: nothing stays behind, and what each part of one takes is written down."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import pytest

from blockdrivers import Protocol
from blockdrivers.host import brick, luns
from conformance.suite import machine

CYCLES = {Protocol.ISCSI: 25, Protocol.FC: 25}
ALONE = 3


def median(values):
    return round(statistics.median(values), 2)


@pytest.mark.parametrize("protocol", list(CYCLES))
def test_fifty_cycles_leave_nothing_behind(backend, host, volume, protocol):
    name = volume(f"cycle-{protocol}")
    before, files = machine.remains(), len(list(Path("/proc/self/fd").iterdir()))
    attached, detached, parts = [], [], []
    for number in range(CYCLES[protocol]):
        started = time.monotonic()
        made = backend.attach(name, protocol, host)
        attached.append(time.monotonic() - started)
        parts.append(made.seconds)
        assert len(made.paths) == 2, f"attachment {number} has {len(made.paths)} paths: {made}"
        started = time.monotonic()
        backend.detach(name, protocol, host)
        detached.append(time.monotonic() - started)
        assert machine.remains() == before, f"after cycle {number}"
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 2, "open files have become more"
    alone = os_brick_alone(backend, name, host, protocol)
    figures = {
        "protocol": protocol.value,
        "cycles": CYCLES[protocol],
        "attach": median(attached),
        "of it": {part: median(item[part] for item in parts) for part in ("array", "host", "identity")},
        "detach": median(detached),
        "os-brick alone": alone,
    }
    print("MEASURED", json.dumps(figures))


def os_brick_alone(backend, name, host, protocol):
    """Seconds of its connect and disconnect for the same export, in the same processes."""
    export = backend.export(name, host, protocol)
    common = {"protocol": luns.CONNECTORS[protocol], "multipath": True, "properties": luns.properties(export)}
    connects, disconnects = [], []
    for _ in range(ALONE):
        started = time.monotonic()
        info = brick.call("connect", **common)
        connects.append(time.monotonic() - started)
        started = time.monotonic()
        brick.call("disconnect", info=info, force=False, **common)
        disconnects.append(time.monotonic() - started)
    return {"connect": median(connects), "disconnect": median(disconnects)}
