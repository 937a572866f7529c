"""Sizes on the command line: whole numbers of bytes, KiB, MiB, GiB or TiB, and nothing that could mean two things."""

from __future__ import annotations

import re

import click

from blockdrivers.model import GiB, KiB, MiB, TiB

_UNITS = {"": 1, "kib": KiB, "mib": MiB, "gib": GiB, "tib": TiB}
_SIZE = re.compile(r"([0-9]{1,20}) ?([A-Za-z]*)")


def parse_size(text: str) -> int:
    """Return the bytes that a text such as ``10GiB`` or ``1073741824`` stands for; raise `ValueError` that says what is wrong."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a whole number and a unit, such as 10GiB")
    number, unit = match.groups()
    if unit.lower() not in _UNITS:
        raise ValueError(f"{text!r} has the unit {unit!r}; use KiB, MiB, GiB or TiB (1024 each), or plain bytes")
    return int(number) * _UNITS[unit.lower()]


def format_size(size: int | None) -> str:
    """Return a size as people read it, in the largest unit that leaves at least 1."""
    if size is None:
        return "?"
    for unit, name in ((TiB, "TiB"), (GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.2f} {name}"
    return f"{size} B"


def size_argument(text: str) -> int:
    """Convert an option's text to bytes."""
    try:
        return parse_size(text)
    except ValueError as trouble:
        raise click.BadParameter(f"{trouble}.") from None
