"""What another process may do between two requests of an operation of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from example_array.driver import FileDriver, Options

from blockdrivers import reconcile
from blockdrivers.backend import Backend
from blockdrivers.errors import Busy, NotFound
from blockdrivers.model import GiB, Host, Leftover, Protocol

HOST = Host("h1", iqn="iqn.1994-05.org.example:h1")


class Raced(FileDriver):
    """Calls `meanwhile` once, just before a method of that name."""

    def __init__(self, options):
        super().__init__(options, "file")
        self.before: dict[str, Callable[[], object]] = {}

    def __getattribute__(self, name):
        if not name.startswith("_") and name != "before" and (meanwhile := self.before.pop(name, None)):
            meanwhile()
        return super().__getattribute__(name)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(reconcile, "_FIRST_PAUSE", 0.0)


@pytest.fixture
def driver(tmp_path):
    return Raced(Options(path=tmp_path / "array.sqlite"))


@pytest.fixture
def backend(driver):
    with Backend(driver, "file") as opened:
        yield opened


@pytest.fixture
def other(tmp_path):
    """Return the backend of another process."""
    with Backend(FileDriver(Options(path=tmp_path / "array.sqlite"), "file"), "file") as opened:
        yield opened


def test_a_forced_delete_goes_on_where_somebody_else_unexported(backend, driver, other):
    backend.create_volume("a", GiB, "pool_a")
    backend.export("a", HOST, Protocol.ISCSI)
    driver.before["unexport"] = lambda: other.unexport("a", HOST, Protocol.ISCSI)
    backend.delete_volume("a", force=True)
    assert backend.list_volumes() == []


def test_a_volume_deleted_meanwhile_counts_as_deleted(backend, driver, other):
    for method in ("delete_volume", "list_exports"):
        backend.create_volume("a", GiB, "pool_a")
        backend.export("a", HOST, Protocol.ISCSI)
        driver.before[method] = lambda: other.delete_volume("a", force=True)
        backend.delete_volume("a", force=True)
        assert backend.list_volumes() == []


def test_a_volume_made_again_meanwhile_under_the_same_array_id_is_not_snapshotted_for_the_old_one(backend, other):
    first = backend.create_volume("a", GiB, "pool_a")
    other.delete_volume("a")
    assert other.create_volume("b", GiB, "pool_a").id == first.id
    with pytest.raises(NotFound):
        backend.create_snapshot("s", "a")
    assert backend.list_snapshots() == []


def test_an_extension_that_came_first_is_not_taken_back(backend, driver, other):
    backend.create_volume("a", GiB, "pool_a")
    driver.before["extend_volume"] = lambda: other.extend_volume("a", 5 * GiB)
    with pytest.raises(Exception, match="shrink"):
        backend.extend_volume("a", 3 * GiB)
    assert backend.get_volume("a").size == 5 * GiB


def test_a_sweep_asks_a_busy_array_again(backend, driver):
    found = Leftover("host", "7", "bdhl-x", "its first export was cut off")
    answers = iter([Busy("busy"), Busy("busy")])
    removed = []

    def leftovers():
        if (error := next(answers, None)) is not None:
            raise error
        return [found]

    driver.leftovers, driver.remove_leftover = leftovers, removed.append
    assert backend.sweep() == [found]
    assert removed == []
    assert backend.sweep(remove=True) == [found]
    assert removed == [found]


def test_a_leftover_that_went_meanwhile_is_gone(backend, driver):
    def remove(leftover):
        raise NotFound("gone")

    driver.leftovers, driver.remove_leftover = lambda: [Leftover("host", "7", "bdhl-x", "cut off")] * 2, remove
    assert len(backend.sweep(remove=True)) == 2
