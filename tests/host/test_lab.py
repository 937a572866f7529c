"""The lab itself: what the other tests here stand on."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

from tests.host.lab import network
from tests.host.lab.guest import FC_SEGMENTS, GuestTimeout
from tests.host.lab.processes import LabError
from tests.host.lab.project import CONFIG, configure
from tests.simulation.initiator import Disk

INITIATOR = "iqn.2026-11.test.blockdrivers:guest"
MiB = 1024**2
WHERE = 3 * MiB


BEGIN = """
import sys
from blockdrivers.config import open_backend
from blockdrivers.model import Host, Protocol
with open_backend(sys.argv[1]) as backend:
    backend.create_volume("lab", 2**30, sys.argv[2])
    print(backend.export("lab", Host("guest", iqn=sys.argv[3]), Protocol.ISCSI).lun)
"""
END = """
import sys
from blockdrivers.config import open_backend
from blockdrivers.model import Protocol
with open_backend(sys.argv[1]) as backend:
    backend.unexport("lab", "guest", Protocol.ISCSI)
    backend.delete_volume("lab")
"""


@pytest.fixture
def lun(guest, array):
    """The LUN of a volume that the guest may use, with nothing of it left afterwards."""
    yield int(guest.run(["python3", "-c", BEGIN, CONFIG, array["pools"][0], INITIATOR], timeout=120).stdout)
    guest.run("iscsiadm -m node --logout; iscsiadm -m node -o delete", check=False)
    guest.run(["python3", "-c", END, CONFIG], timeout=120)


def test_it_is_no_other_s_network():
    with pytest.raises(LabError, match="make test-host"):
        network.bring_up()


def test_a_command_says_how_it_ended(guest):
    ended = guest.run("cat; echo trouble >&2; exit 3", input="spoken", check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "spoken", "trouble\n")


def test_a_command_ends_in_time_and_so_does_what_it_started(guest):
    with pytest.raises(GuestTimeout, match="said this"):
        guest.run("echo said this; sleep 4711 & sleep 4711", timeout=3)
    assert guest.run("pgrep -f 'sleep 471[1]'", check=False).returncode == 1


def test_a_program_runs_in_the_background_until_it_is_stopped(guest):
    started = guest.start("echo begun; sleep 4712; echo never")
    assert guest.run(["ps", "-o", "args=", "-p", str(started.pid)]).stdout.startswith("bash -c echo begun")
    started.stop()
    assert started.output() == "begun\n"
    assert guest.run("pgrep -f 'sleep 471[2]'", check=False).returncode == 1


def test_files_and_folders_go_there_and_back(guest, tmp_path):
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_bytes(bytes(range(256)))
    (tmp_path / "tree" / "program").write_text("#!/bin/sh\necho run\n")
    (tmp_path / "tree" / "program").chmod(0o750)
    guest.put(tmp_path / "tree", "/root/a tree")
    assert guest.run(["/root/a tree/program"]).stdout == "run\n"
    guest.get("/root/a tree", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "file").read_bytes() == bytes(range(256))
    guest.put(tmp_path / "tree" / "program", "/root/elsewhere/program")
    guest.get("/root/elsewhere/program", tmp_path / "program")
    assert (tmp_path / "program").read_text() == "#!/bin/sh\necho run\n"
    assert guest.run("stat -c '%a %U' /root/elsewhere/program").stdout == "750 root\n"


def test_a_folder_is_shared(guest, share):
    (share / "from-here").write_text("here")
    guest.run("cat /share/from-here >/share/from-there")
    assert (share / "from-there").read_text() == "here"


def test_a_file_of_this_side_can_be_a_disk_of_the_guest(guest, share):
    with (share / "disk").open("wb") as file:
        file.truncate(8 * MiB)
    guest.run(
        "device=$(losetup --find --show /share/disk) && printf lab | dd of=$device bs=1M seek=3 conv=fsync && losetup -d $device"
    )
    assert (share / "disk").read_bytes()[WHERE : WHERE + 3] == b"lab"


def test_the_clock_is_right(guest):
    """A wrongly measured clock runs several times too fast, and every timeout in the guest with it."""

    def uptime():
        before = time.monotonic()
        return before, float(guest.run("cat /proc/uptime").stdout.split()[0]), time.monotonic()

    earliest, began, latest = uptime()
    guest.run("sleep 3")
    earlier, ended, later = uptime()
    assert earlier - latest - 0.1 < ended - began < later - earliest + 0.1


def test_the_project_has_its_models_and_its_commands(guest):
    rows = json.loads(guest.run("blockdrivers models --json", timeout=120).stdout)
    assert "huawei-oceanstor" in {row["adapter"] for row in rows}
    assert guest.run("python3 -m blockdrivers.cli.main certify --help", timeout=120).stdout.startswith("Usage")
    assert guest.run("python3 -c 'import sys, conformance; print(conformance.__file__)'").stdout.startswith("/opt/project/")


def test_the_conformance_suite_can_be_loaded(guest):
    said = guest.run("cd /opt/project && python3 -m pytest -p conformance.suite.plugin --help", timeout=120).stdout
    assert "--timeout" in said


def test_os_brick_knows_the_guest(guest):
    script = """
import json
from os_brick import privileged
from os_brick.initiator import connector
privileged.default.set_client_mode(False)
print(json.dumps(connector.get_connector_properties("sudo", "192.0.2.2", False, False)))
"""
    properties = json.loads(guest.run(["python3", "-"], input=script, timeout=120).stdout)
    assert (properties["initiator"], properties["ip"]) == (INITIATOR, network.GUEST)


def test_the_guest_reaches_the_control_api_at_the_array_s_own_url(guest, array):
    fetch = f"import urllib.request; print(urllib.request.urlopen({array['control']!r} + '/paths').read().decode())"
    with urllib.request.urlopen(f"{array['control']}/paths") as answer:
        assert json.loads(guest.run(["python3", "-c", fetch]).stdout) == json.load(answer)


def test_a_volume_is_reached_at_both_portals(guest, array, lun):
    portals = {portal["portal"]: portal["iqn"] for portal in array["iscsi"]}
    discovered = guest.run(f"iscsiadm -m discovery -t sendtargets -p {network.PORTALS[0]}").stdout
    assert {line.partition(",")[0]: line.split()[1] for line in discovered.splitlines()} == portals
    guest.run("iscsiadm -m node --login && udevadm settle", timeout=120)
    for number, (portal, iqn) in enumerate(portals.items()):
        disk = f"/dev/disk/by-path/ip-{portal}-iscsi-{iqn}-lun-{lun}"
        guest.run(
            f"tr '\\0' '\\{141 + number}' </dev/zero | dd of={disk} bs=1M seek={number} count=1 iflag=fullblock oflag=direct"
        )
        assert Disk(portal, iqn, lun, INITIATOR).holds(0o141 + number, at=number * MiB)


def test_an_nfs_export_is_mounted(guest, nfs):
    export, folder = nfs
    guest.run(f"mkdir -p /mnt/nfs && mount -t nfs4 {export} /mnt/nfs")
    guest.run("echo there >/mnt/nfs/file && sync")
    assert (folder / "file").read_text() == "there\n"
    guest.run("umount /mnt/nfs")


def test_fc_cards_are_in_the_guest(guest):
    guest.run("modprobe -a e1000e fcoe tcm_fc target_core_iblock && udevadm settle")
    cards = guest.run("cat /sys/class/net/eth[1-4]/address").stdout.split()
    assert cards == [mac for segment in FC_SEGMENTS for mac in segment]


def test_multipathd_starts_and_stops(guest):
    guest.run("host-programs multipath")
    guest.run("host-programs no-path-retry fail")
    assert 'no_path_retry "fail"' in guest.run("multipathd show config local").stdout
    guest.run("host-programs no-multipath")
    assert guest.run("pgrep -x multipathd", check=False).returncode == 1


def test_after_a_power_cut_the_guest_is_as_new_and_what_it_had_attached_is_found(guest, array):
    options = f"--protocol iscsi --host guest --iqn {INITIATOR}"
    guest.run(f"blockdrivers volume create cut --size 1GiB --pool {array['pools'][0]}", timeout=120)
    assert json.loads(guest.run(f"blockdrivers attach cut {options} --json", timeout=240).stdout)["path"].startswith("/dev/")
    guest.run("touch /root/lost && sync")
    guest.reboot()
    configure(guest, array)
    assert guest.run("test -e /root/lost", check=False).returncode == 1
    doctor = "blockdrivers doctor --host --host-name guest --json"
    found = json.loads(guest.run(doctor, timeout=240).stdout)
    trouble = [finding for finding in found if finding["status"] != "ok"]
    assert [(finding["check"], finding["subject"]) for finding in trouble] == [("export without a device", "cut")]
    guest.run("blockdrivers detach cut --protocol iscsi --host guest", timeout=240)
    assert all(finding["status"] == "ok" for finding in json.loads(guest.run(doctor, timeout=240).stdout))
    guest.run("blockdrivers volume delete cut", timeout=120)
