"""An array that tells little: what callers have to say instead, and what is refused because nobody could answer it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from blockdrivers import checks
from blockdrivers.backend import Backend
from blockdrivers.cli.diagnosis import Status, examine
from blockdrivers.driver import Capabilities, ChapRules
from blockdrivers.errors import AlreadyExists, Ambiguous, InUse, InvalidRequest, NotFound, NotSupported
from blockdrivers.model import Chap, Export, GiB, Health, Host, Protocol, Snapshot, SnapshotRef, SystemFacts, Volume
from blockdrivers.operations import Timeouts

HOST = Host("h", iqn="iqn.1994-05.org.example:h")
TELLING = Capabilities(protocols=frozenset({Protocol.ISCSI}), revert=True, manage=True)
RETICENT = replace(
    TELLING,
    list_objects=False,
    find_snapshots=False,
    list_exports=False,
    host_objects=False,
    tells_wwn=False,
    serial_clones=True,
    thin_pools=frozenset({"thin"}),
)


class Array:
    """Writes down what it is asked."""

    def __init__(self, capabilities=RETICENT):
        self.capabilities = capabilities
        self.asked = []
        self.raising = []
        self.cloning = 0
        self.most_clones = 0
        self.crowd, self.patience = 1, 0.0
        self.there = set()
        self.changed = threading.Condition()

    def _note(self, *what):
        self.asked.append(what)
        if self.raising:
            raise self.raising.pop(0)

    def get_volume(self, name):
        return Volume(name, name, 2 * GiB, "thin", None, thin=True)

    def create_volume(self, spec):
        self._note("create_volume", spec.pool, spec.thin)
        return Volume(spec.name, spec.name, spec.size, spec.pool, None, spec.thin)

    def create_snapshot(self, spec):
        self._note("create_snapshot", spec.source.name, spec.name)
        return Snapshot(spec.name, spec.name, None, spec.source.name, spec.source.name)

    def get_snapshot(self, name):
        self._note("get_snapshot", name)
        return Snapshot("7", name, 2 * GiB, "bdvl-w", "bdvl-w")

    def look_up_volume(self, name):
        return self.get_volume(name)

    def look_up_snapshot(self, name):
        return self.get_snapshot(name)

    recall_snapshot = look_up_snapshot

    def delete_snapshot(self, snapshot):
        self._note("delete_snapshot", snapshot.source_name, snapshot.name)

    def rename_snapshot(self, snapshot, name, description):
        self._note("rename_snapshot", snapshot.source_name, snapshot.name, name)
        return snapshot

    def has_snapshot(self, snapshot):
        self._note("has_snapshot", snapshot.volume, snapshot.name)
        return snapshot.name in self.there

    def revert_volume(self, volume, snapshot):
        self._note("revert_volume", volume.name, snapshot.name)

    def delete_named(self, name, temporary, *, force):
        self._note("delete_named", name, temporary, force)

    def unexport_initiators(self, source, host, protocol):
        self._note("unexport_initiators", source.name, host.iqn, protocol)

    def clone_volume(self, source, spec, temporary):
        with self.changed:
            self.cloning += 1
            self.most_clones = max(self.most_clones, self.cloning)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most_clones >= self.crowd, self.patience)
            self.cloning -= 1
        self._note("clone_volume", source, spec.size, spec.source_size)
        return Volume(spec.name, spec.name, spec.size, spec.pool, None, spec.thin)

    def close(self): ...


@pytest.fixture
def array():
    return Array()


@pytest.fixture
def backend(array):
    with Backend(array, "reticent", timeouts=Timeouts(5, 5)) as opened:
        yield opened


# Snapshots


def test_a_snapshot_is_named_by_both_ids(array, backend):
    backend.create_snapshot("s", "v")
    backend.create_snapshot("s", "w")
    backend.create_snapshot("v", "s")
    names = [name for _, _, name in array.asked]
    assert len(set(names)) == 3
    backend.delete_snapshot("s", of_volume="v")
    backend.revert_volume("w", "s")
    assert array.asked[3:] == [("delete_snapshot", "bdvl-v", names[0]), ("revert_volume", "bdvl-w", names[1])]


def test_a_snapshot_that_is_there_is_the_one_that_was_asked_for(array, backend):
    array.raising = [Ambiguous("lost"), AlreadyExists("taken")]
    taken = backend.create_snapshot("s", "v")
    assert (taken.snapshot_id, taken.volume_id, taken.size, taken.source_name) == ("s", "v", None, "bdvl-v")
    assert [what for what, *_ in array.asked] == ["create_snapshot"] * 2


@pytest.mark.parametrize(
    "call",
    [
        lambda backend: backend.delete_snapshot("s"),
        lambda backend: backend.create_volume_from_snapshot("c", "s", pool="thin"),
        lambda backend: backend.delete_snapshot("s", of_volume="a\nb"),
    ],
)
def test_without_its_volume_nothing_is_touched(array, backend, call):
    with pytest.raises(InvalidRequest):
        call(backend)
    assert array.asked == []


def test_a_volume_from_a_snapshot_is_as_large_as_its_volume(array, backend):
    made = backend.create_volume_from_snapshot("c", "s", pool="thin", of_volume="v")
    assert made.size == 2 * GiB
    with pytest.raises(InvalidRequest, match=str(GiB)):
        backend.create_volume_from_snapshot("d", "s", pool="thin", of_volume="v", size=GiB)
    ((_, source, size, source_size),) = array.asked
    assert isinstance(source, SnapshotRef)
    assert (source.volume, size, source_size) == ("bdvl-v", 2 * GiB, 2 * GiB)


def test_an_array_that_can_look_is_asked_whose_a_snapshot_is():
    array = Array(TELLING)
    with Backend(array, "telling") as backend:
        with pytest.raises(InvalidRequest, match="bdvl-w"):
            backend.delete_snapshot("s", of_volume="v")
        backend.delete_snapshot("s", of_volume="w")
    assert array.asked[-1] == ("delete_snapshot", "bdvl-w", "bdsl-s")


def test_a_snapshot_that_is_found_within_its_volume_changes_hands():
    array = Array(replace(RETICENT, find_in_volume=True))
    with Backend(array, "within", timeouts=Timeouts(5, 5)) as backend:
        managed = backend.manage_snapshot("s", "v", "theirs")
        ours = array.asked[-1][-1]
        assert array.asked == [("rename_snapshot", "bdvl-v", "theirs", ours)]
        assert (managed.name, managed.snapshot_id, managed.volume_id) == (ours, "s", "v")
        array.raising, array.there = [NotFound("gone")], {ours}
        assert backend.manage_snapshot("s", "v", "theirs") == managed
        array.raising, array.there = [NotFound("gone")], set()
        with pytest.raises(NotFound):
            backend.manage_snapshot("s", "v", "theirs")
        with pytest.raises(InvalidRequest, match="managed by this library"):
            backend.manage_snapshot("s", "v", "bdsl-s")
        with pytest.raises(InvalidRequest, match="of_volume"):
            backend.unmanage_snapshot("s", "legacy")
        given = backend.unmanage_snapshot("s", "legacy", of_volume="v")
    assert array.asked[-1] == ("rename_snapshot", "bdvl-v", ours, "legacy")
    assert (given.name, given.snapshot_id) == ("legacy", None)


# What cannot be told


@pytest.mark.parametrize(
    "call",
    [
        lambda backend: backend.list_volumes(),
        lambda backend: backend.list_snapshots(),
        lambda backend: backend.get_snapshot("s"),
        lambda backend: backend.list_exports("v"),
        lambda backend: backend.sweep(),
        lambda backend: backend.manage_snapshot("s", "v", "theirs"),
        lambda backend: backend.unmanage_snapshot("s", "legacy", of_volume="v"),
    ],
)
def test_what_cannot_be_told_is_refused(array, backend, call):
    with pytest.raises(NotSupported):
        call(backend)
    assert array.asked == []


def test_a_device_that_nothing_would_prove_is_not_attached(array, backend, monkeypatch):
    monkeypatch.setattr("blockdrivers.host.brick.require_root", lambda: None)
    with pytest.raises(NotSupported, match="identity"):
        backend.attach("v", Protocol.ISCSI, HOST)
    assert array.asked == []


# Deletes, exports, pools, clones


def test_a_delete_is_one_request_and_its_refusal_names_the_id(array, backend):
    backend.delete_volume("v")
    array.raising = [NotFound("gone")]
    backend.delete_volume("v", force=True)
    array.raising = [InUse("The array keeps it.")]
    with pytest.raises(InUse, match=r"'v' was not deleted.*keeps it"):
        backend.delete_volume("v")
    assert array.asked[:2] == [("delete_named", "bdvl-v", "bdtl-v", False), ("delete_named", "bdvl-v", "bdtl-v", True)]


def test_initiators_have_to_be_named(array, backend):
    with pytest.raises(InvalidRequest, match="initiators of 'h'"):
        backend.unexport("v", "h", Protocol.ISCSI)
    with pytest.raises(InvalidRequest, match="qualified name"):
        backend.unexport("v", Host("h"), Protocol.ISCSI)
    backend.unexport("v", HOST, Protocol.ISCSI)
    backend.remove_host("h")
    assert array.asked == [("unexport_initiators", "bdvl-v", HOST.iqn, Protocol.ISCSI)]


def test_credentials_that_the_array_chooses_come_with_the_export_and_the_caller_s_own_go_before(array, backend, monkeypatch):
    theirs, ours = Chap("array", "secret-secret-1"), Chap("host", "secret-secret-2")
    made = Export("bdvl-v", "h", Protocol.ISCSI, 1, chap=theirs)
    monkeypatch.setattr(array, "export", lambda *_: made, raising=False)
    assert backend.export("v", HOST, Protocol.ISCSI).chap == theirs
    monkeypatch.setattr(array, "capabilities", replace(RETICENT, chap=ChapRules()))
    assert backend.export("v", replace(HOST, chap=ours), Protocol.ISCSI).chap == ours


def test_doctor_does_not_take_silence_about_ports_for_their_absence(array, backend, monkeypatch):
    facts = SystemFacts("vendor", "model", "serial", "name", "firmware", health=Health.NORMAL)
    for method, answer in {"system": facts, "licences": {}, "pools": (), "ports": (), "initiators": ()}.items():
        monkeypatch.setattr(array, method, lambda answer=answer: answer, raising=False)
    assert _said_of_ports(backend) == {Status.WARN}
    monkeypatch.setattr(array, "capabilities", replace(RETICENT, tells_ports=False))
    assert _said_of_ports(backend) == {Status.UNKNOWN}


def _said_of_ports(backend):
    return {finding.status for finding in examine(backend) if finding.check == "ports"}


def test_provisioning_is_the_pool_s(array, backend):
    assert backend.create_volume("a", GiB, "thin").thin
    assert not backend.create_volume("b", GiB, "thick").thin
    with pytest.raises(NotSupported, match="'thick'"):
        backend.create_volume("c", GiB, "thick", thin=True)
    assert not checks.provisioning(None, RETICENT, "thick")


@pytest.mark.parametrize(
    ("capabilities", "most", "patience"), [(RETICENT, 1, 0.05), (replace(RETICENT, serial_clones=False), 4, 20)]
)
def test_one_clone_of_a_source_at_a_time_where_the_array_makes_no_more(capabilities, most, patience):
    array = Array(capabilities)
    with Backend(array, "cloning", timeouts=Timeouts(60, 60)) as backend, ThreadPoolExecutor(4) as pool:
        array.crowd, array.patience = 4, patience
        list(pool.map(lambda number: backend.clone_volume(f"c{number}", "v"), range(4)))
        assert array.most_clones == most
        array.patience = 20
        list(pool.map(lambda number: backend.clone_volume(f"d{number}", f"v{number}"), range(4)))
    assert array.most_clones == 4
