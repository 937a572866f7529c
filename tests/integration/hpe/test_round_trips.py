"""Round trips on the happy path: what the project promises of StoreServ, counted by the simulator."""

from __future__ import annotations

import pytest

from benchmarks import counted, hpe


@pytest.fixture(scope="module")
def sent():
    with counted.opened(hpe.MODEL, pools=2, copy_seconds=0.0) as (array, backend):
        hpe.warm_up(backend)
        return {row.title: (row, counted.sent(array, backend, row)) for row in hpe.rows()}


def test_no_operation_needs_more_than_its_target(sent):
    assert {title: (count, row.target) for title, (row, count) in sent.items() if count > row.target} == {}


def test_only_what_has_a_reason_needs_more_than_the_other_driver(sent):
    """Half of it where that one needs four or more."""
    more = {title for title, (row, count) in sent.items() if (aim := hpe.aim(row)) is not None and count > aim}
    assert more == set(hpe.MORE)
