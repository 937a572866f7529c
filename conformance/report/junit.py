"""A certificate as JUnit XML, for build servers."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree as Xml

from conformance.certificate import Certificate
from conformance.grading import NONE
from conformance.outcome import Outcome, Result

# What XML 1.0 has no way to write, not even as a reference.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_ELEMENTS = {Result.FAILED: "failure", Result.NOT_RUN: "error", Result.NOT_APPLICABLE: "skipped"}


def junit(certificate: Certificate) -> str:
    """Return the XML: a check that failed is a failure, one that could not run an error, one that does not apply is skipped."""
    counts = Counter(outcome.result for outcome in certificate.outcomes)
    suite = Xml.Element(
        "testsuite",
        name=_plain(f"{certificate.model} {certificate.protocol.label}"),
        tests=str(len(certificate.outcomes)),
        failures=str(counts[Result.FAILED]),
        errors=str(counts[Result.NOT_RUN]),
        skipped=str(counts[Result.NOT_APPLICABLE]),
        time=f"{sum(outcome.seconds for outcome in certificate.outcomes):.3f}",
        timestamp=certificate.started.isoformat(),
    )
    properties = Xml.SubElement(suite, "properties")
    for name, value in (
        ("model", certificate.model),
        ("protocol", certificate.protocol.label),
        ("firmware", certificate.array.firmware),
        ("simulated", str(certificate.simulated).lower()),
        ("class", certificate.grade.result.grade or NONE),
        ("technical_grade", certificate.grade.technical.grade or NONE),
        ("evidence_grade", certificate.grade.evidence.grade or NONE),
        ("digest", certificate.digest),
    ):
        Xml.SubElement(properties, "property", name=name, value=_plain(value))
    for outcome in certificate.outcomes:
        _case(suite, outcome)
    root = Xml.Element("testsuites")
    root.append(suite)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _case(suite: Xml.Element, outcome: Outcome) -> None:
    case = Xml.SubElement(
        suite, "testcase", classname=outcome.check.level.value, name=_plain(outcome.check.id), time=f"{outcome.seconds:.3f}"
    )
    element = _ELEMENTS.get(outcome.result)
    if element is not None:
        detail = _plain(outcome.detail)
        Xml.SubElement(case, element, message=detail.partition("\n")[0]).text = detail


def _plain(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
