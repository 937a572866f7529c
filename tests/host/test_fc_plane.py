"""LUNs of a simulated array over FC, as the kernel of a machine sees them whose FC ports reach the array's."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockdrivers import GiB, Host, MiB, Protocol, open_backend
from blockdrivers.backend import Backend
from blockdrivers.plugins import find_model
from conformance.simulation.fc.fabric import FcTarget
from conformance.simulation.opening import open_array, write_config
from conformance.simulation.server import SimulatedArray
from tests.host.lab import fc
from tests.host.lab.guest import Guest

MODEL = "OceanStor 5500 V5"
FIRST, SECOND = Host("first", wwpns=fc.INITIATORS[:1]), Host("second", wwpns=fc.INITIATORS[1:])
BOTH = Host("both", wwpns=fc.INITIATORS)

SCAN = """
for host in /sys/class/fc_host/host*; do echo "- - -" >/sys/class/scsi_host/${host##*/}/scan; done
for unit in /sys/class/scsi_device/*; do
    [ -e $unit ] || continue
    for try in $(seq 100); do [ -e $unit/device/block ] && break; sleep 0.1; done
    address=${unit##*/}
    echo $(cat /sys/class/fc_host/host${address%%:*}/port_name) ${address##*:} $(ls $unit/device/block)
done
"""
"""Has every port look for LUNs, and prints which disks there are: the initiator's WWPN, the LUN, the disk's name."""
DIRECT = """
import mmap, os, sys
device, place, block = sys.argv[1], int(sys.argv[2]), mmap.mmap(-1, 4096)
disk = os.open(device, (os.O_RDWR if len(sys.argv) > 3 else os.O_RDONLY) | os.O_DIRECT)
if len(sys.argv) > 3:
    block.write(sys.argv[3].encode() * 4096)
    os.pwrite(disk, block, place)
    os.fsync(disk)
else:
    os.preadv(disk, [block], place)
    print("".join(sorted({chr(byte) for byte in block[:]})), end="")
"""
"""Writes 4096 times a character around the page cache, or reads which characters are there."""


@pytest.fixture(scope="module")
def fc_array(guest: Guest, share: Path) -> Iterator[SimulatedArray]:
    guest.write("/opt/lab/direct.py", DIRECT)
    target = FcTarget(f"http://{fc.SERVICE}", fc.PORTS, share)
    with open_array(find_model(MODEL), MODEL, fabric=fc.INITIATORS, copy_seconds=0.05, fc=target) as opened:
        yield opened


@pytest.fixture
def backend(fc_array: SimulatedArray, guest: Guest, tmp_path: Path) -> Iterator[Backend]:
    fc_array.reset()
    with open_backend(write_config(tmp_path, find_model(MODEL), fc_array.ready)) as opened:
        yield opened
    forget(guest)


def until(condition, what, said=lambda: ""):
    """Wait for what has no event in the guest that could be waited for."""
    ending = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < ending, f"not within 90 s: {what} {said()}"
        time.sleep(0.1)


def forget(guest):
    guest.run("for disk in /sys/block/sd*; do [ ! -e $disk ] || echo 1 > $disk/device/delete; done")


def disks(guest):
    """Scan; return (initiator WWPN, LUN) -> device."""
    found = guest.run(SCAN).stdout.split()
    return {(wwpn[2:], int(lun)): f"/dev/{name}" for wwpn, lun, name in zip(found[::3], found[1::3], found[2::3], strict=True)}


def write(guest, device, character, place=MiB):
    guest.run(["python3", "/opt/lab/direct.py", device, str(place), character])


def read(guest, device, place=MiB):
    return guest.run(["python3", "/opt/lab/direct.py", device, str(place)]).stdout


def file_of(array, wwn):
    return array.plane._iscsi.files.path(wwn)


def kept(array, wwn, place=MiB):
    """Return which characters the array's own file has at a place."""
    with file_of(array, wwn).open("rb") as file:
        file.seek(place)
        return "".join(sorted({chr(byte) for byte in file.read(4096)}))


def control(array, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(array.ready["control"] + path, data, method=method), timeout=60) as answer:
        return json.load(answer)


def exported(backend, volume, host=FIRST):
    backend.create_volume(volume, GiB, "pool_a")
    return backend.export(volume, host, Protocol.FC)


def port_state(guest, port):
    """Return what initiators know of a target port: Online, Blocked, Not Present; nothing where they know none."""
    command = (
        f"grep -l 0x{port} /sys/class/fc_remote_ports/*/port_name | while read name; do cat $(dirname $name)/port_state; done"
    )
    return guest.run(command).stdout.strip()


def test_the_array_says_that_it_serves_fc_and_where(fc_array):
    assert fc_array.ready["data_plane"] == {"iscsi": True, "fc": True, "nfs": False, "missing": None}
    assert fc_array.ready["ports"]["fc"] == list(fc.PORTS)
    assert {port: up for port, up in control(fc_array, "GET", "/paths").items() if port in fc.PORTS} == dict.fromkeys(
        fc.PORTS, True
    )


def test_a_lun_is_there_for_the_mapped_initiator_alone_with_the_arrays_identity(backend, guest):
    one, two = exported(backend, "one"), exported(backend, "two", SECOND)
    three = exported(backend, "three", FIRST)
    seen = disks(guest)
    assert set(seen) == {(fc.INITIATORS[0], one.lun), (fc.INITIATORS[0], three.lun), (fc.INITIATORS[1], two.lun)}
    for key, export in (
        ((fc.INITIATORS[0], one.lun), one),
        ((fc.INITIATORS[1], two.lun), two),
        ((fc.INITIATORS[0], three.lun), three),
    ):
        name = seen[key].removeprefix("/dev/")
        assert guest.run(f"cat /sys/block/{name}/device/wwid").stdout.strip() == f"naa.{export.wwn}"
        said = guest.run(f"sg_inq /dev/{name}").stdout
        assert "HUAWEI" in said
        assert "XSG1" in said
        assert f"Unit serial number: {export.wwn[7:]}" in said
        assert int(guest.run(f"cat /sys/block/{name}/size").stdout) * 512 == GiB


def test_both_paths_lead_to_the_same_bytes_which_are_the_arrays_own_at_once(backend, guest, fc_array):
    export = exported(backend, "one", BOTH)
    seen = disks(guest)
    assert set(seen) == {(wwpn, export.lun) for wwpn in fc.INITIATORS}
    one, other = seen.values()
    write(guest, one, "a")
    assert kept(fc_array, export.wwn) == "a"
    assert read(guest, other) == "a"


def test_copies_have_what_was_written_and_what_is_put_back_is_read(backend, guest, fc_array):
    export = exported(backend, "one")
    disk = disks(guest)[fc.INITIATORS[0], export.lun]
    write(guest, disk, "a")
    backend.create_snapshot("moment", "one")
    backend.clone_volume("clone", "one")
    write(guest, disk, "b")
    assert kept(fc_array, export.wwn) == "b"
    clone = backend.export("clone", FIRST, Protocol.FC)
    assert read(guest, disks(guest)[fc.INITIATORS[0], clone.lun]) == "a"
    write(guest, disk, "c", 8 * MiB)
    backend.revert_volume("one", "moment", force=True)
    assert read(guest, disk) == "a"
    assert read(guest, disk, 8 * MiB) == "\0"


def test_a_copy_holds_requests_up_and_loses_none(backend, guest, fc_array):
    export = exported(backend, "one")
    disk = disks(guest)[fc.INITIATORS[0], export.lun]
    plane = fc_array.plane
    with plane._fabric.frozen([export.wwn]):
        writing = threading.Thread(target=write, args=(guest, disk, "w"))
        writing.start()
        writing.join(3)
        assert writing.is_alive()
        assert kept(fc_array, export.wwn) == "\0"
    writing.join(30)
    assert not writing.is_alive()
    assert kept(fc_array, export.wwn) == "w"


def test_an_array_that_dies_while_it_copies_holds_nobody_up(backend, guest, fc_array):
    export = exported(backend, "one")
    disk = disks(guest)[fc.INITIATORS[0], export.lun]
    with fc_array.plane._fabric._connected() as connection:
        fc_array.plane._fabric._ask(connection, "PUT", "/frozen", {"wwns": [export.wwn]})
    write(guest, disk, "z")
    assert kept(fc_array, export.wwn) == "z"


def test_a_port_is_cut_and_healed_under_load(backend, guest, fc_array):
    export = exported(backend, "one")
    disk = disks(guest)[fc.INITIATORS[0], export.lun]
    guest.run("dmesg --clear")
    load = guest.start(f"while :; do dd if=/dev/zero of={disk} bs=64k count=1000 oflag=direct; done")
    for _ in range(3):
        control(fc_array, "PUT", "/paths", {"portal": fc.PORTS[0], "up": False})
        until(lambda: port_state(guest, fc.PORTS[0]) == "Blocked", "the port is gone", lambda: port_state(guest, fc.PORTS[0]))
        control(fc_array, "PUT", "/paths", {"portal": fc.PORTS[0], "up": True})
        until(lambda: port_state(guest, fc.PORTS[0]) == "Online", "the port is back", lambda: port_state(guest, fc.PORTS[0]))
    load.stop()
    write(guest, disks(guest)[fc.INITIATORS[0], export.lun], "a")
    assert kept(fc_array, export.wwn) == "a"
    # The initiator's I/O scheduler may warn that it counted wrongly (mq-deadline, Linux 6.1): that is not the target's doing.
    trouble = "BUG|Oops|general protection|blocked for more"
    assert guest.run(f"dmesg | grep -E -A 40 '{trouble}'", check=False).stdout == ""


def test_the_array_goes_on_while_the_machine_is_off_and_shows_its_luns_again_afterwards(backend, guest, fc_array):
    export = exported(backend, "one")
    gone = exported(backend, "gone")
    write(guest, disks(guest)[fc.INITIATORS[0], export.lun], "a")
    guest.kill()
    backend.unexport("gone", FIRST, Protocol.FC)
    guest.boot()
    guest.write("/opt/lab/direct.py", DIRECT)
    control(fc_array, "PUT", "/paths", {"portal": fc.PORTS[0], "up": True})
    seen = disks(guest)
    assert set(seen) == {(fc.INITIATORS[0], export.lun)}
    assert gone.lun != export.lun
    assert read(guest, seen[fc.INITIATORS[0], export.lun]) == "a"
