"""Arguments and answers at the wire. Source: protocol sheet, sections 1.2, 3.3 and 4.1."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from conformance.simulation.family import Request, Response
from vendors.hitachi.simulator import codes
from vendors.hitachi.simulator.codes import Refusal

BLOCK: Final = 512
MiB: Final = 1024**2

Object = dict[str, Any]

_CAPACITY = re.compile(r"(\d{1,12})([TGMK])", re.ASCII)
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_MAX_INTEGER = 2**62


def answer(content: Any, status: int = 200, code: str | None = None) -> Response:
    """Answer with JSON."""
    return Response(json.dumps(content).encode(), status, code=code)


def refused(refusal: Refusal, source: str) -> Response:
    """Answer with an error object."""
    fault = refusal.fault
    return answer(fault.rendered(source), refusal.status, fault.ssb or fault.message_id)


def body(request: Request) -> Object:
    """Return the JSON body; an empty one has no attributes."""
    try:
        found = request.json()
    except (ValueError, RecursionError):
        raise Refusal(400, codes.BAD_COMBINATION) from None
    if not isinstance(found, dict):
        raise Refusal(400, codes.BAD_COMBINATION)
    return found


def only(given: Mapping[str, Any], *known: str) -> None:
    """Refuse attributes that the request does not have."""
    for name in given:
        if name not in known:
            raise Refusal(400, codes.UNKNOWN_ATTRIBUTE, name)


def parameters(given: Object, *known: str) -> Object:
    """Return the parameters of an action."""
    only(given, "parameters")
    found = given.get("parameters", {})
    if not isinstance(found, dict):
        raise Refusal(400, codes.BAD_COMBINATION, "parameters")
    only(found, *known)
    return found


def number(given: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Return a whole number; a query's is text."""
    value = given.get(key, default)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        value = int(value)
    if value is None:
        raise Refusal(400, codes.MISSING, key)
    if isinstance(value, bool) or not isinstance(value, int) or not -_MAX_INTEGER < value < _MAX_INTEGER:
        raise Refusal(400, codes.BAD_COMBINATION, key)
    return value


def optional_number(given: Mapping[str, Any], key: str) -> int | None:
    """Return a whole number, or None where it was not given."""
    return None if given.get(key) is None else number(given, key)


def text(given: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return a text."""
    value = given.get(key, default)
    if value is None:
        raise Refusal(400, codes.MISSING, key)
    if not isinstance(value, str):
        raise Refusal(400, codes.BAD_COMBINATION, key)
    return value


def choice(given: Mapping[str, Any], key: str, allowed: Collection[str], default: str | None = None) -> str:
    """Return a text that is one of some."""
    value = text(given, key, default)
    if value not in allowed:
        raise Refusal(400, codes.BAD_COMBINATION, key)
    return value


def flag(given: Mapping[str, Any], key: str, default: bool = False) -> bool:
    """Return a truth value."""
    value = given.get(key, default)
    if not isinstance(value, bool):
        raise Refusal(400, codes.BAD_COMBINATION, key)
    return value


def blocks(given: Mapping[str, Any], formatted: str, counted: str) -> int:
    """Return a capacity in blocks, from a text such as ``10G`` or a number of blocks; exactly one of them is given."""
    if (formatted in given) == (counted in given):
        raise Refusal(400, codes.BAD_COMBINATION, f"{formatted} or {counted}")
    if counted in given:
        found = number(given, counted)
    else:
        match = _CAPACITY.fullmatch(text(given, formatted).strip().upper())
        if match is None:
            raise Refusal(400, codes.BAD_COMBINATION, formatted)
        found = int(match[1]) * _UNITS[match[2]] // BLOCK
    if found <= 0:
        raise Refusal(400, codes.BAD_COMBINATION, "capacity")
    return found


def formatted(count: int) -> str:
    """Return a number of blocks as the array spells capacities."""
    size = float(count * BLOCK)
    for unit in "TGM":
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.2f} {unit}"
    return f"{size / 1024:.2f} K"
