"""``image write`` and ``image read`` as a person uses them; and a certification without what serves or reads bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import run

IQN = "iqn.1994-05.org.example:copies"


def test_an_image_goes_through_a_volume(config, tmp_path):
    source = tmp_path / "source.raw"
    with source.open("wb") as file:
        file.write(os.urandom(1024**2))
        file.truncate(1024**3)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    at = ["--config", config]
    run("volume", "create", "image-volume", "--size", "1GiB", "--pool", "pool_a", *at)
    try:
        copy = ["--format", "raw", "--iqn", IQN, *at]
        written = run("image", "write", "image-volume", source, "--sha256", digest, "--json", *copy).json
        assert written["volume_id"] == "image-volume"
        read = run("image", "read", "image-volume", tmp_path / "out.raw", "--json", *copy).json
        assert (read["sha256"], read["size"], read["virtual_size"]) == (digest, 1024**3, 1024**3)
        said = run("image", "read", "image-volume", tmp_path / "out.qcow2", "--format", "qcow2", "--iqn", IQN, *at).out
        assert "sha256" in said
        wrong = run("image", "write", "image-volume", tmp_path / "out.qcow2", *copy, status=4).err
        assert "qcow2, not raw" in wrong
        assert "up to 1048576" in run("image", "read", "image-volume", tmp_path / "x", "--max-size", "1MiB", *copy, status=4).err
    finally:
        run("volume", "delete", "image-volume", "--force", *at)


@pytest.mark.parametrize(("lacking", "reason"), [("tgtd", "tgt"), ("qemu-storage-daemon", "qemu-storage-daemon")])
def test_checks_of_bytes_are_not_run_where_a_program_is_missing(tmp_path, lacking, reason):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in {"setpriv", "tgtd", "tgtadm", "qemu-storage-daemon", "qemu-img"} - {lacking}:
        (programs / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is missing"))
    output = tmp_path / "report"
    select = ["--protocol", "iscsi", "--select", "data.written,data.clone", "--output", output]
    run("certify", "OceanStor 5500 V5", "--simulated", *select, status=1, PATH=str(programs))
    document = json.loads(Path(output / "oceanstor-5500-v5-iscsi.json").read_text())
    assert {outcome["result"] for outcome in document["outcomes"]} == {"not_run"}
    assert all(reason in outcome["detail"] for outcome in document["outcomes"])
