"""The compatibility list: what stands in it, what is found in it, and how wrong data is refused."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockdrivers import matrix, nodes, plugins
from blockdrivers.errors import BlockDriversError, MatrixError
from blockdrivers.matrix import EvidenceKind, ModelClass
from blockdrivers.model import Protocol

LIST = matrix.load()
TEXT = matrix.default_path().read_text(encoding="utf-8")


def wrong(tmp_path: Path, text: str) -> str:
    path = tmp_path / "list.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MatrixError) as caught:
        matrix.load(path)
    assert "\n" not in caught.value.message
    assert caught.value.message.startswith(f"{path}")
    return caught.value.message.removeprefix(str(path))


def line_of(text: str, needle: str) -> int:
    return text[: text.index(needle)].count("\n") + 1


def test_all_rows_stand_in_order() -> None:
    assert [row.row for row in LIST.rows] == list(range(1, 64))
    classes = [letter for row in LIST.rows for letter in row.classes.values()]
    assert (classes.count(ModelClass.A), classes.count(ModelClass.B), classes.count(ModelClass.C)) == (62, 52, 6)


@pytest.mark.parametrize(
    ("row", "vendor", "zh", "model", "classes"),
    [
        (1, "Huawei", "华为", "OceanStor Dorado 5000 V3", {"FC-SAN": "A", "IP-SAN": "B"}),
        (11, "Huawei", "华为", "OceanStor 18510 V5", {"FC-SAN": "B", "IP-SAN": "A"}),
        (15, "ZTE", "中兴", "KS3200 V2", {"FC-SAN": "A", "IP-SAN": "A"}),
        (17, "EMC (Dell)", None, "Unity XT 480", {"FC-SAN": "A", "IP-SAN": "B"}),
        (55, "TOYOU", "同有", "NCS10000", {"NFS": "C"}),
        (62, "ExponTech", "华瑞指数", "ExponTech GDS", {"Ceph": "C"}),
        (63, "Great Wall (Changcheng Zhiyun)", "长城智云", "MK7040", {"IP-SAN": "C"}),
    ],
)
def test_rows_say_what_the_manual_says(row: int, vendor: str, zh: str | None, model: str, classes: dict[str, str]) -> None:
    plain = LIST.rows[row - 1].as_dict()
    assert (plain["row"], plain["vendor"], plain["vendor_zh"], plain["model"], plain["classes"]) == (
        row,
        vendor,
        zh,
        model,
        classes,
    )


def test_adapters() -> None:
    assert {row.row for row in LIST.rows if row.adapter == "huawei-oceanstor"} == {1, *range(3, 15)}
    assert {row.as_dict()["adapter"] for row in LIST.rows if row.adapter is None and row.probe is None} == {"none yet"}


def test_an_adapter_that_serves_a_model_is_there() -> None:
    for row in LIST.rows:
        if row.adapter is not None:
            assert any(row.model == model for model in plugins.adapters()[row.adapter].models), f"row {row.row}"


def test_what_nothing_public_tells_is_unknown_and_has_a_probe() -> None:
    unknown = {row.model: (row.served_by, row.probe) for row in LIST.rows if row.probe is not None}
    assert unknown == dict.fromkeys(("NCS9000", "NetStor iSUMA A1600"), ("unknown", "toyou-acs5000")) | {
        "ConvergedFabric 5040": ("unknown", "h3c-cf-wsapi")
    }
    assert {probe for _, probe in unknown.values()} <= set(plugins.adapters())
    assert not [model for adapter in plugins.adapters().values() for model in adapter.models if model in unknown]


@pytest.mark.parametrize(
    ("right", "change"),
    [("adapter: unknown\n    probe: toyou-acs5000", "adapter: unknown"), ("adapter: toyou-acs5000", "adapter: a\n    probe: b")],
)
def test_a_probe_stands_where_the_adapter_is_unknown_and_only_there(tmp_path: Path, right: str, change: str) -> None:
    said = wrong(tmp_path, TEXT.replace(right, change, 1))
    assert f"line {line_of(TEXT, right)}" in said
    assert "'unknown' where the row has a probe" in said


def test_scope() -> None:
    assert [(platform.name, platform.versions) for platform in LIST.platforms] == [
        ("ECS Foundation V5", ()),
        ("ECF Foundation V6", ("V6.0.1", "V6.0.2")),
    ]
    assert LIST.excluded == ("hyper-converged",)
    assert LIST.hosts == ("x86", "ARM")
    assert LIST.driver.openstack_release == "Newton"
    assert set(LIST.classes) == set(ModelClass)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("Dorado 5000 V3", [1, 13]),
        ("OceanStor Dorado 5000 V3", [1, 13]),
        ("huawei oceanstor 5500 v5", [8]),
        ("华为 OceanStor 5500 V5", [8]),
        ("FAS8200", [58, 60]),
        ("netapp fas-8200", [58, 60]),
        ("EMC Unity XT 480", [17]),
        ("Dell Unity XT 480", [17]),
        ("OceanStor 5500", []),
        ("", []),
    ],
)
def test_find_by_any_spelling(name: str, rows: list[int]) -> None:
    assert [row.row for row in LIST.find(name)] == rows


def test_find_over_a_protocol() -> None:
    assert [row.row for row in LIST.find("FAS8200", Protocol.NFS)] == [58]
    assert LIST.class_of("FAS8200", Protocol.NFS) is ModelClass.C
    assert LIST.class_of("FAS8200", Protocol.FC) is ModelClass.A
    assert LIST.class_of("FAS8200", Protocol.RBD) is None
    assert LIST.class_of("nobody's", Protocol.FC) is None
    assert LIST.closest("OceanStor 5500 V7")[0].startswith("OceanStor 5500")


def test_select() -> None:
    assert [row.row for row in LIST.select(vendor="宏杉")] == [43, 44, 45]
    assert [row.row for row in LIST.select(protocol=Protocol.NFS)] == [55, 57, 58]
    assert [row.row for row in LIST.select(vendor="huawei", protocol=Protocol.ISCSI, granted=ModelClass.A)] == [11]
    assert LIST.vendor_is_trusted("Huawei")
    assert not LIST.vendor_is_trusted("ExponTech")


def test_evidence(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    digest = "ab" * 32
    kept = (
        "    evidence:\n"
        "      - {kind: deployment, protocol: IP-SAN, date: 2026-05-31, project: Harbour, stable: true, note: two arrays}\n"
        f"      - {{kind: certificate, protocol: FC-SAN, date: 2026-06-01, certificate: {digest}}}\n"
    )
    path.write_text(TEXT + kept, encoding="utf-8")
    first, second = matrix.load(path).rows[-1].evidence
    assert (first.kind, first.protocol, first.project, first.stable) == (EvidenceKind.DEPLOYMENT, Protocol.ISCSI, "Harbour", True)
    assert second.as_dict() == {
        "kind": "certificate",
        "protocol": "FC-SAN",
        "date": "2026-06-01",
        "certificate": digest,
        "stable": False,
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("classes: {NFS: C}", "classes: {NFS: D}", "rows[54].classes.NFS must be one of A, B, C; got 'D'."),
        ("classes: {NFS: C}", "classes: {SMB: C}", "rows[54].classes.SMB is not a known field"),
        ("classes: {NFS: C}", "classes: {}", "rows[54].classes must grant a class"),
        ("classes: {NFS: C}", "classes: C", "rows[54].classes must be a mapping; got 'C'."),
        ("classes: {NFS: C}", "classes: {NFS: C, NFS: A}", "rows[54].classes.NFS stands there twice"),
        ("classes: {IP-SAN: C}", "classes: {IP-SAN: B}", "grants HStor VBS distributed storage a B although"),
        ("  - row: 3\n", "  - row: 4\n", "rows[2].row must be 3"),
        ("  - row: 3\n", "  - row: three\n", "rows[2].row must be a whole number; got 'three'."),
        ("model: FAS2750", "modell: FAS2750", "rows[56].modell is not a known field"),
        ("    model: FAS2750\n", "", "rows[56] lacks the field 'model'; got a mapping of row, vendor, classes, adapter."),
        ("model: FAS2750", "model:", "rows[56].model must be a text; got ''."),
        ("hosts: [x86, ARM]", "hosts: x86", "hosts must be a list; got 'x86'."),
        ("versions: all", "versions: some", "platforms[0].versions must be one of all; got 'some'."),
        ("version: 1", "version: 2", "version must be 1"),
        ("  A:\n", "  Z:\n", "classes.Z is not a known field"),
    ],
)
def test_wrong_data_is_refused_by_line_and_field(tmp_path: Path, old: str, new: str, said: str) -> None:
    message = wrong(tmp_path, TEXT.replace(old, new, 1))
    assert said in message
    assert re.match(r", line \d+: ", message)
    if new and old.count("\n") == 0 and "lacks" not in said:
        assert message.startswith(f", line {line_of(TEXT, old)}: ")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("{kind: rumour, protocol: FC-SAN, date: 2026-05-31}", "evidence[0].kind must be one of deployment, poc"),
        ("{kind: poc, protocol: FC-SAN, date: 2026-05-31}", "lacks the field 'project'"),
        ("{kind: certificate, protocol: FC-SAN, date: 2026-05-31, certificate: abc}", "must be a SHA-256 digest"),
        ("{kind: poc, project: x, protocol: FC, date: 2026-05-31}", "must be one of FC-SAN, IP-SAN, NFS, Ceph; got 'FC'."),
        ("{kind: poc, project: x, protocol: NFS, date: 31.5.2026}", "must be a date such as 2026-05-31; got '31.5.2026'."),
        ("{kind: poc, project: x, protocol: NFS, date: 2026-05-31, stable: maybe}", "must be true or false; got 'maybe'."),
    ],
)
def test_wrong_evidence_is_refused(tmp_path: Path, item: str, said: str) -> None:
    assert said in wrong(tmp_path, f"{TEXT}    evidence:\n      - {item}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ", line 1: is empty."),
        ("rows: [", ": is not YAML"),
        ("a: &x [*x]\nb: *y\n", ", line 2: is not YAML"),
        ("- 1\n", ", line 1: the document must be a mapping; got a list of 1."),
        ("? [1]\n: 2\n", "must be a plain key"),
        ("---\na: 1\n---\nb: 1\n", "is not YAML"),
    ],
)
def test_what_is_not_even_a_list_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in wrong(tmp_path, text)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="cannot be read: No such file"):
        matrix.load(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(MatrixError, match="line 2: is not UTF-8 text: byte 0xe9"):
        matrix.load(tmp_path / "latin.yaml")


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 40), st.text(max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_damage_is_a_matrix_error_or_none(start: int, length: int, put: str) -> None:
    damaged = TEXT[:start] + put + TEXT[start + length :]
    with contextlib.suppress(MatrixError):
        loaded = matrix._matrix(matrix.default_path(), nodes.parse(damaged, "list.yaml", MatrixError))
        assert [row.row for row in loaded.rows] == list(range(1, len(loaded.rows) + 1))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_other_document_is_refused(document: object) -> None:
    import yaml

    with pytest.raises(BlockDriversError):
        matrix._matrix(matrix.default_path(), nodes.parse(yaml.safe_dump(document), "list.yaml", MatrixError))


def test_an_installed_wheel_finds_its_list(tmp_path: Path) -> None:
    """The package and its list as the wheel lays them out: side by side, away from any checkout."""
    package = tmp_path / "site" / "blockdrivers"
    package.mkdir(parents=True)
    source = Path(matrix.__file__).parent
    for name in ("__init__.py", "matrix.py", "nodes.py", "errors.py", "model.py"):
        shutil.copy(source / name, package / name)
    (package / "__init__.py").write_text("", encoding="utf-8")
    shutil.copy(matrix.default_path(), package / "compat_matrix.yaml")
    code = "from blockdrivers import matrix; print(len(matrix.load().rows), matrix.default_path())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True, check=True, env={"PYTHONPATH": "."}
    )
    assert done.stdout.split() == ["63", str(package / "compat_matrix.yaml")]
