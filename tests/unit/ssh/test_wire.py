"""The SSH transport against a server that misbehaves at the wire: odd answers, floods, silence and cuts at every stage."""

from __future__ import annotations

import socket
import threading
import time

import paramiko
import pytest

from blockdrivers.deadline import deadline
from blockdrivers.errors import Ambiguous, Busy, DeadlineExceeded, Unreachable
from blockdrivers.transport import sshwire
from blockdrivers.transport.command import command
from blockdrivers.transport.ssh import Result
from blockdrivers.transport.sshoptions import HostKeyOptions
from tests.unit.ssh.commands import change, cut, look
from tests.unit.ssh.servers import STAGES, Script

BEFORE_IT_IS_SENT = ("banner", "key exchange", "login", "channel")


AFTERWARDS = ("acceptance", "output", "status")


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
        # The server's own channels are of the same class.
        if not channel.get_transport().server_mode:
            server.hang_up()
            raise EOFError

    monkeypatch.setattr(paramiko.Channel, "close", cut)
    # A channel of an earlier connection is closed whenever it is collected, which must not cut this one.
    monkeypatch.setattr(paramiko.Channel, "__del__", lambda channel: None)
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


@pytest.mark.parametrize("stage", STAGES)
def test_silence_at_any_stage_ends_with_the_deadline(serve, connect, stage):
    afterwards = stage in AFTERWARDS
    for step, expected in ((change, Ambiguous if afterwards else Unreachable), (look, Busy if afterwards else Unreachable)):
        server = serve()
        transport = connect(server)
        if afterwards:
            # With a connection that stands, what comes before that stage takes nothing of the deadline.
            look(transport)
        server.script.at[stage] = server.hold
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

    transport = connect(server)
    look(transport)
    server.script.answer = lambda line: (drops(), b"", 0)
    started = time.monotonic()
    with pytest.raises(Ambiguous, match="deadline"), deadline(0.6, "x"):
        change(transport)
    assert time.monotonic() - started < 3


def test_the_next_command_never_gets_the_last_one_s_answer(serve, connect):
    server = serve()
    transport = connect(server)
    look(transport)
    late = threading.Event()
    server.script.at["output"] = lambda: late.wait(60)
    with pytest.raises(Busy), deadline(0.3, "x"):
        look(transport)
    server.script.at.clear()
    late.set()
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
