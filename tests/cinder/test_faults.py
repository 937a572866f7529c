"""An array that fails under Cinder: what is asked of it comes true or ends in error, and nothing is doubled or left over."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest

from tests.cinder.lab.cloud import connector

STATES = "3.49"


@contextmanager
def fault(cloud, **wanted):
    made = cloud.array.faults.add(wanted)
    cloud.array.sync_faults()
    try:
        yield made
    finally:
        cloud.array.faults.clear()
        cloud.array.sync_faults()


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "session_expired", "busy", "http_503"])
def test_a_lost_answer_neither_loses_nor_doubles_a_volume(cloud, kind):
    with fault(cloud, kind=kind, operation="POST /lun") as met:
        volume = cloud.volume()
    assert met.hits == 1
    assert len(cloud.array.family.state()["volumes"]) == 1
    with fault(cloud, kind=kind, operation="DELETE /lun/*") as met:
        cloud.api.remove("volume", volume)
    assert met.hits == 1
    assert cloud.array.family.state()["volumes"] == []


def test_a_full_pool_ends_in_error_and_serves_again(cloud):
    with fault(cloud, kind="pool_full"):
        failed = cloud.volume(state="error", kind="thick")
    assert cloud.on_array(failed) is None
    cloud.api.remove("volume", failed)
    cloud.api.remove("volume", cloud.volume(kind="thick"))


def test_an_array_out_of_reach_is_reported_down_and_comes_back(cloud):
    volume = cloud.volume()
    with fault(cloud, kind="refuse", count=0):
        _state(cloud, "down")
        body = {"attachment": {"volume_uuid": volume, "connector": connector("cmp01")}}
        answer = cloud.api.ask("POST", "/attachments", body, micro="3.54")
        assert answer.status >= 400
    _state(cloud, "up")
    for attachment in cloud.api.get(f"/attachments?volume_id={volume}", micro="3.27")["attachments"]:
        cloud.api.delete(f"/attachments/{attachment['id']}", micro="3.27")
    cloud.api.act(volume, "os-reset_status", {"status": "available", "attach_status": "detached"})
    cloud.write(volume, b"again")
    assert cloud.read(volume, 5) == b"again"
    cloud.api.remove("volume", volume)


def _state(cloud, wanted):
    ends = time.monotonic() + 60
    while True:
        services = cloud.api.get("/os-services?binary=cinder-volume", micro=STATES)["services"]
        found = {service["host"]: service.get("backend_state") for service in services}
        if found["labhost@iscsi"] == wanted:
            return
        assert time.monotonic() < ends, found
        time.sleep(0.2)
