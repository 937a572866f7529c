"""What an FC target is told when an array's LUNs, bytes and paths change; the target itself is tried in tests/host."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from blockdrivers.errors import InvalidRequest
from blockdrivers.plugins import find_model
from conformance.simulation.dataplane import Identity
from conformance.simulation.fc.fabric import Fabric, FabricError, FcTarget
from conformance.simulation.fc.plane import FcPlane
from conformance.simulation.iscsi.plane import IscsiPlane
from conformance.simulation.opening import open_array
from tests.simulation.initiator import MiB, access

MODEL = "OceanStor 5500 V5"
ONE, TWO = "2000525400fc0001", "2000525400fc0003"
PORTS = ("2000525400fc0002", "2000525400fc0004")
IQN = "iqn.1994-05.org.example:one"


def wwn(number):
    return f"6{0:015x}abcdef00{number:08x}"


class Recorder(ThreadingHTTPServer):
    """An FC target that writes down what it is told."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[tuple[str, dict]] = []
        self.refuses = False
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def luns(self):
        """What it was told last to show: (initiator, LUN) -> entry."""
        last = next(told for path, told in reversed(self.told) if path == "/luns")
        assert last["ports"] == list(PORTS)
        return {(lun["initiator"], lun["lun"]): lun for lun in last["luns"]}

    def since(self, count):
        return [path for path, _ in self.told[count:]]

    def end(self):
        self.shutdown()
        self.server_close()
        self.thread.join(5)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer(200, {port: {"up": True, "initiators": []} for port in (*PORTS, "2000525400fc0006")})

    def do_PUT(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told.append((self.path, told))
        self.answer(*((500, {"error": "the kernel says no"}) if self.server.refuses else (200, {})))

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def target():
    recorder = Recorder()
    yield recorder
    recorder.end()


@pytest.fixture
def plane(target, tmp_path):
    iscsi = IscsiPlane(folder=tmp_path)
    opened = FcPlane(iscsi, Fabric(FcTarget(target.url, PORTS, tmp_path)))
    opened.identify(Identity("HUAWEI", "XSG1", {ip: f"iqn.2006-08.com.huawei:test:{ip}" for ip in iscsi.addresses}))
    yield opened
    opened.close()


def path(plane, number):
    return plane._iscsi.files.path(wwn(number))


def test_each_initiator_gets_its_own_luns_with_their_identity(plane, target, tmp_path):
    for number in (1, 2):
        plane.create(wwn(number), number * 10 * MiB)
    plane.serve([access("0", wwn(1), 1, ONE, IQN), access("1", wwn(1), 7, TWO), access("1", wwn(2), 0, TWO)])
    assert set(target.luns) == {(ONE, 1), (TWO, 7), (TWO, 0)}
    entry = target.luns[ONE, 1]
    assert tmp_path / entry["file"] == path(plane, 1)
    assert entry["inode"] == path(plane, 1).stat().st_ino
    assert (entry["wwn"], entry["size"], entry["vendor"], entry["product"]) == (wwn(1), 10 * MiB, "HUAWEI", "XSG1")
    plane.serve([access("1", wwn(2), 0, TWO)])
    assert set(target.luns) == {(TWO, 0)}


def test_what_has_no_bytes_is_not_shown_and_what_is_deleted_no_more(plane, target):
    plane.create(wwn(1), MiB)
    plane.serve([access("0", wwn(1), 1, ONE), access("0", wwn(2), 2, ONE)])
    assert set(target.luns) == {(ONE, 1)}
    plane.snapshot([(wwn(1), wwn(2))])
    assert set(target.luns) == {(ONE, 1), (ONE, 2)}
    plane.delete(wwn(2))
    assert set(target.luns) == {(ONE, 1)}


def test_a_target_is_told_only_what_is_new(plane, target):
    plane.create(wwn(1), MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    before = len(target.told)
    plane.serve([access("0", wwn(1), 1, ONE, IQN)])
    plane.create(wwn(2), MiB)
    plane.resize(wwn(2), 2 * MiB)
    assert target.since(before) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda plane: plane.resize(wwn(1), 2 * MiB),
        lambda plane: plane.copy(wwn(2), wwn(1)),
        lambda plane: plane.exchange(wwn(1), wwn(2)),
    ],
    ids=["resize", "copy", "exchange"],
)
def test_requests_are_held_while_a_file_changes_and_the_target_opens_it_again(plane, target, change):
    for number in (1, 2):
        plane.create(wwn(number), MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    before, old = len(target.told), target.luns[ONE, 1]
    change(plane)
    assert target.since(before) == ["/frozen", "/luns", "/frozen"]
    assert [told["wwns"] for where, told in target.told[before:] if where == "/frozen"] == [[wwn(1)], []]
    new = target.luns[ONE, 1]
    assert (new["inode"], new["size"]) == (path(plane, 1).stat().st_ino, path(plane, 1).stat().st_size)
    assert (new["inode"], new["size"]) != (old["inode"], old["size"])


def test_snapshots_of_a_group_are_of_one_moment(plane, target):
    for number in (1, 2):
        plane.create(wwn(number), MiB)
    plane.serve([access("0", wwn(1), 1, ONE), access("0", wwn(2), 2, ONE)])
    before = len(target.told)
    plane.snapshot([(wwn(1), wwn(3)), (wwn(2), wwn(4))])
    assert [told["wwns"] for _, told in target.told[before:]] == [[wwn(1), wwn(2)], []]


def test_ports_are_cut_and_healed_by_name_and_with_their_controller(plane, target):
    def ports():
        told = [told for where, told in target.told if where == "/ports"]
        return {entry["port"]: entry["up"] for entry in told}

    assert ports() == dict.fromkeys(PORTS, True)
    assert len(plane.paths()) == 4
    plane.set_path(PORTS[0], up=False)
    assert ports() == {PORTS[0]: False, PORTS[1]: True}
    plane.set_down(["B"])
    assert ports() == dict.fromkeys(PORTS, False)
    assert [up for name, up in plane.paths().items() if name not in PORTS] == [True, False]
    plane.set_down([])
    assert ports() == {PORTS[0]: False, PORTS[1]: True}
    plane.heal()
    assert all(plane.paths().values())
    assert ports() == dict.fromkeys(PORTS, True)
    with pytest.raises(ValueError, match=f"no path '2000'.*{PORTS[0]}"):
        plane.set_path("2000", up=False)


def test_a_target_that_was_off_is_told_everything_when_a_port_is_healed(plane, target, monkeypatch):
    plane.create(wwn(1), MiB)
    plane.serve([access("0", wwn(1), 1, ONE)])
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    there = plane._fabric._target
    monkeypatch.setattr(plane._fabric, "_target", FcTarget(nobody, PORTS, there.share))
    plane.serve([access("0", wwn(1), 4, ONE)])
    plane.copy(wwn(1), wwn(1))
    monkeypatch.setattr(plane._fabric, "_target", there)
    assert set(target.luns) == {(ONE, 1)}
    plane.set_path(PORTS[0], up=True)
    assert set(target.luns) == {(ONE, 4)}


def test_a_refusal_is_an_error_and_is_tried_again(plane, target):
    plane.create(wwn(1), MiB)
    target.refuses = True
    with pytest.raises(FabricError, match=r"refused PUT /luns.*the kernel says no"):
        plane.serve([access("0", wwn(1), 1, ONE)])
    target.refuses = False
    plane.serve([access("0", wwn(1), 1, ONE)])
    assert set(target.luns) == {(ONE, 1)}


def test_a_target_that_is_absent_or_lacks_a_port_is_refused_at_first(target, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(FabricError, match="There is no FC target at http"):
        Fabric(FcTarget(nobody, PORTS, tmp_path))
    with pytest.raises(FabricError, match=f"has no port 2000000000000000; it has {PORTS[0]}"):
        Fabric(FcTarget(target.url, ("2000000000000000",), tmp_path))


def test_an_array_keeps_its_files_in_the_share_and_reports_the_targets_ports(target, tmp_path):
    with open_array(find_model(MODEL), MODEL, fc=FcTarget(target.url, PORTS, tmp_path), fabric=[ONE]) as array:
        assert array.ready["fc"] == list(PORTS)
        assert array.ready["data_plane"] == {"iscsi": True, "fc": True, "nfs": False, "missing": None}
        array.plane.create(wwn(1), MiB)
        assert [file.name for file in tmp_path.glob("*/*")] == [wwn(1)]
        array.plane.serve([access("0", wwn(1), 1, ONE)])
        array.reset()
        assert target.luns == {}
    assert list(tmp_path.iterdir()) == []


def test_an_array_without_bytes_serves_nothing_over_fc(target, tmp_path):
    with pytest.raises(InvalidRequest, match="only where there are bytes"):
        open_array(find_model(MODEL), MODEL, data=False, fc=FcTarget(target.url, PORTS, tmp_path))
