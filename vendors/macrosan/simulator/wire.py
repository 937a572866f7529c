"""Arguments, answers and refusals at the wire. Source: protocol sheet, sections 1 and 4.

Which status a refusal has, and its body, is not documented; both follow the sheet's assumptions, and the codes are invented.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from conformance.simulation.family import Request, Response

Arguments = Mapping[str, Any]
Handler = Callable[[Arguments], Any]
Routes = dict[tuple[str, str, str], Handler]
"""(method, resource, ``attr`` or nothing) -> what answers."""

GB: Final = 1024**3

OK: Final = 200
BAD_REQUEST: Final = 400
UNAUTHORISED: Final = 401
NOT_FOUND: Final = 404
CONFLICT: Final = 409
BUSY: Final = 503
NO_SPACE: Final = 507

_TEXTS: Final = {
    BAD_REQUEST: "parameter error",
    UNAUTHORISED: "unauthorized",
    NOT_FOUND: "object does not exist",
    CONFLICT: "object exists or is in use",
    BUSY: "system busy",
    NO_SPACE: "not enough free capacity",
}
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,63}")


class Refusal(Exception):
    """The array refuses a request."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text or _TEXTS.get(status, "error"))
        self.status = status


def success(value: Any) -> Response:
    """Answer with a bare JSON value."""
    return Response(json.dumps(value).encode(), code="0")


def refused(refusal: Refusal) -> Response:
    """Answer with an error."""
    body = {"code": refusal.status, "message": str(refusal)}
    return Response(json.dumps(body).encode(), refusal.status, code=str(refusal.status))


def arguments(request: Request) -> Arguments:
    """Return the query of a GET, with lists of repeated keys under ``key[]``, or the body of anything else."""
    if request.method == "GET":
        repeated: dict[str, list[str]] = {}
        for key, value in request.parameters:
            repeated.setdefault(f"{key}[]", []).append(value)
        return {**request.query, **repeated}
    try:
        body = request.json()
    except (ValueError, RecursionError):
        raise Refusal(BAD_REQUEST) from None
    if not isinstance(body, dict):
        raise Refusal(BAD_REQUEST)
    return body


def text(given: Arguments, key: str) -> str:
    """Return an argument that is a text and not empty."""
    found = given.get(key)
    if not isinstance(found, str) or not found:
        raise Refusal(BAD_REQUEST, f"parameter error: {key}")
    return found


def name(given: Arguments, key: str, longest: int = 63) -> str:
    """Return an argument that may be an object's new name."""
    found = text(given, key)
    if len(found) > longest or not _NAME.fullmatch(found):
        raise Refusal(BAD_REQUEST, f"parameter error: {key}")
    return found


def number(given: Arguments, key: str) -> int:
    """Return an argument that is a whole number, or the text of one."""
    found = given.get(key)
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise Refusal(BAD_REQUEST, f"parameter error: {key}")
    try:
        return int(found)
    except ValueError:
        raise Refusal(BAD_REQUEST, f"parameter error: {key}") from None


def size(given: Arguments, key: str = "size") -> int:
    """Return a size in GB, at least 1, as bytes."""
    found = number(given, key)
    if found < 1:
        raise Refusal(BAD_REQUEST, f"parameter error: {key}")
    return found * GB


def texts(given: Arguments, key: str) -> list[str]:
    """Return an argument that is a list of texts."""
    found = given.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
        raise Refusal(BAD_REQUEST, f"parameter error: {key}")
    return list(found)


def gigabytes(size_in_bytes: int) -> int | float:
    """Return a size as the array tells it: whole where it is."""
    found = size_in_bytes / GB
    return int(found) if found.is_integer() else math.floor(found * 100) / 100
