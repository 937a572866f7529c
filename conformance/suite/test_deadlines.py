"""Deadlines: an array that hangs never takes a caller along."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from blockdrivers.backend import Backend
from blockdrivers.errors import BlockDriversError, DeadlineExceeded
from blockdrivers.model import GiB
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.control import EVERY
from conformance.suite.declare import check
from conformance.suite.rig import Rig, told

_TIMEOUT = 0.8
_SLACK = 1.2


def _ends_in_time(rig: Rig, kind: str, what: str, call: Callable[[Backend], object]) -> None:
    """Prove that a call to an array with this fault ends with `DeadlineExceeded`, in time and in so many words."""
    started = time.monotonic()
    try:
        with rig.control.faulty(kind, count=EVERY):
            call(rig.backend)
    except DeadlineExceeded as error:
        seconds = time.monotonic() - started
        assert seconds <= _TIMEOUT + _SLACK, f"{what} under {kind} ended after {seconds:.1f} s, its deadline was {_TIMEOUT} s"
        assert what in str(error), f"the error of {what} does not name the operation: {error}"
        assert f"{_TIMEOUT:g}" in str(error), f"the error of {what} does not name the deadline: {error}"
        return
    except BlockDriversError as error:
        raise AssertionError(f"{what} under {kind}: expected DeadlineExceeded, got {told(error)}") from error
    raise AssertionError(f"{what} under {kind} returned, although the array never answered")


@check(
    "deadline.hanging",
    Level.MANDATORY,
    "A hanging array",
    title_zh="阵列无响应时按时限结束",
    requirement="With an array that does not answer, each call ends at its deadline with DeadlineExceeded; later a repeat works.",
    needs=("fault_control",),
)
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
def test_hanging(rig: Rig, kind: str) -> None:
    rig.volume("v")
    rig.volume("w")
    calls: dict[str, Callable[[Backend], object]] = {
        "create_volume": lambda backend: backend.create_volume(rig.id("new"), GiB, rig.pool, timeout=_TIMEOUT),
        "extend_volume": lambda backend: backend.extend_volume(rig.id("v"), 2 * GiB, timeout=_TIMEOUT),
        "create_snapshot": lambda backend: backend.create_snapshot(rig.id("s"), rig.id("v"), timeout=_TIMEOUT),
        "delete_volume": lambda backend: backend.delete_volume(rig.id("w"), timeout=_TIMEOUT),
        "export": lambda backend: backend.export(rig.id("v"), rig.host, rig.protocol, timeout=_TIMEOUT),
        "pools": lambda backend: backend.pools(timeout=_TIMEOUT),
    }
    for what, call in calls.items():
        _ends_in_time(rig, kind, what, call)
    expect.as_asked(rig.volume("new"), what="asked for again", size=GiB)
    expect.as_asked(rig.backend.extend_volume(rig.id("v"), 2 * GiB), what="asked for again", size=2 * GiB)
    rig.snapshot("s")
    rig.backend.delete_volume(rig.id("w"))
    rig.export()
    rig.holds_only(set(map(rig.id, ("v", "new", "s"))), what="objects after the repeats")


@check(
    "deadline.busy",
    Level.MANDATORY,
    "An array that is busy for ever",
    title_zh="阵列持续忙时按时限结束",
    requirement="With an array that is always busy, or refuses every connection, each call ends at its deadline, and says why.",
    needs=("fault_control",),
)
@pytest.mark.parametrize("kind", ["busy", "refuse", "drop_after"])
def test_busy(rig: Rig, kind: str) -> None:
    rig.volume()
    for what, call in {
        "create_volume": lambda backend: backend.create_volume(rig.id("new"), GiB, rig.pool, timeout=_TIMEOUT),
        "delete_volume": lambda backend: backend.delete_volume(rig.id("v"), timeout=_TIMEOUT),
    }.items():
        _ends_in_time(rig, kind, what, call)
    rig.volume("new")
    rig.backend.delete_volume(rig.id("v"))
    rig.holds_only({rig.id("new")}, what="volumes after the repeats")


@check(
    "deadline.state",
    Level.STANDARD,
    "A passed deadline tells what is known",
    title_zh="超时错误说明已知状态",
    requirement="The error of a call whose request was lost after it was sent says more than that of one that was never sent.",
    needs=("fault_control",),
)
def test_state(rig: Rig) -> None:
    messages = {}
    for kind in ("refuse", "drop_after"):
        # With a session standing: a transport may hold back logins after those that the faults before have cost.
        rig.backend.pools()
        with rig.control.faulty(kind, count=EVERY), expect.refused(DeadlineExceeded, what=f"create_volume under {kind}"):
            try:
                rig.backend.create_volume(rig.id("v"), GiB, rig.pool, timeout=_TIMEOUT)
            except DeadlineExceeded as error:
                messages[kind] = error.message
                raise
    assert messages["refuse"] != messages["drop_after"], f"both errors say {messages['refuse']!r}"
    expect.as_asked(rig.volume("v"), what="asked for again", size=GiB)


@check(
    "deadline.past",
    Level.STANDARD,
    "A deadline that has passed already",
    title_zh="时限已过的调用立即结束",
    requirement="A call with no time at all is DeadlineExceeded and changes nothing.",
)
def test_past(rig: Rig) -> None:
    rig.volume()
    for timeout in (0.0, -1.0):
        with rig.unchanged(rig.id("v")):
            with expect.refused(DeadlineExceeded, what=f"a create within {timeout} s", naming=rig.id("new")):
                rig.backend.create_volume(rig.id("new"), GiB, rig.pool, timeout=timeout)
            with expect.refused(DeadlineExceeded, what=f"a delete within {timeout} s", naming=rig.id("v")):
                rig.backend.delete_volume(rig.id("v"), timeout=timeout)
