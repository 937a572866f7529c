"""The SSH transport against a server that misbehaves at the wire: strange keys, silence and cuts at every stage, floods."""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import paramiko
import pytest
from pydantic import SecretStr

from blockdrivers.deadline import deadline
from blockdrivers.errors import (
    Ambiguous,
    BlockDriversError,
    Busy,
    ConfigurationError,
    DeadlineExceeded,
    HostKeyError,
    LoginRefused,
    TransportError,
    Unreachable,
)
from blockdrivers.transport import session, ssh, sshwire
from blockdrivers.transport.command import Secret, command
from blockdrivers.transport.ssh import Result, SshTransport
from blockdrivers.transport.sshoptions import HostKeyOptions, SshOptions

from .ssh_servers import PASSWORD, STAGES, USERNAME, Cut, Script, Server

LOOK, CHANGE = command("lsthing"), command("mkthing", "a")
BEFORE_IT_IS_SENT = ("banner", "key exchange", "login", "channel")
AFTERWARDS = ("acceptance", "output", "status")


@pytest.fixture
def serve():
    running = []

    def start(script=None, **more):
        running.append(Server(script, **more))
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def connect(serve):
    """Return a function that opens a transport; depends on `serve` so as to be closed before the servers are."""
    opened = []

    def open_transport(*servers, host_keys=None, password=PASSWORD, max_connections=4, key_file=None, passphrase=None, **more):
        options = SshOptions(
            addresses=[server if isinstance(server, str) else server.address for server in servers],
            username=USERNAME,
            password=None if key_file else SecretStr(password),
            private_key_file=key_file,
            passphrase=passphrase and SecretStr(passphrase),
            host_keys=host_keys or HostKeyOptions(keys=tuple(server.shown_key for server in servers)),
            max_connections=max_connections,
        )
        opened.append(SshTransport(options, name="toy", **more))
        return opened[-1]

    yield open_transport
    for transport in opened:
        transport.close()


def look(transport):
    return transport.run(LOOK, operation="lsthing", mutating=False)


def change(transport):
    return transport.run(CHANGE, operation="mkthing", mutating=True)


def cut():
    raise Cut


# Answers


def test_output_errors_and_status_come_apart(serve, connect):
    script = Script(answer=lambda line: (b"out " + line.encode(), "err \u4e2d".encode(), 3))
    assert look(connect(serve(script))) == Result("out lsthing", "err \u4e2d", 3)


def test_bytes_that_are_no_text_are_shown_escaped(serve, connect):
    assert look(connect(serve(Script(answer=lambda line: (b"a\xff\x00b", b"", 0))))).stdout == "a\\xff\0b"


def test_much_output_on_both_channels_is_read_whole(serve, connect):
    script = Script(answer=lambda line: (b"o" * 5_000_000, b"e" * 3_000_000, 0))
    result = look(connect(serve(script)))
    assert (len(result.stdout), len(result.stderr)) == (5_000_000, 3_000_000)


def test_an_endless_answer_is_cut_off(serve, connect, monkeypatch):
    monkeypatch.setattr(sshwire, "MAX_OUTPUT", 2**20)
    server = serve(Script(answer=lambda line: (b"x" * 2**23, b"", 0)))
    with pytest.raises(Ambiguous, match="longer than 1048576"):
        change(connect(server))


def test_one_connection_serves_many_commands(serve, connect):
    server = serve()
    transport = connect(server)
    assert [look(transport).stdout for _ in range(20)] == ["<lsthing>"] * 20
    assert (server.connections, server.logins) == (1, ["password"])


def test_an_answer_counts_although_its_channel_cannot_be_closed_any_more(serve, connect, monkeypatch):
    server = serve()
    transport = connect(server)
    close = paramiko.Channel.close

    def cut(channel):
        close(channel)
        server.hang_up()
        raise EOFError

    monkeypatch.setattr(paramiko.Channel, "close", cut)
    assert change(transport).stdout == "<mkthing a>"
    monkeypatch.undo()
    assert change(transport).status == 0
    assert server.commands == ["mkthing a", "mkthing a"]


def test_no_status_is_no_answer(serve, connect):
    server = serve(Script(answer=lambda line: (b"half", b"", None)))
    transport = connect(server)
    with pytest.raises(Ambiguous, match="exit status"):
        change(transport)
    with pytest.raises(Busy):
        look(transport)


# Silence and cuts, at every stage


@pytest.mark.parametrize("stage", STAGES)
def test_silence_at_any_stage_ends_with_the_deadline(serve, connect, stage):
    server = serve()
    server.script.at[stage] = server.hold
    transport = connect(server)
    afterwards = stage in AFTERWARDS
    for step, expected in ((change, Ambiguous if afterwards else Unreachable), (look, Busy if afterwards else Unreachable)):
        started = time.monotonic()
        with pytest.raises((DeadlineExceeded, expected)), deadline(0.6, "x"):
            step(transport)
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("stage", STAGES)
def test_a_cut_at_any_stage(serve, connect, stage):
    server = serve(Script(at={stage: cut}))
    transport = connect(server)
    with pytest.raises(Ambiguous if stage in AFTERWARDS else Unreachable) as lost:
        change(transport)
    assert (lost.value.array, lost.value.request) == ("toy", "mkthing")
    assert "mkthing" not in " ".join(server.commands) or stage in AFTERWARDS


@pytest.mark.parametrize("stage", BEFORE_IT_IS_SENT)
def test_a_change_goes_to_the_other_controller_while_nothing_was_sent(serve, connect, stage):
    first, second = serve(Script(at={stage: cut})), serve()
    assert change(connect(first, second)).status == 0
    assert (first.commands, second.commands) == ([], ["mkthing a"])


@pytest.mark.parametrize("stage", AFTERWARDS)
def test_a_change_is_not_sent_twice_but_a_read_is(serve, connect, stage):
    first, second = serve(Script(at={stage: cut})), serve()
    transport = connect(first, second)
    with pytest.raises(Ambiguous):
        change(transport)
    assert second.commands == []
    assert change(transport).status == 0
    assert look(connect(first, second)).stdout == "<lsthing>"


def test_an_answer_in_drops_does_not_outlive_the_deadline(serve, connect):
    server = serve()

    def drops():
        while not server.released.wait(0.02):
            yield b" "

    server.script.answer = lambda line: (drops(), b"", 0)
    transport = connect(server)
    started = time.monotonic()
    with pytest.raises(Ambiguous, match="deadline"), deadline(0.6, "x"):
        change(transport)
    assert time.monotonic() - started < 3


def test_the_next_command_never_gets_the_last_one_s_answer(serve, connect):
    server = serve()
    server.script.at["output"] = lambda: time.sleep(0.5)
    transport = connect(server)
    with pytest.raises(Busy), deadline(0.3, "x"):
        look(transport)
    server.script.at.clear()
    assert transport.run(command("other"), operation="other", mutating=False).stdout == "<other>"
    assert server.connections == 2


def test_a_connection_that_ended_while_idle_is_opened_again(serve, connect):
    server = serve()
    transport = connect(server)
    look(transport)
    server.hang_up()
    assert change(transport).status == 0
    assert server.commands == ["lsthing", "mkthing a"]
    assert server.connections == 2


def test_nobody_listens(connect):
    transport = connect("127.0.0.1:9", host_keys=HostKeyOptions(verify=False))
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        look(transport)


def test_what_speaks_no_ssh(serve, connect):
    server = serve(Script(at={"banner": lambda: server.say(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200)}))
    # What hangs up may have done so before the connection is looked at for the first time.
    with pytest.raises(Unreachable, match=r"no SSH session|BrokenPipe"):
        look(connect(server))


@pytest.mark.parametrize("stage", ["banner", "key exchange"])
def test_silence_before_a_session_is_called_that(serve, connect, stage):
    server = serve()
    server.script.at[stage] = server.hold
    with pytest.raises(Unreachable, match=r"silent for 0\.4 s"):
        look(connect(server, connect_timeout=0.4))


def test_hanging_up_before_a_session_is_called_that(connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up():
            listener.accept()[0].close()

        ended = threading.Thread(target=hang_up)
        ended.start()
        transport = connect(f"127.0.0.1:{listener.getsockname()[1]}", host_keys=HostKeyOptions(verify=False))
        with pytest.raises(Unreachable, match=r"hung up|does not introduce itself"):
            look(transport)
        ended.join()


# Trust


def test_an_unknown_host_key_gets_no_password(serve, connect, tmp_path):
    server = serve()
    nothing = tmp_path / "known_hosts"
    nothing.touch()
    with pytest.raises(HostKeyError, match=r"is not known.*SHA256:.*fingerprints"):
        look(connect(server, host_keys=HostKeyOptions(known_hosts=nothing)))
    assert server.logins == []


def test_a_changed_host_key_gets_no_password_and_is_not_passed_over(serve, connect):
    server, second = serve(), serve()
    changed = HostKeyOptions(keys=(second.shown_key,))
    with pytest.raises(HostKeyError, match="another one than expected"):
        look(connect(server, second, host_keys=changed))
    assert (server.logins, second.logins) == ([], [])


def test_a_fingerprint(serve, connect):
    server = serve()
    assert look(connect(server, host_keys=HostKeyOptions(fingerprints=(server.key.fingerprint,)))).status == 0
    with pytest.raises(HostKeyError):
        look(connect(server, host_keys=HostKeyOptions(fingerprints=("SHA256:" + "A" * 43,))))


@pytest.mark.parametrize("hashed", [False, True])
def test_a_known_hosts_file(serve, connect, tmp_path, hashed):
    server = serve()
    name = f"[127.0.0.1]:{server.port}"
    known = tmp_path / "known_hosts"
    known.write_text(f"# ours\n{paramiko.HostKeys.hash_host(name) if hashed else name} {server.shown_key}\n")
    assert look(connect(server, host_keys=HostKeyOptions(known_hosts=known))).status == 0


def test_an_address_that_moves_between_controllers_has_a_known_key_of_each(serve, connect, tmp_path):
    """Both of one type, between lines that say nothing."""
    server, other = serve(), serve()
    name = f"[127.0.0.1]:{server.port}"
    known = tmp_path / "known_hosts"
    unread = ("# note", "", "x", f"{name} ssh-rsa not-base64", f"{name} ssh-dss AAAAB3NzaC1kc3M=", f"|1|? {server.shown_key}")
    lines = [*unread, f"{name} {other.shown_key}", f"{name} {server.shown_key} a comment"]
    known.write_text("\n".join(lines))
    assert look(connect(server, host_keys=HostKeyOptions(known_hosts=known))).status == 0
    known.write_text(f"@revoked {name} {server.shown_key}\n{name} {other.shown_key}\n")
    with pytest.raises(HostKeyError, match="another one"):
        look(connect(server, host_keys=HostKeyOptions(known_hosts=known)))


def test_a_known_hosts_file_counts_beside_a_fingerprint(serve, connect, tmp_path):
    first, second = serve(), serve()
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{first.port} {first.shown_key}\n")
    both = HostKeyOptions(known_hosts=known, fingerprints=(second.key.fingerprint,))
    for server in (first, second):
        assert look(connect(server, host_keys=both)).status == 0


def test_the_account_s_known_hosts_file_is_asked_where_nothing_is_said(serve, connect, tmp_path, monkeypatch):
    server = serve()
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HostKeyError):
        look(connect(server, host_keys=HostKeyOptions()))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.shown_key}\n")
    assert look(connect(server, host_keys=HostKeyOptions())).status == 0


def test_a_key_of_a_known_type_is_asked_for(serve, connect):
    rsa = serve(key=paramiko.RSAKey.generate(2048))
    assert look(connect(rsa)).status == 0


def test_verification_is_off_only_in_so_many_words(serve, connect):
    assert look(connect(serve(), host_keys=HostKeyOptions(verify=False))).status == 0


# Login


def test_a_wrong_password_is_sent_once_by_all_threads(serve, connect):
    first, second = serve(), serve()
    transport = connect(first, second, password="wrong-one-of-the-test", max_connections=4)

    def ask(_):
        with pytest.raises(LoginRefused, match="locked") as refused:
            look(transport)
        return repr(refused.value) + str(refused.value.as_dict())

    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(ask, range(12)))
    assert (first.logins, second.logins) == (["password"], [])
    assert "wrong-one" not in "".join(shown)


def test_a_refused_login_is_tried_again_later(serve, connect, monkeypatch):
    server = serve()
    transport = connect(server, password="wrong")
    for remembered in (30.0, 0.0):
        monkeypatch.setattr(session, "REFUSAL_REMEMBERED", remembered)
        with pytest.raises(LoginRefused):
            look(transport)
    assert len(server.logins) == 2


def test_an_array_that_hangs_up_at_a_login_is_not_sent_the_password_over_and_over(serve, connect, monkeypatch):
    server = serve(Script(at={"login": cut}))
    transport = connect(server)
    for _ in range(3):
        with pytest.raises(Unreachable):
            look(transport)
    assert len(server.logins) == 1
    monkeypatch.setattr(ssh, "_HUNG_UP_REMEMBERED", 0.0)
    server.script.at.clear()
    assert look(transport).status == 0


@pytest.mark.parametrize("passphrase", [None, "of-the-key"])
def test_a_private_key(serve, connect, tmp_path, passphrase):
    key = paramiko.ECDSAKey.generate()
    path = tmp_path / "id"
    key.write_private_key_file(str(path), password=passphrase)
    server = serve(Script(public_key=key))
    assert look(connect(server, key_file=path, passphrase=passphrase)).status == 0
    assert server.logins == ["publickey"]
    other = serve(Script(public_key=paramiko.ECDSAKey.generate()))
    with pytest.raises(LoginRefused, match="private key"):
        look(connect(other, key_file=path, passphrase=passphrase))


@pytest.mark.parametrize("passphrase", [None, "another"])
def test_a_private_key_that_cannot_be_read(serve, connect, tmp_path, passphrase):
    path = tmp_path / "id"
    paramiko.ECDSAKey.generate().write_private_key_file(str(path), password="of-the-key")
    with pytest.raises(ConfigurationError, match="passphrase"):
        look(connect(serve(), key_file=path, passphrase=passphrase))


def test_an_array_that_wants_another_kind_of_login(serve, connect):
    with pytest.raises(LoginRefused, match="publickey"):
        look(connect(serve(Script(allowed="publickey"))))


# How many at once


def test_connections_are_bounded_and_waiting_for_one_is_too(serve, connect):
    server = serve()
    asked = threading.Event()
    server.script.at["output"] = lambda: (asked.set(), server.released.wait(1.0))
    transport = connect(server, max_connections=2)
    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(look, transport) for _ in range(6)]
        assert asked.wait(10)
        time.sleep(0.3)
        with pytest.raises(Busy, match="in use"), deadline(0.2, "x"):
            look(transport)
        assert [one.result(20).status for one in running] == [0] * 6
    assert server.most_at_once == 2


def test_no_burst_of_new_connections(serve, connect):
    server = serve()
    server.script.at["output"] = lambda: time.sleep(0.7)
    transport = connect(server, max_connections=8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: look(transport), range(8)))
    starts = sorted(server.starts)
    assert all(later - earlier > 0.9 for earlier, later in zip(starts, starts[3:], strict=False))
    assert len(starts) > 3


def test_who_has_no_time_to_wait_for_a_turn_is_told_at_once(serve, connect):
    transport = connect(serve())
    for _ in range(3):
        transport._pace.turn()
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded), deadline(0.4, "x"):
        look(transport)
    assert time.monotonic() - started < 0.3


def test_waiting_for_another_thread_s_login_ends_with_the_deadline(serve, connect):
    server = serve()
    asked = threading.Event()
    server.script.at["login"] = lambda: (asked.set(), server.released.wait(5))
    transport = connect(server)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(look, transport)
        assert asked.wait(10)
        started = time.monotonic()
        with pytest.raises((Busy, DeadlineExceeded)), deadline(0.3, "x"):
            look(transport)
        assert time.monotonic() - started < 3
        server.released.set()
        assert patient.result(10).status == 0


def test_a_deadline_that_has_passed_sends_nothing(serve, connect):
    server = serve()
    transport = connect(server)
    with pytest.raises(DeadlineExceeded), deadline(0, "x"):
        change(transport)
    assert server.connections == 0


# The end


def test_closing_ends_every_connection(serve, connect):
    server = serve()
    transport = connect(server)
    look(transport)
    transport.close()
    transport.close()
    end = time.monotonic() + 5
    while server.open and time.monotonic() < end:
        time.sleep(0.02)
    assert not server.open
    with pytest.raises(TransportError, match="closed"):
        look(transport)


def test_no_thread_is_left(serve, connect):
    before = set(threading.enumerate())
    server = serve()
    transport = connect(server)
    look(transport)
    server.script.at["output"] = cut
    with suppress(BlockDriversError):
        change(transport)
    transport.close()
    end = time.monotonic() + 5
    while (left := set(threading.enumerate()) - before - {server._thread}) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left


# Secrets


def test_no_secret_in_logs_results_or_errors(serve, connect, caplog):
    secret = "ch4p-s3cret-77"
    server = serve(Script(answer=lambda line: (line.encode(), f"bad value: {line}".encode(), 1)))
    transport = connect(server)
    made = command("chhost", "-chapsecret", Secret(secret), "h1")
    with caplog.at_level(logging.DEBUG):
        result = transport.run(made, operation="chhost", mutating=True)
        server.script.at["output"] = cut
        with pytest.raises(Ambiguous) as lost:
            transport.run(made, operation="chhost", mutating=True)
    assert server.commands[0] == f"chhost -chapsecret {secret} h1"
    assert result.stderr == "bad value: chhost -chapsecret *** h1"
    everything = caplog.text + "".join(str(item.__dict__) for item in caplog.records) + repr(lost.value) + repr(result)
    assert "chhost -chapsecret *** h1" in caplog.text
    for hidden in (secret, PASSWORD):
        assert hidden not in everything
    record = next(item for item in caplog.records if getattr(item, "operation", "") == "chhost")
    assert (record.status, record.array, record.controller) == (1, "toy", server.address)
    assert {item.levelno for item in caplog.records if item.name.startswith("blockdrivers")} == {logging.DEBUG}


# Under concurrency


def test_each_controller_is_tried_although_others_turn_away_meanwhile():
    controllers = [ssh._Controller(f"192.0.2.{number}") for number in (1, 2, 3)]
    shared = session.Failover(controllers)
    tried = []

    def send(controller):
        tried.append(controller.address)
        if len(tried) == 1:
            # Another thread finds this controller and all others dead: the present one is this one again.
            for each in controllers:
                shared._turn_away_from(each)
        raise session.NotSent("no")

    with pytest.raises(Unreachable):
        shared.anywhere(send, changes=True)
    assert sorted(tried) == [each.address for each in controllers]


def test_a_connection_that_comes_back_while_the_pool_closes_is_closed_too(monkeypatch):
    class Connection:
        closed = False

        def close(self):
            self.closed = True

    pool = session.Pool(1, Connection, "toy")
    put = pool._idle.put

    def close_then_put(item):
        monkeypatch.undo()
        assert pool.shut()
        pool.drain()
        put(item)

    with pool.lent() as connection:
        monkeypatch.setattr(pool._idle, "put", close_then_put)
    assert connection.closed
    with pytest.raises(TransportError, match="closed"), pool.lent():
        pass


def test_who_waits_for_a_connection_is_told_that_the_pool_was_closed():
    pool = session.Pool(1, lambda: None, "toy")
    with ThreadPoolExecutor(2) as threads:
        with pool.lent():
            waiting = [threads.submit(lambda: pool.lent().__enter__()) for _ in range(2)]
            assert pool.shut()
            pool.drain()
        for each in waiting:
            with pytest.raises(TransportError, match="closed"):
                each.result(5)
