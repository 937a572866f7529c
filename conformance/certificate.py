"""The certificate: one run of the suite on one array over one protocol, as a JSON document with a digest.

The digest shows that a document is as it was written; it is no signature. Everything that follows from the outcomes (the
tally, the technical grade, the class) is computed again on reading, so that a document that contradicts itself is refused too.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from blockdrivers.errors import BlockDriversError
from blockdrivers.matrix import Words
from blockdrivers.model import Protocol, SystemFacts
from conformance import grading
from conformance.grading import Grade, Graded
from conformance.outcome import Level, Outcome, Result

FORMAT = "blockdrivers-certificate"
VERSION = 1

_SIMULATED = Words(
    "The array was a simulator. This proves the driver against the array's management protocol; it is not evidence of a "
    "deployment, of a firmware or of a real array's behaviour under load.",
    "被测阵列为模拟器。本证书证明驱动与阵列管理协议相符，不构成实际部署、固件或真实阵列负载行为的证据。",
)
_REAL = Words(
    "The array was declared to be real hardware by whoever started the run, with the firmware named here.",
    "运行发起人声明被测阵列为真实设备，固件版本如本证书所载。",
)


class BadCertificate(BlockDriversError):
    """A document is no certificate, was altered, or contradicts itself."""

    exit_code = 14


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The machine and the software that ran the suite."""

    os: str
    kernel: str
    architecture: str
    python: str
    blockdrivers: str
    adapter: str
    adapter_version: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was tested, where, when, how it ended and what it is worth."""

    model: str
    """The model that was asked for, as the compatibility list names it."""
    array: SystemFacts
    protocol: Protocol
    simulated: bool
    host: HostFacts
    started: datetime
    ended: datetime
    selection: str | None
    """The pattern that checks were chosen by; None for the whole suite."""
    outcomes: tuple[Outcome, ...]
    grade: Grade

    @property
    def meaning(self) -> Words:
        """What a run on this kind of array proves, and what not."""
        return _SIMULATED if self.simulated else _REAL

    @property
    def statement(self) -> Words:
        """For which hosts the certificate speaks."""
        return Words(
            f"This compatibility statement holds for x86 and ARM hosts; the run itself was made on {self.host.architecture}.",
            f"本兼容性声明适用于 x86 与 ARM 主机；本次运行的主机架构为 {self.host.architecture}。",
        )

    @property
    def tally(self) -> Mapping[Level, Mapping[Result, int]]:
        """How many checks of each level ended in each way."""
        return grading.tally(self.outcomes)

    @property
    def slug(self) -> str:
        """A file name for it, without extension."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.model} {self.protocol}".casefold()).strip("-") or self.protocol.value

    def document(self) -> dict[str, Any]:
        """Return the certificate as plain data, digest included."""
        plain: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            **_adapter().dump_python(self, mode="json"),
            "protocol_label": self.protocol.label,
            "tally": {level.value: {result.value: n for result, n in counts.items()} for level, counts in self.tally.items()},
            "meaning": {"en": self.meaning.en, "zh": self.meaning.zh},
            "statement": {"en": self.statement.en, "zh": self.statement.zh},
        }
        return {**plain, "digest": digest(plain)}

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical document."""
        return str(self.document()["digest"])


def issue(
    *,
    model: str,
    array: SystemFacts,
    protocol: Protocol,
    simulated: bool,
    host: HostFacts,
    started: datetime,
    ended: datetime,
    outcomes: Sequence[Outcome],
    evidence: Graded,
    selection: str | None = None,
) -> Certificate:
    """Return the certificate of a run, graded."""
    return Certificate(
        model=model,
        array=array,
        protocol=protocol,
        simulated=simulated,
        host=host,
        started=started,
        ended=ended,
        selection=selection,
        outcomes=tuple(
            replace(outcome, detail=_encodable(outcome.detail), seconds=round(outcome.seconds, 3)) for outcome in outcomes
        ),
        grade=grading.grade(grading.technical(outcomes, selection), evidence),
    )


def host_facts(adapter: str, adapter_version: str | None = None) -> HostFacts:
    """Return the facts of this machine and of the software that runs on it."""
    system = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    return HostFacts(
        os=system.get("PRETTY_NAME") or platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        python=platform.python_version(),
        blockdrivers=_version("blockdrivers"),
        adapter=adapter,
        adapter_version=adapter_version or _version("blockdrivers"),
    )


def now() -> datetime:
    """Return the moment in UTC, to the second, as certificates write it."""
    return datetime.now(UTC).replace(microsecond=0)


def digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a document's canonical JSON, its own digest left out."""
    plain = {key: value for key, value in document.items() if key != "digest"}
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse(text: str, source: str = "certificate") -> Certificate:
    """Return the certificate that a JSON text holds.

    Raises:
        BadCertificate: it is no certificate, its digest does not fit, or it contradicts itself; the message says which.
    """
    try:
        document = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError) as trouble:
        raise BadCertificate(f"{source} is not JSON: {trouble}.") from None
    return verify(document, source)


def verify(document: object, source: str = "certificate") -> Certificate:
    """Return the certificate that a JSON document is, or raise `BadCertificate` unless it is as it was written."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadCertificate(f"{source} is not a {FORMAT}.")
    if document.get("version") != VERSION:
        raise BadCertificate(f"{source} has the layout {document.get('version')!r}; this version reads {VERSION}.")
    try:
        found = digest(document)
    except ValueError as trouble:
        raise BadCertificate(f"{source} holds what a certificate cannot: {trouble}.") from None
    if found != document.get("digest"):
        raise BadCertificate(f"{source} was altered: its digest is {document.get('digest')!r}, its content gives {found}.")
    certificate = _typed(document, source)
    expected = certificate.document()
    wrong = sorted(key for key in expected.keys() | document.keys() if expected.get(key) != document.get(key))
    technical = grading.technical(certificate.outcomes, certificate.selection)
    if certificate.grade != grading.grade(technical, certificate.grade.evidence):
        wrong.append("grade")
    if wrong:
        raise BadCertificate(f"{source} contradicts itself in {', '.join(wrong)}; it was not written by this library.")
    return certificate


def read(path: Path) -> Certificate:
    """Return the certificate in a file, verified."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as trouble:
        raise BadCertificate(f"{path} cannot be read: {trouble.strerror}.") from None
    except UnicodeDecodeError:
        raise BadCertificate(f"{path} is not UTF-8 text.") from None


def dumps(certificate: Certificate) -> str:
    """Return the certificate as the text of its file."""
    return json.dumps(certificate.document(), indent=2, ensure_ascii=False) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a killed process leaves either the old one or the new one, never half of it."""
    replace_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in its place."""
    handle, name = tempfile.mkstemp(prefix=".unfinished-", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _typed(document: Mapping[str, Any], source: str) -> Certificate:
    try:
        return _adapter().validate_python(document)
    except ValidationError as trouble:
        first = trouble.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        raise BadCertificate(f"{source}: {field}: {first['msg']}.") from None


@cache
def _adapter() -> TypeAdapter[Certificate]:
    return TypeAdapter(Certificate)


def _encodable(text: str) -> str:
    """Return a text that every view can hold: checks may pass on whatever an array sent."""
    return text.encode("utf-8", "backslashreplace").decode()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands there twice")
    return found


def _no_constant(name: str) -> Literal[0]:
    raise ValueError(f"{name} is no number")
