"""Commands over SSH: lines of the restricted shell, and what it prints. Source: IBM sheet, sections 1 and 2.1; Inspur sheet, 1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from blockdrivers.errors import Ambiguous, BlockDriversError, Busy, ProtocolError
from blockdrivers.transport.command import HIDDEN, Command, Verbatim, Word, command
from blockdrivers.transport.ssh import Result, SshTransport
from vendors.svc import codes, grammar
from vendors.svc.answers import Answer
from vendors.svc.grammar import DELIMITER, Ask, Call
from vendors.svc.variants import Variant

_MARK: Final = "=="
_END: Final = re.compile(rf"^{_MARK}(\d+)$", re.MULTILINE)
_CREATED: Final = re.compile(r"\[(\d+)\],? successfully created")


class CommandLine:
    """Sends calls as command lines.

    Several of them go on one line, each followed by an ``echo`` of its exit status. Only ``;`` and ``echo`` are known to work in
    this shell (IBM sheet, section 1), so the first such line shows whether it takes them; where it does not, each call has a
    line of its own.
    """

    def __init__(self, transport: SshTransport, variant: Variant) -> None:
        self._transport = transport
        self._variant = variant
        self._joins: bool | None = None

    @property
    def joins(self) -> bool:
        """Whether several calls go on one line; assumed until the array has shown that they do not."""
        return self._joins is not False

    def close(self) -> None:
        """End every connection."""
        self._transport.close()

    def send(self, calls: Sequence[Call]) -> list[Answer]:
        """Send calls in order, changes first; return what each answered."""
        changes = any(call.changes for call in calls)
        if len(calls) > 1 and self._joins is None and changes:
            self._try_joining()
        if len(calls) == 1 or self._joins is False:
            return self._one_by_one(calls)
        result = self._run(calls)
        answers = self._several(calls, result)
        if answers is None:
            if self._joins is None and not changes:
                self._joins = False
                return self._one_by_one(calls)
            raise _unreadable(calls, result)
        self._joins = True
        return answers

    def _try_joining(self) -> None:
        """Show with inquiries alone whether the shell takes several commands on a line."""
        self.send([Ask("lssystem", detail=True), Ask("lsiogrp")])

    def _one_by_one(self, calls: Sequence[Call]) -> list[Answer]:
        answers: list[Answer] = []
        for call in calls:
            result = self._run([call])
            answers.append(_answer(call, result.stdout, result.status, _refusals(result), result))
            if call.changes and answers[-1].error is not None:
                break
        return answers

    def _run(self, calls: Sequence[Call]) -> Result:
        return self._transport.run(self._line(calls), operation=_verbs(calls), mutating=any(call.changes for call in calls))

    def _line(self, calls: Sequence[Call]) -> Command:
        words: list[Word] = []
        for call in calls:
            words += self._words(call)
            if len(calls) > 1:
                words.append(Verbatim(f"; echo {_MARK}$? ;"))
        if len(calls) > 1:
            words[-1] = Verbatim(f"; echo {_MARK}$?")
        return command(*words)

    def _words(self, call: Call) -> list[Word]:
        words: list[Word] = [self._variant.action if call.changes else self._variant.inquiry, call.verb]
        for name, value in call.flags.items():
            if value is False:
                continue
            words.append(f"-{name}")
            if value is not True:
                words.append(str(value) if isinstance(value, int) else value)
        if isinstance(call, Ask):
            words += ["-delim", Verbatim(DELIMITER)]
        if call.target is not None:
            words.append(call.target)
        return words

    def _several(self, calls: Sequence[Call], result: Result) -> list[Answer] | None:
        """Take the answer to a line apart; None where it is not one to several commands."""
        if refused := self._refused_whole(calls, result):
            return [Answer(error=refused.error) for _ in calls]
        parts = _END.split(result.stdout)
        texts, statuses = parts[0:-1:2], parts[1::2]
        if len(statuses) != len(calls):
            return None
        refusals = iter(_refusals(result))
        answers = []
        for call, text, status in zip(calls, texts, statuses, strict=True):
            # Each command that failed has said so on a line of its own.
            own = [next(refusals, "")] if int(status) else []
            answers.append(_answer(call, text.lstrip("\n"), int(status), own, result))
        return answers

    @staticmethod
    def _refused_whole(calls: Sequence[Call], result: Result) -> Answer | None:
        """Return the refusal of a line none of whose commands ran."""
        found = _refusals(result)
        if result.stdout or not result.status or not found:
            return None
        return Answer(error=_error(found[0], _verbs(calls), result))


def _verbs(calls: Sequence[Call]) -> str:
    return "+".join(call.verb for call in calls)


def _refusals(result: Result) -> list[str]:
    """Return the lines of the error output that hold a number; whatever else is there is noise (Inspur sheet, trap 6)."""
    return [line for line in result.stderr.splitlines() if codes.PATTERN.search(line)]


def _answer(call: Call, text: str, status: int, refusals: Sequence[str], result: Result) -> Answer:
    refusal = next((line for line in refusals if line), "")
    match = codes.PATTERN.search(refusal)
    if match is not None and match[2] == "E":
        return Answer(error=_error(refusal, call.verb, result))
    if status and match is None:
        return Answer(error=_failed(call, result))
    if isinstance(call, Ask):
        return _read(call, text)
    # A warning comes with the object made, and may come without its number (IBM sheet, section 4).
    created = _CREATED.search(text)
    if text.strip() and created is None:
        raise _unreadable([call], result)
    return Answer(created=created[1] if created else None)


def _read(call: Ask, text: str) -> Answer:
    try:
        found = grammar.sections(text) if call.detail else grammar.rows(text)
    except ProtocolError as error:
        if call.private:
            raise ProtocolError("The array's answer is no table.", request=call.verb) from None
        error.request = error.request or call.verb
        raise
    if not call.detail:
        return Answer(sections=found)
    if not found:
        # Seen in the field: an answer without content, where asking again helps (Inspur sheet, trap 6).
        return Answer(error=Busy("The array answered nothing about an object.", request=call.verb))
    return Answer(sections=found)


def _error(line: str, verb: str, result: Result) -> BlockDriversError:
    match = codes.PATTERN.search(line)
    if match is None:
        raise ProtocolError("The array's refusal has no number.", request=verb, vendor_text=result.stderr[:200])
    return codes.error(match[0], line[match.end() :].strip(), request=verb)


def _failed(call: Call, result: Result) -> BlockDriversError:
    """Return the error for a command that ended badly without saying which way."""
    said = (result.stderr or ("" if _is_private([call]) else result.stdout)).strip()[:200]
    if call.changes:
        return Ambiguous("The array's command failed and did not say how.", request=call.verb, vendor_text=said)
    return Busy("The array's command failed and did not say how.", request=call.verb, vendor_text=said)


def _unreadable(calls: Sequence[Call], result: Result) -> BlockDriversError:
    verbs, shown = _verbs(calls), HIDDEN if _is_private(calls) else repr(result.stdout[:80])
    if any(call.changes for call in calls):
        return Ambiguous(f"The answer to a changing command cannot be read: {shown}.", request=verbs)
    return ProtocolError(f"The array's answer cannot be read: {shown}.", request=verbs, vendor_text=result.stderr[:200])


def _is_private(calls: Sequence[Call]) -> bool:
    return any(isinstance(call, Ask) and call.private for call in calls)
