"""YAML that remembers its places: readers take what they need node by node, and every refusal names file, line, field and value.

For data files that people edit by hand, where "line 212: rows[17].classes.FC-SAN" is worth more than a schema's path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import yaml

from blockdrivers.errors import ConfigurationError

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

_TAG = "tag:yaml.org,2002:"
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_BYTES = 4 * 1024**2
_SHOWN = 80


class Node:
    """One node of a YAML document and its way from the root."""

    def __init__(self, source: str, node: yaml.Node, path: str, error: type[ConfigurationError]) -> None:
        self.path = path
        self._source = source
        self._node = node
        self._error = error

    def refuse(self, problem: str) -> ConfigurationError:
        """Return the error that says what is wrong with this node, where it is and what it holds."""
        line = self._node.start_mark.line + 1
        return self._error(f"{self._source}, line {line}: {self.path or 'the document'} {problem}; got {self._shown()}.")

    def fields(self, required: Collection[str], optional: Collection[str] = ()) -> Mapping[str, Node]:
        """Return a mapping's values by field; refuse missing, unknown and repeated fields."""
        found = self.entries()
        for name, child in found.items():
            if name not in required and name not in optional:
                raise child.refuse(f"is not a known field (known: {', '.join([*required, *optional])})")
        for name in required:
            if name not in found:
                raise self.refuse(f"lacks the field {name!r}")
        return found

    def entries(self) -> dict[str, Node]:
        """Return a mapping's values by key, whatever the keys are; refuse a repeated one."""
        if not isinstance(self._node, yaml.MappingNode):
            raise self.refuse("must be a mapping")
        found: dict[str, Node] = {}
        for key, value in self._node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._child(key, "(key)").refuse("must be a plain key")
            child = self._child(value, f".{key.value}" if self.path else str(key.value))
            if key.value in found:
                raise child.refuse("stands there twice")
            found[str(key.value)] = child
        return found

    @property
    def is_list(self) -> bool:
        """Whether this is a list, where a single word would do too."""
        return isinstance(self._node, yaml.SequenceNode)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written for it: ``field:`` and no more."""
        return self._node.tag == f"{_TAG}null"

    def items(self) -> list[Node]:
        """Return a list's nodes."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.refuse("must be a list")
        return [self._child(value, f"[{index}]") for index, value in enumerate(self._node.value)]

    def texts(self) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(item.text() for item in self.items())

    def text(self) -> str:
        """Return a text that is not empty; numbers and words such as ``on`` are taken as they are written."""
        node = self._node
        if not isinstance(node, yaml.ScalarNode) or node.tag == f"{_TAG}null" or not node.value.strip():
            raise self.refuse("must be a text")
        return str(node.value).strip()

    def integer(self) -> int:
        """Return a whole number."""
        return self._parsed(int, "must be a whole number", f"{_TAG}int")

    def boolean(self) -> bool:
        """Return ``true`` or ``false``."""
        return self._parsed(lambda text: {"true": True, "false": False}[text.lower()], "must be true or false", f"{_TAG}bool")

    def day(self) -> date:
        """Return a date."""
        return self._parsed(date.fromisoformat, "must be a date such as 2026-05-31")

    def choice(self, kind: type[E]) -> E:
        """Return one of an enumeration's values."""
        return self.one_of({member.value: member for member in kind})

    def one_of(self, known: Mapping[str, T]) -> T:
        """Return what the text stands for in `known`."""
        text = self.text()
        if text not in known:
            raise self.refuse(f"must be one of {', '.join(known)}")
        return known[text]

    def _parsed(self, parse: Callable[[str], T], problem: str, tag: str | None = None) -> T:
        text = self.text()
        if tag is not None and self._node.tag != tag:
            raise self.refuse(problem)
        try:
            return parse(text)
        except (ValueError, KeyError):
            raise self.refuse(problem) from None

    def _child(self, node: yaml.Node, step: str) -> Node:
        return Node(self._source, node, self.path + step, self._error)

    def _shown(self) -> str:
        if isinstance(self._node, yaml.ScalarNode):
            text = self._node.value
            return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
        if isinstance(self._node, yaml.MappingNode):
            keys = [key.value for key, _ in self._node.value if isinstance(key, yaml.ScalarNode)]
            return f"a mapping of {', '.join(keys) or 'nothing'}"
        return f"a list of {len(self._node.value)}"


def read(path: Path, error: type[ConfigurationError] = ConfigurationError) -> Node:
    """Return the root node of a YAML file.

    Raises:
        ConfigurationError: or the subclass given as `error`: the file cannot be read, is no YAML, or is empty.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as trouble:
        raise error(f"{path}: cannot be read: {trouble.strerror}.") from None
    except UnicodeDecodeError as trouble:
        line = data[: trouble.start].count(b"\n") + 1
        raise error(f"{path}, line {line}: is not UTF-8 text: byte {data[trouble.start]:#04x}.") from None
    if len(data) > _MAX_BYTES:
        raise error(f"{path}: holds {len(data)} bytes; a data file has at most {_MAX_BYTES}.")
    return parse(text, str(path), error)


def parse(text: str, source: str, error: type[ConfigurationError] = ConfigurationError) -> Node:
    """Return the root node of a YAML text; `source` is what errors call it."""
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as trouble:
        mark = trouble.problem_mark or trouble.context_mark
        line = mark.line + 1 if mark else 1
        raise error(f"{source}, line {line}: is not YAML: {trouble.problem or trouble.context}.") from None
    except (yaml.YAMLError, RecursionError) as trouble:
        raise error(f"{source}: is not YAML: {' '.join(str(trouble).split()) or type(trouble).__name__}.") from None
    if node is None:
        raise error(f"{source}, line 1: is empty.")
    return Node(source, node, "", error)
