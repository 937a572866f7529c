"""Volumes on this machine, through its own kernel: the right device or none, and nothing left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from blockdrivers.errors import AttachError, DeadlineExceeded, InUse
from blockdrivers.model import Attachment, GiB, Host, Protocol
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.disks import BLOCK, expect_stamp, expect_zeros, places, stamp
from conformance.suite.machine import (
    NEEDS,
    PATH_SECONDS,
    Device,
    attached,
    await_paths,
    busy,
    make_file_system,
    mounted,
    unchanged,
    writing,
)
from conformance.suite.nursery import Call
from conformance.suite.rig import Rig

_STRANGER = "iqn.1994-05.org.example:conformance-stranger"
_SHORT_SECONDS = 40.0
_TIDY_SECONDS = 60.0
_KILLS = 2


@check(
    "attach.bytes",
    Level.ESSENTIAL,
    "An attached volume is the volume",
    title_zh="挂载的设备即所请求的卷",
    requirement="The device has the volume's size and identity; what is written to it is there when it is attached again; detaching leaves nothing.",
    needs=NEEDS,
)
def test_bytes(rig: Rig) -> None:
    volume = rig.volume(size=2 * GiB)
    with unchanged():
        with attached(rig) as made:
            assert made.wwn == volume.wwn, f"the device is {made.wwn}, and the volume {volume.wwn}"
            _is_whole(made, volume.wwn, 2 * GiB)
            with Device(made.path) as disk:
                for place in places(disk.size):
                    expect_zeros(disk, place, BLOCK, what="a new volume")
                stamp(disk, "kept")
        assert not rig.backend.list_exports(rig.id("v")), "the volume is still exported after it was detached"
        with attached(rig) as made, Device(made.path) as disk:
            expect_stamp(disk, "kept", what="the volume attached again")


@check(
    "attach.again",
    Level.ESSENTIAL,
    "Attaching and detaching can be repeated",
    title_zh="挂载与卸载可重复执行",
    requirement="Attached again, in use or not, the same device is returned; detached again, or never attached, nothing is to be done.",
    needs=NEEDS,
)
def test_again(rig: Rig) -> None:
    rig.volume()
    with unchanged():
        rig.detach()
        first = rig.attach()
        with Device(first.path) as disk:
            stamp(disk, "first")
            again = rig.attach()
            expect_stamp(disk, "first", what="the volume attached twice")
        found = (again.path, again.wwn, {path.device for path in again.paths})
        expected = (first.path, first.wwn, {path.device for path in first.paths})
        assert found == expected, f"attached again, {found} is returned, and not {expected}"
        rig.detach()
        rig.detach()


@check(
    "attach.reused_lun",
    Level.ESSENTIAL,
    "A reused LUN id shows no other volume's bytes",
    title_zh="LUN号复用时不会误读或误写其他卷",
    requirement="Where a LUN id was given to another volume behind this machine's back: while somebody still uses the stale device, nothing is "
    "handed out and what he writes does not reach the new volume; afterwards the stale device goes, and the new volume's own is returned.",
    needs=NEEDS,
)
def test_reused_lun(rig: Rig) -> None:
    rig.volume("old")
    new = rig.volume("new")
    with unchanged():
        before = rig.attach("old")
        with Device(before.path) as disk:
            stamp(disk, "old")
            disk.flush()
            rig.backend.unexport(rig.id("old"), rig.host, rig.protocol)
            # This waits in memory, and must not reach the volume that gets the number next.
            stamp(disk, "late")
            with expect.refused(InUse, what="attaching where a stale device is in use", naming=f"process {os.getpid()}"):
                rig.attach("new")
            assert not rig.backend.list_exports(rig.id("new")), "the new volume stays exported behind the stale device"
        with attached(rig, "new") as made:
            assert made.wwn == new.wwn, f"the device is {made.wwn}, and the volume {new.wwn}"
            reused = {path.lun for path in made.paths} == {path.lun for path in before.paths}
            assert reused, "the array did not give the LUN id away again: nothing was shown"
            _is_whole(made, new.wwn, GiB)
            with Device(made.path) as disk:
                for place in places(disk.size):
                    expect_zeros(disk, place, BLOCK, what="the volume that got the LUN id")
                stamp(disk, "new")
        rig.detach("old")
    with attached(rig, "old") as made, Device(made.path) as disk:
        expect_stamp(disk, "old", what="the volume that had the LUN id before")


@check(
    "attach.in_use",
    Level.ESSENTIAL,
    "What is in use is not taken away",
    title_zh="使用中的卷拒绝卸载",
    requirement="A volume that is held open or mounted is not detached; the refusal says by whom, and the volume stays usable.",
    needs=NEEDS,
)
def test_in_use(rig: Rig) -> None:
    rig.volume()
    with unchanged():
        made = rig.attach()
        with Device(made.path) as disk:
            for force in (False, True):
                with expect.refused(InUse, what=f"detaching a volume held open (force={force})", naming=f"process {os.getpid()}"):
                    rig.detach(force=force)
            stamp(disk, "held")
            expect_stamp(disk, "held", what="the volume that was not detached")
        make_file_system(made.path)
        with mounted(made.path, rig.folder / "mnt") as folder:
            with expect.refused(InUse, what="detaching a mounted volume", naming=str(folder)):
                rig.detach()
            (folder / "file").write_text("written after the refusal")
        rig.detach()


@check(
    "attach.file_system",
    Level.MANDATORY,
    "A file system survives being moved away and back",
    title_zh="文件系统卸载重挂后数据完整",
    requirement="Files on an attached volume are whole after it was unmounted, detached, attached and mounted again.",
    needs=NEEDS,
)
def test_file_system(rig: Rig) -> None:
    rig.volume()
    data = os.urandom(4 * 1024 * 1024)
    with attached(rig) as made:
        make_file_system(made.path)
        with mounted(made.path, rig.folder / "mnt") as folder:
            (folder / "file").write_bytes(data)
    with attached(rig) as made, mounted(made.path, rig.folder / "mnt") as folder:
        same = (folder / "file").read_bytes() == data
        assert same, "the file's bytes are not those that were written"


@check(
    "attach.extended",
    Level.MANDATORY,
    "A volume grows under I/O",
    title_zh="挂载状态下在线扩容且不中断I/O",
    requirement="Extended on the array and refreshed on this machine, every path and the map have the new size; no request fails meanwhile.",
    needs=(*NEEDS, "online_extend"),
)
def test_extended(rig: Rig) -> None:
    rig.volume()
    with unchanged(), attached(rig) as made:
        with busy(made.path):
            rig.backend.extend_volume(rig.id("v"), 3 * GiB)
            grown = rig.backend.refresh_attachment(rig.id("v"), rig.protocol, rig.host)
        assert grown.path == made.path, f"the device was {made.path} and is {grown.path}"
        _is_whole(grown, made.wwn, 3 * GiB)
        with Device(grown.path) as disk:
            expect_zeros(disk, 2 * GiB, BLOCK, what="what was added")
            stamp(disk, "grown")
            expect_stamp(disk, "grown", what="the volume that grew")


@check(
    "attach.neighbours",
    Level.MANDATORY,
    "Volumes come and go without disturbing others",
    title_zh="挂载和卸载互不影响",
    requirement="Several volumes of one array are attached and detached, at the same time too, while another one is read and written.",
    needs=NEEDS,
)
def test_neighbours(rig: Rig) -> None:
    tags = ("v", "w", "x")
    for tag in tags:
        rig.volume(tag)
    with unchanged(), attached(rig, "v") as made:
        with busy(made.path):
            _all_at_once([lambda tag=tag: _through_once(rig, tag) for tag in tags[1:]])  # type: ignore[misc]
        with Device(made.path) as disk:
            stamp(disk, "v")
            expect_stamp(disk, "v", what="the volume that stayed")


@check(
    "attach.never_appears",
    Level.MANDATORY,
    "A LUN that never appears is an error in time",
    title_zh="LUN不可见时按时报错并完全回退",
    requirement="Exported to another initiator than this machine's, attaching fails with a clear error within its deadline, and nothing is left.",
    needs=NEEDS,
)
def test_never_appears(rig: Rig) -> None:
    rig.volume()
    with unchanged():
        started = time.monotonic()
        with expect.refused(AttachError, DeadlineExceeded, what="attaching a LUN that this machine cannot see"):
            rig.attach(host=_stranger(rig), timeout=_SHORT_SECONDS)
        took = time.monotonic() - started
        assert took < _SHORT_SECONDS + _TIDY_SECONDS, f"it took {took:.0f} s, and {_SHORT_SECONDS:g} s were allowed"
        exported = [export.host for export in rig.backend.list_exports(rig.id("v"))]
        assert not exported, f"the volume is still exported to {exported}"
    with attached(rig) as made:
        _is_whole(made, made.wwn, GiB)


@check(
    "attach.crash",
    Level.MANDATORY,
    "Attaching and detaching survive crashes",
    title_zh="挂载与卸载可承受任意时刻崩溃",
    requirement="Killed at any moment and called again by a new process, attach and detach converge: one right device, then none.",
    needs=NEEDS,
)
def test_crash(rig: Rig) -> None:
    rig.volume()
    attach = Call("attach", (rig.id("v"), rig.protocol, rig.track_host(rig.host)))
    detach = Call("detach", (rig.id("v"), rig.protocol, rig.host))
    with unchanged():
        for call in (attach, detach):
            whole = _timed(rig, call, attach if call is detach else detach)
            for kill in range(_KILLS):
                _cut(rig, call, whole * (kill + 0.5) / _KILLS)
                with Device(rig.attach().path) as disk:
                    expect_stamp(disk, "whole", what=f"the volume after a kill {kill} of {call.operation}")
                if kill % 2:
                    # The kill then meets a machine that has nothing of the volume, and one that has it.
                    rig.detach()
        rig.detach()


@check(
    "attach.path_lost",
    Level.STANDARD,
    "I/O goes on when a path is lost",
    title_zh="路径故障时I/O不中断",
    requirement="With multipath, a path is cut and healed under I/O and then the other one: no request fails, and both paths are used again.",
    needs=(*NEEDS, "multipath", "host_paths", "fault_control"),
)
def test_path_lost(rig: Rig) -> None:
    rig.volume()
    with unchanged(), attached(rig) as made:
        assert made.map, f"no multipath map was returned: {made}"
        for path in _paths(rig):
            with busy(made.path) as written:
                rig.control.set_path(path, up=False)
                written.go_on(3)
                rig.control.set_path(path, up=True)
                await_paths(made, len(made.paths))
                written.go_on(3)


@check(
    "attach.failover",
    Level.STANDARD,
    "I/O goes on when a controller is lost",
    title_zh="控制器故障时I/O不中断",
    requirement="With multipath, a controller and its ports are lost under I/O: no request fails, and the volume can be detached and attached.",
    needs=(*NEEDS, "multipath", "host_paths", "fault_control", "two_controllers"),
)
def test_failover(rig: Rig) -> None:
    rig.volume()
    with unchanged(), attached(rig) as made:
        with busy(made.path) as written:
            rig.control.fault("failover", count=1)
            rig.backend.system()
            written.go_on(3)
            rig.control.clear()
            await_paths(made, len(made.paths))
        with Device(made.path) as disk:
            stamp(disk, "over")
            expect_stamp(disk, "over", what="the volume after the controller came back")


@check(
    "attach.dead",
    Level.MANDATORY,
    "A volume whose paths are all dead is taken away in time",
    title_zh="全部路径失效时强制卸载不会挂起",
    requirement="With every path cut and a process waiting for its write, detaching is refused and names it; with force the write fails, and detaching ends "
    "in time and leaves nothing.",
    needs=(*NEEDS, "host_paths", "fault_control"),
)
def test_dead(rig: Rig) -> None:
    rig.volume()
    with unchanged():
        made = rig.attach()
        with Device(made.path) as disk:
            stamp(disk, "safe")
        for path in _paths(rig):
            rig.control.set_path(path, up=False)
        with writing(made.path) as writer:
            with expect.refused(InUse, what="detaching a volume that a process writes to", naming=f"process {writer.pid}"):
                rig.detach()
            started = time.monotonic()
            rig.detach(force=True)
            took = time.monotonic() - started
            assert took < PATH_SECONDS, f"the forced detach took {took:.0f} s"
            assert writer.wait(PATH_SECONDS) != 0, "the write that could not be carried out counted as one that was"
        rig.control.heal_paths()
        with attached(rig) as made, Device(made.path) as disk:
            expect_stamp(disk, "safe", what="the volume attached again")


# Helpers


def _is_whole(made: Attachment, wwn: str | None, size: int) -> None:
    """Insist that the device, its map and every path have this identity, by the kernel's own word, and this size."""
    names = [Path(made.path).name, *(Path(path.device).name for path in made.paths)]
    assert len(names) > 1, f"{made.path} has no path"
    for name in names:
        folder = Path("/sys/class/block") / name
        told = folder / ("dm/uuid" if name.startswith("dm-") else "device/wwid")
        assert told.read_text().strip().endswith(f"{wwn}"), f"{name} is {told.read_text().strip()}, and not {wwn}"
        found = int((folder / "size").read_text()) * 512
        assert found == size, f"{name} has {found} bytes, and not {size}"


def _paths(rig: Rig) -> list[str]:
    return [path for path in rig.control.paths() if (":" in path) == (rig.protocol is Protocol.ISCSI)]


def _stranger(rig: Rig) -> Host:
    """Return a host with the name of this check's and somebody else's initiators."""
    if rig.protocol is Protocol.ISCSI:
        return replace(rig.host, name=f"{rig.host.name}-stranger", iqn=_STRANGER)
    return replace(rig.other_host, name=f"{rig.host.name}-stranger")


def _through_once(rig: Rig, tag: str) -> None:
    with attached(rig, tag) as made, Device(made.path) as disk:
        stamp(disk, tag)
        expect_stamp(disk, tag, what=f"volume {tag}")


def _all_at_once(steps: list[Callable[[], None]]) -> None:
    errors: list[BaseException] = []

    def run(step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _timed(rig: Rig, call: Call, undo: Call) -> float:
    """Return how long a call takes in a process of its own; afterwards the volume is attached, and stamped."""
    if call.operation == "detach":
        rig.nursery.run(undo)
    started = time.monotonic()
    rig.nursery.run(call)
    took = time.monotonic() - started
    with Device(rig.attach().path) as disk:
        stamp(disk, "whole")
        disk.flush()
    if call.operation == "attach":
        rig.detach()
    return took


def _cut(rig: Rig, call: Call, seconds: float) -> None:
    """Kill a process that makes the call so many seconds after its beginning."""
    child = rig.nursery.child(call, warm=True)
    child.go()
    time.sleep(seconds)
    child.kill()
