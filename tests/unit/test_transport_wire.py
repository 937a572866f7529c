"""The transport against a server that misbehaves at the wire: cuts, pauses, floods, and certificates of others."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from blockdrivers.deadline import deadline
from blockdrivers.errors import (
    Ambiguous,
    Busy,
    CertificateError,
    DeadlineExceeded,
    LoginRefused,
    TransportError,
    Unreachable,
)
from blockdrivers.transport import http, session
from blockdrivers.transport.http import HttpTransport, Login
from blockdrivers.transport.tls import TlsOptions
from conformance.simulation import ca

from .servers import Cut, Server, answer


class Authenticator:
    def login(self, send):
        said = send("POST", "login")
        if said.status == 403:
            raise LoginRefused("The array says no.")
        return Login({"X-Token": said.json()})

    def logout(self, send, login):
        send("DELETE", "login", headers=login.headers)

    def expired(self, response):
        return response.status == 401


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return ca.issue(tmp_path_factory.mktemp("ca"), "127.0.0.1")


@pytest.fixture
def serve(certificates):
    """Return a function that starts a server; logins are answered, the rest is the test's."""
    running = []

    def start(handle=lambda request: answer("done"), *, login=lambda request: answer("t"), tls=True, host="127.0.0.1"):
        def both(request):
            return (login if request.path.endswith("/login") else handle)(request)

        running.append(Server(both, certificates if tls else None, host))
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def connect(certificates, serve):
    """Return a function that opens a transport; depends on `serve` so as to be closed before the servers are."""
    opened = []

    def open_transport(*servers, tls=None, **more):
        options = tls or TlsOptions(ca_file=certificates.ca_file)
        addresses = [server if isinstance(server, str) else server.address for server in servers]
        opened.append(HttpTransport(addresses, tls=options, authenticator=Authenticator(), name="toy", **more))
        return opened[-1]

    yield open_transport
    for transport in opened:
        transport.close()


def sent(server, path="/api/x"):
    return [request.method for request in server.requests if request.path == path]


def cut(request):
    raise Cut


def half(request):
    return [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", *cut(request)]


def garbage(request):
    return b"\x00\x01 nonsense\r\n\r\n"


@pytest.mark.parametrize("broken", [cut, half, garbage, lambda request: None], ids=["reset", "half", "garbage", "closed"])
def test_an_answer_that_does_not_come_whole(serve, connect, broken):
    server = serve(broken)
    transport = connect(server)
    with pytest.raises(Ambiguous) as lost:
        transport.request("POST", "x", operation="POST x")
    assert (lost.value.array, lost.value.request) == ("toy", "POST x")
    assert sent(server) == ["POST"]
    with pytest.raises(Busy):
        transport.request("GET", "x")


def test_half_a_body_is_not_taken_for_a_whole_one(serve, connect):
    server = serve(lambda request: [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n[1, 2]", b""])
    server.handle = lambda request: answer("t") if request.path.endswith("login") else _shortened(server)
    with pytest.raises(Ambiguous):
        connect(server).request("PUT", "x")


def _shortened(server):
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1, 2]"
    server.hang_up()


def test_a_change_is_not_sent_to_the_second_controller_once_the_first_has_it(serve, connect):
    first, second = serve(cut), serve()
    transport = connect(first, second)
    with pytest.raises(Ambiguous):
        transport.request("POST", "x")
    assert (sent(first), sent(second)) == (["POST"], [])
    assert transport.request("POST", "x").json() == "done"
    assert (sent(first), sent(second)) == (["POST"], ["POST"])


def test_a_read_goes_on_to_the_second_controller(serve, connect):
    first, second = serve(cut), serve()
    assert connect(first, second).request("GET", "x").json() == "done"
    assert (sent(first), sent(second)) == (["GET"], ["GET"])


def test_a_change_whose_login_was_lost_goes_to_the_second_controller(serve, connect):
    first, second = serve(login=cut), serve()
    assert connect(first, second).request("POST", "x").json() == "done"
    assert (sent(first), sent(second)) == ([], ["POST"])


def test_a_server_that_does_not_speak_tls_gets_no_request(serve, connect):
    server = serve(tls=False)
    with pytest.raises(Unreachable):
        connect(server.address.replace("http:", "https:")).request("POST", "x")
    assert server.requests == []


def test_connections_are_kept_and_a_tidily_closed_one_harms_no_change(serve, connect):
    server = serve()
    transport = connect(server)
    for _ in range(5):
        transport.request("POST", "x")
    assert server.connections == 1
    closed = threading.Event()
    server.handle = lambda request: _answer_and_close(server, closed)
    transport.request("POST", "x")
    server.handle = lambda request: answer("again")
    closed.wait(5)
    assert transport.request("POST", "x").json() == "again"
    assert server.connections == 2
    assert len(sent(server)) == 7


def _answer_and_close(server, closed):
    yield answer("done")
    server.hang_up()
    closed.set()


def test_a_chunked_answer_keeps_the_connection(serve, connect):
    server = serve(lambda request: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n")
    transport = connect(server)
    assert [transport.request("GET", "x").json() for _ in range(3)] == [[1, 2]] * 3
    assert server.connections == 1


def test_an_answer_in_drops_does_not_outlive_the_deadline(serve, connect):
    def drops(request):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"
        while not server.released.wait(0.02):
            yield b" "

    server = serve(drops)
    transport = connect(server)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="read x"), deadline(0.5, "read x"):
        transport.request("GET", "x")
    assert time.monotonic() - started < 5


def test_an_endless_answer_is_cut_off(serve, connect, monkeypatch):
    def flood(request):
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while not server.released.is_set():
            yield b"x" * 65536

    monkeypatch.setattr(http, "MAX_BODY", 2**20)
    server = serve(flood)
    with pytest.raises(Ambiguous, match="longer than 1048576"):
        connect(server).request("POST", "x")


def test_a_redirect_is_not_followed(serve, connect):
    elsewhere = serve()
    server = serve(lambda request: answer(status=307, Location=f"{elsewhere.address}/x"))
    assert connect(server).request("POST", "x").status == 307
    assert elsewhere.requests == []


def test_neither_cookies_nor_proxies_of_the_surroundings_are_used(serve, connect, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", os.devnull)
    server = serve(lambda request: answer("done", **{"Set-Cookie": "session=1"}))
    transport = connect(server)
    transport.request("GET", "x")
    transport.request("GET", "x")
    assert not any("cookie" in request.headers for request in server.requests)


def test_being_told_to_slow_down_leaves_nothing_open(serve, connect):
    with pytest.raises(Busy, match="429"):
        connect(serve(lambda request: answer(status=429))).request("POST", "x")


def test_a_server_error_that_is_the_interface_s_own_refusal_leaves_nothing_open(serve, connect):
    def answered(response):
        return response.json() == "no such name"

    with pytest.raises(Ambiguous):
        connect(serve(lambda request: answer("broken", status=500)), answered=answered).request("POST", "x")
    refusing = serve(lambda request: answer("no such name", status=500))
    assert connect(refusing, answered=answered).request("POST", "x").status == 500
    with pytest.raises(Ambiguous):
        connect(refusing).request("POST", "x")


def test_another_body_than_json_and_a_dot_that_stays_escaped(serve, connect):
    server = serve()
    connect(server).request("POST", "files/a%252Eb", body=("text/plain", b"x"), params={"q": "%2E"})
    (request,) = [request for request in server.requests if request.method == "POST" and "files" in request.path]
    assert "/files/a%2Eb" in request.path
    assert request.headers["content-type"] == "text/plain"
    assert request.body == b"x"


# Trust


def test_a_certificate_that_names_another_host(serve, connect, certificates):
    server = serve(host="127.0.0.2")
    with pytest.raises(CertificateError, match=r"127\.0\.0\.2"):
        connect(server).request("GET", "x")
    assert server.requests == []
    lenient = TlsOptions(ca_file=certificates.ca_file, check_hostname=False)
    assert connect(server, tls=lenient).request("GET", "x").status == 200


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_an_unverified_certificate_is_taken_where_the_configuration_says_so(serve, connect):
    assert connect(serve(), tls=TlsOptions(verify=False)).request("GET", "x").status == 200


def test_a_wrong_certificate_is_not_passed_over_for_the_second_controller(serve, connect):
    first, second = serve(host="127.0.0.2"), serve()
    with pytest.raises(CertificateError):
        connect(first, second).request("GET", "x")
    assert second.requests == []


# Sessions


def test_threads_that_meet_a_refused_login_send_it_once(serve, connect):
    first, second = serve(login=lambda request: answer(status=403)), serve()
    transport = connect(first, second)

    def ask(_):
        with pytest.raises(LoginRefused, match="says no"):
            transport.request("GET", "x")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(32)))
    assert len(first.requests) == 1
    assert second.requests == []


def test_a_refused_login_is_tried_again_later(serve, connect, monkeypatch):
    said = [answer(status=403), answer("t")]
    transport = connect(serve(login=lambda request: said.pop(0)))
    with pytest.raises(LoginRefused):
        transport.request("GET", "x")
    monkeypatch.setattr(session, "REFUSAL_REMEMBERED", 0.0)
    assert transport.request("GET", "x").json() == "done"
    said.append(answer())


def test_waiting_for_another_thread_s_login_ends_with_the_deadline(serve, connect):
    asked = threading.Event()

    def slow(request):
        asked.set()
        server.released.wait(20)
        return answer("t")

    server = serve(login=slow)
    transport = connect(server)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(transport.request, "GET", "x")
        assert asked.wait(10)
        started = time.monotonic()
        with pytest.raises((Busy, DeadlineExceeded)), deadline(0.3, "x"):
            transport.request("GET", "x")
        assert time.monotonic() - started < 5
        server.released.set()
        assert patient.result(10).json() == "done"


def test_a_deadline_that_has_passed_sends_nothing(serve, connect):
    server = serve()
    transport = connect(server)
    with pytest.raises(DeadlineExceeded), deadline(0, "x"):
        transport.request("POST", "x")
    assert server.requests == []


# The end


def test_a_logout_that_hangs_does_not_hold_up_the_end(serve, connect, monkeypatch):
    monkeypatch.setattr(http, "_LOGOUT_SECONDS", 0.3)
    server = serve()
    transport = connect(server)
    transport.request("GET", "x")
    server.handle = lambda request: server.released.wait(20) and None
    started = time.monotonic()
    transport.close()
    assert time.monotonic() - started < 5
    assert server.requests[-1].method == "DELETE"


def test_who_waits_for_a_connection_at_the_end_sends_nothing_more(serve, connect):
    asked = threading.Event()

    def slow(request):
        asked.set()
        server.released.wait(20)
        return answer("done")

    server = serve(slow)
    transport = connect(server, max_connections=1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(transport.request, "GET", "x")
        assert asked.wait(10)
        waiting = pool.submit(transport.request, "GET", "x")
        transport.close()
        server.released.set()
        assert first.result(10).json() == "done"
        with pytest.raises(TransportError, match="closed"):
            waiting.result(10)
    assert [request.method for request in server.requests] == ["POST", "GET", "DELETE"]


def test_nobody_logs_in_again_after_the_end(serve, connect):
    asked, over = threading.Event(), threading.Event()

    def expire(request):
        asked.set()
        over.wait(20)
        return answer(status=401)

    server = serve(expire)
    transport = connect(server)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(transport.request, "GET", "x")
        assert asked.wait(10)
        transport.close()
        over.set()
        with pytest.raises(TransportError, match="closed"):
            late.result(10)
    assert [request.path for request in server.requests if request.method == "POST"] == ["/api/login"]
