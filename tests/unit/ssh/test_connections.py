"""How many connections the SSH transport has at once, who waits for one, and how they end."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from blockdrivers.deadline import deadline
from blockdrivers.errors import BlockDriversError, Busy, DeadlineExceeded, TransportError, Unreachable
from blockdrivers.transport import session, ssh
from tests.unit.ssh.commands import change, cut, look
from tests.waiting import until


def test_connections_are_bounded_and_waiting_for_one_is_too(serve, connect):
    server = serve()
    busy = threading.Semaphore(0)
    server.script.at["output"] = lambda: (busy.release(), server.released.wait(60))
    transport = connect(server, max_connections=2)
    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(look, transport) for _ in range(6)]
        for _ in range(2):
            assert busy.acquire(timeout=60)
        with pytest.raises(Busy, match="in use"), deadline(0.2, "x"):
            look(transport)
        server.released.set()
        assert [one.result(20).status for one in running] == [0] * 6
    assert server.most_at_once == 2


def test_no_burst_of_new_connections(serve, connect, monkeypatch):
    server = serve()
    everybody = threading.Barrier(8)
    server.script.at["output"] = lambda: everybody.wait(60)
    transport = connect(server, max_connections=8)
    turns = []
    real = transport._pace.turn

    def turn():
        mine = real()
        turns.append((mine, time.monotonic()))
        return mine

    monkeypatch.setattr(transport._pace, "turn", turn)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: look(transport), range(8)))
    assert len(turns) == server.connections == 8
    assert all(begun > mine - 0.01 for mine, begun in turns)
    given = sorted(mine for mine, _ in turns)
    assert all(later - earlier >= 1.0 for earlier, later in zip(given, given[3:], strict=False))


def test_who_has_no_time_to_wait_for_a_turn_is_told_at_once(serve, connect):
    transport = connect(serve())
    transport._pace._turns = [time.monotonic() + 60] * 3
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded), deadline(30, "x"):
        look(transport)
    assert time.monotonic() - started < 15


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


def test_closing_ends_every_connection(serve, connect):
    server = serve()
    transport = connect(server)
    look(transport)
    transport.close()
    transport.close()
    until(lambda: not server.open)
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
    until(lambda: not set(threading.enumerate()) - before - {server._thread})


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
