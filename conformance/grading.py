"""From outcomes and evidence to a class: technical grade, evidence grade, and the lower of both, each with its reasons.

* The **technical grade** says what was proven here: every essential check makes C, the mandatory ones on top make B, the standard
  ones on top make A. A check that does not apply holds nothing against a level; one that failed or was not run does.
* The **evidence grade** says what is known from the field: the compatibility list's own class, raised by recorded deployments.
* A model's **class** over a protocol is the lower of the two. A simulator's run counts for the first only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blockdrivers.matrix import Evidence, EvidenceKind, Matrix, ModelClass, Words
from blockdrivers.model import Protocol
from conformance.outcome import Level, Outcome, Result

LEVEL_CLASSES: Mapping[Level, ModelClass] = {
    Level.ESSENTIAL: ModelClass.C,
    Level.MANDATORY: ModelClass.B,
    Level.STANDARD: ModelClass.A,
}
"""The class that a level leads to, lowest first."""

NONE = "none"
"""How a grade that was not reached is written."""

STABLE_PROJECTS = 2
"""Projects that have to run a model stably before "several" is true."""

_PROJECTS = (EvidenceKind.DEPLOYMENT, EvidenceKind.POC, EvidenceKind.PRE_DELIVERY)


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade and why it is what it is; None is no grade at all."""

    grade: ModelClass | None
    reasons: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Grade:
    """What a model is worth over a protocol."""

    technical: Graded
    evidence: Graded
    result: Graded
    """The class: the lower of the two."""


def grade(technical_grade: Graded, evidence_grade: Graded) -> Grade:
    """Return the class that follows from both grades."""
    return Grade(technical_grade, evidence_grade, _lower(technical_grade.grade, evidence_grade.grade))


def tally(outcomes: Sequence[Outcome]) -> Mapping[Level, Mapping[Result, int]]:
    """Return how many checks of each level ended in each way."""
    counts = Counter((outcome.check.level, outcome.result) for outcome in outcomes)
    return {level: {result: counts[level, result] for result in Result} for level in Level}


def technical(outcomes: Sequence[Outcome], selection: str | None = None) -> Graded:
    """Grade a run.

    Args:
        outcomes: every check of the run.
        selection: the pattern that checks were chosen by; a partial run proves no level.
    """
    if selection is not None:
        return Graded(
            None,
            (
                Words(
                    f"Only the checks that match {selection!r} were run; a grade needs the whole suite.",
                    f"仅运行了匹配 {selection!r} 的检查项；评级需要运行完整套件。",
                ),
            ),
        )
    counts = tally(outcomes)
    reached: ModelClass | None = None
    reasons: list[Words] = []
    for level, leads_to in LEVEL_CLASSES.items():
        proven = _is_proven(counts[level])
        reasons.append(_level_reason(level, leads_to, counts[level], outcomes))
        if not proven:
            break
        reached = leads_to
    return Graded(reached, tuple(reasons))


def _is_proven(counts: Mapping[Result, int]) -> bool:
    return counts[Result.PASSED] > 0 and not counts[Result.FAILED] and not counts[Result.NOT_RUN]


def _level_reason(level: Level, leads_to: ModelClass, counts: Mapping[Result, int], outcomes: Sequence[Outcome]) -> Words:
    level_zh = LEVELS_ZH[level]
    passed, aside = counts[Result.PASSED], counts[Result.NOT_APPLICABLE]
    if _is_proven(counts):
        return Words(
            f"All {passed} applicable {level} checks passed ({aside} not applicable): level {leads_to} is proven.",
            f"适用的 {passed} 项{level_zh}检查全部通过（{aside} 项不适用）：达到 {leads_to} 级。",
        )
    if not counts[Result.FAILED] and not counts[Result.NOT_RUN]:
        return Words(
            f"No {level} check was passed: level {leads_to} is not proven.",
            f"没有任何{level_zh}检查通过：未达到 {leads_to} 级。",
        )
    first = next(
        outcome
        for result in (Result.FAILED, Result.NOT_RUN)
        for outcome in outcomes
        if outcome.check.level is level and outcome.result is result
    )
    return Words(
        f"Of the {level} checks {counts[Result.FAILED]} failed and {counts[Result.NOT_RUN]} were not run "
        f"(first: {first.check.id}): level {leads_to} is not proven.",
        f"{level_zh}检查中有 {counts[Result.FAILED]} 项失败、{counts[Result.NOT_RUN]} 项未运行"
        f"（首项：{first.check.id}）：未达到 {leads_to} 级。",
    )


LEVELS_ZH: Mapping[Level, str] = {Level.ESSENTIAL: "必要", Level.MANDATORY: "强制", Level.STANDARD: "标准"}


def evidence(
    model: str, protocol: Protocol, matrix: Matrix, recorded: Sequence[Evidence] = (), vendor: str | None = None
) -> Graded:
    """Grade what is known from the field.

    Args:
        model: the array model.
        protocol: how its volumes are exported.
        matrix: the compatibility list, whose class is the manual's own evidence.
        recorded: what a ledger holds on this model, over whatever protocol.
        vendor: who makes it, for a model that is not in the list.
    """
    rows = matrix.find(model)
    known = [item for row in rows for item in row.evidence] + list(recorded)
    projects = {item.project for item in known if item.kind in _PROJECTS and item.protocol is protocol and item.stable}
    makers = {row.vendor for row in rows} or ({vendor} if vendor else set())
    trusted = any(matrix.vendor_is_trusted(maker) for maker in makers)
    listed, reason = _listed(model, protocol, matrix)
    reasons = [reason]
    if projects:
        reasons.append(_projects_reason(len(projects), trusted))
    if any(item.kind is EvidenceKind.CERTIFICATE and item.protocol is protocol for item in known):
        reasons.append(
            Words(
                "Recorded certificates prove the driver; they are not deployments and do not raise this grade.",
                "已登记的证书只证明驱动本身，不算作实际部署，不提升此评级。",
            )
        )
    raised = ModelClass.A if len(projects) >= STABLE_PROJECTS and trusted else listed
    return Graded(min(raised, listed), tuple(reasons))


def _listed(model: str, protocol: Protocol, matrix: Matrix) -> tuple[ModelClass, Words]:
    label = protocol.label
    rows = matrix.find(model, protocol)
    granted = matrix.class_of(model, protocol)
    if granted is not None:
        numbers = ", ".join(str(row.row) for row in rows)
        return granted, Words(
            f"The compatibility list (row {numbers}) grants {model} class {granted} over {label}.",
            f"兼容性列表（第 {numbers} 行）中 {model} 的 {label} 为 {granted} 类。",
        )
    twins = [row for row in matrix.find(model) if ModelClass.A in row.classes.values()]
    if twins:
        return ModelClass.B, Words(
            f"{model} is class A over another protocol (row {twins[0].row}) and not listed over {label}: B by definition.",
            f"{model} 在其他协议上为 A 类（第 {twins[0].row} 行），{label} 未列入：按定义为 B 类。",
        )
    return ModelClass.C, Words(
        f"The compatibility list does not hold {model} over {label}: C at best, not standard, reviewed each time.",
        f"兼容性列表中没有 {model} 的 {label}：至多为 C 类，非标准支持，每次均须评审。",
    )


def _projects_reason(count: int, trusted: bool) -> Words:
    if count >= STABLE_PROJECTS and trusted:
        return Words(
            f"{count} recorded projects run it stably over this protocol, and its vendor's market share is high: A.",
            f"已登记 {count} 个项目以该协议稳定运行，且厂商市场占有率高：A 类。",
        )
    if count >= STABLE_PROJECTS:
        return Words(
            f"{count} recorded projects run it stably, but the list holds no class A model of its vendor: not raised.",
            f"已登记 {count} 个项目稳定运行，但列表中该厂商没有 A 类型号：不提升。",
        )
    return Words(
        f"{count} recorded project runs it stably; class A needs at least {STABLE_PROJECTS}.",
        f"已登记 {count} 个项目稳定运行；A 类至少需要 {STABLE_PROJECTS} 个。",
    )


def _lower(first: ModelClass | None, second: ModelClass | None) -> Graded:
    if first is None or second is None:
        return Graded(
            None,
            (Words("No class: the technical grade was not reached.", "未定级：技术评级未达到任何级别。"),),
        )
    lower = max(first, second)
    if first is second:
        why = Words(f"Class {lower}: both grades are {lower}.", f"{lower} 类：两项评级均为 {lower}。")
    else:
        why = Words(
            f"Class {lower}: the lower of technical grade {first} and evidence grade {second}.",
            f"{lower} 类：取技术评级 {first} 与证据评级 {second} 中较低者。",
        )
    return Graded(lower, (why,))
