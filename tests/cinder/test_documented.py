"""The cinder.conf of the README and of docs/cinder.md, as whoever copies it has it: Cinder reads what it says, and knows every option."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cinder.conftest import INSIDE

ROOT = Path(__file__).parents[2]
DRIVERS = {"README.md": {"hall-3": "ISCSIDriver"}, "docs/cinder.md": {"hall-3-iscsi": "ISCSIDriver", "hall-3-fc": "FCDriver"}}
OPTION = re.compile(r"^# (?=\w+ = )", re.MULTILINE)
"""What is commented out and an option."""


def as_cinder_reads(cinder_python: Path, folder: Path, conf: str) -> dict:
    (folder / "cinder.conf").write_text(conf)
    command = [cinder_python, "-W", "ignore", INSIDE / "documented.py", folder / "cinder.conf"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("document", DRIVERS)
@pytest.mark.parametrize("whole", [False, True], ids=["as it is", "with what is commented out"])
def test_the_documented_configuration_is_one(cinder_python, tmp_path, document, whole):
    (conf,) = re.findall(r"^```ini\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    seen = as_cinder_reads(cinder_python, tmp_path, OPTION.sub("", conf) if whole else conf)
    assert seen["classes"] == DRIVERS[document]
    assert seen["unknown"] == []
    values = [value for told in seen["read"].values() for value in (told if isinstance(told, list) else [told])]
    assert [value for value in values if "#" in str(value)] == [], "oslo has no comments behind values"
