"""The wire of the ACS5000: one program whose commands answer one JSON object each.

It knows nothing of volumes as the library sees them: objects are the array's own, all values as they came.
Source: protocol sheet, sections 1, 3.1 and 4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from blockdrivers.errors import Ambiguous, BlockDriversError, Busy, ProtocolError
from blockdrivers.transport.command import Verbatim, Word, command
from blockdrivers.transport.ssh import Result, SshTransport
from vendors.toyou import codes
from vendors.toyou.options import Acs5000Options

Object = Mapping[str, Any]

RAID_VOLUME: Final = Verbatim('"RAID Volume"')
"""The one value that has to stand in double quotes."""

_PROGRAM: Final = "cinder"
_NO_PROGRAM: Final = 127
_NO_PROCESS: Final = "resource temporarily unavailable"
"""What a shell says when it cannot start a program; nothing was done then. The array's own busy answer is not documented."""


class Acs5000Client:
    """One array's command line; shared by threads."""

    def __init__(self, options: Acs5000Options, name: str) -> None:
        self._transport = SshTransport(options, name=name)

    def close(self) -> None:
        """End every connection."""
        self._transport.close()

    def read(self, verb: str, *arguments: Word) -> Any:
        """Ask, and return the answer's content."""
        return self._run(verb, arguments, mutating=False)

    def change(self, verb: str, *arguments: Word) -> Any:
        """Change something, and return the answer's content; most commands have none."""
        return self._run(verb, arguments, mutating=True)

    def objects(self, verb: str, *arguments: Word) -> list[Object]:
        """Ask for a list."""
        found = self.read(verb, *arguments)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ProtocolError(f"The answer holds {type(found).__name__} where a list of objects was expected.", request=verb)
        return found

    def object(self, verb: str, *arguments: Word) -> Object:
        """Ask for one object; an empty one where there is none."""
        return as_object(self.read(verb, *arguments), verb)

    def _run(self, verb: str, arguments: tuple[Word, ...], *, mutating: bool) -> Any:
        result = self._transport.run(command(_PROGRAM, verb, *arguments), operation=verb, mutating=mutating)
        try:
            key, text, content = _envelope(result, verb)
        except ProtocolError as error:
            if not mutating:
                raise
            raise Ambiguous(f"The answer to a changing command cannot be read. {error.message}", request=verb) from error
        if key:
            raise codes.error(key, text, verb)
        return content


def as_object(content: Any, verb: str) -> Object:
    """Return an answer's content as an object."""
    if not isinstance(content, dict):
        raise ProtocolError(f"The answer holds {type(content).__name__} where an object was expected.", request=verb)
    return content


def _envelope(result: Result, verb: str) -> tuple[int, str, Any]:
    """Return key, text and content; the exit status is 0 whatever the key is."""
    if result.status or result.stderr.strip():
        raise _failed(result, verb)
    try:
        answer = json.loads(result.stdout)
        return int(answer["key"]), str(answer["msg"]), answer["arr"]
    except (ValueError, TypeError, KeyError) as wrong:
        raise ProtocolError(f"The answer is not what an ACS5000 says: {result.stdout[:80]!r}.", request=verb) from wrong


def _failed(result: Result, verb: str) -> BlockDriversError:
    """Return the error of a command that itself failed, and was not refused by the array."""
    said = result.stderr.strip()[:200]
    if _NO_PROCESS in said.lower():
        return Busy("The array cannot start another command now.", request=verb, vendor_code=result.status, vendor_text=said)
    if result.status == _NO_PROGRAM:
        why = "This account has no command cinder; is this an ACS5000, and the right account?"
    else:
        why = "The command itself failed."
    return ProtocolError(why, request=verb, vendor_code=result.status, vendor_text=said)
