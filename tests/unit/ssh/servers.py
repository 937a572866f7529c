"""A small SSH server whose every stage a test decides: what it says, where it falls silent, where it hangs up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import paramiko

from conformance.simulation.controller import reset
from conformance.simulation.ssh import ServerTransport

USERNAME, PASSWORD = "operator", "the-password"
STAGES = ("banner", "key exchange", "login", "channel", "acceptance", "output", "status")


class Cut(Exception):
    """Ends the connection with a reset."""


@dataclass
class Script:
    """What the server does; a stage's entry is called when it is reached, in whatever thread that is."""

    at: dict[str, Callable[[], None]] = field(default_factory=dict)
    answer: Callable[[str], tuple[bytes | Iterable[bytes], bytes, int | None]] = lambda line: (f"<{line}>".encode(), b"", 0)
    """Command -> stdout (or parts of it), stderr, exit status; no status is sent where it is None."""
    allowed: str = "password,publickey"
    public_key: paramiko.PKey | None = None

    def reach(self, stage: str) -> None:
        self.at.get(stage, lambda: None)()


class Server:
    """Serves until it is left; `released` is set then, so that nobody waits for ever."""

    def __init__(self, script: Script | None = None, key: paramiko.PKey | None = None):
        self.script = script or Script()
        self.key = key or paramiko.ECDSAKey.generate()
        self.commands: list[str] = []
        self.logins: list[str] = []
        self.starts: list[float] = []
        self.most_at_once = 0
        self.released = threading.Event()
        self.open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def shown_key(self):
        return f"{self.key.get_name()} {self.key.get_base64()}"

    @property
    def connections(self):
        return len(self.starts)

    def __exit__(self, *error):
        self.released.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def hang_up(self):
        with self._guard:
            for connection in tuple(self.open):
                reset(connection)

    def hold(self):
        """A stage that is never passed."""
        self.released.wait(20)
        raise Cut

    def say(self, text):
        """Send bytes over every open connection and hang up."""
        for connection in tuple(self.open):
            connection.sendall(text)
        raise Cut

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.starts.append(time.monotonic())
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with self._guard:
            self.open.add(connection)
            self.most_at_once = max(self.most_at_once, len(self.open))
        try:
            self.script.reach("banner")
            if "key exchange" in self.script.at:
                connection.sendall(b"SSH-2.0-toy\r\n")
                self.script.reach("key exchange")
            transport = ServerTransport(connection)
            transport.set_log_channel("tests.ssh_server")
            transport.add_server_key(self.key)
            transport.start_server(server=_Interface(self, transport, connection))
            transport.join()
        except (Cut, OSError, EOFError, paramiko.SSHException):
            reset(connection)
        finally:
            with self._guard:
                self.open.discard(connection)
            connection.close()


class _Interface(paramiko.ServerInterface):
    def __init__(self, server, transport, connection):
        self.server, self.script, self.transport, self.connection = server, server.script, transport, connection

    def get_allowed_auths(self, username):
        return self.script.allowed

    def check_auth_password(self, username, password):
        self.server.logins.append("password")
        self._reach("login")
        right = "password" in self.script.allowed and (username, password) == (USERNAME, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username, key):
        self.server.logins.append("publickey")
        return paramiko.AUTH_SUCCESSFUL if key == self.script.public_key else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        self._reach("channel")
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self._reach("acceptance")
        accepted = self.transport.acceptance(channel)
        self.server.commands.append(command.decode())
        threading.Thread(target=self._run, args=(channel, command.decode(), accepted), daemon=True).start()
        return True

    def _reach(self, stage):
        try:
            self.script.reach(stage)
        except Cut:
            reset(self.connection)
            self.transport.close()
            raise EOFError from None

    def _run(self, channel, line, accepted):
        accepted.wait(10)
        try:
            self.script.reach("output")
            out, err, status = self.script.answer(line)
            for part in [out] if isinstance(out, bytes) else out:
                channel.sendall(part)
            channel.sendall_stderr(err)
            self.script.reach("status")
            if status is not None:
                channel.send_exit_status(status)
            channel.close()
        except Cut:
            reset(self.connection)
        except (OSError, EOFError, paramiko.SSHException):
            return
