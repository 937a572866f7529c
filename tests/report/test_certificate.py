"""Certificates and the ledger: what is written is what is read, and nothing altered passes."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import LIST, MIXED, certificate, outcomes

from blockdrivers.model import Protocol
from conformance import certificate as certificates
from conformance.certificate import BadCertificate, Certificate
from conformance.ledger import Ledger
from conformance.outcome import Result

SAMPLE = certificate(outcomes(MIXED))
DOCUMENT = SAMPLE.document()


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    certificates.write_whole(path, certificates.dumps(SAMPLE))
    assert certificates.read(path) == SAMPLE
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_it_says_what_it_is() -> None:
    assert DOCUMENT["simulated"] is True
    assert "not evidence" in DOCUMENT["meaning"]["en"]
    assert "x86 and ARM" in DOCUMENT["statement"]["en"]
    assert DOCUMENT["protocol_label"] == "FC-SAN"
    assert DOCUMENT["tally"]["standard"] == {"passed": 1, "failed": 1, "not_applicable": 1, "not_run": 1}
    assert DOCUMENT["grade"]["result"]["grade"] == "C"
    assert certificate(simulated=False).document()["meaning"] != DOCUMENT["meaning"]
    assert len(DOCUMENT["digest"]) == 64


def test_whatever_an_array_sends_can_be_certified() -> None:
    nasty = {"volume.create": (Result.FAILED, "lone \udcff surrogate, \x00 and \x1b[31m")}
    sample = certificate(outcomes(nasty))
    assert certificates.parse(certificates.dumps(sample)) == sample


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["outcomes"][9].update(result="passed"), "was altered"),
        (lambda d: d.update(model="OceanStor 5500 V3"), "was altered"),
        (lambda d: d.update(simulated=False), "was altered"),
        (lambda d: d.update(extra=1), "was altered"),
        (lambda d: d.pop("digest"), "was altered"),
        (lambda d: d.pop("outcomes"), "was altered"),
        (lambda d: d.update(version=2), "has the layout 2"),
        (lambda d: d.update(format="x"), "is not a blockdrivers-certificate"),
    ],
)
def test_altered_ones_are_refused(change, said: str) -> None:
    document = json.loads(certificates.dumps(SAMPLE))
    change(document)
    with pytest.raises(BadCertificate, match=said):
        certificates.verify(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["outcomes"][9].update(result="passed"),
        lambda d: d["grade"]["result"].update(grade="A"),
        lambda d: d["grade"]["technical"].update(grade="A"),
        lambda d: d["tally"]["standard"].update(passed=4),
        lambda d: d["meaning"].update(en="A real array."),
        lambda d: d.update(extra=1),
        lambda d: d.update(simulated="yes"),
        lambda d: d.pop("outcomes"),
    ],
)
def test_altered_ones_are_refused_under_a_new_digest_too(change) -> None:
    document = json.loads(certificates.dumps(SAMPLE))
    change(document)
    document["digest"] = certificates.digest(document)
    with pytest.raises(BadCertificate):
        certificates.verify(document)


TEXT = certificates.dumps(SAMPLE)


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 8), st.text(max_size=6))
@settings(max_examples=80, deadline=None)
def test_any_damage_is_noticed(start: int, length: int, put: str) -> None:
    damaged = TEXT[:start] + put + TEXT[start + length :]
    try:
        found: Certificate | None = certificates.parse(damaged)
    except BadCertificate:
        found = None
    assert found in (None, SAMPLE)


@pytest.mark.parametrize("text", ["", "[]", "nul", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000, '"\\ud800"'])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadCertificate):
        certificates.parse(text)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match="No such file"):
        certificates.read(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(BadCertificate, match="UTF-8"):
        certificates.read(tmp_path / "binary")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("old", encoding="utf-8")

    def cut_off(temporary: Path) -> None:
        temporary.write_text("ha", encoding="utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        certificates.replace_whole(path, cut_off)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_ledger_keeps_each_certificate_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = ledger.add(SAMPLE)
    assert ledger.add(SAMPLE) == first
    other = ledger.add(certificate(protocol=Protocol.ISCSI))
    contents = ledger.read()
    assert {item.digest for item in contents.certificates} == {SAMPLE.digest, certificate(protocol=Protocol.ISCSI).digest}
    assert contents.problems == ()
    assert set((tmp_path / "certificates").iterdir()) == {first, other}
    assert first.name.startswith("oceanstor-5500-v5-fc-20260531T120000Z-")


def test_ledger_reports_what_was_tampered_with_and_keeps_the_rest(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    good = ledger.add(certificate(protocol=Protocol.ISCSI))
    bad = ledger.add(SAMPLE)
    bad.write_text(bad.read_text(encoding="utf-8").replace('"result": "failed"', '"result": "passed"'), encoding="utf-8")
    renamed = good.with_name("mine-000000000000.json")
    renamed.write_text(good.read_text(encoding="utf-8"), encoding="utf-8")
    contents = ledger.read()
    assert [item.protocol for item in contents.certificates] == [Protocol.ISCSI]
    assert {problem.path for problem in contents.problems} == {bad, renamed}
    assert any("was altered" in problem.message for problem in contents.problems)
    with pytest.raises(BadCertificate):
        ledger.add(SAMPLE)
    assert '"result": "failed"' not in bad.read_text(encoding="utf-8")


def _file(folder: str) -> str:
    return Ledger(Path(folder)).add(SAMPLE).name


def test_many_may_file_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        names = pool.map(_file, [str(tmp_path)] * 12)
    assert len(set(names)) == 1
    assert [path.name for path in (tmp_path / "certificates").iterdir()] == [names[0]]


def test_ledger_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    item = "{kind: deployment, protocol: IP-SAN, date: 2026-05-31, project: Harbour, stable: true}"
    (folder / "harbour.yaml").write_text(f"vendor: Huawei\nmodel: dorado 5000 v3\nevidence:\n  - {item}\n", encoding="utf-8")
    (folder / "wrong.yaml").write_text("vendor: Huawei\nmodel: x\nevidence:\n  - {kind: deployment}\n", encoding="utf-8")
    contents = Ledger(tmp_path).read()
    assert [item.project for item in contents.evidence_of("OceanStor Dorado 5000 V3", LIST)] == ["Harbour"]
    assert contents.evidence_of("OceanStor 5500 V5", LIST) == ()
    (problem,) = contents.problems
    assert "wrong.yaml, line 4: evidence[0] lacks the field 'protocol'" in problem.message


def test_an_absent_ledger_is_empty(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "none").read().certificates == ()


def test_slugs_are_file_names() -> None:
    assert replace(SAMPLE, model="../../etc/passwd").slug == "etc-passwd-fc"
    assert replace(SAMPLE, model="华为").slug == "fc"
