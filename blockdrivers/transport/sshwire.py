"""One SSH connection to one controller: host key, login, commands; every step bounded in time. All of paramiko is here."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from blockdrivers.deadline import remaining
from blockdrivers.errors import ConfigurationError, DeadlineExceeded, HostKeyError, LoginRefused
from blockdrivers.transport.command import Command
from blockdrivers.transport.session import Lost, NotSent
from blockdrivers.transport.ssh import HungUp, Result
from blockdrivers.transport.sshoptions import DEFAULT_PORT, HostKeyOptions, SshOptions, key_blob

MAX_OUTPUT = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_USUAL_FILES = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
_NO_STATUS = -1
_NO_BANNER = "Error reading SSH protocol banner"


class _Quiet(logging.Filter):
    """What ends a connection is said by an error of this library; paramiko's words and tracebacks are for debugging."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


_PARAMIKO_LOG = f"{__name__}.paramiko"
logging.getLogger(_PARAMIKO_LOG).addFilter(_Quiet())


class Connection:
    """A connection whose other end has proven to be the array; used by one thread at a time.

    Args:
        address: host and port.
        host_keys: which keys are the array's.
        timeout: seconds for connection and key exchange.
        keepalive: see `SshTransport`.

    Raises `NotSent` where there is no connection, `HostKeyError` where it is not to the array.
    """

    def __init__(self, address: tuple[str, int], host_keys: HostKeyOptions, timeout: float, keepalive: float) -> None:
        trust = _Trust(address, host_keys)
        try:
            plain = socket.create_connection(address, timeout=remaining(timeout))
        except OSError as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error
        late = False
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._transport = paramiko.Transport(plain)
            self._transport.set_log_channel(_PARAMIKO_LOG)
            trust.prefer_known_keys(self._transport)
            patience = remaining(timeout)
            with self._bounded(patience) as watch:
                try:
                    self._transport.start_client()
                finally:
                    late = watch.over
            key = self._transport.get_remote_server_key()
        except (paramiko.SSHException, EOFError, OSError) as error:
            plain.close()
            why = f"the other end was silent for {patience:.3g} s" if late else _said(error)
            raise NotSent(f"no SSH session begins: {why}") from error
        except BaseException:
            plain.close()
            raise
        try:
            trust.check(key)
        except BaseException:
            self.close()
            raise
        self.shown_key = str(key.fingerprint)
        """Fingerprint of the key that the array shows."""
        self._transport.set_keepalive(max(1, int(keepalive)))

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._transport.is_active() and self._transport.is_authenticated()

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def log_in(self, options: SshOptions, timeout: float) -> None:
        """Log in with the private key, or else the password.

        Raises `LoginRefused` where the array says no, `HungUp` where it hangs up instead, and `NotSent` where it says nothing.
        """
        key = _private_key(options)
        self._transport.auth_timeout = timeout
        try:
            with self._bounded(timeout) as watch:
                if key is not None:
                    further = self._transport.auth_publickey(options.username, key)
                else:
                    password = options.password.get_secret_value() if options.password else ""
                    further = self._transport.auth_password(options.username, password)
        except paramiko.BadAuthenticationType as error:
            raise _refused(options, f"the array takes only {', '.join(error.allowed_types)}") from error
        except paramiko.AuthenticationException as error:
            if watch.over or "timeout" in str(error):
                raise NotSent(f"no answer to the login within {timeout:g} s") from error
            if not self._transport.is_active():
                raise HungUp(f"no answer to the login: {_said(error)}") from error
            raise _refused(options, _said(error)) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise HungUp(f"no answer to the login: {_said(error)}") from error
        if further:
            raise _refused(options, f"the array wants more: {', '.join(further)}")

    def run(self, command: Command, timeout: float) -> Result:
        """Run one command and return its answer; `timeout` is how many seconds the array may be silent.

        Raises `NotSent` and `Lost`.
        """
        with self._bounded(timeout):
            channel = self._channel(timeout)
            try:
                channel.exec_command(command.line)
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise Lost(f"the command was not confirmed: {_said(error)}") from error
        try:
            return _answer(channel, command, timeout)
        except DeadlineExceeded as error:
            raise Lost("the deadline passed before the command had ended") from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise Lost(f"the answer broke off: {_said(error)}") from error
        finally:
            # Where the connection ends meanwhile, what was answered counts all the same.
            with suppress(paramiko.SSHException, EOFError, OSError):
                channel.close()

    def _channel(self, timeout: float) -> paramiko.Channel:
        try:
            return self._transport.open_session(timeout=timeout)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise NotSent(f"no channel is opened: {_said(error)}") from error

    @contextmanager
    def _bounded(self, seconds: float) -> Iterator[_Watch]:
        """Cut the connection when the enclosed step takes too long: some waits of paramiko have no limit of their own."""
        watch = _Watch(self._transport, seconds)
        try:
            yield watch
        finally:
            watch.end()


class _Watch:
    def __init__(self, transport: paramiko.Transport, seconds: float) -> None:
        self.over = False
        self._transport = transport
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        self.over = True
        self._transport.close()


class _Trust:
    """Which host keys are those of the array at one address."""

    def __init__(self, address: tuple[str, int], options: HostKeyOptions) -> None:
        host, port = address
        self._shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._options = options
        self._keys = [key_blob(text) for text in options.keys]
        self._types = [text.split()[0] for text in options.keys]
        if options.verify and (options.known_hosts is not None or not (options.keys or options.fingerprints)):
            self._read_known_hosts(host if port == DEFAULT_PORT else f"[{host}]:{port}")

    def _read_known_hosts(self, name: str) -> None:
        files = [
            path.expanduser() for path in (_USUAL_FILES if self._options.known_hosts is None else (self._options.known_hosts,))
        ]
        for path in files:
            if path.is_file():
                try:
                    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                except OSError as error:
                    raise ConfigurationError(f"The known_hosts file {path} cannot be read: {error}.") from error
                for key in _known_keys(lines, name):
                    self._keys.append(key.asbytes())
                    self._types.append(key.get_name())

    def prefer_known_keys(self, transport: paramiko.Transport) -> None:
        """Ask for a key of a type that is known, where the array has several."""
        wanted = [name for known in self._types for name in (_RSA_SIGNATURES if known == "ssh-rsa" else (known,))]
        security = transport.get_security_options()
        offered = list(security.key_types)
        security.key_types = sorted(offered, key=lambda name: wanted.index(name) if name in wanted else len(wanted))

    def check(self, key: paramiko.PKey) -> None:
        """Raise `HostKeyError` unless the key is one of the array's."""
        options = self._options
        fingerprint = key.fingerprint
        if not options.verify or key.asbytes() in self._keys:
            return
        if fingerprint in {text.rstrip("=") for text in options.fingerprints}:
            return
        what = "is another one than expected" if self._keys or options.fingerprints else "is not known"
        raise HostKeyError(
            f"The host key of {self._shown} {what}: it shows {key.get_name()} {fingerprint}. Compare this with the array's own "
            "display, and if it is the array's, put it into host_keys.fingerprints."
        )


def _known_keys(lines: Iterable[str], name: str) -> Iterator[paramiko.PKey]:
    """Yield every key that a known_hosts file has for a host: an address that moves between controllers has one of each.

    A line that cannot be read, or bears a marker, is passed over, as OpenSSH does.
    """
    for line in lines:
        if not line.strip() or line.lstrip().startswith(("#", "@")):
            continue
        try:
            entry = HostKeyEntry.from_line(" ".join(line.split()))
        except (paramiko.SSHException, InvalidHostKey, ValueError):
            continue
        if entry is not None and any(_is_called(name, each) for each in entry.hostnames):
            yield entry.key


def _is_called(name: str, written: str) -> bool:
    """Tell whether a host is the one that a line names, in clear or hashed."""
    if not written.startswith("|1|"):
        return written == name
    try:
        return bool(paramiko.HostKeys.hash_host(name, written) == written)
    except (ValueError, AssertionError):
        return False


def _private_key(options: SshOptions) -> paramiko.PKey | None:
    if options.private_key_file is None:
        return None
    passphrase = options.passphrase.get_secret_value().encode() if options.passphrase else None
    try:
        # The types say text; what reads the file takes bytes.
        return paramiko.PKey.from_path(str(options.private_key_file), passphrase)  # type: ignore[arg-type]
    except (paramiko.SSHException, OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"The private key {options.private_key_file} cannot be read ({type(error).__name__}); check the file and passphrase."
        ) from error


def _refused(options: SshOptions, why: str) -> LoginRefused:
    way = "private key" if options.private_key_file else "password"
    return LoginRefused(
        f"The array refused the {way} of {options.username!r} ({why.rstrip('.')}); check it, and whether the account is locked.",
        request="login",
    )


def _answer(channel: paramiko.Channel, command: Command, timeout: float) -> Result:
    """Read an answer to its end."""
    out, err = bytearray(), bytearray()
    # Whatever this program waits with: under eventlet, as in Cinder, the module `select` has no poll().
    with selectors.DefaultSelector() as selector:
        selector.register(channel.fileno(), selectors.EVENT_READ)
        ended = False
        while not ended:
            if not selector.select(remaining(timeout)):
                remaining(timeout)
                raise Lost(f"the answer did not go on within {timeout:g} s")
            ended = bool(channel.eof_received or channel.closed)
            _drain(channel, out, err)
    if not channel.status_event.wait(remaining(timeout)) or channel.exit_status == _NO_STATUS:
        raise Lost("the channel ended without an exit status")
    return Result(_text(out, command), _text(err, command), channel.exit_status)


def _drain(channel: paramiko.Channel, out: bytearray, err: bytearray) -> None:
    while channel.recv_ready():
        out += channel.recv(_CHUNK)
        _refuse_floods(out)
    while channel.recv_stderr_ready():
        err += channel.recv_stderr(_CHUNK)
        _refuse_floods(err)


def _refuse_floods(read: bytearray) -> None:
    if len(read) > MAX_OUTPUT:
        raise Lost(f"the answer is longer than {MAX_OUTPUT} bytes")
    remaining(threading.TIMEOUT_MAX)


def _text(data: bytearray, command: Command) -> str:
    return command.redacted(data.decode(errors="backslashreplace"))


def _said(error: BaseException) -> str:
    """Return what an error says, in words of one who does not know paramiko."""
    text = str(error)
    if text.startswith(_NO_BANNER):
        more = text.removeprefix(_NO_BANNER).strip()
        return f"what answers there does not introduce itself as an SSH server{f' ({more})' if more else ''}"
    return text or ("the other end hung up" if isinstance(error, EOFError) else type(error).__name__)
