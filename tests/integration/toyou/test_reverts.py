"""Reverts that were cut off, and volumes that shrank in one."""

from __future__ import annotations

from blockdrivers.model import GiB, VolumeState
from conformance.simulation.family import Output
from tests.integration.toyou.lab import POOL


def test_a_revert_that_was_cut_off_is_waited_for_and_repeated(lab):
    started = lab(copy_seconds=2.0)
    backend = started.open()
    volume = backend.create_volume("v", GiB, POOL)
    snapshot = backend.create_snapshot("s", "v")
    started.tell(f"rollback_snapshot --snapshot {snapshot.name} --volume {volume.name}")
    assert backend.get_volume("v").state is VolumeState.BUSY
    assert backend.revert_volume("v", "s").state is VolumeState.READY


def test_a_volume_that_shrank_in_a_revert_grows_again(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    backend.extend_volume("v", 3 * GiB)
    volume = next(iter(started.array.family._array.volumes.values()))

    def shrink(output: Output) -> Output:
        volume.size = GiB
        return output

    started.answering("rollback_snapshot", shrink)
    backend.revert_volume("v", "s")
    assert backend.get_volume("v").size == 3 * GiB
