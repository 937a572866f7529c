"""Records, queries, bodies and errors at the wire. Source: protocol sheet, sections 2 and 4."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from conformance.simulation.family import Response

Record = dict[str, Any]

RESERVED: Final = frozenset(
    {
        "fields", "max_records", "return_records", "return_timeout", "order_by", "start.after", "allow_delete_while_mapped",
        "serial_records", "action", "overwrite", "return_metadata",
    }
)  # fmt: skip
"""What a query may hold beside conditions on fields."""

_LARGEST_PAGE = 10_000
_SUFFIXES: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE: Final = re.compile(r"(\d{1,20})([KMGT]?)B?", re.ASCII | re.IGNORECASE)


@dataclass
class Refusal(Exception):
    """The array refuses a request."""

    code: int
    message: str
    status: int = 400
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request, decoded: the parts of its path, its query and its body."""

    method: str
    ids: tuple[str, ...]
    query: Mapping[str, str]
    body: Record
    raw: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def conditions(self) -> Mapping[str, str]:
        """What the query demands of records."""
        return {key: value for key, value in self.query.items() if key not in RESERVED}

    @property
    def wants_records(self) -> bool:
        """Whether a changing request is to return what it touched."""
        return self.query.get("return_records") == "true"


def respond(content: Mapping[str, Any], status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return an answer."""
    return Response(json.dumps(content).encode(), status, headers, code=str(status))


def refused(refusal: Refusal) -> Response:
    """Return an error."""
    error: Record = {"message": refusal.message, "code": str(refusal.code)}
    if refusal.target:
        error["target"] = refusal.target
    return Response(json.dumps({"error": error}).encode(), refusal.status, code=str(refusal.code))


# Bodies


def body_of(raw: bytes) -> Record:
    """Return a JSON body with dotted keys unfolded; an empty one is an empty object."""
    if not raw.strip():
        return {}
    try:
        found = json.loads(raw)
    except ValueError:
        raise Refusal(262194, "The request body is not JSON.") from None
    if not isinstance(found, dict):
        raise Refusal(262194, "The request body is no object.")
    return _unfolded(found)


def _unfolded(found: Mapping[str, Any]) -> Record:
    plain: Record = {}
    for key, value in found.items():
        inner = _unfolded(value) if isinstance(value, dict) else value
        if isinstance(inner, list):
            inner = [_unfolded(item) if isinstance(item, dict) else item for item in inner]
        *way, last = str(key).split(".")
        place = plain
        for step in way:
            place = place.setdefault(step, {})
        if isinstance(inner, dict) and isinstance(place.get(last), dict):
            place[last].update(inner)
        else:
            place[last] = inner
    return plain


def at(record: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """Return what stands at a dotted path."""
    found: Any = record
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return default
        found = found[step]
    return found


def only(body: Mapping[str, Any], *known: str) -> None:
    """Refuse a body with a field that is not known here."""
    for key in body:
        if key not in known:
            raise Refusal(262179, f'Unexpected argument "{key}".', target=key)


def text(body: Mapping[str, Any], path: str, default: str | None = None) -> str:
    """Return a text."""
    found = at(body, path, default)
    if found is None:
        raise Refusal(5374884, f"The required field {path} is missing.", target=path)
    if not isinstance(found, str):
        raise Refusal(262197, f'The value "{found}" is invalid for field "{path}".', target=path)
    return found


def size(body: Mapping[str, Any], path: str) -> int:
    """Return a number of bytes: a number, or a text with or without a suffix."""
    found = at(body, path)
    match = _SIZE.fullmatch(str(found)) if not isinstance(found, bool) else None
    if match is None:
        raise Refusal(5374130, f'The value "{found}" is invalid for field "{path}".', target=path)
    return int(match[1]) * _SUFFIXES.get(match[2].upper(), 1)


def number(body: Mapping[str, Any], path: str, default: int | None = None) -> int | None:
    """Return a whole number, given as one or as text."""
    found = at(body, path, default)
    if found is None or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    if isinstance(found, str) and found.isdecimal():
        return int(found)
    raise Refusal(262197, f'The value "{found}" is invalid for field "{path}".', target=path)


def flag(body: Mapping[str, Any], path: str, default: bool = False) -> bool:
    """Return a truth value, given as one or as text."""
    found = at(body, path, default)
    if isinstance(found, str) and found.lower() in {"true", "false"}:
        return found.lower() == "true"
    if not isinstance(found, bool):
        raise Refusal(262197, f'The value "{found}" is invalid for field "{path}".', target=path)
    return found


# Queries


def matching(records: Iterable[Record], conditions: Mapping[str, str]) -> list[Record]:
    """Return the records that meet every condition."""
    return [record for record in records if all(_meets(record, path, wanted) for path, wanted in conditions.items())]


def _meets(record: Record, path: str, wanted: str) -> bool:
    found = list(values(record, path.split(".")))
    alternatives = re.split(r"[|,]", wanted)
    return any(_is(found, alternative) for alternative in alternatives)


def values(record: Any, way: Sequence[str]) -> Iterator[Any]:
    """Yield what stands at a dotted path, through lists; an object stands for its name."""
    if isinstance(record, list):
        for item in record:
            yield from values(item, way)
    elif not way:
        yield record.get("name") if isinstance(record, dict) else record
    elif isinstance(record, dict):
        for length in range(len(way), 0, -1):
            key = ".".join(way[:length])
            if key in record:
                yield from values(record[key], way[length:])
                return


def _is(found: Sequence[Any], wanted: str) -> bool:
    if wanted in {"null", "!null"}:
        return bool(found) == (wanted == "!null")
    if wanted.startswith("!"):
        return not _is(found, wanted[1:])
    return any(_equals(value, wanted) for value in found)


def _equals(value: Any, wanted: str) -> bool:
    plain = str(value).lower() if isinstance(value, bool) else str(value)
    comparison = re.match(r"(<=|>=|<|>|=)(.*)", wanted)
    if comparison is not None:
        return _compares(value, comparison[1], comparison[2])
    if ".." in wanted:
        low, _, high = wanted.partition("..")
        return _compares(value, ">=", low) and _compares(value, "<=", high)
    return fnmatchcase(plain, wanted.replace("[", "[[]").replace("?", "[?]"))


def _compares(value: Any, operator: str, wanted: str) -> bool:
    left, right = (value, int(wanted)) if isinstance(value, int) and wanted.lstrip("-").isdecimal() else (str(value), wanted)
    comparisons: dict[str, Callable[[Any, Any], bool]] = {
        "<": lambda a, b: a < b,
        ">": lambda a, b: a > b,
        "<=": lambda a, b: a <= b,
        ">=": lambda a, b: a >= b,
        "=": lambda a, b: a == b,
    }
    return comparisons[operator](left, right)


def listed(call: Call, path: str, records: Iterable[Record], keys: Sequence[str], expensive: Sequence[str] = ()) -> Response:
    """Answer a query on a collection.

    Args:
        call: the request.
        path: of the collection, for links.
        records: everything that is there, in a steady order.
        keys: fields that every answer holds.
        expensive: fields that come only when they are named.
    """
    found = matching(records, call.conditions)
    start = int(call.query.get("start.after", "0"))
    # One known client ends a query with a second question mark and more.
    page_size = min(int(call.query.get("max_records", str(_LARGEST_PAGE)).partition("?")[0]), _LARGEST_PAGE)
    page = found[start : start + page_size]
    answer: Record = {"num_records": len(page)}
    if call.query.get("return_records", "true").partition("?")[0] == "false":
        return respond({"num_records": len(found)})
    wanted = [*keys, *call.conditions, *_fields(call)]
    answer["records"] = [_linked(project(record, wanted, expensive), path, record) for record in page]
    if start + page_size < len(found):
        query = "&".join(f"{key}={value}" for key, value in call.query.items() if key != "start.after")
        answer["_links"] = {"next": {"href": f"/api/{path}?start.after={start + page_size}&{query}"}}
    return respond(answer)


def one(call: Call, path: str, record: Record, expensive: Sequence[str] = ()) -> Response:
    """Answer a query of one object."""
    wanted = _fields(call)
    return respond(_linked(project(record, ["uuid", "name", *wanted] if wanted else ["*"], expensive), path, record))


def _fields(call: Call) -> list[str]:
    return [field for field in call.query.get("fields", "").split(",") if field]


def project(record: Record, wanted: Sequence[str], expensive: Sequence[str]) -> Record:
    """Return those fields of a record; ``*`` stands for all that are not expensive, ``**`` for all."""
    if "**" in wanted:
        return record
    chosen: Record = {}
    if "*" in wanted:
        chosen = {
            key: value
            for key, value in record.items()
            if key not in {path.partition(".")[0] for path in expensive if "." not in path}
        }
        for path in expensive:
            chosen = _without(chosen, path.split("."))
    for field in wanted:
        if field != "*":
            _take(record, chosen, field.removesuffix(".*").split("."))
    return chosen


def _take(record: Any, into: Any, way: Sequence[str]) -> None:
    """Copy what stands at a dotted path of one record into another, through lists."""
    head, *rest = way
    if not isinstance(record, dict) or head not in record:
        return
    value = record[head]
    if not rest:
        into[head] = value
    elif isinstance(value, dict) and into.get(head) is not value:
        _take(value, into.setdefault(head, {}), rest)
    elif isinstance(value, list) and into.get(head) is not value:
        kept = into.setdefault(head, [{key: item[key] for key in ("name", "uuid") if key in item} for item in value])
        for item, there in zip(value, kept, strict=True):
            _take(item, there, rest)


def _without(record: Record, way: Sequence[str]) -> Record:
    head, *rest = way
    if head not in record:
        return record
    if not rest:
        return {key: value for key, value in record.items() if key != head}
    inner = record[head]
    return {**record, head: _without(inner, rest)} if isinstance(inner, dict) else record


def _linked(chosen: Record, path: str, record: Record) -> Record:
    """Name an object by its address; objects without a uuid have none here."""
    uuid = record.get("uuid")
    return chosen if uuid is None else {**chosen, "_links": {"self": {"href": f"/api/{path}/{uuid}"}}}
