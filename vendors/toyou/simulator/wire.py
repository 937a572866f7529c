"""The command line and the envelope of answers. Source: protocol sheet, section 3.1."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from conformance.simulation.family import Output
from vendors.toyou.simulator.keys import SUCCESS, TEXTS, UNKNOWN, Refusal

PROGRAM: Final = "cinder"


class NotACommand(Exception):
    """The shell would not find, or not understand, what was asked for."""


@dataclass(frozen=True, slots=True)
class Call:
    """One command, taken apart."""

    verb: str
    options: Mapping[str, tuple[str, ...]]
    """Each option with its values, in order; one without a value has an empty one."""

    def one(self, name: str) -> str:
        """Return an option's value, or refuse a command without it; an empty value is one."""
        values = self.options.get(name)
        if values is None:
            raise Refusal(UNKNOWN, f"option {name} is missing")
        return values[-1]

    def given(self, name: str) -> str:
        """Return an option's value; an empty text where there is none."""
        return self.options.get(name, ("",))[-1]

    def several(self, name: str) -> tuple[str, ...]:
        """Return an option's values without empty ones."""
        return tuple(value for value in self.options.get(name, ()) if value)


def parse(line: str) -> Call:
    """Take a command line apart as the array's shell does."""
    try:
        words = shlex.split(line)
    except ValueError as unbalanced:
        raise NotACommand(str(unbalanced)) from None
    if len(words) < 2 or words[0] != PROGRAM:  # noqa: PLR2004 - the program and a verb
        raise NotACommand(f"{words[0] if words else ''}: command not found")
    return Call(words[1], _options(words[2:]))


def _options(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    rest = list(words)
    while rest:
        name = rest.pop(0)
        if not name.startswith("--"):
            raise Refusal(UNKNOWN, f"unexpected argument {name}")
        value = rest.pop(0) if rest and not rest[0].startswith("--") else ""
        found[name] = (*found.get(name, ()), value)
    return found


def success(content: Any = None) -> Output:
    """Answer with key 0."""
    return _envelope(SUCCESS, "", content)


def refused(key: int, text: str = "") -> Output:
    """Answer with another key; the exit status is 0 all the same."""
    return _envelope(key, text or TEXTS.get(key, "error"), None)


def not_found(text: str) -> Output:
    """Answer as the shell does."""
    return Output(stderr=f"sh: {text}\n", status=127)


def no_process() -> Output:
    """Answer as a shell that cannot start a program now: nothing was done."""
    return Output(stderr=f"sh: fork: {PROGRAM}: Resource temporarily unavailable\n", status=254)


def _envelope(key: int, text: str, content: Any) -> Output:
    return Output(stdout=json.dumps({"key": key, "msg": text, "arr": content}) + "\n", code=str(key))
