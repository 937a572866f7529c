"""The wire of this family: calls, their answers, and typed errors; over SSH or REST.

It knows nothing of volumes as the library sees them: objects are sections of named fields, all values text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blockdrivers.errors import BlockDriversError, NotFound, ProtocolError
from blockdrivers.transport.ssh import SshTransport
from vendors.svc.answers import Answer, Wire
from vendors.svc.cli import CommandLine
from vendors.svc.grammar import Ask, Call, Flag, Section
from vendors.svc.options import SvcOptions
from vendors.svc.rest import RestCommands
from vendors.svc.variants import Variant

BYTES = {"bytes": True}


@dataclass(frozen=True, slots=True)
class Refused:
    """Which of several changes the array refused first, and why."""

    position: int
    error: BlockDriversError


class SvcClient:
    """One array's commands; shared by threads."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def joins(self) -> bool:
        """Whether several inquiries cost no more round trips than one."""
        return self._wire.joins

    def close(self) -> None:
        """End every session."""
        self._wire.close()

    def rows(self, verb: str, target: str | None = None, /, **flags: Flag) -> Sequence[Section]:
        """Return a table."""
        return self.read(Ask(verb, target, flags))[0] or ()

    def read(self, *asks: Ask) -> list[Sequence[Section] | None]:
        """Return what several inquiries answered, None where the object asked for is not there; one round trip over SSH."""
        return [_sections(answer) for answer in self._wire.send(asks)]

    def change(self, verb: str, target: str | None = None, /, **flags: Flag) -> str | None:
        """Change the array; return the id of what was made, where the array told it."""
        answer = self._wire.send([Call(verb, target, flags, changes=True)])[0]
        if answer.error is not None:
            raise answer.error
        return answer.created

    def change_and_read(self, call: Call, *asks: Ask) -> tuple[str | None, list[Sequence[Section] | None]]:
        """Change the array and read what it then holds, in one round trip over SSH.

        Returns:
            The id of what was made, where the array told it, and what the inquiries answered.
        """
        first, *others = self._wire.send([call, *asks])
        if first.error is not None:
            raise first.error
        return first.created, [_sections(answer) for answer in others]

    def carry_out(self, calls: Sequence[Call], *asks: Ask) -> tuple[Refused | None, list[Sequence[Section] | None]]:
        """Make several changes that need each other, and read what the array then holds; one round trip over SSH.

        A change may be sent although one before it was refused: it must be one that the array then refuses, too, or that does no
        harm.

        Returns:
            The first refusal, with no answers; or None, and what the inquiries answered.
        """
        answers = self._wire.send([*calls, *asks])
        for position, answer in enumerate(answers[: len(calls)]):
            if answer.error is not None:
                return Refused(position, answer.error), []
        return None, [_sections(answer) for answer in answers[len(calls) :]]

    def try_and_read(self, call: Call, *asks: Ask) -> tuple[BlockDriversError | None, list[Sequence[Section] | None]]:
        """Do the same for a change that may be needless; return its refusal and what the inquiries answered all the same."""
        first, *others = self._wire.send([call, *asks])
        if first.error is not None and len(others) < len(asks):
            others = self._wire.send(asks)
        return first.error, [_sections(answer) for answer in others]


def connect(options: SvcOptions, name: str, variant: Variant) -> SvcClient:
    """Return a client; nothing is sent before its first call."""
    if options.over_rest:
        return SvcClient(RestCommands(options, name))
    return SvcClient(CommandLine(SshTransport(options, name=name), variant))


def present(found: Sequence[Section] | None, what: str) -> Sequence[Section]:
    """Return what an inquiry about an object answered, or raise `NotFound`."""
    if not found:
        raise NotFound(f"The array has no {what}.")
    return found


def one(found: Sequence[Section] | None) -> Section:
    """Return the only section that an inquiry can have answered with."""
    if not found:
        raise ProtocolError("The array answered nothing where one object was expected.")
    return found[0]


def _sections(answer: Answer) -> Sequence[Section] | None:
    if isinstance(answer.error, NotFound):
        return None
    if answer.error is not None:
        raise answer.error
    return answer.sections
