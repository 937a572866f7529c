"""A guest, and what it attaches volumes from; all in a network namespace of its own, for each process that tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.host.lab import fc, network
from tests.host.lab.arrays import nfs_server, simulated_array
from tests.host.lab.guest import Guest
from tests.host.lab.image import image
from tests.host.lab.project import Project, built, configure

collect_ignore = ["inside"]
MODEL = "OceanStor 5500 V5"
INITIATOR = "iqn.2026-11.test.blockdrivers:guest"
FC_STRANGER = "21000024ff000003"
"""An FC initiator that the array sees, and that is none of the guest's."""
SHARES = {"small": "No_Root_Squash", "large": "No_Root_Squash", "squashed": "Root_Squash"}
"""Exports beside the one that the fixture `nfs` tells of, and how their users are squashed; the first one has 64 MiB."""


class ByGuest(LoadScopeScheduling):
    """Gives a process what one guest runs at a time: a file's tests, or those of them with the same first parameter."""

    def _split_scope(self, nodeid: str) -> str:
        test, _, parameters = nodeid.partition("[")
        return f"{test.partition('::')[0]}[{parameters.partition('-')[0]}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Have the tests shared out by `ByGuest`."""
    return ByGuest(config, log)


@pytest.fixture(scope="session", autouse=True)
def lan() -> None:
    network.leave()
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
    others = {f"/{name}": (share / name, squash) for name, squash in SHARES.items()}
    for made in (folder, *(path for path, _ in others.values())):
        made.mkdir()
    small = str(share / "small")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "shares", small], check=True)
    try:
        with nfs_server(folder, others=others) as export:
            yield export, folder
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


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
    if _configured.get("boot") != guest.boots:
        configure(guest, _array)
        _configured["boot"] = guest.boots
    return _array


_configured: dict[str, int] = {}
