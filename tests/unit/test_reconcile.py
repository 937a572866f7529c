from __future__ import annotations

import pytest

from blockdrivers import deadline, reconcile
from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    Busy,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    StaleReference,
    Unreachable,
)


class Array:
    """Takes scripted answers; counts what was made."""

    def __init__(self, *script):
        self.script = list(script)
        self.things: list[str] = []
        self.forgotten = 0

    def make(self):
        answer = self.script.pop(0) if self.script else "made"
        if answer == "lost before":
            raise Ambiguous("lost")
        if answer == "lost after":
            self.things.append("x")
            raise Ambiguous("lost")
        if isinstance(answer, Exception):
            raise answer
        if self.things:
            raise AlreadyExists("there")
        self.things.append("x")
        return "x"

    def find(self):
        if not self.things:
            raise NotFound("absent")
        return self.things[0]

    def forget(self):
        self.forgotten += 1

    def run(self, *, differences=lambda found: {}, complete=lambda found: True, seconds=5.0, unreachable=0.0):
        with deadline.deadline(seconds, "make x"):
            return reconcile.make(
                make=self.make,
                find=self.find,
                differences=differences,
                complete=complete,
                what="Thing x",
                patience=reconcile.Patience(self.forget, unreachable),
            )


@pytest.mark.parametrize(
    "script",
    [
        (),
        ("lost before",),
        ("lost after",),
        ("lost before", "lost after"),
        (Busy("b"), "lost after"),
        (StaleReference("s"), "lost before"),
    ],
)
def test_whatever_is_lost_there_is_one_in_the_end(script):
    array = Array(*script)
    assert array.run() == "x"
    assert array.things == ["x"]


def test_nothing_is_made_again_before_the_name_was_looked_up():
    array = Array("lost after")
    array.run()
    assert array.script == []
    assert array.things == ["x"]


def test_what_is_there_and_alike_is_adopted():
    array = Array()
    array.things = ["x"]
    assert array.run() == "x"


def test_what_is_there_and_differs_is_refused_by_name():
    array = Array()
    array.things = ["x"]
    with pytest.raises(AlreadyExists, match=r"Thing x.*size: asked for 1, found 2") as taken:
        array.run(differences=lambda found: {"size": (1, 2)})
    assert taken.value.differences == {"size": (1, 2)}


def test_a_stale_reference_is_forgotten_and_asked_again():
    array = Array(StaleReference("s"))
    assert array.run() == "x"
    assert array.forgotten == 1


def test_a_refusal_for_good_is_not_repeated():
    array = Array(InvalidRequest("no"))
    with pytest.raises(InvalidRequest):
        array.run()
    assert array.things == []


def test_out_of_reach_with_nothing_sent_is_told_soon():
    with pytest.raises(Unreachable):
        Array(*[Unreachable("u")] * 50).run()


def test_out_of_reach_with_an_open_outcome_is_asked_until_the_deadline():
    with pytest.raises(DeadlineExceeded, match="outcome is open"):
        Array("lost before", *[Unreachable("u")] * 50).run(seconds=0.5)


def test_what_is_not_ready_is_waited_for():
    array = Array()
    array.things = ["x"]
    answers = iter([False, False, True])
    assert array.run(complete=lambda found: next(answers)) == "x"
