"""Envelope, queries and arguments at the wire. Source: protocol sheet, section 1."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from conformance.simulation.family import Request, Response
from vendors.huawei.simulator import codes

SECTOR: Final = 512
PAGE_OF_V6: Final = 100

_RANGE = re.compile(r"\[(\d{1,18})-(\d{1,18})\]", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_LATIN = re.compile(r"[A-Za-z0-9_.-]+")
_CJK = re.compile(r"[A-Za-z0-9_.\-一-鿿]+")
_CONDITION = re.compile(r"(?P<attribute>\w+)::(?P<value>(?:\\.|[^\\:])*)")
_LONGEST_DESCRIPTION = 255

Attributes = dict[str, Any]


class Refusal(Exception):
    """The array refuses a request with one of its codes."""

    def __init__(self, code: int) -> None:
        super().__init__(codes.TEXTS.get(code, str(code)))
        self.code = code


def success(data: Any) -> Response:
    """Answer with data; a list without entries leaves the key out."""
    envelope: Attributes = {"error": {"code": 0, "description": "0"}}
    if not (isinstance(data, list) and not data):
        envelope["data"] = {} if data is None else data
    return Response(json.dumps(envelope).encode(), code="0")


def refused(code: int) -> Response:
    """Answer with an error; the HTTP status is 200 all the same."""
    error = {"code": code, "description": codes.TEXTS.get(code, "Unknown error."), "suggestion": "See the manual."}
    return Response(json.dumps({"data": {}, "error": error}).encode(), code=str(code))


def arguments(request: Request) -> Attributes:
    """Return query and JSON body together; GET and DELETE may carry a body too. What is null counts as not given."""
    try:
        body = request.json()
    except (ValueError, RecursionError):
        raise Refusal(codes.BAD_PARAMETER) from None
    if not isinstance(body, dict):
        raise Refusal(codes.BAD_PARAMETER)
    return {key: value for key, value in {**request.query, **body}.items() if value is not None}


def text(given: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return an argument as text; numbers and truth values count as their spelling."""
    value = given.get(key, default)
    if isinstance(value, bool):
        return flag(value)
    if not isinstance(value, str | int):
        raise Refusal(codes.BAD_PARAMETER)
    return str(value)


def number(given: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Return an argument as a whole number."""
    found = text(given, key, None if default is None else str(default))
    if _NUMBER.fullmatch(found) is None:
        raise Refusal(codes.BAD_PARAMETER)
    return int(found)


def choice(given: Mapping[str, Any], key: str, allowed: Collection[int], default: int | None = None) -> int:
    """Return an argument that is one of some numbers."""
    found = number(given, key, default)
    if found not in allowed:
        raise Refusal(codes.BAD_PARAMETER)
    return found


def texts(given: Mapping[str, Any], key: str) -> list[str]:
    """Return an argument that is a list; an empty entry is none."""
    found = given.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, str | int) for entry in found):
        raise Refusal(codes.BAD_PARAMETER)
    return list(dict.fromkeys(str(entry) for entry in found if entry != ""))


def checked_name(given: Mapping[str, Any], longest: int, *, cjk: bool) -> str:
    """Return NAME, or refuse its length or characters; only some generations take Chinese ones."""
    name = text(given, "NAME")
    if not 1 <= len(name) <= longest:
        raise Refusal(codes.NAME_LENGTH)
    if not (_CJK if cjk else _LATIN).fullmatch(name):
        raise Refusal(codes.NAME_CHARACTER)
    return name


def description(given: Mapping[str, Any], default: str = "") -> str:
    """Return DESCRIPTION, or refuse its length."""
    found = text(given, "DESCRIPTION", default)
    if len(found) > _LONGEST_DESCRIPTION:
        raise Refusal(codes.BAD_PARAMETER)
    return found


def flag(value: bool) -> str:
    """Return a truth value as the array spells it."""
    return "true" if value else "false"


def select(items: Iterable[Attributes], query: Mapping[str, Any], *, capped: bool) -> list[Attributes]:
    """Return what a listing's query asks for.

    Args:
        items: every object of the kind.
        query: ``filter``, ``range``, and attributes such as PARENTID and ISFREE.
        capped: answer at most 100 unless a larger range is asked for in so many words.
    """
    found = [item for item in items if _matches(item, query)]
    asked = query.get("range")
    if asked is None:
        return found[:PAGE_OF_V6] if capped else found
    match = _RANGE.fullmatch(str(asked))
    if match is None:
        raise Refusal(codes.BAD_PARAMETER)
    return found[int(match[1]) : int(match[2])]


def _matches(item: Attributes, query: Mapping[str, Any]) -> bool:
    for attribute, value in _conditions(str(query.get("filter", ""))):
        if str(item.get(attribute, "")) != value:
            return False
    return all(str(item.get(key, "")) == str(query[key]) for key in ("PARENTTYPE", "PARENTID", "ISFREE") if key in query)


def _conditions(expression: str) -> Sequence[tuple[str, str]]:
    """Return attribute and value of each condition; a colon in a value must be escaped."""
    found = []
    for part in re.split(r"\s+and\s+", expression) if expression else ():
        condition = _CONDITION.fullmatch(part)
        if condition is None:
            raise Refusal(codes.BAD_PARAMETER)
        found.append((condition["attribute"], re.sub(r"\\(.)", r"\1", condition["value"])))
    return found
