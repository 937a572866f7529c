"""Backends on one server's files whose steps can be timed, and every order of the steps of calls that meet: a step is a look at a share, or a change of it."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from blockdrivers.backend import Backend
from blockdrivers.errors import BlockDriversError
from blockdrivers.model import Export, GiB, Host, Protocol, Snapshot, Volume
from tests.integration.nfs.lab import Shares
from tests.integration.test_netapp import Lab as Ontap
from tests.integration.test_one_id import named
from tests.integration.turns import Turns, hurry

HOST = Host("cmp01", addresses=("192.0.2.1",))
RACES = int(os.environ.get("ONE_ID_RACES", "40"))
CALLERS = ("first", "second", "third")
LONGEST = 60
"""More steps than any call takes, but for what is in each other's way."""
DEPTH = 14
"""So many steps are tried in every order; what is left then of calls that are in each other's way takes turns."""

Call = Callable[[Backend], object]
Choose = Callable[[int, Sequence[int]], int]
"""Says who of those that have not ended takes the step of that number."""


class Killed(BaseException):
    """A process ends in the middle of a call."""


class Lab:
    """Backends on two shares."""

    pools: tuple[str, str]
    folders: dict[str, Path]
    share: int
    """So much fewer orders are tried, since a step takes longer."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.home = self.a
        self.any = self.open("any")
        self.backends = {caller: self.open(caller) for caller in CALLERS}

    @property
    def a(self) -> str:
        return self.pools[0]

    @property
    def b(self) -> str:
        return self.pools[1]

    def open(self, caller: str) -> Backend:
        raise NotImplementedError

    def names(self, pool: str | None = None) -> list[str]:
        return sorted(entry.name for name in ([pool] if pool else self.pools) for entry in self.folders[name].iterdir())

    def path(self, pool: str, name: str = "bdvl-v") -> Path:
        return self.folders[pool] / name

    def where(self) -> list[str]:
        """Return the shares that have the volume's file."""
        return [pool for pool in self.pools if os.path.lexists(self.path(pool))]

    def write(self, array: Backend, data: bytes) -> None:
        """Write to the volume's file; for a moment, it may be away that is used just then."""
        for _ in range(LONGEST):
            with suppress(ValueError, FileNotFoundError):
                (pool,) = self.where()
                with self.path(pool).open("r+b") as file:
                    file.write(data)
                return
            array.get_volume("v")
        raise AssertionError(f"the volume is not there: {self.names()}")

    def read(self) -> bytes:
        """Return the first bytes of the volume's file."""
        (pool,) = self.where()
        with self.path(pool).open("rb") as file:
            return file.read(5)

    def run(self, calls: Sequence[Call], choose: Choose) -> list[object]:
        """Let calls take turns; return what each was told or refused with."""
        self.turns = Turns()
        outcomes: list[object] = [None] * len(calls)

        def run(number: int) -> None:
            try:
                outcomes[number] = calls[number](self.backends[CALLERS[number]])
            except BlockDriversError as refused:
                outcomes[number] = refused

        self.turns.take({CALLERS[number]: partial(run, number) for number in range(len(calls))}, choose)
        self.turns = Turns()
        return outcomes

    def race(
        self, *calls: Call, before: Callable[[], object] | None = None, depth: int = DEPTH
    ) -> Iterator[tuple[list[object], str]]:
        """Yield what the calls were told, for each order of their steps, and the order."""
        pending: list[list[int]] = [[]]
        chance = random.Random(len(calls))
        most = (8 * RACES // self.share or sys.maxsize) if len(calls) == 2 else (RACES // self.share or 1000)
        for number in count(1):
            if not pending or number > most:
                return
            prefix, taken = pending.pop(chance.randrange(len(pending))), []

            def choose(step: int, waiting: Sequence[int], prefix: list[int] = prefix, taken: list[int] = taken) -> int:
                if step < len(prefix):
                    chosen = prefix[step] if prefix[step] in waiting else waiting[0]
                elif len(calls) > 2:
                    chosen = chance.choice(waiting)
                else:
                    chosen = waiting[0] if step < depth else waiting[step % len(waiting)]
                    pending.extend([*taken, other] for other in waiting if other != chosen and step < depth)
                taken.append(chosen)
                return chosen

            self.begin()
            if before is not None:
                before()
            yield self.run(calls, choose), "".join(map(str, taken))
            self.end()
            if len(calls) > 2:
                pending.append([])

    def begin(self) -> None:
        self.any.create_volume("v", GiB, self.home)
        for backend in self.backends.values():
            backend.get_volume("v")

    def forget(self) -> None:
        """Let every backend look for the volume as if it had never seen it."""
        for backend in self.backends.values():
            backend.driver._places.forget("bdvl-v")

    def end(self) -> None:
        for pool in self.pools:
            for name in self.names(pool):
                self.path(pool, name).unlink()

    def killed(self, call: Call, steps: int) -> bool:
        """Let a process make a call that is killed before its step of that number; return whether it was."""
        left = [steps]

        class Counting(Turns):
            def step(self, caller: str) -> None:
                if caller == CALLERS[0]:
                    left[0] -= 1
                    if left[0] < 0:
                        raise Killed

        self.turns = Counting()
        try:
            call(self.backends[CALLERS[0]])
        except Killed:
            return True
        finally:
            self.turns = Turns()
        return False


class OnShares(Lab):
    """Mounted shares."""

    pools = ("a", "b")
    share = 1

    def __init__(self, stack: ExitStack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shares, self._monkeypatch = Shares(stack, folder, "3g"), monkeypatch
        self.folders = {name: folder / name for name in self.pools}
        super().__init__()

    def open(self, caller: str) -> Backend:
        backend = self._shares.open()
        for step in ("at", "slowly"):
            self._monkeypatch.setattr(backend.driver._mounts, step, self._gated(caller, getattr(backend.driver._mounts, step)))
        self._monkeypatch.setattr(backend.driver._files, "_named", partial(named, self, caller))
        return backend

    def _gated(self, caller: str, real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments, **more):
            self.turns.step(caller)
            return real(*arguments, **more)

        return step


class OnOntap(Lab):
    """FlexVols of a simulated array."""

    pools = ("pool_a", "pool_b")
    share = 2

    def __init__(self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ontap, self._monkeypatch = Ontap(stack, "AFF A300", pools=2, copy_seconds=0.0), monkeypatch
        self.folders = {name: self._ontap.array.family.files_folder / name for name in self.pools}
        super().__init__()

    def open(self, caller: str) -> Backend:
        backend = self._ontap.open(volumes="files")
        backend.pools()
        real = backend.driver._client._call

        def step(*arguments, **more):
            self.turns.step(caller)
            return real(*arguments, **more)

        self._monkeypatch.setattr(backend.driver._client, "_call", step)
        return backend


@pytest.fixture(params=["shares", "ontap"])
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    hurry(monkeypatch)
    with ExitStack() as stack:
        yield OnShares(stack, tmp_path, monkeypatch) if request.param == "shares" else OnOntap(stack, monkeypatch)


def told(outcome: object) -> bool:
    return not isinstance(outcome, BlockDriversError)


def export(array: Backend) -> Export:
    return array.export("v", HOST, Protocol.NFS)


def snapshot(array: Backend) -> Snapshot:
    return array.create_snapshot("s", "v")


def delete(array: Backend) -> None:
    array.delete_volume("v")


def give_up(array: Backend) -> Volume:
    return array.unmanage_volume("v", "old.img")


def notes(lab: Lab) -> list[str]:
    """Return what hangs on volumes."""
    return [name for name in lab.names() if "{" in name]
