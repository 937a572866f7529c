"""Scale: lists stay complete beyond a page."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from blockdrivers.model import GiB
from conformance.outcome import Level
from conformance.suite.declare import check
from conformance.suite.rig import Rig

_VOLUMES = 1003
_SNAPSHOTS = 130
_THREADS = 8


@check(
    "scale.volumes",
    Level.STANDARD,
    "A thousand volumes are listed exactly once each",
    title_zh="千卷规模下列表完整且不重复",
    requirement="With 1,000 volumes made in parallel, a list holds every one of them once, with its id and size.",
    needs=("list_objects",),
)
def test_volumes(rig: Rig) -> None:
    wanted = {rig.id(f"n{number}"): GiB * (1 + number % 3) for number in range(_VOLUMES)}

    def make(item: tuple[str, int]) -> None:
        rig.backend.create_volume(item[0], item[1], rig.pool)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(make, wanted.items()))
    listed = [volume for volume in rig.backend.list_volumes() if volume.volume_id in wanted]
    times = Counter(volume.volume_id for volume in listed)
    twice = sorted(str(name) for name, count in times.items() if count > 1)
    missing = sorted(wanted.keys() - times.keys())
    assert not twice, f"{len(twice)} volumes are listed more than once: {twice[:5]}"
    assert not missing, f"{len(missing)} volumes are not listed: {missing[:5]}"
    wrong = [volume for volume in listed if volume.size != wanted[volume.volume_id or ""]]
    assert not wrong, f"{len(wrong)} volumes are listed with another size: {wrong[:2]}"


@check(
    "scale.snapshots",
    Level.STANDARD,
    "Snapshots beyond a page are listed exactly once each",
    title_zh="超过一页的快照列表完整且不重复",
    requirement=f"With {_SNAPSHOTS} snapshots of thirteen volumes, the list of all and the list of each volume are complete.",
    needs=("list_objects",),
)
def test_snapshots(rig: Rig) -> None:
    sources = [rig.volume(f"v{number}").volume_id or "" for number in range(13)]
    wanted = {rig.id(f"s{number}"): sources[number % len(sources)] for number in range(_SNAPSHOTS)}
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda item: rig.backend.create_snapshot(item[0], item[1]), wanted.items()))
    listed = Counter(found.snapshot_id for found in rig.backend.list_snapshots() if found.snapshot_id in wanted)
    assert listed == Counter(list(wanted)), f"of {_SNAPSHOTS} snapshots {len(listed)} are listed, {listed.total()} lines in all"
    for source in sources[:2]:
        own = {snapshot for snapshot, of in wanted.items() if of == source}
        found = set(rig.snapshots(source))
        assert found == own, f"{source} has {len(own)} snapshots, and {len(found)} are listed"
