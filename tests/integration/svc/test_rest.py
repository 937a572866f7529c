"""The REST interface: its sessions, its failover, and a fault at each of its requests."""

from __future__ import annotations

import pytest

from blockdrivers.errors import BlockDriversError, LoginRefused
from blockdrivers.model import GiB, Protocol
from tests.integration.svc.lab import ISCSI, POOL


def test_rest_logs_in_again_fails_over_and_refuses(lab):
    started = lab()
    array = started.open(rest=True)
    array.create_volume("v", GiB, POOL)
    started.fault("session_expired")
    assert array.get_volume("v").size == GiB
    started.fault("failover")
    assert array.extend_volume("v", 2 * GiB).size == 2 * GiB
    started.array.faults.clear()
    with pytest.raises(LoginRefused):
        started.open(rest=True, password="wrong").pools()


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "http_500", "http_503", "busy", "garbage", "session_expired"])
def test_faults_at_every_request_over_rest(lab, kind):
    """An operation succeeds, or a repeat makes it whole; nothing is made twice and nothing is left over."""
    started = lab()
    array = started.open(rest=True)
    array.create_volume("v", GiB, POOL)
    array.create_volume("w", GiB, POOL)
    steps = {
        "snapshot": (lambda: array.create_snapshot("s", "v", timeout=10), lambda: array.delete_snapshot("s")),
        "clone": (lambda: array.clone_volume("c", "v", timeout=10), lambda: array.delete_volume("c")),
        "group": (
            lambda: array.create_group_snapshot({"v": "g1", "w": "g2"}, timeout=10),
            lambda: (array.delete_snapshot("g1"), array.delete_snapshot("g2")),
        ),
        "export": (
            lambda: array.export("v", ISCSI, Protocol.ISCSI, timeout=10),
            lambda: (array.unexport("v", ISCSI, Protocol.ISCSI), array.remove_host(ISCSI)),
        ),
    }
    for name, (step, undo) in steps.items():
        requests_of = sum(started.operations(step).values())
        expected = shape(started)
        undo()
        for at in range(1, requests_of + 1):
            started.fault(kind, at=at, commit=True) if kind == "garbage" else started.fault(kind, at=at)
            try:
                step()
            except BlockDriversError:
                started.array.faults.clear()
                step()
            started.array.faults.clear()
            assert (shape(started), array.sweep()) == (expected, []), f"{name} with {kind} at {at}"
            undo()


def shape(started):
    state = started.array.family.state()
    return (
        sorted((volume["name"], volume["size"]) for volume in state["volumes"]),
        sorted((copy["source"], copy["target"], copy["group"]) for copy in state["copies"]),
        [group["name"] for group in state["groups"]],
        [(mapping["host"], mapping["volume"]) for mapping in state["mappings"]],
    )
