"""A guest, and what it attaches volumes from; all in a network namespace that `make test-host` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.host.lab import network
from tests.host.lab.arrays import nfs_server, simulated_array
from tests.host.lab.guest import Guest
from tests.host.lab.image import image
from tests.host.lab.project import Project, built, configure

MODEL = "OceanStor 5500 V5"


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
def array(lan: None) -> Iterator[Mapping[str, Any]]:
    """What the simulated array tells clients."""
    with simulated_array(MODEL) as ready:
        yield ready


@pytest.fixture(scope="session")
def nfs(lan: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """What the guest mounts, and the folder behind it."""
    folder = tmp_path_factory.mktemp("nfs")
    with nfs_server(folder) as export:
        yield export, folder


@pytest.fixture(scope="session")
def guest(lan: None, share: Path, project: Project, array: Mapping[str, Any]) -> Iterator[Guest]:
    """A guest with this project, a configuration for the array, and iscsid; it has them after every boot."""

    def prepare(booted: Guest) -> None:
        project.install(booted)
        configure(booted, array)
        booted.run("host-programs iscsi")

    with Guest(image(), share, prepare=prepare) as booted:
        yield booted
