"""Management sessions, and the resource-group lock that one of them may hold. Source: protocol sheet, sections 1.3 and 1.5."""

from __future__ import annotations

import base64
import itertools
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from conformance.simulation.family import Request, Response
from vendors.hitachi.simulator import codes, wire
from vendors.hitachi.simulator.codes import Failure, Refusal
from vendors.hitachi.simulator.wire import Object

_MOST = 64
_IDLE_SECONDS = range(1, 301)
_LONGEST_LOCK_WAIT = 7200


@dataclass(slots=True)
class Session:
    """One session; `alive` is how many seconds it may be idle."""

    id: int
    token: str
    controller: str
    created: datetime
    used: float
    alive: float


class Sessions:
    """The sessions of an array, shared by its REST servers, each good at one of them."""

    def __init__(self, username: str, password: str, clock: Callable[[], float]) -> None:
        self._username = username
        self._basic = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._clock = clock
        self._guard = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._ids = itertools.count(1)
        self._holder: Session | None = None

    def __len__(self) -> int:
        with self._guard:
            return len(self._sessions)

    def expire(self, controller: str | None = None) -> None:
        """End the sessions of one controller, or all."""
        with self._guard:
            for token, session in list(self._sessions.items()):
                if controller in {None, session.controller}:
                    self._end(token)

    def handle(self, request: Request, identifier: str) -> Response:
        """Answer a request about sessions."""
        if request.method == "POST" and not identifier:
            return self._log_in(request)
        self.authorised(request)
        with self._guard:
            if request.method == "GET" and not identifier:
                return wire.answer({"data": [self._rendered(session) for session in self._sessions.values()]})
            token = next((key for key, session in self._sessions.items() if str(session.id) == identifier), None)
            if token is None:
                raise Refusal(404, codes.NOT_THERE)
            if request.method == "GET":
                return wire.answer(self._rendered(self._sessions[token]))
            if request.method != "DELETE":
                raise Refusal(405, codes.NO_RESOURCE)
            self._end(token)
        return Response(b"")

    def authorised(self, request: Request) -> Session:
        """Demand the token of a session at this controller's server; Basic opens one for the request alone."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        with self._guard:
            self._drop_idle()
            session = self._sessions.get(token) if kind == "Session" else None
            if session is not None and session.controller == request.controller:
                session.used = self._clock()
                return session
        if self._knows(request):
            return Session(0, "", request.controller, datetime.now(UTC), self._clock(), 0.0)
        raise Refusal(401, codes.NOT_AUTHENTICATED)

    @staticmethod
    def challenge(refusal: Refusal) -> tuple[tuple[str, str], ...]:
        """Return the headers that go with a refusal."""
        if refusal.status != 401:  # noqa: PLR2004 - HTTP's own number
            return ()
        kind = "Basic" if refusal.fault.message_id == codes.WRONG_LOGIN else "Session"
        return (("WWW-Authenticate", f'{kind} realm="Block storage"'),)

    def _log_in(self, request: Request) -> Response:
        given = wire.body(request)
        wire.only(given, "aliveTime", "authenticationTimeout")
        alive = wire.number(given, "aliveTime", _IDLE_SECONDS[-1])
        if alive not in _IDLE_SECONDS:
            raise Refusal(400, codes.OUT_OF_RANGE, "aliveTime")
        if not self._knows(request):
            raise Refusal(401, codes.WRONG_LOGIN)
        with self._guard:
            self._drop_idle()
            if len(self._sessions) >= _MOST:
                raise Refusal(503, codes.BUSY, "too many sessions")
            made = Session(next(self._ids), secrets.token_hex(16), request.controller, datetime.now(UTC), self._clock(), alive)
            self._sessions[made.token] = made
        return wire.answer({"token": made.token, "sessionId": made.id})

    def _knows(self, request: Request) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        return kind == "Basic" and secrets.compare_digest(given, self._basic)

    def _drop_idle(self) -> None:
        for token, session in list(self._sessions.items()):
            if self._clock() - session.used > session.alive:
                self._end(token)

    def _end(self, token: str) -> None:
        if self._holder is self._sessions.pop(token):
            self._holder = None

    def _rendered(self, session: Session) -> Object:
        stamp = session.created.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "sessionId": session.id,
            "userId": self._username,
            "ipAddress": "127.0.0.1",
            "createdTime": stamp,
            "lastAccessedTime": stamp,
        }

    # The lock

    def lock(self, action: str, given: Object, session: Session) -> None:
        """Take or release the lock; how long a taker would wait for it is read and not waited for."""
        if action == "resource-group-service/lock":
            if not 0 <= wire.number(wire.parameters(given, "waitTime"), "waitTime", 0) <= _LONGEST_LOCK_WAIT:
                raise Refusal(400, codes.OUT_OF_RANGE, "waitTime")
            self.check_lock(session)
            self._holder = session
        elif action == "resource-group-service/unlock":
            if self._holder is not session:
                raise Failure(codes.NOT_LOCK_OWNER)
            self._holder = None
        else:
            raise Refusal(404, codes.NO_RESOURCE)

    def check_lock(self, session: Session) -> None:
        """Fail what another session's lock forbids."""
        if self._holder is not None and self._holder is not session:
            raise Failure(codes.LDEV_LOCKED)
