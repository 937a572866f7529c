"""The grammar of commands and answers that both ways to the array share. Source: IBM sheet, section 2.1; Inspur sheet, 2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from blockdrivers.errors import NotFound, ProtocolError
from blockdrivers.transport.command import Secret

DELIMITER: Final = "!"
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_OBJECT: Final = re.compile(r"[^\W\d].*", re.DOTALL)
"""What a name can be. Digits alone are an id to the array, and what begins with '-' is a parameter (IBM sheet, section 2.2)."""

Flag = str | int | Secret | bool
"""A parameter's value; True is one without."""


@dataclass(frozen=True, slots=True)
class Call:
    """One command, however it is sent.

    Attributes:
        verb: without prefix, such as ``mkvdisk``.
        target: name or id of the object that it is for.
        flags: parameters.
        changes: whether it changes the array.
    """

    verb: str
    target: str | None = None
    flags: Mapping[str, Flag] = field(default_factory=dict)
    changes: bool = False

    def __post_init__(self) -> None:
        if self.target is not None and not _OBJECT.fullmatch(self.target):
            raise NotFound(
                f"Nothing on the array is called {self.target!r}: names begin with a letter or '_'.", request=self.verb
            )


@dataclass(frozen=True, slots=True)
class Ask(Call):
    """An inquiry.

    Attributes:
        detail: it shows one object, with a section for each of its parts; else a table.
        private: the answer holds secrets: no error shows any of it.
    """

    detail: bool = False
    private: bool = False


class Section:
    """Fields of one object or row. A field that is repeated keeps its first value; `entries` shows all."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = tuple(pairs)
        self._first: dict[str, str] = {}
        for name, value in self._pairs:
            self._first.setdefault(name, value)

    def get(self, name: str) -> str:
        """Return a field; empty where the array's level does not have it."""
        return self._first.get(name, "")

    def text(self, name: str) -> str:
        """Return a field that must be there."""
        try:
            return self._first[name]
        except KeyError as missing:
            raise ProtocolError(f"The array's answer has no field {missing}.") from missing

    def number(self, name: str, default: int | None = None) -> int:
        """Return a whole number, or `default` where the field is absent or empty."""
        value = self.get(name)
        if not value and default is not None:
            return default
        try:
            return int(self.text(name))
        except ValueError as wrong:
            raise ProtocolError(f"The array's field {name!r} is no number: {value!r}.") from wrong

    def entries(self, *first: str) -> Iterator[Section]:
        """Yield repeated groups of fields; each begins with one of these names."""
        found: list[tuple[str, str]] = []
        for name, value in self._pairs:
            if name in first and found:
                yield Section(found)
                found = []
            if name in first or found:
                found.append((name, value))
        if found:
            yield Section(found)

    def __contains__(self, name: str) -> bool:
        return name in self._first

    def __repr__(self) -> str:
        return f"Section({sorted(self._first)})"


def rows(text: str) -> list[Section]:
    """Read a concise view: a header, then rows with as many fields; no row at all is an empty text."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    header = lines[0].strip().split(DELIMITER)
    _check_fields(header)
    found = []
    for line in lines[1:]:
        # What is left over belongs to the last field: a secret may hold the delimiter.
        cells = line.split(DELIMITER, len(header) - 1)
        if len(cells) != len(header):
            raise ProtocolError(f"A row of the array's answer has {len(cells)} fields, its header {len(header)}.")
        found.append(Section(list(zip(header, (cell.strip() for cell in cells), strict=True))))
    return found


def sections(text: str) -> list[Section]:
    """Read a detailed view: a field a line; an empty line begins the section of a part."""
    found: list[list[tuple[str, str]]] = [[]]
    for line in text.splitlines():
        if not line.strip():
            found.append([])
            continue
        name, separator, value = line.strip().partition(DELIMITER)
        if not separator:
            raise ProtocolError("A line of the array's answer has no delimiter.")
        found[-1].append((name, value.strip()))
    kept = [pairs for pairs in found if pairs]
    for pairs in kept:
        _check_fields([name for name, _ in pairs])
    return [Section(pairs) for pairs in kept]


def _check_fields(names: Sequence[str]) -> None:
    """Refuse what cannot be names of fields: an answer that is no table must not be read as an empty one."""
    wrong = next((name for name in names if not _FIELD.fullmatch(name)), None)
    if wrong is not None:
        raise ProtocolError(f"The array's answer is no table: {wrong[:40]!r} is no name of a field.")
