"""Undisturbed and disturbed runs of one operation on a simulator, beside each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from blockdrivers.errors import BlockDriversError
from conformance.suite import state
from conformance.suite.control import wait_for
from conformance.suite.nursery import Call, Child
from conformance.suite.operations import Operation, essence
from conformance.suite.rig import Rig, told

_MOST_REQUESTS = 80
"""More than any operation takes; a bound for loops over its requests."""


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """How an operation ends when nothing is in its way.

    Attributes:
        requests: how many the array had from it.
        result: what it returned, without ids and WWNs.
        state: what the array holds afterwards, without ids, WWNs and times.
    """

    requests: int
    result: Any
    state: state.State


def undisturbed(rig: Rig, operation: Operation, run: Callable[[Call], Any]) -> Undisturbed:
    """Run an operation on an array prepared for it; leave the array as it was found."""
    operation.prepare(rig)
    before = rig.control.requests()
    result = run(operation.call(rig))
    requests = rig.control.requests() - before
    ended = Undisturbed(requests, essence(result), state.normalised(rig.control.state()))
    assert 0 < requests <= _MOST_REQUESTS, f"{operation} took {requests} requests; at most {_MOST_REQUESTS} are believable"
    rig.clean()
    return ended


def judge(rig: Rig, result: Any, expected: Undisturbed, what: str) -> None:
    """Prove that a repeat after a disturbance has ended as if nothing had been."""
    assert essence(result) == expected.result, f"{what}: the repeat returned {essence(result)}, undisturbed {expected.result}"
    left = state.differences(expected.state, state.normalised(rig.control.state()))
    assert not left, f"{what}: beside an undisturbed run the array holds " + "; ".join(left)
    swept = rig.swept()
    assert not swept, f"{what}: the sweep finds {swept}"


def cut_off(rig: Rig, operation: Operation, at: int) -> bool:
    """Kill a new process in the middle of an operation, once the array has done its `at`-th request but not answered.

    Returns:
        Whether the operation got as far as that request.
    """
    call = operation.call(rig)
    rig.control.fault("freeze_after", at=at, count=1)
    child: Child = rig.nursery.child(call)
    try:
        child.go()
        wait_for(f"{operation} to reach its request {at} or to end", lambda: rig.control.hit() or child.ended())
        return rig.control.hit()
    finally:
        child.kill()
        rig.control.clear()


def disturbed(rig: Rig, operation: Operation, kind: str, at: int, *, count: int, strict: bool, timeout: float) -> Any:
    """Run an operation with a fault at its `at`-th request; a typed error is followed by one repeat without faults.

    Args:
        rig: the check's room.
        operation: what to run, prepared.
        kind: of the fault.
        at: which request meets it.
        count: how many requests in a row meet it.
        strict: the operation has to succeed by itself.
        timeout: of the disturbed call.

    Returns:
        What the operation returned, the first or the second time.
    """
    call = operation.call(rig)
    what = f"{operation} with {kind} at request {at}"
    try:
        with rig.control.faulty(kind, at=at, count=count):
            return Call(call.operation, call.arguments, {**call.keywords, "timeout": timeout}).on(rig.backend)
    except BlockDriversError as error:
        assert not strict, f"{what} was not absorbed: {told(error)}"
    except Exception as error:
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error
    try:
        return call.on(rig.backend)
    except BlockDriversError as error:
        raise AssertionError(f"{what}: the repeat failed: {told(error)}") from error
