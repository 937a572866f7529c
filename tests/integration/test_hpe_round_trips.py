"""Round trips on the happy path: what the project promises of StoreServ, counted by the simulator."""

from __future__ import annotations

from benchmarks import counted, hpe


def test_no_operation_needs_more_than_its_target():
    with counted.opened(hpe.MODEL, pools=2, copy_seconds=0.0) as (array, backend):
        hpe.warm_up(backend)
        found = {row.title: (counted.sent(array, backend, row), row.target) for row in hpe.rows()}
    assert {title: pair for title, pair in found.items() if pair[1] is not None and pair[0] > pair[1]} == {}
