"""Round trips on the happy path: what the project promises of StoreServ, counted by the simulator."""

from __future__ import annotations

from benchmarks import hpe


def test_no_operation_needs_more_than_its_target():
    with hpe.opened(pools=2, copy_seconds=0.0) as (array, backend):
        hpe.warm_up(backend)
        counted = {row.title: (hpe.counted(array, backend, row), row.target) for row in hpe.rows()}
    assert {title: pair for title, pair in counted.items() if pair[1] is not None and pair[0] > pair[1]} == {}
