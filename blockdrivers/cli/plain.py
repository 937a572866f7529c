"""The nouns of the library as plain data for JSON and YAML, without secrets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from blockdrivers.model import Chap


def plain(value: Any) -> Any:
    """Return a noun as dictionaries, lists, texts and numbers; CHAP secrets are left out."""
    if isinstance(value, Chap):
        return {"username": value.username}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        value = sorted(value, key=str)
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value
