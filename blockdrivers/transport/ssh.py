"""One array's management interface over SSH: a command line per request, bounded connections, failover, strict host keys.

An array's session is the SSH connection itself. One that has ended while nobody used it is opened again once; what had been sent
over one that ends later is lost: `Ambiguous` where the command changes something, and simply asked again where it reads.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blockdrivers.deadline import pause, remaining
from blockdrivers.errors import BlockDriversError, ConfigurationError, DeadlineExceeded, LoginRefused
from blockdrivers.transport.command import Command
from blockdrivers.transport.session import Failover, NotSent, Pool, Refusals, alone
from blockdrivers.transport.sshoptions import SshOptions, split_address

if TYPE_CHECKING:
    from blockdrivers.transport.sshwire import Connection

_log = logging.getLogger(__name__)

_NEW_CONNECTIONS = 3
"""How many connections to one array begin within a second at most; arrays refuse bursts of logins."""
_HUNG_UP_REMEMBERED = 5.0
"""Seconds for which a controller that hung up during a login is not given the password again: it may be counting."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command answered, read to its end, without the command's own secrets.

    Attributes:
        stdout, stderr: as text; bytes that are no UTF-8 appear escaped.
        status: exit status.
    """

    stdout: str
    stderr: str
    status: int


class HungUp(Exception):
    """The array hung up in the middle of a login."""


@dataclass(slots=True)
class _Controller:
    address: str
    hung_up: float | None = None
    """When it last did so in the middle of a login."""
    host: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.host, self.port = split_address(self.address)


@dataclass(slots=True)
class _Slot:
    """Room for one connection, to whichever controller is asked at present."""

    connection: Connection | None = None
    controller: _Controller | None = None

    def close(self) -> None:
        """End the connection, if there is one."""
        if self.connection is not None:
            self.connection.close()
        self.connection = self.controller = None


class SshTransport:
    """The command line of one array; shared by threads.

    Args:
        options: addresses in order of preference, login, host keys, how many commands are under way at once.
        name: the array's name for errors and logs.
        connect_timeout, read_timeout: seconds, for a connection with its login and for an answer to go on; the current deadline
            may shorten them.
        keepalive: seconds after which an idle connection says that it is still there.
    """

    def __init__(
        self,
        options: SshOptions,
        *,
        name: str = "array",
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        keepalive: float = 30.0,
    ) -> None:
        self._options = options
        self._name = name
        self._timeouts = (connect_timeout, read_timeout)
        self._keepalive = keepalive
        self._failover = Failover([_Controller(address) for address in options.addresses])
        self._pool = Pool(options.max_connections, _Slot, name)
        self._pace = _Pace()
        self._refusals = Refusals(name)
        self._login = threading.Lock()
        self._let_in = False

    def run(self, command: Command, *, operation: str, mutating: bool) -> Result:
        """Run one command and return what it answered, whatever its exit status.

        Args:
            command: see `blockdrivers.transport.command.command`.
            operation: its name for logs and errors, such as ``mkvdisk``.
            mutating: whether it changes the array.

        Raises:
            Unreachable: no controller could be connected to; nothing was sent.
            Ambiguous: a changing command was sent and its outcome is open.
            Busy: the answer to a read was lost, or no connection became free.
            LoginRefused, HostKeyError, DeadlineExceeded.
            ConfigurationError: the private key cannot be read, or paramiko is not installed.
        """
        with self._pool.lent() as slot:
            try:
                return self._failover.anywhere(
                    lambda controller: self._at(controller, slot, command, operation), changes=mutating
                )
            except BlockDriversError as error:
                error.array = error.array or self._name
                error.request = error.request or operation
                raise

    def close(self) -> None:
        """End every connection; nothing can be sent afterwards."""
        if self._pool.shut():
            self._pool.drain()

    # Where a command goes

    def _at(self, controller: _Controller, slot: _Slot, command: Command, operation: str) -> Result:
        if slot.controller is controller and slot.connection is not None and slot.connection.alive:
            try:
                return self._sent(slot.connection, controller, slot, command, operation)
            except NotSent as ended:
                _log.debug("%s %s: the connection had ended (%s)", self._name, controller.address, ended)
        slot.close()
        slot.connection, slot.controller = self._connected(controller), controller
        return self._sent(slot.connection, controller, slot, command, operation)

    def _sent(self, connection: Connection, controller: _Controller, slot: _Slot, command: Command, operation: str) -> Result:
        started = time.monotonic()
        status: int | str = "none"
        try:
            result = connection.run(command, remaining(self._timeouts[1]))
            status = result.status
        except BaseException:
            # What is still under way on it must not be taken for the next command's answer.
            slot.close()
            raise
        else:
            return result
        finally:
            _log.debug(
                "%s %s: %s in %.3f s",
                self._name,
                command.shown,
                status,
                time.monotonic() - started,
                extra={
                    "array": self._name,
                    "controller": controller.address,
                    "operation": operation,
                    "status": status,
                    "seconds": round(time.monotonic() - started, 6),
                },
            )

    # Connections

    def _connected(self, controller: _Controller) -> Connection:
        self._pool.refuse_when_closed()
        self._refusals.raise_remembered()
        _refuse_after_hanging_up(controller)
        turn = self._pace.turn()
        started = time.monotonic()
        try:
            connection = self._connect(controller)
        except NotSent:
            # Where no session begins, the array has had no work with it.
            self._pace.give_back(turn)
            raise
        try:
            # Until the array has let us in once, one login at a time: a wrong password is sent once, not by every thread.
            with nullcontext() if self._let_in else alone(self._login, controller.address, self._name):
                self._refusals.raise_remembered()
                self._log_in(controller, connection)
        except BaseException:
            connection.close()
            raise
        _log.debug("%s logged in to %s in %.3f s", self._name, controller.address, time.monotonic() - started)
        return connection

    def _connect(self, controller: _Controller) -> Connection:
        try:
            from blockdrivers.transport import sshwire  # noqa: PLC0415 - paramiko is there only where arrays need it
        except ImportError as missing:
            raise ConfigurationError(
                f"Arrays managed over SSH need paramiko ({missing}): install blockdrivers[ssh]."
            ) from missing
        address = (controller.host, controller.port)
        return sshwire.Connection(address, self._options.host_keys, self._timeouts[0], self._keepalive)

    def _log_in(self, controller: _Controller, connection: Connection) -> None:
        try:
            connection.log_in(self._options, remaining(self._timeouts[0]))
        except HungUp as error:
            controller.hung_up = time.monotonic()
            raise NotSent(str(error)) from error
        except LoginRefused as refused:
            self._let_in = False
            self._refusals.remember(refused)
            raise
        self._let_in = True
        controller.hung_up = None


class _Pace:
    """Lets connections begin at most so many a second; who is early waits for its turn."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turns: list[float] = []

    def turn(self) -> float:
        """Wait for one's turn and return it; raise `DeadlineExceeded` at once where it comes too late."""
        with self._guard:
            now = time.monotonic()
            self._turns = [turn for turn in self._turns if turn > now - 1.0]
            crowded = len(self._turns) >= _NEW_CONNECTIONS
            turn = self._turns[-_NEW_CONNECTIONS] + 1.0 if crowded else now
            self._turns.append(turn)
        try:
            if turn > now:
                pause(turn - now, "Waiting to connect.")
        except DeadlineExceeded:
            self.give_back(turn)
            raise
        return turn

    def give_back(self, turn: float) -> None:
        """Let somebody else have a turn that came to nothing."""
        with self._guard:
            if turn in self._turns:
                self._turns.remove(turn)


def _refuse_after_hanging_up(controller: _Controller) -> None:
    since = controller.hung_up
    if since is not None and time.monotonic() - since < _HUNG_UP_REMEMBERED:
        raise NotSent("it hung up during the last login, and is left alone for a moment")
