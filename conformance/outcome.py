"""What a check is and how it ended: the vocabulary that suite, runner, grading and reports share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What a check is needed for."""

    ESSENTIAL = "essential"
    """Class C."""
    MANDATORY = "mandatory"
    """Class B."""
    STANDARD = "standard"
    """Class A."""


class Result(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"
    """The array does not declare the capability; that holds nothing against its grade."""
    NOT_RUN = "not_run"
    """It should have run and could not (a tool is missing, no fault control); the grade counts it as not proven."""


@dataclass(frozen=True, slots=True)
class Check:
    """One named check of the suite."""

    id: str
    """Stable and dotted, such as ``volume.create.repeat``."""
    level: Level
    title: str
    requirement: str
    """The promise that it proves, in one sentence."""
    title_zh: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check ended in one run."""

    check: Check
    result: Result
    seconds: float
    detail: str = ""
    """Why it failed, was not run or does not apply; one paragraph, no secrets."""
