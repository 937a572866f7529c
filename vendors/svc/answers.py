"""What a call answered, however it was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from blockdrivers.errors import BlockDriversError
from vendors.svc.grammar import Call, Section


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call answered.

    Attributes:
        sections: rows of a table, or the sections of one object.
        created: id of the object that was made, where the array told it.
        error: why it was refused.
    """

    sections: Sequence[Section] = ()
    created: str | None = None
    error: BlockDriversError | None = None


class Wire(Protocol):
    """One way to send calls."""

    @property
    def joins(self) -> bool:
        """Whether several calls cost no more round trips than one."""
        ...

    def send(self, calls: Sequence[Call]) -> list[Answer]:
        """Send calls in order, changes first; what follows a refused change may be left out, or carried out all the same."""
        ...

    def close(self) -> None:
        """End every session."""
        ...
