"""Envelope, queries and arguments at the wire. Source: protocol sheet, section 1."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from conformance.simulation.family import Request, Response
from vendors.huawei.simulator import codes

SECTOR: Final = 512
PAGE_OF_V6: Final = 100

_RANGE = re.compile(r"\[(\d+)-(\d+)\]")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_CJK = re.compile(r"[A-Za-z0-9_.\-一-鿿]+")

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
    """Return query and JSON body together; GET and DELETE may carry a body too."""
    try:
        body = request.json()
    except ValueError:
        raise Refusal(codes.BAD_PARAMETER) from None
    if not isinstance(body, dict):
        raise Refusal(codes.BAD_PARAMETER)
    return {**request.query, **body}


def text(given: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return an argument as text; numbers and truth values count as their spelling."""
    value = given.get(key, default)
    if value is None:
        raise Refusal(codes.BAD_PARAMETER)
    return str(value).lower() if isinstance(value, bool) else str(value)


def number(given: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Return an argument as a whole number."""
    try:
        return int(text(given, key, None if default is None else str(default)))
    except ValueError:
        raise Refusal(codes.BAD_PARAMETER) from None


def checked_name(given: Mapping[str, Any], longest: int, *, cjk: bool = True) -> str:
    """Return NAME, or refuse its length or characters."""
    name = text(given, "NAME")
    if not 1 <= len(name) <= longest:
        raise Refusal(codes.NAME_LENGTH)
    if not (_CJK if cjk else _NAME).fullmatch(name):
        raise Refusal(codes.NAME_CHARACTER)
    return name


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
    if not expression:
        return ()
    found = []
    for part in re.split(r"\s+and\s+", expression):
        attribute, mark, value = part.partition("::")
        if not mark:
            raise Refusal(codes.BAD_PARAMETER)
        found.append((attribute, re.sub(r"\\(.)", r"\1", value)))
    return found
