"""The ledger: a folder that keeps certificates and what is known of deployments. Entries are added, never changed.

::

    LEDGER/certificates/oceanstor-5500-v5-iscsi-20260531T120000Z-0123456789ab.json
    LEDGER/evidence/harbour.yaml      vendor: Huawei
                                      model: OceanStor 5500 V5
                                      evidence:
                                        - {kind: deployment, protocol: IP-SAN, date: 2026-05-31, project: Harbour, stable: true}

What is damaged is reported and left out, so that one bad file does not hide the others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from blockdrivers import matrix, nodes
from blockdrivers.errors import BlockDriversError, ConfigurationError
from blockdrivers.matrix import Evidence, Matrix
from conformance import certificate as certificates
from conformance.certificate import BadCertificate, Certificate

_DIGEST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Problem:
    """A file of the ledger that cannot be relied on, and why."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class ModelEvidence:
    """What one evidence file says of one model."""

    vendor: str
    model: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that a ledger holds."""

    certificates: tuple[Certificate, ...]
    """Oldest first."""
    evidence: tuple[ModelEvidence, ...]
    problems: tuple[Problem, ...]

    def evidence_of(self, model: str, listed: Matrix) -> tuple[Evidence, ...]:
        """Return what is recorded of a model, under whatever name the compatibility list knows it by."""
        return tuple(item for entry in self.evidence if _same(entry.model, model, listed) for item in entry.evidence)


class Ledger:
    """A folder of certificates and evidence."""

    def __init__(self, folder: Path) -> None:
        self._certificates = folder / "certificates"
        self._evidence = folder / "evidence"

    def add(self, certificate: Certificate) -> Path:
        """File a certificate and return where; one that is there already is not filed twice.

        Raises:
            BadCertificate: the file for it is there with other content.
        """
        self._certificates.mkdir(parents=True, exist_ok=True)
        digest = certificate.digest
        for kept in sorted(self._certificates.glob(f"[!.]*-{digest[:_DIGEST_SHOWN]}.json")):
            if certificates.read(kept).digest == digest:
                return kept
        stamp = certificate.started.strftime("%Y%m%dT%H%M%SZ")
        path = self._certificates / f"{certificate.slug}-{stamp}-{digest[:_DIGEST_SHOWN]}.json"
        temporary = path.with_name(f".unfinished-{os.getpid()}-{path.name}")
        try:
            certificates.write_whole(temporary, certificates.dumps(certificate))
            # A hard link never replaces a file: what is filed stays as it is, whoever files at the same moment.
            path.hardlink_to(temporary)
        except FileExistsError:
            if certificates.read(path).digest != digest:
                raise BadCertificate(f"{path} is taken by another certificate and was left as it is.") from None
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def read(self) -> Contents:
        """Return everything in the ledger, and what is wrong with the rest."""
        found: dict[str, Certificate] = {}
        evidence: list[ModelEvidence] = []
        problems: list[Problem] = []
        for path in sorted(self._certificates.glob("[!.]*.json")):
            try:
                certificate = _filed(path)
                found.setdefault(certificate.digest, certificate)
            except BlockDriversError as trouble:
                problems.append(Problem(path, trouble.message))
        for path in sorted([*self._evidence.glob("[!.]*.yaml"), *self._evidence.glob("[!.]*.yml")]):
            try:
                evidence.append(_recorded(path))
            except BlockDriversError as trouble:
                problems.append(Problem(path, trouble.message))
        by_age = sorted(found.values(), key=lambda certificate: (certificate.started, certificate.digest))
        return Contents(tuple(by_age), tuple(evidence), tuple(problems))


def _filed(path: Path) -> Certificate:
    certificate = certificates.read(path)
    if not path.stem.endswith(f"-{certificate.digest[:_DIGEST_SHOWN]}"):
        raise BadCertificate(f"{path} holds the certificate {certificate.digest}, which its name does not say.")
    return certificate


def _recorded(path: Path) -> ModelEvidence:
    fields = nodes.read(path, ConfigurationError).fields(("vendor", "model", "evidence"))
    items = tuple(matrix.evidence(item) for item in fields["evidence"].items())
    return ModelEvidence(fields["vendor"].text(), fields["model"].text(), items)


def _same(first: str, second: str, listed: Matrix) -> bool:
    rows = listed.find(first)
    return (bool(rows) and rows == listed.find(second)) or first.casefold() == second.casefold()
