"""Arrays that do one deliberate wrong to their users' bytes: each is caught by the check of bytes that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockdrivers.model import Protocol
from blockdrivers.plugins import find_model
from conformance import runner
from conformance.outcome import Result
from conformance.simulation.iscsi.plane import IscsiPlane
from conformance.simulation.opening import BACKEND, write_config
from conformance.simulation.server import SimulatedArray
from conformance.target import Target
from tests.suite.test_saboteurs import HOSTS, MODEL
from vendors.huawei.simulator import build

MiB = 1024**2


class PortalsDiffer(IscsiPlane):
    """What is written through one portal is not there at the other."""

    def _serve_host(self, host, accesses):
        super()._serve_host(host, accesses)
        for access in accesses:
            own = self._files.path(access.wwn).with_suffix(".second")
            own.touch()
            own.open("r+b").truncate(self._files.size(access.wwn))
            where = ("logicalunit", "update", "--tid", "2", "--lun", str(access.lun), "--params")
            self._targets[host]._admin(*where, "online=0")
            self._targets[host]._admin(*where, f"path={own},online=1")


class SnapshotsFollow(IscsiPlane):
    """A snapshot is its volume under another name."""

    def snapshot(self, pairs):
        for volume, snapshot in pairs:
            self._files.path(snapshot).symlink_to(self._files.path(volume))


class ClonesShare(IscsiPlane):
    """A clone and its source are one file."""

    def snapshot(self, pairs):
        for volume, snapshot in pairs:
            self._files.path(snapshot).hardlink_to(self._files.path(volume))

    def copy(self, source, target):
        shared = self._files.path(source).resolve()
        with shared.open("r+b") as file:
            file.truncate(max(shared.stat().st_size, self._files.size(target)))
        self._files.path(target).unlink()
        self._files.path(target).hardlink_to(shared)


class ClonesAreEmpty(IscsiPlane):
    """A clone gets no bytes."""

    def copy(self, source, target):
        pass


class RevertsAddOnly(IscsiPlane):
    """A revert leaves what was written where the snapshot had zeros."""

    def copy(self, source, target):
        path = self._files.path(target)
        with self._files.path(source).open("rb") as origin, path.open("r+b") as kept:
            while chunk := origin.read(MiB):
                if any(chunk):
                    kept.write(chunk)
                else:
                    kept.seek(len(chunk), 1)


class GrowsWithRubbish(IscsiPlane):
    """What an extend adds holds somebody's old bytes."""

    def resize(self, wwn, size):
        before = self._files.size(wwn)
        super().resize(wwn, size)
        with self._files.path(wwn).open("r+b") as file:
            file.seek(before)
            file.write(b"old" * 1000)


class GrowsOnPaperOnly(IscsiPlane):
    """Hosts never see what an extend added."""

    def resize(self, wwn, size):
        pass


class UsesBytesAgain(IscsiPlane):
    """A new volume gets the blocks of a deleted one."""

    old = None

    def delete(self, wwn):
        self.old = self._files.path(wwn).with_suffix(".old")
        self._files.path(wwn).rename(self.old)

    def create(self, wwn, size):
        super().create(wwn, size)
        if self.old is not None and self.old.stat().st_size == size:
            self.old.rename(self._files.path(wwn))
            self.old = None


class LetsEverybodyIn(IscsiPlane):
    """An initiator that it does not know is shown the first host's LUNs."""

    def _route(self, ip, initiator):
        known = super()._route(ip, initiator)
        ports = [running.port for running in self._targets.values()]
        return known or (ports[0] if ports else None)

    def _serve_host(self, host, accesses):
        super()._serve_host(host, accesses)
        for number in self._targets[host]._targets:
            self._targets[host]._admin("target", "bind", "--tid", str(number), "--initiator-address", "ALL")


class AsksForNoSecret(IscsiPlane):
    """CHAP is set and not demanded."""

    def _serve_host(self, host, accesses):
        from dataclasses import replace

        super()._serve_host(host, [replace(access, chap=None) for access in accesses])


class NeverTakesAway(IscsiPlane):
    """What was shown once is shown for ever."""

    def serve(self, accesses):
        shown = {(access.host, access.wwn): access for access in self._accesses} | {(a.host, a.wwn): a for a in accesses}
        super().serve(list(shown.values()))


class EachHostItsOwn(IscsiPlane):
    """A host that opens a shared volume gets a copy of it."""

    def _serve_host(self, host, accesses):
        from conformance.simulation.iscsi.target import Unit

        super()._serve_host(host, accesses)
        for access in accesses:
            own = self._files.path(access.wwn).with_suffix(f".{host}")
            if not own.exists():
                own.write_bytes(b"")
                own.open("r+b").truncate(self._files.size(access.wwn))
            self._targets[host].show(access.lun, Unit(own, access.wwn, "HUAWEI", "XSG1"))


class MovesEmpty(IscsiPlane):
    """A move forgets to copy."""

    def exchange(self, first, second):
        self.delete(second)
        self.create(second, self._files.size(first))
        super().exchange(first, second)


class MovesTheSizeOnly(MovesEmpty):
    """A move of an unused volume forgets to copy."""


class GroupsFallApart(IscsiPlane):
    """Only the first snapshot of a group is of the group's moment."""

    def snapshot(self, pairs):
        super().snapshot(pairs[:1])
        for volume, snapshot in pairs[1:]:
            self._files.create(snapshot, self._files.size(volume))


class SnapshotsOfTheFirstGiB(IscsiPlane):
    """A snapshot of a grown volume has only what the volume had at first."""

    def snapshot(self, pairs):
        super().snapshot(pairs)
        for _, snapshot in pairs:
            size = self._files.size(snapshot)
            self._files.resize(snapshot, 1024 * MiB)
            self._files.resize(snapshot, size)


class LosesTheCache(IscsiPlane):
    """A lost controller takes with it what was written last."""

    def set_down(self, controllers):
        if controllers and not self._down:
            for access in self._accesses:
                with self._files.path(access.wwn).open("r+b") as file:
                    file.write(bytes(4096))
        super().set_down(controllers)


CAUGHT_BY = {
    PortalsDiffer: "data.written",
    SnapshotsFollow: "data.snapshot",
    ClonesShare: "data.clone",
    ClonesAreEmpty: "data.clone",
    RevertsAddOnly: "data.revert",
    GrowsWithRubbish: "data.extend",
    GrowsOnPaperOnly: "data.extend",
    UsesBytesAgain: "data.deleted",
    LetsEverybodyIn: "data.initiator",
    AsksForNoSecret: "data.chap",
    NeverTakesAway: "data.unexport",
    EachHostItsOwn: "data.shared",
    MovesEmpty: "data.retype",
    MovesTheSizeOnly: "data.moved",
    GroupsFallApart: "data.group",
    SnapshotsOfTheFirstGiB: "data.sequences",
    LosesTheCache: "data.failover",
}


def outcome(kind: type[IscsiPlane], check: str, tmp_path: Path) -> runner.Outcome:
    plane = kind()
    family = build(MODEL, copy_seconds=0.05, data_plane=plane, portals=plane.addresses)
    with SimulatedArray(family, plane=plane) as array:
        config = write_config(tmp_path, find_model(MODEL), array.ready)
        target = Target(config, BACKEND, Protocol.ISCSI, "pool_a", "pool_b", HOSTS, array.ready["control"], MODEL)
        (found,) = runner.run(target, select=check)
        return found


@pytest.mark.parametrize("kind", CAUGHT_BY, ids=lambda kind: kind.__name__)
def test_a_wrong_done_to_bytes_is_caught_by_the_check_that_names_it(kind, tmp_path):
    found = outcome(kind, CAUGHT_BY[kind], tmp_path)
    assert found.result is Result.FAILED, f"{kind.__doc__} {found}"
    assert any(word in found.detail for word in ("bytes", "open", "host", "model")), found.detail


@pytest.mark.parametrize("check", sorted(set(CAUGHT_BY.values())))
def test_the_honest_array_passes(check, tmp_path):
    found = outcome(IscsiPlane, check, tmp_path)
    assert found.result is Result.PASSED, found.detail
