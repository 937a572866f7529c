"""A guest, and what it attaches volumes from; all in a network namespace that `make test-host` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.host.lab import fc, network
from tests.host.lab.arrays import nfs_server, simulated_array
from tests.host.lab.guest import Guest
from tests.host.lab.image import image
from tests.host.lab.project import Project, built, configure

MODEL = "OceanStor 5500 V5"
INITIATOR = "iqn.2026-11.test.blockdrivers:guest"
FC_STRANGER = "21000024ff000003"
"""An FC initiator that the array sees, and that is none of the guest's."""


@pytest.fixture(scope="session", autouse=True)
def lan() -> None:
    network.bring_up()


@pytest.fixture(scope="session")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the guest sees as /share."""
    return tmp_path_factory.mktemp("share")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return built(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def nfs(lan: None, share: Path) -> Iterator[tuple[str, Path]]:
    """What the guest mounts, and the folder behind it, which is also in what it shares with this side."""
    folder = share / "nfs"
    folder.mkdir()
    with nfs_server(folder) as export:
        yield export, folder


@pytest.fixture(scope="session")
def guest(lan: None, share: Path, project: Project) -> Iterator[Guest]:
    """A guest with this project, iscsid, and FC fabrics whose targets serve files of `share`; it has them after every boot."""

    def prepare(booted: Guest) -> None:
        project.install(booted)
        booted.run("host-programs iscsi")
        fc.serve(booted)

    with Guest(image(), share, prepare=prepare) as booted:
        yield booted


@pytest.fixture(scope="session")
def _array(guest: Guest, share: Path) -> Iterator[Mapping[str, Any]]:
    options = ["--fc-target", f"http://{fc.SERVICE}", "--fc-ports", ",".join(fc.PORTS), "--luns-folder", str(share)]
    with simulated_array(MODEL, *options, "--fabric", ",".join((*fc.INITIATORS, FC_STRANGER))) as ready:
        yield ready


@pytest.fixture
def array(guest: Guest, _array: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the simulated array tells clients; commands in the guest can drive it, also after the guest was booted again."""
    configure(guest, _array)
    return _array
