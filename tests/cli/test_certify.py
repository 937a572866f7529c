"""``certify``: a certificate that tells the truth, and a killed run that can be started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from conformance import certificate
from tests.cli.conftest import COMMAND, run
from tests.leftovers import own_folder

SELECTED = "volume,system"
MODEL = "OceanStor 5500 V5"


def arguments(output: Path, select: str = SELECTED) -> list[str]:
    return ["certify", MODEL, "--simulated", "--protocol", "iscsi", "--output", str(output), "--select", select]


def test_a_certificate_is_written_whole_and_verifies(tmp_path):
    said = run(*arguments(tmp_path / "report"), "--json", "--ledger", tmp_path / "ledger").json
    document = json.loads((tmp_path / "report" / "oceanstor-5500-v5-iscsi.json").read_text())
    certificate.verify(document)
    assert document["simulated"] is True
    others = {outcome["check"]["id"]: outcome["result"] for outcome in document["outcomes"] if outcome["result"] != "passed"}
    assert others == {"system.untold": "not_applicable"}
    assert said[0]["class"]["grade"] is None
    assert "were run" in said[0]["technical"]["reasons"][0]
    for suffix in ("xml", "html"):
        assert (tmp_path / "report" / f"oceanstor-5500-v5-iscsi.{suffix}").stat().st_size > 1000
    graded = run("grade", "--ledger", tmp_path / "ledger", "--json").json
    assert graded[0]["digest"] == document["digest"]
    assert graded[0]["evidence"]["grade"] == "B"


def test_a_tampered_certificate_is_refused(tmp_path):
    run(*arguments(tmp_path))
    path = tmp_path / "oceanstor-5500-v5-iscsi.json"
    path.write_text(path.read_text().replace('"passed"', '"failed"', 1))
    assert "digest" in run("grade", path, status=14).err


def test_protocols_run_side_by_side_into_one_report(tmp_path):
    select = ["--output", tmp_path, "--select", "volume"]
    both = ["certify", MODEL, "--simulated", "--protocol", "fc", "--protocol", "iscsi", *select]
    said = run(*both, "--ledger", tmp_path / "ledger", "--json").json
    assert [grade["protocol"] for grade in said] == ["FC-SAN", "IP-SAN"]
    index = (tmp_path / "index.html").read_text()
    for protocol in ("fc", "iscsi"):
        document = json.loads((tmp_path / f"oceanstor-5500-v5-{protocol}.json").read_text())
        assert {outcome["result"] for outcome in document["outcomes"]} == {"passed"}
        assert f"oceanstor-5500-v5-{protocol}.html" in index
    assert len(list((tmp_path / "ledger" / "certificates").glob("*.json"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_cut_off_leaves_nothing_and_can_be_started_again(tmp_path, number):
    # Whoever runs these tests in the background may have them ignore Ctrl-C, which children inherit.
    heeding = ["env", "--default-signal=INT"]
    with (
        own_folder() as temporary,
        subprocess.Popen(
            [*heeding, *COMMAND, *arguments(tmp_path, "crash,volume"), "--protocol", "fc"],
            env=os.environ | {"TMPDIR": str(temporary)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        assert {process.stderr.readline().split()[0] for _ in range(2)} == {"certifying"}
        while len(children := _descendants(process.pid)) < 2:
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) != 0
        for child in children:
            _await_end(child)
    assert list(tmp_path.glob("*.json")) == []
    run(*arguments(tmp_path))
    assert len(list(tmp_path.glob("*.json"))) == 1


def _descendants(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(entry.name))
    return found


def _await_end(pid: int) -> None:
    descriptor = None
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        ended, _, _ = select.select([descriptor], [], [], 20)
        assert ended, f"process {pid} outlived its run"
    finally:
        os.close(descriptor)


CINDER = ("--protocol", "iscsi", "--cinder-driver", "a.B")
CONF = "[DEFAULT]\n[one]\nvolume_driver = a.B\nsan_password = secret-secret\n[two]\nvolume_backend_name = two\n"


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ((MODEL,), 2, "belong together"),
        ((MODEL, "--cinder-config", "CONF", "--simulated"), 2, "not with --simulated"),
        (("--cinder-config", "CONF"), 2, "needs the model"),
        ((MODEL, "--cinder-config", "CONF"), None, "2 sections of backends (one, two)"),
        ((MODEL, "--cinder-config", "CONF", "--cinder-section", "three"), None, "no section 'three'"),
    ],
)
def test_a_cinder_driver_that_is_not_told_of_rightly_is_refused(tmp_path, more, status, words):
    conf = tmp_path / "cinder.conf"
    conf.write_text(CONF)
    told = [str(conf) if word == "CONF" else word for word in more]
    command = [*COMMAND, "certify", *told, *CINDER, "--output", str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == status if status else ended.returncode != 0
    assert words in " ".join(ended.stderr.replace("│", " ").split()), ended.stderr
    assert "secret-secret" not in ended.stderr
    assert not list((tmp_path / "out").glob("*.json"))
