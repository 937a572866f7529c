"""One array's management interface over HTTP(S): bounded connections, one login per controller, re-login and failover.

It tells apart what matters to whoever changes an array: a request that surely was not sent goes to the next controller, one whose
outcome is open is `Ambiguous`, and a read is simply read again.
"""

from __future__ import annotations

import json as jsonlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from blockdrivers.deadline import deadline, remaining
from blockdrivers.errors import (
    Ambiguous,
    AuthExpired,
    BlockDriversError,
    Busy,
    CertificateError,
    LoginRefused,
    ProtocolError,
)
from blockdrivers.transport.session import Failover, Lost, NotSent, Pool, Refusals, alone
from blockdrivers.transport.tls import TlsOptions

_log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_LOGOUT_SECONDS = 5.0

_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, or raise `ProtocolError` that shows its beginning."""
        try:
            return jsonlib.loads(self.body)
        except ValueError as wrong:
            raise ProtocolError(f"The answer (status {self.status}) is not JSON: {self.body[:80]!r}.") from wrong


@dataclass(frozen=True, slots=True)
class Login:
    """A management session: what every request carries; the prefix goes between the address and a path."""

    headers: Mapping[str, str] = field(repr=False)
    prefix: str = ""


class Send(Protocol):
    """Sends one request to the controller that is being logged in to or out of; the path follows its address."""

    @property
    def address(self) -> str:
        """Base URL of that controller, as configured but for a slash at its end."""
        ...

    def __call__(
        self, method: str, path: str, *, json: object | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the answer, whatever its status."""
        ...


class Authenticator(Protocol):
    """How a family's sessions begin, end and are seen to be over."""

    def login(self, send: Send) -> Login:
        """Begin a session; raise `LoginRefused` where trying again cannot help, `NotSent` to go on to the next controller."""
        ...

    def logout(self, send: Send, login: Login) -> None:
        """End a session."""
        ...

    def expired(self, response: Response) -> bool:
        """Tell whether the array refused the request because the session is over."""
        ...


@dataclass(slots=True)
class _Controller:
    """One management address and the login that every connection to it shares."""

    address: str
    guard: threading.Lock = field(default_factory=threading.Lock)
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    json: object | None
    body: tuple[str, bytes] | None
    params: Mapping[str, str]
    absolute: bool
    changes: bool
    operation: str


@dataclass(frozen=True, slots=True)
class _Sender:
    """What a login is carried out through: see `Send`."""

    address: str
    send: Callable[[_Call, Login], Response]

    def __call__(
        self, method: str, path: str, *, json: object | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        call = _Call(method, path, json, None, {}, absolute=False, changes=False, operation=f"{method} sessions")
        return self.send(call, Login(headers or {}))


class HttpTransport:
    """The management interface of one array; shared by threads.

    Args:
        addresses: base URL of each controller, in order of preference.
        tls: how certificates are verified.
        authenticator: the family's sessions.
        max_connections: how many requests are under way at once; further ones wait.
        connect_timeout, read_timeout: seconds; the current deadline may shorten them.
        name: the array's name for errors and logs.
        answered: tells whether an answer with a server error's status is the interface's own refusal nevertheless: some report
            a wrong argument that way. Its outcome is not open then, and the caller gets the answer.
        keeps_logins: whether a session outlives a lost connection. Where a login opens none, and only asks whether the controller
            serves, it has to ask again then.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        tls: TlsOptions,
        authenticator: Authenticator,
        max_connections: int = 8,
        connect_timeout: float = 5.0,
        read_timeout: float = 60.0,
        name: str = "array",
        answered: Callable[[Response], bool] | None = None,
        keeps_logins: bool = True,
    ) -> None:
        self._failover = Failover([_Controller(address.rstrip("/")) for address in addresses])
        self._tls = tls
        self._authenticator = authenticator
        self._timeouts = (connect_timeout, read_timeout)
        self._name = name
        self._answered = answered
        self._keeps_logins = keeps_logins
        self._refusals = Refusals(name)
        self._pool = Pool(max_connections, self._new_session, name)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object | None = None,
        body: tuple[str, bytes] | None = None,
        params: Mapping[str, str] | None = None,
        absolute: bool = False,
        changes: bool | None = None,
        operation: str | None = None,
    ) -> Response:
        """Send one request, logged in, and return the answer.

        Args:
            method: HTTP method.
            path: below the session's prefix; with `absolute`, from the root of the server.
            json: body.
            body: another body than JSON: media type and bytes.
            params: query.
            absolute: see `path`.
            changes: whether the request changes the array; by default everything but GET and HEAD does.
            operation: for logs and errors.

        Raises:
            Unreachable: no controller could be connected to; nothing was sent.
            Ambiguous: a changing request was sent and its outcome is open.
            Busy: a read met a server error, or its answer was lost.
            AuthExpired, LoginRefused, CertificateError, DeadlineExceeded.
        """
        changing = method not in {"GET", "HEAD"} if changes is None else changes
        call = _Call(method, path, json, body, params or {}, absolute, changing, operation or f"{method} {path}")
        with self._pool.lent() as session:
            try:
                answer = self._failover.anywhere(lambda controller: self._at(controller, session, call), changes=changing)
                return self._judged(answer, call)
            except BlockDriversError as error:
                error.array = error.array or self._name
                error.request = error.request or call.operation
                raise

    def close(self) -> None:
        """Log out of every controller and close the connections; nothing can be sent afterwards."""
        if not self._pool.shut():
            return
        session = self._new_session()
        with deadline(_LOGOUT_SECONDS, f"log out of {self._name}"):
            for controller in self._failover.controllers:
                self._logout(controller, session)
        session.close()
        self._pool.drain()

    # Where a request goes

    def _at(self, controller: _Controller, session: requests.Session, call: _Call) -> Response:
        login = self._logged_in(controller, session)
        try:
            response = self._send(controller, session, call, login)
        except (Lost, NotSent):
            if not self._keeps_logins:
                self._drop(controller, login)
            raise
        if not self._authenticator.expired(response):
            return response
        # The array refused the request for its session alone, so it is safe to send it again.
        self._drop(controller, login)
        login = self._logged_in(controller, session)
        response = self._send(controller, session, call, login)
        if self._authenticator.expired(response):
            raise AuthExpired("The array called a new management session expired.")
        return response

    def _judged(self, response: Response, call: _Call) -> Response:
        if response.status < _SERVER_ERROR and response.status != _TOO_MANY_REQUESTS:
            return response
        if self._answered is not None and self._answered(response):
            return response
        if call.changes and response.status != _TOO_MANY_REQUESTS:
            raise Ambiguous(f"The array answered a changing request with HTTP status {response.status}; its outcome is open.")
        raise Busy(f"The array answered with HTTP status {response.status}.")

    # Sessions

    def _logged_in(self, controller: _Controller, session: requests.Session) -> Login:
        with alone(controller.guard, controller.address, self._name):
            if controller.login is None:
                self._pool.refuse_when_closed()
                self._refusals.raise_remembered()
                try:
                    controller.login = self._authenticator.login(self._sender(controller, session))
                except Lost as error:
                    # A session that nobody knows of harms nothing but the session count; the request itself was not sent.
                    raise NotSent(str(error)) from error
                except LoginRefused as refused:
                    self._refusals.remember(refused)
                    raise
            return controller.login

    def _drop(self, controller: _Controller, login: Login) -> None:
        with alone(controller.guard, controller.address, self._name):
            if controller.login is login:
                controller.login = None

    def _logout(self, controller: _Controller, session: requests.Session) -> None:
        try:
            with alone(controller.guard, controller.address, self._name):
                login, controller.login = controller.login, None
            if login is not None:
                self._authenticator.logout(self._sender(controller, session), login)
        except (NotSent, Lost, BlockDriversError) as error:
            _log.debug("could not log out of %s: %s", controller.address, error)

    def _sender(self, controller: _Controller, session: requests.Session) -> Send:
        return _Sender(controller.address, partial(self._send, controller, session))

    # The wire

    def _send(self, controller: _Controller, session: requests.Session, call: _Call, login: Login) -> Response:
        connect, read = (remaining(timeout) for timeout in self._timeouts)
        _wire.reached = False
        started = time.monotonic()
        status: int | str = "none"
        try:
            with session.request(
                call.method,
                _url(controller.address, login.prefix, call),
                json=call.json,
                data=None if call.body is None else call.body[1],
                params=dict(call.params),
                headers=dict(login.headers) | ({} if call.body is None else {"Content-Type": call.body[0]}),
                timeout=(connect, read),
                verify=self._tls.verification,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = _read(answer)
                status = answer.status_code
                return Response(answer.status_code, answer.headers, body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._classified(error, controller) from error
        finally:
            _log.debug(
                "%s %s: %s in %.3f s",
                self._name,
                call.operation,
                status,
                time.monotonic() - started,
                extra={
                    "array": self._name,
                    "controller": controller.address,
                    "operation": call.operation,
                    "status": status,
                    "seconds": round(time.monotonic() - started, 6),
                },
            )

    def _classified(self, error: Exception, controller: _Controller) -> Exception:
        reasons = list(_reasons(error))
        if any(isinstance(reason, ssl.SSLCertVerificationError | ssl.CertificateError) for reason in reasons) or any(
            "ingerprint" in str(reason) for reason in reasons
        ):
            return CertificateError(
                f"The certificate of {controller.address} is not trusted ({reasons[-1]}); set tls.ca_file to the CA that "
                "signed it, or tls.fingerprint to its SHA-256.",
                array=self._name,
            )
        said = f"{type(reasons[-1]).__name__}: {reasons[-1]}"
        return Lost(said) if _wire.reached else NotSent(said)

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            session.mount(scheme, _PinningAdapter(self._tls))
        return session


class _Wire(threading.local):
    """Whether this thread's request has begun to go out: until then a failure surely changed nothing."""

    reached = False


_wire = _Wire()


class _HttpConnection(urllib3.connection.HTTPConnection):
    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _wire.reached = True
        super().send(data)


class _HttpsConnection(urllib3.connection.HTTPSConnection):
    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _wire.reached = True
        super().send(data)


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _PinningAdapter(HTTPAdapter):
    """One keep-alive connection per controller, with the certificate checks that were asked for."""

    def __init__(self, tls: TlsOptions) -> None:
        self._checks: dict[str, Any] = {}
        if tls.fingerprint:
            self._checks["assert_fingerprint"] = tls.fingerprint
        if not tls.check_hostname:
            self._checks["assert_hostname"] = False
        super().__init__(pool_connections=4, pool_maxsize=1)

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """Return what stands in the request line: a dot that is to stay escaped in its path is escaped twice by the caller.

        requests writes ``%2E`` as a dot, and some interfaces tell the two apart.
        """
        path, mark, query = super().request_url(request, proxies).partition("?")
        return path.replace("%252E", "%2E") + mark + query

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        """Hand the checks to every pool."""
        super().init_poolmanager(connections, maxsize, block, **kwargs, **self._checks)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def _url(address: str, prefix: str, call: _Call) -> str:
    if call.absolute:
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc}/{call.path.lstrip('/')}"
    return "/".join(part for part in (address, prefix, call.path.lstrip("/")) if part)


def _read(answer: requests.Response) -> bytes:
    body = bytearray()
    # One piece at a time as the network delivers it: an array that answers in drops must not outlive the deadline.
    while piece := answer.raw.read1(_CHUNK, decode_content=True):
        body += piece
        if len(body) > MAX_BODY:
            raise Lost(f"the answer is longer than {MAX_BODY} bytes")
        remaining(threading.TIMEOUT_MAX)
    return bytes(body)


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what lies beneath it, outermost first; the libraries hide causes in args and attributes."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            waiting += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]
