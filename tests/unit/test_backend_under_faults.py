"""Backend over a complete small driver that fails at random: nothing is doubled, nothing is lost, every promise holds."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest
from example_array.driver import FileDriver, Options
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from blockdrivers import reconcile
from blockdrivers.backend import Backend
from blockdrivers.errors import AlreadyExists, Ambiguous, Busy, InUse, InvalidRequest, NotFound, NotSupported
from blockdrivers.model import Chap, GiB, Host, Protocol, Qos
from blockdrivers.operations import OperationRecord, Timeouts

HOST = Host("h1", iqn="iqn.1994-05.org.example:h1")
FAULTS = ("none", "none", "busy", "lost before", "lost after")


class Faulty:
    """Passes on; the next call of a changing method meets the next fault."""

    def __init__(self, driver):
        self._driver = driver
        self.next = "none"

    def __getattr__(self, name):
        found = getattr(self._driver, name)
        if not name.startswith(("create_", "extend_", "delete_", "clone_", "export", "unexport", "remove_", "set_")):
            return found

        def call(*arguments):
            fault, self.next = self.next, "none"
            if fault == "busy":
                raise Busy("busy")
            if fault == "lost before":
                raise Ambiguous("lost")
            answer = found(*arguments)
            if fault == "lost after":
                raise Ambiguous("lost")
            return answer

        return call


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(reconcile, "_FIRST_PAUSE", 0.0)


@pytest.fixture
def backend(tmp_path):
    with Backend(FileDriver(Options(path=tmp_path / "array.sqlite"), "file"), "file", timeouts=Timeouts(20, 20)) as opened:
        yield opened


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        reconcile._FIRST_PAUSE = 0.0
        self.folder = tempfile.TemporaryDirectory()
        options = Options(path=Path(self.folder.name) / "array.sqlite")
        self.driver = Faulty(FileDriver(options, "file"))
        self.backend = Backend(self.driver, "file", timeouts=Timeouts(20, 20))
        self.sizes: dict[str, int] = {}
        self.snapshots: dict[str, str] = {}
        self.exported: set[str] = set()

    names = st.sampled_from("abc")
    faults = st.sampled_from(FAULTS)

    @rule(name=names, size=st.integers(1, 3), fault=faults)
    def create(self, name, size, fault):
        self.driver.next = fault
        if self.sizes.get(name, size) == size:
            assert self.backend.create_volume(name, size * GiB, "pool_a").size == size * GiB
            self.sizes[name] = size
        else:
            with pytest.raises(AlreadyExists):
                self.backend.create_volume(name, size * GiB, "pool_a")
        self.driver.next = "none"

    @rule(name=names, fault=faults)
    def delete(self, name, fault):
        self.driver.next = fault
        if name in self.exported or name in self.snapshots.values():
            with pytest.raises(InUse):
                self.backend.delete_volume(name)
        else:
            self.backend.delete_volume(name)
            self.sizes.pop(name, None)
        self.driver.next = "none"

    @rule(name=names, fault=faults)
    def extend(self, name, fault):
        if name in self.sizes:
            self.driver.next = fault
            self.sizes[name] += 1
            assert self.backend.extend_volume(name, self.sizes[name] * GiB).size == self.sizes[name] * GiB
            self.driver.next = "none"

    @rule(name=names, snapshot=st.sampled_from("st"), fault=faults)
    def snapshot(self, name, snapshot, fault):
        if name not in self.sizes:
            return
        self.driver.next = fault
        if self.snapshots.get(snapshot, name) == name:
            self.backend.create_snapshot(snapshot, name)
            self.snapshots[snapshot] = name
        else:
            with pytest.raises(AlreadyExists):
                self.backend.create_snapshot(snapshot, name)
        self.driver.next = "none"

    @rule(snapshot=st.sampled_from("st"), fault=faults)
    def delete_snapshot(self, snapshot, fault):
        self.driver.next = fault
        self.backend.delete_snapshot(snapshot)
        self.snapshots.pop(snapshot, None)
        self.driver.next = "none"

    @rule(name=names, fault=faults)
    def export(self, name, fault):
        if name in self.sizes:
            self.driver.next = fault
            first = self.backend.export(name, HOST, Protocol.ISCSI)
            assert self.backend.export(name, HOST, Protocol.ISCSI) == first
            self.exported.add(name)
            self.driver.next = "none"

    @rule(name=names, fault=faults)
    def unexport(self, name, fault):
        self.driver.next = fault
        self.backend.unexport(name, HOST, Protocol.ISCSI)
        self.exported.discard(name)
        self.driver.next = "none"

    @invariant()
    def agrees(self):
        assert {item.volume_id: item.size for item in self.backend.list_volumes(foreign=True)} == {
            name: size * GiB for name, size in self.sizes.items()
        }
        assert {item.snapshot_id: item.volume_id for item in self.backend.list_snapshots(foreign=True)} == self.snapshots
        assert {name for name in self.sizes if self.backend.list_exports(name)} == self.exported

    def teardown(self):
        self.folder.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def test_threads_that_want_one_volume_get_one(backend):
    made = []
    threads = [threading.Thread(target=lambda: made.append(backend.create_volume("a", GiB, "pool_a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert len(made) == 8


def test_bad_arguments_are_refused_before_the_driver_is_asked(tmp_path):
    class Untouched(FileDriver):
        @property
        def _array(self):
            raise AssertionError("the array was asked")

    backend = Backend(Untouched(Options(path=tmp_path / "none"), "file"), "file")
    refused = [
        (InvalidRequest, lambda: backend.create_volume("a", 0, "pool_a")),
        (InvalidRequest, lambda: backend.create_volume("a", True, "pool_a")),
        (InvalidRequest, lambda: backend.create_volume("a", 10**9, "pool_a")),
        (InvalidRequest, lambda: backend.create_volume("", GiB, "pool_a")),
        (InvalidRequest, lambda: backend.export("a", Host("h"), Protocol.ISCSI)),
        (InvalidRequest, lambda: backend.export("a", Host("h", wwpns=("zz",)), Protocol.FC)),
        (InvalidRequest, lambda: backend.export("a", Host("h", iqn="iqn.bad name"), Protocol.ISCSI)),
        (NotSupported, lambda: backend.export("a", HOST, Protocol.NFS)),
        (InvalidRequest, lambda: backend.export("a", Host("h", iqn=HOST.iqn, chap=Chap("u", "short")), Protocol.ISCSI)),
        (NotSupported, lambda: backend.set_qos("a", Qos(min_iops=1))),
        (InvalidRequest, lambda: backend.set_qos("a", Qos(total_iops=0))),
        (InvalidRequest, lambda: backend.create_group_snapshot({})),
        (InvalidRequest, lambda: backend.create_group_snapshot({"a": "s", "b": "s"})),
        (InvalidRequest, lambda: backend.unmanage_volume("a", "bdvl-a")),
        (InvalidRequest, lambda: backend.unmanage_volume("a", "x; reboot")),
    ]
    for kind, call in refused:
        with pytest.raises(kind):
            call()


def test_every_operation_is_observed_and_logged_once(tmp_path, caplog):
    seen: list[OperationRecord] = []
    backend = Backend(FileDriver(Options(path=tmp_path / "array.sqlite"), "file"), "hall", observer=seen.append)
    with caplog.at_level("INFO"):
        backend.create_volume("a", GiB, "pool_a")
        with pytest.raises(NotFound) as error:
            backend.get_volume("b")
    assert [(item.operation, item.subject, type(item.error)) for item in seen] == [
        ("create_volume", "a", type(None)),
        ("get_volume", "b", NotFound),
    ]
    assert error.value.array == "hall"
    assert [record.outcome for record in caplog.records if hasattr(record, "outcome")] == ["ok", "NotFound"]
