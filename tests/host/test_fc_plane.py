"""LUNs of a simulated array over FC, as the kernel of a machine sees them whose FC ports reach the array's."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockdrivers import GiB, Host, MiB, Protocol, open_backend
from blockdrivers.backend import Backend
from blockdrivers.plugins import find_model
from conformance.simulation.fc import lio
from conformance.simulation.fc.fabric import FcTarget
from conformance.simulation.opening import open_array, write_config
from conformance.simulation.server import SimulatedArray
from tests.host.lab import network
from tests.host.lab.guest import Guest, Started

MODEL = "OceanStor 5500 V5"
SERVICE = f"{network.GUEST}:7000"
INITIATORS = ("2000525400fc0001", "2000525400fc0003")
PORTS = ("2000525400fc0002", "2000525400fc0004")
"""On controllers A and B; each reaches the initiator of the same place."""
FIRST, SECOND = Host("first", wwpns=INITIATORS[:1]), Host("second", wwpns=INITIATORS[1:])
BOTH = Host("both", wwpns=INITIATORS)

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
def target(guest: Guest) -> Iterator[list[Started]]:
    """The FC target services in the guest, one per boot; the last one runs."""
    started = [serve(guest)]
    yield started
    started[-1].stop()


@pytest.fixture(scope="module")
def fc_array(target: list[Started], share: Path) -> Iterator[SimulatedArray]:
    fc = FcTarget(f"http://{SERVICE}", PORTS, share)
    with open_array(find_model(MODEL), MODEL, fabric=INITIATORS, copy_seconds=0.05, fc=fc) as opened:
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


def serve(guest):
    """Start the FC target service and wait until it answers."""
    guest.put(Path(lio.__file__), "/root/lio.py")
    guest.write("/root/direct.py", DIRECT)
    started = guest.start(f"python3 /root/lio.py --listen {SERVICE} --files /share --fabric eth2:eth1 --fabric eth4:eth3")
    until(answers, "the FC target service answers", started.output)
    return started


def answers():
    try:
        socket.create_connection(SERVICE.split(":"), 5).close()
    except OSError:
        return False
    return True


def forget(guest):
    guest.run("for disk in /sys/block/sd*; do [ ! -e $disk ] || echo 1 > $disk/device/delete; done")


def disks(guest):
    """Scan; return (initiator WWPN, LUN) -> device."""
    found = guest.run(SCAN).stdout.split()
    return {(wwpn[2:], int(lun)): f"/dev/{name}" for wwpn, lun, name in zip(found[::3], found[1::3], found[2::3], strict=True)}


def write(guest, device, character, place=MiB):
    guest.run(["python3", "/root/direct.py", device, str(place), character])


def read(guest, device, place=MiB):
    return guest.run(["python3", "/root/direct.py", device, str(place)]).stdout


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
    assert fc_array.ready["data_plane"] == {"iscsi": True, "fc": True, "missing": None}
    assert fc_array.ready["ports"]["fc"] == list(PORTS)
    assert {port: up for port, up in control(fc_array, "GET", "/paths").items() if port in PORTS} == dict.fromkeys(PORTS, True)


def test_a_lun_is_there_for_the_mapped_initiator_alone_with_the_arrays_identity(backend, guest):
    one, two = exported(backend, "one"), exported(backend, "two", SECOND)
    three = exported(backend, "three", FIRST)
    seen = disks(guest)
    assert set(seen) == {(INITIATORS[0], one.lun), (INITIATORS[0], three.lun), (INITIATORS[1], two.lun)}
    for key, export in (((INITIATORS[0], one.lun), one), ((INITIATORS[1], two.lun), two), ((INITIATORS[0], three.lun), three)):
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
    assert set(seen) == {(wwpn, export.lun) for wwpn in INITIATORS}
    one, other = seen.values()
    write(guest, one, "a")
    assert kept(fc_array, export.wwn) == "a"
    assert read(guest, other) == "a"


def test_copies_have_what_was_written_and_what_is_put_back_is_read(backend, guest, fc_array):
    export = exported(backend, "one")
    disk = disks(guest)[INITIATORS[0], export.lun]
    write(guest, disk, "a")
    backend.create_snapshot("moment", "one")
    backend.clone_volume("clone", "one")
    write(guest, disk, "b")
    assert kept(fc_array, export.wwn) == "b"
    clone = backend.export("clone", FIRST, Protocol.FC)
    assert read(guest, disks(guest)[INITIATORS[0], clone.lun]) == "a"
    write(guest, disk, "c", 8 * MiB)
    backend.revert_volume("one", "moment", force=True)
    assert read(guest, disk) == "a"
    assert read(guest, disk, 8 * MiB) == "\0"


def test_a_copy_holds_requests_up_and_loses_none(backend, guest, fc_array):
    export = exported(backend, "one")
    disk = disks(guest)[INITIATORS[0], export.lun]
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
    disk = disks(guest)[INITIATORS[0], export.lun]
    with fc_array.plane._fabric._connected() as connection:
        fc_array.plane._fabric._ask(connection, "PUT", "/frozen", {"wwns": [export.wwn]})
    write(guest, disk, "z")
    assert kept(fc_array, export.wwn) == "z"


def test_growing_is_seen_on_line(backend, guest):
    export = exported(backend, "one")
    disk = disks(guest)[INITIATORS[0], export.lun]
    write(guest, disk, "a")
    backend.extend_volume("one", 3 * GiB)
    name = disk.removeprefix("/dev/")
    guest.run(f"echo 1 > /sys/block/{name}/device/rescan")
    assert int(guest.run(f"cat /sys/block/{name}/size").stdout) * 512 == 3 * GiB
    write(guest, disk, "e", 3 * GiB - MiB)
    assert (read(guest, disk), read(guest, disk, 3 * GiB - MiB)) == ("a", "e")


def test_what_is_taken_away_is_gone_and_its_number_used_again_leads_to_the_new_volume(backend, guest, fc_array):
    old = exported(backend, "old")
    disk = disks(guest)[INITIATORS[0], old.lun]
    write(guest, disk, "o")
    # What udev asks of a disk that was written to would make the kernel forget the size of one that is gone by then.
    guest.run("udevadm settle")
    backend.unexport("old", FIRST, Protocol.FC)
    assert guest.run(["python3", "/root/direct.py", disk, str(MiB)], check=False).returncode != 0
    new = exported(backend, "new")
    assert new.lun == old.lun
    write(guest, disk, "n")
    assert (kept(fc_array, old.wwn), kept(fc_array, new.wwn)) == ("o", "n")
    assert new.wwn in guest.run(["sg_inq", "--page=0x83", disk]).stdout
    backend.unexport("new", FIRST, Protocol.FC)
    forget(guest)
    assert disks(guest) == {}
    assert guest.run("dmsetup ls --target linear; losetup --list").stdout.split() == ["No", "devices", "found"]


def test_a_cut_port_is_a_dead_path_and_comes_back_with_its_luns(backend, guest, fc_array):
    export = exported(backend, "one", BOTH)
    seen = disks(guest)
    guest.run("for port in /sys/class/fc_remote_ports/*; do echo 3 > $port/fast_io_fail_tmo; done")
    assert control(fc_array, "PUT", "/paths", {"portal": PORTS[0], "up": False})[PORTS[0]] is False
    until(lambda: port_state(guest, PORTS[0]) == "Blocked", "the port is gone", lambda: port_state(guest, PORTS[0]))
    dead, alive = (seen[wwpn, export.lun] for wwpn in INITIATORS)
    assert guest.run(["python3", "/root/direct.py", dead, str(MiB), "d"], check=False).returncode != 0
    write(guest, alive, "a")
    assert kept(fc_array, export.wwn) == "a"
    control(fc_array, "PUT", "/paths", {"portal": PORTS[0], "up": True})
    until(lambda: port_state(guest, PORTS[0]) == "Online", "the port is back", lambda: port_state(guest, PORTS[0]))
    until(lambda: (INITIATORS[0], export.lun) in disks(guest), "the LUN is back")
    assert read(guest, disks(guest)[INITIATORS[0], export.lun]) == "a"


def test_a_port_is_cut_and_healed_under_load(backend, guest, fc_array):
    export = exported(backend, "one")
    disk = disks(guest)[INITIATORS[0], export.lun]
    load = guest.start(f"while :; do dd if=/dev/zero of={disk} bs=64k count=1000 oflag=direct; done")
    for _ in range(3):
        control(fc_array, "PUT", "/paths", {"portal": PORTS[0], "up": False})
        until(lambda: port_state(guest, PORTS[0]) == "Blocked", "the port is gone", lambda: port_state(guest, PORTS[0]))
        control(fc_array, "PUT", "/paths", {"portal": PORTS[0], "up": True})
        until(lambda: port_state(guest, PORTS[0]) == "Online", "the port is back", lambda: port_state(guest, PORTS[0]))
    load.stop()
    write(guest, disks(guest)[INITIATORS[0], export.lun], "a")
    assert kept(fc_array, export.wwn) == "a"
    assert guest.run("dmesg | grep -E 'BUG|Oops|Call Trace|blocked for more'", check=False).stdout == ""


def test_a_lost_controller_takes_its_port(backend, guest, fc_array):
    exported(backend, "one", BOTH)
    control(fc_array, "POST", "/faults", {"kind": "failover", "operation": "*"})
    backend.list_volumes()
    (lost,) = (port for port in PORTS if not control(fc_array, "GET", "/paths")[port])
    until(lambda: port_state(guest, lost) == "Blocked", "the port of the lost controller is gone")
    assert [port_state(guest, port) for port in PORTS if port != lost] == ["Online"]
    control(fc_array, "DELETE", "/faults")
    until(lambda: port_state(guest, lost) == "Online", "the port of the lost controller is back")


def test_the_array_goes_on_while_the_machine_is_off_and_shows_its_luns_again_afterwards(backend, guest, fc_array, target):
    export = exported(backend, "one")
    gone = exported(backend, "gone")
    write(guest, disks(guest)[INITIATORS[0], export.lun], "a")
    guest.reboot()
    backend.unexport("gone", FIRST, Protocol.FC)
    target.append(serve(guest))
    control(fc_array, "PUT", "/paths", {"portal": PORTS[0], "up": True})
    seen = disks(guest)
    assert set(seen) == {(INITIATORS[0], export.lun)}
    assert gone.lun != export.lun
    assert read(guest, seen[INITIATORS[0], export.lun]) == "a"
