"""JUnit XML and the page, as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as Xml

import pytest
from samples import CHECKS, MIXED, certificate, outcomes

from conformance import report
from conformance.outcome import Result

SAMPLE = certificate(outcomes(MIXED))
_VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """Collects what must not be in the page, and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_whole_and_needs_nothing_from_elsewhere(language) -> None:
    text = report.page(SAMPLE, language)
    page = Page(text)
    assert page.open == []
    assert page.links == []
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert "url(" not in text
    assert "@import" not in text
    assert all(f"<code>{check.id}</code>" in text for check in CHECKS)
    assert SAMPLE.digest in text
    assert f'id="language-{language}" checked' in text


def test_text_from_an_array_cannot_become_markup() -> None:
    text = report.page(SAMPLE)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(" in text


def test_failures_come_first() -> None:
    text = report.page(SAMPLE)
    places = [text.index(f"<code>{identifier}</code>") for identifier in ("clone.crash", "revert.bytes", "volume.create")]
    assert places == sorted(places)


def test_a_clean_run_says_so() -> None:
    text = report.page(certificate())
    assert "Nothing failed" in text
    assert "没有失败项" in text
    assert re.search(r'seal grade-A">\s*<span class="letter">A<', text)


def test_no_class() -> None:
    text = report.page(certificate(outcomes({"volume.create": (Result.FAILED, "boom")})))
    assert "No class" in text
    assert "未定级" in text


def test_index_links_every_page() -> None:
    page = Page(report.index([("one.html", SAMPLE), ("two.html", certificate())]))
    assert page.links == ["one.html", "two.html"]
    assert page.open == []


def test_junit() -> None:
    nasty = {**MIXED, "volume.create": (Result.FAILED, "first \x00 line\nsecond \udcff ]]> line")}
    suite = Xml.fromstring(report.junit(certificate(outcomes(nasty)))).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("14", "3", "1", "1")
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert set(cases) == {check.id for check in CHECKS}
    failure = cases["volume.create"].find("failure")
    assert failure is not None
    assert failure.get("message") == "first \ufffd line"
    assert "]]>" in (failure.text or "")
    assert cases["revert.bytes"].find("error") is not None
    assert cases["group.snapshot"].find("skipped") is not None
    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert properties["class"] == "none"
    assert properties["simulated"] == "true"
