"""One id that several callers ask for in several pools at once, where names are kept apart within a pool only: every order of their steps.

Three callers take turns at each of their requests (for shares that are mounted: at each look and each change): each takes some steps, and
then each comes to its end, in whatever order. Who is told of a volume is told of the one that stands at the end, and nothing else is left.
``ONE_ID_RACES`` in the environment says how many of the orders are tried, all of them where it is 0.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import permutations, product

import pytest

from blockdrivers.backend import Backend
from blockdrivers.errors import AlreadyExists
from blockdrivers.model import GiB, Volume
from tests.integration.nfs.lab import Shares
from tests.integration.test_netapp import Lab as Ontap
from tests.integration.turns import Turns, hurry
from vendors.netapp.simulator import luns

CALLERS = ("first", "second", "other")
"""Two ask for the volume in one pool, the last one for it in another."""
MOST = 7
"""One more than the steps that a caller takes before others are let in."""
RACES = int(os.environ.get("ONE_ID_RACES", "40"))
ALL = 20
KNOWN = (
    # One is kept by another call, and its maker sees a third one that is taken back.
    (CALLERS, (1, ALL, 1), CALLERS),
    # Both makers see each other, and a third call finds one of them.
    (("first", "other", "second"), (1, 1, 2), CALLERS),
    # A draft that has looked is taken away before it is published.
    (("other", "first", "second"), (3, 2, 0), ("second", "other", "first")),
)
"""Orders in which something went wrong once, or nearly did."""


class Lab:
    """Three backends on one array of two pools, whose steps can be timed, and a source to copy from."""

    def __init__(self, backends: dict[str, Backend], pools: tuple[str, str]) -> None:
        self.backends, self.pools = backends, pools
        self.turns = Turns()
        self._any = backends["first"]
        self._any.create_volume("source", GiB, pools[0])
        self._any.create_snapshot("s", "source")
        for backend in backends.values():
            backend.pools()
            backend.get_volume("source")

    def gate(self, what: object, *names: str, caller: str) -> None:
        for name in names:
            real = getattr(what, name)

            def gated(*arguments, real=real, **more):
                self.turns.step(caller)
                return real(*arguments, **more)

            setattr(what, name, gated)

    def make(self, operation: str, caller: str) -> Volume:
        backend, pool = self.backends[caller], self.pools[caller == "other"]
        if operation == "create":
            return backend.create_volume("v", GiB, pool)
        if operation == "clone":
            return backend.clone_volume("v", "source", pool=pool)
        return backend.create_volume_from_snapshot("v", "s", pool=pool)

    def race(self, operation: str, order: tuple[str, ...], steps: tuple[int, ...], ending: tuple[str, ...]) -> None:
        """Let each caller take its steps, in that order, and then each come to its end, in that one."""
        self.turns = turns = Turns()
        told: dict[str, Volume] = {}
        refused: dict[str, AlreadyExists] = {}

        def call(caller: str) -> None:
            try:
                told[caller] = self.make(operation, caller)
            except AlreadyExists as taken:
                refused[caller] = taken

        threads = [turns.begin(caller, lambda caller=caller: call(caller)) for caller in order]
        for caller, count in zip(order, steps, strict=True):
            turns.let(caller, count)
        # One may wait for another one: none is let on for ever.
        waiting = list(ending)
        while waiting:
            waiting = [caller for caller in waiting if not turns.let(caller, ALL)]
        for thread in threads:
            thread.join(60)
        turns._may.clear()
        self.judge(told, refused, f"{operation}: {dict(zip(order, steps, strict=True))}, then {ending}")

    def judge(self, told: dict[str, Volume], refused: dict[str, AlreadyExists], what: str) -> None:
        assert {*told, *refused} == set(CALLERS), f"{what}: only {[*told, *refused]} ended well"
        there = self._any.get_volume("v")
        assert {volume.id for volume in told.values()} == {there.id}, f"{what}: told {told}, and there is {there}"
        for caller, error in refused.items():
            said = {key: found for key, (_, found) in error.differences.items()}
            assert said == {"pool": there.pool}, f"{what}: {caller} was told {error}, and there is {there}"
        assert sorted(volume.name for volume in self._any.list_volumes()) == ["bdvl-source", "bdvl-v"], what
        left = list(self._any.sweep())
        assert not left, f"{what}: {left} is left"
        self._any.delete_volume("v")


@contextmanager
def on_ontap(**options) -> Iterator[Lab]:
    with ExitStack() as stack:
        started = Ontap(stack, "AFF A300", pools=2, copy_seconds=0.0)
        lab = Lab({caller: started.open(**options) for caller in CALLERS}, ("pool_a", "pool_b"))
        for caller, backend in lab.backends.items():
            lab.gate(backend.driver._client, "_call", caller=caller)
        yield lab


def named(lab: Lab, caller: str, folder: int, helper: str, name: str) -> bool:
    """What `SharedFiles` does, with a step between the two."""
    os.link(helper, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    lab.turns.step(caller)
    with suppress(FileNotFoundError):
        os.unlink(helper, dir_fd=folder)
        return True
    return False


@contextmanager
def on_shares(folder, monkeypatch) -> Iterator[Lab]:
    with ExitStack() as stack:
        started = Shares(stack, folder, "64m")
        lab = Lab({caller: started.open() for caller in CALLERS}, ("a", "b"))
        for caller, backend in lab.backends.items():
            lab.gate(backend.driver._mounts, "at", "slowly", caller=caller)
            monkeypatch.setattr(backend.driver._files, "_named", partial(named, lab, caller))
        yield lab


@pytest.fixture(params=["luns", "luns-of-one-second", "files", "shares"])
def lab(request, tmp_path, monkeypatch):
    hurry(monkeypatch)
    if request.param == "luns-of-one-second":
        monkeypatch.setattr(luns, "now_text", lambda: "2026-11-28T12:00:00+00:00")
    kinds = {
        "luns": on_ontap,
        "luns-of-one-second": on_ontap,
        "files": lambda: on_ontap(volumes="files"),
        "shares": lambda: on_shares(tmp_path, monkeypatch),
    }
    with kinds[request.param]() as found:
        yield found


@pytest.mark.parametrize("operation", ["create", "clone", "from_snapshot"])
def test_whoever_is_told_of_a_volume_is_told_of_the_one_that_stays(lab, operation):
    races = list(product(permutations(CALLERS), product(range(MOST), repeat=3), permutations(CALLERS)))
    for order, steps, ending in [*KNOWN, *random.Random(operation).sample(races, RACES or len(races))]:
        lab.race(operation, order, steps, ending)
