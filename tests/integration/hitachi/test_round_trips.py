"""Round trips on the happy path, counted by the simulator."""

from __future__ import annotations

import pytest

from benchmarks.counted import opened, sent
from benchmarks.hitachi import MODELS, POOL, rows, warm_up
from blockdrivers.model import GiB, Protocol
from tests.integration.hitachi.lab import FC, ISCSI


@pytest.mark.parametrize("model", MODELS)
def test_no_operation_needs_more_than_its_target(model):
    with opened(model) as (array, backend):
        warm_up(backend)
        found = {row.title: (sent(array, backend, row), row.target) for row in rows(model)}
    assert {title: pair for title, pair in found.items() if pair[1] is not None and pair[0] > pair[1]} == {}


def test_a_new_process_maps_to_a_host_that_stands_without_making_it(lab):
    started = lab()
    started.open().create_volume("v1", GiB, POOL)
    for host, protocol in ((ISCSI, Protocol.ISCSI), (FC, Protocol.FC)):
        started.open().export("v1", host, protocol)
        fresh = started.open()
        fresh.get_volume("v1")
        fresh.ports()
        started.count()
        fresh.export("v1", host, protocol)
        # The HBSD driver needs six then.
        assert sum(started.sent().values()) <= 6, started.sent()
