"""The MacroSAN driver against the simulated array over its own interface: what the suite cannot ask for, because it is this array's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.counted import opened, sent
from benchmarks.macrosan import MODEL, POOL, rows, warm_up
from blockdrivers.backend import Backend
from blockdrivers.driver import Capabilities
from blockdrivers.errors import (
    AlreadyExists,
    Busy,
    DeadlineExceeded,
    InUse,
    InvalidRequest,
    LimitReached,
    LoginRefused,
    NotFound,
    NotSupported,
    OutOfSpace,
    ProtocolError,
    Unreachable,
    VendorError,
)
from blockdrivers.model import GiB, Health, Host, Protocol, Qos, VolumeState
from blockdrivers.operations import Timeouts
from conformance.simulation.family import Request, Response
from conformance.simulation.opening import reaching
from conformance.simulation.server import SimulatedArray
from vendors.macrosan.driver import open_driver
from vendors.macrosan.options import MacroSanOptions
from vendors.macrosan.raids import _chosen
from vendors.macrosan.simulator import build

ISCSI = Host("cmp01", iqn="iqn.1994-05.org.example:cmp01")
FC = Host("cmp02", wwpns=("21000024ff000001", "21000024ff000002"))
TiB = 1024 * GiB


@dataclass
class Lab:
    """One simulated array, backends on it, and somebody else at its interface."""

    array: SimulatedArray
    stack: ExitStack

    def open(self, *, timeout: float = 20, unreachable: float = 10, **more: Any) -> Backend:
        options = {
            **reaching(self.array.ready),
            **self.array.ready["options"],
            **more,
        }
        driver = open_driver(MacroSanOptions.model_validate(options), "lab")
        timeouts = Timeouts(timeout, timeout, unreachable)
        return self.stack.enter_context(Backend(driver, "lab", timeouts=timeouts))

    def tell(self, method: str, resource: str, **given: Any) -> Any:
        """Say something to the array as any other client would."""
        return tell(self.array.family, method, resource, **given)

    def answering(self, operation: str, answer: Callable[[Request, Response], Response]) -> None:
        """Let every answer to an operation be changed on its way."""
        honest = self.array.family.handle

        def handle(request: Request) -> Response:
            response = honest(request)
            return answer(request, response) if self.array.family.operation(request) == operation else response

        self.array.family.handle = handle

    def saying(self, operation: str, value: object) -> None:
        self.answering(operation, lambda *_: Response(json.dumps(value).encode()))

    def before(self, operation: str, step: Callable[[], object]) -> None:
        """Do something just before the array carries an operation out for the first time."""
        honest, waiting = self.array.family.handle, [step]

        def handle(request: Request) -> Response:
            if waiting and self.array.family.operation(request) == operation:
                waiting.pop()()
            return honest(request)

        self.array.family.handle = handle

    def state(self, kind: str) -> list[Any]:
        return list(self.array.family.state()[kind])

    def luns(self) -> list[str]:
        return sorted(item["name"] for item in self.state("volumes"))

    def sent(self) -> list[str]:
        return [entry["operation"] for entry in self.array.counters.entries()]

    def clean(self) -> bool:
        return not any(self.state(kind) for kind in ("views", "copies", "mappings"))


def tell(family: Any, method: str, resource: str, **given: Any) -> Any:
    pairs = tuple((key, str(value)) for key, value in given.items())
    asks = method == "GET"
    answer = type(family).handle(
        family,
        Request(
            method,
            f"/api/v1/{resource}",
            dict(pairs) if asks else {},
            {"authorization": f"Bearer {family.username}{family.password}"},
            b"" if asks else json.dumps(given).encode(),
            parameters=pairs if asks else (),
        ),
    )
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.fixture
def lab() -> Iterator[Callable[..., Lab]]:
    with ExitStack() as stack:

        def start(model: str = MODEL, **options: Any) -> Lab:
            return Lab(stack.enter_context(SimulatedArray(build(model, **options))), stack)

        yield start


@pytest.fixture
def started(lab):
    return lab()


@pytest.fixture
def backend(started):
    return started.open()


# Requests


def test_no_operation_needs_more_than_its_target():
    with opened(MODEL, copy_seconds=0.0) as (array, backend):
        warm_up(backend)
        found = {row.title: (sent(array, backend, row), row.target) for row in rows()}
    assert {title: pair for title, pair in found.items() if pair[1] is not None and pair[0] > pair[1]} == {}


# Facts, and who serves


def test_facts(started, backend):
    facts = backend.system()
    assert (facts.vendor, facts.model, facts.firmware, facts.health) == ("MacroSAN", "unknown", "unknown", Health.NORMAL)
    assert facts.serial == started.tell("GET", "device")
    assert facts.details == {"SP1": "double", "SP2": "double"}
    assert backend.licences() == {}
    ports = backend.ports()
    assert [port.address for port in ports if port.protocol is Protocol.FC] == started.array.ready["fc"]
    assert {port.controller for port in ports} == {"SP1", "SP2"}
    assert {initiator.address for initiator in backend.initiators()} == set(started.array.family._fabric)


def test_what_the_array_cannot_tell_is_documented(backend):
    declared = backend.capabilities
    ordinary = Capabilities(protocols=declared.protocols)
    limits = {"list_objects", "find_snapshots", "find_in_volume", "list_exports", "host_objects", "tells_wwn", "serial_clones"}
    limits |= {"relative_extend"}
    differing = {field.name for field in fields(Capabilities) if getattr(declared, field.name) != getattr(ordinary, field.name)}
    assert differing == limits | {"thick", "manage", "max_lun", "notes"}
    for page in ("adapters/macrosan.md", "semantics.md"):
        text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
        assert {name for name in limits if f"`{name}" not in text} == set()


@pytest.mark.parametrize(
    ("states", "health", "answering"),
    [
        (("double", "double"), Health.NORMAL, "A"),
        (("single", "faulty"), Health.DEGRADED, "A"),
        (("idle", "single"), Health.DEGRADED, "B"),
        (("faulty", "double"), Health.DEGRADED, "B"),
    ],
)
def test_the_service_processor_that_serves_management_is_asked(lab, states, health, answering):
    started = lab(states=states)
    backend = started.open()
    assert backend.system().health is health
    backend.create_volume("v", GiB, POOL)
    assert started.array.counters.entries()[-1]["controller"] == answering


def test_when_neither_serves_management_both_are_named(lab):
    started = lab(states=("idle", "faulty"))
    with pytest.raises(Unreachable, match=r"SP1 is 'idle'.*SP2 is 'faulty'"):
        started.open(unreachable=0).system()


def test_who_serves_management_is_asked_again_once_that_may_have_changed(started, backend):
    family = started.array.family
    backend.create_volume("v", GiB, POOL)
    for states, answering in ((("idle", "double"), "B"), (("double", "idle"), "A")):
        family.states = states
        started.array.counters.clear()
        assert backend.get_volume("v").size == GiB
        entries = started.array.counters.entries()
        assert ("GET /ha_status", answering) in {(entry["operation"], entry["controller"]) for entry in entries}
        assert entries[-1]["controller"] == answering


def test_both_service_processors_may_have_one_address(lab):
    started = lab(states=("idle", "double"))
    url = started.array.ready["management2"]["url"]
    started.open(addresses=[url, url]).create_volume("v", GiB, POOL)
    assert started.luns() == ["bdvl-v"]


def test_a_wrong_password_is_sent_once(started):
    backend = started.open(password="wrong")
    for _ in range(2):
        with pytest.raises(LoginRefused, match="user name or password") as refused:
            backend.system()
        assert "wrong" not in str(refused.value)
    assert started.sent() == ["GET /ha_status"]


def test_a_password_of_any_script_is_sent(started):
    started.array.family.password = "пароль宏杉"
    assert started.open(password="пароль宏杉").system().health is Health.NORMAL


def test_a_password_that_no_header_holds_is_refused_before_anything_is_sent(started):
    with pytest.raises(ValidationError, match="control character") as refused:
        started.open(password="a\r\nX-Evil: 1")
    assert "Evil" not in str(refused.value)
    assert started.sent() == []


@pytest.mark.parametrize(
    ("operation", "value", "ask"),
    [
        ("GET /ha_status", ["double"], lambda backend: backend.system()),
        ("GET /pool", [1, 2], lambda backend: backend.pools()),
        ("GET /pool", [1, 2, "3"], lambda backend: backend.pools()),
        ("GET /pool", [1, 2, True], lambda backend: backend.pools()),
        ("GET /initiator.fc_ports", {"a": 1}, lambda backend: backend.ports()),
        ("GET /lun.base_info", [], lambda backend: backend.get_volume("v")),
        ("GET /lun.base_info", {"pool": POOL, "size": "big"}, lambda backend: backend.get_volume("v")),
        ("GET /itl.getitl", [1], lambda backend: backend.delete_volume("v")),
        ("GET /dalun.existence", "no", lambda backend: backend.delete_volume("v")),
        ("GET /snapshot_point.number", "many", lambda backend: backend.get_volume("v")),
    ],
)
def test_answers_that_make_no_sense_are_no_answers(started, backend, operation, value, ask):
    backend.create_volume("v", GiB, POOL)
    started.saying(operation, value)
    with pytest.raises(ProtocolError):
        ask(backend)
    assert started.luns() == ["bdvl-v"]


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_no_status_of_a_refusal_is_relied_upon(started, backend, status):
    """Which one the array has for what is not documented: each operation comes to the same end with any."""

    def refused(_: Request, response: Response) -> Response:
        return response if response.status == 200 else Response(response.body, status)

    for operation in ("POST /lun", "GET /lun.base_info", "GET /snapshot_point.point_id", "POST /snapshot_point"):
        if (operation, status) != ("GET /snapshot_point.point_id", 500):
            started.answering(operation, refused)
    backend.create_volume("v", GiB, POOL)
    assert backend.create_volume("v", GiB, POOL).size == GiB
    with pytest.raises(AlreadyExists):
        backend.create_volume("v", 2 * GiB, POOL)
    with pytest.raises(NotFound):
        backend.get_volume("w")
    with pytest.raises(InvalidRequest, match="no pool 'nowhere'"):
        backend.create_volume("w", GiB, "nowhere")
    backend.create_snapshot("s", "v")
    with pytest.raises(NotFound):
        backend.create_snapshot("s", "w")
    backend.export("v", ISCSI, Protocol.ISCSI)
    started.open().export("v", ISCSI, Protocol.ISCSI)


def test_a_server_error_that_is_not_the_interface_s_own_is_read_back(started, backend):
    started.answering("POST /lun", lambda *_: Response(b"<html>Internal Server Error</html>", 500))
    assert backend.create_volume("v", GiB, POOL).size == GiB
    assert started.sent().count("POST /lun") == 1


def test_a_lun_that_goes_while_it_is_looked_for_is_made(started, backend):
    other = started.open()
    other.create_volume("v", 2 * GiB, POOL)
    started.before("GET /lun.existence", lambda: other.delete_volume("v"))
    assert backend.create_volume("v", GiB, POOL).size == GiB


# Room


def test_a_thick_lun_takes_as_many_raid_sets_as_it_needs(lab):
    started = lab(pools=1, pool_bytes=40 * GiB)
    backend = started.open()
    backend.create_volume("v", 32 * GiB, POOL, thin=False)
    assert started.tell("GET", "raid_list", pool=POOL) == [{"name": "RAID-1", "free_cap": 0}, {"name": "RAID-2", "free_cap": 8}]
    backend.extend_volume("v", 40 * GiB)
    with pytest.raises(OutOfSpace, match="0 bytes free"):
        backend.create_volume("w", GiB, POOL, thin=False)
    with pytest.raises(OutOfSpace):
        backend.extend_volume("v", 41 * GiB)
    assert started.luns() == ["bdvl-v"]
    assert backend.get_volume("v").size == 40 * GiB


def test_what_is_remembered_of_raid_sets_is_asked_again_once_it_is_wrong(lab):
    started = lab(pools=1, pool_bytes=40 * GiB)
    first, second = started.open(), started.open()
    first.create_volume("a", GiB, POOL, thin=False)
    second.create_volume("b", 29 * GiB, POOL, thin=False)
    first.create_volume("c", 9 * GiB, POOL, thin=False)
    assert first.pools()[0].free_bytes == GiB
    second.delete_volume("b")
    first.create_volume("d", 20 * GiB, POOL, thin=False)


@given(
    free=st.dictionaries(st.sampled_from("abcde"), st.integers(0, 20)),
    size=st.integers(1, 60),
)
def test_raid_sets_are_chosen_until_they_hold_it_and_never_more(free, size):
    chosen = _chosen(free, size)
    if sum(free.values()) < size:
        assert chosen == []
    else:
        assert sum(free[name] for name in chosen) >= size > sum(free[name] for name in chosen[:-1])
        assert all(free[name] for name in chosen)


def test_service_processors_own_about_half_of_the_luns_each(started, backend):
    for number in range(20):
        backend.create_volume(f"v{number}", GiB, POOL)
    owners = [started.tell("GET", "lun", attr="lun_sp", name=name) for name in started.luns()]
    assert 5 <= owners.count("SP1") <= 15


# Extending


def test_an_extension_whose_answer_is_lost_is_not_sent_twice(started, backend):
    backend.create_volume("v", GiB, POOL)
    for kind in ("drop_after", "drop_before"):
        started.array.faults.add({"kind": kind, "operation": "PUT /lun.capicity"})
        size = backend.get_volume("v").size + 3 * GiB
        assert backend.extend_volume("v", size).size == size
        assert backend.get_volume("v").size == size


def test_two_extensions_at_once_add_once(started, backend):
    backend.create_volume("v", GiB, POOL)
    with ThreadPoolExecutor(4) as pool:
        assert {volume.size for volume in pool.map(lambda _: backend.extend_volume("v", 5 * GiB), range(4))} == {5 * GiB}
    assert backend.get_volume("v").size == 5 * GiB


# Snapshots


def test_what_a_snapshot_needs_is_made_once_and_stays(started, backend):
    backend.create_volume("v", 4 * GiB, POOL)
    backend.create_snapshot("s", "v")
    assert started.state("resources") == [{"lun": "bdvl-v", "size": 4 * GiB, "enabled": True, "autoexpand": True}]
    backend.delete_snapshot("s", of_volume="v")
    assert (started.state("snapshots"), len(started.state("resources"))) == ([], 1)
    backend.create_snapshot("t", "v")
    backend.delete_snapshot("t", of_volume="v")
    backend.delete_volume("v")
    assert (started.luns(), started.state("resources")) == ([], [])


def test_the_reserve_is_a_part_of_the_volume(started):
    backend = started.open(snapshot_reserve=0.3)
    for name, size in (("a", 10), ("b", 1)):
        backend.create_volume(name, size * GiB, POOL)
        backend.create_snapshot("s", name)
    assert [item["size"] // GiB for item in started.state("resources")] == [3, 1]


def test_a_resource_that_cannot_grow_is_only_told(started, backend, caplog):
    backend.create_volume("v", GiB, POOL)
    started.array.faults.add({"kind": "answer", "code": "400", "operation": "PUT /snapshot_resource.autoexpand"})
    backend.create_snapshot("s", "v")
    assert "does not grow by itself" in caplog.text
    assert [item["name"] for item in started.state("snapshots")] == [backend.create_snapshot("s", "v").name]


def test_without_room_for_the_resource_there_is_no_snapshot(lab):
    started = lab(pools=1, pool_bytes=8 * GiB)
    backend = started.open()
    backend.create_volume("v", 5 * GiB, POOL, thin=False)
    with pytest.raises(OutOfSpace):
        backend.create_snapshot("s", "v")
    assert (started.state("snapshots"), started.state("resources")) == ([], [])


def test_first_snapshots_of_one_volume_at_once(started):
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    others = [started.open() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda pair: pair[1].create_snapshot(f"s{pair[0]}", "v"), enumerate(others)))
    assert sorted(item["name"] for item in started.state("snapshots")) == sorted(snapshot.name for snapshot in made)
    assert len(started.state("resources")) == 1


def test_a_snapshot_taken_while_the_volume_is_being_deleted_keeps_it(started, backend):
    """Deleting the resource would destroy the snapshot with it."""
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    backend.delete_snapshot("s", of_volume="v")
    other = started.open()
    started.before("PUT /snapshot.disable", lambda: other.create_snapshot("t", "v"))
    with pytest.raises(InUse, match="1 snapshots"):
        backend.delete_volume("v")
    assert len(started.state("snapshots")) == 1
    backend.create_snapshot("u", "v")


def test_a_snapshot_that_is_copied_from_is_kept(lab):
    started = lab(copy_seconds=2)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    with ThreadPoolExecutor(1) as pool:
        copy = pool.submit(backend.create_volume_from_snapshot, "c", "s", pool=POOL, of_volume="v")
        while not started.state("copies"):
            assert not copy.done()
        with pytest.raises(InUse, match="a volume is being made from it"):
            backend.delete_snapshot("s", of_volume="v")
        with pytest.raises(InUse):
            backend.delete_volume("v", force=True)
        assert backend.get_volume("c").state is VolumeState.COPYING
        copy.result(10)
    backend.delete_snapshot("s", of_volume="v")
    backend.delete_volume("v")
    assert started.luns() == ["bdvl-c"]


def test_snapshots_of_two_volumes_may_have_one_id(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, GiB, POOL)
        backend.create_snapshot("s", name)
    backend.delete_snapshot("s", of_volume="v")
    assert [item["lun"] for item in started.state("snapshots")] == ["bdvl-w"]


# Clones


COPY_STEPS = (
    ("POST", "lun", {"name": "bdtl-c", "owner": "SP1", "pool": POOL, "raids": [], "lun_mode": True, "size": 2, "lun_params": {}}),
    ("POST", "snapshot_view", {"view_name": "bdxl-c", "lun_name": "bdvl-v", "pointid": 1}),
    ("POST", "copy_volume", {"attr": "from_view", "lun_name": "bdtl-c", "view_name": "bdxl-c"}),
)
PAIR_STEPS = (
    COPY_STEPS[0],
    ("POST", "snapshot_resource", {"lun_name": "bdtl-c", "raids": ["RAID-1"], "size": 2}),
    ("POST", "local_clone", {"master": "bdvl-v", "slave": "bdtl-c"}),
    ("DELETE", "local_clone", {"lun": "bdtl-c"}),
    ("DELETE", "snapshot_resource", {"lun_name": "bdtl-c"}),
)
CUTS = [(steps, cut) for steps in (COPY_STEPS, PAIR_STEPS) for cut in range(1, len(steps) + 1)]


@pytest.fixture
def cut_off(started, backend):
    def cut(steps: tuple, number: int) -> None:
        backend.create_volume("v", 2 * GiB, POOL)
        backend.create_snapshot("s", "v")
        for method, resource, body in steps[:number]:
            started.tell(method, resource, **body)

    return cut


@pytest.mark.parametrize(("steps", "cut"), CUTS)
@pytest.mark.parametrize("of_snapshot", [False, True])
def test_an_unfinished_clone_is_begun_again(started, backend, cut_off, steps, cut, of_snapshot):
    cut_off(steps, cut)
    assert backend.get_volume("c").state is VolumeState.COPYING
    if of_snapshot:
        made = backend.create_volume_from_snapshot("c", "s", pool=POOL, of_volume="v")
    else:
        made = backend.clone_volume("c", "v")
    assert (made.size, made.state) == (2 * GiB, VolumeState.READY)
    assert started.luns() == ["bdvl-c", "bdvl-v"]
    assert started.clean()
    assert [item["lun"] for item in started.state("resources")] == ["bdvl-v"]


@pytest.mark.parametrize(("steps", "cut"), CUTS)
def test_an_unfinished_clone_is_deleted_with_all_that_belongs_to_it(started, backend, cut_off, steps, cut):
    cut_off(steps, cut)
    backend.delete_volume("c")
    assert started.luns() == ["bdvl-v"]
    assert started.clean()
    backend.delete_snapshot("s", of_volume="v")
    backend.delete_volume("v")


def test_a_copy_that_ends_while_it_is_looked_at_leaves_no_view(lab):
    started = lab(copy_seconds=60)
    backend = started.open()
    backend.create_volume("v", 2 * GiB, POOL)
    backend.create_snapshot("s", "v")
    for method, resource, body in COPY_STEPS:
        started.tell(method, resource, **body)
    started.before("GET /copy_volume.snapshot_copy_task_completed", started.array.family._array.jobs.clear)
    backend.delete_volume("c")
    assert started.luns() == ["bdvl-v"]
    assert started.clean()


def test_an_unfinished_clone_is_no_source_and_no_volume(started, backend, cut_off):
    cut_off(COPY_STEPS, 1)
    for refused in (
        lambda: backend.clone_volume("d", "c"),
        lambda: backend.extend_volume("c", 3 * GiB),
        lambda: backend.unmanage_volume("c", "legacy"),
        lambda: backend.create_snapshot("t", "c"),
        lambda: backend.export("c", ISCSI, Protocol.ISCSI),
    ):
        with pytest.raises((InUse, NotFound)):
            refused()
    with pytest.raises(AlreadyExists) as differs:
        backend.clone_volume("c", "v", pool="pool_b")
    assert "pool" in differs.value.differences
    assert started.luns() == ["bdtl-c", "bdvl-v"]


def test_a_clone_that_another_call_removed_is_begun_again(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.before("PUT /lun.name", lambda: started.tell("DELETE", "lun", name="bdtl-c"))
    assert backend.clone_volume("c", "v").state is VolumeState.READY
    assert started.luns() == ["bdvl-c", "bdvl-v"]


def test_a_clone_that_another_call_completed_is_taken(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.before("PUT /lun.name", lambda: started.tell("PUT", "lun", attr="name", old_name="bdtl-c", new_name="bdvl-c"))
    assert backend.clone_volume("c", "v").state is VolumeState.READY
    assert started.luns() == ["bdvl-c", "bdvl-v"]


def test_a_clone_that_is_refused_leaves_nothing(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    for operation in ("POST /copy_volume.from_view", "POST /local_clone"):
        started.array.faults.add({"kind": "answer", "code": "400", "operation": operation, "count": 9})
    with pytest.raises(VendorError, match="local_clone"):
        backend.clone_volume("c", "v")
    with pytest.raises(VendorError, match="copy_volume"):
        backend.create_volume_from_snapshot("c", "s", pool=POOL, of_volume="v")
    with pytest.raises(NotFound):
        backend.create_volume_from_snapshot("c", "absent", pool=POOL, of_volume="v")
    assert started.luns() == ["bdvl-v"]
    assert started.clean()


def test_a_clone_larger_than_its_source(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    assert backend.clone_volume("c", "v", size=3 * GiB, thin=False).size == 3 * GiB
    backend.create_volume_from_snapshot("d", "s", size=4 * GiB, pool="pool_b", of_volume="v")
    assert {item["name"]: (item["size"] // GiB, item["pool"], item["thin"]) for item in started.state("volumes")} == {
        "bdvl-v": (1, POOL, True),
        "bdvl-c": (3, POOL, False),
        "bdvl-d": (4, "pool_b", True),
    }


def test_a_copy_that_outlasts_the_deadline_is_waited_for_by_the_repeat(lab):
    started = lab(copy_seconds=0.6)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    with pytest.raises(DeadlineExceeded, match="bytes of"):
        backend.create_volume_from_snapshot("c", "s", pool=POOL, of_volume="v", timeout=0.3)
    backend.create_volume_from_snapshot("c", "s", pool=POOL, of_volume="v")
    assert started.luns() == ["bdvl-c", "bdvl-v"]
    assert started.clean()


# Exports


def test_a_lun_has_one_id_at_every_port(started, backend):
    """The lowest id that is free in all pairs of the host."""
    backend.create_volume("theirs", GiB, POOL)
    backend.create_volume("v", GiB, POOL)
    backend.export("theirs", ISCSI, Protocol.ISCSI)
    first, second = (mapping["target"] for mapping in started.state("mappings"))
    started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-theirs", initr_wwn=ISCSI.iqn, tgt_port_name=second)
    export = backend.export("v", ISCSI, Protocol.ISCSI)
    assert {(item["target"], item["lun"]) for item in started.state("mappings") if item["object"] == "bdvl-v"} == {
        (first, 2),
        (second, 2),
    }
    assert export.lun == 2
    assert [target.iqn for target in export.targets] == [portal["iqn"] for portal in started.array.ready["iscsi"]]


def test_a_path_that_is_missing_is_added_under_the_id_that_the_lun_has(started, backend):
    backend.create_volume("v", GiB, POOL)
    whole = backend.export("v", ISCSI, Protocol.ISCSI)
    lost = started.state("mappings")[1]["target"]
    started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-v", initr_wwn=ISCSI.iqn, tgt_port_name=lost)
    assert backend.export("v", ISCSI, Protocol.ISCSI) == whole
    assert len(started.state("mappings")) == 2


def test_an_id_that_another_lun_has_at_a_missing_path_is_told(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, GiB, POOL)
    backend.export("v", ISCSI, Protocol.ISCSI)
    lost = started.state("mappings")[1]
    pair = {"initr_wwn": ISCSI.iqn, "tgt_port_name": lost["target"]}
    started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-v", **pair)
    started.tell("POST", "itl", attr="maplun", lun_name="bdvl-w", lun_id=lost["lun"], **pair)
    with pytest.raises(VendorError, match="which another LUN has"):
        started.open().export("v", ISCSI, Protocol.ISCSI)
    started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-w", **pair)
    started.tell("POST", "itl", attr="maplun", lun_name="bdvl-v", lun_id=9, **pair)
    with pytest.raises(VendorError, match=r"under the ids \[1, 9\]"):
        started.open().export("v", ISCSI, Protocol.ISCSI)
    backend.unexport("v", ISCSI, Protocol.ISCSI)
    assert backend.export("v", ISCSI, Protocol.ISCSI).lun == 1


def test_an_id_that_is_given_away_meanwhile_is_chosen_again(started, backend):
    for name in ("v", "w", "x"):
        backend.create_volume(name, GiB, POOL)
    backend.export("x", ISCSI, Protocol.ISCSI)
    other = started.open()
    started.before("POST /itl.maplun", lambda: other.export("w", ISCSI, Protocol.ISCSI))
    assert backend.export("v", ISCSI, Protocol.ISCSI).lun == 3


def test_first_exports_of_one_host_at_once(started):
    backends = [started.open() for _ in range(4)]
    for number, backend in enumerate(backends):
        backend.create_volume(f"v{number}", GiB, POOL)
    barrier = threading.Barrier(4)

    def export(pair):
        barrier.wait()
        return pair[1].export(f"v{pair[0]}", FC, Protocol.FC).lun

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(export, enumerate(backends))) == [1, 2, 3, 4]
    assert len(started.state("mappings")) == 8


def test_what_is_known_of_a_host_is_found_out_again_when_it_is_wrong(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, GiB, POOL)
    backend.export("v", ISCSI, Protocol.ISCSI)
    for target in [item["target"] for item in started.state("mappings")]:
        started.tell("DELETE", "itl", attr="unmaplun", lun_name="bdvl-v", initr_wwn=ISCSI.iqn, tgt_port_name=target)
        started.tell("DELETE", "target", tgt_name=target)
    assert backend.export("w", ISCSI, Protocol.ISCSI).lun == 1
    assert len(started.state("mappings")) == 2


def test_ports_without_a_target_get_one(lab):
    started = lab(targets_made=False)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    assert not any(port.up for port in backend.ports())
    assert len(backend.export("v", ISCSI, Protocol.ISCSI).targets) == 2
    assert len(backend.export("v", FC, Protocol.FC).wwpns) == 2


def test_only_the_ports_that_are_wanted(started):
    port = started.array.ready["ports"]["iscsi"][1]
    backend = started.open(iscsi_ports=[port], fc_ports=["FC-2:1:0"])
    backend.create_volume("v", GiB, POOL)
    assert [target.iqn for target in backend.export("v", ISCSI, Protocol.ISCSI).targets] == [
        started.array.ready["iscsi"][1]["iqn"]
    ]
    assert backend.export("v", FC, Protocol.FC).paths == {
        FC.wwpns[0]: (),
        FC.wwpns[1]: (started.array.ready["fc"][1],),
    }
    with pytest.raises(InvalidRequest, match="no IP-SAN port eth-9:0:0"):
        started.open(iscsi_ports=["eth-9:0:0"]).export("v", ISCSI, Protocol.ISCSI)


def test_through_a_switch_every_initiator_may_use_every_port_that_is_up(lab):
    started = lab(switched=True)
    backend = started.open()
    backend.create_volume("v", GiB, POOL)
    export = backend.export("v", FC, Protocol.FC)
    assert export.paths == dict.fromkeys(FC.wwpns, tuple(sorted(started.array.ready["fc"])))
    assert list(backend.initiators()) == []
    backend.unexport("v", FC, Protocol.FC)
    assert started.state("mappings") == []


def test_a_host_that_is_plugged_in_nowhere_is_refused(started, backend):
    backend.create_volume("v", GiB, POOL)
    with pytest.raises(InvalidRequest, match="check cabling and zoning"):
        backend.export("v", Host("far", wwpns=("21000024ff0000f9",)), Protocol.FC)
    assert started.state("mappings") == []


def test_an_initiator_in_somebody_else_s_client_may_stay_there(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.tell("POST", "client", name="theirs")
    started.tell("POST", "initiator", initr_wwn=ISCSI.iqn, alias="theirs", type="iscsi")
    started.tell("PUT", "client", attr="mapinitiator", initr_wwn=ISCSI.iqn, client_name="theirs")
    backend.export("v", ISCSI, Protocol.ISCSI)
    assert [item["host"] for item in started.state("initiators")] == ["theirs"]
    backend.unexport("v", ISCSI, Protocol.ISCSI)
    backend.remove_host(ISCSI)


def test_every_lun_id_given_away(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.saying("GET /initiator.it_unused_id_list", [])
    with pytest.raises(LimitReached, match="No LUN id up to 510"):
        backend.export("v", ISCSI, Protocol.ISCSI)


def test_a_volume_is_taken_away_from_the_host_that_is_named(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.export("v", ISCSI, Protocol.ISCSI)
    backend.export("v", FC, Protocol.FC)
    for _ in range(2):
        backend.unexport("v", ISCSI, Protocol.ISCSI)
        assert {item["initiator"] for item in started.state("mappings")} == set(FC.wwpns)
    with pytest.raises(InUse, match=r"exported to 21:00:00:24:ff:00:00:01, 21"):
        backend.delete_volume("v")
    backend.delete_volume("v", force=True)
    assert (started.luns(), started.state("mappings")) == ([], [])


# What hangs on a LUN


def test_a_replicated_lun_is_kept(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    backend.delete_snapshot("s", of_volume="v")
    started.tell("POST", "dalun", lun_name="bdvl-v")
    with pytest.raises(InUse, match="replicated"):
        backend.delete_volume("v", force=True)
    started.tell("DELETE", "dalun", lun_name="bdvl-v")
    started.tell("PUT", "replication", attr="enable", lun_name="bdvl-v", sp1="192.0.2.1", sp2="192.0.2.2")
    with pytest.raises(InUse, match="replicated"):
        backend.delete_volume("v", force=True)
    assert [str(each) for each in backend.get_volume("v").dependants] == ["replication"]


def test_a_lun_that_the_array_keeps_for_reasons_of_its_own_keeps_its_snapshots_on(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.create_snapshot("s", "v")
    backend.delete_snapshot("s", of_volume="v")
    started.array.faults.add({"kind": "answer", "code": "409", "operation": "DELETE /snapshot_resource"})
    with pytest.raises(InUse, match="keeps the snapshot resource"):
        backend.delete_volume("v")
    assert started.state("resources")[0]["enabled"]


# Names


def test_taking_over_and_giving_up(started, backend):
    started.tell("POST", "lun", name="legacy", owner="SP2", pool=POOL, raids=[], lun_mode=True, size=3, lun_params={})
    taken = backend.manage_volume("v", "legacy")
    assert (taken.size, taken.volume_id) == (3 * GiB, "v")
    assert backend.manage_volume("v", "legacy").name == "bdvl-v"
    backend.create_volume("w", GiB, POOL)
    given = backend.unmanage_volume("w", "gone")
    assert (given.name, given.volume_id) == ("gone", None)
    with pytest.raises(AlreadyExists):
        backend.unmanage_volume("v", "gone")
    assert started.luns() == ["bdvl-v", "gone"]


def test_snapshots_change_hands_within_their_volume(started, backend):
    for name in ("v", "w"):
        backend.create_volume(name, GiB, POOL)
        backend.create_snapshot("s", name)
    backend.create_snapshot("t", "v")
    for _ in range(2):
        backend.unmanage_snapshot("s", "legacy", of_volume="v")
    assert sorted(item["name"] == "legacy" for item in started.state("snapshots")) == [False, False, True]
    with pytest.raises(AlreadyExists):
        backend.manage_snapshot("t", "v", "legacy")
    with pytest.raises(NotFound):
        backend.manage_snapshot("u", "w", "legacy")
    with pytest.raises(NotFound):
        backend.manage_snapshot("u", "absent", "legacy")
    started.array.faults.add({"kind": "drop_after", "operation": "PUT /snapshot_point.name"})
    for _ in range(2):
        assert backend.manage_snapshot("u", "v", "legacy").snapshot_id == "u"
    backend.create_volume_from_snapshot("c", "u", pool=POOL, of_volume="v")
    for snapshot, volume in (("u", "v"), ("t", "v"), ("s", "w")):
        backend.delete_snapshot(snapshot, of_volume=volume)
    assert started.state("snapshots") == []


def test_a_size_that_is_no_whole_number_is_not_taken_over(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.tell("PUT", "lun", attr="name", old_name="bdvl-v", new_name="legacy")
    started.array.family._array.volumes[next(iter(started.array.family._array.volumes))].size += GiB // 2
    with pytest.raises(InvalidRequest):
        backend.manage_volume("v", "legacy")
    assert started.luns() == ["legacy"]


def test_what_the_interface_cannot_do_is_said_at_once(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.array.counters.clear()
    for refused in (
        backend.list_volumes,
        backend.list_snapshots,
        lambda: backend.get_snapshot("s"),
        lambda: backend.list_exports("v"),
        lambda: backend.revert_volume("v", "s"),
        lambda: backend.set_qos("v", Qos(total_iops=100)),
        lambda: backend.retype_volume("v", pool="pool_b"),
        lambda: backend.create_group_snapshot({"v": "s"}),
        backend.sweep,
    ):
        with pytest.raises(NotSupported):
            refused()
    assert started.sent() == []


def test_busy_is_asked_again(started, backend):
    started.array.faults.add({"kind": "answer", "code": "503", "operation": "POST /lun", "count": 2})
    backend.create_volume("v", GiB, POOL)
    started.array.faults.add({"kind": "answer", "code": "503", "operation": "GET /lun.base_info", "count": 99})
    with pytest.raises((Busy, DeadlineExceeded)):
        backend.get_volume("v", timeout=0.5)
