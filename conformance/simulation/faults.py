"""Faults on demand: what happens to the N-th matching request from now."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any


class Kind(StrEnum):
    """What goes wrong. ``before`` and ``after`` say whether the request has been carried out by then."""

    REFUSE = "refuse"
    """Open connections are cut, and as many new ones closed before anything is read; ``operation`` says nothing here."""
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    HTTP_500 = "http_500"
    HTTP_503 = "http_503"
    BUSY = "busy"
    """The family's own answer of a busy array."""
    SESSION_EXPIRED = "session_expired"
    """Every session ends; the request meets the family's own answer to that."""
    FAILOVER = "failover"
    """The controller that gets the request stops answering until the fault is removed."""
    GARBAGE = "garbage"
    """A success whose body cannot be parsed; with ``commit`` the request has been carried out."""
    SLOW = "slow"
    """Carried out ``seconds`` later."""
    POOL_FULL = "pool_full"
    """Every pool is full until the fault is removed; at once, whatever ``at`` says."""
    FREEZE_AFTER = "freeze_after"
    """Carried out, and the answer is held until the fault is removed."""
    ANSWER = "answer"
    """The family's envelope with the vendor's ``code``; nothing is done."""


HANG_SECONDS = 30.0
SLOW_SECONDS = 1.0
_NOT_MET_BY_REQUESTS = frozenset({Kind.POOL_FULL, Kind.REFUSE})


@dataclass(slots=True)
class Fault:
    """One fault that was asked for.

    Attributes:
        at: which matching request it begins with; 1 is the next.
        count: how many requests it hits; 0 until it is removed.
        operation: shell-style pattern of operation names.
    """

    id: int
    kind: Kind
    at: int = 1
    count: int = 1
    operation: str = "*"
    seconds: float | None = None
    """None takes the kind's own: a second for ``slow``, half a minute for the time-outs."""
    code: str = ""
    commit: bool = False
    seen: int = 0
    hits: int = 0
    controller: str | None = None
    """The controller that a failover has taken."""
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def duration(self) -> float:
        """How long it holds a request up, in seconds."""
        if self.seconds is not None:
            return self.seconds
        return SLOW_SECONDS if self.kind is Kind.SLOW else HANG_SECONDS

    def as_dict(self) -> dict[str, Any]:
        """Return the fault as the control API shows it."""
        shown = ("id", "kind", "at", "count", "operation", "seconds", "code", "commit", "seen", "hits", "controller")
        return {name: getattr(self, name) for name in shown} | {"hit": self.hits > 0}


class FaultPlan:
    """The faults of one array, shared by its controllers."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._faults: list[Fault] = []
        self._last = 0

    def add(self, wanted: Mapping[str, Any]) -> Fault:
        """Add a fault; raise `ValueError` for one that cannot be."""
        allowed = {"kind", "at", "count", "operation", "seconds", "code", "commit"}
        if unknown := sorted(wanted.keys() - allowed):
            raise ValueError(f"unknown field {unknown[0]!r}; known: {', '.join(sorted(allowed))}")
        if "kind" not in wanted:
            raise ValueError("a fault needs a kind")
        values = dict(wanted) | {"kind": Kind(wanted["kind"])}
        with self._guard:
            self._last += 1
            fault = Fault(self._last, **values)
            if fault.at < 1 or fault.count < 0:
                raise ValueError("at counts from 1, count from 0")
            self._faults.append(fault)
            return fault

    def clear(self) -> None:
        """Remove every fault and wake up who waits in one."""
        with self._guard:
            for fault in self._faults:
                fault.released.set()
            self._faults.clear()

    def active(self) -> Sequence[Fault]:
        """Return the faults that were asked for and not removed."""
        with self._guard:
            return tuple(self._faults)

    def is_full(self) -> bool:
        """Tell whether pools are to be full."""
        return any(fault.kind is Kind.POOL_FULL for fault in self.active())

    def is_down(self, controller: str) -> bool:
        """Tell whether a failover has taken this controller."""
        return any(fault.controller == controller for fault in self.active())

    def met_by(self, operation: str, controller: str) -> Fault | None:
        """Count a request and return the fault that it meets, if any."""
        with self._guard:
            for fault in self._faults:
                if fault.kind in _NOT_MET_BY_REQUESTS or fault.controller is not None:
                    continue
                if fnmatchcase(operation, fault.operation) and _hits(fault):
                    if fault.kind is Kind.FAILOVER:
                        fault.controller = controller
                    return fault
        return None

    def refuses(self) -> bool:
        """Count a connection and tell whether it is refused."""
        with self._guard:
            return any(_hits(fault) for fault in self._faults if fault.kind is Kind.REFUSE)

    def is_refusing(self) -> bool:
        """Tell whether connections are still to be refused."""
        return any(fault.kind is Kind.REFUSE and _has_hits_left(fault) for fault in self.active())


def _hits(fault: Fault) -> bool:
    fault.seen += 1
    if fault.seen < fault.at or not _has_hits_left(fault):
        return False
    fault.hits += 1
    return True


def _has_hits_left(fault: Fault) -> bool:
    return fault.count == 0 or fault.hits < fault.count
