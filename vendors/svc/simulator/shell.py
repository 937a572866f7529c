"""The restricted shell: command lines, their parameters, and how answers are printed. Source: protocol sheets, sections 1 and 2.1."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vendors.svc.simulator import codes
from vendors.svc.simulator.codes import Refusal

_OPERATORS: Final = ";|&<>()`"
_LISTING_VALUES: Final = frozenset({"delim", "filtervalue"})
_LISTING_SWITCHES: Final = frozenset({"nohdr", "bytes", "gui", "showhidden"})
_NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\- ]*", re.ASCII)
_LONGEST_NAME: Final = 63
_UNITS: Final = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "tb": 2**40, "pb": 2**50}


@dataclass(frozen=True, slots=True)
class Bytes:
    """A capacity: whole bytes with ``-bytes``, else rounded with a unit."""

    value: int

    def shown(self, *, exact: bool) -> str:
        """Return it as it is printed."""
        if exact:
            return str(self.value)
        unit = next((unit for unit in ("pb", "tb", "gb", "mb", "kb") if self.value >= _UNITS[unit]), "mb")
        return f"{self.value / _UNITS[unit]:.2f}{unit.upper()}"


Value = str | int | Bytes
Pairs = Sequence[tuple[str, Value]]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a concise view; each names the same fields in the same order."""

    rows: Sequence[Pairs]


@dataclass(frozen=True, slots=True)
class Detail:
    """One object: its own section, and one for each of its parts."""

    sections: Sequence[Pairs]
    nested: tuple[str, int] | None = None
    """How REST shows repeated fields: under this name, this many fields an entry."""


@dataclass(frozen=True, slots=True)
class Created:
    """A new object."""

    id: str
    message: str


Answer = Table | Detail | Created | None


@dataclass(frozen=True, slots=True)
class Given:
    """The parameters of one command."""

    flags: Mapping[str, str | None] = field(default_factory=dict)
    objects: Sequence[str] = ()

    def __contains__(self, flag: str) -> bool:
        return flag in self.flags

    def text(self, flag: str, default: str | None = None) -> str:
        """Return a parameter that must be there, or its default."""
        value = self.flags.get(flag, default)
        if value is None:
            raise Refusal(codes.PARAMETER_MISSING)
        return value

    def number(self, flag: str, default: int | None = None, *, among: range | None = None) -> int:
        """Return a whole number."""
        text = self.text(flag, None if default is None else str(default))
        if _NUMBER.fullmatch(text) is None or (among is not None and int(text) not in among):
            raise Refusal(codes.BAD_VALUE)
        return int(text)

    def choice(self, flag: str, allowed: Iterable[str], default: str | None = None) -> str:
        """Return one of some words."""
        value = self.text(flag, default)
        if value not in allowed:
            raise Refusal(codes.BAD_VALUE)
        return value

    def size(self) -> int:
        """Return ``-size`` in ``-unit`` as bytes; megabytes where no unit is given."""
        size = self.number("size", among=range(1, 2**63)) * _UNITS[self.choice("unit", _UNITS, "mb")]
        if size % 512:
            raise Refusal(codes.BAD_VALUE)
        return size

    @property
    def object(self) -> str:
        """The object that the command is for."""
        if not self.objects:
            raise Refusal(codes.NO_ID)
        return self.objects[0]

    @property
    def delimiter(self) -> str | None:
        """What separates fields; None pads columns."""
        value = self.flags.get("delim")
        if value is not None and len(value) != 1:
            raise Refusal(codes.BAD_VALUE)
        return value

    def filters(self) -> list[tuple[str, str]]:
        """Return the conditions that rows have to meet, all of them; ignored where an object is named."""
        text = self.flags.get("filtervalue")
        if not text or self.objects:
            return []
        conditions = [part.partition("=") for part in text.split(":")]
        if not all(separator for _, separator, _ in conditions):
            raise Refusal(codes.BAD_FILTER)
        return [(name, value) for name, _, value in conditions]


@dataclass(frozen=True, slots=True)
class Command:
    """A verb: which parameters it takes and what it does.

    Attributes:
        run: carries it out.
        values: parameters with a value.
        switches: parameters without one.
        most: how many objects it takes.
    """

    run: Callable[[Given], Answer]
    values: frozenset[str] = frozenset()
    switches: frozenset[str] = frozenset()
    most: int = 1


def listing(run: Callable[[Given], Answer], *values: str, most: int = 1) -> Command:
    """Return a command that lists, with the parameters that all of those take."""
    return Command(run, _LISTING_VALUES | set(values), _LISTING_SWITCHES, most)


def action(run: Callable[[Given], Answer], values: str = "", switches: str = "", most: int = 1) -> Command:
    """Return a command that changes; parameters are separated by spaces."""
    return Command(run, frozenset(values.split()), frozenset(switches.split()), most)


def commands(line: str) -> list[list[str]]:
    """Return the words of each command of a line; raise `ValueError` for one that the restricted shell does not take."""
    parts, quote, escaped = [""], "", False
    for char in line:
        if not escaped and not quote and char in _OPERATORS:
            if char != ";":
                raise ValueError(f"restricted: {char}")
            parts.append("")
            continue
        parts[-1] += char
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif char in "'\"" and quote in {"", char}:
            quote = "" if quote else char
    found = [shlex.split(part) for part in parts]
    if not all(found[:-1]):
        raise ValueError("syntax error near unexpected token ';'")
    return [words for words in found if words]


def parse(command: Command, words: Sequence[str]) -> Given:
    """Sort a command's words into parameters and objects."""
    flags: dict[str, str | None] = {}
    objects: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name = word[1:]
        if not word.startswith("-") or not name:
            objects.append(word)
        elif name in command.values and not (name in command.switches and _is_flag(waiting)):
            if not waiting:
                raise Refusal(codes.PARAMETER_MISSING)
            flags[name] = waiting.pop(0)
        elif name in command.switches:
            flags[name] = None
        else:
            raise Refusal(codes.PARAMETER_UNKNOWN)
    if len(objects) > command.most:
        raise Refusal(codes.PARAMETER_UNKNOWN)
    if not all(text.isascii() for text in (*objects, *(value or "" for value in flags.values()))):
        raise Refusal(codes.NON_ASCII)
    return Given(flags, objects)


def _is_flag(waiting: Sequence[str]) -> bool:
    """Tell whether no value follows: a parameter that may go without one then does."""
    return not waiting or waiting[0].startswith("-")


def checked_name(name: str) -> str:
    """Return a name for a new object, or refuse one that breaks the rules (sheet, section 2.2)."""
    if len(name) > _LONGEST_NAME:
        raise Refusal(codes.TOO_LONG)
    if not _NAME.fullmatch(name) or name.endswith(" "):
        raise Refusal(codes.BAD_NAME)
    return name


def printed(answer: Answer, given: Given) -> str:
    """Return what a command prints."""
    if answer is None:
        return ""
    if isinstance(answer, Created):
        return answer.message + "\n"
    if isinstance(answer, Detail):
        return "\n".join(_section(section, given) for section in answer.sections)
    return _concise(_chosen(answer, given), given)


def structured(answer: Answer, given: Given) -> Any:
    """Return what REST answers: objects whose values are all text (IBM sheet, section 9)."""
    if answer is None:
        return None
    if isinstance(answer, Created):
        return {"id": answer.id, "message": answer.message}
    if isinstance(answer, Detail):
        shown = [_object(section, answer, given) for section in answer.sections]
        return shown[0] if len(shown) == 1 else shown
    return [dict(_texts(row, given)) for row in _chosen(answer, given)]


def _object(section: Pairs, answer: Detail, given: Given) -> dict[str, Any]:
    """Return a section with its repeated fields gathered."""
    pairs = list(_texts(section, given))
    if answer.nested is None:
        return dict(pairs)
    name, width = answer.nested
    begins = next((place for place, (key, _) in enumerate(pairs) if key in {"WWPN", "iscsi_name", "tier"}), len(pairs))
    repeated = pairs[begins:]
    if not repeated:
        return dict(pairs)
    entries = [dict(repeated[place : place + width]) for place in range(0, len(repeated), width)]
    return {**dict(pairs[:begins]), name: entries}


def _section(section: Pairs, given: Given) -> str:
    separator = given.delimiter or " "
    lines = (value if "nohdr" in given else f"{name}{separator}{value}" for name, value in _texts(section, given))
    return "".join(f"{line}\n" for line in lines)


def _concise(rows: Sequence[Pairs], given: Given) -> str:
    if not rows:
        return ""
    texts = [[value for _, value in _texts(row, given)] for row in rows]
    if "nohdr" not in given:
        texts.insert(0, [name for name, _ in rows[0]])
    separator = given.delimiter
    if separator is not None:
        return "".join(f"{separator.join(cells)}\n" for cells in texts)
    widths = [max(len(cells[column]) for cells in texts) for column in range(len(texts[0]))]
    return "".join(_padded(cells, widths) + "\n" for cells in texts)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _texts(pairs: Pairs, given: Given) -> Iterator[tuple[str, str]]:
    for name, value in pairs:
        yield name, value.shown(exact="bytes" in given) if isinstance(value, Bytes) else str(value)


def _chosen(answer: Table, given: Given) -> list[Pairs]:
    """Return the rows that meet every condition."""
    conditions = given.filters()
    return [row for row in answer.rows if _meets(row, conditions)]


def _meets(row: Pairs, conditions: Sequence[tuple[str, str]]) -> bool:
    found = dict(row)
    for name, wanted in conditions:
        if name not in found:
            raise Refusal(codes.BAD_FILTER)
        value = found[name]
        text = str(value.value if isinstance(value, Bytes) else value)
        if not (text.startswith(wanted[:-1]) if wanted.endswith("*") else text == wanted):
            return False
    return True
