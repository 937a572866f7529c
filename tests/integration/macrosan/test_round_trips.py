"""Round trips on the happy path, counted by the simulator."""

from __future__ import annotations

from benchmarks.counted import opened, sent
from benchmarks.macrosan import MODEL, rows, warm_up


def test_no_operation_needs_more_than_its_target():
    with opened(MODEL, copy_seconds=0.0) as (array, backend):
        warm_up(backend)
        found = {row.title: (sent(array, backend, row), row.target) for row in rows()}
    assert {title: pair for title, pair in found.items() if pair[1] is not None and pair[0] > pair[1]} == {}
