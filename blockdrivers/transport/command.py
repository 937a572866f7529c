"""Command lines for arrays: quoted so that no argument breaks out, and showable without their secrets."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from blockdrivers.errors import InvalidRequest

HIDDEN = "***"

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_NOT_IN_DOUBLE_QUOTES = frozenset('"$`\\!')


@dataclass(frozen=True, slots=True)
class Secret:
    """An argument that is sent and never shown."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A part of a command that is written as it is: a constant of the protocol, never something that a caller chose."""

    text: str


Word = str | Secret | Verbatim


@dataclass(frozen=True, slots=True)
class Command:
    """One command for an array.

    Attributes:
        line: what is sent.
        shown: what logs and errors may show of it.
        secrets: what it holds and nobody may see.
    """

    line: str = field(repr=False)
    shown: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redacted(self, text: str) -> str:
        """Return an answer without the command's own secrets: arrays quote what they refuse."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        return text


def command(*words: Word) -> Command:
    """Return the command of these words, each one argument whatever it holds.

    Raises `InvalidRequest` for an argument with a control character, which no array takes and some shells act on.
    """
    return Command(
        " ".join(_sent(word) for word in words),
        " ".join(HIDDEN if isinstance(word, Secret) else _sent(word) for word in words),
        tuple(word.value for word in words if isinstance(word, Secret) and word.value),
    )


def quote(word: str) -> str:
    """Return a word as a POSIX shell reads it back as one argument: plain where that is safe, else in single quotes."""
    _refuse_control_characters(word)
    if _PLAIN.fullmatch(word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def double_quoted(word: str) -> Verbatim:
    """Return a word in double quotes, for arrays that know no others; `InvalidRequest` where they would not hold it."""
    _refuse_control_characters(word)
    if bad := sorted(_NOT_IN_DOUBLE_QUOTES & set(word)):
        raise InvalidRequest(f"{word!r} holds {bad[0]!r}, which cannot be passed to this array; leave it out.")
    return Verbatim(f'"{word}"')


def _sent(word: Word) -> str:
    if isinstance(word, Verbatim):
        return word.text
    return quote(word.value if isinstance(word, Secret) else word)


def _refuse_control_characters(word: str) -> None:
    bad = next((char for char in word if unicodedata.category(char) in {"Cc", "Cs"}), None)
    if bad is not None:
        # The word itself may be a secret.
        raise InvalidRequest(f"An argument for the array holds the control character {bad!r}; use printable text.")
