"""The same verbs over HTTPS, port 7443 on the real thing. Source: IBM sheet, section 9."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from conformance.simulation.family import Request, Response
from vendors.svc.simulator import codes, shell
from vendors.svc.simulator.codes import Refusal
from vendors.svc.simulator.shell import Command, Given

if TYPE_CHECKING:
    from vendors.svc.simulator.array import SvcArray

_BASES: Final = ("/rest/v1/", "/rest/")
_LOGIN: Final = "auth"
_ABSENT: Final = frozenset({codes.GONE, codes.NO_OBJECT, codes.NO_COMMAND})
_CONFLICTS: Final = frozenset(
    {
        codes.EXISTS,
        codes.IQN_TAKEN,
        codes.TARGET_TAKEN,
        codes.MAPPED_ALREADY,
        codes.LUN_TAKEN,
        codes.MAPPED_ELSEWHERE,
        codes.VOLUME_IN_USE,
        codes.HOST_IN_USE,
        codes.NOT_MAPPED,
        codes.WRONG_STATE,
        codes.FORMATTING,
        codes.NOT_READY,
    }
)
_NEWER: Final = (8, 5)
"""From this level on, the status tells what kind of refusal it is; before, every one is 500."""


class Rest:
    """POST only: the verb and its object in the path, flags as a JSON object; see `conformance.simulation.family.Handler`."""

    def __init__(self, array: SvcArray) -> None:
        self._array = array
        self._guard = threading.Lock()
        self._tokens: dict[str, str] = {}

    def forget(self, controller: str | None = None) -> None:
        """End the sessions of one controller, or all."""
        with self._guard:
            self._tokens = {token: at for token, at in self._tokens.items() if controller not in {None, at}}

    def operation(self, request: Request) -> str:
        """Return the verb; an inquiry with a filter is counted apart."""
        verb = _path(request)[0]
        return "login" if verb == _LOGIN else verb + ("?filter" if b"filtervalue" in request.body else "")

    def handle(self, request: Request) -> Response:
        """Log in, or carry a verb out."""
        verb, *objects = _path(request)
        if request.method != "POST" or not verb:
            return Response(b"Not Found", 404)
        if verb == _LOGIN:
            return self._log_in(request)
        with self._guard:
            known = self._tokens.get(request.headers.get("x-auth-token", "")) == request.controller
        if not known:
            return Response(b"Forbidden", 403)
        try:
            body = request.json()
        except (ValueError, RecursionError):
            return Response(b"Bad Request", 400)
        if body is not None and not isinstance(body, dict):
            return Response(b"Bad Request", 400)
        return self._run(verb, objects, body or {})

    def busy(self, request: Request) -> Response:
        """Answer that the object is not ready."""
        return self._refused(codes.NOT_READY)

    def refusal(self, request: Request, code: str) -> Response:
        """Answer with that number."""
        return self._refused(code)

    def _log_in(self, request: Request) -> Response:
        given = (request.headers.get("x-auth-username"), request.headers.get("x-auth-password"))
        if given != (self._array.username, self._array.password):
            return Response(b"Unauthorized", 401)
        token = secrets.token_hex(32)
        with self._guard:
            self._tokens[token] = request.controller
        return Response(json.dumps({"token": token}).encode())

    def _run(self, verb: str, objects: list[str], flags: Mapping[str, Any]) -> Response:
        done = self._array.run(verb, lambda command: _given(command, objects, flags))
        if done.code is not None:
            return self._refused(done.code)
        try:
            answer = shell.structured(done.answer, done.given)
        except Refusal as refusal:
            return self._refused(refusal.code)
        return Response(b"" if answer is None else json.dumps(answer).encode())

    def _refused(self, code: str) -> Response:
        status = 500
        if self._array.profile.level >= _NEWER:
            status = 404 if code in _ABSENT else 409 if code in _CONFLICTS else 400
        return Response(f"{code} {codes.TEXTS.get(code, 'Unknown error.')}".encode(), status, code=code)


def _path(request: Request) -> list[str]:
    base = next((base for base in _BASES if request.path.startswith(base)), None)
    return request.path[len(base) :].rstrip("/").split("/") if base else [""]


def _given(command: Command, objects: list[str], flags: Mapping[str, Any]) -> Given:
    """Return the parameters of a request as those of a command line."""
    words: list[str] = []
    for name, value in flags.items():
        if value is True or (value is None and name in command.switches):
            words.append(f"-{name}")
        elif isinstance(value, str | int) and not isinstance(value, bool):
            words += [f"-{name}", str(value)]
        else:
            raise Refusal(codes.BAD_VALUE)
    return shell.parse(command, [*words, *objects])
