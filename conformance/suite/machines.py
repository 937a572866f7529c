"""How the suite runs hypothesis state machines: the same sequences in every run, on objects of their own in every example."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from conformance.suite.rig import Rig


def run_machine(machine: Callable[[Rig, int], RuleBasedStateMachine], rig: Rig, *, examples: int, steps: int) -> None:
    """Run a state machine.

    Args:
        machine: makes one for an example of that number, whose objects it names after it.
        rig: the check's.
        examples, steps: how many, and how long each is at most.
    """
    numbers = count()
    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", lambda: machine(rig, next(numbers))),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
