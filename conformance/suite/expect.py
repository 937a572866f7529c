"""Expectations that checks share; each failure says what was asked and what came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from blockdrivers.errors import AlreadyExists, BlockDriversError
from blockdrivers.model import Export, Volume


@contextmanager
def refused(*kinds: type[BlockDriversError], what: str, naming: str | None = None) -> Iterator[None]:
    """Expect one of these errors from the block, and in its message the text `naming`."""
    names = " or ".join(kind.__name__ for kind in kinds)
    try:
        yield
    except kinds as error:
        if naming is not None:
            assert naming in str(error), f"{what}: the {type(error).__name__} does not name {naming!r}: {error}"
        return
    except Exception as error:
        raise AssertionError(f"{what}: expected {names}, got {type(error).__name__}: {error}") from error
    raise AssertionError(f"{what}: expected {names}, but it was carried out")


def differs(call: Callable[[], object], field: str, *, what: str) -> None:
    """Expect `AlreadyExists` whose differences name the field."""
    try:
        found = call()
    except AlreadyExists as error:
        assert field in error.differences, f"{what}: AlreadyExists names {sorted(error.differences)} and not {field!r}: {error}"
        assert field in str(error), f"{what}: the message does not name {field!r}: {error}"
        return
    raise AssertionError(f"{what}: expected AlreadyExists naming {field!r}, got {found!r}")


def same_object(again: Any, first: Any, *, what: str) -> None:
    """Expect the very same volume or snapshot: array id, WWN, name and size."""
    for attribute in ("id", "wwn", "name", "size"):
        was, now = getattr(first, attribute), getattr(again, attribute)
        assert now == was, f"{what}: {attribute} was {was!r} and is {now!r}: another object"


def same_volume(again: Volume, first: Volume, *, what: str) -> None:
    """Expect the very same volume under whatever name; an array that knows volumes by name alone gives no id of its own."""
    named = first.id == first.name
    for attribute in ("wwn", "size", *(() if named else ("id",))):
        was, now = getattr(first, attribute), getattr(again, attribute)
        assert now == was, f"{what}: {attribute} was {was!r} and is {now!r}: another volume"


def as_asked(volume: Volume, *, what: str = "the volume", **expected: object) -> None:
    """Expect these attributes of a volume."""
    for attribute, value in expected.items():
        found = getattr(volume, attribute)
        assert found == value, f"{what}: {attribute} should be {value!r} and is {found!r}"


def place(export: Export) -> object:
    """Return what an export is told from others by: its LUN id, or its file."""
    return export.location if export.lun is None else export.lun


def only(found: Mapping[str, object] | set[str], expected: set[str], *, what: str) -> None:
    """Expect exactly these ids."""
    assert set(found) == expected, f"{what}: expected {sorted(expected)}, found {sorted(found)}"
