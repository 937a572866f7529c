from __future__ import annotations

import threading
import time

import pytest

from blockdrivers import deadline
from blockdrivers.errors import Busy, DeadlineExceeded
from blockdrivers.locks import InProcessLocks


def test_an_inner_deadline_never_outlives_the_outer_one():
    with deadline.deadline(0.2, "outer"), deadline.deadline(60, "inner") as inner:
        assert inner.remaining <= 0.2


def test_waiting_ends_with_the_deadline_and_tells_what_is_known():
    started = time.monotonic()
    with deadline.deadline(0.2, "copy x"):
        deadline.note("half of it is there.")
        with pytest.raises(DeadlineExceeded, match=r"copy x.*half of it is there\. .*the copy to end"):
            deadline.wait_until(lambda: None, what="the copy to end")
    assert time.monotonic() - started < 5


def test_waiting_returns_what_was_waited_for():
    answers = iter([None, None, 7])
    with deadline.deadline(5, "x"):
        assert deadline.wait_until(lambda: next(answers), what="seven") == 7


def test_waiting_goes_by_what_is_expected(monkeypatch):
    pauses = []
    monkeypatch.setattr(deadline.time, "sleep", pauses.append)
    answers, expected = iter([None, None, None, None, 7]), iter([None, 2.5, 90.0, 0.001])
    found = deadline.wait_until(
        lambda: next(answers), what="seven", first=0.1, longest=5.0, delay=0.3, expected=lambda: next(expected)
    )
    assert (found, pauses) == (7, [0.3, 0.1, 2.5, 5.0, 0.1])


def test_a_deadline_that_has_passed_stops_everything():
    with deadline.deadline(0, "x"):
        with pytest.raises(DeadlineExceeded):
            deadline.remaining(5)
        with pytest.raises(DeadlineExceeded):
            deadline.pause(0.01, "y")


def test_without_a_deadline_the_default_holds():
    assert deadline.remaining(5) == 5


def test_threads_have_deadlines_of_their_own():
    seen = []
    with deadline.deadline(0.5, "x"):
        thread = threading.Thread(target=lambda: seen.append(deadline.remaining(60)))
        thread.start()
        thread.join()
    assert seen == [60]


def test_one_lock_per_name():
    locks = InProcessLocks()
    order = []
    held = threading.Event()

    def hold():
        with locks.lock("a"):
            held.set()
            with locks.lock("b"):
                order.append("first")

    thread = threading.Thread(target=hold)
    with locks.lock("b"):
        thread.start()
        assert held.wait(60)
        with pytest.raises(Busy, match="a"), deadline.deadline(0.1, "x"), locks.lock("a"):
            order.append("never")
        order.append("meanwhile")
    thread.join(60)
    assert order == ["meanwhile", "first"]
    assert locks._held == {}


def test_tidying_up_has_its_own_time_when_the_outer_deadline_has_passed():
    with deadline.deadline(0, "outer"):
        with pytest.raises(DeadlineExceeded):
            deadline.remaining(1)
        with deadline.apart(5, "tidy up") as own:
            assert 4 < own.remaining <= 5
            assert deadline.remaining(1) == 1
        with pytest.raises(DeadlineExceeded):
            deadline.remaining(1)
