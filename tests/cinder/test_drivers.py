"""FC zones, NFS shares and forced detachments: no fabric and no share is here, so a stand-in for `Backend` answers."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.cinder.conftest import INSIDE

ZONE = {"21000024ff000001": ["50000000000000aa"]}
HOST = ["cmp01", "iqn.1994-05.org.example:cmp01", ["21000024ff000001"]]


@pytest.fixture(scope="module")
def seen(cinder_python):
    command = [str(cinder_python), "-W", "ignore", str(INSIDE / "drivers.py")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_a_zone_goes_with_the_last_volume_of_a_host_on_this_back_end(seen):
    assert seen["last"] == {"added": [ZONE], "removed": [ZONE], "unexported": [HOST]}
    assert seen["elsewhere"] == seen["untold"] == seen["last"]


def test_a_zone_that_another_volume_needs_stays(seen):
    assert seen["not last"] == {"added": [ZONE], "removed": [], "unexported": [HOST]}
    assert seen["untold, not last"] == seen["not last"]


def test_a_detachment_without_a_connector_takes_the_volume_from_every_host(seen):
    assert seen["forced"] == [["cmp01", None, []], ["cmp02", None, []]]


def test_an_array_that_does_not_tell_is_told_from_whom_by_cinders_own_attachments(seen):
    assert seen["forced, untold"] == [HOST]


def test_an_nfs_volume_is_a_file_in_a_share_with_the_options_of_its_section(seen):
    data = seen["nfs"]["data"]
    assert (data["export"], data["name"], data["options"]) == ("192.0.2.9:/share", "bdvu-x", "-o vers=4.1")
    assert (seen["nfs"]["driver_volume_type"], seen["nfs"]["mount_point_base"]) == ("nfs", "/mnt/base")
    assert data["volume_id"] == "u"


def test_a_volume_without_a_type_asks_for_nothing_that_an_array_may_not_have(seen):
    assert seen["plain"] == [["n", 1024**3, "pool"], {"thin": None, "qos": None}]
