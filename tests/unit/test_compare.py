"""What makes a repeated call an `AlreadyExists`, and what is none of it yet."""

from __future__ import annotations

from dataclasses import replace

from blockdrivers import compare
from blockdrivers.driver import VolumeSpec
from blockdrivers.model import GiB, Volume, VolumeState
from blockdrivers.naming import Label

SPEC = VolumeSpec(name="bdv-v", size=GiB, pool="pool", thin=False)
FOUND = Volume(id="1", name="bdv-v", size=GiB, pool="pool", wwn=None, thin=False, state=VolumeState.READY)


def _differences(found: Volume) -> set[str]:
    return set(compare.volume(SPEC, Label(id="v"), "v", found))


def test_a_whole_volume_is_compared() -> None:
    assert _differences(FOUND) == set()
    assert _differences(replace(FOUND, size=2 * GiB, thin=True)) == {"size", "thin"}


def test_a_volume_that_somebody_is_making_has_nothing_to_compare_yet() -> None:
    making = replace(FOUND, size=0, thin=True, state=VolumeState.COPYING)
    assert _differences(making) == set()
    assert _differences(replace(making, size=2 * GiB)) == {"size", "thin"}, "a clone has told its size"
    assert _differences(replace(making, description=Label(id="w").encode(200))) == {"id"}
