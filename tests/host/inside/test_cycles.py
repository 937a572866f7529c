"""Many attachments one after the other: nothing stays behind, and what each part of one takes is written down."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import pytest
from nfs_array import POOL, NfsArray

from blockdrivers import Backend, GiB, Protocol
from blockdrivers.host import brick, shares
from blockdrivers.host.place import Place
from conformance.suite import machine

CYCLES = {Protocol.ISCSI: 15, Protocol.FC: 20, Protocol.NFS: 25}
PATHS = {Protocol.ISCSI: 2, Protocol.FC: 2, Protocol.NFS: 0}
ALONE = 3


@pytest.fixture
def files(told, host):
    with Backend(NfsArray(Path(told["nfs_folder"]), told["nfs_export"]), "files") as backend:
        backend.create_volume("cycle", GiB, POOL.name)
        yield backend
        backend.detach("cycle", Protocol.NFS, host)
        backend.delete_volume("cycle")


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("protocol", [Protocol.ISCSI, Protocol.FC])
def test_cycles_of_a_lun_leave_nothing_behind(backend, host, volume, protocol):
    cycle(backend, volume("cycle"), host, protocol)


def test_cycles_of_a_file_leave_nothing_behind(files, host):
    cycle(files, "cycle", host, Protocol.NFS)


def cycle(backend, name, host, protocol):
    backend.detach(name, protocol, host)
    brick.start()
    before, opened, taken = machine.remains(), open_files(), []
    for number in range(CYCLES[protocol]):
        began = time.monotonic()
        made = backend.attach(name, protocol, host)
        attached = time.monotonic()
        assert len(made.paths) == PATHS[protocol], f"attachment {number}: {made}"
        backend.detach(name, protocol, host)
        assert machine.remains() == before, f"after cycle {number}"
        taken.append({"attach": attached - began, **made.seconds, "detach": time.monotonic() - attached})
    assert open_files() <= opened + 2, "open files have become more"
    figures = {part: median(item[part] for item in taken) for part in taken[0]}
    print("MEASURED", protocol.value, json.dumps(figures | os_brick_alone(backend, name, host, protocol)))


def os_brick_alone(backend, name, host, protocol):
    """Seconds of its connect and disconnect for the same export, in processes of the same kind."""
    export = backend.export(name, host, protocol)
    request = shares.ShareFile(export).request() if protocol is Protocol.NFS else Place(export, multipath=True).request()
    connects, disconnects = [], []
    for _ in range(ALONE):
        began = time.monotonic()
        info = brick.call("connect", **request)
        connected = time.monotonic()
        brick.call("disconnect", info=info, force=False, **request)
        connects.append(connected - began)
        disconnects.append(time.monotonic() - connected)
    backend.detach(name, protocol, host)
    return {"os-brick connect": median(connects), "os-brick disconnect": median(disconnects)}


def median(values):
    return round(statistics.median(values), 2)
