"""Simulated arrays that are managed over SSH, alone or beside HTTPS: what any client sees of the front end and of its faults."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import paramiko
import pytest
import requests

from blockdrivers.deadline import deadline
from blockdrivers.errors import Ambiguous, Busy, DeadlineExceeded, LoginRefused, Unreachable
from blockdrivers.transport.command import command
from blockdrivers.transport.ssh import SshTransport
from blockdrivers.transport.sshoptions import HostKeyOptions, SshOptions
from conformance.simulation.family import HttpDoor, Output, Response, SshDoor
from conformance.simulation.opening import reaching
from conformance.simulation.server import SimulatedArray
from tests.waiting import until

PASSWORD = "the-password"


class Shell:
    """Says every command back; ``mk...`` changes something."""

    def __init__(self):
        self.changes = []
        self.guard = threading.Lock()

    def operation(self, request):
        return request.line.split()[0]

    def handle(self, request):
        with self.guard:
            if request.line.startswith("mk"):
                self.changes.append(request.line)
        return Output(f"{request.controller}: {request.line}\n", "careful\n", 0, "OK")

    def busy(self, request):
        return Output("", "busy\n", 1, "BUSY")

    def refusal(self, request, code):
        return Output("", f"{code}\n", 1, code)


class Web:
    def operation(self, request):
        return f"{request.method} {request.path}"

    def handle(self, request):
        return Response(b'"web"')

    busy = refusal = handle


class Toy:
    model, username, password = "toy", "u", PASSWORD

    def __init__(self, *doors):
        self._doors = doors
        self.expired = 0

    def doors(self):
        return self._doors

    def expire_sessions(self, controller=None):
        self.expired += 1

    def set_full(self, full): ...

    def ready(self):
        return {}

    def state(self):
        return {}

    def reset(self): ...


@pytest.fixture
def shell():
    return Shell()


@pytest.fixture
def array(shell):
    with SimulatedArray(Toy(SshDoor(shell))) as simulated:
        yield simulated


@pytest.fixture
def connect(array):
    opened = []

    def open_transport(*, both=True, **more):
        options = reaching(array.ready) | more
        options["addresses"] = options["addresses"][: 2 if both else 1]
        opened.append(SshTransport(SshOptions(**options), name="toy"))
        return opened[-1]

    yield open_transport
    for transport in opened:
        transport.close()


def fault(array, kind, **more):
    requests.post(f"{array.ready['control']}/faults", json={"kind": kind, **more}, timeout=5).raise_for_status()


def counted(array):
    return requests.get(f"{array.ready['control']}/counters", timeout=5).json()["by_operation"]


def log(array):
    return requests.get(f"{array.ready['control']}/log", timeout=5).json()


def look(transport):
    return transport.run(command("ls", "x"), operation="ls", mutating=False)


def change(transport, *words):
    return transport.run(command("mk", *(words or ("a",))), operation="mk", mutating=True)


def test_the_ready_line_holds_what_a_client_needs(array):
    first, second = array.ready["management"], array.ready["management2"]
    for way in (first, second):
        assert way["protocol"] == "ssh"
        assert way["url"] == f"ssh://{way['host']}:{way['port']}"
        client = paramiko.SSHClient()
        kind, text = way["host_key"].split()
        client.get_host_keys().add(f"[{way['host']}]:{way['port']}", kind, paramiko.ECDSAKey(data=base64.b64decode(text)))
        client.connect(way["host"], way["port"], way["username"], way["password"], allow_agent=False, look_for_keys=False)
        _, out, err = client.exec_command("ls 'a b'", timeout=10)
        assert (out.read(), err.read()) == (f"{'A' if way is first else 'B'}: ls 'a b'\n".encode(), b"careful\n")
        assert out.channel.recv_exit_status() == 0
        client.close()
    assert first["host_key"] != second["host_key"]


def test_password_and_key_are_both_let_in(array, connect):
    assert look(connect()).stdout == "A: ls x\n"
    by_key = connect(password=None, private_key_file=array.ready["management"]["private_key_file"])
    assert look(by_key).stdout == "A: ls x\n"
    with pytest.raises(LoginRefused):
        look(connect(password="wrong"))
    assert counted(array) == {"login": 3, "ls": 2}


def test_commands_are_logged_by_operation_alone(array, connect):
    change(connect(), "very-secret")
    entry = log(array)[-1]
    assert (entry["operation"], entry["path"], entry["status"], entry["code"], entry["controller"]) == ("mk", "mk", 0, "OK", "A")
    assert "very-secret" not in str(log(array))


def test_many_channels_of_one_connection(array):
    way = array.ready["management"]
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.MissingHostKeyPolicy())
    client.connect(way["host"], way["port"], way["username"], way["password"], allow_agent=False, look_for_keys=False)

    def run(number):
        _, out, _ = client.exec_command(f"ls {number}", timeout=10)
        return out.read().decode(), out.channel.recv_exit_status()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(40))) == [(f"A: ls {number}\n", 0) for number in range(40)]
    client.close()


def test_a_family_s_connection_limit(shell):
    with SimulatedArray(Toy(SshDoor(shell, max_connections=1))) as array:
        options = SshOptions(**reaching(array.ready) | {"addresses": reaching(array.ready)["addresses"][:1]})
        first, second = SshTransport(options), SshTransport(options)
        look(first)
        with pytest.raises(Unreachable):
            look(second)
        first.close()

        def admitted():
            try:
                return look(second).status == 0
            except Unreachable:
                return False

        until(admitted)
        second.close()


# Faults


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_lost_answer(array, connect, shell, kind):
    transport = connect()
    fault(array, kind)
    assert look(transport).status == 0
    fault(array, kind)
    with pytest.raises(Ambiguous):
        change(transport)
    assert len(shell.changes) == (1 if kind == "drop_after" else 0)


def test_busy_and_vendor_codes_are_the_family_s(array, connect, shell):
    transport = connect()
    fault(array, "busy")
    assert change(transport).stderr == "busy\n"
    fault(array, "answer", code="CODE-7")
    assert change(transport).stderr == "CODE-7\n"
    assert shell.changes == []


@pytest.mark.parametrize("kind", ["http_500", "http_503"])
def test_management_that_fails_inside_does_nothing(array, connect, shell, kind):
    transport = connect()
    fault(array, kind)
    result = change(transport)
    assert result.status
    assert result.stderr
    assert shell.changes == []


@pytest.mark.parametrize("commit", [False, True])
def test_garbage(array, connect, shell, commit):
    fault(array, "garbage", commit=commit)
    result = change(connect())
    assert result.status == 0
    assert "\\xff" in result.stdout
    assert bool(shell.changes) is commit


def test_an_expired_session_ends_the_connections(array, connect, shell):
    transport = connect()
    look(transport)
    fault(array, "session_expired")
    assert look(transport).status == 0
    assert array.family.expired == 1
    assert counted(array)["login"] == 2


def test_refused_connections(array, connect, shell):
    transport = connect()
    look(transport)
    fault(array, "refuse", count=0)
    with pytest.raises(Unreachable):
        change(transport)
    array.faults.clear()
    assert change(transport).status == 0
    assert len(shell.changes) == 1


def test_the_other_controller_takes_over(array, connect, shell):
    transport = connect()
    fault(array, "failover", operation="ls")
    assert look(transport).stdout == "B: ls x\n"
    assert change(transport).stdout == "B: mk a\n"
    array.faults.clear()


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "freeze_after"])
def test_a_hanging_array(array, connect, shell, kind):
    transport = connect(both=False)
    look(transport)
    fault(array, kind)
    with pytest.raises(Ambiguous), deadline(1.0, "x"):
        change(transport)
    assert len(shell.changes) == (0 if kind == "timeout_before" else 1)
    array.faults.clear()
    assert look(transport).status == 0


def test_a_slow_array(array, connect):
    transport = connect()
    fault(array, "slow", seconds=0.3)
    started = time.monotonic()
    assert look(transport).status == 0
    assert time.monotonic() - started > 0.3
    fault(array, "slow", seconds=5)
    with pytest.raises((Busy, DeadlineExceeded)), deadline(0.4, "x"):
        look(transport)


def test_latency(array, connect):
    transport = connect()
    look(transport)
    requests.put(f"{array.ready['control']}/latency", json={"ms": 200}, timeout=5)
    started = time.monotonic()
    look(transport)
    assert time.monotonic() - started > 0.2


def test_an_array_that_ends_leaves_nobody_waiting(shell):
    with SimulatedArray(Toy(SshDoor(shell))) as array:
        transport = SshTransport(SshOptions(**reaching(array.ready)))
        look(transport)
    with pytest.raises(Unreachable):
        look(transport)
    transport.close()


# Two doors


@pytest.mark.parametrize("first", ["ssh", "http"])
def test_a_family_with_two_doors(shell, first):
    doors = [SshDoor(shell), HttpDoor(Web(), "/rest/")]
    with SimulatedArray(Toy(*(doors if first == "ssh" else reversed(doors)))) as array:
        ready = array.ready
        over_ssh = ready["management" if first == "ssh" else "ssh"]
        over_http = ready["management" if first == "http" else "rest"]
        assert (over_ssh["protocol"], over_http["protocol"]) == ("ssh", "https")
        assert requests.get(over_http["url"], verify=over_http["ca_file"], timeout=5).json() == "web"
        options = SshOptions(
            addresses=[f"{over_ssh['host']}:{over_ssh['port']}"],
            username="u",
            password=PASSWORD,
            host_keys=HostKeyOptions(keys=(over_ssh["host_key"],)),
        )
        transport = SshTransport(options)
        assert look(transport).status == 0
        assert counted(array) == {"GET /rest/": 1, "login": 1, "ls": 1}
        fault(array, "failover", operation="ls")
        with pytest.raises((Busy, Unreachable)):
            look(transport)
        with pytest.raises(requests.ConnectionError):
            requests.get(over_http["url"], verify=over_http["ca_file"], timeout=5)
        second = ready["management2" if first == "http" else "rest2"]
        assert requests.get(second["url"], verify=second["ca_file"], timeout=5).json() == "web"
        transport.close()
