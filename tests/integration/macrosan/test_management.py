"""Which service processor serves management, and what passwords it is sent."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from benchmarks.macrosan import POOL
from blockdrivers.errors import LoginRefused, Unreachable
from blockdrivers.model import GiB, Health


@pytest.mark.parametrize(
    ("states", "health", "answering"),
    [
        (("double", "double"), Health.NORMAL, "A"),
        (("single", "faulty"), Health.DEGRADED, "A"),
        (("idle", "single"), Health.DEGRADED, "B"),
        (("faulty", "double"), Health.DEGRADED, "B"),
    ],
)
def test_the_service_processor_that_serves_management_is_asked(lab, states, health, answering):
    started = lab(states=states)
    backend = started.open()
    assert backend.system().health is health
    backend.create_volume("v", GiB, POOL)
    assert started.array.counters.entries()[-1]["controller"] == answering


def test_when_neither_serves_management_both_are_named(lab):
    started = lab(states=("idle", "faulty"))
    with pytest.raises(Unreachable, match=r"SP1 is 'idle'.*SP2 is 'faulty'"):
        started.open(unreachable=0).system()


def test_who_serves_management_is_asked_again_once_that_may_have_changed(started, backend):
    family = started.array.family
    backend.create_volume("v", GiB, POOL)
    for states, answering in ((("idle", "double"), "B"), (("double", "idle"), "A")):
        family.states = states
        started.array.counters.clear()
        assert backend.get_volume("v").size == GiB
        entries = started.array.counters.entries()
        assert ("GET /ha_status", answering) in {(entry["operation"], entry["controller"]) for entry in entries}
        assert entries[-1]["controller"] == answering


def test_both_service_processors_may_have_one_address(lab):
    started = lab(states=("idle", "double"))
    url = started.array.ready["management2"]["url"]
    started.open(addresses=[url, url]).create_volume("v", GiB, POOL)
    assert started.luns() == ["bdvl-v"]


def test_a_wrong_password_is_sent_once(started):
    backend = started.open(password="wrong")
    for _ in range(2):
        with pytest.raises(LoginRefused, match="user name or password") as refused:
            backend.system()
        assert "wrong" not in str(refused.value)
    assert started.sent() == ["GET /ha_status"]


def test_a_password_of_any_script_is_sent(started):
    started.array.family.password = "пароль宏杉"
    assert started.open(password="пароль宏杉").system().health is Health.NORMAL


def test_a_password_that_no_header_holds_is_refused_before_anything_is_sent(started):
    with pytest.raises(ValidationError, match="control character") as refused:
        started.open(password="a\r\nX-Evil: 1")
    assert "Evil" not in str(refused.value)
    assert started.sent() == []
