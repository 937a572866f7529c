"""Sessions, locks, and who answers at the address."""

from __future__ import annotations

import base64
import threading

import pytest
import requests

from benchmarks.hitachi import POOL
from blockdrivers.errors import Busy, ConfigurationError
from blockdrivers.model import GiB
from conformance.simulation.family import Request
from tests.waiting import out_of_time


def test_sessions_that_ended_are_not_remembered(lab):
    started = lab()
    array = started.open(session_seconds=1)
    login = array.driver._client._transport._authenticator
    for _ in range(3):
        array.pools()
        started.array.family.expire_sessions()
    array.pools()
    assert len(login._ids) == 1


def test_what_another_session_has_locked_is_waited_for_and_nothing_else_is_held_up(lab):
    started = lab()
    array = started.open()
    token = started.raw("POST", "sessions", {}).json()["token"]
    service = started.array.ready["management"]["url"] + f"/v1/{started.array.ready['storage_id']}/services"
    path = f"{service}/resource-group-service/actions"
    headers = {"Authorization": f"Session {token}"}
    ca_file = started.array.ready["management"]["ca_file"]
    requests.put(f"{path}/lock/invoke", json={}, headers=headers, verify=ca_file, timeout=10)
    out_of_time(lambda seconds: array.create_volume("v1", GiB, POOL, timeout=seconds), lambda said: "locked" in said)
    assert array.pools()
    waiting = threading.Timer(0.5, lambda: requests.put(f"{path}/unlock/invoke", headers=headers, verify=ca_file, timeout=10))
    waiting.start()
    array.create_volume("v1", GiB, POOL)
    waiting.join()
    assert started.labels() == ["bdvl-v1"]


def test_a_full_session_table_is_waited_for(lab):
    started = lab()
    family = started.array.family
    basic = base64.b64encode(f"{family.username}:{family.password}".encode()).decode()
    path = f"/ConfigurationManager/v1/objects/storages/{family.storage_id}/sessions"
    # At the front end's other side: 65 TLS handshakes could take longer than the sessions last.
    login = Request("POST", path, headers={"authorization": f"Basic {basic}"}, body=b'{"aliveTime": 2}')
    assert [family.handle(login).status for _ in range(65)] == [200] * 64 + [503]
    assert started.open().create_volume("v1", GiB, POOL).size == GiB


def test_the_array_is_another_than_configured(lab):
    array = lab("VSP G370").open(storage_id="886000000001")
    with pytest.raises(ConfigurationError, match="storage_id"):
        array.pools(timeout=30)


def test_a_busy_server_has_done_nothing(lab):
    started = lab()
    driver = started.open().driver
    driver.pools()
    started.array.faults.add({"kind": "busy", "operation": "DELETE /ldevs/{id}"})
    volume = started.open().create_volume("v1", GiB, POOL)
    with pytest.raises(Busy, match="come back later"):
        driver.delete_volume(volume)
