"""Real LUNs behind real portals, seen by initiators that are not ours."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys

import pytest

from conformance.simulation.dataplane import Identity
from conformance.simulation.iscsi.plane import IscsiPlane
from tests.simulation.initiator import Disk, MiB, access, inquiry, luns, naa, tool
from tests.waiting import until

ONE, TWO = "iqn.1994-05.org.example:one", "iqn.1994-05.org.example:two"
CHAP = ("chapuser", "secretsecret12")


def wwn(number: int) -> str:
    return f"6{0:015x}abcdef00{number:08x}"


@pytest.fixture
def plane():
    opened = IscsiPlane()
    identify(opened)
    yield opened
    opened.close()


def identify(plane, name="iqn.2006-08.com.huawei:test"):
    plane.identify(Identity("HUAWEI", "XSG1", {ip: f"{name}:{ip}" for ip in plane.addresses}))


def disk(plane, lun, initiator, *, portal=0, chap=None):
    listening = plane.portals[portal]
    return Disk(listening.name, f"iqn.2006-08.com.huawei:test:{listening.address[0]}", lun, initiator, chap)


def processes(plane):
    return [running._process.pid for running in plane._targets.values()]


def await_no_session(plane, initiator):
    """Wait until the portals have seen a program's sessions end: a target stays for as long as somebody is logged in."""
    until(lambda: not any(portal.serves(initiator) for portal in plane.portals))


def test_each_host_sees_its_own_luns_behind_one_name(plane):
    for number in (1, 2, 3):
        plane.create(wwn(number), number * 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE), access("0", wwn(2), 7, ONE), access("1", wwn(3), 1, TWO)])
    names = {f"iqn.2006-08.com.huawei:test:{ip}" for ip in plane.addresses}
    seen = luns(plane.portals[0].name, ONE)
    assert set(seen) == names
    assert all(units in ({1: "10M", 7: "20M"}, {1: "9M", 7: "19M"}) for units in seen.values()), seen
    assert [set(units) for units in luns(plane.portals[1].name, TWO).values()] == [{1}, {1}]
    assert luns(plane.portals[0].name, "iqn.1994-05.org.example:stranger") == {}


def test_the_identity_is_what_the_array_says(plane):
    plane.create(wwn(1), 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    iqn = f"iqn.2006-08.com.huawei:test:{plane.addresses[0]}"
    standard = inquiry(plane.portals[0].name, iqn, 1, ONE)
    assert (standard["Vendor"], standard["Product"]) == (["HUAWEI"], ["XSG1"])
    assert inquiry(plane.portals[0].name, iqn, 1, ONE, 0x80)["Unit Serial Number"] == [wwn(1)]
    assert [naa(portal.name, f"iqn.2006-08.com.huawei:test:{portal.address[0]}", 1, ONE) for portal in plane.portals] == [
        wwn(1)
    ] * 2
    assert wwn(1)[16:] in inquiry(plane.portals[0].name, iqn, 1, ONE, 0x83)["Designator"]


def test_bytes_go_both_ways_over_both_portals(plane):
    plane.create(wwn(1), 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE), access("1", wwn(1), 5, TWO)])
    disk(plane, 1, ONE).write(0x5A)
    assert disk(plane, 1, ONE, portal=1).holds(0x5A)
    assert disk(plane, 5, TWO).holds(0x5A)
    assert disk(plane, 5, TWO).holds(0, at=MiB)
    assert not disk(plane, 5, TWO).holds(0x5B)


def test_chap_is_demanded_and_a_wrong_secret_sees_nothing(plane):
    plane.create(wwn(1), 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE, chap=CHAP)])
    disk(plane, 1, ONE, chap=CHAP).write(1)
    for wrong in (None, (CHAP[0], "wrongwrong1234")):
        assert "uthentication" in disk(plane, 1, ONE, chap=wrong).io("read 0 512", status=1)
    plane.serve([access("0", wwn(1), 1, ONE)])
    assert disk(plane, 1, ONE).holds(1)


def test_what_is_taken_away_is_gone_and_the_rest_stays(plane):
    for number in (1, 2):
        plane.create(wwn(number), 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE), access("0", wwn(2), 2, ONE)])
    plane.serve([access("0", wwn(2), 2, ONE)])
    assert [set(units) for units in luns(plane.portals[0].name, ONE).values()] == [{2}, {2}]
    disk(plane, 1, ONE).io("read 0 512", status=1)
    await_no_session(plane, ONE)
    plane.serve([])
    assert luns(plane.portals[0].name, ONE) == {}
    assert processes(plane) == []


def test_a_lun_number_used_again_is_another_volume(plane):
    for number in (1, 2):
        plane.create(wwn(number), 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    disk(plane, 1, ONE).write(0x11)
    plane.serve([access("0", wwn(2), 1, ONE)])
    assert disk(plane, 1, ONE).holds(0)
    iqn = f"iqn.2006-08.com.huawei:test:{plane.addresses[0]}"
    assert inquiry(plane.portals[0].name, iqn, 1, ONE, 0x80)["Unit Serial Number"] == [wwn(2)]


def test_an_initiator_that_moves_to_another_host_sees_that_hosts_luns(plane):
    for number in (1, 2):
        plane.create(wwn(number), number * 16 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    plane.serve([access("0", wwn(1), 1, TWO), access("1", wwn(2), 9, ONE)])
    assert [set(units) for units in luns(plane.portals[0].name, ONE).values()] == [{9}, {9}]
    assert [set(units) for units in luns(plane.portals[0].name, TWO).values()] == [{1}, {1}]


def test_growing_and_reverting_are_seen_on_line(plane):
    plane.create(wwn(1), 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    disk(plane, 1, ONE).write(1)
    plane.snapshot([(wwn(1), wwn(2))])
    disk(plane, 1, ONE).write(2)
    plane.resize(wwn(1), 30 * MiB)
    assert disk(plane, 1, ONE).holds(0, at=29 * MiB)
    assert disk(plane, 1, ONE).holds(2)
    plane.copy(wwn(2), wwn(1))
    assert disk(plane, 1, ONE).holds(1)
    assert disk(plane, 1, ONE).holds(0, at=29 * MiB)


def test_a_snapshot_and_a_clone_keep_their_bytes(plane):
    plane.create(wwn(1), 10 * MiB)
    plane.create(wwn(3), 20 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE), access("0", wwn(2), 2, ONE), access("0", wwn(3), 3, ONE)])
    disk(plane, 1, ONE).write(1, at=5 * MiB)
    plane.snapshot([(wwn(1), wwn(2))])
    plane.copy(wwn(1), wwn(3))
    disk(plane, 1, ONE).write(2, at=5 * MiB)
    assert disk(plane, 2, ONE).holds(1, at=5 * MiB)
    assert disk(plane, 3, ONE).holds(1, at=5 * MiB)
    assert disk(plane, 3, ONE).holds(0, at=19 * MiB)
    disk(plane, 3, ONE).write(3, at=5 * MiB)
    assert disk(plane, 1, ONE).holds(2, at=5 * MiB)
    plane.exchange(wwn(1), wwn(3))
    assert disk(plane, 1, ONE).holds(3, at=5 * MiB)
    plane.delete(wwn(2))
    disk(plane, 2, ONE).io("read 0 512", status=1)


def test_copies_leave_holes_out(plane):
    plane.create(wwn(1), 2**40)
    plane.serve([access("0", wwn(1), 1, ONE)])
    disk(plane, 1, ONE).write(7, at=2**39)
    plane.snapshot([(wwn(1), wwn(2))])
    copied = plane._files.path(wwn(2)).stat()
    assert copied.st_size == 2**40
    assert copied.st_blocks * 512 < 8 * MiB


def test_a_cut_path_refuses_and_the_other_goes_on(plane):
    plane.create(wwn(1), 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    disk(plane, 1, ONE).write(9)
    plane.portals[0].cut()
    disk(plane, 1, ONE).io("read 0 512", status=1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(plane.portals[0].address, 5)
    assert disk(plane, 1, ONE, portal=1).holds(9)
    plane.portals[0].heal()
    assert disk(plane, 1, ONE).holds(9)
    with socket.create_connection(plane.portals[0].address, 5) as connection:
        connection.settimeout(0.3)
        # A host's first bytes may take their time.
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_two_arrays_stand_side_by_side(plane):
    with_second = IscsiPlane()
    try:
        assert not set(plane.addresses) & set(with_second.addresses)
        identify(with_second)
        for each, number in ((plane, 1), (with_second, 2)):
            each.create(wwn(number), 10 * MiB)
            each.serve([access("0", wwn(number), 1, ONE)])
            disk(each, 1, ONE).write(number)
        assert disk(plane, 1, ONE).holds(1)
        assert disk(with_second, 1, ONE).holds(2)
    finally:
        with_second.close()


def test_strangers_talk_does_no_harm(plane):
    host, port = plane.portals[0].address
    for talk in (b"GET / HTTP/1.1\r\n\r\n" * 3, b"\x43" + b"\xff" * 60, b"\x43" * 10):
        tool("python3", "-c", f"import socket; s = socket.create_connection(('{host}', {port})); s.sendall({talk!r}); s.close()")
    plane.create(wwn(1), 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    assert disk(plane, 1, ONE).holds(0)


def test_a_volume_beyond_what_the_file_system_holds(plane):
    plane.create(wwn(1), 2**44)
    plane.serve([access("0", wwn(1), 1, ONE)])
    disk(plane, 1, ONE).write(3)
    plane.resize(wwn(1), 2**46)
    assert disk(plane, 1, ONE).holds(3)
    disk(plane, 1, ONE).write(4, at=2**46 - MiB)
    plane.snapshot([(wwn(1), wwn(2))])
    plane.exchange(wwn(1), wwn(2))
    assert disk(plane, 1, ONE).holds(4, at=2**46 - MiB)


def test_targets_end_with_a_killed_array(tmp_path):
    script = (
        "import sys, signal; sys.path.insert(0, '.')\n"
        "from tests.simulation.test_iscsi_plane import *\n"
        "plane = IscsiPlane(); identify(plane); plane.create(wwn(1), MiB); plane.serve([access('0', wwn(1), 1, ONE)])\n"
        "print(*processes(plane), flush=True); signal.pause()\n"
    )
    environment = dict(os.environ) | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as process:
        pid = int(process.stdout.readline())
        descriptor = os.pidfd_open(pid)
        process.send_signal(signal.SIGKILL)
    try:
        assert select.select([descriptor], [], [], 10)[0], "the target outlived its array"
    finally:
        os.close(descriptor)
