"""A simulator's dump of its array, made comparable: two arrays are equal when they hold the same things, whatever their ids."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from blockdrivers.naming import KEPT

State = Mapping[str, Counter[str]]
"""Kind of object -> how often each object, without what differs from run to run, is there."""

_FOUND_AGAIN = re.compile(rf"(\bblockdrivers;.*){re.escape(KEPT)}$", re.DOTALL)
"""A description whose object a repeat has found: a driver may note that, and nothing else has changed."""
_VOLATILE = re.compile(
    r"(^|_)(ids?|wwns?|wwpn|uuid|time|timestamp|created|created_at|started|sequence|counter|serial|token)$", re.IGNORECASE
)


def normalised(dump: Mapping[str, Any]) -> State:
    """Return what an array holds, without ids, WWNs and times."""
    return {kind: Counter(_objects(content)) for kind, content in dump.items() if isinstance(content, list | dict)}


def differences(before: State, after: State) -> list[str]:
    """Return one line for each object that is there more or less often."""
    lines = []
    for kind in sorted({*before, *after}):
        old, new = before.get(kind, Counter()), after.get(kind, Counter())
        lines += [f"{kind}: {count} more {text}" for text, count in sorted((new - old).items())]
        lines += [f"{kind}: {count} fewer {text}" for text, count in sorted((old - new).items())]
    return lines


def _objects(content: Any) -> Iterator[str]:
    entries = content.values() if isinstance(content, dict) else content
    for entry in entries:
        if _is_bystander(entry):
            continue
        yield json.dumps(_without_volatile(entry), sort_keys=True, ensure_ascii=False)


def _is_bystander(entry: Any) -> bool:
    """Tell whether an entry is an initiator of nobody: arrays list whatever has logged in once."""
    return isinstance(entry, dict) and {"host", "kind", "online"} <= entry.keys() and entry["host"] is None


def _without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_volatile(inner) for key, inner in value.items() if not _VOLATILE.search(key)}
    if isinstance(value, str):
        return _FOUND_AGAIN.sub(r"\1", value)
    if isinstance(value, list):
        return sorted((_without_volatile(inner) for inner in value), key=repr)
    return value
