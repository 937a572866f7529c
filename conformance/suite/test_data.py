"""Users' bytes: where they must be, where they must not change, and who must not see them."""

from __future__ import annotations

from dataclasses import replace

from blockdrivers.errors import AttachError
from blockdrivers.model import Chap, Export, GiB, Host
from conformance.outcome import Level
from conformance.suite import disks
from conformance.suite.declare import check
from conformance.suite.disks import NEEDS, attached, expect_stamp, expect_zeros, opened, stamp
from conformance.suite.rig import Rig

_STRANGER = "iqn.1994-05.org.example:conformance-stranger"
_SECRET = "secretsecret12"
_WRONG = "wrongwrong1234"
_NEW_VOLUMES = 4


@check(
    "data.written",
    Level.ESSENTIAL,
    "Written bytes are read back",
    title_zh="写入的数据可正确读回",
    requirement="A new volume has the size that was asked for and reads as zeros; what is written to it is read back over every portal.",
    needs=NEEDS,
)
def test_written(rig: Rig) -> None:
    rig.volume(size=2 * GiB)
    export = rig.export()
    with opened(export, rig.host) as disk:
        assert disk.size == 2 * GiB, f"the host sees {disk.size} bytes, not {2 * GiB}"
        for place in disks.places(disk.size):
            expect_zeros(disk, place, disks.BLOCK, what="a new volume")
        stamp(disk, "written")
    for number in range(max(1, len(export.targets))):
        with opened(export, rig.host, portal=number) as disk:
            expect_stamp(disk, "written", what=f"the volume over path {number} of {export.targets or export.location}")


@check(
    "data.snapshot",
    Level.ESSENTIAL,
    "A snapshot keeps its bytes",
    title_zh="快照数据不随卷变化",
    requirement="Volumes made from a snapshot hold the bytes of its moment, whatever is written to its volume afterwards.",
    needs=NEEDS,
)
def test_snapshot(rig: Rig) -> None:
    rig.volume()
    with attached(rig) as disk:
        stamp(disk, "before")
        disk.flush()
        if rig.capabilities.copies_in_use:
            rig.snapshot("s")
            stamp(disk, "after")
    if not rig.capabilities.copies_in_use:
        rig.snapshot("s")
        with attached(rig) as disk:
            stamp(disk, "after")
    for tag in ("c1", "c2"):
        rig.backend.create_volume_from_snapshot(rig.id(tag), rig.id("s"), pool=rig.pool, of_volume=rig.id("v"))
        with attached(rig, tag) as disk:
            expect_stamp(disk, "before", what="the volume made from the snapshot")
            stamp(disk, "copy")
    with attached(rig) as disk:
        expect_stamp(disk, "after", what="the snapshot's volume")


@check(
    "data.clone",
    Level.ESSENTIAL,
    "A clone equals its source, then goes its own way",
    title_zh="克隆与源卷一致且相互独立",
    requirement="A clone, also a larger one, holds its source's bytes and zeros beyond; writes to either are not seen in the other.",
    needs=NEEDS,
)
def test_clone(rig: Rig) -> None:
    rig.volume()
    with attached(rig) as disk:
        stamp(disk, "source")
    rig.backend.clone_volume(rig.id("c"), rig.id("v"), size=2 * GiB)
    with attached(rig, "c") as clone:
        assert clone.size == 2 * GiB, f"the host sees {clone.size} bytes, not {2 * GiB}"
        expect_stamp(clone, "source", what="the clone", size=GiB)
        expect_zeros(clone, GiB, disks.BLOCK, what="the clone beyond its source's size")
        stamp(clone, "clone")
    with attached(rig) as disk:
        expect_stamp(disk, "source", what="the source after a write to its clone")
        stamp(disk, "source again")
    with attached(rig, "c") as clone:
        expect_stamp(clone, "clone", what="the clone after a write to its source")


@check(
    "data.revert",
    Level.MANDATORY,
    "A revert restores every byte",
    title_zh="回滚精确恢复数据",
    requirement="After a revert the volume holds exactly the bytes of the snapshot: what was written since is gone, zeros included.",
    needs=(*NEEDS, "revert"),
)
def test_revert(rig: Rig) -> None:
    rig.volume()
    with attached(rig) as disk:
        stamp(disk, "first")
    rig.snapshot("s1")
    with attached(rig) as disk:
        stamp(disk, "second")
        disk.write(GiB // 4, b"x" * disks.BLOCK)
    rig.snapshot("s2")
    anywhere = (("s1", "first"), ("s2", "second"), ("s1", "first"))
    for snapshot, word in anywhere if rig.capabilities.revert_to_any else (("s2", "second"), ("s1", "first")):
        if snapshot == "s1" and not rig.capabilities.revert_to_any:
            rig.drop_snapshot("s2")
        rig.backend.revert_volume(rig.id("v"), rig.id(snapshot))
        with attached(rig) as disk:
            expect_stamp(disk, word, what=f"the volume reverted to {snapshot}")
            if snapshot == "s1":
                expect_zeros(disk, GiB // 4, disks.BLOCK, what="the volume reverted to before that write")


@check(
    "data.extend",
    Level.ESSENTIAL,
    "Growing keeps bytes and adds zeros",
    title_zh="扩容保留数据且新增空间为零",
    requirement="After an extend, also one while the volume is exported, the old bytes are there and the new ones are zeros.",
    needs=NEEDS,
)
def test_extend(rig: Rig) -> None:
    rig.volume()
    with attached(rig) as disk:
        stamp(disk, "small")
    rig.backend.extend_volume(rig.id("v"), 2 * GiB)
    with attached(rig) as disk:
        assert disk.size == 2 * GiB, f"the host sees {disk.size} bytes, not {2 * GiB}"
        expect_stamp(disk, "small", what="the grown volume", size=GiB)
        expect_zeros(disk, GiB, disks.BLOCK, what="the new part")
        stamp(disk, "large")
    export = rig.export()
    rig.backend.extend_volume(rig.id("v"), 3 * GiB)
    with opened(export, rig.host) as disk:
        assert disk.size == 3 * GiB, f"the host sees {disk.size} bytes, not {3 * GiB}"
        expect_stamp(disk, "large", what="the volume grown on line", size=2 * GiB)
        expect_zeros(disk, 2 * GiB, disks.BLOCK, what="the part added on line")


@check(
    "data.deleted",
    Level.ESSENTIAL,
    "Deleted bytes are seen by nobody",
    title_zh="已删除数据不可见",
    requirement="New volumes made after a delete, at the same LUN id too, read as zeros everywhere the deleted one was written.",
    needs=NEEDS,
)
def test_deleted(rig: Rig) -> None:
    rig.volume()
    with attached(rig) as disk:
        stamp(disk, "secret")
    rig.backend.delete_volume(rig.id("v"))
    for number in range(_NEW_VOLUMES):
        rig.volume(f"n{number}")
        with attached(rig, f"n{number}") as disk:
            for place in disks.places(disk.size):
                expect_zeros(disk, place, disks.BLOCK, what="a volume made after another was deleted")


@check(
    "data.initiator",
    Level.ESSENTIAL,
    "The wrong initiator sees nothing",
    title_zh="未授权启动器不可访问",
    requirement="A LUN opens for the initiator it was exported to, and neither for an unknown one nor for another host's.",
    needs=(*NEEDS, "iscsi", "two_hosts"),
)
def test_initiator(rig: Rig) -> None:
    rig.volume()
    rig.volume("other", size=2 * GiB)
    other = rig.track_host(rig.other_host)
    export = rig.export("v", rig.track_host(rig.host))
    _expect_closed(export, replace(rig.host, iqn=_STRANGER), what="an initiator that the array does not know")
    _expect_closed(export, other, what="a host without exports")
    theirs = rig.export("other", other)
    with opened(theirs, other) as disk:
        assert disk.size == 2 * GiB, f"the other host sees {disk.size} bytes at its LUN, not its own volume's {2 * GiB}"
    with opened(export, rig.host) as disk:
        assert disk.size == GiB, f"the first host sees {disk.size} bytes at its LUN, not its own volume's {GiB}"


@check(
    "data.unexport",
    Level.ESSENTIAL,
    "What is taken away cannot be read any more",
    title_zh="取消导出后不可访问",
    requirement="After unexport the host cannot open the LUN; its other volumes stay open to it.",
    needs=(*NEEDS, "iscsi"),
)
def test_unexport(rig: Rig) -> None:
    rig.volume()
    rig.volume("stays")
    host = rig.track_host(rig.host)
    kept = rig.export("stays", host)
    with attached(rig, "v", host) as disk:
        stamp(disk, "gone")
    export = rig.export("v", host)
    rig.backend.unexport(rig.id("v"), host, rig.protocol)
    _expect_closed(export, host, what="the host that the volume was taken away from")
    with opened(kept, host) as disk:
        stamp(disk, "stays")


@check(
    "data.chap",
    Level.MANDATORY,
    "The wrong CHAP secret sees nothing",
    title_zh="CHAP密钥错误不可访问",
    requirement="An export with CHAP opens with its secret only: not with another one, and not without any.",
    needs=(*NEEDS, "iscsi", "chap"),
)
def test_chap(rig: Rig) -> None:
    rig.volume()
    host = rig.track_host(rig.with_chap(_SECRET))
    export = rig.export("v", host)
    assert host.chap is not None
    with opened(export, host) as disk:
        stamp(disk, "chap")
    _expect_closed(export, replace(host, chap=Chap(host.chap.username, _WRONG)), what="an initiator with the wrong secret")
    _expect_closed(replace(export, chap=None), replace(host, chap=None), what="an initiator without a secret")


@check(
    "data.shared",
    Level.MANDATORY,
    "Two hosts of a shared volume see the same bytes",
    title_zh="共享卷数据一致",
    requirement="What one host writes and flushes the other reads, both ways, while both have the volume open.",
    needs=(*NEEDS, "multi_attach", "two_hosts"),
)
def test_shared(rig: Rig) -> None:
    rig.volume()
    one, other = rig.track_host(rig.host), rig.track_host(rig.other_host)
    with opened(rig.export("v", one), one) as first, opened(rig.export("v", other), other) as second:
        for writer, reader, word in ((first, second, "one"), (second, first, "other")):
            stamp(writer, word)
            writer.flush()
            expect_stamp(reader, word, what=f"the volume as the other host of {word!r} sees it")


@check(
    "data.retype",
    Level.STANDARD,
    "A moved volume keeps its bytes",
    title_zh="迁移后数据保持一致",
    requirement="Bytes written before a move to another pool are there afterwards, through the export that was there before.",
    needs=(*NEEDS, "migrate_in_use", "two_pools"),
)
def test_retype(rig: Rig) -> None:
    rig.volume()
    export = rig.export("v", rig.track_host(rig.host))
    with opened(export, rig.host) as disk:
        stamp(disk, "before the move")
    rig.backend.retype_volume(rig.id("v"), pool=rig.other_pool)
    with opened(export, rig.host) as disk:
        expect_stamp(disk, "before the move", what="the moved volume")


@check(
    "data.moved",
    Level.STANDARD,
    "A volume that is moved unused keeps its bytes",
    title_zh="离线迁移后数据保持一致",
    requirement="Bytes written before an unexported volume moves are there when it is exported again, and new ones can be written.",
    needs=(*NEEDS, "migrate", "two_pools"),
)
def test_moved(rig: Rig) -> None:
    rig.volume()
    for pool, mark, before in ((rig.other_pool, "first", None), (rig.pool, "second", "first")):
        with attached(rig, "v") as disk:
            if before is not None:
                expect_stamp(disk, before, what="the moved volume")
            stamp(disk, mark)
        rig.backend.retype_volume(rig.id("v"), pool=pool)
    with attached(rig, "v") as disk:
        expect_stamp(disk, "second", what="the volume that is moved back")


@check(
    "data.group",
    Level.STANDARD,
    "Snapshots of a group are of one moment",
    title_zh="一致性组快照数据一致",
    requirement="Volumes made from the snapshots of a group hold the bytes of the moment at which all of them were taken.",
    needs=(*NEEDS, "group_snapshots"),
)
def test_group(rig: Rig) -> None:
    for tag in ("a", "b"):
        rig.volume(tag)
        with attached(rig, tag) as disk:
            stamp(disk, f"{tag} before")
    rig.backend.create_group_snapshot({rig.id("a"): rig.id("sa"), rig.id("b"): rig.id("sb")})
    for tag in ("a", "b"):
        with attached(rig, tag) as disk:
            stamp(disk, f"{tag} after")
        rig.backend.create_volume_from_snapshot(rig.id(f"c{tag}"), rig.id(f"s{tag}"), pool=rig.pool, of_volume=rig.id(tag))
        with attached(rig, f"c{tag}") as disk:
            expect_stamp(disk, f"{tag} before", what=f"the volume made from the group's snapshot of {tag}")


@check(
    "data.failover",
    Level.STANDARD,
    "Bytes survive the loss of a controller",
    title_zh="控制器故障后数据不丢失",
    requirement="What was written through one controller is read through another after the first is lost, and again when it is back.",
    needs=(*NEEDS, "iscsi", "two_controllers", "fault_control"),
)
def test_failover(rig: Rig) -> None:
    rig.volume()
    host = rig.track_host(rig.host)
    export = rig.export("v", host)
    with opened(export, host) as disk:
        stamp(disk, "before the loss")
    with rig.control.faulty("failover"):
        # The next request meets the loss; the backend goes on to the other controller.
        rig.backend.get_volume(rig.id("v"))
        assert rig.control.hit(), "the controller was not lost"
        portals = [number for number in range(len(export.targets)) if _opens(export, host, number)]
        assert portals, "no portal of the array lets the host in after the loss of one controller"
        assert len(portals) < len(export.targets), "the lost controller's portal still lets the host in"
        with opened(export, host, portal=portals[0]) as disk:
            expect_stamp(disk, "before the loss", what="the volume through the other controller")
            stamp(disk, "during the loss")
    with opened(export, host) as disk:
        expect_stamp(disk, "during the loss", what="the volume when the controller is back")


def _opens(export: Export, host: Host, portal: int) -> bool:
    try:
        with opened(export, host, portal=portal):
            return True
    except AttachError:
        return False


def _expect_closed(export: Export, host: Host, *, what: str) -> None:
    for number, target in enumerate(export.targets):
        assert not _opens(export, host, number), f"{what} can open LUN {export.lun} at {target.portal}"
