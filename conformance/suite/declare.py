"""How a check of the suite is declared, and the list of all that are."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from conformance.outcome import Check, Level

F = TypeVar("F", bound=Callable[..., None])

ATTRIBUTE = "__conformance__"
"""Name of the attribute under which a check function carries its declaration."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A check and what it needs in order to run.

    Attributes:
        check: what it is called and what it proves.
        needs: names of `conformance.suite.needs`: capabilities (undeclared: not applicable) and facilities (missing: not run).
        last: runs after every other check, because it judges the whole run.
    """

    check: Check
    needs: tuple[str, ...]
    last: bool = False


_declared: dict[str, Declared] = {}


def check(
    check_id: str,
    level: Level,
    title: str,
    *,
    requirement: str,
    title_zh: str,
    needs: tuple[str, ...] = (),
    last: bool = False,
) -> Callable[[F], F]:
    """Declare the decorated function as a check; parametrised into cases it still is one check."""
    declared = Declared(Check(check_id, level, title, requirement, title_zh), needs, last)

    def decorate(function: F) -> F:
        earlier = _declared.setdefault(check_id, declared)
        if earlier != declared:
            raise ValueError(f"Two checks are called {check_id!r}.")
        setattr(function, ATTRIBUTE, declared)
        return function

    return decorate


def declaration_of(function: Any) -> Declared | None:
    """Return what a test function was declared as, or None for a plain test."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, Declared) else None


def declared_checks() -> tuple[Declared, ...]:
    """Return every check of the suite in the order in which a run meets them; nothing is run."""
    package = importlib.import_module("conformance.suite")
    for module in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        if module.startswith("test_"):
            importlib.import_module(f"conformance.suite.{module}")
    return tuple(sorted(_declared.values(), key=lambda declared: declared.last))


def selected(check_: Check, selection: str | None) -> bool:
    """Tell whether a check is meant by a selection: comma-separated ids, leading parts of ids, or levels."""
    if not selection:
        return True
    words = [word.strip() for word in selection.split(",") if word.strip()]
    return any(word in {check_.id, check_.level.value} or check_.id.startswith(f"{word}.") for word in words)
