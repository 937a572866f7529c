"""The SSH front end of a simulated array: a real server, a command per exec request, faults, counters; one per controller."""

from __future__ import annotations

import contextlib
import hmac
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
    cMSG_CHANNEL_SUCCESS,
)

from conformance.simulation.controller import Controller, Cut, reset
from conformance.simulation.counters import Counters, Entry
from conformance.simulation.family import Command, Output, SshDoor
from conformance.simulation.faults import FaultPlan

_BACKLOG = 128
_PATIENCE = 30.0
_LOG = f"{__name__}.paramiko"
# Nobody reads a simulator's logs; the request log tells what was cut.
logging.getLogger(_LOG).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Account:
    """Who may log in."""

    username: str
    password: str = field(repr=False)
    public_key: paramiko.PKey | None = None
    """Lets its owner in as well as the password does."""


class SshController(Controller[Command, Output]):
    """One management address of an array over SSH; see `Controller`."""

    def __init__(
        self,
        door: SshDoor,
        *,
        name: str,
        host: str,
        port: int,
        faults: FaultPlan,
        counters: Counters,
        latency: Callable[[], float],
        on_failover: Callable[[], None],
        expire: Callable[[], None],
        account: Account,
    ) -> None:
        super().__init__(
            door.handler,
            name=name,
            faults=faults,
            counters=counters,
            latency=latency,
            on_failover=on_failover,
            expire=expire,
        )
        self.account = account
        self.host_key = paramiko.ECDSAKey.generate()
        self._most = door.max_connections
        self._listener = socket.create_server((host, port), backlog=_BACKLOG)
        self._port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._accept, name=f"ssh-controller-{name}", daemon=True)

    @property
    def port(self) -> int:
        """The TCP port that it listens at."""
        return self._port

    @property
    def shown_key(self) -> str:
        """The host key as known_hosts files have it, without a host."""
        return f"{self.host_key.get_name()} {self.host_key.get_base64()}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        if self._thread.is_alive():
            self._thread.join(5)

    def opened(self) -> Collection[socket.socket]:
        """Return the connections that are open now."""
        with self._guard:
            return tuple(self._open)

    def cut(self, connections: Collection[socket.socket]) -> None:
        """Cut those of these connections that are still open."""
        with self._guard:
            for connection in self._open.intersection(connections):
                reset(connection)

    def cut_all(self) -> None:
        """Cut every open connection, as a controller that dies does."""
        self.cut(self.opened())

    def logged_in(self, allowed: bool) -> None:
        """Count a login; refused ones too."""
        self.counters.count("login")
        if self.latency():
            time.sleep(self.latency())
        self.counters.log(Entry("login", "login", self.name, 0 if allowed else 1, None, None, 0.0))

    def logged(self, request: Command, response: Output | None) -> tuple[str, int | None, str | None]:
        """Return the operation instead of a path: a command line may hold secrets."""
        return self.handler.operation(request), response.status if response else None, response.code if response else None

    def internal_error(self) -> Output:
        """Answer as a command that has crashed."""
        return Output(stderr="Segmentation fault\n", status=139)

    def unavailable(self) -> Output:
        """Answer as a management process that is not up yet."""
        return Output(stderr="The management service is not available.\n", status=255)

    def garbage(self) -> Output:
        """Answer what nobody can read, successfully."""
        return Output(stdout='{"data": ["1", "NA\x00\udcff!!<html>\n')

    def expired(self, request: Command) -> Output:
        """End every session; the one that the command came through ends with it."""
        self.expire()
        raise Cut

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name=f"ssh-{self.name}", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._guard:
            self._open.add(connection)
            crowded = self._most is not None and len(self._open) > self._most
        try:
            if self.turns_away() or crowded:
                raise Cut
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = ServerTransport(connection)
            transport.set_log_channel(_LOG)
            transport.add_server_key(self.host_key)
            transport.start_server(server=_Server(self, transport))
            transport.join()
        except (Cut, OSError, EOFError, paramiko.SSHException):
            reset(connection)
        finally:
            with self._guard:
                self._open.discard(connection)
            connection.close()


class ServerTransport(paramiko.Transport):
    """Tells when the acceptance of a command has gone out: its answer must come after that."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self.connection = connection
        self._awaited: dict[int, threading.Event] = {}
        self._held: dict[int, paramiko.Channel] = {}

    @contextlib.contextmanager
    def answering(self, channel: paramiko.Channel) -> Iterator[None]:
        """Take the channels that wait to be taken, and keep each until it is answered: paramiko closes one that nobody holds."""
        waiting = self.accept(0)
        if waiting is not None:
            self._held[waiting.get_id()] = waiting
        try:
            yield
        finally:
            self._held.pop(channel.get_id(), None)

    def acceptance(self, channel: paramiko.Channel) -> threading.Event:
        """Return what is set once the client has been told that its command was accepted."""
        return self._awaited.setdefault(channel.remote_chanid, threading.Event())

    def _send_user_message(self, data: Any) -> None:
        super()._send_user_message(data)  # type: ignore[misc]
        message = data.asbytes()
        if message[:1] == cMSG_CHANNEL_SUCCESS:
            waiting = self._awaited.pop(int.from_bytes(message[1:5], "big"), None)
            if waiting is not None:
                waiting.set()


class _Server(paramiko.ServerInterface):
    def __init__(self, controller: SshController, transport: ServerTransport) -> None:
        self._controller = controller
        self._account = controller.account
        self._transport = transport

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_password(self, username: str, password: str) -> int:
        account = self._account
        right = hmac.compare_digest(f"{username}\0{password}".encode(), f"{account.username}\0{account.password}".encode())
        return self._let_in(right)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        account = self._account
        known = account.public_key is not None and key.asbytes() == account.public_key.asbytes()
        return self._let_in(known and username == account.username)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        accepted = self._transport.acceptance(channel)
        line = command.decode(errors="surrogateescape")
        threading.Thread(target=self._run, args=(channel, line, accepted), name="ssh-command", daemon=True).start()
        return True

    def _let_in(self, allowed: bool) -> int:
        self._controller.logged_in(allowed)
        return AUTH_SUCCESSFUL if allowed else AUTH_FAILED

    def _run(self, channel: paramiko.Channel, line: str, accepted: threading.Event) -> None:
        """Answer in the order that clients rely on: acceptance, output, exit status, end."""
        accepted.wait(_PATIENCE)
        try:
            with self._transport.answering(channel):
                self._answer(channel, line)
        except Cut:
            reset(self._transport.connection)
        except (OSError, EOFError, paramiko.SSHException):
            # Who asked has gone.
            return

    def _answer(self, channel: paramiko.Channel, line: str) -> None:
        controller = self._controller
        if controller.faults.is_down(controller.name):
            raise Cut
        output = controller.answer(Command(line, self._account.username, controller.name))
        channel.sendall(output.stdout.encode(errors="surrogateescape"))
        channel.sendall_stderr(output.stderr.encode(errors="surrogateescape"))
        channel.send_exit_status(output.status)
        channel.shutdown_write()
        channel.close()
