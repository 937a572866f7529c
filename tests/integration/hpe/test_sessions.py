"""Session keys and connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.errors import LoginRefused
from blockdrivers.model import GiB, Protocol
from tests.integration.hpe.lab import ISCSI, POOL
from tests.waiting import Clock, out_of_time


def test_a_wrong_password_is_asked_once(lab):
    started = lab()
    array = started.open(password="wrong")
    for _ in range(3):
        with pytest.raises(LoginRefused):
            array.pools()
    assert len(started.operations()) == 1


def test_keys_are_shared_given_back_and_taken_again(lab):
    clock = Clock()
    started = lab(session_seconds=900, clock=clock)
    array = started.open()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: array.system(), range(8)))
    assert started.array.family.state()["sessions"] == 1
    clock.advance(901)
    array.system()
    assert started.operations().count("POST /credentials") == 2
    array.close()
    assert started.array.family.state()["sessions"] == 0


def test_an_array_without_a_key_to_give_says_so(lab):
    started = lab(max_sessions=1)
    first, second = started.open(), started.open()
    first.system()
    out_of_time(lambda seconds: second.system(timeout=seconds), lambda said: "session key" in said)
    first.close()
    assert second.system().vendor == "HPE"


def test_an_interface_that_ends_every_connection_is_served(lab):
    started = lab(closes=True)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    assert array.export("v", ISCSI, Protocol.ISCSI).lun == 1
    array.delete_volume("v", force=True)
