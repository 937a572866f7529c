"""From outcomes and evidence to a class."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import CHECKS, LIST, MIXED, outcomes

from blockdrivers.matrix import Evidence, EvidenceKind, ModelClass
from blockdrivers.model import Protocol
from conformance import grading
from conformance.outcome import Level, Outcome, Result

A, B, C = ModelClass


def with_results(**by_level: Result) -> tuple[Outcome, ...]:
    return tuple(Outcome(check, by_level.get(check.level.value, Result.PASSED), 0.1, "because") for check in CHECKS)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ({}, A),
        ({"standard": Result.FAILED}, B),
        ({"standard": Result.NOT_RUN}, B),
        ({"standard": Result.NOT_APPLICABLE}, B),
        ({"mandatory": Result.FAILED}, C),
        ({"essential": Result.FAILED}, None),
        ({"essential": Result.NOT_RUN}, None),
        ({"essential": Result.NOT_APPLICABLE}, None),
    ],
)
def test_levels_build_on_each_other(results: dict[str, Result], expected: ModelClass | None) -> None:
    assert grading.technical(with_results(**results)).grade is expected


def test_what_does_not_apply_holds_nothing_against_a_level() -> None:
    special = {"group.snapshot": (Result.NOT_APPLICABLE, "not declared")}
    graded = grading.technical(outcomes(special))
    assert graded.grade is A
    assert "3 applicable standard checks passed (1 not applicable)" in graded.reasons[-1].en


def test_reasons_name_the_first_check_that_is_in_the_way() -> None:
    graded = grading.technical(outcomes(MIXED))
    assert graded.grade is C
    assert "first: clone.crash" in graded.reasons[-1].en
    assert "clone.crash" in graded.reasons[-1].zh


def test_nothing_is_proven_by_nothing_or_by_a_part() -> None:
    assert grading.technical(()).grade is None
    partial = grading.technical(outcomes(), selection="volume.*")
    assert partial.grade is None
    assert "volume.*" in partial.reasons[0].en


@given(st.lists(st.sampled_from(Result), min_size=len(CHECKS), max_size=len(CHECKS)))
def test_a_worse_run_never_grades_better(results: list[Result]) -> None:
    ended = tuple(Outcome(check, result, 0.0) for check, result in zip(CHECKS, results, strict=True))
    worse = tuple(Outcome(item.check, Result.FAILED, 0.0) if item.check.level is Level.MANDATORY else item for item in ended)
    order = [A, B, C, None]
    assert order.index(grading.technical(worse).grade) >= order.index(grading.technical(ended).grade)
    assert grading.technical(worse).grade in (C, None)


def project(name: str, *, stable: bool = True, protocol: Protocol = Protocol.ISCSI, kind: str = "deployment") -> Evidence:
    return Evidence(EvidenceKind(kind), protocol, date(2026, 5, 31), project=name, stable=stable)


@pytest.mark.parametrize(
    ("model", "protocol", "recorded", "expected"),
    [
        ("OceanStor 5500 V5", Protocol.FC, (), A),
        ("OceanStor 5500 V5", Protocol.ISCSI, (), B),
        ("OceanStor 5500 V5", Protocol.NFS, (), B),
        ("FAS8200", Protocol.NFS, (), C),
        ("MK7040", Protocol.ISCSI, (), C),
        ("Somebody's", Protocol.ISCSI, (), C),
        ("OceanStor 5500 V5", Protocol.ISCSI, (project("one"),), B),
        ("OceanStor 5500 V5", Protocol.ISCSI, (project("one"), project("one")), B),
        ("OceanStor 5500 V5", Protocol.ISCSI, (project("one"), project("two", kind="poc")), A),
        ("OceanStor 5500 V5", Protocol.ISCSI, (project("one"), project("two", stable=False)), B),
        ("OceanStor 5500 V5", Protocol.ISCSI, (project("one"), project("two", protocol=Protocol.FC)), B),
        ("MK7040", Protocol.ISCSI, (project("one"), project("two")), C),
    ],
)
def test_evidence(model: str, protocol: Protocol, recorded: tuple[Evidence, ...], expected: ModelClass) -> None:
    graded = grading.evidence(model, protocol, LIST, recorded)
    assert graded.grade is expected
    assert all(reason.en and reason.zh for reason in graded.reasons)


def test_an_unlisted_model_rises_only_with_a_known_vendor() -> None:
    recorded = (project("one"), project("two"))
    assert grading.evidence("OceanStor 9999", Protocol.ISCSI, LIST, recorded, vendor="Huawei").grade is A
    assert grading.evidence("Box 1", Protocol.ISCSI, LIST, recorded, vendor="Nobody").grade is C


def test_a_certificate_is_no_deployment() -> None:
    filed = Evidence(EvidenceKind.CERTIFICATE, Protocol.ISCSI, date(2026, 5, 31), certificate="ab" * 32, stable=True)
    graded = grading.evidence("OceanStor 5500 V5", Protocol.ISCSI, LIST, (filed, filed))
    assert graded.grade is B
    assert "not deployments" in graded.reasons[-1].en


@given(st.sampled_from([A, B, C, None]), st.sampled_from([A, B, C, None]))
def test_the_class_is_the_lower_of_both(technical: ModelClass | None, evidence: ModelClass | None) -> None:
    result = grading.grade(grading.Graded(technical, ()), grading.Graded(evidence, ())).result
    order = [A, B, C, None]
    assert result.grade == order[max(order.index(technical), order.index(evidence))]
    assert result.reasons
