"""The transport against real TLS sockets: a small family behind the simulators' own front end."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from blockdrivers.deadline import deadline
from blockdrivers.errors import (
    Ambiguous,
    AuthExpired,
    Busy,
    CertificateError,
    DeadlineExceeded,
    LoginRefused,
    ProtocolError,
    TransportError,
    Unreachable,
)
from blockdrivers.transport.http import HttpTransport, Login
from blockdrivers.transport.tls import TlsOptions
from conformance.simulation import ca
from conformance.simulation.family import Response
from conformance.simulation.server import SimulatedArray

PASSWORD = "the-password"


class Family:
    """Counts logins and changes; a token per login."""

    model, username, password, management_path = "toy", "u", PASSWORD, "/api/"

    def __init__(self):
        self.live: set[str] = set()
        self.logins = 0
        self.changes = 0
        self.immortal = True
        self.guard = threading.Lock()

    def operation(self, request):
        return f"{request.method} {request.path}"

    def handle(self, request):
        with self.guard:
            if request.path.endswith("/login"):
                self.logins += 1
                if request.json()["password"] != PASSWORD:
                    return Response(b"refused", 403)
                token = f"token-{self.logins}"
                self.live.add(token)
                return Response(json.dumps(token).encode())
            if request.headers.get("x-token") not in self.live:
                return Response(b"expired", 401)
            if request.path.endswith("/logout"):
                self.live.discard(request.headers["x-token"])
            if request.method != "GET":
                self.changes += 1
            return Response(b'{"ok": true}')

    def busy(self, request):
        return Response(b"busy", 429)

    def refusal(self, request, code):
        return Response(code.encode(), 409)

    def expire_sessions(self, controller=None):
        with self.guard:
            self.live.clear()

    def ready(self):
        return {}

    def state(self):
        return {}

    def set_full(self, full): ...

    def reset(self): ...


class Authenticator:
    def __init__(self, password=PASSWORD):
        self.password = password

    def login(self, send):
        answer = send("POST", "login", json={"password": self.password})
        if answer.status == 403:
            raise LoginRefused("The array says no.")
        return Login({"X-Token": answer.json()}, "prefix")

    def logout(self, send, login):
        send("DELETE", "logout", headers=login.headers)

    def expired(self, response):
        return response.status == 401


@pytest.fixture
def family():
    return Family()


@pytest.fixture
def array(family):
    with SimulatedArray(family) as simulated:
        yield simulated


@pytest.fixture
def connect(array):
    opened = []

    def open_transport(*, both=True, password=PASSWORD, tls=None, **more):
        ready = array.ready
        addresses = [ready["management"]["url"], ready["management2"]["url"]][: 2 if both else 1]
        options = tls or TlsOptions(ca_file=Path(ready["management"]["ca_file"]))
        opened.append(HttpTransport(addresses, tls=options, authenticator=Authenticator(password), name="toy", **more))
        return opened[-1]

    yield open_transport
    for transport in opened:
        transport.close()


def fault(array, kind, **more):
    requests.post(f"{array.ready['control']}/faults", json={"kind": kind, **more}, timeout=5).raise_for_status()


def test_one_login_serves_every_connection(connect, family):
    transport = connect()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: transport.request("GET", "x").json(), range(64)))
    assert answers == [{"ok": True}] * 64
    assert family.logins == 1


def test_an_expired_session_is_renewed_once_for_all_threads(connect, family):
    transport = connect()
    transport.request("GET", "x")
    family.expire_sessions()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: transport.request("POST", "x"), range(16)))
    assert (family.logins, family.changes) == (2, 16)


def test_a_session_that_is_over_at_once_is_reported(connect, family, monkeypatch):
    transport = connect()
    monkeypatch.setattr(Authenticator, "expired", lambda self, response: True)
    with pytest.raises(AuthExpired):
        transport.request("GET", "x")
    assert family.logins == 2


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_lost_answer(connect, array, family, kind):
    transport = connect()
    transport.request("GET", "x")
    fault(array, kind)
    assert transport.request("GET", "x").json() == {"ok": True}
    fault(array, kind)
    with pytest.raises(Ambiguous):
        transport.request("POST", "x")
    assert family.changes == (1 if kind == "drop_after" else 0)


@pytest.mark.parametrize("kind", ["http_500", "http_503"])
def test_a_server_error_leaves_a_change_open(connect, array, kind):
    transport = connect()
    fault(array, kind, operation="GET *")
    with pytest.raises(Busy):
        transport.request("GET", "x")
    fault(array, kind, operation="POST */x")
    with pytest.raises(Ambiguous):
        transport.request("POST", "x")


def test_garbage_is_a_protocol_error(connect, array):
    transport = connect()
    fault(array, "garbage", operation="GET *")
    with pytest.raises(ProtocolError, match="not JSON"):
        transport.request("GET", "x").json()


def test_the_other_controller_takes_over(connect, array, family):
    transport = connect()
    transport.request("GET", "x")
    fault(array, "failover", count=0)
    assert transport.request("GET", "x").json() == {"ok": True}
    assert transport.request("POST", "x").json() == {"ok": True}
    assert (family.logins, family.changes) == (2, 1)


def test_a_new_connection_that_is_refused_changed_nothing(connect, array, family):
    transport = connect(both=False)
    fault(array, "refuse", count=0)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        transport.request("POST", "x")
    assert (family.logins, family.changes) == (0, 0)


def test_nobody_listens():
    transport = HttpTransport(["http://127.0.0.1:9/"], tls=TlsOptions(), authenticator=Authenticator(), name="toy")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        transport.request("GET", "x")
    transport.close()


def test_a_refused_login_is_not_sent_again(connect, family):
    transport = connect(password="wrong")
    for _ in range(5):
        with pytest.raises(LoginRefused):
            transport.request("GET", "x")
    assert family.logins == 1


def test_a_deadline_ends_a_hanging_request(connect, array):
    transport = connect(both=False)
    transport.request("GET", "x")
    fault(array, "timeout_before", seconds=20)
    with pytest.raises((Ambiguous, DeadlineExceeded)), deadline(0.4, "x") as current:
        transport.request("POST", "x")
    assert current.remaining > -1


def test_connections_are_bounded_and_waiting_for_one_is_too(connect, array):
    transport = connect(max_connections=1)
    transport.request("GET", "x")
    fault(array, "slow", seconds=1.5)
    thread = threading.Thread(target=lambda: transport.request("GET", "x"))
    thread.start()
    while not array.faults.active()[0].hits:
        thread.join(0.01)
    with pytest.raises(Busy, match="in use"), deadline(0.3, "x"):
        transport.request("GET", "x")
    thread.join()


def test_a_certificate_of_another_ca(connect, tmp_path, family):
    stranger = ca.issue(tmp_path, "127.0.0.1").ca_file
    with pytest.raises(CertificateError, match="ca_file"):
        connect(tls=TlsOptions(ca_file=stranger)).request("GET", "x")
    with pytest.raises(CertificateError):
        connect(tls=TlsOptions()).request("GET", "x")
    assert family.logins == 0


def test_a_pinned_certificate(connect, array):
    import hashlib
    import ssl

    first = array.ready["management"]
    shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((first["host"], first["port"])))
    pinned = hashlib.sha256(shown).hexdigest()
    assert connect(tls=TlsOptions(fingerprint=pinned)).request("GET", "x").status == 200
    with pytest.raises(CertificateError, match="fingerprint"):
        connect(tls=TlsOptions(fingerprint="0" * 64)).request("GET", "x")


def test_closing_logs_out_and_ends_everything(connect, family):
    transport = connect()
    transport.request("GET", "x")
    transport.close()
    transport.close()
    assert family.live == set()
    with pytest.raises(TransportError, match="closed"):
        transport.request("GET", "x")


def test_logs_tell_what_was_asked_and_no_secret(connect, caplog):
    with caplog.at_level(logging.DEBUG):
        connect().request("GET", "x", operation="GET things")
    record = next(item for item in caplog.records if getattr(item, "operation", "") == "GET things")
    assert (record.status, record.array) == (200, "toy")
    everything = caplog.text + "".join(str(item.__dict__) for item in caplog.records)
    assert PASSWORD not in everything
    assert "token-1" not in everything
