"""How the suite counts what is on an array that lists nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from blockdrivers.driver import Capabilities
from blockdrivers.errors import NotFound
from blockdrivers.model import Protocol
from conformance.suite.rig import Rig


class Backend:
    """Looks up what was made, and nothing else."""

    def __init__(self, volumes, snapshots):
        self._volumes, self._snapshots = volumes, snapshots

    def get_volume(self, identifier):
        if identifier not in self._volumes:
            raise NotFound(identifier)

    def get_snapshot(self, identifier):
        if identifier not in self._snapshots:
            raise NotFound(identifier)


def _rig(volumes, snapshots, inside, *, find_snapshots):
    counts = {"volumes": inside[0], "snapshots": inside[1]}
    run = SimpleNamespace(
        backend=Backend(volumes, snapshots),
        capabilities=Capabilities(protocols=frozenset({Protocol.ISCSI}), list_objects=False, find_snapshots=find_snapshots),
        grown=lambda: counts,
        uncleaned=set(),
    )
    rig = Rig(run)
    for identifier in ("v", "c", "s"):
        rig.track(identifier)
    return rig


@pytest.mark.parametrize("find_snapshots", [True, False])
def test_a_volume_and_its_snapshot(find_snapshots):
    _rig({"v"}, {"s"}, (1, 1), find_snapshots=find_snapshots).holds_only({"v", "s"}, what="objects")


def test_a_snapshot_that_is_looked_up_may_be_a_volume_inside():
    _rig({"v"}, {"s"}, (2, 0), find_snapshots=True).holds_only({"v", "s"}, what="objects")
    _rig({"v"}, {"s"}, (2, 1), find_snapshots=True).holds_only({"v", "s"}, what="objects")


@pytest.mark.parametrize(
    ("volumes", "snapshots", "inside", "find_snapshots"),
    [
        ({"v", "c"}, {"s"}, (2, 1), True),
        ({"v"}, {"s"}, (3, 1), True),
        ({"v"}, {"s"}, (2, 1), False),
        ({"v"}, {"s"}, (2, 0), False),
        ({"v"}, {"s"}, (1, 2), False),
        ({"v"}, {"s"}, (1, 0), True),
    ],
    ids=[
        "a volume too many",
        "one that nobody knows",
        "the same untold",
        "a snapshot turned volume",
        "two snapshots",
        "gone inside",
    ],
)
def test_what_is_too_many_or_too_few_is_told(volumes, snapshots, inside, find_snapshots):
    with pytest.raises(AssertionError, match="objects: expected"):
        _rig(volumes, snapshots, inside, find_snapshots=find_snapshots).holds_only({"v", "s"}, what="objects")


def test_a_snapshot_that_cannot_be_looked_up_is_missed():
    with pytest.raises(NotFound):
        _rig({"v"}, set(), (1, 1), find_snapshots=True).holds_only({"v", "s"}, what="objects")
