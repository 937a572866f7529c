"""The compatibility list: array models, protocols, classes and evidence, as ``compat_matrix.yaml`` holds them.

A model may stand in several rows (under two names, or once for NFS and once for SAN), so look-ups return rows, not a row.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from blockdrivers import nodes
from blockdrivers.errors import MatrixError
from blockdrivers.model import Protocol
from blockdrivers.nodes import Node

PROTOCOLS: Mapping[str, Protocol] = {protocol.label: protocol for protocol in Protocol}
"""The list's words for protocols."""

NO_ADAPTER = "none yet"
UNKNOWN_ADAPTER = "unknown"
"""Nothing public tells how the model is managed; the row's `probe` may tell whether an adapter serves it all the same."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_VERSION = 1


class ModelClass(StrEnum):
    """How far a model is trusted over a protocol; A is best."""

    A = "A"
    B = "B"
    C = "C"


class EvidenceKind(StrEnum):
    """Where a piece of evidence comes from."""

    DEPLOYMENT = "deployment"
    POC = "poc"
    PRE_DELIVERY = "pre-delivery"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that is known of a model over a protocol, beyond the manual's own word."""

    kind: EvidenceKind
    protocol: Protocol
    date: date
    project: str | None = None
    certificate: str | None = None
    """SHA-256 digest of a certificate."""
    stable: bool = False
    """Whether it is known to run stably; a project that nobody vouches for proves nothing."""
    note: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return what is set, as plain data."""
        plain: dict[str, object] = {
            "kind": self.kind.value,
            "protocol": self.protocol.label,
            "date": self.date.isoformat(),
            "project": self.project,
            "certificate": self.certificate,
            "stable": self.stable,
            "note": self.note,
        }
        return {key: value for key, value in plain.items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the list."""

    row: int
    vendor: str
    vendor_zh: str | None
    model: str
    aliases: tuple[str, ...]
    classes: Mapping[Protocol, ModelClass]
    adapter: str | None
    notes: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    probe: str | None = None
    """Where nothing tells which adapter serves the model: the one to try. ``blockdrivers doctor`` with it only reads, and tells."""

    @property
    def served_by(self) -> str:
        """The adapter, or what is known instead of one."""
        return self.adapter or (UNKNOWN_ADAPTER if self.probe else NO_ADAPTER)

    def as_dict(self) -> dict[str, object]:
        """Return the row as plain data."""
        return {
            "row": self.row,
            "vendor": self.vendor,
            "vendor_zh": self.vendor_zh,
            "model": self.model,
            "aliases": list(self.aliases),
            "classes": {protocol.label: granted.value for protocol, granted in self.classes.items()},
            "adapter": self.served_by,
            "probe": self.probe,
            "notes": list(self.notes),
            "evidence": [item.as_dict() for item in self.evidence],
        }

    def has_vendor(self, text: str) -> bool:
        """Tell whether `text` is, or is part of, the vendor's name in either language."""
        wanted = _key(text)
        return bool(wanted) and any(wanted in _key(name) for name in (self.vendor, self.vendor_zh or ""))

    def keys(self) -> Iterator[str]:
        """Yield the normal forms of every name that this row's model goes by, with and without its vendor."""
        vendors = [part for part in re.split(r"[()]", self.vendor) if part.strip()] + [self.vendor, self.vendor_zh or ""]
        for name in (self.model, *self.aliases):
            yield _key(name)
            yield from (_key(vendor + name) for vendor in vendors)


@dataclass(frozen=True, slots=True)
class Words:
    """One thing said in both languages."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class ClassDefinition:
    """What a class means, and what it takes to integrate a model of it."""

    meaning: Words
    process: Words


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that the list is for; no versions means all of them."""

    name: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DriverRequirement:
    """Which driver the list demands, and what has to be handed in for an evaluation and for an integration."""

    openstack_release: str
    requirement: Words
    evaluation: Mapping[str, tuple[str, ...]]
    integration: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Matrix:
    """The whole list."""

    source: Path
    rows: tuple[Row, ...]
    classes: Mapping[ModelClass, ClassDefinition]
    platforms: tuple[Platform, ...]
    excluded: tuple[str, ...]
    hosts: tuple[str, ...]
    driver: DriverRequirement

    def find(self, model: str, protocol: Protocol | None = None) -> tuple[Row, ...]:
        """Return the rows that name a model, in order; with `protocol`, those that grant it a class over it.

        Case, spaces, punctuation and a leading vendor name do not matter.
        """
        rows = self._by_key.get(_key(model), ())
        return tuple(row for row in rows if protocol is None or protocol in row.classes)

    def class_of(self, model: str, protocol: Protocol) -> ModelClass | None:
        """Return the class that the list grants a model over a protocol; the best one where several rows do."""
        return min((row.classes[protocol] for row in self.find(model, protocol)), default=None)

    def vendor_is_trusted(self, vendor: str) -> bool:
        """Tell whether the list holds the vendor's market share for high: it does where it grants any of its models an A."""
        return any(ModelClass.A in row.classes.values() for row in self.rows if _key(row.vendor) == _key(vendor))

    def closest(self, model: str, count: int = 3) -> tuple[str, ...]:
        """Return the models of the list whose names come nearest to one that is not in it."""
        named = {_key(row.model): row.model for row in self.rows}
        return tuple(named[key] for key in difflib.get_close_matches(_key(model), named, count, 0.5))

    def select(
        self, *, vendor: str | None = None, protocol: Protocol | None = None, granted: ModelClass | None = None
    ) -> Sequence[Row]:
        """Return the rows of a vendor (part of its name will do), over a protocol, of a class."""
        return [
            row
            for row in self.rows
            if (vendor is None or row.has_vendor(vendor))
            and (protocol is None or protocol in row.classes)
            and (granted is None or granted in ({row.classes[protocol]} if protocol else set(row.classes.values())))
        ]

    @cached_property
    def _by_key(self) -> Mapping[str, tuple[Row, ...]]:
        found: dict[str, tuple[Row, ...]] = {}
        for row in self.rows:
            for key in set(row.keys()):
                found[key] = (*found.get(key, ()), row)
        return found


def default_path() -> Path:
    """Return where the list is: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "compat_matrix.yaml"
    return installed if installed.exists() else package.parent / "compat_matrix.yaml"


def load(path: Path | str | None = None) -> Matrix:
    """Read the list from a file; the one that comes with the library where None.

    Raises:
        MatrixError: the file is absent or wrong; the message names file, line, field and value.
    """
    source = default_path() if path is None else Path(path)
    return _matrix(source, nodes.read(source, MatrixError))


def evidence(node: Node) -> Evidence:
    """Read one piece of evidence, from the list or from a ledger."""
    fields = node.fields(("kind", "protocol", "date"), ("project", "certificate", "stable", "note"))
    kind = fields["kind"].choice(EvidenceKind)
    needed = "certificate" if kind is EvidenceKind.CERTIFICATE else "project"
    if needed not in fields:
        raise node.refuse(f"is of the kind {kind.value!r} and lacks the field {needed!r}")
    digest = fields["certificate"].text() if "certificate" in fields else None
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise fields["certificate"].refuse("must be a SHA-256 digest of 64 lower-case hexadecimal digits")
    return Evidence(
        kind=kind,
        protocol=fields["protocol"].one_of(PROTOCOLS),
        date=fields["date"].day(),
        project=fields["project"].text() if "project" in fields else None,
        certificate=digest,
        stable="stable" in fields and fields["stable"].boolean(),
        note=fields["note"].text() if "note" in fields else "",
    )


def _matrix(source: Path, root: Node) -> Matrix:
    fields = root.fields(("version", "platforms", "excluded", "hosts", "driver", "classes", "rows"))
    if fields["version"].integer() != _VERSION:
        raise fields["version"].refuse(f"must be {_VERSION}, the only layout that this version reads")
    rows = tuple(_row(node, number) for number, node in enumerate(fields["rows"].items(), 1))
    if not rows:
        raise fields["rows"].refuse("must not be empty")
    matrix = Matrix(
        source=source,
        rows=rows,
        classes={
            ModelClass(letter): _definition(node)
            for letter, node in fields["classes"].fields([letter.value for letter in ModelClass]).items()
        },
        platforms=tuple(_platform(node) for node in fields["platforms"].items()),
        excluded=fields["excluded"].texts(),
        hosts=fields["hosts"].texts(),
        driver=_driver(fields["driver"]),
    )
    _check_b_classes(matrix, fields["rows"].items())
    return matrix


def _row(node: Node, number: int) -> Row:
    optional = ("vendor_zh", "aliases", "notes", "evidence", "probe")
    fields = node.fields(("row", "vendor", "model", "classes", "adapter"), optional)
    if fields["row"].integer() != number:
        raise fields["row"].refuse(f"must be {number}: rows stand in order and none is left out")
    classes = {
        PROTOCOLS[label]: granted.choice(ModelClass) for label, granted in fields["classes"].fields((), tuple(PROTOCOLS)).items()
    }
    if not classes:
        raise fields["classes"].refuse("must grant a class over at least one protocol")
    adapter = fields["adapter"].text()
    if ("probe" in fields) is not (adapter == UNKNOWN_ADAPTER):
        raise fields["adapter"].refuse(f"must be {UNKNOWN_ADAPTER!r} where the row has a probe, and only there")
    return Row(
        row=number,
        vendor=fields["vendor"].text(),
        vendor_zh=fields["vendor_zh"].text() if "vendor_zh" in fields else None,
        model=fields["model"].text(),
        aliases=fields["aliases"].texts() if "aliases" in fields else (),
        classes=classes,
        adapter=None if adapter in {NO_ADAPTER, UNKNOWN_ADAPTER} else adapter,
        notes=fields["notes"].texts() if "notes" in fields else (),
        evidence=tuple(evidence(item) for item in fields["evidence"].items()) if "evidence" in fields else (),
        probe=fields["probe"].text() if "probe" in fields else None,
    )


def _check_b_classes(matrix: Matrix, row_nodes: Sequence[Node]) -> None:
    """Refuse a B without an A: the class means that the same model is proven over another protocol."""
    for row, node in zip(matrix.rows, row_nodes, strict=True):
        granted = {letter for twin in matrix.find(row.model) for letter in twin.classes.values()}
        if ModelClass.B in row.classes.values() and ModelClass.A not in granted:
            classes = node.entries()["classes"]
            raise classes.refuse(f"grants {row.model} a B although the list grants that model no A over any protocol")


def _definition(node: Node) -> ClassDefinition:
    fields = node.fields(("meaning", "process"))
    return ClassDefinition(_words(fields["meaning"]), _words(fields["process"]))


def _words(node: Node) -> Words:
    fields = node.fields(("en", "zh"))
    return Words(fields["en"].text(), fields["zh"].text())


def _platform(node: Node) -> Platform:
    fields = node.fields(("name", "versions"))
    versions = fields["versions"]
    everything: Mapping[str, tuple[str, ...]] = {"all": ()}
    return Platform(fields["name"].text(), versions.texts() if versions.is_list else versions.one_of(everything))


def _driver(node: Node) -> DriverRequirement:
    fields = node.fields(("openstack_release", "requirement", "evaluation", "integration"))
    return DriverRequirement(
        fields["openstack_release"].text(),
        _words(fields["requirement"]),
        {language: item.texts() for language, item in fields["evaluation"].fields(("en", "zh")).items()},
        {language: item.texts() for language, item in fields["integration"].fields(("en", "zh")).items()},
    )


def _key(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if char.isalnum())
