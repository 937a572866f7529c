"""Bodies, names, queries and answers at the wire. Source: protocol sheet, sections 1, 2 and 3.14."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from conformance.simulation.family import Request, Response
from vendors.hpe.simulator import codes
from vendors.hpe.simulator.codes import Code

MIB: Final = 1024 * 1024
GRANULE: Final = 256
"""MiB that sizes are rounded up to."""
NAME, SET_NAME, GROUP_NAME = 31, 27, 24
_COMMENT = 511
_LEGAL = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*")
_CONDITION = re.compile(r"(?P<field>\w+)\s*(?P<operator>EQ|==|GE|LE)\s*(?P<value>\S+)")
_INSIDE = re.compile(r"(?P<field>\w+)\[(?P<inner>.+)\]")

Attributes = dict[str, Any]


class Refusal(Exception):
    """The array refuses a request."""

    def __init__(self, code: Code, *, text: str | None = None, ref: str | None = None) -> None:
        super().__init__(text or code.text)
        self.code = code
        self.text = text or code.text
        self.ref = ref


@dataclass(frozen=True, slots=True)
class Call:
    """One request, decoded: body, names in the path, and the text of its query."""

    body: Attributes
    names: tuple[str, ...] = ()
    query: str = ""
    parameters: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request that was carried out is answered with."""

    data: Any = None
    status: int = 200
    location: str = ""
    """Path below the interface's root, as it is announced."""


Handler = Callable[[Call], Any]
"""Returns an `Answer`, or what its body holds."""


def created(location: str, data: Any = None) -> Answer:
    """Answer that an object was made."""
    return Answer(data, 201, location)


def listed(items: Sequence[Attributes]) -> Attributes:
    """Answer with a list."""
    return {"total": len(items), "members": list(items)}


def response(answer: Any) -> Response:
    """Return what goes over the wire; an answer without data has no body."""
    given = answer if isinstance(answer, Answer) else Answer(answer)
    body = b"" if given.data is None else json.dumps(given.data).encode()
    headers: tuple[tuple[str, str], ...] = (("Cache-Control", "no-cache"), ("Pragma", "no-cache"))
    if given.location:
        headers += (("Location", given.location),)
    return Response(body, given.status, headers, code="0")


def refused(code: Code, text: str = "", ref: str | None = None) -> Response:
    """Return a refusal."""
    body: Attributes = {"code": code.number, "desc": text or code.text} | ({"ref": ref} if ref else {})
    return Response(json.dumps(body).encode(), code.status, code=str(code.number))


def body(request: Request) -> Attributes:
    """Return the JSON body."""
    try:
        found = request.json()
    except (ValueError, RecursionError):
        raise Refusal(codes.BAD_JSON) from None
    if not isinstance(found, dict):
        raise Refusal(codes.BAD_JSON)
    return found


def text(given: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return a text; null counts as not given."""
    value = given.get(key)
    if value is None:
        if default is None:
            raise Refusal(codes.MISSING, ref=key)
        return default
    if not isinstance(value, str):
        raise Refusal(codes.WRONG_TYPE, ref=key)
    return value


def number(given: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Return a whole number, which may arrive as a float."""
    value = given.get(key)
    if value is None:
        if default is None:
            raise Refusal(codes.MISSING, ref=key)
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(codes.WRONG_TYPE, ref=key)
    if value < 0 or value >= 2**53:
        raise Refusal(codes.OUT_OF_RANGE, ref=key)
    return int(value)


def flag(given: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
    """Return a truth value."""
    value = given.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refusal(codes.WRONG_TYPE, ref=key)
    return value


def choice(given: Mapping[str, Any], key: str, allowed: Collection[int], default: int | None = None) -> int:
    """Return one of some numbers."""
    value = number(given, key, default)
    if value not in allowed:
        raise Refusal(codes.BAD_ENUM, ref=key)
    return value


def texts(given: Mapping[str, Any], key: str) -> list[str]:
    """Return a list of texts, empty where it is not given."""
    value = given.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise Refusal(codes.WRONG_TYPE, ref=key)
    return value


def part(given: Mapping[str, Any], key: str) -> Attributes:
    """Return an inner object."""
    value = given.get(key)
    if value is None:
        raise Refusal(codes.MISSING, ref=key)
    if not isinstance(value, dict):
        raise Refusal(codes.WRONG_TYPE, ref=key)
    return value


def name(given: Mapping[str, Any], key: str, longest: int = NAME) -> str:
    """Return a name that the array takes."""
    found = text(given, key)
    if not found:
        raise Refusal(codes.EMPTY, ref=key)
    if len(found) > longest:
        raise Refusal(codes.TOO_LONG, ref=key)
    if not _LEGAL.fullmatch(found):
        raise Refusal(codes.BAD_CHARACTER, ref=key)
    return found


def comment(given: Mapping[str, Any], default: str = "") -> str:
    """Return a comment; null clears it."""
    if "comment" in given and given["comment"] is None:
        return ""
    found = text(given, "comment", default)
    if len(found) > _COMMENT:
        raise Refusal(codes.TOO_LONG, ref="comment")
    return found


def rounded(mebibytes: int) -> int:
    """Return a size in bytes, rounded up as the array does."""
    return -(-mebibytes // GRANULE) * GRANULE * MIB


def select(items: Sequence[Attributes], query: str) -> list[Attributes]:
    """Return the members that a query asks for; all of them without one."""
    if not query:
        return list(items)
    if len(query) < 2 or query[0] != '"' or query[-1] != '"':  # noqa: PLR2004 - both quotes
        raise Refusal(codes.BAD_QUERY)
    wanted = _disjunction(query[1:-1])
    return [item for item in items if wanted(item)]


_Test = Callable[[Mapping[str, Any]], bool]


def _disjunction(expression: str) -> _Test:
    tests = [_conjunction(piece) for piece in _split(expression, "OR")]
    return lambda item: any(test(item) for test in tests)


def _conjunction(expression: str) -> _Test:
    tests = [_condition(piece) for piece in _split(expression, "AND")]
    return lambda item: all(test(item) for test in tests)


def _split(expression: str, word: str) -> list[str]:
    """Split at a word that stands outside of brackets."""
    pieces = re.split(rf"\s+{word}\s+(?![^\[]*\])", expression.strip())
    if not all(pieces):
        raise Refusal(codes.BAD_QUERY)
    return pieces


def _condition(expression: str) -> _Test:
    inside = _INSIDE.fullmatch(expression)
    if inside is not None:
        field, test = inside["field"], _disjunction(inside["inner"])
        return lambda item: any(test(entry) for entry in item.get(field, ()))
    match = _CONDITION.fullmatch(expression)
    if match is None:
        raise Refusal(codes.BAD_QUERY)
    return _comparison(match["field"], match["operator"], match["value"].strip())


def _comparison(field: str, operator: str, value: str) -> _Test:
    if operator in {"EQ", "=="}:
        folded = field.lower().endswith("wwn")
        wanted = value.lower() if folded else value
        return lambda item: _said(item.get(field), folded=folded) == wanted
    if not value.isdecimal():
        raise Refusal(codes.BAD_QUERY)
    limit = int(value)
    if operator == "GE":
        return lambda item: isinstance(item.get(field), int) and item[field] >= limit
    return lambda item: isinstance(item.get(field), int) and item[field] <= limit


def _said(value: object, *, folded: bool) -> str | None:
    if value is None:
        return None
    said = str(value).lower() if isinstance(value, bool) else str(value)
    return said.lower() if folded else said
