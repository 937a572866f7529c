"""A certificate as one self-contained page, and a page over several: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from blockdrivers.matrix import Words
from conformance.certificate import Certificate
from conformance.grading import LEVEL_CLASSES, LEVELS_ZH
from conformance.outcome import Level, Outcome, Result

Language = Literal["zh", "en"]

_WORST_FIRST = (Result.FAILED, Result.NOT_RUN, Result.PASSED, Result.NOT_APPLICABLE)

_RESULTS: Mapping[Result, tuple[str, Words]] = {
    Result.PASSED: ("✓", Words("passed", "通过")),
    Result.FAILED: ("✕", Words("failed", "失败")),
    Result.NOT_RUN: ("!", Words("not run", "未运行")),
    Result.NOT_APPLICABLE: ("–", Words("not applicable", "不适用")),
}

_LEVELS: Mapping[Level, Words] = {level: Words(level.value.capitalize(), LEVELS_ZH[level]) for level in Level}


@dataclass(frozen=True, slots=True)
class LevelView:
    """One level of a run, ready to be shown."""

    level: Level
    leads_to: str
    counts: Mapping[Result, int]
    outcomes: Sequence[Outcome]
    """Worst first, then in the suite's order."""

    @property
    def applicable(self) -> int:
        """How many checks count for the level."""
        return len(self.outcomes) - self.counts[Result.NOT_APPLICABLE]


def page(certificate: Certificate, language: Language = "en") -> str:
    """Return the page of one certificate; `language` is the one shown first, the reader may switch."""
    return (
        _environment()
        .get_template("certificate.html.j2")
        .render(
            certificate=certificate,
            language=language,
            levels=[_level(certificate, level) for level in Level],
            open_outcomes=[
                outcome
                for result in (Result.FAILED, Result.NOT_RUN)
                for outcome in certificate.outcomes
                if outcome.result is result
            ],
        )
    )


def index(certificates: Sequence[tuple[str, Certificate]], language: Language = "en") -> str:
    """Return the page over several certificates, given as file name of its page and certificate."""
    return _environment().get_template("index.html.j2").render(certificates=certificates, language=language)


def _level(certificate: Certificate, level: Level) -> LevelView:
    outcomes = [outcome for outcome in certificate.outcomes if outcome.check.level is level]
    ordered = [outcome for result in _WORST_FIRST for outcome in outcomes if outcome.result is result]
    return LevelView(level, LEVEL_CLASSES[level].value, certificate.tally[level], ordered)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("conformance.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(say=_say, results=_RESULTS, level_words=_LEVELS, Result=Result, order=_WORST_FIRST)
    environment.filters["duration"] = _duration
    return environment


def _say(words: Words | str, zh: str | None = None, **values: Any) -> Markup:
    """Return one thing in both languages; the style sheet shows the reader's."""
    said = Words(words, zh or words) if isinstance(words, str) else words
    template = Markup('<span lang="en">{}</span><span lang="zh-Hans">{}</span>')
    return template.format(said.en.format(**values) if values else said.en, said.zh.format(**values) if values else said.zh)


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
