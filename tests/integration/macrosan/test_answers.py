"""Answers that make no sense, statuses that are not documented, and arrays that are busy."""

from __future__ import annotations

import pytest

from benchmarks.macrosan import POOL
from blockdrivers.errors import AlreadyExists, Busy, DeadlineExceeded, InvalidRequest, NotFound, ProtocolError
from blockdrivers.model import GiB, Protocol
from conformance.simulation.family import Request, Response
from tests.integration.macrosan.lab import ISCSI


@pytest.mark.parametrize(
    ("operation", "value", "ask"),
    [
        ("GET /ha_status", ["double"], lambda backend: backend.system()),
        ("GET /pool", [1, 2], lambda backend: backend.pools()),
        ("GET /pool", [1, 2, "3"], lambda backend: backend.pools()),
        ("GET /pool", [1, 2, True], lambda backend: backend.pools()),
        ("GET /initiator.fc_ports", {"a": 1}, lambda backend: backend.ports()),
        ("GET /lun.base_info", [], lambda backend: backend.get_volume("v")),
        ("GET /lun.base_info", {"pool": POOL, "size": "big"}, lambda backend: backend.get_volume("v")),
        ("GET /itl.getitl", [1], lambda backend: backend.delete_volume("v")),
        ("GET /dalun.existence", "no", lambda backend: backend.delete_volume("v")),
        ("GET /snapshot_point.number", "many", lambda backend: backend.get_volume("v")),
    ],
)
def test_answers_that_make_no_sense_are_no_answers(started, backend, operation, value, ask):
    backend.create_volume("v", GiB, POOL)
    started.saying(operation, value)
    with pytest.raises(ProtocolError):
        ask(backend)
    assert started.luns() == ["bdvl-v"]


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_no_status_of_a_refusal_is_relied_upon(started, backend, status):
    """Which one the array has for what is not documented: each operation comes to the same end with any."""

    def refused(_: Request, response: Response) -> Response:
        return response if response.status == 200 else Response(response.body, status)

    for operation in ("POST /lun", "GET /lun.base_info", "GET /snapshot_point.point_id", "POST /snapshot_point"):
        if (operation, status) != ("GET /snapshot_point.point_id", 500):
            started.answering(operation, refused)
    backend.create_volume("v", GiB, POOL)
    assert backend.create_volume("v", GiB, POOL).size == GiB
    with pytest.raises(AlreadyExists):
        backend.create_volume("v", 2 * GiB, POOL)
    with pytest.raises(NotFound):
        backend.get_volume("w")
    with pytest.raises(InvalidRequest, match="no pool 'nowhere'"):
        backend.create_volume("w", GiB, "nowhere")
    backend.create_snapshot("s", "v")
    with pytest.raises(NotFound):
        backend.create_snapshot("s", "w")
    backend.export("v", ISCSI, Protocol.ISCSI)
    started.open().export("v", ISCSI, Protocol.ISCSI)


def test_a_server_error_that_is_not_the_interface_s_own_is_read_back(started, backend):
    started.answering("POST /lun", lambda *_: Response(b"<html>Internal Server Error</html>", 500))
    assert backend.create_volume("v", GiB, POOL).size == GiB
    assert started.sent().count("POST /lun") == 1


def test_busy_is_asked_again(started, backend):
    started.array.faults.add({"kind": "answer", "code": "503", "operation": "POST /lun", "count": 2})
    backend.create_volume("v", GiB, POOL)
    started.array.faults.add({"kind": "answer", "code": "503", "operation": "GET /lun.base_info", "count": 99})
    with pytest.raises((Busy, DeadlineExceeded)):
        backend.get_volume("v", timeout=0.5)
